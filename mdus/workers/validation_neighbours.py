"""What other meters say of the days of channels: the channel beside each, the meter that checks it, similar meters.

| fact | whose values | which of them |
|---|---|---|
| SIBLING | the reactive (active) channel of the same device | as told: whether they came is the question |
| CHECK | the check meter of config/neighbours.toml | the actual ones |
| SIMILAR | meters of its group, else of its area | the mean of the actual ones, HALF_UP |

Actual are values that the channel's own validation has left as told; of a day without a final version yet, those told
that nobody estimated. Neighbours have their days in the same time zone; other units and grids are brought into the
channel's, and what cannot be is not there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from mdus.domain.channel import MISSING, Channel
from mdus.domain.end_device import EndDevice
from mdus.domain.interval_block import IntervalBlock, Layer
from mdus.domain.register import Register
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.domain.usage_point import DeviceLocation
from mdus.storage import neighbours, validation
from mdus.storage.neighbours import Surroundings
from mdus.storage.session import UnitOfWork
from mdus.vee.days import Elements, Fact, Mask, unknown
from mdus.vee.half_up import divided, proportion
from mdus.vee.neighbours import Measured, Neighbours, SimilarGroupRow, sibling_of
from mdus.vee.resampling import resampled
from mdus.workers.validation_registers import DeviceKey, Target


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Beside:
    """Values beside days of channels (c, n), and which days (c,) have a neighbour that may tell some."""

    values: Elements
    has_neighbour: Mask


class _Found(NamedTuple):
    """A channel with the id of its row."""

    id: int
    channel: Channel


# ---- the channel beside it -------------------------------------------------------------------------------------------


def siblings(uow: UnitOfWork, targets: Sequence[Target]) -> Beside:
    """Load the values of the reactive (active) channel beside each; two statements."""
    wanted = {
        row: Measured(*target.device, name)
        for row, target in enumerate(targets)
        if (name := sibling_of(target.look.channel.reading_type)) is not None
    }
    found = _measuring(uow, targets, wanted)
    policy = uow.settings.made(Neighbours)
    values, has = unknown(Fact.SIBLING, len(targets), _width(targets)), np.zeros(len(targets), dtype=np.bool_)
    keys = {(one.id, targets[row].look.day): one.channel for row, one in found.items()}
    blocks = validation.blocks_of(
        uow.connection, keys, {one.id: one.channel for one in found.values()}, layer=Layer.RAW, lock=False
    )
    for row, one in found.items():
        block, own = blocks.get((one.id, targets[row].look.day)), targets[row].look.channel
        has[row] = True
        if block is not None:
            ratio = policy.sibling_ratio(told=one.channel, wanted=own)
            values[row] = _fitted(block.values, one.channel, targets[row], ratio)
    return Beside(values=values, has_neighbour=has)


def has_siblings(uow: UnitOfWork, targets: Sequence[Target], policy: TimeSeriesPolicy) -> Mask:
    """Load whether a reactive (active) channel belongs beside each: by the device's registers; two statements.

    Where SAP has told of no register, it is by the channels that the device has.
    """
    registers: dict[DeviceKey, list[Register]] = defaultdict(list)
    for register in uow.load(Register, EndDevice.KEY, {target.device for target in targets}, lock=False):
        registers[register.sender_system, register.device_id].append(register)
    without = {target.device for target in targets if target.device not in registers}
    told = {
        (channel.sender_system, channel.device_id, channel.reading_type)
        for channel in (validation.channels_of(uow.connection, without).values() if without else ())
    }
    belongs = np.zeros(len(targets), dtype=np.bool_)
    for row, target in enumerate(targets):
        name = sibling_of(target.look.channel.reading_type)
        if name is None:
            continue
        valid = [each for each in registers.get(target.device, ()) if each.is_valid_on(target.look.day)]
        belongs[row] = (*target.device, name) in told or any(name in policy.interval_types(each) for each in valid)
    return belongs


# ---- the meter that checks it ----------------------------------------------------------------------------------------


def checks(uow: UnitOfWork, targets: Sequence[Target]) -> Beside:
    """Load the values of the check meter of each channel; three statements, none where no meter has one."""
    policy = uow.settings.made(Neighbours)
    wanted = {
        row: check
        for row, target in enumerate(targets)
        if (check := policy.check_of(target.look.channel, target.look.day)) is not None
    }
    found = _measuring(uow, targets, wanted)
    actual = _actual(uow, {(one.id, targets[row].look.day): one.channel for row, one in found.items()})
    values, has = unknown(Fact.CHECK, len(targets), _width(targets)), np.zeros(len(targets), dtype=np.bool_)
    for row, one in found.items():
        told = actual.get((one.id, targets[row].look.day))
        ratio = policy.ratio(told=one.channel, wanted=targets[row].look.channel)
        has[row] = ratio is not None
        if told is not None and ratio is not None:
            values[row] = _fitted(told, one.channel, targets[row], ratio)
    return Beside(values=values, has_neighbour=has)


# ---- meters that are alike -------------------------------------------------------------------------------------------


@dataclass(kw_only=True, slots=True)
class _Alike:
    """Some of the days, and the channels that are similar to theirs."""

    rows: list[int] = field(default_factory=list)
    channels: dict[int, Channel] = field(default_factory=dict)


def similar(uow: UnitOfWork, targets: Sequence[Target]) -> Beside:
    """Load the mean of the values of similar meters for each channel; five statements at most."""
    policy = uow.settings.made(Neighbours)
    alike = [*_of_groups(uow, targets, policy), *_of_areas(uow, targets, policy)]
    days = {
        (number, targets[row].look.day): channel
        for some in alike
        for row in some.rows
        for number, channel in some.channels.items()
    }
    actual = _actual(uow, days)
    width = _width(targets)
    values, has = unknown(Fact.SIMILAR, len(targets), width), np.zeros(len(targets), dtype=np.bool_)
    for some in alike:
        for day in {targets[row].look.day for row in some.rows}:
            told = {number: actual[number, day] for number in some.channels if (number, day) in actual}
            stack = np.array(list(told.values()), dtype=np.int64).reshape(len(told), width)
            for row in (row for row in some.rows if targets[row].look.day == day):
                own = targets[row].look.channel_id
                others = [place for place, number in enumerate(told) if number != own][: policy.most]
                has[row] = len(some.channels.keys() - {own}) >= policy.least
                if others:
                    values[row] = _mean(stack[others], least=policy.least)
    return Beside(values=values, has_neighbour=has)


def _mean(stack: Elements, *, least: int) -> Elements:
    """Return the means (n,) of values (k, n) of so many meters at least, HALF_UP."""
    there = stack != MISSING
    number = there.sum(axis=0)
    mean: Elements = np.where(number >= least, divided(np.where(there, stack, 0).sum(axis=0), number), MISSING)
    return mean


def _of_groups(uow: UnitOfWork, targets: Sequence[Target], policy: Neighbours) -> Iterable[_Alike]:
    """Return the days of meters in a group, with the channels of the others of its kind."""
    groups: dict[tuple[str, str], SimilarGroupRow] = {}
    rows: dict[tuple[str, str, Surroundings], list[int]] = defaultdict(list)
    for row, target in enumerate(targets):
        group = policy.group_of(*target.device)
        if group is not None:
            key = (target.device[0], group.name)
            groups[key] = group
            rows[*key, _kind(target.look.channel)].append(row)
    if not rows:
        return []
    members = {(system, device) for (system, _), group in groups.items() for device in group.devices}
    by_group: dict[tuple[str, str, Surroundings], dict[int, Channel]] = defaultdict(dict)
    for number, channel in sorted(validation.channels_of(uow.connection, members).items()):
        group = policy.group_of(channel.sender_system, channel.device_id)
        if group is not None:
            by_group[channel.sender_system, group.name, _kind(channel)][number] = channel
    return [
        _Alike(rows=some, channels=dict(list(by_group[key].items())[: policy.most + 1])) for key, some in rows.items()
    ]


def _of_areas(uow: UnitOfWork, targets: Sequence[Target], policy: Neighbours) -> Iterable[_Alike]:
    """Return the days of meters in no group, with the channels of their kind in their area."""
    rows: dict[Surroundings, list[int]] = defaultdict(list)
    lonely = [row for row, target in enumerate(targets) if policy.group_of(*target.device) is None]
    areas = areas_of(uow, [targets[row] for row in lonely], column=policy.area)
    for row, area in zip(lonely, areas, strict=True):
        if area is not None:
            look = targets[row].look
            rows[Surroundings.of(look.channel, area=area, day=look.day)].append(row)
    around = neighbours.channels_around(
        uow.connection, rows.keys(), area=policy.area, most=policy.most + 1, but=policy.groups.keys()
    )
    return [_Alike(rows=some, channels=around.get(key, {})) for key, some in rows.items()]


def _kind(channel: Channel) -> Surroundings:
    return Surroundings.of(channel, area="", day=date.min)


def areas_of(uow: UnitOfWork, targets: Sequence[Target], *, column: str) -> list[str | None]:
    """Return the area of each meter on its day, None where it hangs nowhere then or its place names none."""
    places: dict[DeviceKey, list[DeviceLocation]] = defaultdict(list)
    for place in uow.load(DeviceLocation, EndDevice.KEY, {target.device for target in targets}, lock=False):
        places[place.sender_system, place.device_id].append(place)
    return [
        next(
            (
                area
                for place in places.get(target.device, ())
                if place.is_valid_on(target.look.day) and (area := getattr(place, column))
            ),
            None,
        )
        for target in targets
    ]


# ---- values ----------------------------------------------------------------------------------------------------------


def _measuring(uow: UnitOfWork, targets: Sequence[Target], wanted: Mapping[int, Measured]) -> dict[int, _Found]:
    """Return the channel that tells what is wanted beside some days, by row: of several one in the same grid."""
    if not wanted:
        return {}
    devices = {(each.sender_system, each.device_id) for each in wanted.values()}
    by_name: dict[Measured, list[_Found]] = defaultdict(list)
    for number, channel in validation.channels_of(uow.connection, devices).items():
        by_name[Measured(channel.sender_system, channel.device_id, channel.reading_type)].append(
            _Found(number, channel)
        )
    found = {}
    for row, name in wanted.items():
        own = targets[row].look.channel
        alike = [one for one in by_name.get(name, ()) if one.channel.time_zone == own.time_zone]
        if alike:
            found[row] = max(alike, key=lambda one: (one.channel.interval_minutes == own.interval_minutes, one.id))
    return found


def _actual(uow: UnitOfWork, days: Mapping[tuple[int, date], Channel]) -> dict[tuple[int, date], Elements]:
    """Return the actual values of days, MISSING for others; two statements."""
    channels = {number: channel for (number, _), channel in days.items()}
    blocks = neighbours.days_of(uow.connection, days, channels)
    counts: dict[tuple[int, date], IntervalBlock] = {
        key: layers.get(Layer.FINAL) or layers[Layer.RAW] for key, layers in blocks.items()
    }
    sets = uow.quality_sets(list(counts.values()))
    made = [mark for mark, said in sets.items() if said.is_made or said.is_suspect]
    return {key: _left(block, made) for key, block in counts.items()}


def _left(block: IntervalBlock, made: Collection[int]) -> Elements:
    if not made or not block.qualities.any():
        return block.values
    left: Elements = np.where(np.isin(block.qualities, list(made)), MISSING, block.values)
    return left


def _fitted(values: Elements, channel: Channel, target: Target, ratio: Fraction) -> Elements:
    """Return a day's values of a channel in the grid and the scale of another's; MISSING where that cannot be."""
    own = target.look.channel
    width = target.grid.count
    try:
        told: Elements = resampled(values[None, :], minutes=channel.interval_minutes, to=own.interval_minutes)[0]
    except ValueError:
        return np.full(width, MISSING, dtype=np.int64)
    if len(told) != width:  # intervals of which the day has no whole number
        return np.full(width, MISSING, dtype=np.int64)
    scale = ratio * Fraction(10) ** (own.decimals - channel.decimals)
    if scale == 1:
        return told
    there = told != MISSING
    scaled = proportion(np.where(there, told, 0), scale.numerator, scale.denominator)
    fitted: Elements = np.where(there, scaled, MISSING)
    return fitted


def _width(targets: Sequence[Target]) -> int:
    return targets[0].grid.count if targets else 0
