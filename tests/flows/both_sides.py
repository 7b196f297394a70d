"""MDUS between a head end that follows a script and a SAP that keeps what it is sent, every worker turned by hand.

Messages come in through SOAP and go out as rendered bytes; the head end is spoken to over HTTP. The clock stands until
a test moves it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from lxml import etree

from mdus.bootstrap.database import seed_rule_sets
from mdus.bootstrap.discovery import discover
from mdus.cis.client import Delivery
from mdus.contracts.catalog import catalog
from mdus.contracts.envelope import parse
from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.end_device_control import GovernorRules
from mdus.domain.head_end import RawDelivery
from mdus.domain.reading import MeterReading
from mdus.domain.register import Register
from mdus.domain.value import Value
from mdus.headends.rest import HEAD_END
from mdus.messaging.retry import RetryPolicy
from mdus.storage import delivery
from mdus.storage.session import TABLES
from mdus.workers.device_limits import DeviceLimitWorker
from mdus.workers.event_sorting import EventSorter
from mdus.workers.head_end import HeadEndWorker, patience
from mdus.workers.inbox import InboxWorker
from mdus.workers.meter_reading_documents import MeterReadingDocumentWorker
from mdus.workers.outbox import OutboxWorker
from mdus.workers.readings import ReadingsWorker
from mdus.workers.rule_sets import stored_for_registers
from tests.flows.intake.installation import Installation
from tests.head_ends.scripted import ScriptedHeadEnd

SENDER = "P11"
ENERGY = "1-0:1.8.0*255"
_ROOTS = "http://sap.com/xi/SAPGlobal20/Global"
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_RETRY = RetryPolicy(base=timedelta(0), cap=timedelta(0), attempts=3)


class Clock:
    """Business time that a test moves."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def now(self) -> datetime:
        return self.instant

    def move(self, **span: float) -> None:
        self.instant += timedelta(**span)


class Sap:
    """Takes every message; `closed` it takes none. Each must validate against its schema."""

    def __init__(self) -> None:
        self.received: list[etree._Element] = []
        self.closed = False

    def post(self, body: bytes, *, interface: str, sender_system: str) -> Delivery:
        """Take one message, as the client of the real SAP would post it."""
        if self.closed:
            return Delivery(delivered=False, error="closed")
        element = parse(body)
        root = catalog().root(etree.QName(element).localname)
        catalog().schema(root).assertValid(element)
        assert root.interface == interface
        assert element.findtext("MessageHeader/RecipientBusinessSystemID") == sender_system
        self.received.append(element)
        return Delivery(delivered=True)

    def close(self) -> None:
        """Nothing is open."""

    def messages(self, root: str) -> list[etree._Element]:
        """Return the messages of one root, oldest first."""
        return [element for element in self.received if etree.QName(element).localname == root]


