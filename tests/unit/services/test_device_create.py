"""Device create: an upsert by SAP's device id in which serial number and material stay."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.messaging.known import Known
from mdus.messaging.outcome import BusinessError, Done, Outcome, Problem, Result
from mdus.services import device_create
from mdus.services.device_create import Policy, Request
from mdus.settings import load_settings
from tests.unit.services.device_initialization import (
    DEVICE,
    HEAD_ENDS,
    NOW,
    SENDER,
    device_request,
    known_device,
    known_register,
    of_kind,
    only,
    origin,
)


def decide(request: Request, *loaded: object, policy: Policy = HEAD_ENDS) -> Outcome:
    return device_create.decide(request, Known([policy], loaded), now=NOW)  # type: ignore[arg-type]


class TestANewDevice:
    def test_is_stored_as_sap_describes_it(self) -> None:
        device = only(decide(device_request(valid_to=date(2030, 1, 1), manufacturer_id="M1")), EndDevice)
        assert device == EndDevice(
            sender_system=SENDER,
            device_id=DEVICE,
            serial_id="0000001234",
            material_id="LX100-SW",
            valid_from=date(2026, 1, 1),
            valid_to=date(2030, 1, 1),
            ams_id="AM01",
            head_end="city",
            manufacturer_id="M1",
            create_item_id=1,
        )

    def test_has_a_status_nothing_is_known_in(self) -> None:
        assert only(decide(device_request()), EndDeviceStatus) == EndDeviceStatus(
            sender_system=SENDER, device_id=DEVICE
        )

    def test_is_not_told_to_the_head_end_before_it_has_registers(self) -> None:
        assert of_kind(decide(device_request()), Command) == []

    def test_holds_the_id_of_another_sender_system_apart(self) -> None:
        other = replace(known_device(), sender_system="P12", serial_id="9")
        assert only(decide(device_request(), other), EndDevice).sender_system == SENDER


class TestAKnownDevice:
    def test_with_the_same_content_changes_nothing(self) -> None:
        request = device_request(origin=origin(item_id=77))
        assert decide(request, known_device()) == Done()

    def test_with_other_dates_is_replaced_and_stays_the_device_first_asked_for(self) -> None:
        request = device_request(valid_to=date(2027, 1, 1), origin=origin(item_id=77))
        device = only(decide(request, known_device()), EndDevice)
        assert (device.valid_to, device.create_item_id) == (date(2027, 1, 1), 1)

    def test_keeps_what_the_field_has_told(self) -> None:
        status = EndDeviceStatus(sender_system=SENDER, device_id=DEVICE, first_heard_at=NOW)
        outcome = decide(device_request(valid_to=date(2027, 1, 1)), known_device(), status)
        assert of_kind(outcome, EndDeviceStatus) == []

    def test_that_moves_to_another_head_end_is_told_to_it(self) -> None:
        before, register = known_device(), known_register()
        command = only(decide(device_request(ams_id="AM02"), before, register), Command)
        assert (command.kind, command.head_end, command.serial_id) == (CommandKind.PROVISION, "north", "0000001234")

    def test_with_another_serial_number_is_refused(self) -> None:
        with pytest.raises(device_create.SerialNumberDiffers, match="0000001234"):
            decide(device_request(serial_id="1234"), known_device())

    def test_with_another_material_is_refused(self) -> None:
        with pytest.raises(device_create.MaterialDiffers, match="LX100-SW"):
            decide(device_request(material_id="LX100"), known_device())

    @pytest.mark.parametrize(
        ("start", "refused"),
        [
            pytest.param(date(2026, 1, 1), False, id="on the day its register starts"),
            pytest.param(date(2026, 1, 2), True, id="a day after its register starts"),
        ],
    )
    def test_starts_no_later_than_its_registers(self, start: date, refused: bool) -> None:
        request = device_request(valid_from=start, manufacturer_id="M1")
        if refused:
            with pytest.raises(device_create.RegistersEarlier):
                decide(request, known_device(), known_register())
        else:
            assert only(decide(request, known_device(), known_register()), EndDevice).valid_from == start


class TestASerialNumber:
    def test_of_another_device_at_the_same_head_end_is_refused(self) -> None:
        holder = known_device(device_id="7")
        with pytest.raises(device_create.SerialNumberTaken, match="device 7"):
            decide(device_request(), holder)

    def test_of_another_sender_systems_device_at_the_same_head_end_is_refused(self) -> None:
        with pytest.raises(device_create.SerialNumberTaken):
            decide(device_request(), known_device(sender_system="P12"))

    def test_of_another_device_at_another_head_end_is_free(self) -> None:
        assert only(decide(device_request(), known_device(device_id="7", head_end="north")), EndDevice)

    def test_without_its_leading_zeros_is_another_one(self) -> None:
        assert only(decide(device_request(), known_device(device_id="7", serial_id="1234")), EndDevice)

    def test_of_a_device_decided_earlier_in_the_batch_is_refused(self) -> None:
        known = Known([HEAD_ENDS])
        known.after(device_create.decide(device_request(), known, now=NOW))
        with pytest.raises(device_create.SerialNumberTaken):
            device_create.decide(device_request(device_id="7"), known, now=NOW)


class TestTheMeteringSystem:
    def test_finds_the_head_end(self) -> None:
        assert only(decide(device_request(ams_id="AM02")), EndDevice).head_end == "north"

    def test_that_no_head_end_stands_for_is_refused(self) -> None:
        with pytest.raises(device_create.SystemUnknown, match="AM03"):
            decide(device_request(ams_id="AM03"))

    def test_left_out_is_the_only_one(self) -> None:
        device = only(decide(device_request(ams_id=None), policy=Policy(head_ends={"AM01": "city"})), EndDevice)
        assert (device.ams_id, device.head_end) == ("AM01", "city")

    @pytest.mark.parametrize(
        "policy", [pytest.param(HEAD_ENDS, id="two"), pytest.param(Policy(head_ends={}), id="none")]
    )
    def test_left_out_is_refused_unless_there_is_exactly_one(self, policy: Policy) -> None:
        with pytest.raises(device_create.SystemNotNamed):
            decide(device_request(ams_id=None), policy=policy)

    def test_is_read_from_the_table_of_head_ends(self, tmp_path: Path) -> None:
        rows = "\n".join(
            f'[[head_ends]]\nname = "{name}"\nkind = "rest"\nurl = "http://h"\nams_ids = {ids}'
            for name, ids in (("city", '["A", "B"]'), ("north", '["C"]'))
        )
        (tmp_path / "head_ends.toml").write_text(rows)
        policy = Policy.of(load_settings({"MDUS_CONFIG": str(tmp_path)}))
        assert policy.head_ends == {"A": "city", "B": "city", "C": "north"}


class TestDates:
    @pytest.mark.parametrize(
        ("end", "refused"),
        [
            pytest.param(date(2026, 1, 1), True, id="ends as it starts"),
            pytest.param(date(2026, 1, 2), False, id="one day"),
            pytest.param(None, False, id="open"),
        ],
    )
    def test_hold_at_least_a_day(self, end: date | None, refused: bool) -> None:
        if refused:
            with pytest.raises(device_create.DatesReversed):
                decide(device_request(valid_to=end))
        else:
            assert only(decide(device_request(valid_to=end)), EndDevice).valid_to == end


class TestConfirm:
    def test_tells_success_with_code_3(self) -> None:
        confirmation = device_create.confirm(device_request(), Result())
        assert (confirmation.device_id, confirmation.log.result_code) == (DEVICE, "3")

    def test_tells_failure_with_code_5_and_the_reason(self) -> None:
        problem = Problem(type_id="101(MDUS)", note="taken")
        log = device_create.confirm(device_request(), Result(problems=(problem,))).log
        assert (log.result_code, log.max_severity) == ("5", "3")
        assert [(item.type_id, item.category, item.note) for item in log.items] == [("101(MDUS)", "PRE", "taken")]

    def test_has_a_type_id_of_its_own_for_each_error(self) -> None:
        errors = [kind for kind in vars(device_create).values() if isinstance(kind, type)]
        ids = [kind.type_id for kind in errors if issubclass(kind, BusinessError) and kind is not BusinessError]
        assert len(ids) == len(set(ids)) == 7
