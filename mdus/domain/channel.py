"""A channel: the interval values of one reading type of a meter, in one grid of one time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import ClassVar, Final

from mdus.domain.local_time import day_start
from mdus.domain.value import Value

#: The array element that says there is no value.
MISSING: Final = -(2**63)
_LARGEST: Final = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Channel(Value):
    """One channel of a meter; logical register numbers and profiles are dated assignments to it.

    Arrays hold quantities as `unit` x 10**-`decimals`. `time_zone` (IANA) says where its days begin and never changes,
    like everything here: another zone, grid or unit is another channel.
    """

    KEY: ClassVar[tuple[str, ...]] = (
        "sender_system",
        "device_id",
        "reading_type",
        "interval_minutes",
        "time_zone",
        "unit",
    )

    sender_system: str
    device_id: str
    reading_type: str
    interval_minutes: int
    time_zone: str
    unit: str
    decimals: int

    def __hash__(self) -> int:
        """Return the hash of its key, found once: on its way to the bill a day is looked up by its channel often."""
        known: int | None = self.__dict__.get("_hash")
        if known is None:
            known = self.__dict__["_hash"] = hash(self.key)
        return known

    def day(self, on: date) -> DayGrid:
        """Return the intervals of a local day."""
        return day_grid(on, self.interval_minutes, self.time_zone)

    def day_of(self, at: datetime) -> DayGrid:
        """Return the local day that an instant is in."""
        on = at.astimezone(UTC).date()
        for day in (on - timedelta(days=1), on, on + timedelta(days=1)):
            grid = self.day(day)
            if grid.start <= at < grid.end:
                return grid
        raise LookupError(f"{at} is in no day of {self.time_zone}")

    def scaled(self, value: Decimal) -> int | None:
        """Return a quantity as the arrays hold it, None where it does not fit: too many decimals, or too large."""
        try:
            scaled = value.scaleb(self.decimals)
            whole = int(scaled)
        except (ArithmeticError, ValueError):
            return None
        return whole if whole == scaled and MISSING < whole <= _LARGEST else None

    def quantity(self, element: int) -> Decimal | None:
        """Return the quantity that an array element stands for, None for a missing one."""
        return None if element == MISSING else Decimal(int(element)).scaleb(-self.decimals)


@dataclass(frozen=True, slots=True)
class DayGrid:
    """The intervals of one local day: of 15 minutes there are 92, 96 or 100. `start` and `end` are UTC, half-open."""

    on: date
    start: datetime
    end: datetime
    minutes: int

    @property
    def count(self) -> int:
        """Return how many intervals the day has; one that is to last a day lasts as long as the day."""
        return max(1, int((self.end - self.start) / timedelta(minutes=self.minutes)))

    def starts_at(self, position: int) -> datetime:
        """Return the instant at which an interval begins."""
        return self.start + position * timedelta(minutes=self.minutes)

    def ends_at(self, position: int) -> datetime:
        """Return the instant at which an interval ends; the last one ends with the day."""
        return self.end if position == self.count - 1 else self.starts_at(position + 1)

    def position(self, at: datetime) -> int | None:
        """Return which interval begins at an instant of this day, None for an instant between two."""
        position, off = divmod(at - self.start, timedelta(minutes=self.minutes))
        return None if off else position


@lru_cache(maxsize=4096)
def day_grid(on: date, minutes: int, zone: str) -> DayGrid:
    """Return the intervals of a local day in an IANA zone; `minutes` divides every hour or is a whole number of them.

    Of intervals longer than the hour that a day lacks or has twice, the last one is as long as what is left.
    """
    start, end = day_start(on, zone=zone), day_start(on + timedelta(days=1), zone=zone)
    return DayGrid(on=on, start=start, end=end, minutes=minutes)
