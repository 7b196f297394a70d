"""The clock all simulators share: real time, or simulated time from three values.

Simulated now = epoch + (real now - anchor) * speed, with

    {"anchor": "2026-03-28T10:00:00Z",   the real instant at which the values were set
     "epoch": "2026-10-23T22:00:00Z",    the simulated instant that was then
     "speed": 60.0}                      simulated seconds per real second

published by whoever steers the time, in a file (replaced atomically) or behind a URL (`GET`, no credentials). The
steerer changes the values only forward, so the clock never runs backwards; it may jump at any moment, so nobody may
compute once how long to sleep: `sleep_until` asks again and again.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

_URL_POLL_SECONDS = 0.2
_FILE_POLL_SECONDS = 0.05


def real_now() -> datetime:
    """This will return the machine's own time as an aware UTC instant."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """One setting of the simulated clock: what time it was when, and how fast it has run since."""

    anchor: datetime
    epoch: datetime
    speed: float

    @classmethod
    def from_json(cls, text: str | bytes) -> "Rate":
        """This will read `{anchor, epoch, speed}`; ValueError if a member is missing or an instant has no zone."""
        try:
            values = json.loads(text)
            rate = cls(
                anchor=datetime.fromisoformat(values["anchor"]),
                epoch=datetime.fromisoformat(values["epoch"]),
                speed=float(values["speed"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a clock: {error}") from error
        if rate.anchor.tzinfo is None or rate.epoch.tzinfo is None or rate.speed < 0:
            raise ValueError("not a clock: instants need a zone, speed must not be negative")
        return rate

    def at(self, real: datetime) -> datetime:
        """This will return the simulated instant (UTC) at a real one."""
        return (self.epoch + (real - self.anchor) * self.speed).astimezone(UTC)


class Clock:
    """This will tell the simulated time of `source`: a URL, a file, or None for real time.

    A URL is polled by a thread of its own every 0.2 s, so that `now` never waits for the network; `refresh` asks it at
    once. Whoever stamps an answer with the time calls it on receiving a message: the sender may have seen a jump this
    process has not. A file is looked at with every call. An unreachable or half-written source keeps the last values.
    """

    def __init__(self, source: str | None = None, *, real: Callable[[], datetime] = real_now) -> None:
        self._real = real
        self._rate: Rate | None = None
        self._latest = datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._path: Path | None = None
        self._url: str | None = None
        self._client: httpx.Client | None = None
        self._stamp: tuple[int, int, int] | None = None
        if source is None:
            return
        if source.startswith(("http://", "https://")):
            self._url = source
            client = self._client = httpx.Client(timeout=2.0, trust_env=False)
            self._rate = self._first(lambda: client.get(source).raise_for_status().content)
            threading.Thread(target=self._poll_url, name="clock", daemon=True).start()
        else:
            self._path = Path(source)
            self._rate = self._first(self._path.read_bytes)

    @property
    def poll_seconds(self) -> float:
        """The longest real time this clock may be behind a jump of its source."""
        return _FILE_POLL_SECONDS if self._url is None else _URL_POLL_SECONDS

    def now(self) -> datetime:
        """This will return the present simulated instant, aware and in UTC, never earlier than it returned before."""
        if self._path is not None:
            self._read_file()
        real = self._real()
        with self._lock:
            now = real if self._rate is None else self._rate.at(real)
            self._latest = max(self._latest, now)
            return self._latest

    async def refresh(self) -> datetime:
        """This will ask the source at once and return the present instant; an unreachable source is no error."""
        if self._url is not None:
            await asyncio.to_thread(self._ask_url)
        return self.now()

    async def sleep_until(self, instant: datetime, *, wake: asyncio.Event | None = None) -> bool:
        """This will return True once `now() >= instant`, or False as soon as `wake` is set before that."""
        while (now := self.now()) < instant:
            if wake is not None and wake.is_set():
                return False
            with self._lock:
                speed = 1.0 if self._rate is None else self._rate.speed
            left = (instant - now).total_seconds() / speed if speed > 0 else self.poll_seconds
            pause = max(0.001, min(left, self.poll_seconds) if self._rate is not None else left)
            if wake is None:
                await asyncio.sleep(pause)
                continue
            try:
                await asyncio.wait_for(wake.wait(), pause)
            except TimeoutError:
                continue
        return True

    def wait_until(self, instant: datetime, *, stop: threading.Event) -> bool:
        """This will block a thread until `now() >= instant` (True) or `stop` is set (False)."""
        while self.now() < instant:
            if stop.wait(min(self.poll_seconds, max(0.001, (instant - self.now()).total_seconds()))):
                return False
        return True

    def close(self) -> None:
        """This will end the polling of a URL."""
        self._closed.set()

    @staticmethod
    def _first(read: Callable[[], bytes]) -> Rate:
        # The steerer may be starting in the same second as we are.
        deadline = time.monotonic() + 10.0
        while True:
            try:
                return Rate.from_json(read())
            except (OSError, ValueError, httpx.HTTPError) as error:
                if time.monotonic() > deadline:
                    raise ValueError(f"the clock cannot be read: {error}") from error
                time.sleep(0.05)

    def _read_file(self) -> None:
        assert self._path is not None
        try:
            status = self._path.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            rate = Rate.from_json(self._path.read_bytes())
        except (OSError, ValueError):
            return
        with self._lock:
            self._rate, self._stamp = rate, stamp

    def _poll_url(self) -> None:
        while not self._closed.wait(_URL_POLL_SECONDS):
            self._ask_url()

    def _ask_url(self) -> None:
        assert self._url is not None
        assert self._client is not None
        try:
            rate = Rate.from_json(self._client.get(self._url).raise_for_status().content)
        except (httpx.HTTPError, ValueError):
            return
        with self._lock:
            self._rate = rate


def instant(text: str) -> datetime:
    """This will read an RFC 3339 instant; ValueError without a zone."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return value.astimezone(UTC)


def stamp(value: datetime) -> str:
    """This will print an instant as RFC 3339 in UTC with `Z`, microseconds only where there are any."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
