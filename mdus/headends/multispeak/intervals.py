"""Interval values out of intervalData: profiles say what channels there are, blocks hold their values.

`d` joins the values of a channel by intervalDelimiter, each perhaps followed by statusDelimiter and a status; `cS` is
the status of all of a block. intervalStart is where the first interval begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from lxml import etree

from mdus.domain.channel_name import MultiSpeakName
from mdus.domain.head_end import FieldIntervals, Unmapped, UnreadableLine
from mdus.domain.local_time import Meanings, Receipt, Said, told_apart
from mdus.domain.quantities import NOTHING_SAID, Qualities, Quantities, plain_numbers, records
from mdus.headends.multispeak import soap
from mdus.headends.multispeak.mapping import Tables
from mdus.headends.multispeak.readings import serial_of, service_of

_MINUTE: Final = timedelta(minutes=1)
_NOTHING: Final = timedelta(0)
_A_DAY: Final = 1440
_LONGEST: Final = 366 * _A_DAY
_LATEST: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class MeterBlock:
    """The interval values of one meter in one block."""

    serial: str
    intervals: tuple[FieldIntervals, ...]
    unmapped: tuple[Unmapped, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Profile:
    minutes: int
    channels: Mapping[str, MultiSpeakName]  # by index, as it is written


class IntervalsReader:
    """Reads what one head end tells of intervals; `unit` is the one of intervalLength."""

    def __init__(self, tables: Tables, *, zone: str, unit: str) -> None:
        self._tables = tables
        self._zone = zone
        self._length = timedelta(**{unit: 1})

    def blocks(self, message: etree._Element, *, came_at: datetime | None) -> Iterator[MeterBlock | UnreadableLine]:
        """Yield the blocks anywhere in a message that came at an instant."""
        for blocks in soap.everywhere(message, "blocks"):
            data = blocks.getparent()
            told = list(soap.children(blocks, "block"))
            for block, starts in zip(told, self._starts(told, data, came_at), strict=True):
                try:
                    yield self._block(block, data, starts)
                except ValueError as error:
                    yield UnreadableLine(line=soap.line(block), reason=f"block: {error}")

    def _starts(
        self, blocks: Sequence[etree._Element], data: etree._Element | None, came_at: datetime | None
    ) -> list[Meanings]:
        """Return the instants at which blocks may begin.

        Of a time that is there twice the blocks around it say which, or when it came, but not where one may be told
        again.
        """
        starts = [self._meanings(block) for block in blocks]
        if all(len(meant) < 2 for meant in starts):
            return starts
        series: dict[tuple[str | None, ...], list[int]] = {}
        for place, block in enumerate(blocks):
            indices = [soap.text(channel, "idx") for channel in soap.everywhere(block, "ch")]
            series.setdefault((serial_of(block), soap.text(block, "profileID"), *indices), []).append(place)
        lengths = [self._duration(block, data) for block in blocks]
        for places in series.values():
            known = [place for place in places if starts[place]]
            found = told_apart(
                [starts[place] for place in known],
                [lengths[place] for place in known],
                says=[_said(blocks[place], data) for place in known],
                receipt=self._receipt(blocks[places[0]], data, came_at),
            )
            for place, at in zip(known, found, strict=True):
                starts[place] = starts[place] if at is None else (at,)
        return starts

    def _receipt(self, block: etree._Element, data: etree._Element | None, came_at: datetime | None) -> Receipt | None:
        """Return when a block came, and how long after its beginning the first interval is over."""
        if came_at is None:
            return None
        try:
            minutes = self._profile(data, soap.text(block, "profileID")).minutes
        except ValueError:
            minutes = 0
        return Receipt(came_at=came_at, over_after=min(minutes, _A_DAY) * _MINUTE)

    def _meanings(self, block: etree._Element) -> Meanings:
        try:
            return soap.instants(soap.text(block, "intervalStart") or "", "intervalStart", zone=self._zone)
        except ValueError:
            return ()  # told when the block is read

    def _duration(self, block: etree._Element, data: etree._Element | None) -> timedelta:
        """Return how long the intervals of a block last together, nothing where it cannot be read or they are days.

        Days are not all as long as each other.
        """
        try:
            minutes = self._profile(data, soap.text(block, "profileID")).minutes
        except ValueError:
            return _NOTHING
        between = _delimiter(data, "intervalDelimiter", ",")
        counts = [(soap.text(channel, "d") or "").count(between) + 1 for channel in soap.everywhere(block, "ch")]
        length = minutes * max(counts, default=0)
        return _NOTHING if minutes % _A_DAY == 0 or length > _LONGEST else length * _MINUTE

    def _block(self, block: etree._Element, data: etree._Element | None, starts: Meanings) -> MeterBlock:
        serial = serial_of(block)
        if serial is None:
            raise ValueError("it names no meter")
        profile = self._profile(data, soap.text(block, "profileID"))
        start_text = soap.text(block, "intervalStart")
        if start_text is None:
            raise ValueError("it has no intervalStart")
        start = starts[0] if len(starts) == 1 else soap.instant(start_text, "intervalStart", zone=self._zone)
        inside = soap.child(block, "dB")
        common, service = soap.text(inside, "cS"), service_of(block)
        found: list[FieldIntervals] = []
        unmapped: list[Unmapped] = []
        for channel in soap.everywhere(inside, "ch"):
            index, text = soap.text(channel, "idx") or "", soap.text(channel, "d")
            name = profile.channels.get(index)
            if name is None:
                raise ValueError(f"channel {index!r} is not in its profile")
            if text is None:
                continue
            name = replace(name, service=service)
            explained = self._tables.channel(name, at=start)
            if explained is None:
                unmapped.append(
                    Unmapped(
                        serial_id=serial, source="channel", code=str(name), at=start, value=text[:500], unit=name.unit
                    )
                )
                continue
            quantities, qualities, unknown = self._values(data, text, common)
            if len(quantities) * profile.minutes > (_LATEST - start) // _MINUTE:
                raise ValueError(f"intervalStart is {start_text!r}, and its intervals leave the calendar")
            unmapped += [
                Unmapped(serial_id=serial, source="quality", code=f"interval_status: {each}", at=start)
                for each in dict.fromkeys(unknown)
            ]
            found.append(
                FieldIntervals(
                    serial_id=serial,
                    reading_type=explained.reading_type,
                    unit=explained.unit or None,
                    interval_minutes=profile.minutes,
                    start_at=start,
                    values=quantities if explained.factor == 1 else quantities.times(explained.factor),
                    qualities=Qualities.of(qualities) if any(qualities) else NOTHING_SAID,
                )
            )
        return MeterBlock(serial=serial, intervals=tuple(found), unmapped=tuple(unmapped))

    def _values(
        self, data: etree._Element | None, text: str, common: str | None
    ) -> tuple[Quantities, list[str | None], list[str]]:
        """Return the values of a channel, their qualities, and the statuses that no table explains."""
        between = _delimiter(data, "intervalDelimiter", ",")
        before_status = _delimiter(data, "statusDelimiter", "|")
        texts = text.split(between)
        if common is None and before_status not in text:
            # Many at once: the ordinary text takes the short way.
            numbers = plain_numbers(
                "".join(f"{each.strip()}," for each in texts).encode("utf-8", "replace"), len(texts)
            )
            if not numbers.odd.any():
                return records(numbers, [len(texts)])[0], [], []
        values: list[Decimal | None] = []
        qualities: list[str | None] = []
        unknown: list[str] = []
        for place, each in enumerate(texts):
            told, _, own = each.strip().partition(before_status)
            status = own.strip() or common
            row = None if status is None else self._tables.status(status)
            if status is not None and row is None:
                unknown.append(status)
            is_told = bool(told.strip()) and (row is None or row.is_value)
            values.append(soap.decimal(told.strip(), f"d[{place}]") if is_told else None)
            qualities.append(None if row is None else row.quality or None)
        return Quantities.of(values), qualities, unknown

    def _profile(self, data: etree._Element | None, wanted: str | None) -> _Profile:
        profiles = list(soap.everywhere(soap.child(data, "profiles"), "profile"))
        for each in profiles:
            if soap.attribute(each, "profileID") == wanted or (wanted is None and len(profiles) == 1):
                return self._read_profile(each)
        raise ValueError(f"there is no profile {wanted!r}")

    def _read_profile(self, profile: etree._Element) -> _Profile:
        text = soap.text(profile, "intervalLength")
        if text is None:
            raise ValueError("its profile has no intervalLength")
        # Decimals of a float would lose what timedelta keeps.
        try:
            length = self._length * float(soap.decimal(text, "intervalLength"))
        except OverflowError:
            raise ValueError(f"intervalLength is {text}, longer than any") from None
        minutes, rest = divmod(length, _MINUTE)
        if rest or minutes < 1:
            raise ValueError(f"intervalLength is {text}, no whole number of minutes")
        channels = {}
        for each in soap.everywhere(soap.child(profile, "channels"), "channel"):
            channels[soap.text(each, "index") or ""] = MultiSpeakName(
                field=soap.text(each, "fieldName") or soap.text(each, "fieldDescription") or "",
                unit=soap.text(each, "units") or "",
                is_interval=True,
            )
        return _Profile(minutes=minutes, channels=channels)


def _said(block: etree._Element, data: etree._Element | None) -> Said:
    """Return the values of a block as they were written, each with its status."""
    between, before_status = _delimiter(data, "intervalDelimiter", ","), _delimiter(data, "statusDelimiter", "|")
    texts = [
        text for channel in soap.everywhere(block, "ch") for text in (soap.text(channel, "d") or "").split(between)
    ]
    told = (text.strip().partition(before_status) for text in texts)
    common = soap.text(soap.child(block, "dB"), "cS") or ""
    return tuple((status.strip() or common, value.strip()) for value, _, status in told)


def _delimiter(data: etree._Element | None, name: str, usual: str) -> str:
    """Return a delimiter, white space too: a blank is one."""
    element = soap.child(data, name)
    return (element.text or usual) if element is not None else usual
