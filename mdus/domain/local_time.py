"""From the dates and times on SAP's wire, local to a named zone, to instants."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

MIDNIGHT: Final = time(0)
END_OF_DAY: Final = time.max  # how 24:00:00 is held: Python has no such time
_FIRST: Final = datetime(1, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def instant(day: date, at: time, *, zone: str) -> datetime:
    """Return the UTC instant of a local date and time in an IANA zone.

    Of a time that clocks show twice it is the first, of one they skip the instant as many minutes after the change; the
    end of a day (24:00:00) is the beginning of the next. Local times whose instant lies beyond the calendar are its
    first or last instant.
    """
    try:
        if at == END_OF_DAY:
            day, at = day + timedelta(days=1), MIDNIGHT
        return datetime.combine(day, at, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    except OverflowError:
        return _FIRST if day.year == 1 else _LAST


@lru_cache(maxsize=4096)
def day_start(day: date, *, zone: str) -> datetime:
    """Return the UTC instant at which a local day begins; days last 23, 24 or 25 hours."""
    return instant(day, MIDNIGHT, zone=zone)


def end_instant(day: date, at: time, *, zone: str) -> datetime | None:
    """Return the half-open end that SAP's last date and time mean, None for the open end of 9999-12-31.

    The last second of a day (23:59:59, or 24:00:00) means all of it: the end is the next local midnight. Any other time
    is the end itself.
    """
    if day == date.max:
        return None
    if at >= time(23, 59, 59):
        return day_start(day + timedelta(days=1), zone=zone)
    return instant(day, at, zone=zone)


def local_day(at: datetime, *, zone: str) -> date:
    """Return the date that calendars in an IANA zone show at an instant."""
    return at.astimezone(ZoneInfo(zone)).date()


def hours_ahead(at: datetime, *, zone: str) -> Decimal:
    """Return what an IANA zone is ahead of UTC at an instant, in hours with two decimals."""
    offset = at.astimezone(ZoneInfo(zone)).utcoffset() or timedelta()
    return (Decimal(int(offset.total_seconds())) / 3600).quantize(Decimal("0.01"))
