"""What registers say of the days of channels: what they showed at both ends, and how finely they count.

Registers of a fleet are of few kinds. What a channel's values are counted by is found once per kinds of registers on a
device, not once per device.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdus.domain.channel import MISSING, Channel, DayGrid
from mdus.domain.interval_block import Elements
from mdus.domain.obis import Obis
from mdus.domain.reading import MeterReading
from mdus.domain.register import Register
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.storage import validation
from mdus.storage.session import UnitOfWork
from mdus.storage.validation import Counted, Look, ToldDay
from mdus.vee.days import UNKNOWN, Fact

DeviceKey = tuple[str, str]

#: What says how the readings of a register become values of a channel, as `storage.validation.KIND` names it.
_Kind = tuple[Any, ...]

#: OBIS group C: what is fed in, and what is drawn less what is fed in.
_FED_IN: Final = 2
_NET: Final = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A day of a channel that is validated; the row of the arrays is its place among all."""

    look: Look
    grid: DayGrid
    told: ToldDay | None  # the raw version

    @property
    def device(self) -> DeviceKey:
        """Return the key of the device."""
        return self.look.channel.sender_system, self.look.channel.device_id


class _Scale(NamedTuple):
    """How what a register shows becomes a value of a channel: one of its unit, its least step, where it turns over."""

    one: Decimal
    step: int
    turn: int


class _Scaled(NamedTuple):
    """A kind of register whose readings become values of a channel."""

    register: Register  # one of the kind
    scale: _Scale


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    """What registers of some kinds on one device say of a channel: which count it, alone and by time of use."""

    main: _Scaled | None
    own: Register | None  # the interval register, whose reading type is the channel's
    tariffs: tuple[_Scaled, ...]
    unit_fits: bool
    feeds_in: bool

    @property
    def factor(self) -> float:
        """Return the channel's multiplier: of its own register, else of the one that counts it; not known without."""
        register = self.own or (None if self.main is None else self.main.register)
        return UNKNOWN if register is None else float(register.factor or 1)


