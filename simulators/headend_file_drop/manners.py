"""How a sender writes what the formats leave open, or what it does otherwise than they say."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo

#: What a pulse stands for, in the unit of its channel: so little that no value has to be cut.
PULSE = "0.000001"

_HOUR = timedelta(hours=1)
_A_DAY_IN_WINTER = datetime(2026, 1, 1)  # noqa: DTZ001 - a time on a wall


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner:
    """The zone its times are of, where they stand at their intervals, and whether it counts pulses."""

    zone: tzinfo = UTC
    at_start: bool = False
    pulses: bool = False

    def at(self, instant: datetime) -> datetime:
        """This will return an instant as its clock shows it."""
        return instant.astimezone(self.zone)

    def value(self, quantity: str | None) -> str:
        """This will print what passed in an interval, empty where that is not known."""
        if quantity is None:
            return ""
        return str(int(Decimal(quantity) / Decimal(PULSE))) if self.pulses else quantity


def zone_of(times: str, zone: str) -> ZoneInfo | None:
    """This will return the zone of times in `local` time, or in `standard` time the whole year; None for `utc`."""
    if times == "utc":
        return None
    if times == "local":
        return ZoneInfo(zone)
    there = ZoneInfo(zone)
    offset = (there.utcoffset(_A_DAY_IN_WINTER) or timedelta()) - (there.dst(_A_DAY_IN_WINTER) or timedelta())
    hours, rest = divmod(offset, _HOUR)
    if rest:
        raise ValueError(f"--times standard: the standard time of {zone} is not of whole hours")
    return ZoneInfo(f"Etc/GMT{-hours:+d}" if hours else "Etc/GMT")
