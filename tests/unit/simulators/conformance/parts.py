"""Parts of a conformance run for tests: a contract, a world, subjects, messages of an MDUS as text."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from lxml import etree

from simulators.conformance.contract import SERVICES, Contract, Form, contract_folder
from simulators.conformance.ledger import Ledger, Posting, Received
from simulators.conformance.subjects import Subject, Subjects, World
from simulators.conformance.writing import Item, Message, enveloped
from simulators.sap_cis.envelope import envelope_message

CONTRACT = Contract(contract_folder())
WORLD = World(ams="AM01", zone=ZoneInfo("Europe/Berlin"), zone_code="CET", recurrence="15", role="1")
NAMESPACE = "http://sap.com/xi/SAPGlobal20/Global"
REQUEST_UUID = "00000000-0000-4000-8000-000000000001"
ITEM_UUIDS = ("00000000-0000-4000-8000-0000000000a1", "00000000-0000-4000-8000-0000000000a2")


def subject() -> Subject:
    """Return a subject of a run."""
    return Subjects(7, material="LX100").take("SAP")


def posted(ledger: Ledger, *keys: str, form: Form = Form.SINGLE) -> Posting:
    """Note a device create about some devices."""
    items = tuple(Item(key=key, uuid=uuid, content={}) for key, uuid in zip(keys, ITEM_UUIDS, strict=False))
    message = Message(root=SERVICES["device_create"].requests[form], uuid=REQUEST_UUID, items=items)
    return ledger.post(message, b"")


def now() -> str:
    """Return the present instant as the wire wants it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def header(uuid: str, reference: str | None = REQUEST_UUID, *, created: str | None = None, more: str = "") -> str:
    """Return a message header."""
    refers = "" if reference is None else f"<ReferenceUUID>{reference}</ReferenceUUID>"
    made = f"<UUID>{uuid}</UUID>" if uuid else ""
    return f"<MessageHeader>{made}{refers}<CreationDateTime>{created or now()}</CreationDateTime>{more}</MessageHeader>"


def log(code: str, *notes: str, severity: str = "3", highest: str | None = None) -> str:
    """Return a log with an item per note."""
    items = "".join(f"<Item><SeverityCode>{severity}</SeverityCode><Note>{note}</Note></Item>" for note in notes)
    said = f"<MaximumLogItemSeverityCode>{highest}</MaximumLogItemSeverityCode>" if highest else ""
    return (
        f"<Log><BusinessDocumentProcessingResultCode>{code}</BusinessDocumentProcessingResultCode>{said}{items}</Log>"
    )


def device(key: str) -> str:
    """Return what a confirmation says of a device."""
    return f"<UtilitiesDevice><ID>{key}</ID></UtilitiesDevice>"


def received(ledger: Ledger, root: str, content: str, *, interface: str | None = None, status: int = 202) -> Received:
    """Let a message of an MDUS come in."""
    body = enveloped(etree.fromstring(f'<n:{root} xmlns:n="{NAMESPACE}">{content}</n:{root}>'))
    one = ledger.read(body, interface=interface or f"{root}_In", message=envelope_message(body))
    one.status = status
    return one
