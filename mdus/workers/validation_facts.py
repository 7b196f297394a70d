"""Loads what rules and methods need to know of days of channels, each fact with a bounded number of statements.

A fact that no loader knows is unknown for every day: rules that need it do not judge.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdus.domain.channel import MISSING, DayGrid
from mdus.domain.end_device import EndDevice, EndDeviceStatus, SwitchState
from mdus.domain.register import Register
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.domain.usage_point import DeviceLocation
from mdus.storage import validation
from mdus.storage.session import UnitOfWork
from mdus.storage.validation import Span
from mdus.vee.days import UNKNOWN, Days, Elements, Fact, Mask, flags_of, unknown
from mdus.workers.validation_registers import Target, register_facts

#: Days before the one that is validated that history and usage reach back.
HISTORY_DAYS: Final = 35

#: Days after it that like days may be taken from.
FOLLOWING_DAYS: Final = 6
_YEAR: Final = timedelta(days=364)  # the same weekday
_A_DAY: Final = timedelta(days=1)
_LONG_AGO: Final = timedelta(days=400)

#: The weekday of a holiday, and of a day that is not there.
HOLIDAY: Final = 7
NO_DAY: Final = -1

#: What the final versions of the days around a day say of it.
_OF_HISTORY: Final = (
    Fact.HISTORY,
    Fact.HISTORY_WEEKDAY,
    Fact.FOLLOWING,
    Fact.FOLLOWING_WEEKDAY,
    Fact.LAST_VALUE,
    Fact.NEXT_VALUE,
    Fact.LAST_FLAGS,
    Fact.NEXT_FLAGS,
)


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

    def _load_registers(self) -> Mapping[Fact, NDArray[Any]]:
        """Load what registers showed at both ends of each day, and what they say of its channel."""
        return register_facts(self._uow, self._targets, self._policy)

    # ---- the device --------------------------------------------------------------------------------------------------

    def _load_service(self) -> dict[Fact, NDArray[Any]]:
        """Load whether each device was in service: in SAP's books, and not disconnected all day; and when it was not.

        Of a breaker only its present position is known, and since when: of the time before nothing is said.
        """
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
        disconnected = np.zeros((len(self._targets), self._columns), dtype=np.bool_)
        for row, target in enumerate(self._targets):
            device, status = devices.get(target.device), statuses.get(target.device)
            off_since = None
            if status is not None and status.switch_state is SwitchState.DISCONNECTED:
                off_since = status.switch_state_at
            if off_since is not None and off_since < target.grid.end:
                first = -(-(off_since - target.grid.start) // timedelta(minutes=target.grid.minutes))
                disconnected[row, max(0, first) :] = True
            serves[row] = not disconnected[row].all() and (device is None or device.is_valid_on(target.look.day))
        return {Fact.IN_SERVICE: serves, Fact.DISCONNECTED: disconnected}

    def _load_outages(self) -> dict[Fact, NDArray[Any]]:
        """Load in which intervals meters told that their supply had failed: from the failure to its end."""
        outage = np.zeros((len(self._targets), self._columns), dtype=np.bool_)
        told = validation.power_events(
            self._uow.connection,
            [(*target.device, target.grid.start - _A_DAY, target.grid.end) for target in self._targets],
        )
        for row, events in told.items():
            grid, failed_at = self._targets[row].grid, None
            for at, has_failed in [*events, (grid.end, False)]:
                if failed_at is not None:
                    length = timedelta(minutes=grid.minutes)
                    first, end = (failed_at - grid.start) // length, -(-(at - grid.start) // length)
                    outage[row, max(0, first) : max(0, end)] = True
                failed_at = at if has_failed else None
        return {Fact.OUTAGE: outage}

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
            Span(
                target.look.channel_id,
                target.look.day - timedelta(days=HISTORY_DAYS),
                target.look.day + (FOLLOWING_DAYS + 1) * _A_DAY,
            )
            for target in self._targets
        ]
        blocks = validation.final_blocks(self._uow.connection, spans, self._channels)
        sets = self._uow.quality_sets([block for some in blocks.values() for block in some])
        made = [mark for mark, qualities in sets.items() if qualities.is_made or qualities.is_suspect]
        facts = {fact: unknown(fact, count, width) for fact in _OF_HISTORY}
        facts[Fact.WEEKDAY] = np.array([self._kind_of(target.look.day) for target in self._targets], dtype=np.int64)
        for row, some in blocks.items():
            day = self._targets[row].look.day
            for block in some:
                actual = np.where(np.isin(block.qualities, made), MISSING, block.values)
                back = (day - block.day).days
                if back > 0:
                    facts[Fact.HISTORY][row, back - 1] = _as_wide(actual, width)
                    facts[Fact.HISTORY_WEEKDAY][row, back - 1] = self._kind_of(block.day)
                elif back < 0:
                    facts[Fact.FOLLOWING][row, -back - 1] = _as_wide(actual, width)
                    facts[Fact.FOLLOWING_WEEKDAY][row, -back - 1] = self._kind_of(block.day)
                if back == 1:
                    facts[Fact.LAST_VALUE][row] = actual[-1]
                    facts[Fact.LAST_FLAGS][row] = flags_of(sets[int(block.qualities[-1])].codes)
                elif back == -1:
                    facts[Fact.NEXT_VALUE][row] = actual[0]
                    facts[Fact.NEXT_FLAGS][row] = flags_of(sets[int(block.qualities[0])].codes)
        return facts

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
                Fact.TIME_OF_USE_ADVANCE,
                Fact.UNIT_FITS,
                Fact.FEEDS_IN,
                Fact.FLOWS_BACK,
            ),
            _load_registers,
        ),
        **dict.fromkeys((Fact.IN_SERVICE, Fact.DISCONNECTED), _load_service),
        Fact.OUTAGE: _load_outages,
        **dict.fromkeys((Fact.PAST_TOTAL, Fact.PAST_DAYS, Fact.PAST_MOST, Fact.PAST_PEAK), _load_usage),
        **dict.fromkeys((Fact.YEAR_AGO_TOTAL, Fact.YEAR_AGO_DAYS), _load_year_ago),
        Fact.ESTIMATED_DAYS: _load_estimated_days,
        **dict.fromkeys((Fact.WEEKDAY, *_OF_HISTORY), _load_history),
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
