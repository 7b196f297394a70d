"""Accepting reading orders, decided without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from mdus.contracts.log import ProcessingResultCode
from mdus.domain.capability import Capabilities, Capability, CapabilityRow
from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice, device_arrival
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.meter_reading_selection import Anchor, Choice, ReadingPolicies, ReadingPolicy
from mdus.domain.register import Register, register_arrival
from mdus.domain.value import Value
from mdus.messaging.addressed_device import SystemDiffers
from mdus.messaging.known import Known
from mdus.messaging.outcome import BusinessError, Done, Outcome, Park, Result
from mdus.services.meter_reading_document_create import (
    SERVICE,
    CodeTextDiffers,
    DataSourceNotSupported,
    DateOutOfReach,
    DocumentCancelled,
    DocumentDiffers,
    DocumentFailed,
    NotCapable,
    NotInService,
    NotReadable,
    ReasonNotSupported,
    RegisterNotValid,
    Request,
    TooLateOnDemand,
    confirm,
    decide,
)
from tests.unit.services.device_initialization import DEVICE, NOW, SENDER, TASK, known_device, known_register, origin

DOCUMENT = "00000000000000000007"
TODAY = date(2026, 3, 28)
POLICIES = ReadingPolicies(
    by_reason={
        "1": ReadingPolicy(days_forward=3),
        "6": ReadingPolicy(anchor=Anchor.START_OF_DAY, days_back=1, days_forward=3),
        "13": ReadingPolicy(days_forward=1, on_demand=True),
        "12": ReadingPolicy(removal=True),
        "22": ReadingPolicy(choice=Choice.LATEST, days_back=1),
    }
)


def order(**facts: Any) -> Request:
    told: dict[str, Any] = {
        "origin": origin(item_id=5, uuid="U1", id="I1", bulk=True),
        "document_id": DOCUMENT,
        "reason_code": "01",
        "scheduled_on": TODAY,
        "data_source_code": "0",
        "measurement_task_id": TASK,
        "obis_text": "1-0:1.8.0",
        "device_id": DEVICE,
        "ams_id": "AM01",
    }
    return Request(**{**told, **facts})


def decided(request: Request, *others: Value, device: EndDevice | None = None, now: datetime = NOW) -> Outcome:
    known = Known([POLICIES, device or known_device(), known_register()], others)
    return decide(request, known, now=now)


def accepted(request: Request, **facts: Any) -> MeterReadingDocument:
    outcome = decided(request, **facts)
    assert isinstance(outcome, Done)
    assert outcome.result == Result()
    [document] = [change for change in outcome.changes if isinstance(change, MeterReadingDocument)]
    return document


def command_of(outcome: Outcome) -> Command:
    assert isinstance(outcome, Done)
    [command] = [change for change in outcome.changes if isinstance(change, Command)]
    return command


class TestDecide:
    def test_accepts_an_order_with_all_it_says(self) -> None:
        document = accepted(order(point_of_delivery_id="DE1"))

        assert document.key == (SENDER, DOCUMENT)
        assert document.status is DocumentStatus.ORDERED
        assert (document.device_id, document.measurement_task_id) == (DEVICE, TASK)
        assert (document.reading_type, document.obis_text) == ("1-0:1.8.0*255", "1-0:1.8.0")
        assert (document.order_item_id, document.order_uuid, document.order_id, document.bulk) == (5, "U1", "I1", True)
        assert (document.time_zone, document.point_of_delivery_id) == ("Europe/Berlin", "DE1")
        assert document.scheduled_on == TODAY

    def test_wakes_a_cancellation_that_came_before_it(self) -> None:
        [name] = accepted(order()).wakes

        assert name == f"meter_reading_document/{DOCUMENT}/{SENDER}"

    def test_waits_for_its_device(self) -> None:
        outcome = decide(order(), Known([POLICIES]), now=NOW)

        assert isinstance(outcome, Park)
        assert outcome.waits_for == device_arrival(SENDER, DEVICE)
        assert outcome.until == NOW + timedelta(minutes=30)
        assert outcome.otherwise.type_id == "110(MDUS)"

    def test_waits_for_its_register(self) -> None:
        outcome = decide(order(), Known([POLICIES, known_device()]), now=NOW)

        assert isinstance(outcome, Park)
        assert outcome.waits_for == register_arrival(SENDER, DEVICE, TASK)

    @pytest.mark.parametrize("task", ["100042", "0000000000000100042"], ids=["fewer zeros", "more zeros"])
    def test_keeps_the_zeros_of_logical_register_numbers(self, task: str) -> None:
        assert isinstance(decided(order(measurement_task_id=task)), Park)

    @pytest.mark.parametrize(
        ("scheduled_on", "valid"),
        [
            pytest.param(date(2026, 2, 28), False, id="the day before"),
            pytest.param(date(2026, 3, 1), True, id="its first day"),
            pytest.param(date(2026, 3, 31), True, id="its last day"),
            pytest.param(date(2026, 4, 1), False, id="the day after"),
        ],
    )
    def test_wants_a_register_valid_on_the_scheduled_date(self, scheduled_on: date, valid: bool) -> None:
        register = known_register(valid_from=date(2026, 3, 1), valid_to=date(2026, 4, 1))
        known = Known([POLICIES, known_device(), register])

        if valid:
            assert isinstance(decide(order(scheduled_on=scheduled_on), known, now=NOW), Done)
        else:
            with pytest.raises(RegisterNotValid):
                decide(order(scheduled_on=scheduled_on), known, now=NOW)

    @pytest.mark.parametrize(
        ("reason", "scheduled_on", "valid"),
        [
            pytest.param("12", date(2026, 4, 1), True, id="the day of its removal, at a removal"),
            pytest.param("12", date(2026, 4, 2), False, id="the day after its removal"),
            pytest.param("22", date(2026, 4, 1), False, id="the day of its removal, for another reason"),
        ],
    )
    def test_wants_at_a_removal_a_register_that_has_just_ended(
        self, reason: str, scheduled_on: date, valid: bool
    ) -> None:
        known = Known([POLICIES, known_device(), known_register(valid_to=date(2026, 4, 1))])

        if valid:
            assert isinstance(decide(order(reason_code=reason, scheduled_on=scheduled_on), known, now=NOW), Done)
        else:
            with pytest.raises(RegisterNotValid):
                decide(order(reason_code=reason, scheduled_on=scheduled_on), known, now=NOW)

    def test_is_for_a_day_the_device_is_in_service(self) -> None:
        ending = replace(known_device(), valid_to=TODAY + timedelta(days=1))

        assert isinstance(decided(order(), device=ending), Done)
        with pytest.raises(NotInService):
            decided(order(scheduled_on=TODAY + timedelta(days=1)), device=ending)

    def test_reads_the_register_that_carried_the_number_on_the_scheduled_date(self) -> None:
        old = known_register(valid_to=date(2026, 3, 1), reading_type="old")
        new = known_register(valid_from=date(2026, 3, 1), reading_type="new", obis_text="new")
        known = Known([POLICIES, known_device(), old, new])

        outcome = decide(order(obis_text="new"), known, now=NOW)

        assert isinstance(outcome, Done)
        [document] = outcome.changes
        assert isinstance(document, MeterReadingDocument)
        assert document.reading_type == "new"

    @pytest.mark.parametrize("text", ["1-0:1.8.0", "1-0:1.8.0*255"])
    def test_takes_a_code_text_in_either_print(self, text: str) -> None:
        assert accepted(order(obis_text=text)).obis_text == text

    def test_takes_a_site_text_that_the_register_has(self) -> None:
        register = known_register(obis_text="KWH_TOTAL")
        known = Known([POLICIES, known_device(), register])

        assert isinstance(decide(order(obis_text="KWH_TOTAL"), known, now=NOW), Done)

    @pytest.mark.parametrize("text", ["1-0:2.8.0", "KWH_TOTAL", "1-0:1.8.0*1"])
    def test_refuses_another_code_text(self, text: str) -> None:
        with pytest.raises(CodeTextDiffers):
            decided(order(obis_text=text))

    def test_refuses_another_metering_system(self) -> None:
        with pytest.raises(SystemDiffers):
            decided(order(ams_id="AM02"))

    @pytest.mark.parametrize("code", ["0", "1"], ids=["stored", "on demand"])
    def test_refuses_a_device_that_no_head_end_serves(self, code: str) -> None:
        with pytest.raises(NotReadable):
            decided(order(data_source_code=code), device=known_device(head_end=None))

    @pytest.mark.parametrize("reason", ["1", "01", "001"])
    def test_compares_reasons_as_numbers_and_keeps_them_as_sent(self, reason: str) -> None:
        assert accepted(order(reason_code=reason)).reason_code == reason

    @pytest.mark.parametrize("reason", ["10", "99", "0"])
    def test_refuses_a_reason_without_a_policy(self, reason: str) -> None:
        with pytest.raises(ReasonNotSupported):
            decided(order(reason_code=reason))

    def test_accepts_no_test_data_and_no_repeat_of_an_order_in_it(self) -> None:
        marked = order(origin=origin(item_id=6, test_data=True))

        for stored in ((), (accepted(order()),)):
            with pytest.raises(BusinessError, match="test data") as refused:
                decided(marked, *stored)
            assert refused.value.problem.type_id == "310(MDUS)"


class TestWhatTheDeviceCannotDo:
    @pytest.mark.parametrize(
        ("lacking", "order_", "refused"),
        [
            pytest.param("on_demand_reading", {"data_source_code": "1"}, True, id="on demand, ordered"),
            pytest.param(
                "on_demand_reading",
                {"data_source_code": None, "reason_code": "13"},
                True,
                id="on demand, by its reason",
            ),
            pytest.param("on_demand_reading", {"data_source_code": "0"}, False, id="stored values"),
            pytest.param("remote_reading", {"data_source_code": "0"}, True, id="stored values, not to be had"),
            pytest.param("remote_reading", {"data_source_code": "1"}, True, id="on demand, without any reading"),
            pytest.param("disconnect", {"data_source_code": "1"}, False, id="what is not ordered"),
        ],
    )
    def test_is_refused_at_once(self, lacking: str, order_: dict[str, Any], refused: bool) -> None:
        matrix = Capabilities(rows=(CapabilityRow.model_validate({"name": "a", lacking: False}),))
        if refused:
            with pytest.raises(NotCapable, match=r"LX100-SW .* \(capabilities.a\)"):
                decided(order(**order_), matrix)
        else:
            assert isinstance(decided(order(**order_), matrix), Done)

    def test_is_what_its_head_end_does_not_offer(self) -> None:
        matrix = Capabilities(offered={"city": frozenset({Capability.REMOTE_READING})})
        assert isinstance(decided(order(data_source_code="0"), matrix), Done)
        with pytest.raises(NotCapable, match="head end city does not offer that"):
            decided(order(data_source_code="1"), matrix)

    def test_is_refused_with_a_code_of_its_own(self) -> None:
        assert NotCapable().problem.type_id == "150(MDUS)"


class TestRepeatedOrder:
    def test_is_accepted_again_without_effect(self) -> None:
        stored = accepted(order())

        outcome = decided(order(origin=origin(item_id=6), reason_code="1"), stored)

        assert outcome == Done()

    def test_is_the_same_with_its_obis_code_in_full(self) -> None:
        assert decided(order(obis_text="1-0:1.8.0*255"), accepted(order(obis_text="1-0:1.8.0"))) == Done()

    def test_is_accepted_even_if_its_device_could_not_be_ordered_any_more(self) -> None:
        stored = replace(accepted(order()), status=DocumentStatus.CONFIRMED)

        assert decide(order(), Known([stored]), now=NOW) == Done()

    @pytest.mark.parametrize(
        "other",
        [
            {"device_id": "42"},
            {"measurement_task_id": "1"},
            {"scheduled_on": TODAY + timedelta(days=1)},
            {"reason_code": "6"},
            {"data_source_code": "1"},
            {"obis_text": "1-0:1.8.1"},
            {"ams_id": "AM02"},
            {"point_of_delivery_id": "DE1"},
        ],
        ids=lambda other: next(iter(other)),
    )
    def test_is_refused_with_other_content(self, other: dict[str, Any]) -> None:
        with pytest.raises(DocumentDiffers):
            decided(order(**other), accepted(order()))

    @pytest.mark.parametrize(
        ("other", "accepted_again"),
        [
            ({"obis_text": "1-0:1.8.1"}, True),
            ({"scheduled_on": TODAY + timedelta(days=1)}, True),
            ({"data_source_code": None}, True),
            ({"point_of_delivery_id": "DE1"}, True),
            ({"device_id": "42"}, False),
            ({"measurement_task_id": "1"}, False),
            ({"reason_code": "6"}, False),
            ({"ams_id": "AM02"}, False),
        ],
        ids=lambda other: next(iter(other)) if isinstance(other, dict) else None,
    )
    def test_is_accepted_where_a_person_made_the_reading_first(
        self, other: dict[str, Any], accepted_again: bool
    ) -> None:
        entered = replace(accepted(order()), status=DocumentStatus.ENTERED)

        if accepted_again:
            assert decided(order(**other), entered) == Done()
        else:
            with pytest.raises(DocumentDiffers):
                decided(order(**other), entered)

    def test_is_refused_after_its_cancellation(self) -> None:
        with pytest.raises(DocumentCancelled):
            decided(order(), replace(accepted(order()), status=DocumentStatus.CANCELLED))

    def test_is_refused_with_the_reason_after_it_failed(self) -> None:
        failed = replace(accepted(order()), status=DocumentStatus.FAILED, note="the meter is silent")

        with pytest.raises(DocumentFailed, match="failed: the meter is silent"):
            decided(order(origin=origin(item_id=6)), failed)

    @pytest.mark.parametrize(
        ("stored", "is_sent_again"),
        [
            pytest.param({"status": DocumentStatus.REJECTED, "note": "wrong"}, True, id="refused for good"),
            pytest.param({"status": DocumentStatus.RESULT_SENT, "note": "no answer"}, True, id="never answered"),
            pytest.param({"status": DocumentStatus.RESULT_SENT}, False, id="not answered yet"),
            pytest.param(
                {"status": DocumentStatus.RESULT_SENT, "note": "wrong", "next_try_at": NOW}, False, id="refused once"
            ),
            pytest.param({"status": DocumentStatus.CONFIRMED}, False, id="taken"),
        ],
    )
    def test_has_the_result_sent_again_that_sap_has_not_taken(
        self, stored: dict[str, Any], is_sent_again: bool
    ) -> None:
        sent = replace(accepted(order()), **{"next_try_at": None, "result_attempts": 3, **stored})
        by_sap = {"item_id": 6, "uuid": "U2", "id": "I2", "bulk": False}

        again = decided(order(origin=origin(**by_sap)), sent)

        facts = {"status": DocumentStatus.READ, "note": None, "order_item_id": 6, "order_uuid": "U2", "order_id": "I2"}
        due = replace(sent, bulk=False, **facts)
        assert again == Done(changes=(due,) if is_sent_again else ())
        assert decided(order(origin=origin(client="rest:a", **by_sap)), sent) == Done()  # it is not the client's

    def test_of_another_system_is_another_order(self) -> None:
        foreign = replace(accepted(order()), sender_system="P12", scheduled_on=date(2026, 1, 1))

        assert isinstance(decided(order(), foreign), Done)


class TestStoredValues:
    @pytest.mark.parametrize(
        ("scheduled_on", "due_at"),
        [
            pytest.param(date(2026, 3, 28), datetime(2026, 3, 28, 23, 0, tzinfo=UTC), id="24 hours"),
            pytest.param(date(2026, 3, 29), datetime(2026, 3, 29, 22, 0, tzinfo=UTC), id="23 hours"),
            pytest.param(date(2026, 10, 25), datetime(2026, 10, 25, 23, 0, tzinfo=UTC), id="25 hours"),
        ],
    )
    def test_are_due_at_the_end_of_the_scheduled_day(self, scheduled_on: date, due_at: datetime) -> None:
        document = accepted(order(scheduled_on=scheduled_on))

        assert document.due_at == document.window_from == due_at
        assert document.next_try_at == due_at + timedelta(hours=1)
        assert not document.on_demand

    def test_are_due_at_the_start_of_the_day_where_the_reason_says_so(self) -> None:
        document = accepted(order(reason_code="06"))

        assert document.due_at == datetime(2026, 3, 27, 23, 0, tzinfo=UTC)
        assert document.window_from == datetime(2026, 3, 26, 23, 0, tzinfo=UTC)
        assert document.window_until == datetime(2026, 3, 30, 22, 0, tzinfo=UTC)

    def test_are_looked_for_when_the_window_is_over_if_the_latest_counts(self) -> None:
        document = accepted(order(reason_code="22"))

        assert document.next_try_at == document.window_until + timedelta(hours=1)

    def test_of_a_past_date_are_looked_for_at_once(self) -> None:
        assert accepted(order(scheduled_on=TODAY - timedelta(days=20))).next_try_at == NOW

    def test_far_ahead_are_kept_until_then(self) -> None:
        document = accepted(order(scheduled_on=date(2031, 6, 30)))

        assert document.next_try_at == datetime(2031, 6, 30, 23, 0, tzinfo=UTC)

    def test_beyond_the_calendar_are_refused(self) -> None:
        with pytest.raises(DateOutOfReach):
            decided(order(scheduled_on=date(9999, 12, 31)))


class TestOnDemand:
    @pytest.mark.parametrize(
        ("data_source", "reason", "expected"),
        [
            pytest.param("1", "01", True, id="the data source says so"),
            pytest.param("0", "13", False, id="the data source says no"),
            pytest.param(None, "13", True, id="the reason says so"),
            pytest.param(None, "01", False, id="the reason says no"),
            pytest.param("01", "01", True, id="with a leading zero"),
        ],
    )
    def test_is_decided_by_the_data_source_first(self, data_source: str | None, reason: str, expected: bool) -> None:
        assert accepted(order(data_source_code=data_source, reason_code=reason)).on_demand is expected

    @pytest.mark.parametrize("code", ["2", "X"])
    def test_refuses_an_unknown_data_source(self, code: str) -> None:
        with pytest.raises(DataSourceNotSupported):
            decided(order(data_source_code=code))

    def test_asks_the_meter_now_for_today(self) -> None:
        outcome = decided(order(data_source_code="1"))

        command = command_of(outcome)
        assert (command.kind, command.head_end) == (CommandKind.READ_ON_DEMAND, "city")
        assert (command.not_before, command.expires_at) == (NOW, NOW + timedelta(hours=1))
        document = accepted(order(data_source_code="1"))
        assert (document.due_at, document.attempts) == (NOW, 1)
        assert document.next_try_at is not None
        assert document.next_try_at > command.expires_at

    def test_counts_what_the_meter_reads_within_the_same_second(self) -> None:
        asked_at = NOW.replace(microsecond=999_999)

        document = accepted(order(data_source_code="1"), now=asked_at)
        assert (document.window_from, document.due_at) == (NOW.replace(microsecond=0), asked_at)

    def test_knows_today_in_the_zone_of_the_sender(self) -> None:
        before_midnight = datetime(2026, 3, 28, 22, 59, tzinfo=UTC)
        after_midnight = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
        tomorrow = order(data_source_code="1", scheduled_on=TODAY + timedelta(days=1))

        assert command_of(decided(tomorrow, now=before_midnight)).not_before == after_midnight
        assert command_of(decided(tomorrow, now=after_midnight)).not_before == after_midnight

    def test_asks_the_meter_when_the_scheduled_day_begins(self) -> None:
        command = command_of(decided(order(data_source_code="1", scheduled_on=date(2026, 3, 30))))

        assert command.not_before == datetime(2026, 3, 29, 22, 0, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("now", "asks"),
        [
            pytest.param(datetime(2026, 3, 31, 22, 0, tzinfo=UTC), True, id="at the end of the window"),
            pytest.param(datetime(2026, 3, 31, 22, 0, 1, tzinfo=UTC), False, id="after the window"),
        ],
    )
    def test_asks_the_meter_for_a_past_date_only_within_the_window(self, now: datetime, asks: bool) -> None:
        request = order(data_source_code="1")

        if asks:
            assert command_of(decided(request, now=now)).not_before == now
        else:
            with pytest.raises(TooLateOnDemand):
                decided(request, now=now)

    def test_beyond_the_calendar_is_refused(self) -> None:
        with pytest.raises(DateOutOfReach):
            decided(order(data_source_code="1", scheduled_on=date(9999, 12, 31)))


class TestConfirm:
    def test_says_that_the_order_is_accepted(self) -> None:
        confirmation = confirm(order(), Result())

        assert confirmation.document_id == DOCUMENT
        assert confirmation.log.result_code is ProcessingResultCode.SUCCESSFUL

    def test_says_why_it_is_not(self) -> None:
        error: BusinessError = ReasonNotSupported("The meter reading reason 99 is not supported")

        confirmation = confirm(order(), Result(problems=(error.problem,)))

        assert confirmation.log.result_code is ProcessingResultCode.FAILED
        assert [(item.type_id, item.note) for item in confirmation.log.items] == [
            ("204(MDUS)", "The meter reading reason 99 is not supported")
        ]


class TestService:
    def test_keeps_the_orders_of_a_device_in_order(self) -> None:
        assert getattr(order(), SERVICE.order_by) == DEVICE


def test_register_of_the_test_is_the_one_ordered() -> None:
    """Guard the tests above: their order would otherwise be parked for the wrong reason."""
    register: Register = known_register()

    assert (register.device_id, register.measurement_task_id) == (DEVICE, TASK)
