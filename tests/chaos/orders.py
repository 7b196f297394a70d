"""Places the orders: what a utility asks for in a day, mixed, while processes come and go."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, TypeVar

import httpx

from simulators.clock import stamp
from simulators.landscape.clients import Clients
from simulators.landscape.steering import Steering

T = TypeVar("T")

_PERIODIC, _MOVE_IN, _CONTROL = "01", "06", "10"
_STORED, _ON_DEMAND = "0", "1"
_DISCONNECT, _RECONNECT = 1, 2
_CANCELLATIONS = ("reading_cancellation", "connection_cancellation")
_PATIENCE_SECONDS = 90.0


class Desk:
    """The people before SAP's screens; patient while a process is down, and never asking twice for the same thing."""

    def __init__(self, clients: Clients, steering: Steering, *, seed: int, watch: Callable[[], None]) -> None:
        self._clients = clients
        self._steering = steering
        self._random = random.Random(f"{seed}/orders")
        self._watch = watch
        self._placed: Counter[str] = Counter()  # how much of each of SAP's lists we have asked for
        self.changed: set[str] = set()  # messages sent again with other content

    @property
    def placed(self) -> int:
        """How many orders SAP was asked to place; a device is two, its creation and that of its registers."""
        return self._placed.total() + self._placed["devices"]

    # Asking -------------------------------------------------------------------------------------------------------

    def patiently(self, ask: Callable[[], T], *, patience: float = _PATIENCE_SECONDS) -> T:
        """Return the answer, asking until the process is up; raises what it met after `patience` seconds."""
        deadline = time.monotonic() + patience
        while True:
            try:
                return ask()
            except httpx.HTTPError:
                self._watch()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def wait_until(self, condition: Callable[[], bool], *, what: str, patience: float = _PATIENCE_SECONDS) -> None:
        """Return when `condition` holds; AssertionError names `what` after `patience` seconds."""
        deadline = time.monotonic() + patience
        while not self.patiently(condition):
            self._watch()
            assert time.monotonic() < deadline, f"not within {patience} s: {what}"
            time.sleep(0.1)

    def _once(self, path: str, listed: str, **body: Any) -> list[str]:
        """Ask SAP for something once, even if its answer is lost; return the ids of what is new in its list."""
        lost = False

        def ask() -> list[Any]:
            nonlocal lost
            if lost and (new := self._list(listed)[self._placed[listed] :]):
                return new
            lost = True
            return list(next(iter(self._clients.sap.post(f"/control/{path}", **body).values())))

        made = self.patiently(ask)
        self._placed[listed] += len(made)
        return [one if isinstance(one, str) else one.get("id") or one["uuid"] for one in made]

    def listed(self, listed: str) -> list[dict[str, Any]]:
        """Return one of SAP's lists: devices, orders, documents, messages (those it sends), or of one cancellation."""
        return self.patiently(lambda: self._list(listed))

    def _list(self, listed: str) -> list[dict[str, Any]]:
        if listed not in ("messages", *_CANCELLATIONS):
            return list(self._clients.sap.get(f"/control/{listed}")[listed])
        sent = self._clients.sap.get("/control/messages")["sent"]
        return [message for message in sent if listed in ("messages", message["process"])]

    # Ordering -----------------------------------------------------------------------------------------------------

    def initialize(self, *, start_on: date) -> None:
        """Put all meters into service: some bulks in order, some shuffled, some meters one by one."""
        meters = self.patiently(lambda: self._clients.head_end.get("/control/meters"))["meters"]
        singles, size = max(2, len(meters) // 15), max(5, len(meters) // 5)
        start = start_on.isoformat()
        self._once("devices", "devices", meters=meters[:singles], bulk=False, start_on=start)
        for number, first in enumerate(range(singles, len(meters), size)):
            how = {"bulk": True, "order": "shuffled" if number % 2 else "in_order", "size": max(3, size // 3)}
            self._once("devices", "devices", meters=meters[first : first + size], start_on=start, **how)

    def wait_for_registration(self) -> None:
        """Return when SAP was told of every device; the clock runs on meanwhile."""
        devices = self.listed("devices")

        def registered() -> bool:
            return bool(self._clients.sap.get("/control/view")["registered"] == len(devices))

        self.wait_until(registered, what="registration of all devices", patience=120.0)

    def order_a_mix(self, today: date) -> None:
        """Order readings of all kinds, disconnections and reconnections; cancel some; send some again."""
        devices = [device["id"] for device in self.listed("devices")]
        self._read(self._some(devices, 0.35), reason=_CONTROL, on=today, source=_ON_DEMAND)
        self._read(self._some(devices, 0.15), reason=_CONTROL, on=today - timedelta(days=1), source=_STORED)
        self._read(self._some(devices, 0.15), reason=_MOVE_IN, on=today, source=_STORED)
        self._switch()
        tonight = self._read(self._some(devices, 0.25), reason=_PERIODIC, on=today, source=_STORED)
        self._cancel_readings(tonight)
        self._cancel_connections()
        self._repeat()

    def _read(self, devices: list[str], *, reason: str, on: date, source: str) -> list[str]:
        body = {"reason": reason, "scheduled_on": on.isoformat(), "data_source": source}
        alone, size = devices[:2], self._random.choice((5, 10, 30))
        made = self._once("reading_orders", "orders", devices=alone, bulk=False, **body)
        return made + self._once("reading_orders", "orders", devices=devices[2:], bulk=True, size=size, **body)

    def _switch(self) -> None:
        """Disconnect and reconnect; a device gets its next order only when the one before has its outcome."""
        switchable, connected = self._positions()
        self._switch_some(self._sample([d for d in switchable if connected[d]], 0.50), _DISCONNECT)
        self._switch_some(self._sample([d for d in switchable if not connected[d]], 0.80), _RECONNECT)

    def _switch_some(self, devices: list[str], category: int) -> None:
        alone, together = devices[:2], devices[2:]
        for some, per_document, bulk in ((alone, 1, False), (together[::2], 1, True), (together[1::2], 2, False)):
            if some:
                body = {"devices": some, "category": category, "devices_per_document": per_document, "bulk": bulk}
                self._once("connection_orders", "documents", **body)

    def _cancel_connections(self) -> None:
        """Order disconnections for later and take them back: after their order was sent, or before."""
        switchable, connected = self._positions()
        some = self._sample([device for device in switchable if connected[device]], 0.10)
        if not some:
            return
        later = stamp(self._steering.now() + timedelta(hours=3))
        documents = self._once("connection_orders", "documents", devices=some, category=_DISCONNECT, planned_at=later)
        early = self._random.random() < 0.3
        self._once("cancel_connections", "connection_cancellation", documents=documents, early=early)

    def _cancel_readings(self, orders: list[str]) -> None:
        some = self._random.sample(orders, max(1, len(orders) // 4))
        half = len(some) // 2
        self._once("cancel_readings", "reading_cancellation", orders=some[: half + 1], bulk=True)
        for order in some[half + 1 :]:
            early = self._random.random() < 0.3
            self._once("cancel_readings", "reading_cancellation", orders=[order], bulk=False, early=early)

    def _repeat(self) -> None:
        """Send a few delivered messages again, byte for byte; one with other content."""
        delivered = [message["uuid"] for message in self.listed("messages") if message["state"] == "delivered"]
        if not delivered:
            return
        for uuid in self._random.sample(delivered, min(4, len(delivered))):
            self.patiently(lambda uuid=uuid: self._clients.sap.post("/control/resend", uuid=uuid, changed=False))
        changeable = [uuid for uuid in delivered if uuid not in self.changed and self._is_order(uuid)]
        if changeable:
            uuid = self._random.choice(changeable)
            self.patiently(lambda: self._clients.sap.post("/control/resend", uuid=uuid, changed=True))
            self.changed.add(uuid)

    def _is_order(self, uuid: str) -> bool:
        process = next(message["process"] for message in self.listed("messages") if message["uuid"] == uuid)
        return process in ("device_create", "reading_order", "connection_order", "location")

    # Choosing -----------------------------------------------------------------------------------------------------

    def _some(self, devices: list[str], share: float) -> list[str]:
        return self._random.sample(sorted(devices), max(3, round(len(devices) * share)))

    def _sample(self, devices: list[str], share: float) -> list[str]:
        return self._random.sample(sorted(devices), round(len(devices) * share))

    def _positions(self) -> tuple[list[str], dict[str, bool]]:
        """Return the devices free for a switch order, and whether SAP believes each connected."""
        meters = self.patiently(lambda: self._clients.head_end.get("/control/meters"))["meters"]
        breakers = {meter["serial"] for meter in meters if meter["has_breaker"]}
        connected = {device["id"]: True for device in self.listed("devices") if device["serial"] in breakers}
        busy: set[str] = set()
        for document in self.listed("documents"):
            for device, result in document["devices"].items():
                if document["status"] == "requested":
                    busy.add(device)
                elif result == "1":
                    connected[device] = str(document["category"]) == str(_RECONNECT)
        return [device for device in connected if device not in busy], connected
