"""The concentrators between head end and meters: who is behind which, what is under way there, and whether it is there.

Meters are spread over them in runs of neighbours. The count of orders under way is kept for whoever judges a client:
the head end takes more than the limit, it only remembers how many there were.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from simulators.clock import stamp
from simulators.fleet.meters import Meter


@dataclass(kw_only=True, slots=True)
class Concentrator:
    """One concentrator and how busy it is."""

    name: str
    limit: int | None  # orders it should have under way at once
    is_online: bool = True
    under_way: int = 0
    most_under_way: int = 0
    busy_until: datetime | None = None  # of one that carries out one order after the other
    back_at: datetime | None = None  # when one that a fault took away is back

    def begin(self) -> None:
        """This will count an order that is under way from now on."""
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)

    def end(self) -> None:
        """This will count an order that ended."""
        self.under_way -= 1

    def resource(self) -> dict[str, Any]:
        """This will print it for the control API."""
        return {
            "under_way": self.under_way,
            "most_under_way": self.most_under_way,
            "limit": self.limit,
            "online": self.is_online,
            "back_at": None if self.back_at is None else stamp(self.back_at),
        }


def spread(meters: Sequence[Meter], *, over: int, limit: int | None) -> dict[str, Concentrator]:
    """This will put meters behind `over` concentrators, in runs of about the same length."""
    concentrators = [Concentrator(name=f"DC-{number:03d}", limit=limit) for number in range(1, over + 1)]
    for place, meter in enumerate(meters):
        if concentrators:
            meter.concentrator = concentrators[place * over // len(meters)].name
    return {each.name: each for each in concentrators}
