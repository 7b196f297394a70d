"""Sends messages to the tested MDUS as SAP does: again with the same bytes until they are taken or refused."""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx
from lxml import etree

from simulators.conformance.contract import ENVELOPE, FAULT
from simulators.conformance.ledger import Answer, Ledger, Posting
from simulators.conformance.writing import Message, Writer, spoil

#: Statuses that say "not now" although they look like an answer; 0 is no answer at all.
_TRY_AGAIN = frozenset({0, 408, 425, 429, 502, 503, 504})
_EMPTY_STATUSES = frozenset({200, 202})
_PAUSES = (0.2, 5.0)
_TOGETHER = 16


class Outcome(StrEnum):
    """What an answer to a one-way message says to SAP."""

    TAKEN = "taken"
    REFUSED = "refused"
    AGAIN = "not answered"
    WRONG = "wrongly answered"


def outcome_of(answer: Answer) -> Outcome:
    """This will read an answer as SAP must: only an empty 200 or 202 means taken, a 4xx or 5xx refused."""
    if answer.status in _TRY_AGAIN:
        return Outcome.AGAIN
    if answer.status >= 400:
        return Outcome.REFUSED
    return Outcome.TAKEN if answer.status in _EMPTY_STATUSES and _is_empty(answer.body) else Outcome.WRONG


def fault_of(answer: Answer) -> etree._Element | None:
    """This will return the SOAP 1.1 fault in an answer, None when there is none."""
    body = _soap_body(answer.body)
    return None if body is None else body.find(f"{{{ENVELOPE}}}Fault")


def standard_fault_of(answer: Answer) -> etree._Element | None:
    """This will return SAP's own detail of a fault, None when there is none."""
    fault = fault_of(answer)
    return None if fault is None else fault.find(f"detail/{{{FAULT}}}StandardMessageFault")


def message_of(answer: Answer) -> etree._Element | None:
    """This will return the one message in an answer, None when there is none."""
    body = _soap_body(answer.body)
    children = [] if body is None else list(body.iterchildren(tag=etree.Element))
    return children[0] if len(children) == 1 else None


def _is_empty(body: bytes) -> bool:
    if not body.strip():
        return True
    inside = _soap_body(body)
    return inside is not None and len(inside) == 0


def _soap_body(body: bytes) -> etree._Element | None:
    try:
        envelope = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError):
        return None
    return envelope.find(f"{{{ENVELOPE}}}Body") if envelope.tag == f"{{{ENVELOPE}}}Envelope" else None


def address_of(url: str) -> str:
    """This will return where messages go, with `{interface}` in it: added where the URL has none; `/sap` if no path."""
    if "{interface}" in url:
        return url
    bare = url.rstrip("/")
    return f"{bare}/{{interface}}" if urlsplit(bare).path else f"{bare}/sap/{{interface}}"


class Caller:
    """This will post messages; at most a few at a time. `seconds` is how long a message is tried."""

    def __init__(
        self,
        ledger: Ledger,
        writer: Callable[[str], Writer],
        *,
        url: str,
        user: str | None,
        password: str | None,
        seconds: float,
    ) -> None:
        self._ledger = ledger
        self._writer = writer
        self._address = address_of(url)
        self._seconds = seconds
        self._free = asyncio.Semaphore(_TOGETHER)
        # The machine's proxies stand between SAP and nobody.
        self._http = httpx.AsyncClient(
            auth=(user, password or "") if user else None,
            timeout=seconds,
            trust_env=False,
            headers={
                "Content-Type": "text/xml; charset=utf-8",
                "SOAPAction": '"http://sap.com/xi/WebService/soap1.1"',
            },
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    def written(self, message: Message, *, sender: str) -> Posting:
        """This will write a message down, ready to be sent."""
        return self._ledger.post(message, self._writer(sender).write(message))

    async def send(self, message: Message, *, sender: str) -> Posting:
        """This will send a message until it is decided, and return it with its answers."""
        posting = self.written(message, sender=sender)
        await self.post(posting, interface=self._interface(message))
        return posting

    async def send_spoiled(self, message: Message, how: str, *, sender: str) -> Posting:
        """This will send a message spoiled in one of the ways of `SPOILS`."""
        body = spoil(how, self._writer(sender).element(message))
        posting = self._ledger.post(message, body, spoiled=how)
        await self.post(posting, interface=self._interface(message))
        return posting

    async def send_changed(self, message: Message, *, sender: str) -> Posting:
        """This will send a message whose UUID was used before for other content."""
        posting = self._ledger.post(message, self._writer(sender).write(message), spoiled="other content")
        await self.post(posting, interface=self._interface(message))
        return posting

    async def post(self, posting: Posting, *, interface: str | None = None) -> Answer:
        """This will post the bytes once more, until they are decided; every answer is noted."""
        interface = interface or self._interface(posting.message)
        deadline, pause = self._ledger.clock() + self._seconds, _PAUSES[0]
        while True:
            async with self._free:
                answer = await self._once(posting.body, interface)
            posting.answers.append(answer)
            if outcome_of(answer) is not Outcome.AGAIN or self._ledger.clock() + pause > deadline:
                await self._ledger.tell()
                return answer
            await asyncio.sleep(pause)
            pause = min(_PAUSES[1], pause * 2)

    async def _once(self, body: bytes, interface: str) -> Answer:
        try:
            response = await self._http.post(self._address.replace("{interface}", interface), content=body)
        except httpx.HTTPError as error:
            return Answer(status=0, error=f"{type(error).__name__}: {error}", at=self._ledger.clock())
        return Answer(status=response.status_code, body=response.content, at=self._ledger.clock())

    def _interface(self, message: Message) -> str:
        return self._ledger.interface_of(message.root)
