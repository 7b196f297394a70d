"""What rules and methods look at: one local day of each of many channels, all in one grid.

Arrays have a row per channel day (c of them) and a column per interval (n: 92, 96 or 100 of 15 minutes). The rows may
be of different dates; all have as many intervals, as long ones, with as many decimals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, IntFlag
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdus.domain.channel import MISSING

Elements = NDArray[np.int64]
Mask = NDArray[np.bool_]
Figures = NDArray[np.float64]

#: A figure that nobody knows.
UNKNOWN: Final = float("nan")


class Flag(IntFlag):
    """What the field said of an interval's value, from its IEC 61968-9 reading qualities."""

    OVERFLOW = 1  # 4.1: the counter of the interval ran over
    PARTIAL = 2  # 4.2: shorter than it should be
    LONG = 4  # 4.3
    SKIPPED = 8  # 4.4
    TEST_MODE = 16  # 4.5
    CLOCK_CHANGED = 32  # 4.9, 4.64, 4.128
    POWER_DOWN = 64  # 2.32: the supply failed during the interval
    POWER_UP = 128  # 1.32, 4.32: the supply came back
    DEVICE_FAULT = 256  # 1.x: watchdog, parity, hardware reset
    CLOCK_ERROR = 512  # 1.9
    REVERSED = 1024  # 3.4: reverse rotation
    DISCONNECTED = 2048  # 2.3


class Fact(Enum):
    """What else may be known of a channel day; a rule or method names what it needs, and only that is loaded.

    Quantities are int64 in the unit of the values (x 10**decimals), MISSING where nobody knows; figures are float64,
    NaN where nobody knows; the rest is bool.
    """

    ADVANCE = "advance"  # (c,) int64: what the register moved from the day's first instant to its last
    REGISTER_STEP = "register_step"  # (c,) int64: the least the register can move
    FLOWS_BACK = "flows_back"  # (c,) bool: a value below zero is in order (net metering)
    IN_SERVICE = "in_service"  # (c,) bool: installed, and connected as far as is known, for some of the day
    PAST_TOTAL = "past_total"  # (c,) int64: usage of the days before, as far as there are final values
    PAST_DAYS = "past_days"  # (c,) float64: how many days that were; 0 without any
    YEAR_AGO_TOTAL = "year_ago_total"  # (c,) int64: the same around the same date one year before
    YEAR_AGO_DAYS = "year_ago_days"  # (c,) float64
    PAST_MOST = "past_most"  # (c,) int64: the highest usage of a day among them
    PAST_PEAK = "past_peak"  # (c,) int64: the highest value of an interval among them
    LAST_VALUE = "last_value"  # (c,) int64: the last interval's value of the day before
    NEXT_VALUE = "next_value"  # (c,) int64: the first interval's value of the day after
    ESTIMATED_DAYS = "estimated_days"  # (c,) float64: days since the last one without an estimated value
    OUTAGE = "outage"  # (c, n) bool: the meter told of a power failure in the interval
    CLOCK_DRIFT = "clock_drift"  # (c,) float64: seconds the meter's clock is ahead of the head end's
    SIBLING = "sibling"  # (c, n) int64: the same intervals of the reactive (active) channel beside this
    CHECK = "check"  # (c, n) int64: the same intervals of the check meter
    SIMILAR = "similar"  # (c, n) int64: the mean of the same intervals of similar meters
    TIME_OF_USE_ADVANCE = "time_of_use_advance"  # (c,) int64: what the time-of-use registers moved together
    REGISTER_BEFORE = "register_before"  # (c,) int64: what the register showed at the day's first instant
    REGISTER_AFTER = "register_after"  # (c,) int64: and at its last
    REGISTER_TURN = "register_turn"  # (c,) int64: what it shows at most, plus one step
    FACTOR_TOLD = "factor_told"  # (c,) float64: the multiplier that the head end has for the register
    FACTOR_KNOWN = "factor_known"  # (c,) float64: the multiplier of the registry
    UNIT_FITS = "unit_fits"  # (c,) bool: the channel's unit is of the kind of its register's
    SPAN_DAYS = "span_days"  # (c,) float64: how many days the values cover; 1 of a day, of a register what lies between
    FEEDS_IN = "feeds_in"  # (c,) bool: the meter can feed in as well (photovoltaics): hours without usage are in order
    DISCONNECTED = "disconnected"  # (c, n) bool: disconnected, or not installed, for the whole of the interval
    DEVICE_FITS = "device_fits"  # (c,) bool: the head end has the meter as no other device than the registry
    HAS_SIBLING = "has_sibling"  # (c,) bool: a reactive (active) channel belongs beside this one
    REFERENCE_DAYS = "reference_days"  # (c,) float64: days since the register was last read; infinite if never
    HISTORY = "history"  # (c, 35, n) int64: actual values of the days before, the day before first
    HISTORY_WEEKDAY = "history_weekday"  # (c, 35) int64: 0 Monday .. 6 Sunday, 7 a holiday, -1 no such day
    WEEKDAY = "weekday"  # (c,) int64: the same of the day itself
    FOLLOWING = "following"  # (c, 6, n) int64: actual values of the days after, the day after first
    FOLLOWING_WEEKDAY = "following_weekday"  # (c, 6) int64: as HISTORY_WEEKDAY
    HOLIDAY_HISTORY = "holiday_history"  # (c, h, n) int64: actual values of holidays before, the latest first
    HOLIDAY_AGE = "holiday_age"  # (c, h) int64: how many days ago each of them was, -1 no such holiday
    TEMPERATURE = "temperature"  # (c,) float64: mean outside temperature of the day, degrees Celsius
    HISTORY_TEMPERATURE = "history_temperature"  # (c, 35) float64: the same of the days of HISTORY
    LAST_FLAGS = "last_flags"  # (c,) uint32: bits of Flag of the last interval of the day before
    NEXT_FLAGS = "next_flags"  # (c,) uint32: the same of the first interval of the day after
    SPAN_ADVANCE = "span_advance"  # (c,) int64: what the register moved between two readings within the day
    SPAN_FROM = "span_from"  # (c,) float64: seconds from the day's first instant to the first of them
    SPAN_TO = "span_to"  # (c,) float64: and to the second
    INTERVAL_TOTAL = "interval_total"  # (c,) int64: final interval values over the same days, MISSING with any missing
    SPAN_DEGREES = "span_degrees"  # (c,) float64: degree days over the same days
    PAST_DEGREES = "past_degrees"  # (c,) float64: degree days of PAST_DAYS
    YEAR_AGO_DEGREES = "year_ago_degrees"  # (c,) float64: degree days of YEAR_AGO_DAYS


