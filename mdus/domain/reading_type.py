"""ReadingTypes of IEC 61968-9: what a value is, in eighteen whole numbers separated by points (mRID).

Peers write the same channel in several ways: `3.72` or `0.72` times a thousand, accumulation 9 or 1, quadrants or a
direction. What is held to be the same stands in `ReadingType.plain`; nothing else is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from functools import lru_cache
from typing import Final

_PRINTED: Final = re.compile(r"\d{1,6}(\.-?\d{1,6}){17}", re.ASCII)

#: Arithmetic that rounds nothing.
_EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)

_DELTA: Final = 4
_DAILY: Final = 11
_REACTIVE_ENERGY: Final = 73
_VOLTAGE: Final = 158
_CURRENT: Final = 4

#: Minutes of an interval, by measuringPeriod.
MINUTES: Final[Mapping[int, int]] = {3: 1, 14: 3, 6: 5, 1: 10, 2: 15, 31: 20, 5: 30, 7: 60, 4: 1440}

#: Names of units, by the number of the unit. Of its multiples the prefix goes before it.
UNITS: Final[Mapping[int, str]] = {
    5: "A",
    29: "V",
    33: "Hz",
    38: "W",
    42: "m3",
    61: "VA",
    63: "var",
    71: "VAh",
    72: "Wh",
    73: "varh",
    119: "ft3",
    128: "GAL",  # of the United States
    134: "l",
}

#: Prefixes of units, by the power of ten they stand for.
_PREFIXES: Final[Mapping[int, str]] = {0: "", 3: "k", 6: "M", 9: "G"}

#: Units of the same kind: a channel told in one of them is the channel told in another.
_VOLUMES: Final = frozenset({42, 119, 128, 134})

_NAMES: Final[Mapping[str, Mapping[int, str]]] = {
    "macro_period": {8: "billing period", 11: "daily", 13: "monthly"},
    "aggregate": {8: "maximum", 9: "minimum"},
    "measuring_period": {number: f"{minutes} minutes" for number, minutes in MINUTES.items()}
    | {53: "block of 15 minutes"},
    "accumulation": {
        1: "bulk quantity",
        3: "cumulative",
        4: "delta",
        6: "indicating",
        9: "summation",
        12: "instantaneous",
    },
    "flow": {1: "forward", 4: "net", 5: "Q1 and Q2", 13: "Q3 and Q4", 19: "reverse", 20: "total"},
    "commodity": {1: "electricity", 7: "gas", 9: "potable water"},
    "kind": {4: "current", 8: "demand", 12: "energy", 15: "frequency", 37: "power", 38: "power factor", 54: "voltage"}
    | {58: "volume", 128: "interruptions", 158: "voltage RMS"},
    "phase": {
        32: "phase C",
        33: "phase C to N",
        64: "phase B",
        65: "phase B to N",
        128: "phase A",
        129: "phase A to N",
    },
}


@dataclass(frozen=True, slots=True)
class ReadingType:
    """One ReadingType, part by part in the order of the mRID. The value is in 10 ** `multiplier` of `unit`."""

    macro_period: int
    aggregate: int
    measuring_period: int
    accumulation: int
    flow: int
    commodity: int
    kind: int
    interharmonic_numerator: int
    interharmonic_denominator: int
    argument_numerator: int
    argument_denominator: int
    tou: int
    cpp: int
    consumption_tier: int
    phase: int
    multiplier: int
    unit: int
    currency: int

    @classmethod
    def parse(cls, text: str) -> ReadingType:
        """Return the type printed in `text`. Raises ValueError for what is not eighteen numbers."""
        if not _PRINTED.fullmatch(text):
            shown = "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
            raise ValueError(f"{text[:80]!r} is no ReadingType of 18 numbers such as {shown}")
        return _parsed(text)

    def __str__(self) -> str:
        return ".".join(map(str, astuple(self)))

    @property
    def minutes(self) -> int | None:
        """Return how long the interval is that this is the quantity of, None where it does not say; 1440: a day."""
        if self.accumulation != _DELTA:
            return None
        if self.measuring_period == 0:
            return MINUTES[4] if self.macro_period == _DAILY else None
        return MINUTES.get(self.measuring_period)

    def over(self, minutes: int) -> ReadingType:
        """Return the type of the same quantity in intervals of another length. Raises ValueError where none has it."""
        if minutes == MINUTES[4]:
            return replace(self, macro_period=_DAILY, measuring_period=0)
        number = next((number for number, length in MINUTES.items() if length == minutes), None)
        if number is None:
            raise ValueError(f"no ReadingType is of intervals of {minutes} minutes")
        return replace(self, macro_period=0, measuring_period=number)

    @property
    def plain(self) -> ReadingType:
        """Return the one type that stands for all that are the same: equal up to what peers write differently.

        The power of ten is left out, as is an interval's length. Summation (9) is bulk quantity (1); of reactive energy
        Q1 and Q2 (5) is forward, Q3 and Q4 (13) reverse; voltage (54) is its RMS, indicating (6) or instantaneous (12);
        a phase is the same with and without neutral; a block of 15 minutes is 15 minutes. Units of volume are one.
        """
        known = self
        if known.minutes is not None:
            known = replace(known, macro_period=0, measuring_period=0)
        if known.measuring_period == 53:
            known = replace(known, measuring_period=2)
        if known.accumulation == 9:
            known = replace(known, accumulation=1)
        if known.unit == _REACTIVE_ENERGY:
            known = replace(known, flow={5: 1, 13: 19}.get(known.flow, known.flow))
        if known.kind in (54, _VOLTAGE):
            accumulation = 12 if known.accumulation == 6 else known.accumulation
            known = replace(known, kind=_VOLTAGE, accumulation=accumulation)
        if known.kind in (_VOLTAGE, _CURRENT):
            known = replace(known, phase={128: 129, 64: 65, 32: 33}.get(known.phase, known.phase))
        return replace(known, multiplier=0, unit=42 if known.unit in _VOLUMES else known.unit)

    @property
    def unit_text(self) -> str | None:
        """Return the unit of values told under it, with its prefix; None of one that no table here has."""
        prefix, unit = _PREFIXES.get(self.multiplier), UNITS.get(self.unit)
        return None if prefix is None or unit is None else prefix + unit

    @property
    def described(self) -> str:
        """Return its parts in words; a number no table here has is left a number."""
        said = [
            names.get(number, f"{part.replace('_', ' ')} {number}")
            for part, names in _NAMES.items()
            if (number := getattr(self, part))
        ]
        said += [f"time of use {self.tou}"] if self.tou else []
        unit = UNITS.get(self.unit, f"unit {self.unit}" if self.unit else "no unit")
        return ", ".join([*said, f"10^{self.multiplier} {unit}" if self.multiplier else unit])


@lru_cache(maxsize=4096)
def _parsed(text: str) -> ReadingType:
    return ReadingType(*map(int, text.split(".")))


def same(one: ReadingType, other: ReadingType) -> bool:
    """Tell whether two types are the same channel, up to what peers write differently (`plain`)."""
    return one.plain == other.plain


def scaled(value: Decimal, exponent: int) -> Decimal:
    """Return a value times a power of ten, exactly: no digit is lost, however many there are."""
    return value.scaleb(exponent, context=_EXACT)


def times(value: Decimal, factor: Decimal) -> Decimal:
    """Return a product, exactly."""
    return _EXACT.multiply(value, factor)
