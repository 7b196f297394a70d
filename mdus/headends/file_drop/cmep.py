"""CMEP, the California Metering Exchange Protocol: interval values (MEPMD01) and times of use (MEPMD02) into events.

Read in the published specification 1.20 of March 7, 2000 (Revision "EDI DASR"), which parsers of several vendors agree
with: one record a line, fields separated by commas, packed, quoted where they hold one; all times UTC, CCYYMMDDHHMM,
at the END of their interval, where the options of a feed do not say otherwise; an interval as MMDDHHMM.

```
      MEPMD01               MEPMD02
0     record type           record type
1     record version        record version
2..5  sender, its customer, receiver, its customer
6     time of the record
7     meter: serial number on its faceplate
8     purpose: OK, RESEND, HISTORY; SUMMARY, PROFILE, TEMPLATE, REJECT hold no measured values
9     commodity: E G W S
10    units: KWH, KWHREG ...
11    multiplier            season
12    interval              multiplier
13    count                 start
14..  time, flag, value     end
15                          count
16..                        label, flag, value
```
After the last triplet a CRC (H and four digits) or an empty field may stand. Its polynomial is not in the text at hand,
so it is not checked. The limits of 48 triplets and 2,048 characters are not minded: senders do not. A flag with zeros
behind it (`R0`) is the flag: the digits are bits of a vendor. Other digits without a row of their own are told as a
quality that is not mapped, beside the value with what its letter says.

One difference is on purpose: the specification reads an empty number as zero; here an empty value is no value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdus.contracts.printable import printable
from mdus.domain.channel import MISSING
from mdus.domain.channel_map import ChannelKind, Mapped
from mdus.domain.channel_name import CmepName
from mdus.domain.head_end import FieldEvent, FieldReading, Unmapped, UnreadableLine
from mdus.domain.quantities import NOTHING_SAID, Qualities, Quantities, plain_numbers, records
from mdus.headends.file_drop.cmep_tables import INTERVALS, THERE_TWICE, CmepTables
from mdus.headends.file_drop.numbers import MOST_DIGITS, number
from mdus.headends.file_drop.rows import BYTE_ORDER_MARK, split
from mdus.headends.file_drop.runs import EPOCH, Run, blocks, runs
from mdus.headends.file_drop.tables import FIRST_VALUE

#: Purposes of records that hold what a meter measured.
_MEASURED: Final = frozenset({"OK", "RESEND", "HISTORY", ""})

#: Records read at once: their values are one array, which a processor's cache holds.
_RECORDS: Final = 250

_MINUTE: Final = timedelta(minutes=1)
_LATEST: Final = (datetime.max.replace(tzinfo=UTC) - EPOCH) // _MINUTE
_A_DAY: Final = 1440
#: A local day lasts so many minutes.
_DAYS: Final = frozenset({_A_DAY - 60, _A_DAY, _A_DAY + 60})


class _Kind(NamedTuple):
    """What all values of a record are; no channel where no row explains the name."""

    name: CmepName
    channel: Mapped | None
    factor: Decimal
    minutes: int  # of an interval, 0 where the record does not say

    @property
    def is_interval(self) -> bool:
        """Tell whether the values are of intervals; of an unknown name they are where the record says one."""
        if self.channel is None:
            return self.minutes > 0
        return self.channel.kind is ChannelKind.INTERVAL


class _Flags(NamedTuple):
    """What the flags of a record say: of the values, which of them are none, and what of it no row explains."""

    qualities: Qualities
    absent: NDArray[np.bool_] | None
    unmapped: Sequence[tuple[int, str]]  # of each such flag: the value it stands at first


class _Times(NamedTuple):
    """When the values of a record were: as runs of intervals, or as instants at which a register was read.

    `ends` are the minutes they were told with, `unclear` the places of those that may be either of two instants: their
    values are in none of the others.
    """

    minutes: int
    runs: Sequence[Run]
    instants: Sequence[datetime]
    ends: Sequence[int]
    unclear: frozenset[int]


class _Record(NamedTuple):
    """A record of MEPMD01 whose values are still texts; `places` are theirs among the triplets."""

    line: int
    serial_id: str
    kind: _Kind
    flags: _Flags
    times: _Times
    texts: Sequence[bytes]
    places: Sequence[int]

    def at(self, place: int) -> datetime:
        """Return the time a value was told with."""
        return EPOCH + self.times.ends[place] * _MINUTE


@dataclass(slots=True)
class _Known:
    """What was made of texts already: records of a file are much alike."""

    kinds: dict[tuple[bytes, ...], _Kind] = field(default_factory=dict)
    flags: dict[tuple[bytes, ...], _Flags] = field(default_factory=dict)
    times: dict[tuple[bytes, ...], _Times] = field(default_factory=dict)
    newest: tuple[Sequence[bytes], int, bool, _Times] | None = None


def decode(body: bytes, tables: CmepTables) -> Iterator[FieldEvent]:
    """Yield what the records of a file tell, and each line or value that cannot be read; a bad one costs no other."""
    known = _Known()
    waiting: list[_Record] = []
    for line, text in enumerate(body.removeprefix(BYTE_ORDER_MARK).split(b"\n"), start=1):
        if not text or text == b"\r":
            continue
        try:
            fields = _fields(text)
            if fields[0] != INTERVALS:
                fields = tables.arranged(fields)
                if not fields:
                    continue
            if fields[0] == INTERVALS:
                record = _record(line, fields, tables, known)
                waiting.append(record)
                for place in sorted(record.times.unclear):
                    yield UnreadableLine(line=line, reason=f"value {place + 1}: {THERE_TWICE}")
            else:
                yield from _times_of_use(fields, tables)
        except ValueError as error:
            yield UnreadableLine(line=line, reason=str(error))
        except OverflowError:
            yield UnreadableLine(line=line, reason="times within the calendar are expected")
        if len(waiting) == _RECORDS:
            yield from _read(waiting)
            waiting = []
    if waiting:
        yield from _read(waiting)


def _fields(text: bytes) -> list[bytes]:
    text = text.rstrip(b"\r")
    if b'"' in text:
        return [each.encode() for each in split(text.decode("utf-8", "replace"))]
    if b" " in text:
        return [each.strip() for each in text.split(b",")]
    return text.split(b",")


def _record(line: int, fields: list[bytes], tables: CmepTables, known: _Known) -> _Record:
    first = FIRST_VALUE["MEPMD01"]
    count = _count(fields, first)
    end = first + 3 * count
    named = (*fields[8:13], fields[first])
    kind = known.kinds.get(named)
    if kind is None:
        kind = known.kinds[named] = _kind(named, tables)
    times = _times(fields[first:end:3], kind, tables, known)
    flags, texts = fields[first + 1 : end : 3], fields[first + 2 : end : 3]
    places: Sequence[int] = range(count)
    if times.unclear:
        places = [place for place in places if place not in times.unclear]
        flags, texts = ([some[place] for place in places] for some in (flags, texts))
    return _Record(line, _serial(fields, tables), kind, _flags(flags, tables, known), times, texts, places)


def _count(fields: Sequence[bytes], first: int) -> int:
    """Return how many triplets a record has, when it has as many as it says."""
    if len(fields) < first:
        raise ValueError(f"{first} fields and triplets are expected, found {len(fields)} fields")
    told = fields[first - 1]
    if not told.isdigit() or len(told) > 6 or int(told) == 0:
        raise ValueError(f"field {first}: a number of triplets is expected, found {_shown(told)}")
    count = int(told)
    after = fields[first + 3 * count :]
    is_checksum = len(after) == 1 and (not after[0] or (after[0][:1] == b"H" and len(after[0]) == 5))
    if len(fields) < first + 3 * count or (after and not is_checksum):
        raise ValueError(f"{count} triplets are expected, found {len(fields) - first} fields of triplets")
    return count


def _serial(fields: Sequence[bytes], tables: CmepTables) -> str:
    text = fields[7]
    if not text and tables.meter_field is not None:
        text = fields[tables.meter_field - 1]
    serial = printable(text.decode("utf-8", "replace"))
    if not serial:
        raise ValueError("field 8: the meter is expected, found nothing")
    return serial


def _kind(named: Sequence[bytes], tables: CmepTables) -> _Kind:
    purpose, commodity, unit, multiplier, interval = (each.decode("utf-8", "replace") for each in named[:5])
    minutes = _interval(interval)
    at = tables.earliest(_minute(named[5], "value 1")) if named[5] else None
    name = _name(purpose, commodity, unit, is_irregular=not minutes)
    channel = tables.channels.find(name, at=None if at is None else EPOCH + at * _MINUTE)
    return _Kind(name, channel, _factor(_multiplier(multiplier, 12), channel), minutes)


def _name(purpose: str, commodity: str, unit: str, *, label: str = "", is_irregular: bool = False) -> CmepName:
    if purpose not in _MEASURED:
        raise ValueError(f"field 9: measured values (OK, RESEND, HISTORY) are expected, found {printable(purpose)!r}")
    return CmepName(
        commodity=printable(commodity), unit=printable(unit), label=printable(label), is_irregular=is_irregular
    )


def _factor(multiplier: Decimal, channel: Mapped | None) -> Decimal:
    if channel is None or channel.factor == 1:
        return multiplier
    with localcontext(prec=MOST_DIGITS):
        return multiplier * channel.factor


def _multiplier(text: str, place: int) -> Decimal:
    multiplier = number(text) if text else Decimal(1)
    if multiplier is None or not multiplier:
        raise ValueError(f"field {place}: a multiplier is expected, found {printable(text)!r}")
    return multiplier.normalize() if multiplier != 1 else Decimal(1)


def _interval(text: str) -> int:
    """Return the minutes of MMDDHHMM, 0 for none; a month is no number of minutes."""
    if text and not (len(text) == 8 and text.isascii() and text.isdigit()):
        raise ValueError(f"field 13: an interval MMDDHHMM is expected, found {printable(text)!r}")
    months, days, hours, minutes = (int(text[at : at + 2] or 0) for at in range(0, 8, 2))
    if months:
        raise ValueError(f"field 13: an interval of a day at most is expected, found {months} months")
    return days * _A_DAY + hours * 60 + minutes


def _flags(flags: Sequence[bytes], tables: CmepTables, known: _Known) -> _Flags:
    key = (flags[0], b"%d" % len(flags)) if flags.count(flags[0]) == len(flags) else tuple(flags)
    found = known.flags.get(key)
    if found is None:
        texts = [printable(flag.decode("utf-8", "replace")) for flag in flags]
        said = [tables.flag(text) for text in texts]
        rows = [row for row, _ in said]
        lacking = {text: texts.index(text) for text, (_, is_mapped) in zip(texts, said, strict=True) if not is_mapped}
        absent = np.array([not row.is_value for row in rows], dtype=np.bool_)
        qualities = [row.quality if row.is_value else None for row in rows]
        marks = Qualities.of(qualities) if any(qualities) else NOTHING_SAID
        unmapped = [(place, text) for text, place in lacking.items()]
        found = known.flags[key] = _Flags(marks, absent if absent.any() else None, unmapped)
    return found


def _times(times: Sequence[bytes], kind: _Kind, tables: CmepTables, known: _Known) -> _Times:
    newest = known.newest
    if newest is not None and newest[1] == kind.minutes and newest[2] is kind.is_interval and newest[0] == times:
        return newest[3]
    key = (b"%d" % kind.is_interval, b"%d" % kind.minutes, *times)
    found = known.times.get(key)
    if found is None:
        found = known.times[key] = _read_times(times, kind, tables)
    known.newest = (times, kind.minutes, kind.is_interval, found)
    return found


def _read_times(times: Sequence[bytes], kind: _Kind, tables: CmepTables) -> _Times:
    told: list[int | None] = []
    for place, text in enumerate(times, start=1):
        if not text and not (told and kind.minutes):
            raise ValueError(f"value {place}: a time is expected where neither a time nor an interval is before it")
        told.append(_minute(text, f"value {place}") if text else None)
    found = tables.instants(told, kind.minutes)
    ends = [end for end in found if end is not None]
    unclear = frozenset(place for place, end in enumerate(found) if end is None)
    if not ends:
        raise ValueError(THERE_TWICE)
    if max(ends) > _LATEST:
        raise ValueError("times within the calendar are expected")
    if not kind.is_interval:
        return _Times(0, (), tuple(EPOCH + end * _MINUTE for end in ends), ends, unclear)
    minutes = kind.minutes or _apart(ends)
    _check_apart(ends, minutes)
    starts = [end - minutes for end in ends] if tables.tells_ends else ends
    return _Times(minutes, runs(starts, minutes), (), ends, unclear)


def _minute(text: bytes, where: str) -> int:
    expected = f"{where}: a time CCYYMMDDHHMM is expected, found {_shown(text)}"
    if len(text) != 12 or not text.isdigit():
        raise ValueError(expected)
    month, day, hour, minute = (int(text[at : at + 2]) for at in range(4, 12, 2))
    try:
        return (datetime(int(text[:4]), month, day, hour, minute, tzinfo=UTC) - EPOCH) // _MINUTE
    except ValueError:
        raise ValueError(expected) from None


def _distances(ends: Sequence[int]) -> list[int]:
    return [later - earlier for earlier, later in pairwise(sorted(set(ends)))]


def _apart(ends: Sequence[int]) -> int:
    apart = _distances(ends)
    if not apart:
        raise ValueError("field 13: the interval of a single value is expected, found nothing")
    return min(apart)


def _check_apart(ends: Sequence[int], minutes: int) -> None:
    """Raise ValueError where the times of a record contradict its interval: the values would be of other intervals."""
    apart = _distances(ends)
    nearest = min(apart, default=minutes)
    if minutes != _A_DAY and (nearest < minutes or (len(apart) > 2 and nearest > minutes)):
        raise ValueError(f"values {minutes} minutes apart are expected, found {nearest} minutes")


def _read(waiting: Sequence[_Record]) -> Iterator[FieldEvent]:
    """Yield what records tell whose values are read as one array."""
    counts = [len(record.texts) for record in waiting]
    texts = b"".join([b",".join(record.texts) + b"," for record in waiting])
    numbers = plain_numbers(texts, sum(counts))
    first, odd = 0, numbers.odd
    oddities = [bool(some) for some in np.logical_or.reduceat(odd, np.cumsum([0, *counts[:-1]]))]
    for record, quantities, is_odd in zip(waiting, records(numbers, counts), oddities, strict=True):
        if is_odd:
            quantities, mistakes = _one_by_one(record)
            yield from mistakes
        first += len(record.texts)
        absent = record.flags.absent
        if absent is not None:
            unfit = {place: text for place, text in quantities.unfit.items() if not absent[place]}
            elements = np.where(absent, MISSING, quantities.elements)
            quantities = Quantities(elements=elements, decimals=quantities.decimals, unfit=unfit)
        if record.kind.factor != 1:
            quantities = quantities.times(record.kind.factor)
        yield from _told(record, quantities)


def _told(record: _Record, quantities: Quantities) -> Iterator[FieldEvent]:
    name, channel, _, minutes = record.kind
    for place, flag in record.flags.unmapped:
        yield Unmapped(
            serial_id=record.serial_id, source="quality", code=f"cmep: {flag}", at=record.at(place), text=name.unit
        )
    if channel is None:
        told = printable(b",".join(record.texts).decode("utf-8", "replace"))
        text = f"{len(quantities)} values" + (f" of {minutes} minutes" if minutes else "")
        yield Unmapped(
            serial_id=record.serial_id, source="channel", code=str(name), at=record.at(0), value=told, text=text
        )
    elif record.kind.is_interval:
        yield from blocks(
            record.times.runs,
            quantities,
            record.flags.qualities,
            serial_id=record.serial_id,
            reading_type=channel.reading_type,
            unit=channel.unit,
            minutes=record.times.minutes,
        )
    else:
        for at, value in zip(record.times.instants, quantities, strict=True):
            if value is not None:
                yield FieldReading(
                    serial_id=record.serial_id,
                    reading_type=channel.reading_type,
                    measured_at=at,
                    value=value,
                    unit=channel.unit,
                )


def _one_by_one(record: _Record) -> tuple[Quantities, list[UnreadableLine]]:
    """Return the values of a record in which not all are plain numbers, and which of them are none at all."""
    values: list[Decimal | None] = []
    mistakes = []
    for place, text in zip(record.places, record.texts, strict=True):
        value = number(text.decode("utf-8", "replace")) if text else None
        if text and value is None:
            reason = f"value {place + 1}: a number is expected, found {_shown(text)}"
            mistakes.append(UnreadableLine(line=record.line, reason=reason))
        values.append(value)
    return Quantities.of(values), mistakes


def _times_of_use(fields: list[bytes], tables: CmepTables) -> Iterator[FieldEvent]:
    """Yield what a record of MEPMD02 tells: registers as they stood at its end, or what passed in a day."""
    first = FIRST_VALUE["MEPMD02"]
    count, serial_id = _count(fields, first), _serial(fields, tables)
    purpose, commodity, unit = (each.decode("utf-8", "replace") for each in fields[8:11])
    multiplier = _multiplier(fields[12].decode("utf-8", "replace"), 13)
    end = tables.day_bound(_minute(fields[14], "field 15"), "field 15")
    at = EPOCH + end * _MINUTE
    for place in range(count):
        label, flag, text = (
            printable(each.decode("utf-8", "replace")) for each in fields[first + 3 * place : first + 3 * place + 3]
        )
        name = _name(purpose, commodity, unit, label=label)
        said, is_mapped = tables.flag(flag)
        if not is_mapped:
            yield Unmapped(serial_id=serial_id, source="quality", code=f"cmep: {flag}", at=at, text=name.unit)
        value = number(text) if text else None
        if text and value is None:
            raise ValueError(f"value {place + 1}: a number is expected, found {text[:40]!r}")
        if value is None or not said.is_value:
            continue
        channel = tables.channels.find(name, at=at)
        (exact,) = Quantities.of([value]).times(_factor(multiplier, channel))
        if channel is None or exact is None:
            yield Unmapped(serial_id=serial_id, source="channel", code=str(name), at=at, value=str(exact))
        elif channel.kind is ChannelKind.INTERVAL:
            yield from _day(fields[13], end, exact, said.quality, serial_id=serial_id, channel=channel, tables=tables)
        else:
            yield FieldReading(
                serial_id=serial_id,
                reading_type=channel.reading_type,
                measured_at=at,
                value=exact,
                unit=channel.unit,
            )


def _day(
    begin: bytes, end: int, value: Decimal, quality: str, *, serial_id: str, channel: Mapped, tables: CmepTables
) -> Iterator[FieldEvent]:
    start = tables.day_bound(_minute(begin, "field 14"), "field 14")
    if end - start not in _DAYS:
        raise ValueError(f"fields 14 and 15: a day is expected, found {end - start} minutes")
    yield from blocks(
        [Run(EPOCH + start * _MINUTE, 1)],
        Quantities.of([value]),
        Qualities.of([quality]) if quality else NOTHING_SAID,
        serial_id=serial_id,
        reading_type=channel.reading_type,
        unit=channel.unit,
        minutes=_A_DAY,
    )


def _shown(text: bytes) -> str:
    return repr(printable(text[:40].decode("utf-8", "replace")))
