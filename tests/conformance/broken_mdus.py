"""A small MDUS that is right enough to pass a part of the conformance run, and wrong in one way at a time.

It shares no code with MDUS or the tester: XML is read with lxml, validated by xsd/, written as text. What the field
would do comes as `POST /field/<stimulus>`, which is what the tester's trigger does here.
"""

from __future__ import annotations

import http.client
import json
import queue
import re
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lxml import etree

from tests.conformance.broken_business import Business, Decision

_XSD = Path(__file__).parents[2] / "xsd"
_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_SAP = "http://sap.com/xi/SAPGlobal20/Global"

#: Messages on their way at once: SAP keeps some waiting for its answer on purpose.
_DELIVERING = 8

#: What can be wrong, by name. The cell that must show it stands in test_broken_mdus.py.
DEFECTS: Mapping[str, str] = {
    "confirms_without_reference": "A confirmation does not say what it confirms.",
    "confirms_twice": "Each request is confirmed by two messages.",
    "confirms_never": "No request is confirmed.",
    "qualifies_children": "The children of a confirmation are in a namespace.",
    "faults_on_business_errors": "A business error is answered with a SOAP fault.",
    "executes_duplicates": "The same message again is carried out and confirmed again.",
    "accepts_changed_duplicates": "Other content under a UUID that was used is taken.",
    "accepts_malformed": "Whatever can be parsed is taken.",
    "answers_with_body": "A message taken is answered with a body.",
    "miscounts_bulks": "The overall result code of a bulk is always 3.",
    "drops_bulk_item": "The last item of a bulk is forgotten.",
    "fails_whole_bulk": "One wrong item fails its neighbours.",
    "names_other_key": "A confirmation names another object.",
    "succeeds_on_failure": "What failed is confirmed with result code 3.",
    "ends_a_day_early": "SAP's EndDate is taken as the first day after.",
    "omits_zone": "CreationDateTime does not end in Z.",
    "loses_zeros": "Ids lose their leading zeros.",
    "refuses_too_early": "What comes before its device fails at once.",
    "takes_pages_for_receipts": "A web page is taken for the receipt of a message.",
    "registers_twice": "A device is reported as registered by two messages.",
    "reports_too_early": "A device or a result is reported before SAP knows that it was confirmed.",
    "repeats_results": "A result that SAP has confirmed comes again.",
    "lets_corrections_overtake": "A change is delivered before the create that it changes.",
    "uploads_corrections_as_creates": "Corrected interval values are sent as a second create.",
    "faults_on_unknown_profiles": "The query for an unknown profile is answered with a fault.",
}


@dataclass(slots=True)
class Taken:
    """A message of SAP: its items with what was decided of each, None while it waits."""

    root: str
    uuid: str
    body: bytes
    items: list[etree._Element]
    decisions: list[Decision | None]
    told: set[int] = field(default_factory=set)
    confirmations: list[tuple[str, bytes]] = field(default_factory=list)


@dataclass(slots=True)
class Outgoing:
    """A message to SAP. What is about the same `key` is delivered in order; `heard` is called when SAP has it."""

    interface: str
    body: bytes
    key: str = ""
    heard: Callable[[], None] = lambda: None


class Refusal(Exception):
    """A message that is answered with a fault."""


