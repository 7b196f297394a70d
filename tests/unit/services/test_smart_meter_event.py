"""Events to SAP and what SAP answers, decided without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from lxml import etree

from mdus.contracts.binding import bind
from mdus.contracts.catalog import catalog
from mdus.contracts.envelope import Item, parse, render
from mdus.contracts.header import MessageHeader
from mdus.contracts.validation import validate
from mdus.domain.end_device_event import EVENT_REFUSED, EndDeviceEvent, EventState, LateFailure, late_failure
from mdus.domain.event_types import EventType
from mdus.domain.exception_case import CONFIRMATION_UNMATCHED, ExceptionCase
from mdus.domain.value import Value
from mdus.messaging.answer import Remark
from mdus.messaging.known import Known
from mdus.messaging.outcome import Done
from mdus.messaging.patterns import Due
from mdus.services.smart_meter_event import (
    SERVICE,
    TABLES,
    Confirmation,
    Content,
    MappedEvent,
    Property,
    build,
    select,
    settle,
)
from mdus.settings import Settings, load_settings
from tests.unit.services.device_initialization import DEVICE, NOW, SENDER, origin

ID = "A" * 22
AT = datetime(2026, 3, 28, 9, 59, 58, 123456, tzinfo=UTC)
ROW = EventType(
    name="power",
    event="*.26.0.85",
    category="0002",
    type="0100",
    severity="3",
    origin="01",
    properties={"text": "TEXT", "event": "IECT", "phase": "PHAS"},
)
EVENT = EndDeviceEvent(
    event_id=ID,
    sender_system=SENDER,
    device_id=DEVICE,
    event_type="3.26.0.85",
    at=AT,
    source="city",
    area="city",
    text="Primary power down",
    properties=(("phase", "L2"), ("unasked", "x")),
    told_at=NOW,
    state=EventState.DUE,
)
SENT = replace(EVENT, state=EventState.SENT, sent_at=NOW)
MISSING = replace(
    late_failure(
        LateFailure.READING_MISSING,
        sender_system=SENDER,
        device_id=DEVICE,
        at=AT,
        told_at=AT,
        about="document/7",
        note="No reading",
        case_key="P11/7",
    ),
    state=EventState.DUE,
)
UNKNOWN = replace(MISSING, event_type=LateFailure.SWITCH_STATE_UNKNOWN.value, event_id="B" * 22)
CASE = ExceptionCase(kind="reading_missing", case_key="P11/7", opened_at=AT, note="No reading")
REFUSED = ExceptionCase(kind=EVENT_REFUSED, case_key=f"{SENDER}/{ID}", opened_at=NOW, note="no")


class Waiting:
    """A unit of work that has events due, and cases."""

    settings: Settings = load_settings({}, tables=TABLES)

    def __init__(self, *events: EndDeviceEvent, cases: tuple[ExceptionCase, ...] = ()) -> None:
        self.events = events
        self.cases = cases

    def events_due(self, limit: int) -> list[EndDeviceEvent]:
        return list(self.events[:limit])

    def load(self, kind: type[Value], by: object, keys: set[tuple[object, ...]]) -> list[ExceptionCase]:
        return [case for case in self.cases if case.key in keys]


def due(*events: EndDeviceEvent, cases: tuple[ExceptionCase, ...] = ()) -> list[Due]:
    return list(select(Waiting(*events, cases=cases), now=NOW, limit=10))  # type: ignore[arg-type]


def answer(code: str | None = "3", *notes: str, **facts: Any) -> Confirmation:
    told: dict[str, Any] = {
        "origin": origin(item_id=8),
        "event_id": ID,
        "result_code": code,
        "remarks": tuple(Remark(note=note) for note in notes),
        **facts,
    }
    return Confirmation(**told)


def settled(confirmation: Confirmation, *known: Value) -> dict[type, Any]:
    """Return what changes, by kind."""
    outcome = settle(confirmation, Known(known), now=NOW)
    assert isinstance(outcome, Done)
    return {type(change): change for change in outcome.changes}


class TestSelect:
    def test_sends_each_due_event_under_its_id(self) -> None:
        [one] = due(EVENT)

        assert (one.sender_system, one.key, one.attempt, one.bulk) == (SENDER, ID, 1, None)
        assert one.changes == (SENT,)

    def test_leaves_what_the_table_does_not_send_any_more(self) -> None:
        sag = replace(EVENT, event_type="3.26.79.223")
        strange = replace(EVENT, event_type="3.1.1.1")
        assert due(sag, strange) == []
        assert len(due(sag, EVENT)) == 1

    def test_closes_the_case_of_which_sap_knows_enough(self) -> None:
        [one] = due(MISSING, cases=(CASE,))
        assert one.changes[1:] == (replace(CASE, closed_at=NOW),)

    def test_leaves_a_case_that_is_closed_already(self) -> None:
        [one] = due(MISSING, cases=(replace(CASE, closed_at=AT),))
        assert one.changes[1:] == ()

    def test_keeps_the_case_where_somebody_has_to_look(self) -> None:
        [one] = due(UNKNOWN, cases=(replace(CASE, kind="switch_state_unknown"),))
        assert one.changes[1:] == ()


class TestBuild:
    def test_tells_what_the_table_makes_of_the_event(self) -> None:
        content = build(MappedEvent(event=EVENT, row=ROW))

        assert content == Content(
            event_id=ID,
            device_id=DEVICE,
            at=AT.replace(microsecond=0),
            category="0002",
            type="0100",
            severity="3",
            origin="01",
            properties=(
                Property(code="TEXT", text="Primary power down"),
                Property(code="IECT", text="3.26.0.85"),
                Property(code="PHAS", text="L2"),
            ),
        )

    def test_leaves_out_what_the_event_does_not_carry(self) -> None:
        content = build(MappedEvent(event=replace(EVENT, text=None, properties=()), row=ROW))
        assert [one.code for one in content.properties] == ["IECT"]

    def test_writes_what_xml_cannot_hold_as_a_question_mark(self) -> None:
        content = build(MappedEvent(event=replace(EVENT, text="down\x00\x1b!"), row=ROW))
        assert content.properties[0].text == "down??!"

    @pytest.mark.parametrize(
        "event",
        [
            pytest.param(EVENT, id="with everything"),
            pytest.param(replace(EVENT, device_id=None, text=None, properties=()), id="with the least"),
        ],
    )
    def test_fits_the_contract(self, event: EndDeviceEvent) -> None:
        contract = catalog()
        header = MessageHeader(uuid="0e3f5a52-7c4e-4d0a-9f56-0a4a1d7f9a01", created_at=NOW.replace(microsecond=0))
        body = render(
            "UtilitiesSmartMeterEventERPBulkCreateRequest",
            header=header,
            items=[Item(header, build(MappedEvent(event=event, row=ROW)))],
        )
        contract.schema(contract.root("UtilitiesSmartMeterEventERPBulkCreateRequest")).assertValid(parse(body))


class TestSettle:
    @pytest.mark.parametrize(
        "confirmation",
        [
            pytest.param(answer("3"), id="3"),
            pytest.param(answer("4"), id="4"),
            pytest.param(answer("1"), id="1"),
            pytest.param(answer(None, max_severity="2"), id="no code, a warning"),
            pytest.param(answer("3", origin=origin(item_id=8, overall_code="4")), id="3 in a bulk of code 4"),
            pytest.param(answer(None, origin=origin(item_id=8, overall_code="3")), id="no code in a bulk of code 3"),
        ],
    )
    def test_any_code_but_5_settles_the_event(self, confirmation: Confirmation) -> None:
        assert settled(confirmation, SENT) == {EndDeviceEvent: replace(SENT, state=EventState.ANSWERED)}

    @pytest.mark.parametrize(
        "confirmation",
        [
            pytest.param(answer("5", "Event type 0100 is not customized"), id="5"),
            pytest.param(answer("05", "Event type 0100 is not customized"), id="05"),
            pytest.param(
                answer("3", "Event type 0100 is not customized", origin=origin(item_id=8, overall_code="5")),
                id="3 in a bulk of code 5",
            ),
            pytest.param(answer(None, "Event type 0100 is not customized", max_severity="3"), id="no code, an error"),
        ],
    )
    def test_a_refusal_calls_for_a_human(self, confirmation: Confirmation) -> None:
        changes = settled(confirmation, SENT)

        assert changes[EndDeviceEvent].state is EventState.REFUSED
        assert changes[EndDeviceEvent].note == "Event type 0100 is not customized"
        case = changes[ExceptionCase]
        assert (case.kind, case.case_key, case.closed_at) == (EVENT_REFUSED, f"{SENDER}/{ID}", None)
        assert "3.26.0.85" in case.note
        assert "not customized" in case.note

    def test_a_log_that_says_nothing_is_a_refusal(self) -> None:
        changes = settled(answer(None), SENT)
        assert changes[EndDeviceEvent].state is EventState.REFUSED
        assert changes[EndDeviceEvent].note == "SAP gave no reason"

    def test_a_late_success_closes_the_case_of_a_refusal(self) -> None:
        refused = replace(SENT, state=EventState.REFUSED, note="no")
        changes = settled(answer("3"), refused, REFUSED)
        assert changes == {
            EndDeviceEvent: replace(SENT, state=EventState.ANSWERED),
            ExceptionCase: replace(REFUSED, closed_at=NOW),
        }

    @pytest.mark.parametrize("state", [EventState.ANSWERED, EventState.REFUSED])
    def test_a_refusal_of_what_is_settled_changes_nothing(self, state: EventState) -> None:
        assert settled(answer("5"), replace(SENT, state=state)) == {}

    @pytest.mark.parametrize(
        "known",
        [
            pytest.param((), id="never told"),
            pytest.param((EVENT,), id="not sent yet"),
            pytest.param((replace(SENT, sender_system="P12"),), id="sent to another system"),
        ],
    )
    def test_what_was_never_sent_opens_a_case(self, known: tuple[EndDeviceEvent, ...]) -> None:
        case = settled(answer("3"), *known)[ExceptionCase]
        assert (case.kind, case.case_key) == (CONFIRMATION_UNMATCHED, "8")


class TestOnTheWire:
    def test_reads_saps_confirmation(self) -> None:
        header = "<MessageHeader><CreationDateTime>2026-03-28T12:00:00Z</CreationDateTime></MessageHeader>"
        item = "UtilitiesSmartMeterEventERPCreateConfirmationMessage"
        code = "<BusinessDocumentProcessingResultCode>5</BusinessDocumentProcessingResultCode>"
        element = etree.fromstring(
            f'<n0:{SERVICE.bulk_confirmation} xmlns:n0="http://sap.com/xi/SAPGlobal20/Global">{header}<{item}>{header}'
            f"<UtilitiesSmartMeterEvent><ID>{ID}</ID><UtilitiesDeviceID>{DEVICE}</UtilitiesDeviceID>"
            f"</UtilitiesSmartMeterEvent><Log>{code}<Item><TypeID>001(EV)</TypeID><Note>no</Note></Item></Log></{item}>"
            f"<Log>{code}</Log></n0:{SERVICE.bulk_confirmation}>"
        )
        assert validate(element, catalog().root(SERVICE.bulk_confirmation or "")).accepted
        found = bind(Confirmation, element.find(item))
        assert (found.event_id, found.result_code, found.remarks) == (ID, "5", (Remark(type_id="001(EV)", note="no"),))

    def test_has_no_single_form_and_may_stay_unconfirmed(self) -> None:
        assert (SERVICE.request, SERVICE.confirmation, SERVICE.always_confirmed) == (None, None, False)
        assert SERVICE.name == "UtilitiesSmartMeterEventERPBulkCreateRequest"
