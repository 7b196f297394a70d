"""Loads what rules and methods need to know of single readings of registers: the reading before, and usage before it.

```
            |<---- usage before, 4 weeks or more ---->|<-- what is judged -->|
  year ago  |                                     reading before          reading
```
Quantities are what registers show, in steps of their last decimal; a register is never held against another, though it
may have taken its place. A register is its device's: after an exchange there is no reading before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdus.domain.channel import MISSING
from mdus.domain.end_device import EndDevice, EndDeviceStatus, SwitchState
from mdus.domain.meter_reading_selection import ReadingPolicies, shown
from mdus.domain.reading import MeterReading
from mdus.domain.recurrence import Recurrences
from mdus.domain.register import Register
from mdus.storage.reading_verdict import Stretch, newest_in, oldest_in
from mdus.storage.session import UnitOfWork
from mdus.vee.days import Days, Elements, Fact, unknown

#: How far back the reading before is looked for: of registers read daily or more often, and of others.
_DAILY_BACK: Final = timedelta(days=62)
_BACK: Final = timedelta(days=5 * 365 + 1)

#: The usage before is that of at least the former, where it is known, and of at most the latter.
_USAGE: Final = timedelta(days=28)
_USAGE_BACK: Final = timedelta(days=400)

#: What is known of readings, as far as it is; the other facts nobody knows.
LOADED: Final = frozenset(
    {
        Fact.REGISTER_BEFORE,
        Fact.REGISTER_AFTER,
        Fact.REGISTER_TURN,
        Fact.REGISTER_STEP,
        Fact.FLOWS_BACK,
        Fact.SPAN_DAYS,
        Fact.REFERENCE_DAYS,
        Fact.PAST_TOTAL,
        Fact.PAST_DAYS,
        Fact.YEAR_AGO_TOTAL,
        Fact.YEAR_AGO_DAYS,
        Fact.FACTOR_KNOWN,
        Fact.IN_SERVICE,
    }
)

_YEAR: Final = timedelta(days=365)
_AROUND: Final = timedelta(days=31)
_A_DAY: Final = timedelta(days=1)
_A_DAY_IN_MINUTES: Final = 24 * 60
_INSTANT: Final = timedelta(microseconds=1)
_LARGEST: Final = 2**63 - 1
_FIRST: Final = datetime(1, 1, 2, tzinfo=UTC)


#: What is looked up only where a rule or method asks for it.
_PAST: Final = frozenset({Fact.PAST_TOTAL, Fact.PAST_DAYS})
_YEAR_AGO: Final = frozenset({Fact.YEAR_AGO_TOTAL, Fact.YEAR_AGO_DAYS})


class _End(Enum):
    """A reading that usage is reckoned from, or up to."""

    PAST = 1  # where the usage before begins
    YEAR_AGO_BEFORE = 2  # where that of a year ago begins
    YEAR_AGO = 3  # and ends


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What a register shows at an instant: a value that is judged, or (None) one that is to be estimated."""

    register: Register
    at: datetime
    value: Decimal | None = None

    def stretch(self, since: datetime, before: datetime) -> Stretch:
        """Return a stretch of the register's channel."""
        register = self.register
        return Stretch(register.sender_system, register.device_id, register.reading_type, since, before)