class BrokenMdus:
    """One such MDUS, serving while the block lasts; `sap` is where its messages go, with {interface}."""

    def __init__(self, sap: str, *, defect: str | None = None) -> None:
        assert defect is None or defect in DEFECTS, defect
        self._sap = sap
        self._defect = defect
        self._business = Business(
            end_is_exclusive=self.has("ends_a_day_early"), parks=not self.has("refuses_too_early")
        )
        self._taken: dict[str, Taken] = {}
        self._schemas: dict[str, etree.XMLSchema] = {}
        self._lock = threading.Lock()
        self._outbox: queue.Queue[Outgoing | None] = queue.Queue()
        self._behind: defaultdict[str, list[Outgoing]] = defaultdict(list)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._threads = [
            threading.Thread(target=self._server.serve_forever, daemon=True),
            *(threading.Thread(target=self._deliver, daemon=True) for _ in range(_DELIVERING)),
        ]

    def has(self, defect: str) -> bool:
        """Tell whether it has this defect."""
        return self._defect == defect

    @property
    def url(self) -> str:
        """Where it takes messages."""
        return f"http://127.0.0.1:{self._server.server_port}/sap/{{interface}}"

    @property
    def field_url(self) -> str:
        """Where the field is stimulated."""
        return f"http://127.0.0.1:{self._server.server_port}/field"

    def __enter__(self) -> BrokenMdus:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for _ in range(_DELIVERING):
            self._outbox.put(None)
        for thread in self._threads:
            thread.join()

    # -- what comes from SAP ----------------------------------------------------------------------------------------

    def take(self, body: bytes) -> tuple[int, bytes]:
        """Answer one message of SAP."""
        try:
            message = self._message(body)
            root = etree.QName(message).localname
            if root == "UtilitiesTimeSeriesItemByIDQuery_sync":
                return 200, self._answer(message)
            with self._lock:
                self._store(message, root, body)
                self._advance()
        except Refusal as refusal:
            return 500, _fault(str(refusal))
        if self.has("answers_with_body"):
            return 200, b"<html><body>thank you</body></html>"
        return 202, b""

    def _message(self, body: bytes) -> etree._Element:
        try:
            envelope = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
        except etree.XMLSyntaxError as error:
            raise Refusal(str(error)) from error
        messages = envelope.findall(f"{{{_SOAP}}}Body/*")
        if len(messages) != 1:
            raise Refusal("one message, please")
        (message,) = messages
        if self.has("accepts_malformed"):
            return message
        if envelope.getroottree().docinfo.internalDTD is not None:
            raise Refusal("no document type")
        root = etree.QName(message).localname
        if root not in self._schemas:
            try:
                self._schemas[root] = etree.XMLSchema(etree.parse(_XSD / f"{root}.xsd"))
            except OSError as error:
                raise Refusal(f"{root} is no message of the contract") from error
        if not self._schemas[root].validate(message):
            raise Refusal(str(self._schemas[root].error_log[0].message))  # type: ignore[index]
        return message

    def _store(self, message: etree._Element, root: str, body: bytes) -> None:
        key = (message.findtext("MessageHeader/UUID") or str(uuid.uuid4())).lower()
        known = self._taken.get(key)
        if known is not None and known.body != body and not self.has("accepts_changed_duplicates"):
            raise Refusal(f"{key} was used before, with other content")
        if known is not None and not self.has("executes_duplicates"):
            for interface, confirmation in known.confirmations:
                self._send(interface, confirmation)
            return
        items = [message] if "Bulk" not in root else [one for one in message if one.tag not in ("MessageHeader", "Log")]
        taken = Taken(root=root, uuid=key, body=body, items=items, decisions=[None] * len(items))
        if self.has("faults_on_business_errors"):
            for item in items:
                decision = self._business.decide(root, item)
                if decision is not None and decision.code == "5":
                    raise Refusal(decision.note)
        self._taken[key if known is None else f"{key}/{time.monotonic()}"] = taken

    def _advance(self) -> None:
        """Decide what can be decided, as often as one thing lets another go on; then confirm it."""
        moved = True
        while moved:
            moved = False
            for taken in self._taken.values():
                for number, item in enumerate(taken.items):
                    if taken.decisions[number] is None:
                        taken.decisions[number] = self._business.decide(taken.root, item)
                        moved = moved or taken.decisions[number] is not None
        for taken in self._taken.values():
            self._confirm(taken)

    # -- what goes to SAP -------------------------------------------------------------------------------------------

    def _confirm(self, taken: Taken) -> None:
        ready = [n for n, one in enumerate(taken.decisions) if one is not None and n not in taken.told]
        if not ready or not taken.root.endswith("Request") or self.has("confirms_never"):
            return
        taken.told.update(ready)
        if self.has("drops_bulk_item") and len(taken.items) > 1:
            ready = ready[:-1]
        decisions = [one for number in ready if (one := taken.decisions[number]) is not None]
        if self.has("fails_whole_bulk") and any(one.code == "5" for one in decisions):
            decisions = [Decision(one.said, one.said_key, "5", one.note or "a neighbour is wrong") for one in decisions]
        root = f"{taken.root.removesuffix('Request')}Confirmation"
        parts = [self._single(taken.items[number], one) for number, one in zip(ready, decisions, strict=True)]
        made = str(uuid.uuid4())
        if "Bulk" in root:
            item = self._item_element(root)
            codes = {one.code for one in decisions}
            overall = "3" if codes == {"3"} or self.has("miscounts_bulks") else "4" if "3" in codes else "5"
            inside = "".join(f"<{item}>{part}</{item}>" for part in parts)
            content = self._header(made, taken.uuid) + inside
            content += (
                f"<Log><BusinessDocumentProcessingResultCode>{overall}</BusinessDocumentProcessingResultCode></Log>"
            )
        else:
            (content,) = parts
            content = re.sub(r"(?<=<UUID>)[^<]*", made, content, count=1)
            content = re.sub(r"(?<=<ReferenceUUID>)[^<]*", taken.uuid, content, count=1)
        confirmation = (f"{root}_In", self._envelope(root, content))
        taken.confirmations.append(confirmation)
        self._send(*confirmation, heard=partial(self._heard, decisions))
        if self.has("confirms_twice"):
            self._send(f"{root}_In", self._envelope(root, content.replace(made, str(uuid.uuid4()))))

    def _heard(self, decisions: list[Decision]) -> None:
        """SAP has taken a confirmation: what waited for that goes on."""
        with self._lock:
            for decision in decisions:
                for notice in self._business.heard(decision):
                    self._start(*notice)

    def _single(self, item: etree._Element, decision: Decision) -> str:
        said, key = decision.said, decision.said_key
        if self.has("loses_zeros"):
            said = said.replace(f">{key}<", f">{key.lstrip('0')}<")
        if self.has("names_other_key"):
            said = said.replace(f">{key}<", f">{key[:-1]}X<")
        code = "3" if self.has("succeeds_on_failure") else decision.code
        log = f"<BusinessDocumentProcessingResultCode>{code}</BusinessDocumentProcessingResultCode>"
        if code == "5":
            log += "<MaximumLogItemSeverityCode>3</MaximumLogItemSeverityCode>"
            log += f"<Item><SeverityCode>3</SeverityCode><Note>{decision.note}</Note></Item>"
        reference = item.findtext("MessageHeader/UUID") or ""
        return f"{self._header(str(uuid.uuid4()), reference)}{said}<Log>{log}</Log>"

    def stimulate(self, stimulus: str, values: Mapping[str, str]) -> None:
        """Let something happen in the field."""
        with self._lock:
            notices = self._business.stimulated(stimulus, values, too_early=self.has("reports_too_early"))
            for notice in notices:
                self._start(*notice)

    def _start(self, root: str, single: str, key: str) -> None:
        """Send a message of our own: always in bulk."""
        if self.has("uploads_corrections_as_creates"):
            root = root.replace("BulkChange", "BulkCreate")
        item = self._item_element(root)

        def message() -> bytes:
            inside = f"<{item}>{self._header(str(uuid.uuid4()))}{single}</{item}>"
            return self._envelope(root, self._header(str(uuid.uuid4())) + inside)

        self._send(f"{root}_In", message(), key=key)
        if self.has("registers_twice") and "Registered" in root:
            self._send(f"{root}_In", message())
        if self.has("repeats_results") and "Result" in root:
            self._send(f"{root}_In", message())

    def _header(self, made: str, reference: str = "") -> str:
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S") + ("" if self.has("omits_zone") else "Z")
        refers = f"<ReferenceUUID>{reference}</ReferenceUUID>"
        refers = "" if self.has("confirms_without_reference") or not reference else refers
        return (
            f"<MessageHeader><UUID>{made}</UUID>{refers}<CreationDateTime>{created}</CreationDateTime>"
            "<SenderBusinessSystemID>SMALL</SenderBusinessSystemID></MessageHeader>"
        )

    def _envelope(self, root: str, content: str) -> bytes:
        opened = f'<{root} xmlns="{_SAP}">' if self.has("qualifies_children") else f'<n:{root} xmlns:n="{_SAP}">'
        closed = f"</{root}>" if self.has("qualifies_children") else f"</n:{root}>"
        return f'<s:Envelope xmlns:s="{_SOAP}"><s:Body>{opened}{content}{closed}</s:Body></s:Envelope>'.encode()

    def _item_element(self, root: str) -> str:
        """Return what the items of a bulk are called: as the single message, but for one."""
        return f"{root.replace('Bulk', '')}Message"

    def _answer(self, query: etree._Element) -> bytes:
        profile = query.findtext("UtilitiesTimeSeriesItemSelectionByID/UtilitiesTimeSeriesID") or ""
        answer = self._business.values_of(profile)
        if answer is None and self.has("faults_on_unknown_profiles"):
            raise Refusal(f"the profile {profile} is not known")
        if answer is None:
            answer = "<Log><Item><SeverityCode>3</SeverityCode><Note>not known</Note></Item></Log>"
        return self._envelope("UtilitiesTimeSeriesItemByIDResponse_sync", answer)

    def _send(self, interface: str, body: bytes, *, key: str = "", heard: Callable[[], None] = lambda: None) -> None:
        one = Outgoing(interface, body, "" if self.has("lets_corrections_overtake") else key, heard)
        if one.key:
            self._behind[one.key].append(one)
        if not one.key or self._behind[one.key][0] is one:
            self._outbox.put(one)

    def _deliver(self) -> None:
        while (one := self._outbox.get()) is not None:
            status, said = _post(self._sap.replace("{interface}", one.interface), one.body)
            if status not in (200, 202) or (said and not self.has("takes_pages_for_receipts")):
                # The same bytes again, a little later and behind all others.
                threading.Timer(0.1, self._outbox.put, [one]).start()
                continue
            one.heard()
            with self._lock:
                waiting = self._behind.get(one.key, [])
                if waiting:
                    waiting.pop(0)
                if waiting:
                    self._outbox.put(waiting[0])


def _post(url: str, body: bytes) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=10)
    try:
        connection.request("POST", parts.path, body, {"Content-Type": "text/xml; charset=utf-8"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def _fault(text: str) -> bytes:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return (
        f'<s:Envelope xmlns:s="{_SOAP}"><s:Body><s:Fault><faultcode>s:Client</faultcode>'
        f"<faultstring>{escaped}</faultstring></s:Fault></s:Body></s:Envelope>"
    ).encode()


def _handler(mdus: BrokenMdus) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:  # the name http.server asks for
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.startswith("/field/"):
                values: dict[str, Any] = json.loads(body)
                mdus.stimulate(self.path.removeprefix("/field/"), values)
                status, answer = 204, b""
            else:
                status, answer = mdus.take(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    return Handler
