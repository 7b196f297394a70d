"""What the parts of the head end share: its setting, its state with the journal, what will happen, and its pushes."""

import asyncio
import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import uuid4
from zoneinfo import ZoneInfo

from simulators.clock import Clock
from simulators.fleet.deliveries import Deliveries, Push
from simulators.fleet.journal import Journal, Record
from simulators.fleet.network import Network
from simulators.fleet.state import State

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Behaviour:
    """How this head end is set up: what the command line says."""

    seed: int
    zone: ZoneInfo
    callback_url: str | None = None
    network: Network
    hear_delay: float = 180.0  # simulated seconds from provisioning to the first communication, up to twice as long
    answer_delay: float = 0.0  # real seconds between a job on the disk and the answer to its submit
    concentrators: int = 0
    concentrator_limit: int | None = None
    event_rate: float = 0.0  # events that happen by themselves, per meter and day
    daily_profiles: bool = False  # all meters deliver interval values once a day, whatever their model does
    most_outstanding: int = 200_000  # device orders; beyond, submits are answered 503


class Core:
    """This will keep records, remember what is to happen when, and make pushes, for all parts of the head end."""

    def __init__(
        self,
        *,
        state: State,
        behaviour: Behaviour,
        clock: Clock,
        journal: Journal,
        deliveries: Deliveries,
        needs_address: bool,
    ) -> None:
        self.state = state
        self.behaviour = behaviour
        self.clock = clock
        self.journal = journal
        self.deliveries = deliveries
        self.needs_address = needs_address
        self.agenda: list[tuple[datetime, int, tuple[str, Any]]] = []  # a heap: when, in which order, what
        self.wake = asyncio.Event()
        self._sequence = itertools.count()

    def at(self, due: datetime, what: str, subject: Any = None) -> None:
        """This will let something happen when it is due."""
        heapq.heappush(self.agenda, (due, next(self._sequence), (what, subject)))
        self.wake.set()

    def take_due(self, now: datetime) -> list[tuple[str, Any]]:
        """This will take what is due from the agenda, in its order."""
        due = []
        while self.agenda and self.agenda[0][0] <= now:
            due.append(heapq.heappop(self.agenda)[2])
        return due

    async def keep(self, record: Record, pushes: Sequence[Push] = ()) -> None:
        """This will apply a record, force it to the disk, and only then begin to push."""
        if pushes:
            record["pushes"] = [push.record() for push in pushes]
        made = self.state.apply(record)
        await self.journal.commit(record)
        for push in made:
            self.deliveries.add(push)

    def push(self, topic: str, body: dict[str, Any], *, concentrator: str | None = None) -> list[Push]:
        """This will make a push to the base registered, none where one is needed and there is none."""
        if self.needs_address and self.behaviour.callback_url is None:
            return []
        delivery_id = f"d-{uuid4().hex}"
        return [
            Push(
                delivery_id=delivery_id,
                topic=topic,
                to=self.behaviour.callback_url or "",
                body={"delivery_id": delivery_id, **body},
                concentrator=concentrator,
            )
        ]

    def parts(
        self, rows: Sequence[T], size: int, *, serial: Callable[[T], str]
    ) -> list[tuple[str | None, Sequence[T]]]:
        """This will cut what is told of meters into pieces of at most `size`, each of one concentrator's meters."""
        behind: defaultdict[str | None, list[T]] = defaultdict(list)
        for row in rows:
            behind[self.state.meters[serial(row)].concentrator].append(row)
        return [(name, chunk) for name, together in behind.items() for chunk in chunks(together, size)]


def chunks(rows: Sequence[T], size: int) -> list[Sequence[T]]:
    """This will cut a sequence into pieces of at most `size`."""
    return [rows[begin : begin + size] for begin in range(0, len(rows), size)]
