"""Device initialization on a real database: bounded statements whatever the batch, and one notification per device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, update

from mdus.domain.command import Command
from mdus.domain.end_device import EndDevice, EndDeviceStatus, RegistrationResend
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation, UsagePoint
from mdus.messaging.outcome import Done, Outcome, Park
from mdus.messaging.patterns import Due, NotificationReceived, RequestConfirmation
from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.services import (
    device_create,
    device_location,
    device_registered,
    point_of_delivery_assigned,
    register_create,
)
from mdus.settings import Settings, load_settings
from mdus.storage.message import ITEM, MESSAGE
from mdus.storage.registration_resend import order_resends
from mdus.storage.session import Database, UnitOfWork
from tests.unit.services.device_initialization import (
    NOW,
    SENDER,
    assignment_request,
    device_request,
    location_request,
    origin,
    register_request,
    sent_assignment,
    sent_location,
    sent_register,
)

Received = RequestConfirmation | NotificationReceived
HEAD_ENDS = """
[[head_ends]]
name = "city"
kind = "rest"
url = "http://city"
ams_ids = ["AM01"]

[[head_ends]]
name = "north"
kind = "rest"
url = "http://north"
ams_ids = ["AM02"]
"""


def settings_of(folder: Path, **environ: str) -> Settings:
    (folder / "head_ends.toml").write_text(HEAD_ENDS)
    return load_settings({"MDUS_CONFIG": str(folder), **environ}, tables=register_create.TABLES)


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    opened = Database(database_url, settings=settings_of(tmp_path))
    yield opened
    opened.close()


def run(database: Database, service: Received, requests: Sequence[Any]) -> list[Outcome]:
    """Decide a batch as the inbox does: loaded once, each item seeing those before it, saved once."""
    outcomes = []
    with database.begin() as uow:
        known = service.load(requests, uow)
        for request in requests:
            outcome = service.decide(request, known, now=NOW)
            known.after(outcome)
            outcomes.append(outcome)
        uow.save([change for outcome in outcomes if isinstance(outcome, Done) for change in outcome.changes])
    return outcomes


def batches(numbers: range) -> list[tuple[Received, list[Any]]]:
    """One batch per service, an item for each device."""
    ids = [f"{number:018d}" for number in numbers]
    return [
        (device_create.SERVICE, [device_request(device_id=name, serial_id=name[-10:]) for name in ids]),
        (
            register_create.SERVICE,
            [register_request(sent_register(measurement_task_id=name), device_id=name) for name in ids],
        ),
        (device_location.SERVICE, [location_request(sent_location(), device_id=name) for name in ids]),
        (
            point_of_delivery_assigned.SERVICE,
            [assignment_request(sent_assignment(), device_id=name, measurement_task_id=name) for name in ids],
        ),
    ]


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
    def test_is_stored_as_decided(self, database: Database) -> None:
        for service, requests in batches(range(3)):
            outcomes = run(database, service, requests)
            saved = [change for outcome in outcomes if isinstance(outcome, Done) for change in outcome.changes]
            assert len(saved) >= 3
            with database.read() as uow:
                for kind in (EndDevice, EndDeviceStatus, Register, DeviceLocation, UsagePoint, Command):
                    wanted = [value for value in saved if isinstance(value, kind)]
                    found = uow.load(kind, kind.KEY, [value.key for value in wanted], lock=False)
                    assert sorted(found, key=repr) == sorted(wanted, key=repr)

    def test_decided_again_changes_nothing(self, database: Database) -> None:
        for service, requests in batches(range(3)):
            run(database, service, requests)
            assert run(database, service, requests) == [Done()] * 3

    def test_takes_as_many_statements_for_many_items_as_for_few(self, database: Database) -> None:
        for few, many in zip(batches(range(2)), batches(range(2, 202)), strict=True):
            with statements(database) as for_few:
                run(database, *few)
            with statements(database) as for_many:
                run(database, *many)
            assert len(for_many) == len(for_few) <= 20

    def test_that_installs_and_removes_a_meter_on_one_day_leaves_it_removed(self, database: Database) -> None:
        run(database, device_create.SERVICE, [device_request()])
        installed = location_request(sent_location(valid_from=NOW.date()))
        run(database, device_location.SERVICE, [installed, location_request()])
        with database.read() as uow:
            assert uow.load(DeviceLocation, ("sender_system",), [(SENDER,)], lock=False) == []

    def test_that_removes_and_installs_a_meter_on_one_day_leaves_it_installed(self, database: Database) -> None:
        run(database, device_create.SERVICE, [device_request()])
        installed = location_request(sent_location(valid_from=NOW.date()))
        run(database, device_location.SERVICE, [installed, location_request(), installed])
        with database.read() as uow:
            (location,) = uow.load(DeviceLocation, ("sender_system",), [(SENDER,)], lock=False)
        assert (location.valid_from, location.valid_to) == (NOW.date(), None)

    def test_sees_the_serial_number_of_a_device_that_is_not_in_it(self, database: Database) -> None:
        run(database, device_create.SERVICE, [device_request()])
        with pytest.raises(device_create.SerialNumberTaken):
            run(database, device_create.SERVICE, [device_request(device_id="7", origin=origin(sender_system="P12"))])

    def test_sees_the_register_number_of_a_device_that_is_not_in_it(self, database: Database) -> None:
        devices = [device_request(), device_request(device_id="7", serial_id="7")]
        run(database, device_create.SERVICE, devices)
        run(database, register_create.SERVICE, [register_request()])
        (outcome,) = run(database, register_create.SERVICE, [register_request(device_id="7")])
        assert isinstance(outcome, Park)
        assert outcome.otherwise.type_id == "119(MDUS)"


def store_confirmation(uow: UnitOfWork, *, status: MessageStatus) -> tuple[int, int]:
    """Store a device create's item and its confirmation in a status; return the ids of both."""
    message = {
        "sender_system": SENDER,
        "service": device_create.SERVICE.name,
        "root": "",
        "bulk": False,
        "created_at": NOW,
        "stored_at": NOW,
    }
    received, confirmation = (
        uow.connection.execute(
            insert(MESSAGE).values(**message, direction=direction, status=state)
        ).inserted_primary_key[0]
        for direction, state in (("in", MessageStatus.COMPLETED), ("out", status))
    )
    item = {"direction": "in", "sender_system": SENDER, "service": device_create.SERVICE.name}
    text = {"ordering_key": "", "content": "", "shape_version": ""}
    made = uow.connection.execute(
        insert(ITEM).values(
            **item,
            **text,
            message_id=received,
            position=1,
            status=ItemStatus.CLOSED,
            confirmation_id=confirmation,
            stored_at=NOW,
        )
    )
    return made.inserted_primary_key[0], confirmation


