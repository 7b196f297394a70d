"""What a run proved: a row per business process, statements that must hold, and the faults with what they led to."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True)
class Row:
    """One business process: how many of its objects were ordered and how each ended; seconds are real."""

    process: str
    sent: int = 0
    confirmed: int = 0
    refused: int = 0  # refused as was meant, with the reason
    cancelled: int = 0
    failed: int = 0  # not done, and explained: the order's answer or an open case says why
    lost: int = 0  # neither done nor explained
    p50: float | None = None
    p95: float | None = None
    seconds: float | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether every object ended, each with its reason."""
        return self.lost == 0 and self.sent == self.confirmed + self.refused + self.cancelled + self.failed


@dataclass(slots=True, kw_only=True)
class HeadEnd:
    """One head end with a share of the meters: how many of what was wanted of it came about, and what is wrong.

    `readings` and `switches` are as in `Row`; `days` counts load profiles of whole days, told complete and true.
    """

    name: str
    kind: str
    devices: tuple[int, int] = (0, 0)  # wanted, done
    readings: Row
    switches: Row
    days: tuple[int, int] = (0, 0)
    events: tuple[int, int] = (0, 0)
    reasons: list[str] = field(default_factory=list)  # why switches were refused, as SAP was told
    notes: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether all of it came about, or was refused as was meant."""
        pairs = (self.devices, self.days, self.events)
        is_done = all(wanted == done for wanted, done in pairs) and bool(self.devices[0])
        return is_done and self.readings.held and self.switches.held and not self.notes


@dataclass(slots=True, kw_only=True)
class Check:
    """One statement that must hold, and what was seen."""

    name: str
    held: bool
    seen: str


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault asked for: how often it fired, on what, and what it led to; `held` unless that must not be."""

    name: str
    fired: int
    hits: list[str]
    led_to: str
    held: bool = True


@dataclass(slots=True, kw_only=True)
class Report:
    """The whole run."""

    meters: int
    seed: int
    seconds: float
    days: list[str]
    rows: list[Row]
    checks: list[Check]
    faults: list[Fault]
    head_ends: list[HeadEnd] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether everything held."""
        parts = (*self.rows, *self.checks, *self.faults, *self.head_ends)
        return all(part.held for part in parts)

    def as_json(self) -> dict[str, Any]:
        """This will return the report as it is written to `--report FILE`."""
        return {
            "held": self.held,
            "meters": self.meters,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "days": self.days,
            "processes": {row.process: {**asdict(row), "held": row.held} for row in self.rows},
            "faults": {
                fault.name: {"fired": fault.fired, "hits": fault.hits, "led_to": fault.led_to, "held": fault.held}
                for fault in self.faults
            },
            "head_ends": {each.name: {**asdict(each), "held": each.held} for each in self.head_ends},
            "checks": [asdict(check) for check in self.checks],
        }
