"""UtilitiesSmartMeterEventERPBulkCreateRequest: we tell SAP what its meters tell, and what failed too late to confirm.

Settled by UtilitiesSmartMeterEventERPBulkCreateConfirmation, which SAP sends only for the types of events that its
customizing has confirmed: silence is no fault, and nothing waits for it. There is no single form.

```
head end, MDUS itself     an event is told, sorted (event_sorting), and due once its device is registered
SAP   <--BulkCreateRequest--         what the table config/event_types.toml makes of it
SAP   --BulkCreateConfirmation-->    any code but 5: answered
                                     5, its own or the bulk's, or a log that says nothing: refused, a case for a human
```
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, Final

from mdus.contracts.binding import wire, wire_text
from mdus.contracts.log import ProcessingResultCode
from mdus.contracts.printable import printable
from mdus.domain.end_device_event import EVENT_REFUSED, EndDeviceEvent, EventState
from mdus.domain.event_types import EventType, EventTypes
from mdus.domain.exception_case import ExceptionCase, closed
from mdus.domain.value import Value
from mdus.messaging.answer import Answer
from mdus.messaging.known import Known
from mdus.messaging.outcome import Done, Outcome
from mdus.messaging.patterns import Due, RequestSent
from mdus.settings import TableRow
from mdus.storage.session import UnitOfWork

#: The tables of config/ this service reads, with the shape of their rows.
TABLES: Final[Mapping[str, type[TableRow]]] = {"event_types": EventType}


@dataclass(frozen=True, kw_only=True, slots=True)
class Property:
    """One more thing that SAP is told of an event, as text."""

    code: str = wire("Code")
    text: str = wire_text("ObjectPropertyValue/Text")


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """One event. It names no device when it is about none, such as a storm."""

    event_id: str = wire("UtilitiesSmartMeterEvent/ID")
    device_id: str | None = wire("UtilitiesSmartMeterEvent/UtilitiesDeviceID")
    at: datetime = wire("UtilitiesSmartMeterEvent/DateTime")
    category: str | None = wire("UtilitiesSmartMeterEvent/CategoryCode")
    type: str = wire("UtilitiesSmartMeterEvent/TypeCode")
    severity: str = wire("UtilitiesSmartMeterEvent/SeverityCode")
    origin: str | None = wire("UtilitiesSmartMeterEvent/OriginTypeCode")
    properties: tuple[Property, ...] = wire("UtilitiesSmartMeterEvent/Property")


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation(Answer):
    """SAP's answer to one event."""

    event_id: str = wire("UtilitiesSmartMeterEvent/ID")


@dataclass(frozen=True, kw_only=True, slots=True)
class MappedEvent(Value):
    """An event that is due, with the row of the table that says what SAP reads of it."""

    KEY: ClassVar[tuple[str, ...]] = ("event",)

    event: EndDeviceEvent
    row: EventType


def select(uow: UnitOfWork, *, now: datetime, limit: int) -> Sequence[Due]:
    """Claim the events that are due, and close the cases of late failures of which SAP knows enough by its event.

    Events whose row was taken out of the table meanwhile are left; the sorter withholds them.
    """
    found = uow.events_due(limit)
    if not found:
        return ()
    types = EventTypes.of(uow.settings)
    mapped = [
        MappedEvent(event=event, row=row)
        for event in found
        if (row := types.sent(event.sender_system, event.event_type)) is not None
    ]
    told = {(one.event.event_type, one.event.case_key) for one in mapped if one.row.closes_case and one.event.case_key}
    cases = {case.key: case for case in uow.load(ExceptionCase, ExceptionCase.KEY, told)}
    return [_due(one, case=cases.get((one.event.event_type, one.event.case_key)), now=now) for one in mapped]


def _due(mapped: MappedEvent, *, case: ExceptionCase | None, now: datetime) -> Due:
    event = mapped.event
    cases = () if case is None else (case,)
    changes = (replace(event, state=EventState.SENT, sent_at=now), *closed(cases, now=now))
    return Due(subject=mapped, sender_system=event.sender_system, key=event.event_id, changes=changes)


def build(mapped: MappedEvent) -> Content:
    """Return what SAP reads of an event, its instant in whole seconds."""
    event, row = mapped.event, mapped.row
    return Content(
        event_id=event.event_id,
        device_id=event.device_id,
        at=event.at.replace(microsecond=0),
        category=row.category,
        type=row.type or "",  # the table has no row that sends and says none
        severity=row.severity or "",
        origin=row.origin,
        properties=tuple(_properties(event, row)),
    )


def _properties(event: EndDeviceEvent, row: EventType) -> Iterator[Property]:
    known = {**dict(event.properties), "text": event.text or "", "event": event.event_type}
    for name, code in row.properties.items():
        if value := known.get(name):
            yield Property(code=code, text=printable(value))


def load(confirmations: Sequence[Confirmation], uow: UnitOfWork) -> Known:
    """Fetch the events SAP speaks of and the cases of those it refused."""
    keys = {(confirmation.origin.sender_system, confirmation.event_id) for confirmation in confirmations}
    cases = {(EVENT_REFUSED, f"{sender_system}/{event_id}") for sender_system, event_id in keys}
    return Known(
        uow.load(EndDeviceEvent, ("sender_system", "event_id"), keys),
        uow.load(ExceptionCase, ("kind", "case_key"), cases),
    )


def settle(confirmation: Confirmation, known: Known, *, now: datetime) -> Outcome:
    """Note that SAP took the event, or call for a human.

    - Success settles it, however late, also after a refusal. A refusal after success changes nothing.
    - Code 5, of the event or of the whole bulk, is a refusal, and so is a log with neither code nor severity.
    - What names no event that was sent opens a case: there is nothing to tell SAP.
    """
    event = known.one(EndDeviceEvent, confirmation.origin.sender_system, confirmation.event_id)
    if event is None or event.sent_at is None:
        what = f"an event that was never sent: {confirmation.event_id}"
        return Done(changes=(confirmation.unmatched(what, now=now),))
    key = f"{event.sender_system}/{event.event_id}"
    if not _is_refused(confirmation):
        cases = known.find(ExceptionCase, case_key=key)
        return Done(changes=(replace(event, state=EventState.ANSWERED, note=None), *closed(cases, now=now)))
    if event.state is not EventState.SENT:
        return Done()
    note = confirmation.reason
    refused = f"SAP refused the event {event.event_type} of device {event.device_id or 'none'} at {event.at}: {note}"
    return Done(
        changes=(
            replace(event, state=EventState.REFUSED, note=note),
            ExceptionCase(kind=EVENT_REFUSED, case_key=key, opened_at=now, note=refused),
        )
    )


def _is_refused(confirmation: Confirmation) -> bool:
    told = (confirmation.result_code, confirmation.origin.overall_code)
    codes = {code.lstrip("0") for code in told if code is not None}
    if not codes:
        return confirmation.max_severity not in ("1", "2")
    return ProcessingResultCode.FAILED in codes


SERVICE = RequestSent(
    bulk_request="UtilitiesSmartMeterEventERPBulkCreateRequest",
    bulk_confirmation="UtilitiesSmartMeterEventERPBulkCreateConfirmation",
    content_shape=Content,
    select=select,
    build=build,
    shape=Confirmation,
    order_by="event_id",
    settled_by=lambda confirmation: confirmation.event_id,
    load=load,
    settle=settle,
    always_confirmed=False,
)
