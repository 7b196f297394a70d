"""Readings a person has made: kept at their local date and time, for the register of that date, once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import event

from mdus.contracts.binding import END_OF_DAY, bind, check, from_json, to_json
from mdus.contracts.catalog import catalog
from mdus.contracts.envelope import Item, parse, render
from mdus.contracts.header import MessageHeader
from mdus.contracts.validation import validate
from mdus.domain.command import Command, CommandStatus
from mdus.domain.end_device import device_arrival
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_collection import READING_MISSING, document_owner, read_command
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.meter_reading_selection import ReadingPolicies, ReadingPolicy
from mdus.domain.reading import MeterReading, ReadingOrigin
from mdus.domain.register import Register, register_arrival
from mdus.messaging.addressed_device import SystemDiffers
from mdus.messaging.known import Known
from mdus.messaging.outcome import BusinessError, Done, Outcome, Park, Problem, Result
from mdus.services import meter_reading_result_received as service
from mdus.services.meter_reading_result_received import SERVICE, Policy, Request
from mdus.settings import load_settings
from mdus.storage.session import Database
from tests.unit.services.device_initialization import (
    DEVICE,
    NOW,
    SENDER,
    TASK,
    known_device,
    known_register,
    of_kind,
    only,
    origin,
)

DOCUMENT = "00000000000000000007"
TODAY = date(2026, 3, 28)
POLICIES = ReadingPolicies(by_reason={"8": ReadingPolicy(), "12": ReadingPolicy(removal=True)})


def reading(**facts: Any) -> Request:
    """SAP's reading of the register that `known_register` is, made today at 10:15 in Berlin at its installation."""
    told: dict[str, Any] = {
        "origin": origin(item_id=5, uuid="U1", id="I1"),
        "document_id": DOCUMENT,
        "reason_code": "08",
        "measurement_task_id": TASK,
        "device_id": DEVICE,
        "ams_id": "AM01",
        "read_on": TODAY,
        "read_time": time(10, 15),
        "type_code": "01",
        "value": Decimal("1234.56"),
    }
    return Request(**{**told, **facts})


def decide(request: Request, *loaded: object, register: Register | None = None) -> Outcome:
    known = Known([Policy(), POLICIES, known_device(), register or known_register()], loaded)  # type: ignore[arg-type]
    return service.decide(request, known, now=NOW)


def ordered(**facts: Any) -> MeterReadingDocument:
    """The order that SAP has made under the document, still to be read."""
    document = only(decide(reading()), MeterReadingDocument)
    told: dict[str, Any] = {
        "status": DocumentStatus.ORDERED,
        "obis_text": "1-0:1.8.0",
        "value": None,
        "unit": None,
        "measured_at": None,
        "next_try_at": NOW,
        "order_item_id": 3,
    }
    return replace(document, **{**told, **facts})  # type: ignore[no-any-return]


