"""The neutral interval CSV of docs/head_ends/file_drop.md: a value a row, rows in any order.

Rows of one channel are gathered, then all values are read as one array.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import numpy as np

from mdus.contracts.printable import printable
from mdus.domain.head_end import FieldEvent, UnreadableLine
from mdus.domain.quantities import NOTHING_SAID, Qualities, Quantities, plain_numbers, records
from mdus.headends.file_drop.numbers import number
from mdus.headends.file_drop.rows import BYTE_ORDER_MARK, columns, split
from mdus.headends.file_drop.runs import EPOCH, Run, blocks, runs

#: The header, and the columns as they must stand; the quality may be left out.
HEADER: Final = "meter,reading_type,unit,interval_minutes,start,value,quality"
_COLUMNS: Final = HEADER.split(",")
_WITHOUT_QUALITY: Final = _COLUMNS[:-1]

_QUALITY: Final = re.compile(rb"\d{1,3}\.\d{1,3}\.\d{1,4}")
_MINUTE: Final = timedelta(minutes=1)
_EARLIEST: Final = (datetime.min.replace(tzinfo=UTC) - EPOCH) // _MINUTE
_LATEST: Final = (datetime.max.replace(tzinfo=UTC) - EPOCH) // _MINUTE


@dataclass(slots=True)
class _Channel:
    """The rows of one meter, reading type, unit and interval length."""

    serial_id: str
    reading_type: str
    unit: str
    minutes: int
    lines: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    texts: list[bytes] = field(default_factory=list)
    codes: list[bytes] = field(default_factory=list)


def is_header(line: bytes) -> bool:
    """Tell whether a line is the header of such a file."""
    return _header(line) is not None


def _header(line: bytes) -> list[str] | None:
    names = columns(line)
    return names if names in (_COLUMNS, _WITHOUT_QUALITY) else None


def decode(body: bytes) -> Iterator[FieldEvent]:
    """Yield the values of a file by meter, and each row that cannot be read; raises ValueError without its header."""
    head, _, rows = body.removeprefix(BYTE_ORDER_MARK).partition(b"\n")
    names = _header(head)
    if names is None:
        raise ValueError(f"line 1: the header {HEADER} is expected, found {_shown(head)}")
    has_quality = len(names) == len(_COLUMNS)
    channels: dict[bytes, _Channel] = {}
    instants: dict[bytes, int] = {}
    for line, text in enumerate(rows.split(b"\n"), start=2):
        row = text.rstrip(b"\r")
        if not row:
            continue
        try:
            if b'"' in row:
                row = _unquoted(row)
            name, start, value, code = row.rsplit(b",", 3) if has_quality else (*row.rsplit(b",", 2), b"")
            channel = channels.get(name)
            if channel is None:
                channel = channels[name] = _channel(name)
            at = instants.get(start)
            if at is None:
                at = instants[start] = _instant(start)
            _check_end(at, channel.minutes)
            _check_quality(code)
        except ValueError as error:
            yield UnreadableLine(line=line, reason=_reason(error, row, names))
            continue
        channel.lines.append(line)
        channel.starts.append(at)
        channel.texts.append(value)
        channel.codes.append(code)
    yield from _read([channel for channel in channels.values() if channel.starts])


def _reason(error: ValueError, row: bytes, names: Sequence[str]) -> str:
    if row.count(b",") + 1 != len(names):
        return f"{len(names)} columns are expected, found {row.count(b',') + 1}"
    return str(error)


def _unquoted(row: bytes) -> bytes:
    """Return a row without its quotes; a comma within them is none of a number, a code or a meter."""
    fields = split(row.decode("utf-8", "replace"))
    if any("," in each for each in fields):
        raise ValueError("no comma is expected within a column")
    return ",".join(fields).encode()


def _check_quality(code: bytes) -> None:
    if code and not _QUALITY.fullmatch(code):
        raise ValueError(f"quality: a code such as 2.5.259 is expected, found {_shown(code)}")


def _check_end(start: int, minutes: int) -> None:
    if start + minutes > _LATEST:
        raise ValueError("start: an interval within the calendar is expected, found one that ends beyond it")


def _channel(name: bytes) -> _Channel:
    fields = printable(name.decode("utf-8", "replace")).split(",")
    if len(fields) != 4:
        raise ValueError(f"{len(_COLUMNS)} columns are expected")
    serial_id, reading_type, unit, minutes = (each.strip() for each in fields)
    if not serial_id or not reading_type:
        raise ValueError("a meter and a reading type are expected")
    if not (minutes.isascii() and minutes.isdigit() and int(minutes[:9]) > 0):
        raise ValueError(f"interval_minutes: a number of minutes is expected, found {minutes!r}")
    return _Channel(serial_id, reading_type, unit, int(minutes[:9]))


def _instant(text: bytes) -> int:
    shown = _shown(text)
    try:
        at = datetime.fromisoformat(text.decode("ascii").strip())
    except ValueError:
        raise ValueError(f"start: an instant such as 2026-03-29T00:00:00Z is expected, found {shown}") from None
    if at.tzinfo is None:
        raise ValueError(f"start: an instant with Z or an offset is expected, found {shown}")
    minutes, off = divmod(at - EPOCH, _MINUTE)
    if off:
        raise ValueError(f"start: a whole minute is expected, found {shown}")
    if minutes < _EARLIEST:
        raise ValueError(f"start: an instant within the calendar is expected, found {shown}")
    return minutes


def _read(channels: Sequence[_Channel]) -> Iterator[FieldEvent]:
    if not channels:
        return
    counts = [len(channel.texts) for channel in channels]
    texts = b"".join([b",".join(channel.texts) + b"," for channel in channels])
    numbers = plain_numbers(texts, sum(counts))
    oddities = np.logical_or.reduceat(numbers.odd, np.cumsum([0, *counts[:-1]])).tolist()
    known: dict[tuple[int, ...], Sequence[Run]] = {}
    for channel, quantities, is_odd in zip(channels, records(numbers, counts), oddities, strict=True):
        if is_odd:
            quantities, mistakes = _one_by_one(channel)
            yield from mistakes
        key = (channel.minutes, *channel.starts)
        found = known.get(key)
        if found is None:
            found = known[key] = runs(channel.starts, channel.minutes)
        codes = [code.decode() for code in channel.codes] if any(channel.codes) else []
        yield from blocks(
            found,
            quantities,
            Qualities.of(codes) if codes else NOTHING_SAID,
            serial_id=channel.serial_id,
            reading_type=channel.reading_type,
            unit=channel.unit,
            minutes=channel.minutes,
        )


def _one_by_one(channel: _Channel) -> tuple[Quantities, list[UnreadableLine]]:
    values: list[Decimal | None] = []
    mistakes = []
    for line, text in zip(channel.lines, channel.texts, strict=True):
        stripped = text.decode("utf-8", "replace").strip()
        value = number(stripped) if stripped else None
        if stripped and value is None:
            reason = f"value: a number is expected, found {_shown(text)}"
            mistakes.append(UnreadableLine(line=line, reason=reason))
        values.append(value)
    return Quantities.of(values), mistakes


def _shown(text: bytes) -> str:
    return repr(printable(text[:60].decode("utf-8", "replace")))
