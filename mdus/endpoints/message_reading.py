"""From the bytes of a SOAP message to rows: envelope, service, contract, header, and the Request of each item.

A query has neither header nor rows: its Request is answered at once.

A small body becomes one tree. A large one is streamed from its file: each item is judged and bound by itself, and the
rows wait in a file of their own, so that memory does not grow with the message.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import IO, BinaryIO, Final, cast

from lxml import etree

from mdus.contracts.binding import BindingError, bind, shape_version, to_json, wire
from mdus.contracts.catalog import HEADER_ELEMENT, LOG_ELEMENT, Catalog, Direction, Root, UnknownRoot
from mdus.contracts.columns import TOGETHER, alike, bind_together
from mdus.contracts.envelope import (
    DtdRefused,
    EmptyBody,
    EnvelopeError,
    MalformedXml,
    NotAnEnvelope,
    SeveralMessages,
    WrongSoapVersion,
    parse,
)
from mdus.contracts.header import MessageHeader
from mdus.contracts.streaming import MessageStream, iter_items
from mdus.contracts.validation import MOST_VIOLATIONS, Verdict, validate, validate_item, validate_part
from mdus.endpoints.received_body import ReceivedBody
from mdus.endpoints.refusal import Reason, Refused
from mdus.messaging.outcome import Received
from mdus.messaging.patterns import NotificationReceived, Query, RequestConfirmation, RequestSent, Service
from mdus.storage.intake import ReceivedItem, ReceivedMessage

#: A service whose messages wait in the inbox: all that SAP sends but the synchronous query.
Waiting = RequestConfirmation | NotificationReceived | RequestSent
#: Says which system a header speaks for, or raises Refused.
SystemOf = Callable[[MessageHeader], str]

_REASONS: Final[Mapping[type[EnvelopeError], Reason]] = {
    MalformedXml: Reason.MALFORMED_XML,
    DtdRefused: Reason.DTD,
    NotAnEnvelope: Reason.NOT_AN_ENVELOPE,
    WrongSoapVersion: Reason.SOAP_VERSION,
    EmptyBody: Reason.EMPTY_BODY,
    SeveralMessages: Reason.SEVERAL_MESSAGES,
}
#: Rows of a streamed message per line of their file and per statement; a message parsed whole is one statement.
_BATCH: Final = 2000
_RESULT_CODE: Final = "BusinessDocumentProcessingResultCode"
_GLIMPSE_LENGTH: Final = 100


class Glimpse:
    """What is known of a message so far: what the visible copy of a refused one shows."""

    def __init__(self, *, default_system: str) -> None:
        """Start with nothing but the system a message is from when it names none."""
        self._system = default_system
        self._root = ""
        self._service = ""
        self._bulk = False
        self._uuid: str | None = None
        self._header_id: str | None = None
        self.interface: str | None = None

    def see_root(self, root: Root) -> None:
        """Note which message of the contract it is."""
        self._root, self._bulk, self.interface = root.name, root.is_bulk, root.interface

    def see_service(self, service: Service) -> None:
        """Note which service takes it in."""
        self._service = service.name

    def see_header(self, header: etree._Element | None) -> None:
        """Note what a header, valid or not, says of itself."""
        if header is not None:
            self._uuid = _said(header, "UUID")
            self._header_id = _said(header, "ID")
            self._system = _said(header, "SenderBusinessSystemID") or self._system

    def message(self, now: datetime) -> ReceivedMessage:
        """Return the row of a message that takes no key."""
        return ReceivedMessage(
            sender_system=self._system,
            service=self._service,
            root=self._root,
            bulk=self._bulk,
            key=None,
            uuid=self._uuid,
            header_id=self._header_id,
            created_at=now,
        )


def _said(header: etree._Element, name: str) -> str | None:
    return (header.findtext(name) or "").strip()[:_GLIMPSE_LENGTH] or None


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemHeader:
    """What intake reads of an item's own header: a bulk of thousands has thousands of them."""

    id: str | None = wire("ID")
    uuid: str | None = wire("UUID")
    test_data: bool | None = wire("TestDataIndicator")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A message that holds to the contract: its row and, in batches that can be gone through again, its items'.

    Some are bound only when they are first asked for, so that a database can take them while the next are bound: going
    through them may raise Refused.
    """

    interface: str
    message: ReceivedMessage
    batches: Iterable[Sequence[ReceivedItem]]
    shape_version: str

    def bound(self) -> Reading:
        """Return this message with the Requests of all items bound: nothing of it is left to be refused."""
        bound = [[*chain.from_iterable(self.batches)]] if isinstance(self.batches, _Rows) else self.batches
        return replace(self, batches=bound)

    def imported(self) -> Reading:
        """Return this message as one made of a file, to which nothing is answered."""
        return replace(self, message=replace(self.message, imported=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A query that holds to the contract: what is asked, and by which service it is answered."""

    interface: str
    service: Query
    request: Received
    set_aside: int


