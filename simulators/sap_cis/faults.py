"""The faults this system can play: each a bounded, seeded number of times, counted with what it hit."""

import random
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

#: Name -> what happens. The first group spoils what MDUS posts here, the second what this system posts to MDUS.
RECEIVING_FAULTS = {
    "answers_503": "A message of MDUS is answered 503 and forgotten: MDUS must deliver it again.",
    "cuts_connection": "A message of MDUS is kept, then the connection is cut: it comes again and is tolerated.",
    "answers_html_200": "A message of MDUS is answered 200 with an HTML page and forgotten: it is not delivered.",
    "answers_soap_fault": "A message of MDUS is answered 500 with a SOAP fault and forgotten: it must come again.",
}
SENDING_FAULTS = {
    "sends_duplicate": "A delivered message is sent once more, byte for byte: it must have one effect.",
    "sends_changed_duplicate": "A delivered message is sent again under its UUID with other content: refused.",
    "sends_early": "Registers, locations and points of delivery come minutes before their device is created.",
    "late_confirmation": "A meter reading result is confirmed 45 minutes late.",
}
FAULTS = RECEIVING_FAULTS | SENDING_FAULTS
MOST_TIMES = 3  # unless told otherwise


def chosen(names: str) -> dict[str, int]:
    """This will read a list `a,b=5` or `all` into fault -> most times; ValueError names what is unknown."""
    wanted: dict[str, int] = {}
    for part in (part.strip() for part in names.split(",")):
        name, _, times = part.partition("=")
        if not name:
            continue
        if name not in (*FAULTS, "all") or (times and not times.isdecimal()):
            raise ValueError(f"unknown fault {part}; known are {', '.join(FAULTS)}")
        for each in FAULTS if name == "all" else (name,):
            wanted[each] = int(times or MOST_TIMES)
    return wanted


@dataclass(slots=True)
class _Plan:
    random: random.Random
    left: int
    chances: int = 0
    next_at: int = 0
    hits: list[str] = field(default_factory=list)


class Faults:
    """This will decide at every chance whether a fault fires: at its first one, then again after one to three more.

    `wanted` says which faults and how often at most. The gaps are short, because a fault that was asked for and never
    fired proves nothing. They are drawn per (seed, name), so that one fault more does not move the others.
    """

    def __init__(self, wanted: Mapping[str, int] | None = None, *, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._plans = {
            name: _Plan(random=random.Random(f"{seed}/{name}"), left=times) for name, times in (wanted or {}).items()
        }

    def fires(self, name: str, hit: str) -> bool:
        """This will count one chance for the fault and return whether it fires now, on `hit`."""
        return self.first((name,), hit) is not None

    def first(self, names: Iterable[str], hit: str) -> str | None:
        """This will count one chance for each of the faults and return the one that fires now, on `hit`.

        At most one does; another that was due as well has its turn at the next chance.
        """
        with self._lock:
            fired = None
            for name in names:
                plan = self._plans.get(name)
                if plan is None or not plan.left:
                    continue
                plan.chances += 1
                if fired is None and plan.chances >= plan.next_at:
                    fired = name
                    plan.left -= 1
                    plan.next_at = plan.chances + plan.random.randint(1, 3)
                    plan.hits.append(hit)
            return fired

    def remember(self, name: str, hit: str) -> None:
        """This will count a firing of an earlier life of the process."""
        with self._lock:
            plan = self._plans.get(name)
            if plan is not None:
                plan.left = max(0, plan.left - 1)
                plan.hits.append(hit)

    def fired(self) -> dict[str, dict[str, object]]:
        """This will return for each fault asked for how often it fired and on what."""
        with self._lock:
            return {name: {"count": len(plan.hits), "hits": list(plan.hits)} for name, plan in self._plans.items()}
