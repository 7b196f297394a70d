"""What registers say of the days of channels: what they showed at both ends, and how finely they count."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdus.domain.channel import MISSING, Channel, DayGrid
from mdus.domain.end_device import EndDevice
from mdus.domain.interval_block import Elements, IntervalBlock
from mdus.domain.obis import Obis
from mdus.domain.reading import MeterReading
from mdus.domain.register import Register
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.storage.session import UnitOfWork
from mdus.storage.validation import Look
from mdus.vee.days import Fact

DeviceKey = tuple[str, str]

_READING: Final = ("sender_system", "device_id", "reading_type", "measured_at")

#: OBIS group C: what is fed in, and what is drawn less what is fed in.
_FED_IN: Final = 2
_NET: Final = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A day of a channel that is validated; the row of the arrays is its place among all."""

    look: Look
    grid: DayGrid
    block: IntervalBlock | None  # the raw version

    @property
    def device(self) -> DeviceKey:
        """Return the key of the device."""
        return self.look.channel.sender_system, self.look.channel.device_id


class _Scale(NamedTuple):
    """How what a register shows becomes a value of a channel: one of its unit, its least step, where it turns over."""

    one: Decimal
    step: int
    turn: int


def register_facts(uow: UnitOfWork, targets: Sequence[Target], policy: TimeSeriesPolicy) -> Mapping[Fact, NDArray[Any]]:
    """Load what registers say of these days; two statements.

    The register of a channel is the one whose consumption its values are, by config/load_profiles.toml; beside it those
    by time of use (OBIS group E above 0) that measure the same.
    """
    found = _Found(uow, targets, policy)
    before, after = (found.shown(at_end) for at_end in (False, True))
    step, turn = found.column("step"), found.column("turn")
    return {
        Fact.REGISTER_BEFORE: before,
        Fact.REGISTER_AFTER: after,
        Fact.ADVANCE: _advance(before, after, turn),
        Fact.REGISTER_STEP: step,
        Fact.REGISTER_TURN: turn,
        Fact.TIME_OF_USE_ADVANCE: found.time_of_use_advance(),
        Fact.UNIT_FITS: np.array(found.unit_fits, dtype=np.bool_),
        Fact.FEEDS_IN: np.array(found.feeds_in, dtype=np.bool_),
        Fact.FLOWS_BACK: np.array(
            [_quantity(target.look.channel.reading_type) == _NET for target in targets], dtype=np.bool_
        ),
    }


class _Found:
    """The registers of each day, and the readings at its ends."""

    def __init__(self, uow: UnitOfWork, targets: Sequence[Target], policy: TimeSeriesPolicy) -> None:
        self._targets = targets
        self._policy = policy
        self._scales: dict[tuple[Any, ...], _Scale | None] = {}
        self.registers: list[tuple[Register, _Scale] | None] = []
        self.by_tariff: list[list[tuple[Register, _Scale]]] = []
        self.unit_fits: list[bool] = []
        self.feeds_in: list[bool] = []
        by_device: dict[DeviceKey, list[Register]] = defaultdict(list)
        for register in uow.load(Register, EndDevice.KEY, {target.device for target in targets}, lock=False):
            by_device[register.sender_system, register.device_id].append(register)
        for target in targets:
            self._find(target, by_device.get(target.device, ()))
        self._readings = self._read(uow)

    def _find(self, target: Target, registers: Sequence[Register]) -> None:
        channel, day = target.look.channel, target.look.day
        valid = [register for register in registers if register.is_valid_on(day)]
        feeding = [each for each in valid if channel.reading_type in self._policy.interval_types(each)]
        scaled = [(each, scale) for each in feeding if (scale := self._scale(each, channel)) is not None]
        self.unit_fits.append(len(scaled) == len(feeding))
        self.feeds_in.append(any(_quantity(each.reading_type) == _FED_IN for each in valid))
        main = scaled[0] if scaled else None
        self.registers.append(main)
        tariffs = [] if main is None else [each for each in valid if _is_tariff_of(each, main[0])]
        self.by_tariff.append([(each, scale) for each in tariffs if (scale := self._scale(each, channel)) is not None])

    def _scale(self, register: Register, channel: Channel) -> _Scale | None:
        """Return how a register's readings become values of a channel, None where their units do not fit."""
        key = (
            register.reading_type,
            register.unit,
            register.factor,
            register.fraction_digits,
            register.total_digits,
            channel.reading_type,
            channel.unit,
            channel.decimals,
        )
        if key not in self._scales:
            self._scales[key] = self._made(register, channel)
        return self._scales[key]

    def _made(self, register: Register, channel: Channel) -> _Scale | None:
        one = self._policy.units.converted(Decimal(1), told=register.unit, wanted=channel.unit)
        if one is None:
            return None
        # Values that the head end has multiplied already are compared with the register's times its factor.
        if self._policy.factor_of(register, channel.reading_type) == 1 and register.factor is not None:
            one *= register.factor
        least = channel.scaled(one.scaleb(-register.fraction_digits))
        turn = None
        if register.total_digits is not None:
            turn = channel.scaled(one.scaleb(register.total_digits - register.fraction_digits))
        return _Scale(one, 1 if least is None else max(1, least), MISSING if turn is None else turn)

    def _read(self, uow: UnitOfWork) -> dict[tuple[Any, ...], MeterReading]:
        """Return the readings at both ends of the days, by device, reading type and instant; the newest row counts."""
        wanted = set()
        for target, main, tariffs in zip(self._targets, self.registers, self.by_tariff, strict=True):
            for register, _ in (*([main] if main else []), *tariffs):
                for at in (target.grid.start, target.grid.end):
                    wanted.add((*target.device, register.reading_type, at))
        return {
            (each.sender_system, each.device_id, each.reading_type, each.measured_at): each
            for each in uow.load(MeterReading, _READING, wanted, lock=False)
        }

    def shown(self, at_end: bool) -> Elements:
        """Return what the registers showed at one end of each day (c,), MISSING where nobody knows."""
        values = [
            MISSING if main is None else self._value(target, *main, at_end=at_end)
            for target, main in zip(self._targets, self.registers, strict=True)
        ]
        return np.array(values, dtype=np.int64)

    def column(self, name: str) -> Elements:
        """Return a part of each register's scale (c,)."""
        values = [MISSING if main is None else getattr(main[1], name) for main in self.registers]
        return np.array(values, dtype=np.int64)

    def time_of_use_advance(self) -> Elements:
        """Return what the time-of-use registers moved together (c,), MISSING unless all were read at both ends."""
        advances = np.full(len(self._targets), MISSING, dtype=np.int64)
        for row, (target, tariffs) in enumerate(zip(self._targets, self.by_tariff, strict=True)):
            if not tariffs:
                continue
            ends = [
                (self._value(target, *each, at_end=False), self._value(target, *each, at_end=True), each[1].turn)
                for each in tariffs
            ]
            moved = _advance(*(np.array(part, dtype=np.int64) for part in zip(*ends, strict=True)))
            if (moved != MISSING).all():
                advances[row] = moved.sum()
        return advances

    def _value(self, target: Target, register: Register, scale: _Scale, *, at_end: bool) -> int:
        at = target.grid.end if at_end else target.grid.start
        reading = self._readings.get((*target.device, register.reading_type, at))
        if reading is None:
            return MISSING
        shown = self._policy.units.converted(reading.value, told=reading.unit, wanted=register.unit)
        scaled = None if shown is None else target.look.channel.scaled(shown * scale.one)
        return MISSING if scaled is None else scaled


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