class BothSides:
    """One installation with a head end `city` for the metering system AM01, and its workers."""

    def __init__(self, url: str, folder: Path, *, now: datetime) -> None:
        self.head_end = ScriptedHeadEnd()
        (folder / "head_ends.toml").write_text(
            f'[[head_ends]]\nname = "city"\nkind = "rest"\nurl = "{self.head_end.url}"\nams_ids = ["AM01"]\n'
            'callback_url = "http://127.0.0.1:1/head-ends/city"\ntimeout_seconds = 5\n'
        )
        self.clock, self.sap = Clock(now), Sap()
        found = discover()
        services = found.services
        self.mdus = Installation(url, environ={"MDUS_CONFIG": str(folder)}, clock=self.clock, services=services)
        settings, self.database = self.mdus.runtime.settings, self.mdus.database
        shared: dict[str, Any] = {"database": self.database, "settings": settings, "clock": self.clock}
        self.connected = HEAD_END.connect(settings, settings.head_ends[0])
        self.inbox = InboxWorker(**shared, services=services, retry=RetryPolicy(attempts=1))
        self.outbox = OutboxWorker(**shared, services=services, retry=_RETRY, contract=catalog(), client=self.sap)  # type: ignore[arg-type]
        seed_rule_sets(self.database)
        self.documents = MeterReadingDocumentWorker(**shared, rule_sets=stored_for_registers(found.tools))
        self.limits = DeviceLimitWorker(**shared)
        self.events = EventSorter(**shared, look_seconds=0)
        self.commands = HeadEndWorker(
            self.connected,
            database=self.database,
            clock=self.clock,
            retry=_RETRY,
            patience=patience(settings),
            rules=GovernorRules(),
            lease=timedelta(minutes=1),
        )
        self.readings = ReadingsWorker(
            database=self.database,
            clock=self.clock,
            decoders={"city": HEAD_END.decoder(settings, settings.head_ends[0])},
            retry=_RETRY,
        )

    def close(self) -> None:
        """Let go of everything."""
        self.connected.close()  # type: ignore[attr-defined]
        self.head_end.close()
        self.outbox.close()
        self.database.close()

    # ---- what happens ------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Turn every worker until none has anything left to do at this instant."""
        turns = (
            self.inbox.turn,
            self.commands.turn,
            self.readings.turn,
            self.documents.turn,
            self.limits.turn,
            self.events.turn,
            self.outbox.turn,
        )
        for _ in range(100):
            if sum(turn() for turn in turns) == 0:
                return
        raise AssertionError("the workers never come to rest")

    def decide(self) -> None:
        """Turn the inbox only."""
        while self.inbox.turn():
            pass

    def tell(
        self, root: str, *bodies: str, uuid_: str | None = None, test_data: bool = False, sender: str = SENDER
    ) -> str:
        """Post a message of SAP, a bulk if its root says so; returns its UUID in lower case."""
        made = uuid_ or str(uuid.uuid4())
        header = self._header(made, test_data=test_data, sender=sender)
        if "Bulk" in root:
            item = catalog().root(root).item_element
            heads = (self._header(str(uuid.uuid4()), sender=sender) for _ in bodies)
            content = header + "".join(
                f"<{item}>{head}{body}</{item}>" for head, body in zip(heads, bodies, strict=True)
            )
        else:
            content = header + bodies[0]
        text = f'<n0:{root} xmlns:n0="{_ROOTS}">{content}</n0:{root}>'
        answer = self.mdus.post(f'<s:Envelope xmlns:s="{_SOAP}"><s:Body>{text}</s:Body></s:Envelope>'.encode())
        assert (answer.status_code, answer.content) == (202, b""), answer.text
        return made

    def _header(self, made: str, *, test_data: bool = False, sender: str) -> str:
        return (
            f"<MessageHeader><UUID>{made}</UUID><CreationDateTime>2026-03-28T10:00:00Z</CreationDateTime>"
            + ("<TestDataIndicator>true</TestDataIndicator>" if test_data else "")
            + f"<SenderBusinessSystemID>{sender}</SenderBusinessSystemID></MessageHeader>"
        )

    def push(self, topic: str, body: Mapping[str, Any]) -> None:
        """Let the head end push; stored as the endpoint does."""
        packed = [delivery.pack(RawDelivery(topic=topic, correlation="", body=json.dumps(body).encode()))]
        with self.database.begin() as uow:
            delivery.store(uow.connection, packed, head_end="city", now=self.clock.now())

    def answer(self, kind: CommandKind, **result: Any) -> int:
        """Let the head end answer every job of a kind that it has not answered yet; returns how many orders."""
        told = 0
        for number, job in enumerate(self.head_end.submitted, start=1):
            if job["kind"] != kind.value or job.pop("answered", False):
                continue
            job["answered"] = True
            results = [
                {
                    "serial": device["serial"],
                    "reference": device["reference"],
                    "status": "ok",
                    "completed_at": self.clock.now().isoformat(),
                    "readings": [],
                    **result,
                }
                for device in job["devices"]
            ]
            told += len(results)
            self.push(
                "results",
                {
                    "delivery_id": f"d-{number}",
                    "token": f"t-{number}",
                    "correlation_id": job["correlation_id"],
                    "kind": kind.value,
                    "results": results,
                },
            )
        return told

    def submitted(self, kind: CommandKind) -> list[Mapping[str, Any]]:
        """Return the device orders of a kind that the head end was given, each as often as it was."""
        return [device for job in self.head_end.submitted if job["kind"] == kind.value for device in job["devices"]]

    # ---- what is there -----------------------------------------------------------------------------------------------

    def save(self, *values: Value) -> None:
        """Store values in a transaction of their own."""
        with self.database.begin() as uow:
            uow.save(values)

    def meter(self, device_id: str) -> None:
        """Store a device with one register, as SAP's messages would."""
        self.save(
            EndDevice(
                sender_system=SENDER,
                device_id=device_id,
                serial_id=f"S{device_id}",
                material_id="LX100",
                valid_from=date(2026, 1, 1),
                ams_id="AM01",
                head_end="city",
            ),
            EndDeviceStatus(sender_system=SENDER, device_id=device_id, has_breaker=True),
            Register(
                sender_system=SENDER,
                device_id=device_id,
                measurement_task_id=device_id,
                valid_from=date(2026, 1, 1),
                reading_type=ENERGY,
                obis_text=ENERGY,
                unit="KWH",
                total_digits=8,
                fraction_digits=2,
            ),
        )

    def snapshot(self, at: datetime, *values: tuple[str, str]) -> None:
        """Let values of devices come in, as read at an instant."""
        self.save(
            *(
                MeterReading(
                    sender_system=SENDER,
                    device_id=device_id,
                    reading_type=ENERGY,
                    measured_at=at,
                    value=Decimal(value),
                    unit="kWh",
                    received_at=self.clock.now(),
                )
                for device_id, value in values
            )
        )

    def all(self, kind: type[Any]) -> Sequence[Any]:
        """Return all stored values of a kind, oldest first."""
        with self.database.read() as uow:
            return list(TABLES[kind].fetch(uow.connection, TABLES[kind].select().order_by(TABLES[kind].table.c.id)))

    def switches(self) -> list[Command]:
        """Return the stored switch commands."""
        return [command for command in self.all(Command) if command.kind is CommandKind.SWITCH]


def texts(element: etree._Element, path: str) -> list[str]:
    """Return the texts at a path of a message."""
    return [found.text or "" for found in element.iterfind(path)]
