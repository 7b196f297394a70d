"""The named ways in which this head end misbehaves, each a bounded number of times, and every time counted.

A fault fires where the table says it can: on a whole job or on one device order of it. It fires at its first
opportunity and then again after a few more, drawn from the seed, so that a short run meets every one of them. What the
head end tells by itself is hit the same way: collections of `intervals`, tellings of `events`, the daily `collection`.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

ANY_KIND = ("provision", "read_registers", "read_intervals", "read_on_demand", "switch", "switch_state")
MOST_TIMES = 3  # a fault fires 1 to this many times unless told otherwise


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One way to misbehave: what it does, which kinds of job it hits, and whether only one device order of it."""

    name: str
    description: str
    kinds: tuple[str, ...]
    one_device: bool = False

    @property
    def hits_jobs(self) -> bool:
        """Whether it hits jobs of the client, not what the head end tells by itself."""
        return set(self.kinds) <= set(ANY_KIND)

    @property
    def process(self) -> str:
        """The business processes hit, in words of the utility."""
        words = {
            "provision": "device initialization",
            "read_registers": "meter reading",
            "read_intervals": "reading of interval values",
            "read_on_demand": "on-demand meter reading",
            "switch": "disconnection and reconnection",
            "switch_state": "check of the switch state",
            "intervals": "profile upload",
            "events": "smart meter events",
            "collection": "smart meter events",
        }
        return "any" if self.kinds == ANY_KIND else ", ".join(words[kind] for kind in self.kinds)


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault(
            name="never_answers",
            description="The connection of a submit is closed without an answer and nothing was done.",
            kinds=ANY_KIND,
        ),
        Fault(
            name="ambiguous_submit",
            description="A submit is carried out, but the connection is cut before the answer.",
            kinds=("switch",),
        ),
        Fault(
            name="callback_before_acknowledgement",
            description="The results of a job are pushed before its submit is answered.",
            kinds=ANY_KIND,
        ),
        Fault(
            name="duplicate_callback",
            description="A push of results that was answered 2xx is sent a second time.",
            kinds=ANY_KIND,
        ),
        Fault(
            name="overloaded",
            description="A submit is answered 503 with Retry-After and nothing was done.",
            kinds=ANY_KIND,
        ),
        Fault(
            name="accepts_then_silence",
            description="One device order is accepted, nothing is done, and no result ever comes.",
            kinds=("read_registers", "read_intervals", "read_on_demand", "switch"),
            one_device=True,
        ),
        Fault(
            name="stuck_relay",
            description="A breaker is told to move, stays where it is, and the meter says so (RELAY_STUCK).",
            kinds=("switch",),
            one_device=True,
        ),
        Fault(
            name="late_result",
            description="A device order is carried out in time, but its result is told only after expires_at.",
            kinds=("read_on_demand", "switch"),
            one_device=True,
        ),
        Fault(
            name="intervals_late",
            description="The interval values a meter delivers are told with the next collection only.",
            kinds=("intervals",),
            one_device=True,
        ),
        Fault(
            name="interval_gap",
            description="Interval values of a meter are not collected; the meter has them, and can be asked.",
            kinds=("intervals",),
            one_device=True,
        ),
        Fault(
            name="interval_revised",
            description="Interval values of a meter are estimated at first and told again, as measured, later.",
            kinds=("intervals",),
            one_device=True,
        ),
        Fault(
            name="duplicate_block",
            description="The interval values a meter delivers are told again, in another delivery.",
            kinds=("intervals",),
            one_device=True,
        ),
        Fault(
            name="event_storm",
            description="After the daily collection an area loses power: all its meters tell it within a minute.",
            kinds=("collection",),
        ),
        Fault(
            name="duplicate_event",
            description="An event is told again, under its id, in another delivery.",
            kinds=("events",),
        ),
    )
}


class UnknownFault(Exception):
    """A fault was named that does not exist."""


def parse(text: str) -> dict[str, int | None]:
    """This will read `a,b=2|all` as names with the number of times to fire, None where the seed decides."""
    wanted: dict[str, int | None] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, times = part.partition("=")
        names = list(FAULTS) if name == "all" else [name]
        for each in names:
            if each not in FAULTS:
                raise UnknownFault(f"no fault {each!r}; there are {', '.join(FAULTS)}")
            wanted[each] = int(times) if times else None
    return wanted


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What goes wrong with one job: a fault of the whole job, and faults of single device orders by their reference."""

    job: str | None = None
    devices: dict[str, str] = field(default_factory=dict)


class FaultPlan:
    """This will decide for each job what goes wrong with it, and keep the account of what did."""

    def __init__(self, wanted: dict[str, int | None], *, seed: int) -> None:
        self._random = random.Random(f"faults {seed}")
        drawn = {name: self._random.randint(1, MOST_TIMES) for name in FAULTS}
        self.remaining = {name: drawn[name] if times is None else times for name, times in wanted.items()}
        self._wait = dict.fromkeys(self.remaining, 0)
        self.hits: dict[str, list[dict[str, Any]]] = {name: [] for name in self.remaining}

    def arm(self, name: str, times: int) -> None:
        """This will make a fault fire `times` more times, beginning at its next opportunity."""
        if name not in FAULTS:
            raise UnknownFault(f"no fault {name!r}; there are {', '.join(FAULTS)}")
        self.remaining[name] = self.remaining.get(name, 0) + times
        self._wait[name] = 0
        self.hits.setdefault(name, [])

    def draw(self, kind: str, references: Sequence[str]) -> Plan:
        """This will choose what goes wrong with a job of this kind; nothing is counted until `fired`."""
        candidates = [name for name, left in self.remaining.items() if left > 0 and kind in FAULTS[name].kinds]
        ready = [name for name in candidates if self._wait[name] == 0]
        for name in candidates:
            self._wait[name] = max(0, self._wait[name] - 1)
        # What can happen to few kinds of job goes first, lest the others take all its opportunities.
        whole = self._rarest(name for name in ready if not FAULTS[name].one_device)
        if whole in ("never_answers", "overloaded"):
            return Plan(job=whole)
        singles = [name for name in ready if FAULTS[name].one_device]
        singles.sort(key=lambda name: (len(self.hits[name]), len(FAULTS[name].kinds)))
        if len(references) == 1 and whole is not None and singles:
            # A job with one device order has room for one fault only: silence would leave no callback to duplicate.
            if (self._rarest((whole, singles[0]))) == whole:
                singles = []
            else:
                whole = None
        singles = singles[: len(references)]
        chosen = self._random.sample(range(len(references)), len(singles)) if singles else []
        return Plan(job=whole, devices={references[at]: name for at, name in zip(chosen, singles, strict=True)})

    def fired(self, name: str, hit: dict[str, Any]) -> None:
        """This will count one firing and what it hit; also used when the journal is replayed."""
        self.remaining[name] = max(0, self.remaining.get(name, 0) - 1)
        self._wait[name] = self._random.randint(1, 4)
        self.hits.setdefault(name, []).append(hit)

    def _rarest(self, names: Iterable[str]) -> str | None:
        return min(names, key=lambda name: (len(self.hits[name]), len(FAULTS[name].kinds)), default=None)
