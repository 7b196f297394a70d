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

from collections.abc import Iterable, Iterator, Sequence
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
from mdus.domain.local_time import Receipt
from mdus.domain.quantities import NOTHING_SAID, Qualities, Quantities, plain_numbers, records
from mdus.headends.file_drop.cmep_fields import (
    count_of,
    fields_of,
    interval_of,
    minute_of,
    minutes_told,
    multiplier_of,
    serial_of,
    shown,
)
from mdus.headends.file_drop.cmep_tables import INTERVALS, THERE_TWICE, CmepTables
from mdus.headends.file_drop.local_time import LocalTime, ToldTimes
from mdus.headends.file_drop.numbers import MOST_DIGITS, number
from mdus.headends.file_drop.rows import BYTE_ORDER_MARK
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


class _Line(NamedTuple):
    """A record of MEPMD01, and what was made of it: nothing where each of its times may be either of two."""

    line: int
    fields: list[bytes]
    record: _Record | None

    @property
    def known(self) -> int:
        """Return how many of its times can mean one instant only."""
        return 0 if self.record is None else len(self.record.texts)

    @property
    def is_open(self) -> bool:
        """Tell whether a time of it may be either of two."""
        return self.record is None or bool(self.record.times.unclear)


class _ThereTwice(ValueError):
    """Each time of a record may be either of two."""


def decode(body: bytes, tables: CmepTables, *, came_at: datetime | None = None) -> Iterator[FieldEvent]:
    """Yield what the records of a file tell, and each line or value that cannot be read; a bad one costs no other.

    `came_at` is when the file came.
    """
    known = _Known()
    told: Iterable[_Line | FieldEvent] = _lines(body, tables, known)
    if tables.clock is not None:
        told = _told_apart(list(told), tables, tables.clock, known, came_at)
    waiting: list[_Record] = []
    for each in told:
        if not isinstance(each, _Line):
            yield each
        elif each.record is None:
            yield UnreadableLine(line=each.line, reason=THERE_TWICE)
        else:
            waiting.append(each.record)
            for place in sorted(each.record.times.unclear):
                yield UnreadableLine(line=each.line, reason=f"value {place + 1}: {THERE_TWICE}")
        if len(waiting) == _RECORDS:
            yield from _read(waiting)
            waiting = []
    if waiting:
        yield from _read(waiting)


def _lines(body: bytes, tables: CmepTables, known: _Known) -> Iterator[_Line | FieldEvent]:
    """Yield the records of MEPMD01 in a file as far as each says by itself what it tells, and what else is in it."""
    for line, text in enumerate(body.removeprefix(BYTE_ORDER_MARK).split(b"\n"), start=1):
        if not text or text == b"\r":
            continue
        try:
            fields = fields_of(text)
            if fields[0] != INTERVALS:
                fields = tables.arranged(fields)
                if not fields:
                    continue
            if fields[0] == INTERVALS:
                yield _Line(line, fields, _record(line, fields, tables, known))
            else:
                yield from _times_of_use(fields, tables)
        except _ThereTwice:
            yield _Line(line, fields, None)
        except ValueError as error:
            yield UnreadableLine(line=line, reason=str(error))
        except OverflowError:
            yield UnreadableLine(line=line, reason="times within the calendar are expected")


def _told_apart(
    told: list[_Line | FieldEvent], tables: CmepTables, clock: LocalTime, known: _Known, came_at: datetime | None
) -> list[_Line | FieldEvent]:
    """Return the same, with times told apart by the other records of their channel, or by when the file came."""
    if not any(isinstance(each, _Line) and each.is_open for each in told):
        return told
    channels: dict[tuple[bytes, ...], list[tuple[int, _Line]]] = {}
    for place, each in enumerate(told):
        if isinstance(each, _Line):
            channel = (each.fields[7] or each.fields[(tables.meter_field or 8) - 1], *each.fields[8:13])
            channels.setdefault(channel, []).append((place, each))
    found = list(told)
    for lines in channels.values():
        if not any(each.is_open for _, each in lines):
            continue
        kind = known.kinds[_named(lines[0][1].fields)]
        begins = kind.is_interval and not tables.tells_ends
        length = timedelta(minutes=kind.minutes if begins else 0)
        receipt = None if came_at is None else Receipt(came_at=came_at, over_after=length)
        times = [_told_times(each.fields, kind) for _, each in lines]
        for (place, each), ats in zip(lines, clock.instants_of_records(times, receipt=receipt), strict=True):
            if each.known < len(ats) - ats.count(None):
                found[place] = _again(each, ats, kind, tables, known)
    return found