_FIGURES: Final = frozenset(
    {
        Fact.PAST_DAYS,
        Fact.YEAR_AGO_DAYS,
        Fact.ESTIMATED_DAYS,
        Fact.CLOCK_DRIFT,
        Fact.FACTOR_TOLD,
        Fact.FACTOR_KNOWN,
        Fact.REFERENCE_DAYS,
        Fact.TEMPERATURE,
        Fact.SPAN_FROM,
        Fact.SPAN_TO,
        Fact.SPAN_DEGREES,
        Fact.PAST_DEGREES,
        Fact.YEAR_AGO_DEGREES,
    }
)
_BY_INTERVAL: Final = frozenset({Fact.SIBLING, Fact.CHECK, Fact.SIMILAR, Fact.OUTAGE, Fact.DISCONNECTED})
#: What is so of nearly all channels is taken to be so where nobody knows.
_UNLESS_KNOWN: Final[Mapping[Fact, bool | float]] = {
    Fact.FLOWS_BACK: False,
    Fact.FEEDS_IN: False,
    Fact.IN_SERVICE: True,
    Fact.DISCONNECTED: False,
    Fact.OUTAGE: False,
    Fact.UNIT_FITS: True,
    Fact.DEVICE_FITS: True,
    Fact.HAS_SIBLING: False,
    Fact.SPAN_DAYS: 1.0,
}
_HISTORY_DAYS: Final = 35
_FOLLOWING_DAYS: Final = 6
_HOLIDAYS: Final = 12