class Landscape:
    """One device that is due to be registered; a test takes away what makes it so."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.begin() as uow:
            item_id, self.confirmation_id = store_confirmation(uow, status=MessageStatus.DELIVERED)
        run(database, device_create.SERVICE, [device_request(origin=origin(item_id=item_id))])
        run(database, register_create.SERVICE, [register_request()])
        self.hear(NOW)

    def hear(self, at: datetime | None) -> None:
        """Let the head end have heard the meter, or not."""
        with self.database.begin() as uow:
            (status,) = uow.load(EndDeviceStatus, ("sender_system",), [(SENDER,)])
            uow.save([replace(status, first_heard_at=at)])

    def confirm(self, status: MessageStatus) -> None:
        """Let the confirmation of the device's creation be in a status."""
        with self.database.begin() as uow:
            uow.connection.execute(update(MESSAGE).where(MESSAGE.c.id == self.confirmation_id).values(status=status))

    def end_register(self, day: date) -> None:
        """Let the register's validity end."""
        with self.database.begin() as uow:
            (register,) = uow.load(Register, ("sender_system",), [(SENDER,)])
            uow.save([replace(register, valid_to=day)])

    def select(self) -> Sequence[Due]:
        """What is due now, its changes saved as the outbox does."""
        with self.database.begin() as uow:
            due = device_registered.select(uow, now=NOW, limit=10)
            uow.save([change for one in due for change in one.changes])
        return due

    def order_again(self, **which: str) -> int:
        """Let an operator order the notification again; returns of how many devices."""
        with self.database.begin() as uow:
            return order_resends(uow.connection, which, reason="SAP was restored", ordered_by="jo", at=NOW)


@pytest.fixture
def landscape(database: Database) -> Landscape:
    return Landscape(database)