class MessageReader:
    """Reads messages of the services that are there; may be used by many threads at once."""

    def __init__(self, contract: Catalog, services: Mapping[str, Service]) -> None:
        """Take the contract and the services by the roots of the messages SAP sends to them."""
        self._contract = contract
        self._services = services

    @contextmanager
    def read(
        self, body: ReceivedBody, *, interface: str | None, system_of: SystemOf, glimpse: Glimpse, small_limit: int
    ) -> Iterator[Reading | Question]:
        """Read a body to be stored while the context is open, or to be answered; Refused says what is wrong with it.

        `interface` is the one the sender addressed, None for any. `glimpse` is filled on the way.
        """
        if body.file is None:
            yield self._whole(body, interface, system_of, glimpse)
            return
        with tempfile.TemporaryFile("w+", encoding="utf-8") as spool:
            yield self._streamed(body.file, spool, interface, system_of, glimpse, small_limit=small_limit)

    # -- which message it is ------------------------------------------------------------------------------------------

    def _identify(self, tag: str, interface: str | None, glimpse: Glimpse) -> tuple[Root, Waiting | Query]:
        """Return the message and the service of a root element."""
        try:
            root = self._contract.root(tag)
        except UnknownRoot as unknown:
            raise Refused(Reason.UNKNOWN_ROOT, str(unknown)) from unknown
        if tag != root.tag:
            raise Refused(Reason.UNKNOWN_ROOT, f"{tag} has no namespace: the root of this message is {root.tag}")
        glimpse.see_root(root)
        if root.direction is not Direction.RECEIVED:
            raise Refused(Reason.WRONG_DIRECTION, f"{root.name} is sent by MDUS and never received")
        if interface is not None and interface != root.interface:
            text = f"{root.name} belongs to the interface {root.interface}; it was posted to {interface}"
            raise Refused(Reason.OTHER_INTERFACE, text)
        service = self._services.get(root.name)
        if service is None or not isinstance(service, Waiting | Query):
            raise Refused(Reason.UNSUPPORTED_SERVICE, f"{root.name} is in the contract; MDUS does not support it yet")
        glimpse.see_service(service)
        return root, service

    # -- a tree -------------------------------------------------------------------------------------------------------

    def _whole(
        self, body: ReceivedBody, interface: str | None, system_of: SystemOf, glimpse: Glimpse
    ) -> Reading | Question:
        try:
            element = parse(body.data)
        except EnvelopeError as error:
            raise _refused(error) from error
        # Freeing the tree of a large bulk takes as long as parsing it: the answer does not wait for that.
        body.leftovers.append(element)
        root, service = self._identify(str(element.tag), interface, glimpse)
        header = element.find(HEADER_ELEMENT)
        glimpse.see_header(header)
        verdict = validate(element, root, contract=self._contract)
        if not verdict.accepted:
            raise _against_contract(root, [str(violation) for violation in verdict.violations])
        if isinstance(service, Query):
            return _question(root, service, element, set_aside=len(verdict.set_aside))
        draft = _draft(root, service, header, system_of)
        log = element.find(LOG_ELEMENT)
        items = [item for _, item in iter_items(element, root)] if root.is_bulk else [element]
        rows = _Rows(draft.batches(items, body.leftovers))
        return draft.reading(batches=rows, items=len(items), set_aside=len(verdict.set_aside), log=log)

    # -- a stream -----------------------------------------------------------------------------------------------------

    def _streamed(
        self,
        file: BinaryIO,
        spool: IO[str],
        interface: str | None,
        system_of: SystemOf,
        glimpse: Glimpse,
        *,
        small_limit: int,
    ) -> Reading:
        try:
            stream = MessageStream(file)
            root, service = self._identify(stream.tag, interface, glimpse)
            if not root.is_bulk or isinstance(service, Query):
                text = f"A single message may have up to {small_limit} bytes; send several or a bulk"
                raise Refused(Reason.TOO_LARGE, text)
            return self._items_of(stream, spool, root, service, system_of, glimpse)
        except EnvelopeError as error:
            raise _refused(error) from error

    def _items_of(
        self,
        stream: MessageStream,
        spool: IO[str],
        root: Root,
        service: Waiting,
        system_of: SystemOf,
        glimpse: Glimpse,
    ) -> Reading:
        judged = _Judged()
        rows = _SpooledRows(spool)
        draft: _Draft | None = None
        for position, item in stream.items(root):
            if position == 1 and stream.header is not None:
                glimpse.see_header(stream.header)
                if judged.take(validate_part(stream.header, root, contract=self._contract)):
                    draft = _draft(root, service, stream.header, system_of)
            if judged.take(validate_item(item, root, position=position, contract=self._contract)) and draft:
                rows.add(draft.row(position, item))
            if judged.is_enough:
                break
        else:
            judged.take(stream.structure)
            if stream.log is not None:
                judged.take(validate_part(stream.log, root, contract=self._contract))
        if judged.violations or draft is None:
            raise _against_contract(root, judged.violations)
        return draft.reading(batches=rows, items=rows.finish(), set_aside=judged.set_aside, log=stream.log)


