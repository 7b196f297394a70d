"""Pushes to the client: at least once, until answered 2xx; in no order, but for interval values."""

import asyncio
import contextlib
import json
from collections import deque
from dataclasses import dataclass
from typing import Any

import httpx

from simulators.headend_rest.journal import Journal

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0


@dataclass(kw_only=True, slots=True)
class Push:
    """One message to the client and how often it still has to arrive."""

    delivery_id: str
    url: str
    body: dict[str, Any]
    copies: int = 1
    pause: float = _FIRST_PAUSE

    @property
    def keeps_order(self) -> bool:
        """Whether it waits for the one before it: of interval values the newest telling counts."""
        return self.url.endswith("/intervals")

    def record(self) -> dict[str, Any]:
        """This will give the push as the journal keeps it."""
        return {"id": self.delivery_id, "url": self.url, "body": self.body, "copies": self.copies}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Push":
        """This will read what `record` gave."""
        return cls(delivery_id=record["id"], url=record["url"], body=record["body"], copies=record["copies"])


class Deliveries:
    """This will push until answered 2xx, `concurrency` at a time, with growing pauses of real time after a failure.

    The pushes still open are in the journal, written there by whoever caused them; here only their end is noted. An end
    lost in a kill makes a duplicate, which the client has to bear anyway.
    """

    def __init__(self, journal: Journal, *, user: str, password: str, concurrency: int = 8) -> None:
        self._journal = journal
        self._client = httpx.AsyncClient(auth=(user, password), timeout=10.0, trust_env=False)
        self._queue: asyncio.Queue[Push] = asyncio.Queue()
        self._concurrency = concurrency
        self._tasks: list[asyncio.Task[None]] = []
        self._pausing: set[asyncio.TimerHandle] = set()
        self._line: deque[Push] = deque()  # pushes that keep their order; the first is under way
        self.open: dict[str, Push] = {}
        self.failures = 0
        self.delivered = 0

    def start(self) -> None:
        """This will begin to push what is open."""
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._concurrency)]

    async def stop(self) -> None:
        """This will end pushing; what is open stays in the journal."""
        for handle in self._pausing:
            handle.cancel()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._client.aclose()

    def add(self, push: Push) -> None:
        """This will queue a push that the journal already has."""
        self.open[push.delivery_id] = push
        if push.keeps_order:
            self._line.append(push)
            if self._line[0] is not push:
                return
        self._queue.put_nowait(push)

    async def push_at_once(self, push: Push) -> None:
        """This will try to deliver here and now, and queue the push only if that fails."""
        self.open[push.delivery_id] = push
        if not await self._attempt(push):
            self._queue.put_nowait(push)

    async def _work(self) -> None:
        while True:
            push = await self._queue.get()
            if not await self._attempt(push):
                self._pause(push)

    def _pause(self, push: Push) -> None:
        def again() -> None:
            self._pausing.discard(handle)
            self._queue.put_nowait(push)

        handle = asyncio.get_running_loop().call_later(push.pause, again)
        self._pausing.add(handle)
        push.pause = min(push.pause * 2, _LONGEST_PAUSE)

    async def _attempt(self, push: Push) -> bool:
        content = json.dumps(push.body, separators=(",", ":")).encode()
        while push.copies > 0:
            try:
                answer = await self._client.post(
                    push.url, content=content, headers={"Content-Type": "application/json"}
                )
            except (httpx.HTTPError, httpx.InvalidURL):
                self.failures += 1
                return False
            if not answer.is_success:
                self.failures += 1
                return False
            push.copies -= 1
        self.open.pop(push.delivery_id, None)
        if push.keeps_order:
            self._line.popleft()
            if self._line:
                self._queue.put_nowait(self._line[0])
        self.delivered += 1
        self._journal.note({"t": "delivered", "id": push.delivery_id})
        self._journal.soon()
        return True
