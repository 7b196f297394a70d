"""Carries out what staff do to the final values of a channel's day: from REST and from the command line.

```
find the channel -> hold the day's final version -> is it the one seen? -> the edit (pure) -> a new version,
its parts for billing, a row per interval, the audit, and the day is looked at again: rules judge it as it is now
```
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

import numpy as np

from mdus.domain.channel import Channel
from mdus.domain.interval_block import Cause, IntervalBlock, Layer
from mdus.domain.reading_quality import ESTIMATED, QualitySet
from mdus.storage.audit import Deed, note_deed
from mdus.storage.billing_parts import store_parts
from mdus.storage.interval_block import current_blocks, look_by, quality_marks, write_blocks
from mdus.storage.interval_edit import StoredEdit, edits_of, note_undone, write_edits
from mdus.storage.interval_history import channels_named
from mdus.storage.session import UnitOfWork
from mdus.vee import editing
from mdus.vee.editing import Act, Edited, Editor, EditRefused
from mdus.vee.output import state_of
from mdus.vee.pipeline import State

#: Beyond, no meter has measured anything.
_YEARS: Final = range(1970, 2200)


class Action(StrEnum):
    """What somebody wants to be done."""

    SET = "set"  # give intervals these values
    ACCEPT = "accept"  # suspect values or estimates are right
    REJECT = "reject"  # estimates are worse than none
    UNDO = "undo"  # take the last edit of each interval back


class NoSuchChannel(EditRefused):
    """There is no channel of that name."""


class NoFinalValues(EditRefused):
    """The day has no final version yet."""


class OtherVersion(EditRefused):
    """The day is no longer as whoever edits it has seen it."""


class NothingToDo(EditRefused):
    """No interval of the day is what the action is for."""


class NotOneDay(EditRefused):
    """The span is not within one local day of the channel, or not at its intervals."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """An action on a channel's day, or on the intervals of it from one instant to before another.

    `values` are those of the intervals in their order (None leaves one as it is); `seen` is the version of the day that
    whoever orders it has seen, None where that does not matter.
    """

    sender_system: str
    device_id: str
    reading_type: str
    action: Action
    day: date | None = None
    start: datetime | None = None
    end: datetime | None = None
    values: Sequence[Decimal | None] = ()
    seen: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of an order: the day's new version, and which intervals changed."""

    channel: Channel
    day: date
    version: int
    positions: tuple[int, ...]


def carry_out(uow: UnitOfWork, order: Order, deed: Deed, *, now: datetime) -> Outcome:
    """Do what is ordered; raises EditRefused, and then nothing was done."""
    channel_id, channel = channel_of(uow, order.device_id, order.reading_type, systems=(order.sender_system,))
    day = _day_of(order, channel)
    block = current_blocks(uow.connection, [(channel, day)], layer=Layer.FINAL, lock=True).get((channel, day))
    if block is None:
        raise NoFinalValues(f"{day} has no final values of {channel.reading_type} yet: they are made when it is over")
    if order.seen is not None and order.seen != block.version:
        raise OtherVersion(f"version {order.seen} of {day} was seen, and {block.version} is current: look again")
    sets = uow.quality_sets([block])
    editor = Editor(by=deed.who, why=deed.reason, at=now)
    undone: tuple[StoredEdit, ...] = ()
    if order.action is Action.UNDO:
        undone = _to_undo(edits_of(uow.connection, channel_id, day), _span(order, channel, day))
        edited = editing.undo(block, sets, [each.edit for each in undone], editor=editor)
    else:
        edited = _ACTIONS[order.action](order, block, sets, editor)
    made = _version(uow, block, edited, deed, now=now)
    write_blocks(uow.connection, [made])
    store_parts(uow, [made])
    write_edits(uow.connection, channel_id, day, made.version, edited.edits)
    note_undone(uow.connection, [each.id for each in undone])
    look_by(uow.connection, [(channel_id, day, now)])
    positions = tuple(edit.position for edit in edited.edits)
    target = f"{channel.sender_system}/{channel.device_id}/{channel.reading_type}/{day} version {made.version}"
    note_deed(
        uow.connection, deed, action=f"interval values {order.action}", target=target, count=len(positions), at=now
    )
    return Outcome(channel=channel, day=day, version=made.version, positions=positions)


def channel_of(
    uow: UnitOfWork, name: str, reading_type: str | None, *, systems: Collection[str] | None
) -> tuple[int, Channel]:
    """Return the channel of a device, named by its id or serial number, with its row's id.

    Raises NoSuchChannel unless there is one, and one only.
    """
    found = channels_named(uow.connection, name, reading_type=reading_type, systems=systems)
    if not found:
        of = "" if reading_type is None else f" of reading type {reading_type}"
        raise NoSuchChannel(f"device {name} has no interval values{of}: ids have their zeros; /devices lists them")
    meant = sorted({f"{each.reading_type} of {each.sender_system}/{each.device_id}" for each in found.values()})
    if len(meant) > 1:
        raise NoSuchChannel(f"device {name} has several channels, say which: {', '.join(meant)}")
    return list(found.items())[-1]  # of several grids the one that began last


