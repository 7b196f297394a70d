"""The values of a MeterReadingDocument as events, by the tables of channels and of statuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal, localcontext
from typing import Final, Self
from zoneinfo import ZoneInfo

from mdus.contracts import meter_reading_document as documents
from mdus.domain.channel_map import ChannelKind, ChannelMap, Mapped
from mdus.domain.channel_name import ObisName, OtherName
from mdus.domain.head_end import FieldEvent, FieldIntervals, FieldReading, Unmapped, UnreadableLine
from mdus.domain.obis import Obis
from mdus.domain.quantities import NOTHING_SAID, Qualities, Quantities, plain_numbers, records
from mdus.headends.token_poll.actions import Options
from mdus.headends.token_poll.meter_id import MeterIds
from mdus.settings import HeadEnd as Row
from mdus.settings import Settings

#: The source of the names of channels, in config/channels.toml.
SOURCE: Final = "meter_reading_document"

#: Digits of a product of two numbers that were read.
_MOST_DIGITS: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Values:
    """Reads values of meters by the tables of one head end."""

    ids: MeterIds
    channels: ChannelMap
    qualities: Mapping[str, str]
    zone: tzinfo
    zones: Mapping[str, tzinfo]

    @classmethod
    def of(cls, settings: Settings, row: Row, options: Options) -> Self:
        """Return what reads the values of a head end."""
        return cls(
            ids=options.meter_ids,
            channels=ChannelMap.of(settings, head_end=row),
            qualities=options.quality_of,
            zone=ZoneInfo(row.time_zone),
            zones={name: ZoneInfo(zone) for name, zone in settings.time_zones.items()},
        )

    def read(self, body: bytes) -> Iterator[FieldEvent]:
        """Yield the values of the document in a body, and each channel of which nothing could be taken."""
        for channel in documents.channels(body, zone=self.zone, zones=self.zones):
            if isinstance(channel, documents.SetAside):
                yield UnreadableLine(line=channel.line, reason=channel.reason)
                continue
            try:
                serial = self.ids.serial(channel.meter)
            except ValueError as error:
                yield UnreadableLine(
                    line=channel.line, reason=f"the channel {channel.meter}:{channel.channel}: {error}"
                )
                continue
            unknown: dict[str, None] = {}
            yield from self._intervals(serial, channel, unknown)
            yield from self._readings(serial, channel, unknown)
            for code in unknown:
                yield Unmapped(serial_id=serial, source="quality", code=code, text=channel.channel)

    def _intervals(
        self, serial: str, channel: documents.Channel, unknown: dict[str, None]
    ) -> Iterator[FieldIntervals | Unmapped]:
        for each in channel.sets:
            mapped = self._mapped(channel, each.start_at)
            if mapped is None or channel.interval_minutes is None or mapped.kind is not ChannelKind.INTERVAL:
                yield Unmapped(
                    serial_id=serial,
                    source="channel",
                    code=str(OtherName(SOURCE, channel.channel)),
                    at=each.start_at,
                    value=",".join(each.values),
                    text=f"{len(each.values)} values of {channel.interval_minutes} minutes",
                )
                continue
            with localcontext(prec=_MOST_DIGITS):
                factor = channel.factor * mapped.factor
            yield FieldIntervals(
                serial_id=serial,
                reading_type=mapped.reading_type,
                unit=mapped.unit or None,
                interval_minutes=channel.interval_minutes,
                start_at=each.start_at,
                values=_quantities(each.values, factor),
                qualities=self._qualities(each.statuses, unknown),
            )

    def _readings(
        self, serial: str, channel: documents.Channel, unknown: dict[str, None]
    ) -> Iterator[FieldReading | Unmapped]:
        for each in channel.readings:
            mapped = self._mapped(channel, each.read_at)
            if mapped is None or mapped.kind is ChannelKind.INTERVAL:
                yield Unmapped(
                    serial_id=serial,
                    source="channel",
                    code=str(OtherName(SOURCE, channel.channel)),
                    at=each.read_at,
                    value=each.value,
                )
                continue
            with localcontext(prec=_MOST_DIGITS):
                value = Decimal(each.value) * channel.factor * mapped.factor
            self._quality(each.statuses, unknown)
            yield FieldReading(
                serial_id=serial,
                reading_type=mapped.reading_type,
                measured_at=each.read_at,
                value=value,
                unit=mapped.unit or None,
            )

    def _mapped(self, channel: documents.Channel, at: datetime) -> Mapped | None:
        """Return what a channel is by the table; one that is named by an OBIS code is a reading type by itself."""
        mapped = self.channels.find(OtherName(SOURCE, channel.channel), at=at)
        if mapped is not None:
            return mapped
        try:
            code = str(Obis.parse(channel.channel))
        except ValueError:
            return None
        kind = ChannelKind.INTERVAL if channel.sets else ChannelKind.REGISTER
        return self.channels.find(ObisName(code), at=at) or Mapped(row="", kind=kind, reading_type=code, unit="")

    def _qualities(self, statuses: Sequence[documents.Codes], unknown: dict[str, None]) -> Qualities:
        if not any(statuses):
            return NOTHING_SAID
        known = {codes: self._quality(codes, unknown) for codes in set(statuses)}
        return Qualities.of([known[codes] for codes in statuses])

    def _quality(self, codes: documents.Codes, unknown: dict[str, None]) -> str | None:
        """Return the quality that counts of status codes, and note those that the table does not have."""
        unknown.update((code, None) for code in codes if code not in self.qualities)
        return next((quality for code, quality in self.qualities.items() if code in codes), None)


def told_as(reading_type: str, *, channels: ChannelMap, at: datetime | None) -> str:
    """Return what the head end calls a channel: the name that a row has, else its OBIS code."""
    return channels.to_name(SOURCE, reading_type, at=at) or reading_type


def _quantities(texts: Sequence[str], factor: Decimal) -> Quantities:
    """Return numbers times a factor, exact; an empty text is none."""
    numbers = plain_numbers("".join([f"{text}," for text in texts]).encode(), len(texts))
    if len(texts) and not numbers.odd.any():
        told = records(numbers, [len(texts)])[0]
    else:
        told = Quantities.of([Decimal(text) if text else None for text in texts])
    return told if factor == 1 else told.times(factor)
