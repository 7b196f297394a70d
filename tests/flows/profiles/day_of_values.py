"""A day of quarter-hourly values, the instants at which something is done with it, and the meter that tells them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.flows.profiles.metering import Metering

#: Local midnight in Berlin of 2026-03-27, a day of 24 hours; its noon, its end, and when its values are looked for.
MIDNIGHT = datetime(2026, 3, 26, 23, 0, tzinfo=UTC)
NOON = MIDNIGHT + timedelta(hours=12)
END = MIDNIGHT + timedelta(days=1)
CUT_OFF = END + timedelta(hours=2)
GIVEN_UP = END + timedelta(days=1)
OTHER_DEVICE, OTHER_PROFILE, OTHER_TASK = "000000000000000043", "000000000000000816", "000000000000100043"


def made_with(url: str, folder: Path, settings: str = "", **environ: str) -> Metering:
    """Return an installation with the meter at the day's midnight, with settings of its own."""
    made = Metering(url, folder, now=MIDNIGHT, settings=settings, **environ)
    made.meter()
    return made


def day_of(count: int = 96, *, first: int = 1) -> list[str]:
    """Values that tell their interval: 0.001, 0.002 ..."""
    return [f"0.{place:03}" for place in range(first, first + count)]


def values_of(sent: dict[str, str]) -> list[str]:
    """The quantities of items that SAP was sent."""
    return [told.split()[1] for told in sent.values()]
