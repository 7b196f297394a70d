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
from mdus.domain.end_device import EndDevice
from mdus.domain.holidays import Holidays
from mdus.domain.register import Register
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.domain.usage_point import DeviceLocation
from mdus.storage import validation
from mdus.storage.interval_block import elements_of, marks_of, qualities_of
from mdus.storage.session import UnitOfWork
from mdus.storage.validation import FieldStatus, PastDay, Span
from mdus.vee.days import UNKNOWN, Days, Fact, Mask, flags_of, unknown
from mdus.vee.resampling import as_wide
from mdus.workers.validation_holidays import holiday_history
from mdus.workers.validation_neighbours import Beside, checks, has_siblings, siblings, similar
from mdus.workers.validation_reference import readings_within, reference_days
from mdus.workers.validation_registers import Target, register_facts
from mdus.workers.validation_temperatures import temperatures
from mdus.workers.validation_told import told_facts

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
    ) -> None:
        self._uow = uow
        self._targets = targets
        self._policy = policy
        self._columns = 0 if not targets else targets[0].grid.count
        self._known: dict[Fact, NDArray[Any]] = {}
        self._statuses: Mapping[int, FieldStatus] | None = None
        self._beside: dict[Fact, Mask] = {}

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

    def awaits(self, days: Days) -> Mask:
        """Return the days (c,) whose neighbours may still tell something that rules were to know."""
        awaits: Mask = np.zeros(days.count, dtype=np.bool_)
        for fact, has_neighbour in self._beside.items():
            if fact in self._known:
                awaits |= has_neighbour & (days.present & (self._known[fact] == MISSING)).any(axis=1)
        return awaits & ~days.is_over

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

    def _load_readings_within(self) -> Mapping[Fact, NDArray[Any]]:
        """Load what registers moved between the first and the last reading of the day."""
        return readings_within(self._uow, self._targets, self._policy)

    def _load_reference(self) -> Mapping[Fact, NDArray[Any]]:
        """Load how long ago registers were last read."""
        return reference_days(self._uow, self._targets, self._policy)

    def _load_span(self) -> Mapping[Fact, NDArray[Any]]:
        """Say how many days the values are of: one."""
        return {Fact.SPAN_DAYS: np.ones(len(self._targets))}

    # ---- the device --------------------------------------------------------------------------------------------------

    def _load_service(self) -> dict[Fact, NDArray[Any]]:
        """Load whether each device was in service: in SAP's books, and not disconnected all day; and when it was not.

        Of a breaker only its present position is known, and since when: of the time before nothing is said.
        """
        connection = self._uow.connection
        serves = np.ones(len(self._targets), dtype=np.bool_)
        disconnected = np.zeros((len(self._targets), self._columns), dtype=np.bool_)
        for row, status in self._status_of().items():
            grid, off_since = self._targets[row].grid, status.disconnected_since
            if off_since is not None and off_since < grid.end:
                first = -(-(off_since - grid.start) // timedelta(minutes=grid.minutes))
                disconnected[row, max(0, first) :] = True
        serves[disconnected.all(axis=1)] = False
        serves[validation.not_in_books(connection, [(*each.device, each.look.day) for each in self._targets])] = False
        return {Fact.IN_SERVICE: serves, Fact.DISCONNECTED: disconnected}

    def _load_told(self) -> Mapping[Fact, NDArray[Any]]:
        """Load what head ends told of the meters in their own registries."""
        return told_facts(self._uow, self._targets, self._status_of(), self._policy)

    def _status_of(self) -> Mapping[int, FieldStatus]:
        """Return what the field told of devices, by row; one statement for all facts that come of it."""
        if self._statuses is None:
            devices = [target.device for target in self._targets]
            self._statuses = validation.field_statuses(self._uow.connection, devices)
        return self._statuses

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
        """Load the usage of the days before, and how long ago the last one without an estimate was; no value is read.

        That day is looked for further back only where there is none among them.
        """
        looks = [target.look for target in self._targets]
        found = validation.usages(
            self._uow.connection,
            [Span(look.channel_id, look.day - timedelta(days=HISTORY_DAYS), look.day) for look in looks],
        )
        total, most, peak = (np.full(len(looks), MISSING, dtype=np.int64) for _ in range(3))
        days, measured = np.zeros(len(looks)), np.full(len(looks), UNKNOWN)
        for row, usage in found.items():
            total[row], days[row], most[row], peak[row], last = usage
            if last is not None:
                measured[row] = (looks[row].day - last).days
        further = np.flatnonzero(np.isnan(measured)).tolist()
        spans = [Span(looks[row].channel_id, looks[row].day - _LONG_AGO, looks[row].day) for row in further]
        for place, last in validation.last_days_without_estimates(self._uow.connection, spans).items():
            measured[further[place]] = (looks[further[place]].day - last).days
        return {
            Fact.PAST_TOTAL: total,
            Fact.PAST_DAYS: days,
            Fact.PAST_MOST: most,
            Fact.PAST_PEAK: peak,
            Fact.ESTIMATED_DAYS: measured,
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

    def _load_history(self) -> dict[Fact, NDArray[Any]]:
        """Load the actual values of the days before, and of the intervals next to the day."""
        count, width = len(self._targets), self._columns
        looks = [target.look for target in self._targets]
        spans = [
            Span(
                look.channel_id,
                look.day - timedelta(days=HISTORY_DAYS),
                look.day + (FOLLOWING_DAYS + 1) * _A_DAY,
            )
            for look in looks
        ]
        facts = {fact: unknown(fact, count, width) for fact in _OF_HISTORY}
        facts[Fact.WEEKDAY] = np.array([self._kind_of(look.day) for look in looks], dtype=np.int64)
        past = validation.past_days(self._uow.connection, spans)
        sets = qualities_of(self._uow.connection, np.unique(marks_of([each.qualities for each in past])).tolist())
        made = [mark for mark, qualities in sets.items() if qualities.is_made or qualities.is_suspect]
        by_size: dict[int, list[PastDay]] = defaultdict(list)
        for each in past:
            by_size[len(each.qualities)].append(each)
        for some in by_size.values():
            marks = marks_of([each.qualities for each in some]).reshape(len(some), -1)
            actual = elements_of([each.values for each in some]).reshape(marks.shape)
            actual = np.where(np.isin(marks, made), MISSING, actual)
            rows = np.array([each.place for each in some])
            back = np.array([(looks[each.place].day - each.day).days for each in some])
            kinds = np.array([self._kind_of(each.day) for each in some])
            wide = as_wide(actual, width)
            for values_of, kind_of, sign in (
                (Fact.HISTORY, Fact.HISTORY_WEEKDAY, 1),
                (Fact.FOLLOWING, Fact.FOLLOWING_WEEKDAY, -1),
            ):
                which = sign * back > 0
                facts[values_of][rows[which], sign * back[which] - 1] = wide[which]
                facts[kind_of][rows[which], sign * back[which] - 1] = kinds[which]
            for value_of, flags, is_next, column in (
                (Fact.LAST_VALUE, Fact.LAST_FLAGS, back == 1, -1),
                (Fact.NEXT_VALUE, Fact.NEXT_FLAGS, back == -1, 0),
            ):
                facts[value_of][rows[is_next]] = actual[is_next, column]
                said = marks[is_next, column].tolist()
                facts[flags][rows[is_next]] = [flags_of(sets[mark].codes) for mark in said]
        return facts

    def _kind_of(self, day: date) -> int:
        return HOLIDAY if day in self._holidays else day.weekday()

    @property
    def _holidays(self) -> Holidays:
        return self._uow.settings.made(Holidays)

    def _load_holidays(self) -> Mapping[Fact, NDArray[Any]]:
        """Load what was measured on the holidays before holidays."""
        return holiday_history(self._uow, self._targets, self._holidays)

    # ---- what is around ----------------------------------------------------------------------------------------------

    def _load_sibling(self) -> Mapping[Fact, NDArray[Any]]:
        """Load the reactive (active) channel beside each."""
        return self._of_neighbours(Fact.SIBLING, siblings(self._uow, self._targets))

    def _load_has_sibling(self) -> Mapping[Fact, NDArray[Any]]:
        """Load whether there is to be one."""
        belongs = has_siblings(self._uow, self._targets, self._policy)
        self._note_beside(Fact.SIBLING, belongs)
        return {Fact.HAS_SIBLING: belongs}

    def _load_check(self) -> Mapping[Fact, NDArray[Any]]:
        """Load what check meters measured."""
        return self._of_neighbours(Fact.CHECK, checks(self._uow, self._targets))

    def _load_similar(self) -> Mapping[Fact, NDArray[Any]]:
        """Load what similar meters measured."""
        return self._of_neighbours(Fact.SIMILAR, similar(self._uow, self._targets))

    def _load_temperatures(self) -> Mapping[Fact, NDArray[Any]]:
        """Load how warm it was where meters hang."""
        return temperatures(self._uow, self._targets, back=HISTORY_DAYS)

    def _of_neighbours(self, fact: Fact, beside: Beside) -> Mapping[Fact, NDArray[Any]]:
        self._note_beside(fact, beside.has_neighbour)
        return {fact: beside.values}

    def _note_beside(self, fact: Fact, has_neighbour: Mask) -> None:
        self._beside[fact] = self._beside.get(fact, False) | has_neighbour

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
                Fact.FACTOR_KNOWN,
            ),
            _load_registers,
        ),
        **dict.fromkeys((Fact.IN_SERVICE, Fact.DISCONNECTED), _load_service),
        Fact.OUTAGE: _load_outages,
        **dict.fromkeys(
            (Fact.PAST_TOTAL, Fact.PAST_DAYS, Fact.PAST_MOST, Fact.PAST_PEAK, Fact.ESTIMATED_DAYS), _load_usage
        ),
        **dict.fromkeys((Fact.YEAR_AGO_TOTAL, Fact.YEAR_AGO_DAYS), _load_year_ago),
        **dict.fromkeys((Fact.WEEKDAY, *_OF_HISTORY), _load_history),
        **dict.fromkeys((Fact.HOLIDAY_HISTORY, Fact.HOLIDAY_AGE), _load_holidays),
        **dict.fromkeys((Fact.CLOCK_DRIFT, Fact.DEVICE_FITS, Fact.FACTOR_TOLD), _load_told),
        **dict.fromkeys((Fact.SPAN_ADVANCE, Fact.SPAN_FROM, Fact.SPAN_TO), _load_readings_within),
        Fact.REFERENCE_DAYS: _load_reference,
        Fact.SPAN_DAYS: _load_span,
        Fact.SIBLING: _load_sibling,
        Fact.HAS_SIBLING: _load_has_sibling,
        Fact.CHECK: _load_check,
        Fact.SIMILAR: _load_similar,
        **dict.fromkeys((Fact.TEMPERATURE, Fact.HISTORY_TEMPERATURE), _load_temperatures),
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