class TestAReading:
    def test_is_kept_as_one_made_by_a_person(self) -> None:
        outcome = decide(reading())
        assert only(outcome, MeterReading) == MeterReading(
            sender_system=SENDER,
            device_id=DEVICE,
            reading_type="1-0:1.8.0*255",
            measured_at=datetime(2026, 3, 28, 9, 15, tzinfo=UTC),
            value=Decimal("1234.56"),
            unit="KWH",
            origin=ReadingOrigin.MANUAL,
            received_at=NOW,
        )
        document = only(outcome, MeterReadingDocument)
        assert (document.status, document.value, document.order_item_id) == (
            DocumentStatus.ENTERED,
            Decimal("1234.56"),
            5,
        )
        assert document.reading_key == only(outcome, MeterReading).key

    def test_of_test_data_is_none_and_ends_no_order(self) -> None:
        for stored in ((), (ordered(),)):
            with pytest.raises(BusinessError, match="test data") as refused:
                decide(reading(origin=origin(item_id=5, test_data=True)), *stored)
            assert refused.value.problem.type_id == "310(MDUS)"

    def test_that_sap_has_calculated_is_none_of_the_meter(self) -> None:
        outcome = decide(reading(type_code="2"))
        assert of_kind(outcome, MeterReading) == []
        assert only(outcome, MeterReadingDocument).status is DocumentStatus.ENTERED

    @pytest.mark.parametrize(
        ("zone", "read_on", "read_time", "measured_at"),
        [
            pytest.param("Europe/Berlin", TODAY, time(0), datetime(2026, 3, 27, 23, tzinfo=UTC), id="midnight"),
            pytest.param("Asia/Kolkata", TODAY, time(0), datetime(2026, 3, 27, 18, 30, tzinfo=UTC), id="east"),
            pytest.param("America/New_York", TODAY, time(1), datetime(2026, 3, 28, 5, tzinfo=UTC), id="west"),
            pytest.param("Europe/Berlin", TODAY, END_OF_DAY, datetime(2026, 3, 28, 23, tzinfo=UTC), id="24:00:00"),
            pytest.param(
                "Europe/Berlin",
                TODAY,
                time(23, 59, 59),
                datetime(2026, 3, 28, 22, 59, 59, tzinfo=UTC),
                id="last second",
            ),
            pytest.param(
                "Europe/Berlin",
                date(2025, 10, 26),
                time(2, 30),
                datetime(2025, 10, 26, 0, 30, tzinfo=UTC),
                id="the first of two",
            ),
        ],
    )
    def test_counts_at_its_local_time(self, zone: str, read_on: date, read_time: time, measured_at: datetime) -> None:
        request = reading(origin=origin(zone=zone), read_on=read_on, read_time=read_time)
        known = Known([Policy(), POLICIES, known_device(valid_from=date(2025, 1, 1))], [])
        known = known.after(Done(changes=(known_register(valid_from=date(2025, 1, 1)),)))
        assert only(service.decide(request, known, now=NOW), MeterReading).measured_at == measured_at


class TestTheDate:
    @pytest.mark.parametrize(
        ("read_on", "error"),
        [
            pytest.param(date(2025, 12, 31), service.ReadingTooEarly, id="the day before the device"),
            pytest.param(date(2026, 1, 1), None, id="the first day of the device"),
            pytest.param(TODAY, None, id="today"),
            pytest.param(date(2026, 3, 29), service.ReadingInFuture, id="tomorrow"),
        ],
    )
    def test_is_between_the_device_and_today(self, read_on: date, error: type[BusinessError] | None) -> None:
        if error is None:
            assert only(decide(reading(read_on=read_on)), MeterReading)
        else:
            with pytest.raises(error):
                decide(reading(read_on=read_on))

    def test_is_that_of_the_senders_calendar_not_of_ours(self) -> None:
        # 23:30 UTC on the 28th is the 29th in Berlin.
        late = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)
        known = Known([Policy(), POLICIES, known_device(), known_register()])
        tomorrow = reading(read_on=date(2026, 3, 29), read_time=time(1))
        assert only(service.decide(tomorrow, known, now=late), MeterReading)
        with pytest.raises(service.ReadingInFuture):
            service.decide(replace(tomorrow, origin=origin(zone="America/New_York")), known, now=late)

    @pytest.mark.parametrize(
        ("read_on", "reason", "taken"),
        [
            pytest.param(date(2026, 3, 9), "08", False, id="the day before"),
            pytest.param(date(2026, 3, 10), "08", True, id="the first day"),
            pytest.param(date(2026, 3, 19), "08", True, id="the last day"),
            pytest.param(date(2026, 3, 20), "08", False, id="the day of the removal, at an installation"),
            pytest.param(date(2026, 3, 20), "12", True, id="the day of the removal, at a removal"),
            pytest.param(date(2026, 3, 21), "12", False, id="the day after the removal"),
        ],
    )
    def test_finds_the_register_valid_then(self, read_on: date, reason: str, taken: bool) -> None:
        register = known_register(valid_from=date(2026, 3, 10), valid_to=date(2026, 3, 20))
        outcome = decide(reading(read_on=read_on, reason_code=reason), register=register)
        if taken:
            assert only(outcome, MeterReading)
        else:
            assert isinstance(outcome, Park)
            assert outcome.waits_for == register_arrival(SENDER, DEVICE, TASK)
            assert outcome.otherwise.type_id == "202(MDUS)"

    @pytest.mark.parametrize(("reason", "kind"), [("08", "new"), ("12", "old")])
    def test_finds_the_one_that_comes_or_the_one_that_goes(self, reason: str, kind: str) -> None:
        old = known_register(valid_to=TODAY, reading_type="old")
        new = known_register(valid_from=TODAY, reading_type="new")
        assert only(decide(reading(reason_code=reason), old, register=new), MeterReading).reading_type == kind


