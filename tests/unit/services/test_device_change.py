"""Device change: what SAP may change of a known meter, and what names it and stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import event

from mdus.contracts.binding import bind, check, from_json, to_json
from mdus.contracts.catalog import catalog
from mdus.contracts.envelope import Item, parse, render
from mdus.contracts.header import MessageHeader
from mdus.contracts.validation import validate
from mdus.domain.command import Command, CommandKind, CommandStatus, OwnerKind
from mdus.domain.end_device import EndDevice, EndDeviceStatus, device_arrival
from mdus.domain.provisioning import provision
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation
from mdus.messaging.known import Known
from mdus.messaging.outcome import BusinessError, Done, Outcome, Park, Problem, Result
from mdus.services import device_change
from mdus.services.device_change import SERVICE, Policy, Request
from mdus.settings import load_settings
from mdus.storage.session import Database
from tests.unit.services.device_initialization import (
    DEVICE,
    NOW,
    SENDER,
    known_device,
    known_register,
    of_kind,
    only,
    origin,
)

HEAD_ENDS = Policy(head_ends={"AM01": "city", "AM02": "north"})
LOCATION = DeviceLocation(
    sender_system=SENDER,
    device_id=DEVICE,
    installation_point_id="IP1",
    valid_from=date(2026, 1, 1),
    parent_installation_point_id="CO1",
)


def change_request(**facts: Any) -> Request:
    """SAP's change of the device that `known_device` is; says nothing new by itself."""
    told: dict[str, Any] = {
        "origin": origin(),
        "device_id": DEVICE,
        "serial_id": "0000001234",
        "material_id": "LX100-SW",
    }
    return Request(**{**told, **facts})


def decide(request: Request, *loaded: object) -> Outcome:
    return device_change.decide(request, Known([HEAD_ENDS], loaded), now=NOW)  # type: ignore[arg-type]


class TestAChange:
    def test_that_says_nothing_new_changes_nothing(self) -> None:
        assert decide(change_request(start_on=date(2026, 1, 1), ams_id="AM01"), known_device()) == Done()

    def test_replaces_the_manufacturers_data(self) -> None:
        request = change_request(manufacturer_id="M2", manufacturer_part_id="P2", manufacturer_serial_id="S2")
        device = known_device(manufacturer_id="M1", manufacturer_part_id="P1", manufacturer_serial_id="S1")
        assert only(decide(request, device), EndDevice) == replace(
            device, manufacturer_id="M2", manufacturer_part_id="P2", manufacturer_serial_id="S2"
        )

    def test_leaves_what_it_does_not_name(self) -> None:
        device = known_device(valid_to=date(2030, 1, 1), manufacturer_id="M1", manufacturer_part_id="P1")
        changed = only(decide(change_request(manufacturer_part_id="P2", origin=origin(item_id=77)), device), EndDevice)
        assert changed == replace(device, manufacturer_part_id="P2")

    def test_keeps_what_the_field_has_told(self) -> None:
        status = EndDeviceStatus(sender_system=SENDER, device_id=DEVICE, first_heard_at=NOW)
        outcome = decide(change_request(manufacturer_id="M2"), known_device(), status)
        assert of_kind(outcome, EndDeviceStatus) == []

    def test_made_twice_in_a_batch_changes_nothing_the_second_time(self) -> None:
        known = Known([HEAD_ENDS], [known_device()])
        request = change_request(manufacturer_id="M2", ams_id="AM02")
        known.after(device_change.decide(request, known, now=NOW))
        assert device_change.decide(request, known, now=NOW) == Done()


class TestTheMeter:
    def test_that_is_unknown_is_waited_for_and_then_refused(self) -> None:
        outcome = decide(change_request(), known_device(device_id="7"), known_device(sender_system="P12"))
        assert isinstance(outcome, Park)
        assert (outcome.waits_for, outcome.until) == (device_arrival(SENDER, DEVICE), NOW + timedelta(minutes=30))
        assert outcome.otherwise.problem.type_id == "110(MDUS)"

    @pytest.mark.parametrize("serial_id", ["1234", "0000001235"], ids=["zeros left out", "another"])
    def test_with_another_serial_number_is_another_one(self, serial_id: str) -> None:
        with pytest.raises(device_change.SerialNumberDiffers, match="0000001234"):
            decide(change_request(serial_id=serial_id), known_device())

    def test_with_another_material_is_another_one(self) -> None:
        with pytest.raises(device_change.MaterialDiffers, match="LX100-SW"):
            decide(change_request(material_id="LX100"), known_device())