class _Judged:
    """The verdicts on the parts of a streamed message, added up."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.set_aside = 0

    @property
    def is_enough(self) -> bool:
        return len(self.violations) >= MOST_VIOLATIONS

    def take(self, verdict: Verdict) -> bool:
        """Add a verdict; tell whether it accepts."""
        self.violations += [str(violation) for violation in verdict.violations]
        self.set_aside += len(verdict.set_aside)
        return verdict.accepted


class _Rows:
    """Rows made as they are first gone through, and kept for the next time."""

    def __init__(self, making: Iterator[list[ReceivedItem]]) -> None:
        self._making = making
        self._made: list[list[ReceivedItem]] = []

    def __iter__(self) -> Iterator[list[ReceivedItem]]:
        yield from self._made
        for batch in self._making:
            self._made.append(batch)
            yield batch


class _SpooledRows:
    """Rows in a temporary file, one batch per line."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._waiting: list[ReceivedItem] = []
        self._count = 0

    def add(self, row: ReceivedItem) -> None:
        self._waiting.append(row)
        self._count += 1
        if len(self._waiting) == _BATCH:
            self._write()

    def finish(self) -> int:
        """Write what waits and return the number of rows."""
        self._write()
        return self._count

    def _write(self) -> None:
        if self._waiting:
            json.dump(self._waiting, self._file, ensure_ascii=False, separators=(",", ":"))
            self._file.write("\n")
            self._waiting = []

    def __iter__(self) -> Iterator[list[ReceivedItem]]:
        self._file.seek(0)
        for line in self._file:
            yield [ReceivedItem(*row) for row in json.loads(line)]


# -- rows -------------------------------------------------------------------------------------------------------------


def _draft(root: Root, service: Waiting, header: etree._Element | None, system_of: SystemOf) -> _Draft:
    """Begin the rows of a message whose header is valid."""
    try:
        bound = bind(MessageHeader, cast(etree._Element, header))
    except BindingError as error:
        raise _against_contract(root, [f"{HEADER_ELEMENT}/{error}"]) from error
    return _Draft(root, service, bound, system_of(bound))


