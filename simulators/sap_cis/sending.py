"""Sends what is planned as a customer's client would: zeep builds it from the served WSDL and posts it, at least once.

A message is posted again with the same bytes, and so the same UUID, until MDUS takes it (2xx with nothing inside) or
refuses it (4xx, or 500 with a SOAP fault). Everything else, also 2xx with a page inside, leaves it undelivered.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests
import zeep
from lxml import etree
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from zeep.cache import InMemoryCache
from zeep.exceptions import Error as ZeepError
from zeep.transports import Transport

from simulators.sap_cis.building import Builder
from simulators.sap_cis.changing import changed
from simulators.sap_cis.cis import Cis
from simulators.sap_cis.contract import ENVELOPE, SENT, SENT_ROOTS
from simulators.sap_cis.envelope import envelope_message
from simulators.sap_cis.journal import Event
from simulators.sap_cis.view import Sent

_log = logging.getLogger(__name__)

#: HTTP statuses that say "not now" although they look like an answer.
_TRY_AGAIN = frozenset({408, 425, 429})
_BACKOFF_SECONDS = (0.2, 5.0)
_TICK_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What an HTTP answer means for a message: `delivered`, `refused` or `again`, with the status and a reason."""

    outcome: str
    status: int
    text: str = ""


def answer_of(status: int, body: bytes) -> Answer:
    """This will read an HTTP answer to a one-way message as the sender must."""
    inside = _soap_body(body)
    if 200 <= status < 300:
        if not body.strip() or (inside is not None and len(inside) == 0):
            return Answer(outcome="delivered", status=status)
        return Answer(outcome="again", status=status, text=f"2xx with a body: {_excerpt(body)}")
    fault = None if inside is None else inside.find(f"{{{ENVELOPE}}}Fault")
    if fault is not None and status not in (502, 503, 504):
        return Answer(outcome="refused", status=status, text=_excerpt(" ".join(map(str, fault.itertext())).encode()))
    if 400 <= status < 500 and status not in _TRY_AGAIN:
        return Answer(outcome="refused", status=status, text=_excerpt(body))
    return Answer(outcome="again", status=status, text=_excerpt(body))


def _soap_body(body: bytes) -> etree._Element | None:
    try:
        envelope = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError):
        return None
    return envelope.find(f"{{{ENVELOPE}}}Body") if envelope.tag == f"{{{ENVELOPE}}}Envelope" else None


def _excerpt(body: bytes) -> str:
    return " ".join(body.decode(errors="replace").split())[:500]


