"""A load profile as SAP has it: the register that feeds it, its grid, and the values MDUS sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_DAY_MINUTES = 1440


@dataclass(slots=True, kw_only=True)
class Profile:
    """A load profile assigned to an interval register. `status` is the assignment's; `values` and `statuses` map the
    start of an interval (UTC, as on the wire) to its quantity and status code."""

    id: str
    device: str
    lrn: str
    obis: str
    unit: str
    minutes: int
    start_on: str
    decimals: int = 6
    status: str = "requested"
    values: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    changed: dict[str, list[str]] = field(default_factory=dict)  # start -> the quantities it had before

    def is_on_grid(self, start: datetime, end: datetime, zone: ZoneInfo) -> bool:
        """This will tell whether two instants bound one of the intervals: a local day, or so many minutes of one."""
        midnight = start.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        if self.minutes == _DAY_MINUTES:
            return (start, end) == (midnight.astimezone(UTC), (midnight + timedelta(days=1)).astimezone(UTC))
        length = timedelta(minutes=self.minutes)
        return end - start == length and not (start - midnight.astimezone(UTC)) % length

    def is_too_early(self, end: datetime, zone: ZoneInfo) -> bool:
        """This will tell whether an interval with this end lies before the assignment: its end stamp decides."""
        return end <= datetime.fromisoformat(self.start_on).replace(tzinfo=zone)

    def book(self, values: Mapping[str, str], statuses: Mapping[str, str]) -> None:
        """This will take values, and keep those they replace."""
        for start in values:
            if start in self.values:
                self.changed.setdefault(start, []).append(self.values[start])
        self.values.update(values)
        self.statuses.update(statuses)
