"""The head-end side of MDUS in one hand: a database, a clock that stands, the workers, and what tests ask of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

from pydantic import SecretStr
from sqlalchemy import select

from mdus.bootstrap.composition import limits_of
from mdus.bootstrap.discovery import discover
from mdus.domain.command import Command, CommandKind, OwnerKind, command_key
from mdus.domain.end_device import EndDevice, EndDeviceStatus, SwitchState
from mdus.domain.end_device_control import ControlCategory, EndDeviceControl, GovernorRules
from mdus.domain.head_end import Decode, HeadEnd, HeadEndKind, RawDelivery
from mdus.domain.register import Register
from mdus.domain.value import Value
from mdus.headends.rest import HEAD_END
from mdus.messaging.retry import RetryPolicy
from mdus.settings import HeadEnd as Row
from mdus.settings import load_settings
from mdus.storage import delivery
from mdus.storage.command import HEAD_END_DELIVERY
from mdus.storage.outstanding import Limits
from mdus.storage.session import Database
from mdus.workers.head_end import HeadEndWorker, patience
from mdus.workers.head_end_watch import HeadEndWatch
from mdus.workers.readings import ReadingsWorker

NOON = datetime(2026, 3, 27, 11, 0, tzinfo=UTC)  # the Friday before summer time begins in Berlin
SERIAL = "0000001234"
DEVICE = "000000000000010042"
SENDER = "SAP"
ENERGY = "1-0:1.8.0*255"


class StandingClock:
    """Business time that a test moves."""

    def __init__(self) -> None:
        self.present = NOON
        self.moved: Callable[[datetime], None] = lambda _: None  # whoever else follows it

    def now(self) -> datetime:
        """Return the present business instant."""
        return self.present

    def advance(self, **delta: float) -> None:
        """Let business time pass."""
        self.present += timedelta(**delta)
        self.moved(self.present)


def row(url: str | None, **changes: Any) -> Row:
    """Return the configured head end `city`."""
    values: dict[str, Any] = {
        "name": "city",
        "kind": "rest",
        "url": url,
        "user": "mdus",
        "password": SecretStr("secret"),
        "callback_url": "http://127.0.0.1:1/head-ends/city",
        "time_zone": "Europe/Berlin",
        "timeout_seconds": 5.0,
    }
    return Row(**(values | changes))


class Field:
    """One head end `city`, its worker and the readings worker, on a database of the test."""

    def __init__(
        self,
        database_url: str,
        head_end_url: str | None,
        *,
        kind: HeadEndKind = HEAD_END,
        head_end: HeadEnd | None = None,
        decode: Decode | None = None,
        **row_changes: Any,
    ) -> None:
        self.kind = kind
        found = discover()
        offered = {each.name: each.offers for each in found.kinds.values()}
        self.settings = load_settings({}, tables=found.tables, offered=offered)
        self.database = Database(database_url, settings=self.settings)
        self.clock = StandingClock()
        self.real = 0.0  # what rests after failures are measured with
        self.retry = RetryPolicy(base=timedelta(0), cap=timedelta(0), attempts=3)
        self.row = row(head_end_url, **{"kind": kind.name} | row_changes)
        self.head_end = head_end or kind.connect(self.settings, self.row)
        self.decode = decode or kind.decoder(self.settings, self.row)
        self.worker = self.new_worker()
        self.readings = ReadingsWorker(
            database=self.database, clock=self.clock, decoders={"city": self.decode}, retry=self.retry
        )
        self._numbers = count(1)

    def new_worker(
        self,
        *,
        lease: timedelta = timedelta(minutes=1),
        takes: frozenset[CommandKind] = frozenset(CommandKind),
        limits: Limits | None = None,
    ) -> HeadEndWorker:
        """Return a worker for the head end, as a process that starts would have it."""
        return HeadEndWorker(
            self.head_end,
            database=self.database,
            clock=self.clock,
            retry=self.retry,
            patience=patience(self.settings),
            rules=GovernorRules(),
            lease=lease,
            takes=takes,
            limits=limits or limits_of(self.row, self.kind),
            poll_after=None if self.row.poll_seconds is None else timedelta(seconds=self.row.poll_seconds),
            monotonic=lambda: self.real,
        )

    def new_watch(self, *, holder: str = "this process") -> HeadEndWatch:
        """Return a watch of the head end, as a process that starts would have it."""
        return HeadEndWatch(
            self.head_end,
            database=self.database,
            clock=self.clock,
            retry=self.retry,
            takes=self.kind.takes(self.row),
            limit_to=self.worker.take_only,
            listens=self.kind.listens,
            holder=holder,
            monotonic=lambda: self.real,
        )

    def close(self) -> None:
        """Let go of database and connections."""
        self.head_end.close()
        self.database.close()

    # ---- what is there -----------------------------------------------------------------------------------------------

    def save(self, *values: Value) -> None:
        """Store values in a transaction of their own."""
        with self.database.begin() as uow:
            uow.save(values)

    def device(self, serial: str = SERIAL, device_id: str = DEVICE, *, registers: bool = True) -> EndDevice:
        """Store a device with one register, as SAP's messages would."""
        device = EndDevice(
            sender_system=SENDER,
            device_id=device_id,
            serial_id=serial,
            material_id="LX100",
            valid_from=date(2026, 1, 1),
            ams_id="AEML",
            head_end="city",
        )
        self.save(device, EndDeviceStatus(sender_system=SENDER, device_id=device_id))
        if registers:
            self.save(
                Register(
                    sender_system=SENDER,
                    device_id=device_id,
                    measurement_task_id=f"LRN{device_id}",
                    valid_from=date(2026, 1, 1),
                    reading_type=ENERGY,
                    unit="KWH",
                    total_digits=8,
                    fraction_digits=2,
                )
            )
        return device

    def command(self, kind: CommandKind, **changes: Any) -> Command:
        """Store a command that is due now."""
        purpose = changes.pop("purpose", f"{kind}{next(self._numbers)}")
        device_id = changes.get("device_id", DEVICE)
        values: dict[str, Any] = {
            "command_key": command_key(
                owner_kind=OwnerKind.REGISTRY, owner_key="SAP/1", device_id=device_id, purpose=purpose
            ),
            "owner_kind": OwnerKind.REGISTRY,
            "owner_key": "SAP/1",
            "sender_system": SENDER,
            "device_id": device_id,
            "serial_id": SERIAL,
            "head_end": "city",
            "kind": kind,
            "purpose": purpose,
            "not_before": self.clock.now(),
            "expires_at": self.clock.now() + timedelta(hours=1),
        }
        if kind in (CommandKind.READ_REGISTERS, CommandKind.READ_INTERVALS):
            values |= {"period_from": self.clock.now() - timedelta(days=1), "period_to": self.clock.now()}
        command = Command(**(values | changes))
        self.save(command)
        return command

    def switch(
        self, category: ControlCategory = ControlCategory.DISCONNECT, *, planned_at: datetime | None = None, **of: Any
    ) -> tuple[EndDeviceControl, Command]:
        """Store a connection order for the device, with its switch command."""
        control_values = {name: of.pop(name) for name in ("status", "reported_success", "test_data") if name in of}
        planned_at = planned_at or self.clock.now()
        control = EndDeviceControl(
            sender_system=SENDER,
            request_id=of.pop("request_id", f"{next(self._numbers):012d}"),
            category=category,
            device_id=of.get("device_id", DEVICE),
            planned_at=planned_at,
            effective_at=planned_at,
            expires_at=planned_at + timedelta(hours=1),
            item_id=of.pop("item_id", 1),
            **control_values,
        )
        self.save(control)
        command = self.command(
            CommandKind.SWITCH,
            **(
                {
                    "wanted_state": category.wanted_state,
                    "control_key": control.control_key,
                    "not_before": planned_at,
                    "expires_at": control.expires_at,
                }
                | of
            ),
        )
        return control, command

    def with_breaker(self, has_breaker: bool | None, **changes: Any) -> None:
        """Store what is known of the device's breaker."""
        status = EndDeviceStatus(sender_system=SENDER, device_id=DEVICE, has_breaker=has_breaker)
        self.save(replace(status, **changes))

    # ---- what came of it ---------------------------------------------------------------------------------------------

    def stored(self, command: Command) -> Command:
        """Return a command as it stands now."""
        with self.database.read() as uow:
            return uow.load(Command, Command.KEY, [command.key], lock=False)[0]

    def status_of(self, device_id: str = DEVICE) -> EndDeviceStatus:
        """Return what is known of a device from the field."""
        with self.database.read() as uow:
            return uow.load(EndDeviceStatus, EndDeviceStatus.KEY, [(SENDER, device_id)], lock=False)[0]

    def all(self, kind: type[Any], /, **where: Any) -> list[Any]:
        """Return all stored values of a kind with these attributes."""
        from mdus.storage.session import TABLES

        table = TABLES[kind]
        query = table.select()
        for name, value in where.items():
            query = query.where(table.table.c[name] == value)
        with self.database.read() as uow:
            return table.fetch(uow.connection, query.order_by(table.table.c.id))

    def push(self, topic: str, body: Mapping[str, Any] | bytes) -> int:
        """Store a push as the endpoint does; returns how many deliveries are new."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        packed = [delivery.pack(RawDelivery(topic=topic, correlation="", body=raw))]
        with self.database.begin() as uow:
            return delivery.store(uow.connection, packed, head_end="city", now=self.clock.now())

    def deliveries(self) -> list[str]:
        """Return the status of every delivery, oldest first."""
        with self.database.read() as uow:
            return list(uow.connection.scalars(select(HEAD_END_DELIVERY.c.status).order_by(HEAD_END_DELIVERY.c.id)))

    def result(self, command: Command, *, correlation: str, **changes: Any) -> dict[str, Any]:
        """Return the push that tells the result of one command."""
        switched = command.kind is CommandKind.SWITCH
        state = (command.wanted_state or SwitchState.CONNECTED).value
        one: dict[str, Any] = {
            "serial": command.serial_id,
            "reference": command.command_key,
            "status": "ok",
            "completed_at": self.clock.now().isoformat(),
            "readings": [],
        }
        if switched:
            one |= {"switch_state": state, "switched_at": self.clock.now().isoformat()}
        one |= changes
        return {
            "delivery_id": f"d-{next(self._numbers)}",
            "token": "t-1",
            "correlation_id": correlation,
            "kind": command.kind.value,
            "results": [one],
        }