class TestTheValue:
    @pytest.mark.parametrize(
        ("value", "fits"),
        [
            pytest.param("0", True, id="nothing"),
            pytest.param("-0.01", False, id="below nothing"),
            pytest.param("999999.99", True, id="all digits"),
            pytest.param("1000000", False, id="a digit more"),
            pytest.param("1.230000000", True, id="zeros behind the decimals"),
            pytest.param("1.231", False, id="a decimal more"),
        ],
    )
    def test_is_one_the_register_can_show(self, value: str, fits: bool) -> None:
        request = reading(value=Decimal(value))
        if fits:
            assert only(decide(request), MeterReading).value == Decimal(value)
        else:
            with pytest.raises(service.ValueImpossible):
                decide(request)

    def test_has_any_number_of_digits_where_they_are_not_told(self) -> None:
        register = known_register(total_digits=None)
        assert only(decide(reading(value=Decimal("999999999999999.99")), register=register), MeterReading)


class TestWhatIsNotThereYet:
    def test_is_the_device(self) -> None:
        outcome = service.decide(reading(), Known([Policy(), POLICIES]), now=NOW)
        assert isinstance(outcome, Park)
        assert (outcome.waits_for, outcome.until) == (device_arrival(SENDER, DEVICE), NOW + timedelta(minutes=30))
        assert outcome.otherwise.type_id == "110(MDUS)"

    def test_is_the_register(self) -> None:
        outcome = decide(reading(measurement_task_id="9"))
        assert isinstance(outcome, Park)
        assert outcome.waits_for == register_arrival(SENDER, DEVICE, "9")
        assert outcome.otherwise.type_id == "201(MDUS)"


class TestWhatIsRefused:
    def test_is_another_metering_system(self) -> None:
        with pytest.raises(SystemDiffers, match="AM01"):
            decide(reading(ams_id="AM02"))

    @pytest.mark.parametrize(
        ("reason", "taken"),
        [("08", True), ("8", True), ("21", True), ("12", True), ("22", True), ("01", False), ("80", False)],
    )
    def test_is_a_reason_that_is_not_set(self, reason: str, taken: bool) -> None:
        if taken:
            assert only(decide(reading(reason_code=reason)), MeterReading)
        else:
            with pytest.raises(service.ReasonNotSupported, match=reason):
                decide(reading(reason_code=reason))

    def test_has_a_type_id_of_its_own_for_each_error(self) -> None:
        errors = [kind for kind in vars(service).values() if isinstance(kind, type)]
        ids = [kind.type_id for kind in errors if issubclass(kind, BusinessError) and kind is not BusinessError]
        assert len(ids) == len(set(ids)) == 7


class TestTheSameDocument:
    def entered(self, **facts: Any) -> MeterReadingDocument:
        return replace(only(decide(reading()), MeterReadingDocument), **facts)  # type: ignore[no-any-return]

    @pytest.mark.parametrize("facts", [{}, {"value": Decimal("1234.5600")}, {"reason_code": "8"}], ids=str)
    def test_with_the_same_reading_changes_nothing(self, facts: dict[str, Any]) -> None:
        assert decide(reading(**facts), self.entered()) == Done()

    @pytest.mark.parametrize(
        "facts",
        [
            {"value": Decimal("1234.57")},
            {"read_time": time(10, 16)},
            {"read_on": date(2026, 3, 27)},
            {"device_id": "7"},
            {"measurement_task_id": "9"},
            {"reason_code": "12"},
        ],
        ids=str,
    )
    def test_with_another_reading_is_refused(self, facts: dict[str, Any]) -> None:
        with pytest.raises(service.DocumentDiffers):
            decide(reading(**facts), self.entered())

    def test_of_another_sender_system_is_another_document(self) -> None:
        foreign = self.entered(sender_system="P12", value=Decimal(1))
        assert only(decide(reading(), foreign), MeterReadingDocument).sender_system == SENDER