class Wire:
    """This will build messages with zeep from the WSDL served at `{url}/sap/<interface>?wsdl` and post bytes there.

    A WSDL is fetched when its interface is first used. Basic credentials go with every request.
    """

    def __init__(self, *, url: str, user: str, password: str, timeout: float = 30.0, connections: int = 8) -> None:
        session = requests.Session()
        session.trust_env = False  # MDUS is a neighbour: no proxy of the machine stands between
        session.auth = HTTPBasicAuth(user, password)
        session.mount("http://", HTTPAdapter(pool_maxsize=connections))
        self._url = url.rstrip("/")
        self._timeout = timeout
        # The interfaces share most of their schema files: fetch each once.
        self._transport = Transport(session=session, timeout=timeout, operation_timeout=timeout, cache=InMemoryCache())
        self._clients: dict[str, zeep.Client] = {}
        self._lock = threading.Lock()

    def build(self, interface: str, arguments: dict[str, object]) -> bytes:
        """This will return the envelope as bytes; requests' and zeep's errors if the WSDL cannot be had."""
        with self._lock:  # zeep's clients share their parsed types, and building is CPU work anyway
            client = self._client(interface)
            envelope = client.create_message(client.service, interface, **arguments)
        return bytes(etree.tostring(envelope, xml_declaration=True, encoding="utf-8"))

    def post(self, interface: str, xml: bytes) -> Answer:
        """This will post the bytes to the address the WSDL gives; no answer at all reads as `again`."""
        try:
            with self._lock:
                address = self._client(interface).service._binding_options["address"]
            response = self._transport.post(
                address,
                xml,
                {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '"http://sap.com/xi/WebService/soap1.1"'},
            )
        except (requests.RequestException, ZeepError, OSError) as error:
            return Answer(outcome="again", status=0, text=f"{type(error).__name__}: {error}")
        return answer_of(response.status_code, response.content)

    def ask(self, interface: str, arguments: dict[str, object]) -> etree._Element:
        """This will send a synchronous question and return the message that answers it; ValueError if none does."""
        xml = self.build(interface, arguments)
        with self._lock:
            address = self._client(interface).service._binding_options["address"]
        response = self._transport.post(address, xml, {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'})
        if response.status_code != 200:
            raise ValueError(f"{interface} was answered {response.status_code}: {_excerpt(response.content)}")
        return envelope_message(response.content)

    def determinants(self, point: str) -> list[dict[str, Any]]:
        """This will read the newest versions of determinants of a point of delivery; ValueError without an answer."""
        rows: list[dict[str, Any]] = []
        after = 0
        while True:
            response = self._transport.session.get(
                f"{self._url}/api/v1/determinants",
                params={"point_of_delivery_id": point, "newest": "true", "after": after, "limit": 1000},
                timeout=self._timeout,
            )
            if response.status_code != 200:
                raise ValueError(f"determinants were answered {response.status_code}: {_excerpt(response.content)}")
            page = response.json()
            rows += page["items"]
            if len(page["items"]) < 1000:
                return rows
            after = page["last"]

    def _client(self, interface: str) -> zeep.Client:
        client = self._clients.get(interface)
        if client is None:
            client = zeep.Client(f"{self._url}/sap/{interface}?wsdl", transport=self._transport)
            self._clients[interface] = client
        return client


class Sender:
    """This will send what `cis` has planned, at most `concurrency` messages at a time, from threads of its own."""

    def __init__(self, cis: Cis, wire: Wire, *, concurrency: int = 4) -> None:
        self._cis = cis
        self._wire = wire
        options = cis.options
        self._builder = Builder(cis.view, own_system=options.own_system, time_zone_code=options.time_zone_code)
        self._concurrency = concurrency
        self._pool = ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="sending")
        self._stop = threading.Event()
        self._busy: set[str] = set()
        self._tries: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._extra = 0  # resends under way
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> None:
        """This will begin to send, with whatever an earlier life of the process left undelivered."""
        self._thread.start()

    def stop(self) -> None:
        """This will stop sending; what is undelivered stays planned in the journal."""
        self._stop.set()
        with self._cis.changed:
            self._cis.changed.notify_all()
        self._thread.join(timeout=5)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def ask(self, interface: str, arguments: dict[str, object]) -> etree._Element:
        """This will send a synchronous question and return the message that answers it; ValueError if none does."""
        return self._wire.ask(interface, arguments)

    def determinants(self, point: str) -> list[dict[str, Any]]:
        """This will read the newest versions of determinants of a point of delivery; ValueError without an answer."""
        return self._wire.determinants(point)

    def activity(self) -> tuple[int, datetime | None]:
        """This will return how many messages are under way and the next simulated instant one becomes due."""
        with self._cis.reading():
            now = self._cis.clock.now()
            later = [s.due for s in self._cis.view.waiting.values() if s.due is not None and s.due > now]
            return len(self._cis.view.waiting) - len(later) + self._extra, min(later, default=None)

    def resend(self, uuid: str, *, change: bool = False) -> None:
        """This will send a message once more, byte for byte, or changed under the same UUID; KeyError if unknown."""
        with self._cis.changed:
            sent = self._cis.view.sent[uuid]
            if sent.xml is None:
                raise KeyError(uuid)
            self._extra += 1
        self._pool.submit(self._resend, sent, change)

    # The loop -----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._cis.changed:
                for sent in self._ready():
                    self._busy.add(sent.uuid)
                    self._pool.submit(self._turn, sent)
                self._cis.changed.wait(_TICK_SECONDS)

    def _ready(self) -> list[Sent]:
        """The waiting messages whose turn it is, oldest first, as many as there are free workers."""
        now, real = self._cis.clock.now(), time.monotonic()
        view = self._cis.view
        ready: list[Sent] = []
        for sent in view.waiting.values():
            if len(self._busy) + len(ready) >= self._concurrency:
                break
            if sent.uuid in self._busy or self._not_before.get(sent.uuid, 0.0) > real:
                continue
            if (sent.due is not None and sent.due > now) or sent.after in view.waiting:
                continue
            ready.append(sent)
        return ready

    def _turn(self, sent: Sent) -> None:
        again = False
        try:
            again = not self._deliver(sent)
        except Exception as error:
            # A message that cannot be built is this simulator's defect: shown as a refusal, never tried for ever.
            _log.exception("message %s cannot be sent", sent.uuid)
            self._refuse(sent, Answer(outcome="refused", status=0, text=f"{type(error).__name__}: {error}"))
        finally:
            with self._cis.changed:
                self._busy.discard(sent.uuid)
                if again:
                    self._not_before[sent.uuid] = time.monotonic() + self._pause(sent.uuid)
                else:
                    self._tries.pop(sent.uuid, None)
                    self._not_before.pop(sent.uuid, None)
                self._cis.changed.notify_all()

    def _pause(self, uuid: str) -> float:
        tries = self._tries[uuid] = self._tries.get(uuid, 0) + 1
        shortest, longest = _BACKOFF_SECONDS
        return min(longest, shortest * 2.0 ** min(tries - 1, 10))

    def _deliver(self, sent: Sent) -> bool:
        """One attempt; True when the message needs no further one."""
        interface = f"{SENT[sent.process].root(sent.form)}_Out"
        if (xml := sent.xml) is None:
            with self._cis.reading():
                arguments = self._builder.arguments(sent, now=self._cis.clock.now())
            try:
                xml = self._wire.build(interface, arguments)
            except (requests.RequestException, zeep.exceptions.TransportError, zeep.exceptions.XMLSyntaxError) as error:
                _log.info("no WSDL for %s yet: %s", interface, error)
                return False
            self._cis.note_built(sent, xml)
        self._cis.note_posted(sent)
        answer = self._wire.post(interface, xml)
        if answer.outcome == "again":
            if 200 <= answer.status < 300:
                self._cis.note_defect("answer_not_empty", answer.text, root=interface, uuid=sent.uuid)
            _log.info("message %s is not delivered: %s %s", sent.uuid, answer.status, answer.text)
            return False
        if answer.outcome == "refused":
            self._refuse(sent, answer)
            return True
        self._cis.record({"event": "delivered", "uuid": sent.uuid, "posted": sent.posted, "real": time.time()})
        fired = self._cis.fires(("sends_duplicate", "sends_changed_duplicate"), sent.uuid)
        if fired is not None:
            self.resend(sent.uuid, change=fired == "sends_changed_duplicate")
        return True

    def _refuse(self, sent: Sent, answer: Answer, *, expected: bool = False) -> None:
        self._cis.record(
            {
                "event": "refused",
                "uuid": sent.uuid,
                "process": sent.process,
                "status": answer.status,
                "text": answer.text,
                "expected": expected,
            }
        )

    # Once more ----------------------------------------------------------------------------------------------------

    def _resend(self, sent: Sent, change: bool) -> None:
        try:
            xml = sent.xml
            assert xml is not None
            interface = f"{SENT[sent.process].root(sent.form)}_Out"
            body = changed(xml, sent.process) if change else xml
            answer = self._until_decided(lambda: self._wire.post(interface, body))
            if answer is None:
                return
            if change and answer.outcome == "refused":
                self._refuse(sent, answer, expected=True)
            elif change:
                self._cis.note_defect("changed_duplicate_accepted", answer.text, root=interface, uuid=sent.uuid)
            elif answer.outcome == "refused":
                self._cis.note_defect("duplicate_refused", answer.text, root=interface, uuid=sent.uuid)
        except Exception:
            _log.exception("message %s cannot be sent once more", sent.uuid)
        finally:
            with self._cis.changed:
                self._extra -= 1

    def _until_decided(self, post: Callable[[], Answer]) -> Answer | None:
        pause, longest = _BACKOFF_SECONDS
        while (answer := post()).outcome == "again":
            if self._stop.wait(pause):
                return None
            pause = min(longest, pause * 2)
        return answer

    def post_raw(self, interface: str, xml: bytes) -> Answer:
        """This will post captured bytes as they are, once, and return how MDUS answered.

        A message this system would send itself, under a UUID it has not used, enters the view, so that its confirmation
        is expected; what it orders does not: a reading for it will be one SAP did not order.
        """
        planned = self._raw_plan(xml)
        if planned is None:
            return self._wire.post(interface, xml)
        self._cis.record(planned, {"event": "built", "uuid": planned["uuid"], "xml": xml.decode()})
        sent = self._cis.view.sent[planned["uuid"]]
        self._cis.note_posted(sent)
        answer = self._wire.post(interface, xml)
        if answer.outcome == "delivered":
            self._cis.record({"event": "delivered", "uuid": sent.uuid, "posted": sent.posted, "real": time.time()})
        else:
            self._refuse(sent, answer, expected=True)
        return answer

    def _raw_plan(self, xml: bytes) -> Event | None:
        try:
            message = envelope_message(xml)
        except ValueError:
            return None
        process, form = SENT_ROOTS.get(etree.QName(message).localname, (None, ""))
        uuid = (message.findtext("MessageHeader/UUID") or "").strip().lower()
        if process is None or not uuid or uuid in self._cis.view.sent:
            return None
        singles = [message] if form == "single" else message.findall(process.item or "")
        items = [
            {
                "key": (single.findtext(process.key) or "").strip(),
                "uuid": (single.findtext("MessageHeader/UUID") or uuid).strip().lower(),
            }
            for single in singles
        ]
        return {"event": "planned", "uuid": uuid, "process": process.name, "form": form, "items": items, "raw": True}
