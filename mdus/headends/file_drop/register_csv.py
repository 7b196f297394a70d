"""CSV of register readings, compatible with AclaraONE style: a row is what one meter showed at one port of its radio.

Columns used of it: MeterSN and Port name the register, MeterTypeID says what it shows, ScaledRead is what it showed at
ReadingTime (UTC); RawRead times Scalar must be the same. Meter types are names of channels in config/channels.toml:
`7/2` is type 7 at port 2, `7` at any; an OBIS code needs no row. What no row explains is told as a channel that is not
mapped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from mdus.domain.channel_map import ChannelKind, ChannelMap, Mapped
from mdus.domain.channel_name import OtherName
from mdus.domain.head_end import FieldEvent, FieldReading, Unmapped
from mdus.headends.file_drop.channel_names import channel_named
from mdus.headends.file_drop.rows import Row, events_of

#: The source of the names of channels, in config/channels.toml.
SOURCE: Final = "register_csv"

#: The columns there must be, in small letters.
NEEDED: Final = ("metersn", "port", "scaledread", "readingtime")


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisterFeed:
    """What is known of one feed: its meter types, and how it writes times (strptime); ISO 8601 when not said."""

    channels: ChannelMap
    time_format: str | None = None

    def channel(self, meter_type: str, port: str, at: datetime) -> Mapped | None:
        """Return what meters of a type show at a port, None where no row says."""
        return channel_named(self.channels, SOURCE, f"{meter_type}/{port}", meter_type, at=at)


def decode(body: bytes, feed: RegisterFeed) -> Iterator[FieldEvent]:
    """Yield the readings of a body, and each row that cannot be read; raises ValueError without its header."""
    return events_of(body, NEEDED, lambda row: _readings(row, feed))


def _readings(row: Row, feed: RegisterFeed) -> Sequence[FieldEvent]:
    serial_id, port = row.text("metersn"), row.text("port")
    value = row.number("scaledread")
    if value is None:
        return ()  # the meter was not heard: nothing is told
    _check(row, value)
    at = _instant(row, feed.time_format)
    meter_type = row.optional("metertypeid") or ""
    mapped = feed.channel(meter_type, port, at)
    if mapped is None or mapped.kind is ChannelKind.INTERVAL:
        code = str(OtherName(SOURCE, f"{meter_type}/{port}"))
        text = row.optional("description") or row.optional("model")
        return (Unmapped(serial_id=serial_id, source="channel", code=code, at=at, value=str(value), text=text),)
    return (
        FieldReading(
            serial_id=serial_id,
            reading_type=mapped.reading_type,
            measured_at=at,
            value=mapped.value(value),
            unit=mapped.unit,
        ),
    )


def _check(row: Row, value: Decimal) -> None:
    """Raise ValueError where the value is not the raw one times its scalar, to the last digit it is written with."""
    raw, scalar = row.number("rawread"), row.number("scalar")
    if raw is None or scalar is None:
        return
    exponent = value.as_tuple().exponent
    last = Decimal(1).scaleb(exponent if isinstance(exponent, int) else 0)
    if abs(raw * scalar - value) >= last:
        raise ValueError(f"scaledread: rawread times scalar, {raw * scalar}, is expected, found {value}")


def _instant(row: Row, time_format: str | None) -> datetime:
    text = row.text("readingtime")
    try:
        # Without an offset it is in UTC: see below.
        at = datetime.strptime(text, time_format) if time_format else datetime.fromisoformat(text)  # noqa: DTZ007
    except ValueError:
        raise ValueError(f"readingtime: an instant in UTC is expected, found {text[:60]!r}") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
