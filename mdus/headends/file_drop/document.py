"""The values of a MeterReadingDocument as events; its channels by config/channels.toml, its statuses by the options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal, localcontext
from typing import Final, Self
from zoneinfo import ZoneInfo

from mdus.contracts import meter_reading_document as documents
from mdus.domain.channel_map import ChannelKind, ChannelMap, Mapped
from mdus.domain.channel_name import OtherName
from mdus.domain.head_end import FieldEvent, FieldIntervals, FieldReading, Unmapped, UnreadableLine
from mdus.domain.quantities import NOTHING_SAID, Qualities, Quantities
from mdus.headends.file_drop.channel_names import channel_named
from mdus.headends.file_drop.numbers import MOST_DIGITS, quantities
from mdus.headends.file_drop.options import Options
from mdus.settings import HeadEnd as Row
from mdus.settings import Settings

#: The source of the names of channels, in config/channels.toml.
SOURCE: Final = "meter_reading_document"


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentFeed:
    """What is known of one feed: its channels, its words for qualities, how it names meters, and its zones."""

    channels: ChannelMap
    qualities: Mapping[str, str]
    meter: tuple[str, str]  # what stands before and behind a serial number
    zone: tzinfo
    zones: Mapping[str, tzinfo]

    @classmethod
    def of(cls, settings: Settings, row: Row, options: Options, channels: ChannelMap) -> Self:
        """Return what the settings say of a feed."""
        before, _, behind = options.document_meter.partition("{serial}")
        return cls(
            channels=channels,
            qualities=options.document_qualities,
            meter=(before, behind),
            zone=ZoneInfo(options.document_time_zone or row.time_zone),
            zones={name: ZoneInfo(zone) for name, zone in settings.time_zones.items()},
        )

    def serial(self, meter: str) -> str:
        """Return the serial number of a meter. Raises ValueError where it is none."""
        before, behind = self.meter
        if not (meter.startswith(before) and meter.endswith(behind) and len(meter) > len(before) + len(behind)):
            raise ValueError(f"a meter {before}...{behind} is expected, found {meter!r}")
        return meter[len(before) : len(meter) - len(behind)]


def decode(body: bytes, feed: DocumentFeed) -> Iterator[FieldEvent]:
    """Yield the values of a document, and each channel of which nothing could be taken; raises ValueError for none."""
    for channel in documents.channels(body, zone=feed.zone, zones=feed.zones):
        if isinstance(channel, documents.SetAside):
            yield UnreadableLine(line=channel.line, reason=channel.reason)
            continue
        try:
            serial_id = feed.serial(channel.meter)
        except ValueError as error:
            yield UnreadableLine(line=channel.line, reason=f"the channel {channel.meter}:{channel.channel}: {error}")
            continue
        unknown: dict[str, None] = {}
        yield from _intervals(serial_id, channel, feed, unknown)
        yield from _readings(serial_id, channel, feed, unknown)
        for code in unknown:
            yield Unmapped(serial_id=serial_id, source="quality", code=code, text=channel.channel)


def _intervals(
    serial_id: str, channel: documents.Channel, feed: DocumentFeed, unknown: dict[str, None]
) -> Iterator[FieldEvent]:
    name = OtherName(SOURCE, channel.channel)
    for each in channel.sets:
        mapped = channel_named(feed.channels, SOURCE, channel.channel, at=each.start_at)
        if mapped is None or mapped.kind is not ChannelKind.INTERVAL or channel.interval_minutes is None:
            yield Unmapped(
                serial_id=serial_id,
                source="channel",
                code=str(name),
                at=each.start_at,
                value=",".join(each.values),
                text=f"{len(each.values)} values of {channel.interval_minutes} minutes",
            )
            continue
        yield FieldIntervals(
            serial_id=serial_id,
            reading_type=mapped.reading_type,
            unit=mapped.unit,
            interval_minutes=channel.interval_minutes,
            start_at=each.start_at,
            values=_in_unit(quantities(each.values), channel, mapped),
            qualities=_qualities(each.statuses, feed, unknown),
        )


def _readings(
    serial_id: str, channel: documents.Channel, feed: DocumentFeed, unknown: dict[str, None]
) -> Iterator[FieldEvent]:
    name = OtherName(SOURCE, channel.channel)
    for each in channel.readings:
        mapped = channel_named(feed.channels, SOURCE, channel.channel, at=each.read_at)
        if mapped is None or mapped.kind is ChannelKind.INTERVAL:
            yield Unmapped(serial_id=serial_id, source="channel", code=str(name), at=each.read_at, value=each.value)
            continue
        _qualities((each.statuses,), feed, unknown)
        with localcontext(prec=MOST_DIGITS):
            value = Decimal(each.value) * channel.factor * mapped.factor
        yield FieldReading(
            serial_id=serial_id,
            reading_type=mapped.reading_type,
            measured_at=each.read_at,
            value=value,
            unit=mapped.unit,
        )


def _in_unit(told: Quantities, channel: documents.Channel, mapped: Mapped) -> Quantities:
    with localcontext(prec=MOST_DIGITS):
        factor = channel.factor * mapped.factor
    return told if factor == 1 else told.times(factor)


def _qualities(statuses: tuple[documents.Codes, ...], feed: DocumentFeed, unknown: dict[str, None]) -> Qualities:
    """Return the quality of each value: of several codes the one that stands first among the options."""
    if not any(statuses):
        return NOTHING_SAID
    known: dict[documents.Codes, str | None] = {}
    for codes in statuses:
        if codes not in known:
            known[codes] = next((quality for code, quality in feed.qualities.items() if code in codes), None)
            unknown.update(dict.fromkeys(code for code in codes if code not in feed.qualities))
    return Qualities.of([known[codes] or None for codes in statuses])
