"""Several SAP systems and head ends around one MDUS, each with credentials of its own, every worker turned by hand.

Everything passes real HTTP or the application's own routes: SAP's messages with the user of their system, MDUS's
messages to the address of the system they are for, the head ends' pushes with their own callback credentials. The clock
stands until a test moves it.
"""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from lxml import etree

from mdus.bootstrap.discovery import discover
from mdus.cis.client import CisClient
from mdus.contracts.catalog import catalog
from mdus.contracts.envelope import parse
from mdus.domain.command import CommandKind
from mdus.domain.end_device_control import GovernorRules
from mdus.endpoints.application import create_app
from mdus.endpoints.push import push_route
from mdus.headends.rest import HEAD_END
from mdus.messaging.retry import RetryPolicy
from mdus.storage.session import TABLES
from mdus.workers.head_end import HeadEndWorker, patience
from mdus.workers.inbox import InboxWorker
from mdus.workers.meter_reading_documents import MeterReadingDocumentWorker
from mdus.workers.outbox import OutboxWorker
from mdus.workers.readings import ReadingsWorker
from tests.flows.both_sides import Clock
from tests.flows.intake.installation import XML, Installation
from tests.head_ends.scripted import ScriptedHeadEnd

_ROOTS = "http://sap.com/xi/SAPGlobal20/Global"
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"

#: What is not taken is tried again long after the test.
_LATER = RetryPolicy(base=timedelta(hours=1), cap=timedelta(hours=1), attempts=9)


class Sap:
    """One SAP system as MDUS reaches it: takes valid messages for itself from whoever knows its credentials."""

    def __init__(self, name: str, *, zone: str) -> None:
        self.name, self.zone = name, zone
        self.user, self.password = f"mdus_at_{name}", f"secret of {name}"
        self.received: list[etree._Element] = []
        self.is_down = False
        sap = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the name http.server asks for
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = sap.take(body, path=self.path, authorization=self.headers.get("Authorization", ""))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/{name}/{{interface}}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def take(self, body: bytes, *, path: str, authorization: str) -> int:
        """Take a message in; returns the status it is answered with."""
        if self.is_down:
            return 503
        if authorization != basic(self.user, self.password):
            return 401
        message = parse(body)
        root = catalog().root(etree.QName(message).localname)
        if path != f"/{self.name}/{root.interface}" or not catalog().schema(root).validate(message):
            return 400
        self.received.append(message)
        return 202

    def messages(self, root: str) -> list[etree._Element]:
        """Return the messages of one root, oldest first."""
        return [message for message in self.received if etree.QName(message).localname == root]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class FieldSide:
    """One head end, with the credentials of its pushes."""

    def __init__(self, name: str, *, ams_ids: Sequence[str]) -> None:
        self.name, self.ams_ids = name, ams_ids
        self.callback = (f"{name}_callback", f"secret of {name}")
        self.api = ScriptedHeadEnd()

    def orders(self, kind: CommandKind) -> list[Mapping[str, Any]]:
        """Return the device orders of a kind it was given, each as often as it was."""
        return [device for job in self.api.submitted if job["kind"] == kind.value for device in job["devices"]]