def _again(
    told: _Line, ats: Sequence[int | None], kind: _Kind, tables: CmepTables, known: _Known
) -> _Line | UnreadableLine:
    try:
        return told._replace(record=_record(told.line, told.fields, tables, known, _placed(ats, kind, tables)))
    except ValueError as error:
        return UnreadableLine(line=told.line, reason=str(error))


def _told_times(fields: Sequence[bytes], kind: _Kind) -> ToldTimes:
    first = FIRST_VALUE["MEPMD01"]
    end = first + 3 * count_of(fields, first)
    flags, texts = ([each.decode("utf-8", "replace") for each in fields[first + place : end : 3]] for place in (1, 2))
    says = list(zip(flags, texts, strict=True))
    return ToldTimes(minutes_told(fields[first:end:3], kind.minutes), kind.minutes, says)


def _record(line: int, fields: list[bytes], tables: CmepTables, known: _Known, times: _Times | None = None) -> _Record:
    """Return a record, at these times where others say which are meant."""
    first = FIRST_VALUE["MEPMD01"]
    count = count_of(fields, first)
    end = first + 3 * count
    named = _named(fields)
    kind = known.kinds.get(named)
    if kind is None:
        kind = known.kinds[named] = _kind(named, tables)
    if times is None:
        times = _times(fields[first:end:3], kind, tables, known)
    flags, texts = fields[first + 1 : end : 3], fields[first + 2 : end : 3]
    places: Sequence[int] = range(count)
    if times.unclear:
        places = [place for place in places if place not in times.unclear]
        flags, texts = ([some[place] for place in places] for some in (flags, texts))
    return _Record(line, serial_of(fields, tables), kind, _flags(flags, tables, known), times, texts, places)


def _named(fields: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return what says what all values of a record are."""
    return (*fields[8:13], fields[FIRST_VALUE["MEPMD01"]])


def _kind(named: Sequence[bytes], tables: CmepTables) -> _Kind:
    purpose, commodity, unit, multiplier, interval = (each.decode("utf-8", "replace") for each in named[:5])
    minutes = interval_of(interval)
    at = tables.earliest(minute_of(named[5], "value 1")) if named[5] else None
    name = _name(purpose, commodity, unit, is_irregular=not minutes)
    channel = tables.channels.find(name, at=None if at is None else EPOCH + at * _MINUTE)
    return _Kind(name, channel, _factor(multiplier_of(multiplier, 12), channel), minutes)


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
    return _placed(tables.instants(minutes_told(times, kind.minutes), kind.minutes), kind, tables)


def _placed(found: Sequence[int | None], kind: _Kind, tables: CmepTables) -> _Times:
    """Return the times of a record by their instants. Raises ValueError where they contradict its interval."""
    ends = [end for end in found if end is not None]
    unclear = frozenset(place for place, end in enumerate(found) if end is None)
    if not ends:
        raise _ThereTwice(THERE_TWICE)
    if max(ends) > _LATEST:
        raise ValueError("times within the calendar are expected")
    if not kind.is_interval:
        return _Times(0, (), tuple(EPOCH + end * _MINUTE for end in ends), ends, unclear)
    minutes = kind.minutes or _apart(ends)
    _check_apart(ends, minutes)
    starts = [end - minutes for end in ends] if tables.tells_ends else ends
    return _Times(minutes, runs(starts, minutes), (), ends, unclear)


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
            reason = f"value {place + 1}: a number is expected, found {shown(text)}"
            mistakes.append(UnreadableLine(line=record.line, reason=reason))
        values.append(value)
    return Quantities.of(values), mistakes


def _times_of_use(fields: list[bytes], tables: CmepTables) -> Iterator[FieldEvent]:
    """Yield what a record of MEPMD02 tells: registers as they stood at its end, or what passed in a day."""
    first = FIRST_VALUE["MEPMD02"]
    count, serial_id = count_of(fields, first), serial_of(fields, tables)
    purpose, commodity, unit = (each.decode("utf-8", "replace") for each in fields[8:11])
    multiplier = multiplier_of(fields[12].decode("utf-8", "replace"), 13)
    end = tables.day_bound(minute_of(fields[14], "field 15"), "field 15")
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
    start = tables.day_bound(minute_of(begin, "field 14"), "field 14")
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