class TestTheEnd:
    @pytest.mark.parametrize(
        ("end_on", "valid_to"),
        [
            pytest.param(date(2027, 6, 30), date(2027, 7, 1), id="the last day"),
            pytest.param(date(9999, 12, 30), date(9999, 12, 31), id="the day before the open end"),
            pytest.param(date(2020, 1, 1), None, id="before the start"),
            pytest.param(date(2025, 12, 31), None, id="the day before the start"),
            pytest.param(date(2026, 1, 1), date(2026, 1, 2), id="the first day"),
        ],
    )
    def test_is_the_last_day_and_not_before_the_first(self, end_on: date, valid_to: date | None) -> None:
        request = change_request(end_on=end_on)
        if valid_to is None:
            with pytest.raises(device_change.DatesReversed):
                decide(request, known_device())
        else:
            assert only(decide(request, known_device()), EndDevice).valid_to == valid_to

    def test_that_is_open_takes_an_end_back(self) -> None:
        request = change_request(end_on=date(9999, 12, 31))
        assert only(decide(request, known_device(valid_to=date(2027, 1, 1))), EndDevice).valid_to is None

    @pytest.mark.parametrize(
        ("end_on", "refused"),
        [
            pytest.param(date(2026, 5, 31), True, id="the day before a register starts"),
            pytest.param(date(2026, 6, 1), False, id="the day a register starts"),
        ],
    )
    def test_leaves_no_register_to_start_later(self, end_on: date, refused: bool) -> None:
        request, register = change_request(end_on=end_on), known_register(valid_from=date(2026, 6, 1))
        if refused:
            with pytest.raises(device_change.RegistersLater):
                decide(request, known_device(), register)
        else:
            assert only(decide(request, known_device(), register), EndDevice).valid_to == date(2026, 6, 2)


class TestTheStart:
    @pytest.mark.parametrize("start_on", [date(2025, 6, 1), date(2026, 6, 1)], ids=["earlier", "later"])
    def test_moves_while_the_meter_is_in_stock(self, start_on: date) -> None:
        elsewhere = replace(LOCATION, device_id="7")
        assert only(decide(change_request(start_on=start_on), known_device(), elsewhere), EndDevice).valid_from == (
            start_on
        )

    @pytest.mark.parametrize("used", [known_register(), LOCATION], ids=["register", "location"])
    def test_is_fixed_once_the_meter_is_used(self, used: Register | DeviceLocation) -> None:
        with pytest.raises(device_change.StartFixed, match="2026-01-01"):
            decide(change_request(start_on=date(2025, 12, 31)), known_device(), used)

    def test_sent_again_does_not_matter_once_the_meter_is_used(self) -> None:
        request = change_request(start_on=date(2026, 1, 1), manufacturer_id="M2")
        assert only(decide(request, known_device(), LOCATION), EndDevice).manufacturer_id == "M2"

    def test_moves_no_later_than_the_end(self) -> None:
        request = change_request(start_on=date(2027, 1, 1))
        with pytest.raises(device_change.DatesReversed):
            decide(request, known_device(valid_to=date(2027, 1, 1)))
        assert only(decide(request, known_device(valid_to=date(2027, 1, 2))), EndDevice).valid_from == request.start_on


