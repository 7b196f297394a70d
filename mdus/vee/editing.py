"""What staff do to the values of a final block: pure, and each change is told with who, why, before and after.

```
set_values      any interval gets a value               EDITED
accept          a suspect value or an estimate is right SUSPECT -> ACTUAL, ESTIMATED stays
reject          an estimate is worse than none          ESTIMATED -> MISSING
undo            an edit is taken back                   whatever was there before
```

Only final blocks are edited: what the field told is never touched, and what a block was made from stays as it is. All
of one call is done or none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

import numpy as np

from mdus.domain.channel import MISSING
from mdus.domain.interval_block import Elements, IntervalBlock, Layer
from mdus.domain.reading_quality import EDITED, SUSPECT, QualitySet
from mdus.vee.output import ACCEPTED, ADDED, MISSING_KNOWN, REJECTED, state_of
from mdus.vee.pipeline import State

#: The codes of this system begin with it: what VEE and staff say. Those of the meter and its network stay.
_OURS: Final = "3."


class EditRefused(ValueError):
    """An edit that cannot be done; its text says why, for the one who wanted it."""


class NotFinal(EditRefused):
    """The block is what the field told, which nobody changes."""


class NoReason(EditRefused):
    """An edit names who does it and why."""


class NoSuchInterval(EditRefused):
    """The day does not have that interval."""


class NotInThatState(EditRefused):
    """The interval's value is not what the edit is for: no suspect value to accept, no estimate to reject."""


class ValueUnfit(EditRefused):
    """The value has more decimals than the channel, or is too large."""


class ChangedSince(EditRefused):
    """The interval is no longer as the edit left it, so that the edit cannot be undone."""


class Act(StrEnum):
    """What was done to an interval."""

    SET = "set"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNDONE = "undone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A value with its qualities; None without one."""

    value: Decimal | None
    qualities: QualitySet


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """What was done to one interval, by whom and why."""

    act: Act
    position: int
    before: Told
    after: Told
    by: str
    why: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Edited:
    """The values of a day after edits, the qualities of each, and what is recorded."""

    values: Elements
    qualities: tuple[QualitySet, ...]
    edits: tuple[Edit, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Editor:
    """Who edits, why, and when."""

    by: str
    why: str
    at: datetime

    def __post_init__(self) -> None:
        """Refuse edits without a name or a reason."""
        if not self.by.strip() or not self.why.strip():
            raise NoReason("an edit needs who does it, and a reason")


def set_values(
    block: IntervalBlock, sets: Mapping[int, QualitySet], values: Mapping[int, Decimal], *, editor: Editor
) -> Edited:
    """Return the day with these values, by position, set by hand; `sets` are the quality sets by the block's marks."""

    def after(position: int, before: Told) -> Told:
        value = values[position]
        if not value.is_finite() or block.channel.scaled(value) is None:
            raise ValueUnfit(
                f"{value} does not fit interval {position}: the channel has {block.channel.decimals} decimals"
            )
        code = ADDED if before.value is None else EDITED
        return Told(value=value, qualities=_with(before.qualities, code))

    return _edited(block, sets, values, after, act=Act.SET, editor=editor)


def accept(block: IntervalBlock, sets: Mapping[int, QualitySet], positions: Iterable[int], *, editor: Editor) -> Edited:
    """Return the day with suspect values and estimates taken for right; what led to them stays in their qualities."""

    def after(position: int, before: Told) -> Told:
        _expect((State.SUSPECT, State.ESTIMATED), position, before)
        if before.qualities.is_accepted:
            raise NotInThatState(f"interval {position} is accepted already")
        kept = (code for code in before.qualities.codes if code != SUSPECT)
        return Told(value=before.value, qualities=QualitySet.of((*kept, ACCEPTED)))

    return _edited(block, sets, positions, after, act=Act.ACCEPTED, editor=editor)


def reject(block: IntervalBlock, sets: Mapping[int, QualitySet], positions: Iterable[int], *, editor: Editor) -> Edited:
    """Return the day without estimates that are worse than none."""

    def after(position: int, before: Told) -> Told:
        _expect((State.ESTIMATED,), position, before)
        return Told(value=None, qualities=_with(before.qualities, REJECTED, MISSING_KNOWN))

    return _edited(block, sets, positions, after, act=Act.REJECTED, editor=editor)


def undo(block: IntervalBlock, sets: Mapping[int, QualitySet], edits: Sequence[Edit], *, editor: Editor) -> Edited:
    """Return the day as it was before these edits, at most one of an interval; the undoing is an edit of its own."""
    undone = {edit.position: edit for edit in edits}
    if len(undone) < len(edits):
        raise ChangedSince("of several edits of one interval only the last can be undone")

    def after(position: int, before: Told) -> Told:
        if before != undone[position].after:
            raise ChangedSince(f"interval {position} has been changed since the edit")
        return undone[position].before

    return _edited(block, sets, undone, after, act=Act.UNDONE, editor=editor)


def _edited(
    block: IntervalBlock,
    sets: Mapping[int, QualitySet],
    positions: Iterable[int],
    after: Callable[[int, Told], Told],
    *,
    act: Act,
    editor: Editor,
) -> Edited:
    """Return the day with each position as `after` has it from what it was before."""
    if block.layer is not Layer.FINAL:
        raise NotFinal(f"the {block.layer} values of {block.day} are not edited, only the final ones")
    values = block.values.copy()
    qualities = [sets[int(mark)] for mark in block.qualities]
    edits = []
    for position in dict.fromkeys(positions):
        if not 0 <= position < len(values):
            raise NoSuchInterval(f"{block.day} has the intervals 0 to {len(values) - 1}, not {position}")
        before = Told(value=block.channel.quantity(values[position]), qualities=qualities[position])
        changed = after(position, before)
        element = MISSING if changed.value is None else block.channel.scaled(changed.value)
        if element is None:
            raise ValueUnfit(f"{changed.value} does not fit interval {position}")
        values[position], qualities[position] = element, changed.qualities
        edits.append(
            Edit(
                act=act,
                position=position,
                before=before,
                after=changed,
                by=editor.by,
                why=editor.why,
                at=editor.at,
            )
        )
    if not edits:
        raise NoSuchInterval("no interval is named")
    return Edited(values=np.asarray(values), qualities=tuple(qualities), edits=tuple(edits))


def _expect(states: Sequence[State], position: int, before: Told) -> None:
    found = state_of(before.qualities, is_present=before.value is not None)
    if found not in states:
        wanted = " or ".join(state.name.lower() for state in states)
        raise NotInThatState(f"interval {position} is {found.name.lower()}, not {wanted}")


def _with(told: QualitySet, *codes: str) -> QualitySet:
    """Return the qualities of the meter and its network with these of ours."""
    return QualitySet.of((*(code for code in told.codes if not code.startswith(_OURS)), *codes))