class RegisterFacts:
    """What is known of some readings, by their place; a bounded number of statements whatever their number.

    `needs` are the facts that somebody will ask for: usage of other times, and whether a meter was off, are looked up
    for those only. All others are unknown then.
    """

    def __init__(
        self, uow: UnitOfWork, subjects: Sequence[Subject], *, policies: ReadingPolicies, needs: frozenset[Fact]
    ) -> None:
        self._subjects = subjects
        self._policies = policies
        recurrences = Recurrences.of(uow.settings)
        self._before = newest_in(
            uow.connection,
            [each.stretch(_earlier(each.at, _back(each.register, recurrences)), each.at) for each in subjects],
        )
        known = sorted(self._before)
        self._ends = self._find_ends(uow, known, past=bool(needs & _PAST), year=bool(needs & _YEAR_AGO))
        self._statuses = self._load_statuses(uow, known) if Fact.IN_SERVICE in needs else {}

    def _find_ends(
        self, uow: UnitOfWork, known: Sequence[int], *, past: bool, year: bool
    ) -> dict[tuple[_End, int], MeterReading]:
        """Return the ends of the usage that is needed, by which it is and place.

        One statement for all, and one more for registers so young that the usage before begins with their oldest.
        """
        asked: dict[tuple[_End, int], Stretch] = {}
        for place in known:
            one, last = self._subjects[place], self._before[place]
            if past:
                since = _earlier(last.measured_at, _USAGE_BACK)
                asked[_End.PAST, place] = one.stretch(since, _earlier(last.measured_at, _USAGE) + _INSTANT)
            if year:
                for which, at in ((_End.YEAR_AGO, one.at), (_End.YEAR_AGO_BEFORE, last.measured_at)):
                    asked[which, place] = one.stretch(_earlier(at, _YEAR + _AROUND), _earlier(at, _YEAR) + _INSTANT)
        newest = newest_in(uow.connection, list(asked.values()))
        found = {key: newest[row] for row, key in enumerate(asked) if row in newest}
        young = [place for place in known if past and (_End.PAST, place) not in found]
        oldest = oldest_in(
            uow.connection,
            [
                self._subjects[place].stretch(
                    _earlier(self._before[place].measured_at, _USAGE_BACK), self._before[place].measured_at
                )
                for place in young
            ],
        )
        return found | {(_End.PAST, young[row]): reading for row, reading in oldest.items()}

    def _load_statuses(self, uow: UnitOfWork, known: Sequence[int]) -> dict[tuple[str, str], EndDeviceStatus]:
        keys = {(self._before[place].sender_system, self._before[place].device_id) for place in known}
        found = uow.load(EndDeviceStatus, EndDevice.KEY, keys, lock=False)
        return {(each.sender_system, each.device_id): each for each in found}

    def judged(self, places: Sequence[int], *, decimals: int) -> Days:
        """Return values to be judged, of registers with as many decimals: what was used since the reading before."""
        facts = self._facts(places, decimals)
        before, after, turn = (facts[fact] for fact in (Fact.REGISTER_BEFORE, Fact.REGISTER_AFTER, Fact.REGISTER_TURN))
        return _days(advances(before, after, turn), facts, decimals=decimals)

    def to_be_estimated(self, places: Sequence[int], *, decimals: int) -> Days:
        """Return readings to be estimated, of registers with as many decimals: days of one value that is missing."""
        return _days(np.full(len(places), MISSING), self._facts(places, decimals), decimals=decimals)

    def usage(self, place: int, value: Decimal) -> Decimal:
        """Return what was used from the reading before until a register shows a value."""
        register, last = self._subjects[place].register, self._before.get(place)
        before = None if last is None else self._shown(place, last)
        if before is None:
            return Decimal(0)
        turn = register.turn
        return value - before if value >= before or turn is None else value + turn - before

    def _facts(self, places: Sequence[int], decimals: int) -> dict[Fact, NDArray[Any]]:
        count = len(places)
        names = (
            Fact.REGISTER_BEFORE,
            Fact.REGISTER_AFTER,
            Fact.REGISTER_TURN,
            Fact.PAST_TOTAL,
            Fact.YEAR_AGO_TOTAL,
        )
        nobody_knows = {fact: unknown(fact, count, 1) for fact in Fact if fact not in LOADED}
        flows_back = unknown(Fact.FLOWS_BACK, count, 1)
        amounts = {fact: np.full(count, MISSING, dtype=np.int64) for fact in names}
        span, past, year = np.zeros(count), np.zeros(count), np.zeros(count)
        serves = np.ones(count, dtype=np.bool_)
        for row, place in enumerate(places):
            subject = self._subjects[place]
            amounts[Fact.REGISTER_AFTER][row] = _scaled(subject.value, decimals)
            amounts[Fact.REGISTER_TURN][row] = _scaled(subject.register.turn, decimals)
            if subject.value is not None and subject.value < 0:
                # What shows less than nothing counts both ways, and never runs over.
                flows_back[row] = True
                amounts[Fact.REGISTER_TURN][row] = MISSING
            last = self._before.get(place)
            before = None if last is None else self._shown(place, last)
            if last is None or before is None:
                continue
            amounts[Fact.REGISTER_BEFORE][row] = _scaled(before, decimals)
            flows_back[row] |= before < 0
            span[row] = (subject.at - last.measured_at) / _A_DAY
            serves[row] = not self._was_off(last)
            for total, days, stretch in (
                (Fact.PAST_TOTAL, past, (self._ends.get((_End.PAST, place)), last)),
                (
                    Fact.YEAR_AGO_TOTAL,
                    year,
                    (self._ends.get((_End.YEAR_AGO_BEFORE, place)), self._ends.get((_End.YEAR_AGO, place))),
                ),
            ):
                amounts[total][row], days[row] = self._usage(place, *stretch, decimals=decimals)
        return {
            **nobody_knows,
            **amounts,
            Fact.FLOWS_BACK: flows_back,
            Fact.REGISTER_STEP: np.ones(count, dtype=np.int64),
            Fact.SPAN_DAYS: span,
            Fact.REFERENCE_DAYS: np.where(amounts[Fact.REGISTER_BEFORE] == MISSING, np.inf, span),
            Fact.PAST_DAYS: past,
            Fact.YEAR_AGO_DAYS: year,
            Fact.FACTOR_KNOWN: np.ones(count),  # everything is as shown
            Fact.IN_SERVICE: serves,
        }

    def _usage(
        self, place: int, first: MeterReading | None, last: MeterReading | None, *, decimals: int
    ) -> tuple[int, float]:
        """Return what was used between two readings and in how many days, MISSING and 0 where that is not known."""
        if first is None or last is None or first.measured_at >= last.measured_at:
            return MISSING, 0.0
        amounts = [np.array([_scaled(self._shown(place, each), decimals)]) for each in (first, last)]
        turn = np.array([_scaled(self._subjects[place].register.turn, decimals)])
        [used] = advances(amounts[0], amounts[1], turn).tolist()
        return (
            (MISSING, 0.0) if used == MISSING or used < 0 else (used, (last.measured_at - first.measured_at) / _A_DAY)
        )

    def _was_off(self, last: MeterReading) -> bool:
        """Tell whether a meter is known to have been disconnected ever since a reading."""
        status = self._statuses.get((last.sender_system, last.device_id))
        return (
            status is not None
            and status.switch_state is SwitchState.DISCONNECTED
            and status.switch_state_at is not None
            and status.switch_state_at <= last.measured_at
        )

    def _shown(self, place: int, reading: MeterReading) -> Decimal | None:
        """Return what a register shows of a reading, None of one that it cannot show."""
        register, policies = self._subjects[place].register, self._policies
        value = shown(reading, register=register, units=policies.units, turns_over=policies.turns_over)
        return value if value is not None and register.has_digits_for(value) else None