class TestAnOrder:
    @pytest.mark.parametrize(
        "status", [status for status in DocumentStatus if status is not DocumentStatus.ENTERED], ids=str
    )
    def test_of_the_same_document_ends_with_the_reading(self, status: DocumentStatus) -> None:
        order = ordered(status=status)
        document = only(decide(reading(), order), MeterReadingDocument)
        assert document == replace(
            order,
            status=DocumentStatus.ENTERED,
            next_try_at=None,
            value=Decimal("1234.56"),
            unit="KWH",
            measured_at=datetime(2026, 3, 28, 9, 15, tzinfo=UTC),
        )

    @pytest.mark.parametrize(
        ("status", "taken_back"), [(CommandStatus.READY, True), (CommandStatus.ACCEPTED, False)], ids=str
    )
    def test_wants_nothing_more_of_the_head_end(self, status: CommandStatus, taken_back: bool) -> None:
        made = read_command(ordered(), known_device(), attempt=1, not_before=NOW, lasts=timedelta(hours=1))
        assert made is not None
        outcome = decide(reading(), ordered(), replace(made, status=status))
        assert [command.status for command in of_kind(outcome, Command)] == [CommandStatus.CANCELLED] * taken_back

    def test_has_its_cases_closed(self) -> None:
        key = document_owner(ordered())
        case = ExceptionCase(kind=READING_MISSING, case_key=key, opened_at=NOW, note="none")
        outcome = decide(reading(), ordered(status=DocumentStatus.FAILED), case)
        assert only(outcome, ExceptionCase) == replace(case, closed_at=NOW)
        closed = replace(case, closed_at=NOW - timedelta(days=1))
        assert of_kind(decide(reading(), ordered(), closed), ExceptionCase) == []

    @pytest.mark.parametrize(
        "facts", [{"device_id": "7"}, {"measurement_task_id": "9"}, {"reason_code": "01"}], ids=str
    )
    def test_for_something_else_is_not_what_the_reading_is_for(self, facts: dict[str, Any]) -> None:
        with pytest.raises(service.DocumentDiffers):
            decide(reading(), ordered(**facts))


class TestTheSettings:
    def test_say_the_policy(self) -> None:
        assert Policy.of(load_settings({})) == Policy()
        settings = load_settings({"MDUS_READING__MANUAL_REASONS": "10", "MDUS_READING__CALCULATED_TYPE_CODES": "03,04"})
        assert Policy.of(settings) == Policy(reasons=frozenset({"10"}), calculated=frozenset({"3", "4"}))

    def test_say_which_reasons_are_removals(self) -> None:
        policies = ReadingPolicies.of(load_settings({})).by_reason
        assert {code for code, policy in policies.items() if policy.removal} == {"12", "22"}


