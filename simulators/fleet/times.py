"""Times as a sender's clock shows them: in UTC, local, or standard time the whole year."""

import argparse
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from simulators.clock import instant

_HOUR = timedelta(hours=1)
_A_DAY_IN_WINTER = datetime(2026, 1, 1)  # noqa: DTZ001 - a time on a wall


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """The clock of a zone; what it shows is written without an offset, but for UTC."""

    zone: tzinfo = UTC

    def at(self, when: datetime) -> datetime:
        """This will return an instant as the clock shows it."""
        return when.astimezone(self.zone)

    def said(self, stamped: str) -> str:
        """This will print an instant, given as printed in UTC, as the clock shows it."""
        return stamped if self.zone is UTC else self.at(instant(stamped)).replace(tzinfo=None).isoformat()


IN_UTC = Times()


def add_times(parser: argparse.ArgumentParser, text: str) -> None:
    """This will add the option --times, which `zone_of` reads."""
    parser.add_argument(
        "--times", choices=("utc", "local", "standard"), default="utc", help=f"{text} (default %(default)s)"
    )


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