def advances(before: Elements, after: Elements, turn: Elements) -> Elements:
    """Return what registers moved (c,), MISSING where that is not known.

    One that went back ran over where less than half its range was used so; else what it moved is below zero.
    """
    known = (before != MISSING) & (after != MISSING)
    moved = np.where(known, after, 0) - np.where(known, before, 0)
    over = moved + np.where(turn == MISSING, 0, turn)
    ran_over = (moved < 0) & (turn != MISSING) & (over >= 0) & (over < turn - over)
    result: Elements = np.where(known, np.where(ran_over, over, moved), MISSING)
    return result


def _days(values: Elements, facts: Mapping[Fact, NDArray[Any]], *, decimals: int) -> Days:
    return Days(
        minutes=_A_DAY_IN_MINUTES,
        decimals=decimals,
        values=values[:, None].astype(np.int64),
        flags=np.zeros((len(values), 1), dtype=np.uint32),
        is_over=np.ones(len(values), dtype=np.bool_),  # whatever is not known will not be
        facts=facts,
    )


def _back(register: Register, recurrences: Recurrences) -> timedelta:
    """Return how far back the reading before may be."""
    minutes = recurrences.minutes_of(register.recurrence_code) or 0
    return _DAILY_BACK if 0 < minutes <= _A_DAY_IN_MINUTES else _BACK


def _earlier(at: datetime, span: timedelta) -> datetime:
    """Return an instant earlier, or the first of the calendar."""
    return max(at, _FIRST + span) - span


def _scaled(value: Decimal | None, decimals: int) -> int:
    """Return a quantity as the arrays hold it, MISSING where it is not known or too large."""
    if value is None:
        return MISSING
    scaled = int(value.scaleb(decimals))
    return scaled if -_LARGEST <= scaled <= _LARGEST else MISSING
