"""Tellings to the client: at least once, until the face says they are safely there; in no order, but interval values.

A telling is neutral here, a topic and a body of JSON; the face gives it its form and sends it (`Face.deliver`).
"""

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from simulators.fleet.journal import Journal
from simulators.fleet.tasks import ends_all

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0


@dataclass(kw_only=True, slots=True)
class Push:
    """One telling and how often it still has to arrive."""

    delivery_id: str
    topic: str  # results, ready, readings, intervals, events, heard
    to: str  # where to, in words of the face: the base of a URL, a topic to answer to, or nothing
    body: dict[str, Any]
    copies: int = 1
    pause: float = _FIRST_PAUSE
    concentrator: str | None = None  # it waits while this one is offline

    @property
    def keeps_order(self) -> bool:
        """Whether it waits for the one before it: of interval values the newest telling counts."""
        return self.topic == "intervals"

    def record(self) -> dict[str, Any]:
        """This will give the push as the journal keeps it."""
        record = {"id": self.delivery_id, "topic": self.topic, "to": self.to, "body": self.body, "copies": self.copies}
        return record if self.concentrator is None else record | {"concentrator": self.concentrator}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Push":
        """This will read what `record` gave."""
        return cls(
            delivery_id=record["id"],
            topic=record["topic"],
            to=record["to"],
            body=record["body"],
            copies=record["copies"],
            concentrator=record.get("concentrator"),
        )


class Deliveries:
    """This will deliver until it is done, `concurrency` at a time, with growing pauses of real time after a failure.

    The pushes still open are in the journal, written there by whoever caused them; here only their end is noted. An end
    lost in a kill makes a duplicate, which the client has to bear anyway. What a concentrator that is offline has to
    tell is kept back, and let go in a burst.
    """

    def __init__(self, journal: Journal, *, deliver: Callable[[Push], Awaitable[bool]], concurrency: int = 8) -> None:
        self._journal = journal
        self._deliver = deliver
        self._queue: asyncio.Queue[Push] = asyncio.Queue()
        self._concurrency = concurrency
        self._tasks: list[asyncio.Task[None]] = []
        self._pausing: set[asyncio.TimerHandle] = set()
        # Pushes that keep their order, by concentrator; the first is under way.
        self._lines: defaultdict[str | None, deque[Push]] = defaultdict(deque)
        self._away: set[str | None] = set()
        self._kept_back: list[Push] = []
        self.open: dict[str, Push] = {}
        self.failures = 0
        self.delivered = 0

    @property
    def under_way(self) -> int:
        """How many pushes are open and not kept back."""
        return sum(push.concentrator not in self._away for push in self.open.values())

    def start(self) -> None:
        """This will begin to push what is open."""
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._concurrency)]
        for task in self._tasks:
            task.add_done_callback(ends_all)

    async def stop(self) -> None:
        """This will end pushing; what is open stays in the journal."""
        for handle in self._pausing:
            handle.cancel()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def add(self, push: Push) -> None:
        """This will queue a push that the journal already has."""
        self.open[push.delivery_id] = push
        if push.keeps_order:
            line = self._lines[push.concentrator]
            line.append(push)
            if line[0] is not push:
                return
        self._queue.put_nowait(push)

    async def push_at_once(self, push: Push) -> None:
        """This will try to deliver here and now, and queue the push only if that fails."""
        self.open[push.delivery_id] = push
        if push.concentrator in self._away or not await self._attempt(push):
            self._queue.put_nowait(push)

    def keep_back(self, concentrator: str) -> None:
        """This will keep back what this concentrator has to tell."""
        self._away.add(concentrator)

    def let_go(self, concentrator: str) -> None:
        """This will deliver what was kept back for this concentrator, in the order it was told."""
        self._away.discard(concentrator)
        kept_back, self._kept_back = self._kept_back, []
        for push in kept_back:
            self._queue.put_nowait(push)

    async def _work(self) -> None:
        while True:
            push = await self._queue.get()
            if push.concentrator in self._away:
                self._kept_back.append(push)
            elif not await self._attempt(push):
                self._pause(push)

    def _pause(self, push: Push) -> None:
        def again() -> None:
            self._pausing.discard(handle)
            self._queue.put_nowait(push)

        handle = asyncio.get_running_loop().call_later(push.pause, again)
        self._pausing.add(handle)
        push.pause = min(push.pause * 2, _LONGEST_PAUSE)

    async def _attempt(self, push: Push) -> bool:
        while push.copies > 0:
            if not await self._deliver(push):
                self.failures += 1
                return False
            push.copies -= 1
        self.open.pop(push.delivery_id, None)
        if push.keeps_order:
            line = self._lines[push.concentrator]
            line.popleft()
            if line:
                self._queue.put_nowait(line[0])
        self.delivered += 1
        self._journal.note({"t": "delivered", "id": push.delivery_id})
        self._journal.soon()
        return True
