"""Judges what an MDUS sent: one message by itself, and the confirmations of a request together.

Everything is compared as text: ids keep their zeros, codes their form. A finding says what was expected and what came.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lxml import etree

from simulators.conformance.calling import Outcome, fault_of, outcome_of
from simulators.conformance.contract import ROOTS, Contract, Form
from simulators.conformance.ledger import Answer, Posting, Received, ReceivedItem
from simulators.conformance.verdicts import Finding
from simulators.conformance.writing import UNREADABLE
from simulators.sap_cis.checks import TOLERANCE, overall_code, text, utc

#: Code sets a confirmation may be expected to have.
DONE: frozenset[str] = frozenset({"3"})
FAILED: frozenset[str] = frozenset({"5"})
ANY: frozenset[str] = frozenset({"3", "4", "5"})

_ERROR = 3


def answer_findings(postings: Iterable[Posting]) -> Iterator[Finding]:
    """This will judge the HTTP answers to messages that must be taken: an empty 200 or 202 in the end."""
    for posting in postings:
        if not posting.answers:
            yield Finding(expected="an HTTP answer", came="none: the tester itself was interrupted")
            continue
        for answer in posting.answers:
            outcome = outcome_of(answer)
            last = answer is posting.answers[-1]
            if outcome is Outcome.TAKEN or (outcome is Outcome.AGAIN and not last):
                continue
            yield Finding(expected="200 or 202 with an empty body", came=described(answer))


def refusal_findings(postings: Iterable[Posting]) -> Iterator[Finding]:
    """This will judge the HTTP answers to messages that must be refused: a SOAP fault, never 2xx."""
    for posting in postings:
        answer = posting.answers[-1] if posting.answers else Answer(status=0, error="never posted")
        if outcome_of(answer) is not Outcome.REFUSED:
            yield Finding(
                expected=f"a SOAP fault for a message with {posting.spoiled}",
                came=described(answer),
            )
        elif posting.spoiled not in UNREADABLE and fault_of(answer) is None:
            yield Finding(
                expected=f"a SOAP 1.1 fault that says what is wrong with a message with {posting.spoiled}",
                came=f"{answer.status} without one: {_excerpt(answer.body)}",
            )


def described(answer: Answer) -> str:
    """This will put an HTTP answer into words."""
    if answer.status == 0:
        return f"no answer: {answer.error}"
    fault = fault_of(answer)
    if fault is not None:
        return f"{answer.status} with a SOAP fault: {_excerpt(' '.join(map(str, fault.itertext())).encode())}"
    return f"{answer.status} with {'an empty body' if not answer.body else f'the body {_excerpt(answer.body)}'}"


def _excerpt(body: bytes, length: int = 200) -> str:
    said = " ".join(body.decode(errors="replace").split())
    return said if len(said) <= length else f"{said[:length]}..."


@dataclass(slots=True, kw_only=True)
class Judge:
    """This will judge messages that came for one of the sender systems `own_systems`."""

    contract: Contract
    own_systems: Collection[str]
    _judged: dict[int, list[Finding]] = field(default_factory=dict)

    def message(self, received: Received) -> list[Finding]:
        """This will judge one message by itself: envelope, address, schema, header."""
        if received.number not in self._judged:
            self._judged[received.number] = list(self._message(received))
        return self._judged[received.number]

    def _message(self, received: Received) -> Iterator[Finding]:
        if received.element is None:
            yield Finding(expected="a SOAP 1.1 envelope with one message", came="; ".join(received.findings))
            return
        if received.root not in ROOTS:
            yield Finding(expected="a message of the contract", came=str(received.element.tag))
            return
        interface = self.contract.interfaces[received.root]
        if received.interface != interface:
            yield Finding(expected=f"posted to {interface}", came=f"posted to {received.interface or '/'}")
        if violations := self.contract.violations(received.element):
            yield Finding(expected=f"valid against {received.root}.xsd", came="; ".join(violations[:5]))
        yield from self._header(received)

    def _header(self, received: Received) -> Iterator[Finding]:
        if not received.uuid:
            yield Finding(expected="a UUID in the message header", came="none")
        assert received.element is not None
        header = received.element.find("MessageHeader")
        created = text(header, "CreationDateTime")
        instant = utc(created)
        if instant is None:
            yield Finding(expected="CreationDateTime in UTC with Z", came=str(created))
        elif instant > datetime.now(UTC) + TOLERANCE:
            yield Finding(expected="CreationDateTime not in the future", came=str(created))
        recipient = text(header, "RecipientBusinessSystemID")
        if recipient is not None and recipient not in self.own_systems:
            yield Finding(expected=f"RecipientBusinessSystemID {' or '.join(self.own_systems)}", came=recipient)
        sender = text(header, "SenderBusinessSystemID")
        if sender in self.own_systems:
            yield Finding(expected="SenderBusinessSystemID of the MDUS", came=f"{sender}, which is SAP's own")

    # -- confirmations -------------------------------------------------------------------------------------------------

    def confirmations(
        self,
        posting: Posting,
        received: Iterable[Received],
        expected: Mapping[str, Collection[str]],
        *,
        seconds: float,
        again: bool = False,
    ) -> Iterator[Finding]:
        """This will judge all confirmations of one request together.

        `expected` are the result codes allowed per business key; a key with none is not to be confirmed at all.
        `again`: the request was sent more than once, so that a stored confirmation may come again. `seconds` is how
        long MDUS had.
        """
        listed = list(received)
        yield from self._forms(posting, listed)
        distinct, repeats = _distinct(listed)
        yield from repeats
        if not again:
            yield from _taken_twice(listed)
        told: defaultdict[str, list[Received]] = defaultdict(list)
        for one in distinct:
            yield from self.message(one)
            yield from self._references(posting, one)
            for item in one.items:
                told[self._asked_key(posting, item)].append(one)
                yield from self._item(posting, item, expected)
            yield from _overall(one)
        for key, codes in expected.items():
            times = len(told.pop(key, []))
            if codes and times == 0:
                yield Finding(expected=f"{key} confirmed within {seconds:g} s", came="no confirmation of it")
            elif codes and times > 1:
                yield Finding(expected=f"{key} confirmed once", came=f"{times} different confirmations")
            elif not codes and times:
                yield Finding(expected=f"no confirmation of {key}", came=f"{times}")
        for key in told:
            yield Finding(expected=f"confirmations of {', '.join(expected)} only", came=f"one of {key or 'no id'}")

    def _forms(self, posting: Posting, received: Iterable[Received]) -> Iterator[Finding]:
        form = posting.message.form
        if any(ROOTS[one.root][1] is not form for one in received):
            yield Finding(expected=f"a {form} confirmation of a {form} request", came="the other form")

    def _references(self, posting: Posting, received: Received) -> Iterator[Finding]:
        if received.reference != posting.message.uuid:
            yield Finding(
                expected=f"ReferenceUUID {posting.message.uuid}, the request's", came=received.reference or "none"
            )
        if posting.message.form is Form.BULK:
            uuids = {item.key: item.uuid for item in posting.message.items}
            for item in received.items:
                wanted = uuids.get(self._asked_key(posting, item))
                if wanted is not None and item.reference != wanted:
                    yield Finding(
                        expected=f"ReferenceUUID {wanted} of the item {item.key}", came=item.reference or "none"
                    )

    def _asked_key(self, posting: Posting, item: ReceivedItem) -> str:
        """The business key the item answers: its own, or that of the item it refers to."""
        keys = [asked.key for asked in posting.message.items]
        if item.key in keys:
            return item.key
        referred = [asked.key for asked in posting.message.items if item.reference and asked.uuid == item.reference]
        if referred:
            return referred[0]
        return keys[0] if posting.message.form is Form.SINGLE else item.key

    def _item(self, posting: Posting, item: ReceivedItem, expected: Mapping[str, Collection[str]]) -> Iterator[Finding]:
        key = self._asked_key(posting, item)
        if item.key != key:
            yield Finding(expected=f"the business key {key} as it was sent", came=item.key or "none")
        log = item.element.find("Log")
        code = text(log, "BusinessDocumentProcessingResultCode")
        codes = expected.get(key)
        if codes and code not in codes:
            wanted = " or ".join(sorted(codes))
            yield Finding(expected=f"result code {wanted} for {key}", came=f"{code}{_notes(log)}")
        yield from _log(log, code, where=key)


def _distinct(received: list[Received]) -> tuple[list[Received], list[Finding]]:
    """The messages with a UUID of their own, and what is wrong with those that come under one again."""
    first: dict[str, Received] = {}
    findings = []
    for one in received:
        known = first.setdefault(one.uuid or f"#{one.number}", one)
        if known is not one and known.digest != one.digest:
            findings.append(Finding(expected=f"one content under the UUID {one.uuid}", came="two contents"))
    return list(first.values()), findings


def distinct(received: Iterable[Received]) -> list[Received]:
    """This will return the messages without those that came again under the same UUID."""
    return _distinct(list(received))[0]


def redelivery_findings(received: Iterable[Received]) -> Iterator[Finding]:
    """This will judge what came more than once: again the same under the same UUID, and not after it was taken."""
    listed = list(received)
    yield from _distinct(listed)[1]
    yield from _taken_twice(listed)


def _taken_twice(received: Iterable[Received]) -> Iterator[Finding]:
    taken = Counter(one.uuid for one in received if one.taken)
    for uuid, times in taken.items():
        if times > 1:
            yield Finding(expected=f"{uuid} not sent again once it was taken", came=f"taken {times} times")


def _overall(received: Received) -> Iterator[Finding]:
    if ROOTS[received.root][1] is Form.SINGLE or received.element is None:
        return
    log = received.element.find("Log")
    said = text(log, "BusinessDocumentProcessingResultCode")
    codes = [text(item.element, "Log/BusinessDocumentProcessingResultCode") for item in received.items]
    wanted = overall_code(codes)
    if said != wanted:
        items = ", ".join(str(code) for code in codes)
        yield Finding(expected=f"overall result code {wanted} over items with {items}", came=str(said))


def _log(log: etree._Element | None, code: str | None, *, where: str) -> Iterator[Finding]:
    if log is None:
        yield Finding(expected=f"a Log for {where}", came="none")
        return
    if code not in ANY:
        yield Finding(expected=f"a final result code (3, 4, 5) for {where}", came=str(code))
    severities = [text(item, "SeverityCode") or "" for item in log.iterfind("Item")]
    known = [severity for severity in severities if severity in ("1", "2", "3", "4")]
    highest = text(log, "MaximumLogItemSeverityCode")
    if known and highest is not None and highest != max(known):
        yield Finding(expected=f"MaximumLogItemSeverityCode {max(known)} for {where}", came=highest)
    if code == "3" and known and int(max(known)) >= _ERROR:
        yield Finding(expected=f"no error among the log items of {where}, which succeeded", came=_notes(log))
    if code == "5" and not severities:
        yield Finding(expected=f"a log item that says why {where} failed", came="none")


def _notes(log: etree._Element | None) -> str:
    if log is None:
        return ""
    notes = [f"{text(item, 'TypeID') or ''} {item.findtext('Note') or ''}".strip() for item in log.iterfind("Item")]
    return f" ({'; '.join(notes)})" if notes else ""
