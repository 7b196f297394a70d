"""Everything that passed between the tester and the MDUS it tests, in order, and who waits for what.

Nothing is judged when it comes: a second confirmation may still follow the first. Scenes wait here for what they need
to go on, and judge when all is quiet.
"""

import asyncio
import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lxml import etree

from simulators.conformance.contract import ROOTS, Contract
from simulators.conformance.writing import Message
from simulators.sap_cis.checks import text


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What was answered over HTTP: `status` 0 means no answer at all; `at` is seconds since the run began."""

    status: int
    body: bytes = b""
    error: str = ""
    at: float = 0.0


@dataclass(slots=True, kw_only=True)
class Posting:
    """One message of SAP and every answer to it. `spoiled` says in which way it was spoiled, or that it was changed."""

    message: Message
    body: bytes
    began: float
    spoiled: str | None = None
    answers: list[Answer] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class ReceivedItem:
    """One single message inside a message of MDUS."""

    element: etree._Element
    key: str
    uuid: str
    reference: str


@dataclass(slots=True, kw_only=True)
class Received:
    """One delivery of MDUS; `number` is its place in the order of arrival, `status` and `page` how it was answered."""

    number: int
    at: float
    interface: str
    body: bytes
    root: str = ""
    uuid: str = ""
    reference: str = ""
    digest: str = ""
    element: etree._Element | None = None
    items: list[ReceivedItem] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    status: int = 202
    page: bool = False  # answered 200 with a web page: no receipt

    @property
    def taken(self) -> bool:
        """Whether it was answered as a message taken."""
        return self.status in (200, 202) and not self.page


class Ledger:
    """The postings by UUID, the deliveries by root, by what they refer to and by business key."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._began = time.monotonic()
        self._changed = asyncio.Condition()
        self.postings: list[Posting] = []
        self.received: list[Received] = []
        self.sent: dict[str, Posting] = {}
        self.sent_items: dict[str, Posting] = {}
        self._by_reference: defaultdict[str, list[Received]] = defaultdict(list)
        self._by_key: defaultdict[tuple[str, str], list[Received]] = defaultdict(list)

    def clock(self) -> float:
        """This will return the seconds since the run began."""
        return time.monotonic() - self._began

    def interface_of(self, root: str) -> str:
        """This will return SAP's name of the interface that carries a root."""
        return self._contract.interfaces[root]

    # -- writing down --------------------------------------------------------------------------------------------------

    def post(self, message: Message, body: bytes, *, spoiled: str | None = None) -> Posting:
        """This will note a message about to be sent. A changed or spoiled one never replaces the right one."""
        posting = Posting(message=message, body=body, began=self.clock(), spoiled=spoiled)
        self.postings.append(posting)
        self.sent.setdefault(message.uuid, posting)
        for item in message.items:
            self.sent_items.setdefault(item.uuid, posting)
        return posting

    def read(self, body: bytes, *, interface: str, message: etree._Element | None, reason: str = "") -> Received:
        """This will note a delivery of MDUS, read as far as it can be read."""
        received = Received(number=len(self.received), at=self.clock(), interface=interface, body=body)
        self.received.append(received)
        if message is None:
            received.findings.append(f"the body is no SOAP 1.1 envelope with one message: {reason}")
            return received
        received.element = message
        received.root = etree.QName(message).localname
        received.uuid = (text(message, "MessageHeader/UUID") or "").lower()
        received.reference = (text(message, "MessageHeader/ReferenceUUID") or "").lower()
        received.digest = hashlib.sha256(etree.tostring(message, method="c14n", exclusive=True)).hexdigest()
        if received.root in ROOTS:
            self._read_items(received, message)
        references = {received.reference, *(item.reference for item in received.items)}
        for reference in references - {""}:
            self._by_reference[reference].append(received)
        for item in received.items:
            self._by_key[received.root, item.key].append(received)
        return received

    def _read_items(self, received: Received, message: etree._Element) -> None:
        # Judged by its schema all the same: names are compared without their namespace, to know what it is about.
        service, _, answers = ROOTS[received.root]
        path = (service.answer_key or service.key) if answers else service.key
        bare = _bare(message)
        for item in self._contract.items(bare):
            received.items.append(
                ReceivedItem(
                    element=item,
                    key=text(item, path) or "",
                    uuid=(text(item, "MessageHeader/UUID") or "").lower(),
                    reference=(text(item, "MessageHeader/ReferenceUUID") or "").lower(),
                )
            )
        received.uuid = received.uuid or (text(bare, "MessageHeader/UUID") or "").lower()
        received.reference = received.reference or (text(bare, "MessageHeader/ReferenceUUID") or "").lower()

    async def tell(self) -> None:
        """This will wake whoever waits."""
        async with self._changed:
            self._changed.notify_all()

    # -- waiting -------------------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """This will wait until a condition holds; False when it does not within so many seconds."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            return condition()
        return True

    # -- looking up ----------------------------------------------------------------------------------------------------

    def referring_to(self, uuids: Iterable[str], *, roots: Iterable[str]) -> list[Received]:
        """This will return the deliveries of these roots that refer to one of these messages or items, in order."""
        wanted = set(roots)
        found = {r.number: r for uuid in uuids for r in self._by_reference[uuid] if r.root in wanted}
        return [found[number] for number in sorted(found)]

    def about(self, keys: Iterable[str], *, roots: Iterable[str]) -> list[Received]:
        """This will return the deliveries of these roots with an item of one of these business keys, in order."""
        names = tuple(roots)
        found = {r.number: r for key in keys for root in names for r in self._by_key[root, key]}
        return [found[number] for number in sorted(found)]


def _bare(message: etree._Element) -> etree._Element:
    """Return the message with all children unqualified."""
    if all(not str(child.tag).startswith("{") for child in message.iterdescendants(tag=etree.Element)):
        return message
    copied = etree.fromstring(etree.tostring(message))
    for child in copied.iterdescendants(tag=etree.Element):
        child.tag = etree.QName(child).localname
    return copied