class _Draft:
    """Makes the rows of one message."""

    def __init__(self, root: Root, service: Waiting, header: MessageHeader, system: str) -> None:
        self._root = root
        self._service = service
        self._is_bulk = root.is_bulk
        self._shape = service.shape
        self._order_by = service.order_by
        self._header = header
        self._system = system
        self._message_key = _key_of(header, service)
        self._test_data = bool(header.test_data)

    def row(self, position: int, item: etree._Element) -> ReceivedItem:
        """Return the row of one item, or of a single message."""
        try:
            request = bind(self._shape, item)
            header: MessageHeader | ItemHeader = self._header
            if self._is_bulk:
                header = bind(ItemHeader, _header_of(item))
        except BindingError as error:
            where = f"{self._root.item_element}[{position}]/" if self._is_bulk else ""
            raise _against_contract(self._root, [f"{where}{error}"]) from error
        return ReceivedItem(
            position=position,
            key=self._key(header.uuid, header.id, position) if self._is_bulk else self._message_key,
            uuid=header.uuid,
            header_id=header.id,
            ordering_key=self._ordering_key(getattr(request, self._order_by)),
            content=to_json(request),
            test_data=self._is_test(header.test_data),
        )

    def batches(self, items: list[etree._Element], leftovers: list[object]) -> Iterator[list[ReceivedItem]]:
        """Yield the rows of all items of a bulk, or of a single message, that was parsed whole.

        The items of a bulk are taken out of it, into elements that are left over.
        """
        if not self._is_bulk:
            yield [self.row(1, *items)]
            return
        for start in range(0, len(items), TOGETHER):
            some = etree.Element("items")
            leftovers.append(some)
            some.extend(items[start : start + TOGETHER])
            yield self._rows_together(start + 1, some) or [
                self.row(position, item) for position, item in enumerate(some, start=start + 1)
            ]

    def _rows_together(self, first: int, items: etree._Element) -> list[ReceivedItem] | None:
        """Return the rows of the children of an element, or None if they are to be bound one by one."""
        texts = alike(items, self._root.message_type)
        requests = None if texts is None else bind_together(self._shape, texts)
        headers = None if texts is None else bind_together(ItemHeader, texts, inside=HEADER_ELEMENT)
        if requests is None or headers is None:
            return None
        uuids, ids, test_data = (headers.values[name] for name in ("uuid", "id", "test_data"))
        positions = range(first, first + requests.count)
        rows = zip(
            positions,
            map(self._key, uuids, ids, positions),
            uuids,
            ids,
            map(self._ordering_key, requests.values[self._order_by]),
            requests.json,
            map(self._is_test, test_data),
            strict=True,
        )
        return list(map(ReceivedItem._make, rows))

    def _key(self, uuid: str | None, header_id: str | None, position: int) -> str:
        """Return what makes an item of a bulk one of its kind; a copy of the bulk's own header names none of them."""
        own = uuid.lower() if uuid else header_id
        return own if own and own != self._message_key else f"{self._message_key}/{position}"

    def _ordering_key(self, value: str | None) -> str:
        return f"{self._system}/{value or ''}"

    def _is_test(self, test_data: bool | None) -> bool:
        """What the message's own header says holds for all its items."""
        return self._test_data or bool(test_data)

    def reading(
        self,
        *,
        batches: Iterable[Sequence[ReceivedItem]],
        items: int,
        set_aside: int,
        log: etree._Element | None,
    ) -> Reading:
        """Return the message, once all its items have their rows; `log` is that of the message as a whole."""
        header = self._header
        message = ReceivedMessage(
            sender_system=self._system,
            service=self._service.name,
            root=self._root.name,
            bulk=self._root.is_bulk,
            key=self._message_key,
            uuid=header.uuid,
            header_id=header.id,
            reference_uuid=header.reference_uuid,
            reference_id=header.reference_id,
            result_code=_said(log, _RESULT_CODE) if self._is_bulk and log is not None else None,
            test_data=self._test_data,
            created_at=header.created_at,
            item_count=items,
            set_aside=set_aside,
        )
        return Reading(
            interface=self._root.interface,
            message=message,
            batches=batches,
            shape_version=shape_version(self._service.shape),
        )


def _question(root: Root, service: Query, message: etree._Element, *, set_aside: int) -> Question:
    """Return what a query asks."""
    try:
        request = bind(service.shape, message)
    except BindingError as error:
        raise _against_contract(root, [str(error)]) from error
    return Question(interface=root.interface, service=service, request=request, set_aside=set_aside)


def _header_of(item: etree._Element) -> etree._Element:
    """Return the header of an item that passed its schema: the first child, but for what was set aside before it."""
    first = item[0]
    return first if first.tag == HEADER_ELEMENT else cast(etree._Element, item.find(HEADER_ELEMENT))


def _key_of(header: MessageHeader, service: Waiting) -> str:
    """Return what makes a message one of its kind; a confirmation without UUID and ID is known by what it answers."""
    key = header.key or (header.reference_key if isinstance(service, RequestSent) else None)
    if key is None:
        raise Refused(Reason.NO_KEY, "The MessageHeader has neither UUID nor ID: a repeat could not be told from it")
    return key


# -- refusing ---------------------------------------------------------------------------------------------------------


def _refused(error: EnvelopeError) -> Refused:
    text = str(error)
    return Refused(_REASONS[type(error)], text[:1].upper() + text[1:])


def _against_contract(root: Root, places: Sequence[str]) -> Refused:
    listed = places[:MOST_VIOLATIONS]
    many = f"the first {len(listed)} places" if len(listed) == MOST_VIOLATIONS else f"{len(listed)} place(s)"
    first = f": {listed[0]}" if listed else ""
    return Refused(Reason.CONTRACT, f"{root.name} does not hold to the contract in {many}{first}", details=listed)
