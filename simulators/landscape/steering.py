"""The steered clock: it runs while something is in flight and jumps to the next due instant when all is idle.

Production delays stay as they are: what takes an hour takes an hour of the clock, and nobody waits for it.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import httpx

from simulators.clock import instant, stamp
from simulators.landscape.clients import Clients, ControlRefused, earliest

T = TypeVar("T")

#: Real seconds all must have been idle before the clock jumps. What a jump makes due shows as overdue at once, whoever
#: has not seen the jump yet; this pause is for what nobody announced.
_SETTLED_SECONDS = 0.1
_LOOK_SECONDS = 0.03
#: Real seconds after which every process has seen a jump: who acts before that speaks of what is the future to others.
_SEEN_SECONDS = 0.4
#: How long a process may take to come up again.
_PATIENCE_SECONDS = 60.0
_CONFLICT = 409
#: While MDUS or SAP has work the clock stays near real time: no deadline passes for want of computing power.
_BUSY_SPEED = 4.0
#: The longest jump: a slot or delivery nobody announced is then late by no more than this.
_LONGEST_JUMP = timedelta(hours=12)


class Stalled(Exception):
    """The landscape did not come to rest in the time allowed; the text says what is still in flight."""


class Steering:
    """Moves the clock of one landscape through MDUS's control API; only forward.

    `speed` is the upper bound of the pace while something is in flight, `busy_speed` while MDUS or SAP has work.
    `watch` is called at every look and raises when a process has died.
    """

    def __init__(
        self, clients: Clients, *, speed: float, watch: Callable[[], None], busy_speed: float = _BUSY_SPEED
    ) -> None:
        self._clients = clients
        self._speed = max(1.0, speed)
        self._busy_speed = busy_speed
        self._watch = watch
        self._pace: float | None = None
        self._lock = threading.Lock()
        self.jumps = 0
        self._jumped_at = 0.0
        #: Real time by what the clock waited for.
        self.seconds = {"in flight": 0.0, "settling": 0.0}
        self._looked_at = time.monotonic()

    def now(self) -> datetime:
        """This will return the present instant of the clock."""
        return instant(self._patiently(lambda: self._clients.mdus.get("/clock"))["now"])

    def run_until(self, target: datetime, *, patience: float = 180.0) -> None:
        """This will bring the clock to `target`, letting everything due before it happen in its time.

        Raises Stalled when something stays in flight for `patience` real seconds without the clock moving on.
        """
        idle_since: float | None = None
        busy_since = time.monotonic()
        while True:
            self._watch()
            look = self._look()
            self._book(look)
            if look.now >= target:
                time.sleep(max(0.0, self._jumped_at + _SEEN_SECONDS - time.monotonic()))
                return
            if look.in_flight or look.overdue:
                idle_since = None
                # While only meters are working the clock may hurry.
                self._run_at(min(self._speed, 60.0 if look.only_field else self._busy_speed))
                if time.monotonic() - busy_since > patience:
                    raise Stalled(f"still in flight at {look.now}: {look.what}")
            else:
                idle_since = idle_since or time.monotonic()
                if time.monotonic() - idle_since >= _SETTLED_SECONDS:
                    due = min(filter(None, (look.next_due, target)))
                    self._jump(max(look.now, min(due, look.now + _LONGEST_JUMP)))
                    idle_since, busy_since = None, time.monotonic()
            time.sleep(_LOOK_SECONDS)

    def settle(self, *, within: timedelta, patience: float = 180.0) -> None:
        """This will run until nothing is in flight and nothing is due within a span of the clock."""
        self.run_until(self.now() + within, patience=patience)

    def wait_for(self, condition: Callable[[], bool], *, within: timedelta, what: str) -> None:
        """This will run the clock until `condition` holds; raises Stalled when it does not within a span."""
        end = self.now() + within
        step = timedelta(minutes=2)
        while not condition():
            if self.now() >= end:
                raise Stalled(f"{what}: not within {within} of the clock")
            self.run_until(min(self.now() + step, end))

    def _look(self) -> "_Look":
        mdus, sap, field = self._patiently(
            lambda: (
                self._clients.mdus.get("/clock"),
                self._clients.sap.get("/control/activity"),
                self._clients.head_end.get("/control/activity"),
            )
        )
        ours = sum(mdus["in_flight"].values())
        look = _Look(
            now=instant(mdus["now"]),
            in_flight=ours + sap["in_flight"] + field["in_flight"],
            only_field=ours + sap["in_flight"] == 0,
            next_due=earliest(mdus["next_due"], sap["next_due"], field["next_due"]),
            what=f"MDUS {mdus['in_flight']}, SAP {sap['in_flight']}, head end {field['in_flight']}",
        )
        # Asked only when their word counts: six processes more that answer at every look would take their time.
        return look if look.in_flight or look.overdue else self._look_further(look)

    def _look_further(self, look: "_Look") -> "_Look":
        """Ask the further head ends, too, whether the clock may jump, and how far."""
        told = {
            name: self._patiently(partial(client.get, "/control/activity"))
            for name, client in self._clients.further.items()
        }
        if not told:
            return look
        dues = [stamp(look.next_due) if look.next_due else None, *(each["next_due"] for each in told.values())]
        return _Look(
            now=look.now,
            in_flight=sum(each["in_flight"] for each in told.values()),
            only_field=True,
            next_due=earliest(*dues),
            what=", ".join(f"{name} {each['in_flight']}" for name, each in told.items()),
        )

    def _book(self, look: "_Look") -> None:
        present = time.monotonic()
        self.seconds["in flight" if look.in_flight else "settling"] += present - self._looked_at
        self._looked_at = present

    def _run_at(self, pace: float) -> None:
        with self._lock:
            if pace != self._pace:
                self._steer(speed=pace)
                self._pace = pace

    def _jump(self, to: datetime) -> None:
        with self._lock:
            try:
                self._steer(speed=self._busy_speed, jump_to=stamp(to))
            except ControlRefused as error:
                if error.status != _CONFLICT:
                    raise
                self._pace = None  # it is past that already: perhaps by this very jump, whose answer was lost
            else:
                self._pace = self._busy_speed
            self.jumps += 1
            self._jumped_at = time.monotonic()

    def _steer(self, **wanted: object) -> None:
        # Harmless to ask twice: the clock only moves forward.
        self._patiently(lambda: self._clients.mdus.post("/clock", **wanted))

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Ask until answered: a process may be on its way up again."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return ask()
            except (httpx.HTTPError, ControlRefused) as error:
                refused = isinstance(error, ControlRefused) and error.status < 500
                if refused or time.monotonic() > deadline:
                    raise
                self._watch()
                time.sleep(0.1)


class _Look:
    """What one look at all processes saw."""

    def __init__(
        self, *, now: datetime, in_flight: int, only_field: bool, next_due: datetime | None, what: str
    ) -> None:
        self.now = now
        self.in_flight = in_flight
        self.only_field = only_field
        self.next_due = next_due
        self.what = f"{what}, next due {next_due}"

    @property
    def overdue(self) -> bool:
        """Whether something is due already: somebody is about to see to it, and the clock must not jump."""
        return self.next_due is not None and self.next_due <= self.now