class TestTheMeteringSystem:
    def test_moves_the_device_to_its_head_end_which_is_told(self) -> None:
        outcome = decide(change_request(ams_id="AM02"), known_device(), known_register())
        device, command = only(outcome, EndDevice), only(outcome, Command)
        assert (device.ams_id, device.head_end) == ("AM02", "north")
        assert (command.kind, command.head_end, command.serial_id) == (CommandKind.PROVISION, "north", "0000001234")

    @pytest.mark.parametrize(
        ("facts", "ams_id", "taken_back"),
        [
            pytest.param({}, "AM02", True, id="a reading"),
            pytest.param(
                {"owner_kind": OwnerKind.REGISTRY, "kind": CommandKind.PROVISION}, "AM02", True, id="provision"
            ),
            pytest.param({"owner_kind": OwnerKind.ITEM, "kind": CommandKind.SWITCH}, "AM02", False, id="a switch"),
            pytest.param({"status": CommandStatus.ACCEPTED}, "AM02", False, id="asked already"),
            pytest.param({"head_end": "north"}, "AM02", False, id="of the new head end"),
            pytest.param({"device_id": "7"}, "AM02", False, id="of another device"),
            pytest.param({}, "AM01", False, id="no move"),
        ],
    )
    def test_takes_back_what_the_old_head_end_was_not_asked_and_is_asked_for_anew(
        self, facts: dict[str, Any], ams_id: str, taken_back: bool
    ) -> None:
        told: dict[str, Any] = {
            "owner_kind": OwnerKind.DOCUMENT,
            "kind": CommandKind.READ_ON_DEMAND,
            "device_id": DEVICE,
        }
        waiting = Command(
            command_key="waiting",
            owner_key="x",
            sender_system=SENDER,
            serial_id="0000001234",
            purpose="x",
            not_before=NOW,
            expires_at=NOW + timedelta(hours=1),
            **{"head_end": "city", **told, **facts},
        )
        outcome = decide(change_request(ams_id=ams_id, manufacturer_id="M2"), known_device(), waiting)
        commands = of_kind(outcome, Command)
        assert [each.command_key for each in commands] == (["waiting"] if taken_back else [])
        assert all(each.status is CommandStatus.CANCELLED and each.ended_at == NOW for each in commands)

    def test_moves_a_meter_without_registers_untold(self) -> None:
        assert of_kind(decide(change_request(ams_id="AM02"), known_device()), Command) == []

    def test_that_stays_has_nothing_new_told(self) -> None:
        before = provision(known_device(), [known_register()], now=NOW)
        assert before is not None
        command = only(decide(change_request(manufacturer_id="M2"), known_device(), known_register()), Command)
        assert command.command_key == before.command_key
        assert (
            of_kind(decide(change_request(manufacturer_id="M2"), known_device(), known_register(), before), Command)
            == []
        )

    def test_that_comes_back_is_told_to_its_head_end_once_more(self) -> None:
        first = provision(known_device(), [known_register()], now=NOW)
        assert first is not None
        first = replace(first, status=CommandStatus.DONE, ended_at=NOW)
        there = only(decide(change_request(ams_id="AM02"), known_device(), known_register(), first), Command)
        there = replace(there, status=CommandStatus.DONE, ended_at=NOW)
        moved = known_device(head_end="north", ams_id="AM02")
        back = only(decide(change_request(ams_id="AM01"), moved, known_register(), first, there), Command)
        assert (back.head_end, back.command_key == first.command_key) == ("city", False)

    def test_that_no_head_end_stands_for_is_refused(self) -> None:
        with pytest.raises(device_change.SystemUnknown, match="AM03"):
            decide(change_request(ams_id="AM03"), known_device())

    @pytest.mark.parametrize("ams_id", [None, "AM01"], ids=["left out", "the same"])
    def test_that_stays_keeps_the_head_end_whatever_is_configured_now(self, ams_id: str | None) -> None:
        device = known_device(head_end="an earlier one")
        assert decide(change_request(ams_id=ams_id), device) == Done()

    def test_does_not_take_a_serial_number_that_is_in_use_there(self) -> None:
        request = change_request(ams_id="AM02")
        with pytest.raises(device_change.SerialNumberTaken, match="device 7"):
            decide(request, known_device(), known_device(device_id="7", sender_system="P12", head_end="north"))
        other = known_device(device_id="7", head_end="north", serial_id="1234")
        assert only(decide(request, known_device(), other), EndDevice).head_end == "north"


class TestConfirm:
    @pytest.mark.parametrize(
        ("problems", "code"),
        [pytest.param((), "3", id="success"), pytest.param((Problem(type_id="1", note="x" * 300),), "5", id="failure")],
    )
    def test_makes_a_valid_message(self, problems: tuple[Problem, ...], code: str) -> None:
        confirmation = device_change.confirm(change_request(), Result(problems=problems))
        assert (confirmation.device_id, confirmation.log.result_code) == (DEVICE, code)
        header = MessageHeader(created_at=NOW, uuid="0c2f8f0e-2f0c-4d42-9a52-1f3a3c0d7a11")
        element = parse(render(SERVICE.confirmation, header=header, items=[Item(header, confirmation)]))
        assert validate(element, catalog().root(SERVICE.confirmation)).accepted

    def test_has_a_type_id_of_its_own_for_each_error(self) -> None:
        errors = [kind for kind in vars(device_change).values() if isinstance(kind, type)]
        ids = [kind.type_id for kind in errors if issubclass(kind, BusinessError) and kind is not BusinessError]
        assert len(ids) == len(set(ids)) == 8