class TestTheMessage:
    def test_fits_the_contract(self) -> None:
        assert list(check(SERVICE.shape, catalog().root(SERVICE.request))) == []
        assert list(check(SERVICE.confirmation_shape, catalog().root(SERVICE.confirmation))) == []

    @pytest.mark.parametrize(
        "actual",
        [
            "",
            (
                "<ActualMeterReadingDate>2026-03-27</ActualMeterReadingDate>"
                "<ActualMeterReadingTime>08:00:00</ActualMeterReadingTime>"
            ),
        ],
        ids=["least", "most"],
    )
    def test_is_read_as_sap_sends_it(self, actual: str) -> None:
        head = "<MessageHeader><CreationDateTime>2026-03-28T12:00:00Z</CreationDateTime></MessageHeader>"
        body = f"""
            <MeterReadingDocument><ID>{DOCUMENT}</ID><MeterReadingReasonCode>08</MeterReadingReasonCode>
              <UtilitiesMeasurementTask><UtilitiesMeasurementTaskID>{TASK}</UtilitiesMeasurementTaskID>
                <UtilitiesDevice><UtilitiesDeviceID>{DEVICE}</UtilitiesDeviceID>
                  <SmartMeter><UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID></SmartMeter>
                </UtilitiesDevice></UtilitiesMeasurementTask>
              <Result><MeterReadingDate>2026-03-28</MeterReadingDate><MeterReadingTime>24:00:00</MeterReadingTime>{actual}
                <MeterReadingTypeCode>01</MeterReadingTypeCode>
                <MeterReadingResultValue>1234.5600000000</MeterReadingResultValue></Result>
            </MeterReadingDocument>"""
        element = etree.fromstring(
            f'<n0:{SERVICE.request} xmlns:n0="http://sap.com/xi/SAPGlobal20/Global">{head}{body}</n0:{SERVICE.request}>'
        )
        verdict = validate(element, catalog().root(SERVICE.request))
        assert verdict.accepted, verdict.violations
        assert from_json(SERVICE.shape, to_json(bind(SERVICE.shape, element))) == reading(read_time=END_OF_DAY)

    @pytest.mark.parametrize("problems", [(), (Problem(type_id="242(MDUS)", note="x" * 300),)], ids=["done", "failed"])
    def test_is_answered_by_a_valid_confirmation(self, problems: tuple[Problem, ...]) -> None:
        confirmation = service.confirm(reading(), Result(problems=problems))
        header = MessageHeader(created_at=NOW, uuid="0c2f8f0e-2f0c-4d42-9a52-1f3a3c0d7a11")
        element = parse(render(SERVICE.confirmation, header=header, items=[Item(header, confirmation)]))
        assert validate(element, catalog().root(SERVICE.confirmation)).accepted


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url, settings=load_settings({}))
    yield opened
    opened.close()


def run(database: Database, requests: Sequence[Request]) -> list[Outcome]:
    """Decide a batch as the inbox does: loaded once, each item seeing those before it, saved once."""
    outcomes = []
    with database.begin() as uow:
        known = service.load(requests, uow)
        for request in requests:
            outcomes.append(service.decide(request, known, now=NOW))
            known.after(outcomes[-1])
        uow.save([change for outcome in outcomes if isinstance(outcome, Done) for change in outcome.changes])
    return outcomes


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """Every statement sent while the block runs."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(database.engine, "before_cursor_execute", note)


class TestABatch:
    def store(self, database: Database, numbers: range) -> list[Request]:
        """Store a device with a register, an order and its command for each number; return a reading of each."""
        names = [f"{number:018d}" for number in numbers]
        with database.begin() as uow:
            for name in names:
                order = ordered(document_id=name, device_id=name, measurement_task_id=name)
                device = known_device(device_id=name, serial_id=name)
                command = read_command(order, device, attempt=1, not_before=NOW, lasts=timedelta(hours=1))
                assert command is not None
                uow.save([device, known_register(device_id=name, measurement_task_id=name), order, command])
        return [reading(document_id=name, device_id=name, measurement_task_id=name) for name in names]

    def test_is_stored_as_decided_and_decided_again_changes_nothing(self, database: Database) -> None:
        requests = self.store(database, range(3))
        run(database, requests)
        with database.read() as uow:
            by = ("sender_system",)
            readings = uow.load(MeterReading, by, [(SENDER,)], lock=False)
            documents = uow.load(MeterReadingDocument, by, [(SENDER,)], lock=False)
            commands = uow.load(Command, by, [(SENDER,)], lock=False)
        assert [one.origin for one in readings] == [ReadingOrigin.MANUAL] * 3
        assert [one.status for one in documents] == [DocumentStatus.ENTERED] * 3
        assert [one.status for one in commands] == [CommandStatus.CANCELLED] * 3
        assert run(database, requests) == [Done()] * 3

    def test_takes_as_many_statements_for_many_items_as_for_few(self, database: Database) -> None:
        few, many = self.store(database, range(2)), self.store(database, range(2, 42))
        with statements(database) as for_few:
            run(database, few)
        with statements(database) as for_many:
            run(database, many)
        assert len(for_many) == len(for_few) <= 20
