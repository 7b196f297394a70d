"""What the tester speaks of: devices, registers, documents. Every scene has its own, no run has those of another.

Ids are text of the full length SAP gives them, leading zeros included.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

from simulators.conformance.triggering import Meter

#: Devices are in stock so long before the run, and their registers end so long after it.
_IN_STOCK = timedelta(days=60)
_LASTS = timedelta(days=30)

_MOST_RUNS = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """What is the same for all subjects: the system they belong to, the zone of SAP's dates, what codes are used."""

    ams: str
    zone: ZoneInfo
    zone_code: str
    recurrence: str
    role: str

    def today(self) -> date:
        """This will return the local date."""
        return datetime.now(self.zone).date()

    @property
    def start_on(self) -> date:
        """When devices and their registers begin."""
        return self.today() - _IN_STOCK

    @property
    def last_day(self) -> date:
        """The last day on which registers are valid: SAP's EndDate is inclusive."""
        return self.today() + _LASTS

    def local(self, instant: datetime) -> datetime:
        """This will return an instant in the zone of SAP's dates."""
        return instant.astimezone(self.zone)


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """One device with one register, and the ids of everything SAP can want of it."""

    sender: str
    device: str
    meter: Meter
    in_field: bool
    task: str
    document: str
    request: str
    profile: str
    point: str


class Subjects:
    """This will make subjects of one run, told apart from other runs' by `seed`; `meters` of the field are used up."""

    def __init__(self, seed: int, *, material: str, meters: Sequence[Meter] = ()) -> None:
        self._run = seed % _MOST_RUNS
        self._count = 0
        self._material = material
        self.meters = list(meters)
        self._random = Random(f"{seed}/conformance")

    def take(self, sender: str, *, field: bool = False) -> Subject:
        """This will make a subject; with a meter of the field while there are any, if it needs one."""
        self._count += 1
        number = f"{self._run:05d}{self._count:06d}"
        meter = self.meters.pop(0) if field and self.meters else None
        return Subject(
            sender=sender,
            device=number.rjust(18, "0"),
            meter=meter or Meter(serial=f"C{number}", material=self._material),
            in_field=meter is not None,
            task=number.rjust(18, "0"),
            document=number.rjust(20, "0"),
            request=number.rjust(12, "0"),
            profile=number.rjust(18, "0"),
            point=f"DE{number}".ljust(33, "0"),
        )

    def uuid(self) -> str:
        """This will return a UUID nobody has used."""
        return str(UUID(int=self._random.getrandbits(128), version=4))


def now() -> datetime:
    """This will return the present instant, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
