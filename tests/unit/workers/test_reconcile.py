"""The nightly comparison of SAP's orders, MDUS and head ends: each contradiction a case, each mended one closed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from mdus.domain.command import Command, CommandKind, OwnerKind
from mdus.domain.end_device import EndDevice, EndDeviceStatus, SwitchState
from mdus.domain.end_device_control import ControlCategory, ControlStatus, EndDeviceControl
from mdus.domain.head_end import FieldMeter
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation
from mdus.domain.value import Value
from mdus.messaging.retry import TransientError
from mdus.messaging.status import ItemStatus
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.message import ITEM
from mdus.storage.session import Database
from mdus.workers import reconcile
from tests.unit.workers.scripted import START, rows_of, store

TODAY = date(2026, 3, 28)
NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)
DAY = timedelta(days=1)
KEY = {"sender_system": "P11", "device_id": "000000000000000001"}

DEVICE = EndDevice(**KEY, serial_id="0001", material_id="M", valid_from=date(2026, 1, 1), head_end="north")
STATUS = EndDeviceStatus(
    **KEY,
    first_heard_at=NOW - 30 * DAY,
    last_heard_at=NOW - timedelta(hours=6),
    registered_at=NOW - 29 * DAY,
    switch_state=SwitchState.CONNECTED,
    switch_state_at=NOW - 20 * DAY,
)
REGISTER = Register(
    **KEY, measurement_task_id="0007", valid_from=date(2026, 1, 1), reading_type="1-0:1.8.0*255", unit="KWH"
)
METER = FieldMeter(
    serial_id="0001",
    device_id=DEVICE.device_id,
    provisioned=True,
    reading_types=("1-0:1.8.0*255",),
    first_heard_at=NOW - 30 * DAY,
    last_heard_at=NOW,
    switch_state=SwitchState.CONNECTED,
    has_breaker=True,
)
CONTROL = EndDeviceControl(
    **KEY,
    request_id="D1",
    category=ControlCategory.DISCONNECT,
    planned_at=NOW - 3 * DAY,
    effective_at=NOW - 3 * DAY,
    expires_at=NOW - 3 * DAY + timedelta(hours=1),
    item_id=1,
    status=ControlStatus.EXECUTED,
    processed_at=NOW - 3 * DAY,
    reported_success=True,
)
DOCUMENT = MeterReadingDocument(
    **KEY,
    document_id="MRD1",
    measurement_task_id="0007",
    obis_text="1-0:1.8.0*255",
    reading_type="1-0:1.8.0*255",
    reason_code="01",
    scheduled_on=date(2026, 3, 20),
    time_zone="Europe/Berlin",
    due_at=NOW - 5 * DAY,
    window_from=NOW - 5 * DAY,
    window_until=NOW - DAY,
    next_try_at=NOW - DAY,
    order_item_id=1,
)
SWITCH = Command(
    **KEY,
    command_key="c1",
    owner_kind=OwnerKind.ITEM,
    owner_key="1",
    serial_id="0001",
    head_end="north",
    kind=CommandKind.SWITCH,
    purpose="switch",
    not_before=NOW,
    expires_at=NOW + DAY,
)
IN_STEP: tuple[Value, ...] = (DEVICE, STATUS, REGISTER)


class Field:
    """A head end that tells of its meters, or does not answer."""

    name = "north"
    batch_size = 100

    def __init__(self, *meters: FieldMeter, answers: bool = True) -> None:
        self._meters = meters
        self._answers = answers

    def meters(self) -> Iterator[FieldMeter]:
        if not self._answers:
            raise TransientError("north does not answer")
        return iter(self._meters)


def save(database: Database, *values: Value) -> None:
    with database.begin() as uow:
        uow.save(values)


def cases(database: Database, *, meters: Sequence[FieldMeter] = (METER,), answers: bool = True) -> list[str]:
    """Run the job and return the kinds of the open cases."""
    head_ends: Any = {"north": Field(*meters, answers=answers)}
    reconcile.run(database, head_ends, now=NOW, day=TODAY)
    return [row.kind for row in rows_of(database, EXCEPTION_CASE.table) if row.closed_at is None]


class TestDevices:
    def test_device_in_step_is_no_case(self, database: Database) -> None:
        save(database, *IN_STEP)
        assert cases(database) == []

    def test_device_without_register_is_shown_until_it_has_one(self, database: Database) -> None:
        save(database, DEVICE, STATUS)
        assert cases(database) == ["register_missing"]
        save(database, REGISTER)
        assert cases(database) == []

    @pytest.mark.parametrize(
        ("valid_to", "found"),
        [
            pytest.param(TODAY, ["register_missing"], id="ended today"),
            pytest.param(TODAY + DAY, [], id="ends tomorrow"),
        ],
    )
    def test_register_that_has_ended_does_not_count(self, database: Database, valid_to: date, found: list[str]) -> None:
        save(database, DEVICE, STATUS, replace(REGISTER, valid_to=valid_to))
        assert cases(database) == found

    @pytest.mark.parametrize(
        ("valid_to", "found"),
        [
            pytest.param(TODAY, [], id="removed"),
            pytest.param(TODAY + DAY, ["register_missing"], id="still hangs there"),
            pytest.param(None, ["register_missing"], id="stays there"),
        ],
    )
    def test_device_that_was_removed_needs_no_register(
        self, database: Database, valid_to: date | None, found: list[str]
    ) -> None:
        location = DeviceLocation(
            **KEY,
            installation_point_id="IP1",
            parent_installation_point_id="CO1",
            valid_from=date(2026, 1, 1),
            valid_to=valid_to,
        )
        save(database, DEVICE, STATUS, replace(REGISTER, valid_to=TODAY), location)
        assert cases(database) == found

    @pytest.mark.parametrize(
        ("heard", "found"),
        [
            pytest.param(timedelta(hours=72), ["device_silent"], id="three days ago"),
            pytest.param(timedelta(hours=71), [], id="just before"),
        ],
    )
    def test_silent_device_is_shown(self, database: Database, heard: timedelta, found: list[str]) -> None:
        save(database, DEVICE, REGISTER, replace(STATUS, last_heard_at=NOW - heard))
        assert cases(database) == found

    def test_device_never_heard_is_shown(self, database: Database) -> None:
        save(database, DEVICE, REGISTER, EndDeviceStatus(**KEY))
        assert cases(database) == ["device_never_heard"]

    def test_device_sap_was_not_told_of_is_shown(self, database: Database) -> None:
        save(database, DEVICE, REGISTER, replace(STATUS, registered_at=None))
        assert cases(database) == ["device_never_registered"]

    @pytest.mark.parametrize(
        ("stored_at", "found"),
        [
            pytest.param(NOW - DAY, ["device_never_heard"], id="a day old"),
            pytest.param(NOW - timedelta(hours=23), [], id="younger"),
        ],
    )
    def test_new_device_is_given_time(self, database: Database, stored_at: datetime, found: list[str]) -> None:
        store(database, [("1", "")], uuid="0e3f5a52-7c4e-4d0a-9f56-0a4a1d7f9a01")
        (item,) = rows_of(database, ITEM)
        with database.begin() as uow:
            uow.connection.execute(update(ITEM).values(stored_at=stored_at))
        save(database, replace(DEVICE, create_item_id=item.id), REGISTER, EndDeviceStatus(**KEY))
        assert cases(database) == found

    def test_device_no_longer_in_saps_books_is_left_out(self, database: Database) -> None:
        save(database, replace(DEVICE, valid_to=TODAY), EndDeviceStatus(**KEY))
        assert cases(database) == []

    def test_device_without_status_is_shown(self, database: Database) -> None:
        save(database, DEVICE, REGISTER)
        assert cases(database) == ["status_missing"]


class TestBreakers:
    OPEN = replace(METER, switch_state=SwitchState.DISCONNECTED)

    def test_other_position_at_the_head_end_is_shown(self, database: Database) -> None:
        save(database, *IN_STEP)
        assert cases(database, meters=[self.OPEN]) == ["switch_state_differs"]
        assert cases(database, meters=[METER]) == []

    @pytest.mark.parametrize("state", [SwitchState.UNKNOWN, None], ids=["unknown", "none"])
    def test_position_the_head_end_does_not_know_contradicts_nothing(
        self, database: Database, state: SwitchState | None
    ) -> None:
        save(database, *IN_STEP)
        assert cases(database, meters=[replace(METER, switch_state=state)]) == []

    def test_switch_under_way_is_given_time(self, database: Database) -> None:
        save(database, *IN_STEP, SWITCH)
        assert cases(database, meters=[self.OPEN]) == []

    def test_silent_head_end_leaves_its_cases_as_they_are(self, database: Database) -> None:
        save(database, *IN_STEP)
        cases(database, meters=[self.OPEN])
        assert cases(database, answers=False) == ["switch_state_differs"]

    def test_breaker_that_stands_otherwise_than_sap_was_told_is_shown(self, database: Database) -> None:
        save(database, *IN_STEP, CONTROL)
        assert cases(database) == []  # what is known is older than the report
        save(database, replace(STATUS, switch_state_at=NOW - DAY))
        assert cases(database) == ["switch_report_contradicted"]

    def test_newest_report_counts(self, database: Database) -> None:
        reconnected = replace(CONTROL, request_id="D2", category=ControlCategory.RECONNECT, processed_at=NOW - 2 * DAY)
        save(database, DEVICE, REGISTER, replace(STATUS, switch_state_at=NOW - DAY), CONTROL, reconnected)
        assert cases(database) == []


class TestOrders:
    @pytest.mark.parametrize(
        ("status", "found"),
        [
            pytest.param(ItemStatus.CLOSED, ["connection_order_without_work"], id="closed"),
            pytest.param(ItemStatus.DEAD, ["connection_order_without_work"], id="dead"),
            pytest.param(ItemStatus.AWAITING, [], id="awaiting"),
        ],
    )
    def test_connection_order_nobody_works_on_is_shown(
        self, database: Database, status: ItemStatus, found: list[str]
    ) -> None:
        store(database, [("1", "")], uuid="0e3f5a52-7c4e-4d0a-9f56-0a4a1d7f9a01", now=START)
        (item,) = rows_of(database, ITEM)
        with database.begin() as uow:
            uow.connection.execute(update(ITEM).values(status=status))
        ordered = replace(
            CONTROL, status=ControlStatus.ORDERED, item_id=item.id, processed_at=None, reported_success=None
        )
        save(database, *IN_STEP, ordered)
        assert cases(database) == found

    @pytest.mark.parametrize(
        ("next_try_at", "found"),
        [
            pytest.param(NOW - DAY, ["meter_reading_document_overdue"], id="a day ago"),
            pytest.param(NOW - DAY + timedelta(minutes=1), [], id="later"),
        ],
    )
    def test_reading_order_nobody_looks_at_is_shown(
        self, database: Database, next_try_at: datetime, found: list[str]
    ) -> None:
        save(database, *IN_STEP, replace(DOCUMENT, next_try_at=next_try_at))
        assert cases(database) == found

    @pytest.mark.parametrize(
        ("status", "found"),
        [
            pytest.param(DocumentStatus.READ, ["meter_reading_document_overdue"], id="read"),
            pytest.param(DocumentStatus.CONFIRMED, [], id="confirmed"),
        ],
    )
    def test_result_that_is_never_sent_is_shown(
        self, database: Database, status: DocumentStatus, found: list[str]
    ) -> None:
        save(database, *IN_STEP, replace(DOCUMENT, status=status, measured_at=NOW - 2 * DAY))
        assert cases(database) == found


class TestCases:
    def test_are_bounded_and_the_rest_is_counted(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reconcile, "_CASES", 3)
        devices = [replace(DEVICE, device_id=f"{number:018}", serial_id=f"{number:04}") for number in range(5)]
        statuses = [replace(STATUS, device_id=device.device_id) for device in devices]
        save(database, *devices, *statuses)
        assert cases(database) == ["register_missing"] * 4
        assert rows_of(database, EXCEPTION_CASE.table, case_key="more")[0].note == "2 more than the 3 shown"

    def test_outcome_counts_what_was_looked_at_and_found(self, database: Database) -> None:
        save(database, DEVICE, STATUS)
        head_ends: Any = {"north": Field(METER)}
        outcome = reconcile.run(database, head_ends, now=NOW, day=TODAY)
        assert outcome.startswith("1 devices, 0 registers, 0 connection orders, 0 reading orders: 1 register_missing")