class SideBySide:
    """One installation between several SAP systems and several head ends."""

    def __init__(
        self, url: str, folder: Path, *, now: datetime, saps: Sequence[Sap], head_ends: Sequence[FieldSide]
    ) -> None:
        self.saps = {sap.name: sap for sap in saps}
        self.head_ends = {head_end.name: head_end for head_end in head_ends}
        (folder / "landscape.toml").write_text("".join([*map(_sender, saps), *map(_head_end, head_ends)]))
        self.clock = Clock(now)
        services = discover().services
        self.mdus = Installation(url, environ={"MDUS_CONFIG": str(folder)}, clock=self.clock, services=services)
        self.mdus.app = create_app(self.mdus.runtime, routes=[push_route(self.mdus.runtime)])
        settings, self.database = self.mdus.runtime.settings, self.mdus.database
        shared: dict[str, Any] = {"database": self.database, "settings": settings, "clock": self.clock}
        self._connected = [HEAD_END.connect(settings, row) for row in settings.head_ends]
        self._outbox = OutboxWorker(
            **shared, services=services, retry=_LATER, contract=catalog(), client=CisClient(settings)
        )
        commands = [
            HeadEndWorker(
                connected,
                database=self.database,
                clock=self.clock,
                retry=_LATER,
                patience=patience(settings),
                rules=GovernorRules(),
                lease=timedelta(minutes=1),
                takes=HEAD_END.capabilities,
            )
            for connected in self._connected
        ]
        self._turns = (
            InboxWorker(**shared, services=services, retry=RetryPolicy(attempts=1)).turn,
            *(worker.turn for worker in commands),
            ReadingsWorker(
                database=self.database,
                clock=self.clock,
                decoders=dict.fromkeys(self.head_ends, HEAD_END.decoder(settings, settings.head_ends[0])),
                retry=_LATER,
            ).turn,
            MeterReadingDocumentWorker(**shared).turn,
            self._outbox.turn,
        )

    def close(self) -> None:
        """Let go of everything."""
        for connected in self._connected:
            connected.close()  # type: ignore[attr-defined]
        for head_end in self.head_ends.values():
            head_end.api.close()
        for sap in self.saps.values():
            sap.close()
        self._outbox.close()
        self.database.close()

    # ---- what happens ------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Turn every worker until none has anything left to do at this instant."""
        for _ in range(100):
            if sum(turn() for turn in self._turns) == 0:
                return
        raise AssertionError("the workers never come to rest")

    def tell(self, system: str, root: str, *bodies: str, uuid_: str | None = None) -> str:
        """Post a message of a system with its user, a bulk if its root says so; returns its UUID."""
        made = uuid_ or str(uuid.uuid4())
        answer = self.post(root, *bodies, system=system, uuid_=made)
        assert (answer.status_code, answer.content) == (202, b""), answer.text
        return made

    def post(
        self, root: str, *bodies: str, system: str, uuid_: str | None = None, user_of: str | None = None
    ) -> httpx.Response:
        """Post a message in the name of a system, with its own user or another system's."""
        if "Bulk" in root:
            item = catalog().root(root).item_element
            items = (f"<{item}>{_header(system, str(uuid.uuid4()))}{body}</{item}>" for body in bodies)
            content = "".join(items)
        else:
            content = bodies[0]
        header = _header(system, uuid_ or str(uuid.uuid4()))
        text = f'<n0:{root} xmlns:n0="{_ROOTS}">{header}{content}</n0:{root}>'
        envelope = f'<s:Envelope xmlns:s="{_SOAP}"><s:Body>{text}</s:Body></s:Envelope>'
        return self.mdus.post(envelope.encode(), headers={**XML, **self.headers(user_of or system)})

    def headers(self, system: str) -> dict[str, str]:
        """Return the credentials of a system's user."""
        return {"Authorization": basic(f"sap_{system}", f"secret of sap_{system}")}

    def push(self, head_end: str, topic: str, body: Mapping[str, Any]) -> None:
        """Let a head end push, with its own credentials."""
        headers = {"Authorization": basic(*self.head_ends[head_end].callback), "Content-Type": "application/json"}
        content = json.dumps(body).encode()
        answer = self.mdus.post(content, f"/head-ends/{head_end}/{topic}", headers=headers)
        assert answer.status_code == 202, answer.text

    def answer(self, head_end: str, kind: CommandKind, *, pushed_by: str | None = None, **result: Any) -> int:
        """Let a head end answer every job of a kind it has not answered yet; returns how many orders.

        `pushed_by` lets another head end tell these results.
        """
        told = 0
        for number, job in enumerate(self.head_ends[head_end].api.submitted, start=1):
            if job["kind"] != kind.value or job.get("answered"):
                continue
            job["answered"] = pushed_by is None
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
            body = {
                "delivery_id": f"d-{number}",
                "token": f"t-{number}",
                "correlation_id": job["correlation_id"],
                "kind": kind.value,
                "results": results,
            }
            self.push(pushed_by or head_end, "results", body)
        return told

    # ---- what is there -----------------------------------------------------------------------------------------------

    def all(self, kind: type[Any], **where: Any) -> Sequence[Any]:
        """Return all stored values of a kind with these attributes, oldest first."""
        table = TABLES[kind]
        with self.database.read() as uow:
            found = table.fetch(uow.connection, table.select().order_by(table.table.c.id))
        return [value for value in found if all(getattr(value, name) == is_ for name, is_ in where.items())]


def basic(user: str, password: str) -> str:
    """Return the header of HTTP Basic."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _header(system: str, made: str) -> str:
    return (
        f"<MessageHeader><UUID>{made}</UUID><CreationDateTime>2026-03-28T10:00:00Z</CreationDateTime>"
        f"<SenderBusinessSystemID>{system}</SenderBusinessSystemID></MessageHeader>"
    )


def _sender(sap: Sap) -> str:
    name = sap.name
    return f"""
[[senders]]
name = "{name.lower()}"
user = "sap_{name}"
password = "secret of sap_{name}"
systems = ["{name}"]
default_system = "{name}"
url = "{sap.url}"
url_user = "{sap.user}"
url_password = "{sap.password}"
time_zone = "{sap.zone}"
"""


def _head_end(head_end: FieldSide) -> str:
    user, password = head_end.callback
    return f"""
[[head_ends]]
name = "{head_end.name}"
kind = "rest"
url = "{head_end.api.url}"
callback_url = "http://127.0.0.1:1/head-ends/{head_end.name}"
callback_user = "{user}"
callback_password = "{password}"
ams_ids = {json.dumps(list(head_end.ams_ids))}
timeout_seconds = 5
"""