def register_facts(uow: UnitOfWork, targets: Sequence[Target], policy: TimeSeriesPolicy) -> Mapping[Fact, NDArray[Any]]:
    """Load what registers say of these days; two statements.

    The register of a channel is the one whose consumption its values are, by config/load_profiles.toml; beside it those
    by time of use (OBIS group E above 0) that measure the same.
    """
    layouts = _layouts(uow, targets, policy)
    mains = [row for row, layout in enumerate(layouts) if layout.main is not None]
    parts = [(row, tariff) for row, layout in enumerate(layouts) for tariff in layout.tariffs]
    asked = [(row, main) for row in mains if (main := layouts[row].main) is not None] + parts
    before, after = _shown(uow, targets, asked, policy)
    count = len(mains)
    shown_before, shown_after, step, turn = (np.full(len(targets), MISSING, dtype=np.int64) for _ in range(4))
    shown_before[mains], shown_after[mains] = before[:count], after[:count]
    step[mains] = [main.scale.step for _, main in asked[:count]]
    turn[mains] = [main.scale.turn for _, main in asked[:count]]
    by_use = _advance(before[count:], after[count:], np.array([one.scale.turn for _, one in parts], dtype=np.int64))
    return {
        Fact.REGISTER_BEFORE: shown_before,
        Fact.REGISTER_AFTER: shown_after,
        Fact.ADVANCE: _advance(shown_before, shown_after, turn),
        Fact.REGISTER_STEP: step,
        Fact.REGISTER_TURN: turn,
        Fact.TIME_OF_USE_ADVANCE: _together(len(targets), [row for row, _ in parts], by_use),
        Fact.UNIT_FITS: np.array([layout.unit_fits for layout in layouts], dtype=np.bool_),
        Fact.FEEDS_IN: np.array([layout.feeds_in for layout in layouts], dtype=np.bool_),
        Fact.FLOWS_BACK: _flow_back(targets),
        Fact.FACTOR_KNOWN: np.array([layout.factor for layout in layouts], dtype=np.float64),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class MainRegister:
    """The register that counts the values of a day's channel."""

    channel: Channel
    reading_type: str
    _scaled: _Scaled

    def moved(self, before: MeterReading, after: MeterReading, policy: TimeSeriesPolicy) -> int:
        """Return what it moved between two readings, as the channel's values are held; MISSING where nobody knows."""
        register, scale = self._scaled
        ends = (
            None
            if (shown := policy.units.converted(each.value, told=each.unit, wanted=register.unit)) is None
            else self.channel.scaled(shown * scale.one)
            for each in (before, after)
        )
        arrays = (np.array([MISSING if each is None else each], dtype=np.int64) for each in (*ends, scale.turn))
        return int(_advance(*arrays)[0])


def main_registers(uow: UnitOfWork, targets: Sequence[Target], policy: TimeSeriesPolicy) -> list[MainRegister | None]:
    """Return the register that counts the channel of each day, None where there is none; one statement."""
    return [
        None
        if layout.main is None
        else MainRegister(
            channel=target.look.channel, reading_type=layout.main.register.reading_type, _scaled=layout.main
        )
        for target, layout in zip(targets, _layouts(uow, targets, policy), strict=True)
    ]


def _layouts(uow: UnitOfWork, targets: Sequence[Target], policy: TimeSeriesPolicy) -> list[_Layout]:
    """Return what the registers of each day's device say of its channel."""
    by_device: dict[DeviceKey, list[tuple[date, date | None, _Kind]]] = defaultdict(list)
    for system, device, valid_from, valid_to, *kind in validation.registers_of(
        uow.connection, {target.device for target in targets}
    ):
        by_device[system, device].append((valid_from, valid_to, tuple(kind)))
    known: dict[tuple[Any, ...], _Layout] = {}
    found = []
    for target in targets:
        channel, day = target.look.channel, target.look.day
        kinds = tuple(
            kind
            for valid_from, valid_to, kind in by_device.get(target.device, ())
            if valid_from <= day and (valid_to is None or day < valid_to)
        )
        key = (channel.reading_type, channel.unit, channel.decimals, kinds)
        layout = known.get(key)
        if layout is None:
            layout = known[key] = _layout(channel, [_one_of(kind) for kind in kinds], policy)
        found.append(layout)
    return found


def _one_of(kind: _Kind) -> Register:
    """Return a register of a kind, whoever's it is."""
    named = dict(zip(validation.KIND, kind, strict=True))
    return Register(sender_system="", device_id="", measurement_task_id="", valid_from=date.min, **named)


def _layout(channel: Channel, registers: Sequence[Register], policy: TimeSeriesPolicy) -> _Layout:
    feeding = [each for each in registers if channel.reading_type in policy.interval_types(each)]
    scaled = [_Scaled(each, scale) for each in feeding if (scale := _scale(each, channel, policy)) is not None]
    main = scaled[0] if scaled else None
    tariffs = [] if main is None else [each for each in registers if _is_tariff_of(each, main.register)]
    return _Layout(
        main=main,
        own=next((each for each in feeding if each.reading_type == channel.reading_type), None),
        tariffs=tuple(_Scaled(each, scale) for each in tariffs if (scale := _scale(each, channel, policy)) is not None),
        unit_fits=len(scaled) == len(feeding),
        feeds_in=any(_quantity(each.reading_type) == _FED_IN for each in registers),
    )


def _scale(register: Register, channel: Channel, policy: TimeSeriesPolicy) -> _Scale | None:
    """Return how a register's readings become values of a channel, None where their units do not fit."""
    one = policy.units.converted(Decimal(1), told=register.unit, wanted=channel.unit)
    if one is None:
        return None
    # Values that the head end has multiplied already are compared with the register's times its factor.
    if policy.factor_of(register, channel.reading_type) == 1 and register.factor is not None:
        one *= register.factor
    least = channel.scaled(one.scaleb(-register.fraction_digits))
    turn = None
    if register.total_digits is not None:
        turn = channel.scaled(one.scaleb(register.total_digits - register.fraction_digits))
    return _Scale(one, 1 if least is None else max(1, least), MISSING if turn is None else turn)


def _shown(
    uow: UnitOfWork, targets: Sequence[Target], asked: Sequence[tuple[int, _Scaled]], policy: TimeSeriesPolicy
) -> tuple[Elements, Elements]:
    """Return what registers showed where the days (by row) begin and end, MISSING where nobody knows."""
    counted = [
        Counted(*targets[row].device, one.register.reading_type, targets[row].grid.start, targets[row].grid.end)
        for row, one in asked
    ]
    before, after = ([MISSING] * len(asked) for _ in range(2))
    for place, at, value, unit in validation.readings_at_ends(uow.connection, counted):
        row, (register, scale) = asked[place]
        shown = policy.units.converted(value, told=unit, wanted=register.unit) if unit != register.unit else value
        scaled = None if shown is None else targets[row].look.channel.scaled(shown * scale.one)
        (after if at == counted[place].end else before)[place] = MISSING if scaled is None else scaled
    return np.array(before, dtype=np.int64), np.array(after, dtype=np.int64)


def _together(count: int, rows: Sequence[int], advances: Elements) -> Elements:
    """Return by row what its registers moved together (c,), MISSING unless all were read at both ends."""
    total, unread = np.zeros(count, dtype=np.int64), np.ones(count, dtype=np.bool_)
    unread[rows] = False
    np.add.at(total, rows, np.where(advances == MISSING, 0, advances))
    np.logical_or.at(unread, rows, advances == MISSING)
    return np.where(unread, MISSING, total)


def _flow_back(targets: Sequence[Target]) -> NDArray[np.bool_]:
    """Return which channels tell what is drawn less what is fed in (c,)."""
    types = [target.look.channel.reading_type for target in targets]
    net = {reading_type for reading_type in set(types) if _quantity(reading_type) == _NET}
    return np.array([reading_type in net for reading_type in types], dtype=np.bool_)


def _advance(before: Elements, after: Elements, turn: Elements) -> Elements:
    """Return what registers moved; of one that shows less than before less than half its range is believed."""
    known = (before != MISSING) & (after != MISSING)
    moved = np.where(known, after, 0) - np.where(known, before, 0)
    may_turn = known & (moved < 0) & (turn != MISSING)
    range_of = np.where(may_turn, turn, 0)
    over = moved + range_of
    return np.where(known, np.where(may_turn & (over * 2 < range_of), over, moved), MISSING).astype(np.int64)


def _quantity(reading_type: str) -> int | None:
    """Return what an OBIS code measures (group C), None for another text."""
    try:
        return Obis.parse(reading_type).quantity
    except ValueError:
        return None


def _is_tariff_of(register: Register, main: Register) -> bool:
    """Tell whether a register counts a part of what another counts, at some times of use only."""
    try:
        part, whole = Obis.parse(register.reading_type), Obis.parse(main.reading_type)
    except ValueError:
        return False
    alike = (part.medium, part.channel, part.quantity, part.processing)
    return part.tariff > 0 == whole.tariff and alike == (whole.medium, whole.channel, whole.quantity, whole.processing)
