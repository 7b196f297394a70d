"""The result file (docs/head_ends/file_drop.md): what became of requests, a row for each value that was read.

Rows of one reference are one result, together or not. A row with `interval_minutes` is what passed in an interval that
began at `measured_at`, any other what a register showed then. One that cannot be read is told with its line and counts
for nothing: a result of which no row is left is none, and its command is asked for again or ends when its time is over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from mdus.domain.head_end import CommandResult, FieldEvent, FieldIntervals, FieldReading, UnreadableLine
from mdus.domain.quantities import NOTHING_SAID, Qualities, Quantities
from mdus.headends.file_drop.rows import Row, rows
from mdus.headends.file_drop.runs import EPOCH, blocks, runs

NEEDED: Final = ("reference", "serial", "status")

_OK: Final = "ok"
_FAILED: Final = "failed"
_PART: Final = "part"  # carried out, and more of it follows in another file
_STATUSES: Final = (_OK, _FAILED, _PART)

_QUALITY: Final = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,4}", re.ASCII)
_MINUTE: Final = timedelta(minutes=1)


class _Channel(NamedTuple):
    """What the values of a channel are."""

    reading_type: str
    unit: str | None
    minutes: int


class _Interval(NamedTuple):
    """What passed in one interval, None where it was not measured."""

    channel: _Channel
    start: int  # minutes
    value: Decimal | None
    quality: str | None


class _Told(NamedTuple):
    """A row that was read, with its value where it has one."""

    row: Row
    value: FieldReading | _Interval | None


def decode(body: bytes) -> Iterator[FieldEvent]:
    """Yield the results of a body, and each row that cannot be read; raises ValueError without its header."""
    by_reference: dict[tuple[str, str], list[_Told]] = {}
    for row in rows(body, NEEDED):
        if isinstance(row, UnreadableLine):
            yield row
            continue
        try:
            key = (row.text("reference"), row.text("serial"))
            read = _Told(row, _checked(row))
        except ValueError as error:
            yield UnreadableLine(line=row.line, reason=str(error))
            continue
        by_reference.setdefault(key, []).append(read)
    for (reference, serial_id), told in by_reference.items():
        yield _result(reference, serial_id, told)


def _checked(row: Row) -> FieldReading | _Interval | None:
    """Return the value of a row, None where it has none; raises ValueError where anything in it cannot be read."""
    status = row.text("status").lower()
    if status not in _STATUSES:
        raise ValueError(f"status: one of {', '.join(_STATUSES)} is expected, found {status[:60]!r}")
    row.instant("completed_at")
    value, minutes = row.number("value"), row.optional("interval_minutes")
    if minutes is not None:
        return _interval(row, minutes, value)
    if value is None:
        return None
    return FieldReading(
        serial_id=row.text("serial"),
        reading_type=row.text("reading_type"),
        measured_at=row.needed_instant("measured_at"),
        value=value,
        unit=row.optional("unit"),
    )


def _interval(row: Row, minutes: str, value: Decimal | None) -> _Interval:
    if not (minutes.isascii() and minutes.isdigit() and 0 < int(minutes[:9]) <= 1440):
        raise ValueError(f"interval_minutes: a number of minutes is expected, found {minutes[:60]!r}")
    start, off = divmod(row.needed_instant("measured_at") - EPOCH, _MINUTE)
    if off:
        raise ValueError("measured_at: a whole minute is expected at the beginning of an interval")
    quality = row.optional("quality")
    if quality is not None and not _QUALITY.fullmatch(quality):
        raise ValueError(f"quality: a code such as 2.5.259 is expected, found {quality[:60]!r}")
    return _Interval(_Channel(row.text("reading_type"), row.optional("unit"), int(minutes)), start, value, quality)


def _result(reference: str, serial_id: str, told: Sequence[_Told]) -> CommandResult:
    first = told[0].row
    status = first.text("status").lower()
    return CommandResult(
        command_key=reference,
        correlation=first.optional("request"),
        token=None,
        serial_id=serial_id,
        succeeded=status != _FAILED,
        code=first.optional("code"),
        text=first.optional("text"),
        acted_at=first.instant("completed_at"),
        readings=tuple(each.value for each in told if isinstance(each.value, FieldReading)),
        intervals=tuple(_intervals(serial_id, [each.value for each in told if isinstance(each.value, _Interval)])),
        is_final=status != _PART,
    )


def _intervals(serial_id: str, told: Sequence[_Interval]) -> Iterator[FieldIntervals]:
    by_channel: dict[_Channel, list[_Interval]] = {}
    for each in sorted(told, key=lambda each: each.start):
        by_channel.setdefault(each.channel, []).append(each)
    for channel, values in by_channel.items():
        codes = [each.quality for each in values]
        yield from blocks(
            runs([each.start for each in values], channel.minutes),
            Quantities.of([each.value for each in values]),
            Qualities.of(codes) if any(codes) else NOTHING_SAID,
            serial_id=serial_id,
            reading_type=channel.reading_type,
            unit=channel.unit,
            minutes=channel.minutes,
        )