class TestTheRegisteredNotification:
    def test_is_due_once_and_only_once(self, landscape: Landscape) -> None:
        (due,) = landscape.select()
        assert device_registered.build(due.subject) == device_registered.Content(
            device_id=due.key, start_on=date(2026, 1, 1), ams_id="AM01"
        )
        assert landscape.select() == []

    @pytest.mark.parametrize(
        ("status", "due"),
        [
            (MessageStatus.READY, 0),
            (MessageStatus.SENDING, 0),
            (MessageStatus.DEAD, 0),
            (MessageStatus.DELIVERED, 1),
            (MessageStatus.CONFIRMED, 1),
        ],
        ids=lambda value: str(value),
    )
    def test_waits_for_the_confirmation_of_the_creation(
        self, landscape: Landscape, status: MessageStatus, due: int
    ) -> None:
        landscape.confirm(status)
        assert len(landscape.select()) == due

    def test_waits_until_the_head_end_has_heard_the_meter(self, landscape: Landscape) -> None:
        landscape.hear(None)
        assert landscape.select() == []
        landscape.hear(NOW)
        assert len(landscape.select()) == 1

    @pytest.mark.parametrize(
        ("ends_on", "due"),
        [
            pytest.param(NOW.date(), 0, id="ended yesterday"),
            pytest.param(NOW.date() + timedelta(days=1), 1, id="ends today"),
        ],
    )
    def test_waits_for_a_register_that_lasts(self, landscape: Landscape, ends_on: date, due: int) -> None:
        landscape.end_register(ends_on)
        assert len(landscape.select()) == due

    def test_does_not_wait_for_a_register_when_seeing_is_enough(self, landscape: Landscape, tmp_path: Path) -> None:
        landscape.end_register(NOW.date())
        landscape.database.settings = settings_of(tmp_path, MDUS_REGISTERED_WHEN="seen")
        (due,) = landscape.select()
        assert device_registered.build(due.subject).start_on is None


class TestTheNotificationAgain:
    def test_is_due_once_per_order_as_another_message(self, landscape: Landscape) -> None:
        (first,) = landscape.select()
        for attempt in (2, 3):
            assert landscape.order_again(device_id=first.key, sender_system=SENDER) == 1
            (again,) = landscape.select()
            assert (again.key, again.attempt, again.subject) == (first.key, attempt, first.subject)
            assert landscape.select() == []

    def test_is_not_due_before_the_first(self, landscape: Landscape) -> None:
        assert landscape.order_again() == 0
        (first,) = landscape.select()
        assert first.attempt == 1

    def test_ordered_twice_before_it_left_is_one(self, landscape: Landscape) -> None:
        landscape.select()
        assert (landscape.order_again(), landscape.order_again()) == (1, 0)
        assert len(landscape.select()) == 1

    def test_is_due_also_of_a_device_whose_registers_have_ended(self, landscape: Landscape) -> None:
        landscape.select()
        landscape.end_register(NOW.date())
        landscape.order_again()
        (again,) = landscape.select()
        assert device_registered.build(again.subject).start_on is None

    @pytest.mark.parametrize(
        ("which", "count"),
        [
            ({}, 1),
            ({"head_end": "city"}, 1),
            ({"head_end": "north"}, 0),
            ({"sender_system": SENDER}, 1),
            ({"sender_system": "P12"}, 0),
            ({"device_id": "7", "sender_system": SENDER}, 0),
        ],
        ids=str,
    )
    def test_is_ordered_of_the_devices_named(self, landscape: Landscape, which: dict[str, str], count: int) -> None:
        landscape.select()
        assert landscape.order_again(**which) == count

    def test_leaves_who_ordered_it_when_and_why(self, landscape: Landscape) -> None:
        landscape.select()
        landscape.order_again()
        landscape.select()
        with landscape.database.read() as uow:
            (order,) = uow.load(RegistrationResend, ("sender_system",), [(SENDER,)], lock=False)
        assert (order.reason, order.ordered_by, order.ordered_at) == ("SAP was restored", "jo", NOW)
        assert (order.attempt, order.sent_at) == (2, NOW)

    def test_goes_beside_first_ones_within_the_limit(self, landscape: Landscape) -> None:
        landscape.select()
        landscape.order_again()
        second = EndDevice(
            sender_system=SENDER, device_id="8", serial_id="8", material_id="LX", valid_from=NOW.date(), ams_id="AM01"
        )
        register = Register(
            sender_system=SENDER,
            device_id="8",
            measurement_task_id="8",
            valid_from=NOW.date(),
            reading_type="1-0:1.8.0*255",
            unit="KWH",
        )
        with landscape.database.begin() as uow:
            uow.save([second, register, EndDeviceStatus(sender_system=SENDER, device_id="8", first_heard_at=NOW)])
        with landscape.database.begin() as uow:
            (first,) = device_registered.select(uow, now=NOW, limit=1)
        assert (first.key, first.attempt) == ("8", 1)
        assert sorted(one.attempt for one in landscape.select()) == [1, 2]
