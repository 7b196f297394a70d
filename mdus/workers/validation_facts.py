"""Loads what rules and methods need to know of days of channels, each fact with a bounded number of statements.

A fact that no loader knows is unknown for every day: rules that need it do not judge.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdus.domain.channel import MISSING, Channel, DayGrid
from mdus.domain.end_device import EndDevice, EndDeviceStatus, SwitchState
from mdus.domain.interval_block import IntervalBlock
from mdus.domain.reading import MeterReading
from mdus.domain.register import Register
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.domain.usage_point import DeviceLocation
from mdus.storage import validation
from mdus.storage.session import UnitOfWork
from mdus.storage.validation import Look, Span
from mdus.vee.days import UNKNOWN, Days, Elements, Fact, Mask, unknown

#: Days before the one that is validated that history and usage reach back.
HISTORY_DAYS: Final = 35
_YEAR: Final = timedelta(days=364)  # the same weekday
_A_DAY: Final = timedelta(days=1)
_LONG_AGO: Final = timedelta(days=400)

#: The weekday of a holiday, and of a day that is not there.
HOLIDAY: Final = 7
NO_DAY: Final = -1

DeviceKey = tuple[str, str]


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


class Facts:
    """What is known of some days of channels; each fact is loaded once, when it is first asked for."""

    def __init__(
        self,
        uow: UnitOfWork,
        targets: Sequence[Target],
        *,
        policy: TimeSeriesPolicy,
        holidays: frozenset[date] = frozenset(),
    ) -> None:
        self._uow = uow
        self._targets = targets
        self._policy = policy
        self._holidays = holidays
        self._columns = 0 if not targets else targets[0].grid.count
        self._channels = {target.look.channel_id: target.look.channel for target in targets}
        self._known: dict[Fact, NDArray[Any]] = {}

    def of(self, facts: frozenset[Fact]) -> Mapping[Fact, NDArray[Any]]:
        """Return facts as the arrays that Fact describes."""
        for fact in facts:
            if fact not in self._known:
                load = self._LOADERS.get(fact)
                if load is None:
                    self._known[fact] = unknown(fact, len(self._targets), self._columns)
                else:
                    self._known.update(load(self))
        return {fact: self._known[fact] for fact in facts}

    def added(self, days: Days, facts: frozenset[Fact], which: Mask) -> Days:
        """Return some rows of the days, given by the mask, with further facts; loaded for those rows only."""
        some = Facts(
            self._uow,
            [target for target, is_wanted in zip(self._targets, which.tolist(), strict=True) if is_wanted],
            policy=self._policy,
            holidays=self._holidays,
        )
        some._known = {fact: known[which] for fact, known in self._known.items()}
        return Days(
            minutes=days.minutes,
            decimals=days.decimals,
            values=days.values,
            flags=days.flags,
            is_over=days.is_over,
            facts={**days.facts, **some.of(facts)},
            expected=days.expected,
        )

    def expected(self, present: Mask) -> Mask | None:
        """Return in which intervals (c, n) meters were to measure: installed, and with a register of theirs; None: all.

        Only days that lack values (`present`, c x n) are looked at. Where SAP has told nothing, all are expected.
        """
        lacking = [self._targets[row] for row in np.flatnonzero(~present.all(axis=1)).tolist()]
        if not lacking:
            return None
        keys = {target.device for target in lacking}
        devices = {each.key: each for each in self._uow.load(EndDevice, EndDevice.KEY, keys, lock=False)}
        registers, places = defaultdict(list), defaultdict(list)
        for register in self._uow.load(Register, EndDevice.KEY, keys, lock=False):
            registers[register.sender_system, register.device_id].append(register)
        for place in self._uow.load(DeviceLocation, EndDevice.KEY, keys, lock=False):
            places[place.sender_system, place.device_id].append(place)
        expected = np.ones(present.shape, dtype=np.bool_)
        for row in np.flatnonzero(~present.all(axis=1)).tolist():
            target = self._targets[row]
            key, day = target.device, target.look.day
            device = devices.get(key)
            is_in_books = device is None or device.is_valid_on(day)
            has_register = not registers[key] or any(register.is_valid_on(day) for register in registers[key])
            if not is_in_books or not has_register:
                expected[row] = False
            elif places[key]:
                expected[row] = _hangs(places[key], target.grid)
        return expected

    # ---- registers ---------------------------------------------------------------------------------------------------

    @cached_property
    def _registers(self) -> list[tuple[Register, Decimal] | None]:
        """Return by row the register whose consumption the channel's values are, with what one of its steps is."""
        by_device: dict[DeviceKey, list[Register]] = defaultdict(list)
        devices = {target.device for target in self._targets}
        for register in self._uow.load(Register, EndDevice.KEY, devices, lock=False):
            by_device[register.sender_system, register.device_id].append(register)
        return [self._register(target, by_device[target.device]) for target in self._targets]

    def _register(self, target: Target, registers: Sequence[Register]) -> tuple[Register, Decimal] | None:
        channel, day = target.look.channel, target.look.day
        for register in registers:
            if not register.is_valid_on(day):
                continue
            if channel.reading_type not in self._policy.interval_types(register):
                continue
            one = self._policy.units.converted(Decimal(1), told=register.unit, wanted=channel.unit)
            if one is None:
                continue
            # Values that the head end has multiplied already are compared with the register's times its factor.
            factor = self._policy.factor_of(register, channel.reading_type)
            applied = register.factor if factor == 1 and register.factor is not None else Decimal(1)
            return register, one * applied
        return None

    def _load_registers(self) -> dict[Fact, NDArray[Any]]:
        """Load what registers showed at both ends of each day, in the unit of the channel's values."""
        count = len(self._targets)
        before, after, advance, step, turn = (np.full(count, MISSING, dtype=np.int64) for _ in range(5))
        wanted: dict[tuple[Any, ...], list[tuple[int, Elements]]] = defaultdict(list)
        for row, (target, found) in enumerate(zip(self._targets, self._registers, strict=True)):
            if found is None:
                continue
            register, one = found
            for at, shown in ((target.grid.start, before), (target.grid.end, after)):
                wanted[(*target.device, register.reading_type, at)].append((row, shown))
            channel = target.look.channel
            least = channel.scaled(one.scaleb(-register.fraction_digits))
            step[row] = MISSING if least is None else max(1, least)
            if register.total_digits is not None:
                whole = channel.scaled(one.scaleb(register.total_digits - register.fraction_digits))
                turn[row] = MISSING if whole is None else whole
        key = ("sender_system", "device_id", "reading_type", "measured_at")
        for reading in self._uow.load(MeterReading, key, list(wanted), lock=False):
            places = wanted[reading.sender_system, reading.device_id, reading.reading_type, reading.measured_at]
            for row, shown in places:  # the newest row for an instant comes last and counts
                found = self._registers[row]
                if found is not None:
                    shown[row] = _in_values(reading, *found, self._targets[row].look.channel, self._policy)
        known = (before != MISSING) & (after != MISSING)
        moved = np.where(known, after, 0) - np.where(known, before, 0)
        # A register that turned over: less than half its range is believed to have been consumed.
        turned = known & (moved < 0) & (turn != MISSING)
        over = moved + np.where(turned, turn, 0)
        moved = np.where(turned & (over < np.where(turned, turn, 0) / 2), over, moved)
        advance[known] = moved[known]
        return {
            Fact.REGISTER_BEFORE: before,
            Fact.REGISTER_AFTER: after,
            Fact.ADVANCE: advance,
            Fact.REGISTER_STEP: step,
            Fact.REGISTER_TURN: turn,
        }

    # ---- the device --------------------------------------------------------------------------------------------------

    def _load_service(self) -> dict[Fact, NDArray[Any]]:
        """Load whether each device was in service: in SAP's books, and not disconnected all day."""
        keys = {target.device for target in self._targets}
        devices = {
            (each.sender_system, each.device_id): each
            for each in self._uow.load(EndDevice, EndDevice.KEY, keys, lock=False)
        }
        statuses = {
            (each.sender_system, each.device_id): each
            for each in self._uow.load(EndDeviceStatus, EndDeviceStatus.KEY, keys, lock=False)
        }
        serves = np.ones(len(self._targets), dtype=np.bool_)
        for row, target in enumerate(self._targets):
            device, status = devices.get(target.device), statuses.get(target.device)
            is_off = (
                status is not None
                and status.switch_state is SwitchState.DISCONNECTED
                and status.switch_state_at is not None
                and status.switch_state_at <= target.grid.start
            )
            serves[row] = not is_off and (device is None or device.is_valid_on(target.look.day))
        return {Fact.IN_SERVICE: serves}

    # ---- what was before ---------------------------------------------------------------------------------------------

    def _load_usage(self) -> dict[Fact, NDArray[Any]]:
        """Load the usage of the days before, without reading a value of them."""
        spans = [
            Span(target.look.channel_id, target.look.day - timedelta(days=HISTORY_DAYS), target.look.day)
            for target in self._targets
        ]
        found = validation.usages(self._uow.connection, spans)
        total, most, peak = (np.full(len(spans), MISSING, dtype=np.int64) for _ in range(3))
        days = np.zeros(len(spans))
        for row, usage in found.items():
            total[row], days[row], most[row], peak[row] = usage
        return {
            Fact.PAST_TOTAL: total,
            Fact.PAST_DAYS: days,
            Fact.PAST_MOST: most,
            Fact.PAST_PEAK: peak,
        }

    def _load_year_ago(self) -> dict[Fact, NDArray[Any]]:
        """Load the usage of the five weeks around the same day a year before."""
        half = timedelta(days=HISTORY_DAYS // 2)
        spans = [
            Span(target.look.channel_id, target.look.day - _YEAR - half, target.look.day - _YEAR + half)
            for target in self._targets
        ]
        total, days = np.full(len(spans), MISSING, dtype=np.int64), np.zeros(len(spans))
        for row, usage in validation.usages(self._uow.connection, spans).items():
            total[row], days[row] = usage.total, usage.days
        return {Fact.YEAR_AGO_TOTAL: total, Fact.YEAR_AGO_DAYS: days}

    def _load_estimated_days(self) -> dict[Fact, NDArray[Any]]:
        """Load how many days ago the last one without an estimate was."""
        spans = [Span(target.look.channel_id, target.look.day - _LONG_AGO, target.look.day) for target in self._targets]
        days = np.full(len(spans), UNKNOWN)
        for row, day in validation.last_days_without_estimates(self._uow.connection, spans).items():
            days[row] = (self._targets[row].look.day - day).days
        return {Fact.ESTIMATED_DAYS: days}

    def _load_history(self) -> dict[Fact, NDArray[Any]]:
        """Load the actual values of the days before, and of the intervals next to the day."""
        count, width = len(self._targets), self._columns
        spans = [
            Span(target.look.channel_id, target.look.day - timedelta(days=HISTORY_DAYS), target.look.day + 2 * _A_DAY)
            for target in self._targets
        ]
        blocks = validation.final_blocks(self._uow.connection, spans, self._channels)
        made = self._estimated_marks(blocks)
        history = np.full((count, HISTORY_DAYS, width), MISSING, dtype=np.int64)
        kinds = np.full((count, HISTORY_DAYS), NO_DAY, dtype=np.int64)
        last, following = (np.full(count, MISSING, dtype=np.int64) for _ in range(2))
        weekday = np.array([self._kind_of(target.look.day) for target in self._targets], dtype=np.int64)
        for row, some in blocks.items():
            day = self._targets[row].look.day
            for block in some:
                actual = np.where(np.isin(block.qualities, made), MISSING, block.values)
                back = (day - block.day).days
                if back == -1:
                    following[row] = actual[0]
                elif back >= 1:
                    kinds[row, back - 1] = self._kind_of(block.day)
                    history[row, back - 1] = _as_wide(actual, width)
                    if back == 1:
                        last[row] = actual[-1]
        return {
            Fact.HISTORY: history,
            Fact.HISTORY_WEEKDAY: kinds,
            Fact.WEEKDAY: weekday,
            Fact.LAST_VALUE: last,
            Fact.NEXT_VALUE: following,
        }

    def _estimated_marks(self, blocks: Mapping[int, Sequence[IntervalBlock]]) -> list[int]:
        """Return the marks of values that did not come from the meter, or that a rule suspects."""
        sets = self._uow.quality_sets([block for some in blocks.values() for block in some])
        return [mark for mark, qualities in sets.items() if qualities.is_made or qualities.is_suspect]

    def _kind_of(self, day: date) -> int:
        return HOLIDAY if day in self._holidays else day.weekday()

    _LOADERS: Final[Mapping[Fact, Callable[[Facts], Mapping[Fact, NDArray[Any]]]]] = {
        **dict.fromkeys(
            (
                Fact.ADVANCE,
                Fact.REGISTER_STEP,
                Fact.REGISTER_BEFORE,
                Fact.REGISTER_AFTER,
                Fact.REGISTER_TURN,
            ),
            _load_registers,
        ),
        Fact.IN_SERVICE: _load_service,
        **dict.fromkeys((Fact.PAST_TOTAL, Fact.PAST_DAYS, Fact.PAST_MOST, Fact.PAST_PEAK), _load_usage),
        **dict.fromkeys((Fact.YEAR_AGO_TOTAL, Fact.YEAR_AGO_DAYS), _load_year_ago),
        Fact.ESTIMATED_DAYS: _load_estimated_days,
        **dict.fromkeys(
            (Fact.HISTORY, Fact.HISTORY_WEEKDAY, Fact.WEEKDAY, Fact.LAST_VALUE, Fact.NEXT_VALUE), _load_history
        ),
    }


def _hangs(places: Sequence[DeviceLocation], grid: DayGrid) -> Mask:
    """Return in which intervals of a day a meter hung somewhere: from its installation to its removal."""
    hangs = np.zeros(grid.count, dtype=np.bool_)
    for place in places:
        if place.valid_from > grid.on or (place.valid_to is not None and place.valid_to < grid.on):
            continue
        for position in range(grid.count):
            begun = place.installed_at is None or grid.starts_at(position) >= place.installed_at
            ended = place.removed_at is not None and grid.ends_at(position) > place.removed_at
            is_after = place.removed_at is None and place.valid_to is not None and place.valid_to <= grid.on
            hangs[position] |= begun and not ended and not is_after
    return hangs


def _in_values(
    reading: MeterReading, register: Register, one: Decimal, channel: Channel, policy: TimeSeriesPolicy
) -> int:
    """Return what a register showed in the unit of a channel's values, MISSING where that cannot be said."""
    shown = policy.units.converted(reading.value, told=reading.unit, wanted=register.unit)
    scaled = None if shown is None else channel.scaled(shown * one)
    return MISSING if scaled is None else scaled


def _as_wide(values: Elements, width: int) -> Elements:
    """Return a day's values by the place of a day of another length: the hour that it lacks or has twice is cut away.

    Of days of 92 or 100 quarter-hours only what is before the change stands at its own local time in a day of 96; what
    comes after is moved by the hour.
    """
    if len(values) == width:
        return values
    change = len(values) * 2 // 24
    fitted = np.full(width, MISSING, dtype=np.int64)
    rest = min(width, len(values)) - change
    fitted[:change] = values[:change]
    fitted[width - rest :] = values[len(values) - rest :]
    return fitted