class TestTheMessage:
    def test_fits_the_contract(self) -> None:
        assert list(check(SERVICE.shape, catalog().root(SERVICE.request))) == []
        assert list(check(SERVICE.confirmation_shape, catalog().root(SERVICE.confirmation))) == []

    @pytest.mark.parametrize(
        ("body", "facts"),
        [
            pytest.param("<ID>42</ID><SerialID>01</SerialID><MaterialID>LX</MaterialID>", {}, id="least"),
            pytest.param(
                """<ID>42</ID><SerialID>01</SerialID><StartDate>2026-01-01</StartDate><EndDate>9999-12-31</EndDate>
                   <MaterialID>LX</MaterialID>
                   <IndividualMaterialManufacturerInformation>
                     <PartyInternalID>M1</PartyInternalID><ManufacturerModelID>LX100</ManufacturerModelID>
                     <PartNumberID>P1</PartNumberID><SerialID>00S1</SerialID>
                   </IndividualMaterialManufacturerInformation>
                   <SmartMeter>
                     <UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID>
                   </SmartMeter>""",
                {
                    "start_on": date(2026, 1, 1),
                    "end_on": date(9999, 12, 31),
                    "manufacturer_id": "M1",
                    "manufacturer_part_id": "P1",
                    "manufacturer_serial_id": "00S1",
                    "ams_id": "AM01",
                },
                id="most",
            ),
        ],
    )
    def test_is_read_as_sap_sends_it(self, body: str, facts: dict[str, Any]) -> None:
        header = "<MessageHeader><CreationDateTime>2026-03-28T12:00:00Z</CreationDateTime></MessageHeader>"
        element = etree.fromstring(
            f'<n0:{SERVICE.request} xmlns:n0="http://sap.com/xi/SAPGlobal20/Global">{header}'
            f"<UtilitiesDevice>{body}</UtilitiesDevice></n0:{SERVICE.request}>"
        )
        assert validate(element, catalog().root(SERVICE.request)).accepted
        request = from_json(SERVICE.shape, to_json(bind(SERVICE.shape, element)))
        assert request == Request(device_id="42", serial_id="01", material_id="LX", **facts)


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    rows = (("city", "AM01"), ("north", "AM02"))
    (tmp_path / "head_ends.toml").write_text(
        "\n".join(
            f'[[head_ends]]\nname = "{name}"\nkind = "rest"\nurl = "http://h"\nams_ids = ["{ams_id}"]'
            for name, ams_id in rows
        )
    )
    opened = Database(database_url, settings=load_settings({"MDUS_CONFIG": str(tmp_path)}))
    yield opened
    opened.close()


def run(database: Database, requests: Sequence[Request]) -> list[Outcome]:
    """Decide a batch as the inbox does: loaded once, each item seeing those before it, saved once."""
    outcomes = []
    with database.begin() as uow:
        known = device_change.load(requests, uow)
        for request in requests:
            outcomes.append(device_change.decide(request, known, now=NOW))
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
        """Store a device with a register for each number; return a change that moves each."""
        names = [f"{number:018d}" for number in numbers]
        with database.begin() as uow:
            uow.save([known_device(device_id=name, serial_id=name) for name in names])
            uow.save([known_register(device_id=name, measurement_task_id=name) for name in names])
        return [change_request(device_id=name, serial_id=name, ams_id="AM02") for name in names]

    def test_is_stored_as_decided_and_decided_again_changes_nothing(self, database: Database) -> None:
        requests = self.store(database, range(3))
        run(database, requests)
        with database.read() as uow:
            devices = uow.load(EndDevice, ("head_end",), [("north",)], lock=False)
            commands = uow.load(Command, ("head_end",), [("north",)], lock=False)
        assert sorted(device.device_id for device in devices) == [request.device_id for request in requests]
        assert sorted(command.device_id for command in commands) == [request.device_id for request in requests]
        assert run(database, requests) == [Done()] * 3

    @pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one after the other"])
    def test_tells_a_head_end_anew_of_a_meter_that_comes_back(self, database: Database, together: bool) -> None:
        (away,) = self.store(database, range(1))
        back = replace(away, ams_id="AM01")
        moves = [back, away, back, away]
        run(database, [replace(away, ams_id="AM02")])
        for requests in [moves] if together else [[each] for each in moves]:
            run(database, requests)
        with database.read() as uow:
            commands = uow.load(Command, ("device_id",), [(away.device_id,)], lock=False)
        assert [command.head_end for command in commands] == ["north", "city", "north", "city", "north"]
        assert [command.status for command in commands] == [CommandStatus.CANCELLED] * 4 + [CommandStatus.READY]

    def test_takes_as_many_statements_for_many_items_as_for_few(self, database: Database) -> None:
        few, many = self.store(database, range(2)), self.store(database, range(2, 202))
        with statements(database) as for_few:
            run(database, few)
        with statements(database) as for_many:
            run(database, many)
        assert len(for_many) == len(for_few) <= 20

    def test_sees_the_serial_number_of_a_device_that_is_not_in_it(self, database: Database) -> None:
        (request,) = self.store(database, range(1))
        with database.begin() as uow:
            uow.save([known_device(device_id="7", serial_id=request.serial_id, head_end="north")])
        with pytest.raises(device_change.SerialNumberTaken):
            run(database, [request])

    def test_sees_that_the_meter_is_installed(self, database: Database) -> None:
        with database.begin() as uow:
            uow.save([known_device(), LOCATION])
        with pytest.raises(device_change.StartFixed):
            run(database, [change_request(start_on=date(2025, 1, 1))])
