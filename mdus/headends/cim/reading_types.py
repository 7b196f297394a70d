"""ReadingType mRIDs and the channels they are: the one place where this kind asks which is which.

The eighteen parts of an mRID: macro period, aggregate, measuring period, accumulation, flow, commodity, kind,
interharmonic (2), argument (2), time of use, critical peak, tier, phase, multiplier, unit, currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: Minutes of a measuring period; a macro period of 11 is a day.
_MINUTES: Final[Mapping[int, int]] = {1: 10, 2: 15, 3: 1, 4: 1440, 5: 30, 6: 5, 7: 60, 14: 3, 31: 20}
_DAILY: Final = 11
_DAY: Final = 1440

#: Units by multiplier (a power of ten) and unit.
_UNITS: Final[Mapping[tuple[int, int], str]] = {
    (0, 72): "Wh",
    (3, 72): "kWh",
    (6, 72): "MWh",
    (0, 73): "varh",
    (3, 73): "kvarh",
    (0, 71): "VAh",
    (3, 71): "kVAh",
    (0, 38): "W",
    (3, 38): "kW",
    (0, 29): "V",
    (0, 5): "A",
    (0, 33): "Hz",
    (0, 42): "m3",
}

_PARTS: Final = 18
_MACRO, _PERIOD, _ACCUMULATION, _TOU, _MULTIPLIER, _UNIT = 0, 2, 3, 11, 15, 16
_DELTA: Final = 4

#: OBIS codes of registers and the mRIDs they are written as; what is read may differ as `_plain` says.
_REGISTERS: Final[Mapping[str, str]] = {
    "1-0:1.8.0*255": "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0",
    "1-0:1.8.1*255": "0.0.0.9.1.1.12.0.0.0.0.1.0.0.0.3.72.0",
    "1-0:1.8.2*255": "0.0.0.9.1.1.12.0.0.0.0.2.0.0.0.3.72.0",
    "1-0:2.8.0*255": "0.0.0.1.19.1.12.0.0.0.0.0.0.0.0.3.72.0",
    "1-0:2.8.1*255": "0.0.0.9.19.1.12.0.0.0.0.1.0.0.0.3.72.0",
    "1-0:2.8.2*255": "0.0.0.9.19.1.12.0.0.0.0.2.0.0.0.3.72.0",
    "1-0:16.8.0*255": "0.0.0.1.4.1.12.0.0.0.0.0.0.0.0.3.72.0",
    "1-0:3.8.0*255": "0.0.0.1.5.1.12.0.0.0.0.0.0.0.0.3.73.0",
    "1-0:4.8.0*255": "0.0.0.1.13.1.12.0.0.0.0.0.0.0.0.3.73.0",
    "1-0:9.8.0*255": "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.71.0",
    "1-0:1.7.0*255": "0.0.0.12.1.1.37.0.0.0.0.0.0.0.0.3.38.0",
    "1-0:32.7.0*255": "0.0.0.12.0.1.158.0.0.0.0.0.0.0.129.0.29.0",
    "1-0:52.7.0*255": "0.0.0.12.0.1.158.0.0.0.0.0.0.0.65.0.29.0",
    "1-0:72.7.0*255": "0.0.0.12.0.1.158.0.0.0.0.0.0.0.33.0.29.0",
    "7-0:3.0.0*255": "0.0.0.1.1.7.58.0.0.0.0.0.0.0.0.0.42.0",
    "8-0:1.0.0*255": "0.0.0.1.1.9.58.0.0.0.0.0.0.0.0.0.42.0",
}

#: The same of interval registers, in the intervals they are usually of.
_INTERVALS: Final[Mapping[str, str]] = {
    "1-0:1.29.0*255": "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0",
    "1-0:2.29.0*255": "0.0.2.4.19.1.12.0.0.0.0.0.0.0.0.3.72.0",
    "7-0:3.29.0*255": "0.0.7.4.1.7.58.0.0.0.0.0.0.0.0.0.42.0",
    "8-0:1.29.0*255": "0.0.7.4.1.9.58.0.0.0.0.0.0.0.0.0.42.0",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """The channel behind an mRID, the unit its values come in, and the minutes of an interval where it says them."""

    reading_type: str
    unit: str
    minutes: int | None = None


def channel_of(mrid: str) -> Channel | None:
    """Return the channel that an mRID means, None where no table says."""
    parts = _parsed(mrid)
    if parts is None:
        return None
    code, unit = _CODES.get(_plain(parts)), _UNITS.get((parts[_MULTIPLIER], parts[_UNIT]))
    if code is None or unit is None:
        return None
    return Channel(reading_type=code, unit=unit, minutes=_minutes(parts))


def mrid_of(reading_type: str) -> str | None:
    """Return the mRID by which a channel is asked for, None where no table says."""
    return _REGISTERS.get(reading_type) or _INTERVALS.get(reading_type)


def register_mrids() -> tuple[str, ...]:
    """Return the mRIDs of all registers there are."""
    return tuple(_REGISTERS.values())


def interval_mrids() -> tuple[str, ...]:
    """Return the mRIDs of all interval registers there are."""
    return tuple(_INTERVALS.values())


def _parsed(mrid: str) -> tuple[int, ...] | None:
    parts = mrid.split(".")
    if len(parts) != _PARTS or not all(part.isascii() and part.isdigit() and len(part) <= 6 for part in parts):
        return None
    return tuple(map(int, parts))


def _minutes(parts: tuple[int, ...]) -> int | None:
    if parts[_ACCUMULATION] != _DELTA:
        return None
    return _MINUTES.get(parts[_PERIOD]) or (_DAY if parts[_MACRO] == _DAILY else None)


def _plain(parts: tuple[int, ...]) -> tuple[int, ...]:
    """Return what peers write differently as one: multipliers, summation for bulk quantity, lengths of intervals."""
    plain = list(parts)
    plain[_MULTIPLIER] = 0
    if plain[_ACCUMULATION] == 9:
        plain[_ACCUMULATION] = 1
    if _minutes(parts) is not None:
        plain[_MACRO] = plain[_PERIOD] = 0
    return tuple(plain)


_CODES: Final[Mapping[tuple[int, ...], str]] = {
    _plain(tuple(map(int, mrid.split(".")))): code for code, mrid in {**_REGISTERS, **_INTERVALS}.items()
}