def unknown(fact: Fact, count: int, width: int) -> NDArray[Any]:
    """Return a fact of `count` days of `width` intervals that nobody knows."""
    match fact:
        case Fact.HISTORY:
            return np.full((count, _HISTORY_DAYS, width), MISSING, dtype=np.int64)
        case Fact.HISTORY_WEEKDAY:
            return np.full((count, _HISTORY_DAYS), -1, dtype=np.int64)
        case Fact.HISTORY_TEMPERATURE:
            return np.full((count, _HISTORY_DAYS), UNKNOWN)
        case Fact.FOLLOWING:
            return np.full((count, _FOLLOWING_DAYS, width), MISSING, dtype=np.int64)
        case Fact.FOLLOWING_WEEKDAY:
            return np.full((count, _FOLLOWING_DAYS), -1, dtype=np.int64)
        case Fact.HOLIDAY_HISTORY:
            return np.full((count, _HOLIDAYS, width), MISSING, dtype=np.int64)
        case Fact.HOLIDAY_AGE:
            return np.full((count, _HOLIDAYS), -1, dtype=np.int64)
        case Fact.LAST_FLAGS | Fact.NEXT_FLAGS:
            return np.zeros(count, dtype=np.uint32)
    shape = (count, width) if fact in _BY_INTERVAL else (count,)
    if fact in _FIGURES:
        return np.full(shape, UNKNOWN)
    if fact in _UNLESS_KNOWN:
        return np.full(shape, _UNLESS_KNOWN[fact])
    return np.full(shape, MISSING, dtype=np.int64)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Days:
    """One day of each of some channels, with what is known of it.

    `values` is int64 (c, n), MISSING where an interval has none; never changed. `flags` are bits of Flag (c, n).
    `is_over` says by channel day that no values are awaited any more: those missing are missing for good. `expected`
    (c, n) are the intervals in which the meter was to measure at all: not those before it was installed; None: all.
    """

    minutes: int
    decimals: int
    values: Elements
    flags: NDArray[np.uint32]
    is_over: Mask
    facts: Mapping[Fact, NDArray[Any]] = field(default_factory=dict)
    expected: Mask | None = None

    def __getitem__(self, fact: Fact) -> NDArray[Any]:
        """Return a fact; KeyError for one that nobody asked to be loaded."""
        return self.facts[fact]

    @property
    def count(self) -> int:
        """Return how many channel days there are."""
        return len(self.values)

    @property
    def present(self) -> Mask:
        """Return which intervals have a value (c, n)."""
        present: Mask = self.values != MISSING
        return present

    @property
    def missing(self) -> Mask:
        """Return which intervals have no value, and will have none any more, though they should (c, n)."""
        missing: Mask = ~self.present & self.is_over[:, None]
        return missing if self.expected is None else missing & self.expected

    @property
    def whole(self) -> Mask:
        """Return the days of which all values are there that will be (c,)."""
        whole: Mask = np.asarray(self.present.all(axis=1)) | self.is_over
        return whole

    def has(self, flag: Flag) -> Mask:
        """Return which intervals have any of these flags (c, n)."""
        found: Mask = (self.flags & np.uint32(int(flag))) != 0
        return found

    def totals(self) -> Elements:
        """Return the sum of the values there are (c,), 0 without any."""
        return total(self.values)

    def told(self, element: int | np.int64) -> str:
        """Return a quantity as people read it, with the decimals it has."""
        return "nothing" if element == MISSING else f"{Decimal(int(element)).scaleb(-self.decimals):f}"

    def rows(self, which: Mask) -> Days:
        """Return some of the channel days."""
        return Days(
            minutes=self.minutes,
            decimals=self.decimals,
            values=self.values[which],
            flags=self.flags[which],
            is_over=self.is_over[which],
            facts={fact: known[which] for fact, known in self.facts.items()},
            expected=None if self.expected is None else self.expected[which],
        )


#: What a reading quality means to rules, by category and index; whoever said it (the system before them) is the same.
_FLAGS: Final[Mapping[str, Flag]] = {
    "4.1": Flag.OVERFLOW,
    "4.2": Flag.PARTIAL,
    "4.3": Flag.LONG,
    "4.4": Flag.SKIPPED,
    "4.5": Flag.TEST_MODE,
    "4.9": Flag.CLOCK_CHANGED,
    "4.64": Flag.CLOCK_CHANGED,
    "4.128": Flag.CLOCK_CHANGED,
    "2.32": Flag.POWER_DOWN,
    "1.32": Flag.POWER_UP,
    "4.32": Flag.POWER_UP,
    "1.9": Flag.CLOCK_ERROR,
    "3.4": Flag.REVERSED,
    "2.3": Flag.DISCONNECTED,
}


def flags_of(codes: Iterable[str]) -> int:
    """Return the flags of a value with these reading qualities (`1.4.5`); other diagnostics are a device fault."""
    found = Flag(0)
    for code in codes:
        _, _, meaning = code.partition(".")
        known = _FLAGS.get(meaning)
        if known is not None:
            found |= known
        elif meaning.startswith("1."):
            found |= Flag.DEVICE_FAULT
    return int(found)


def total(values: Elements) -> Elements:
    """Return the sums of the values there are along the last axis, exactly; 0 without any."""
    sums: Elements = np.where(values == MISSING, 0, values).sum(axis=-1)
    return sums
