"""Records of CMEP as a sender would write them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

END_OF_FIRST = datetime(2026, 3, 28, 23, 15, tzinfo=UTC)


def times(count: int, *, first: datetime = END_OF_FIRST, minutes: int = 15) -> list[str]:
    """Return the ends of consecutive intervals."""
    return [f"{first + place * timedelta(minutes=minutes):%Y%m%d%H%M}" for place in range(count)]


def mepmd01(
    values: Sequence[str],
    *,
    meter: str = "0000000042",
    ends: Sequence[str] | None = None,
    flags: Sequence[str] | str = "R",
    commodity: str = "E",
    unit: str = "KWH",
    constant: str = "1",
    interval: str = "00000015",
    purpose: str = "OK",
    count: str | None = None,
) -> str:
    """Return a record of interval data."""
    ends = times(len(values)) if ends is None else ends
    said = [flags] * len(values) if isinstance(flags, str) else flags
    triplets = [part for each in zip(ends, said, values, strict=True) for part in each]
    head = ["MEPMD01", "19970819", "UTIL", "", "MDUS", "", "202603300100", meter, purpose, commodity, unit]
    return ",".join([*head, constant, interval, count or str(len(values)), *triplets])


def mepmd02(
    triplets: Sequence[tuple[str, str, str]],
    *,
    meter: str = "0000000042",
    unit: str = "KWHREG",
    start: str = "202603282300",
    end: str = "202603292200",
) -> str:
    """Return a record of times of use."""
    head = ["MEPMD02", "19970819", "UTIL", "", "MDUS", "", "202603300100", meter, "OK", "E", unit, "", "1", start, end]
    return ",".join([*head, str(len(triplets)), *(part for each in triplets for part in each)])


def file(*records: str) -> bytes:
    """Return records as a file."""
    return "".join(f"{record}\r\n" for record in records).encode()