# -- what the action is for -------------------------------------------------------------------------------------------


def _set(order: Order, block: IntervalBlock, sets: Mapping[int, QualitySet], editor: Editor) -> Edited:
    span = _span(order, block.channel, block.day)
    if len(order.values) != len(span):
        raise NotOneDay(f"{len(order.values)} values for {len(span)} intervals: give one of each, null leaves it")
    values = {position: value for position, value in zip(span, order.values, strict=True) if value is not None}
    return editing.set_values(block, sets, values, editor=editor)


def _accept(order: Order, block: IntervalBlock, sets: Mapping[int, QualitySet], editor: Editor) -> Edited:
    open_ones = {mark: some for mark, some in sets.items() if not some.is_accepted}
    return editing.accept(
        block, sets, _in_state(order, block, open_ones, State.SUSPECT, State.ESTIMATED), editor=editor
    )


def _reject(order: Order, block: IntervalBlock, sets: Mapping[int, QualitySet], editor: Editor) -> Edited:
    return editing.reject(block, sets, _in_state(order, block, sets, State.ESTIMATED), editor=editor)


_ACTIONS: Final[Mapping[Action, Callable[[Order, IntervalBlock, Mapping[int, QualitySet], Editor], Edited]]] = {
    Action.SET: _set,
    Action.ACCEPT: _accept,
    Action.REJECT: _reject,
}


def _in_state(order: Order, block: IntervalBlock, sets: Mapping[int, QualitySet], *states: State) -> list[int]:
    """Return the intervals of the span that have one of these sets of qualities and are in one of these states."""
    present = block.present
    found = [
        position
        for position in _span(order, block.channel, block.day)
        if (some := sets.get(int(block.qualities[position]))) is not None
        and state_of(some, is_present=bool(present[position])) in states
        and (ESTIMATED in some.codes or not some.is_estimated)  # what the meter's side estimated is its word
    ]
    if not found:
        named = " or ".join(state.name.lower() for state in states)
        raise NothingToDo(f"no value of {block.day} is {named} there: there is nothing to {order.action}")
    return found


def _to_undo(edits: Sequence[StoredEdit], span: range) -> tuple[StoredEdit, ...]:
    """Return the last edit of each interval of the span that is not undone yet."""
    last = {
        each.edit.position: each
        for each in edits
        if not each.is_undone and each.edit.act is not Act.UNDONE and each.edit.position in span
    }
    if not last:
        raise NothingToDo("nobody has edited these intervals, or it is undone already")
    return tuple(last[position] for position in sorted(last))


def _day_of(order: Order, channel: Channel) -> date:
    told = order.day or (None if order.start is None else order.start.date())
    if told is None:
        raise NotOneDay("name the day, or the instants from and to")
    if told.year not in _YEARS:
        raise NotOneDay(f"nothing was measured on {told}")
    if order.day is not None or order.start is None:
        return told
    return channel.day_of(order.start).on


def _span(order: Order, channel: Channel, day: date) -> range:
    """Return the intervals that are meant."""
    grid = channel.day(day)
    first = 0 if order.start is None else grid.position(order.start)
    end = grid.count if order.end is None or order.end == grid.end else grid.position(order.end)
    if first is None or end is None or not 0 <= first < end <= grid.count:
        raise NotOneDay(
            f"expected a span at intervals of {grid.minutes} minutes from {grid.start.isoformat()} to"
            f" {grid.end.isoformat()}"
        )
    return range(first, end)


def _version(uow: UnitOfWork, before: IntervalBlock, edited: Edited, deed: Deed, *, now: datetime) -> IntervalBlock:
    """Return the version that an edit makes."""
    numbers = quality_marks(uow.connection, edited.qualities)
    made = replace(
        before,
        version=before.version + 1,
        values=edited.values,
        qualities=np.array([numbers[each] for each in edited.qualities], dtype=np.uint16),
        used=False,
        written_at=now,
        written_by=deed.who,
        cause=Cause.EDITED,
        note=deed.reason,
    )
    present = made.present
    states = [
        state_of(each, is_present=bool(is_there)) for each, is_there in zip(edited.qualities, present, strict=True)
    ]
    estimated = sum(ESTIMATED in each.codes for each in edited.qualities)
    by_hand = sum(
        each.is_set or (each.is_accepted and not each.is_estimated)
        for each, is_there in zip(edited.qualities, present, strict=True)
        if is_there
    )
    return replace(made, estimated=estimated, edited=by_hand, suspect=states.count(State.SUSPECT))
