"""The fields of a record of CMEP, read one by one; a ValueError says what was expected in which and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from mdus.contracts.printable import printable
from mdus.headends.file_drop.cmep_tables import CmepTables
from mdus.headends.file_drop.numbers import number
from mdus.headends.file_drop.rows import split
from mdus.headends.file_drop.runs import EPOCH

_MINUTE: Final = timedelta(minutes=1)
_A_DAY: Final = 1440


def fields_of(text: bytes) -> list[bytes]:
    """Return the fields of a line."""
    text = text.rstrip(b"\r")
    if b'"' in text:
        return [each.encode() for each in split(text.decode("utf-8", "replace"))]
    if b" " in text:
        return [each.strip() for each in text.split(b",")]
    return text.split(b",")


def count_of(fields: Sequence[bytes], first: int) -> int:
    """Return how many triplets a record has, when it has as many as it says."""
    if len(fields) < first:
        raise ValueError(f"{first} fields and triplets are expected, found {len(fields)} fields")
    told = fields[first - 1]
    if not told.isdigit() or len(told) > 6 or int(told) == 0:
        raise ValueError(f"field {first}: a number of triplets is expected, found {shown(told)}")
    count = int(told)
    after = fields[first + 3 * count :]
    is_checksum = len(after) == 1 and (not after[0] or (after[0][:1] == b"H" and len(after[0]) == 5))
    if len(fields) < first + 3 * count or (after and not is_checksum):
        raise ValueError(f"{count} triplets are expected, found {len(fields) - first} fields of triplets")
    return count


def serial_of(fields: Sequence[bytes], tables: CmepTables) -> str:
    """Return the serial number of the meter, from where it stands in the records of a feed."""
    text = fields[7]
    if not text and tables.meter_field is not None:
        text = fields[tables.meter_field - 1]
    serial = printable(text.decode("utf-8", "replace"))
    if not serial:
        raise ValueError("field 8: the meter is expected, found nothing")
    return serial


def multiplier_of(text: str, place: int) -> Decimal:
    """Return a multiplier, 1 where none is told."""
    multiplier = number(text) if text else Decimal(1)
    if multiplier is None or not multiplier:
        raise ValueError(f"field {place}: a multiplier is expected, found {printable(text)!r}")
    return multiplier.normalize() if multiplier != 1 else Decimal(1)


def interval_of(text: str) -> int:
    """Return the minutes of MMDDHHMM, 0 for none; a month is no number of minutes."""
    if text and not (len(text) == 8 and text.isascii() and text.isdigit()):
        raise ValueError(f"field 13: an interval MMDDHHMM is expected, found {printable(text)!r}")
    months, days, hours, minutes = (int(text[at : at + 2] or 0) for at in range(0, 8, 2))
    if months:
        raise ValueError(f"field 13: an interval of a day at most is expected, found {months} months")
    return days * _A_DAY + hours * 60 + minutes


def minute_of(text: bytes, where: str) -> int:
    """Return a time CCYYMMDDHHMM in minutes since 1970, as the clock shows it."""
    expected = f"{where}: a time CCYYMMDDHHMM is expected, found {shown(text)}"
    if len(text) != 12 or not text.isdigit():
        raise ValueError(expected)
    month, day, hour, minute = (int(text[at : at + 2]) for at in range(4, 12, 2))
    try:
        return (datetime(int(text[:4]), month, day, hour, minute, tzinfo=UTC) - EPOCH) // _MINUTE
    except ValueError:
        raise ValueError(expected) from None


def minutes_told(times: Sequence[bytes], interval: int) -> list[int | None]:
    """Return the times of values as the clock shows them, None of one that is left out: it follows by the interval."""
    told: list[int | None] = []
    for place, text in enumerate(times, start=1):
        if not text and not (told and interval):
            raise ValueError(f"value {place}: a time is expected where neither a time nor an interval is before it")
        told.append(minute_of(text, f"value {place}") if text else None)
    return told


def shown(text: bytes) -> str:
    """Return a field as it is shown to a human."""
    return repr(printable(text[:40].decode("utf-8", "replace")))
