"""The nightly comparison with a head end's registry, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.provisioning import registry_owner
from mdus.storage.command import COMMAND
from mdus.storage.concentrator import concentrators_of
from mdus.storage.retention import forget_commands
from mdus.workers import registry_sync
from tests.head_ends.field import DEVICE, ENERGY, NOON, SENDER, SERIAL, Field
from tests.head_ends.scripted import ScriptedHeadEnd


def meter(**changes: Any) -> dict[str, Any]:
    return {
        "serial": SERIAL,
        "provisioned": True,
        "device_id": DEVICE,
        "registers": [{"obis": ENERGY}],
        "first_heard_at": "2026-03-27T08:00:00Z",
        "last_heard_at": "2026-03-27T09:00:00Z",
        "has_breaker": True,
        "switch_state": "connected",
    } | changes


def sync(field: Field, *, days: int = 0) -> str:
    now = field.clock.now() + timedelta(days=days)
    return registry_sync.run(field.database, {"city": field.head_end}, now=now, day=now.date())


def provisionings(field: Field) -> list[Command]:
    return field.all(Command, kind=CommandKind.PROVISION)


class TestRun:
    def test_leaves_a_meter_that_is_served_as_it_should_be(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        scripted.meters = [meter()]

        assert sync(field) == (
            "city: 1 devices compared, 0 to be provisioned, 0 missing, 0 unknown, 0 left behind, 0 failed to provision"
        )
        assert provisionings(field) == []
        assert field.all(ExceptionCase) == []

    @pytest.mark.parametrize("lacks", ["device_id", "reading_types"])
    def test_leaves_a_meter_of_which_the_head_end_does_not_tell_all(
        self, field: Field, scripted: ScriptedHeadEnd, monkeypatch: pytest.MonkeyPatch, lacks: str
    ) -> None:
        field.device()
        scripted.meters = [meter()]
        told = [replace(each, **{lacks: None}) for each in field.head_end.meters()]
        monkeypatch.setattr(field.head_end, "meters", lambda: iter(told))

        sync(field)

        assert provisionings(field) == []
        assert field.status_of().has_breaker is True

    def test_knows_a_device_whose_zeros_the_head_end_drops(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        scripted.meters = [meter(device_id=DEVICE.lstrip("0"))]

        sync(field)

        assert provisionings(field) == []
        status = field.status_of()
        assert (status.told_device_id, status.has_breaker) == (DEVICE, True)
        assert status.first_heard_at is not None

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"provisioned": False}, id="not provisioned"),
            pytest.param({"device_id": "000000000000099999"}, id="another device"),
            pytest.param({"registers": []}, id="a register less"),
            pytest.param({"registers": [{"obis": ENERGY}, {"obis": "1-0:2.8.0*255"}]}, id="a register more"),
        ],
    )
    def test_provisions_a_meter_that_differs(
        self, field: Field, scripted: ScriptedHeadEnd, changes: dict[str, Any]
    ) -> None:
        field.device()
        scripted.meters = [meter(**changes)]

        sync(field)

        (command,) = provisionings(field)
        assert (command.serial_id, command.head_end, command.status) == (SERIAL, "city", CommandStatus.READY)

    def test_notes_the_concentrators_its_meters_are_behind(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        scripted.meters = [meter(concentrator="c-7"), meter(serial="77", concentrator="c-8"), meter(serial="78")]
        sync(field)

        with field.database.read() as uow:
            assert concentrators_of(uow.connection, "city", [SERIAL, "77", "78"]) == {SERIAL: "c-7", "77": "c-8"}

    def test_provisions_once_while_the_command_is_under_way(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        scripted.meters = [meter(provisioned=False)]

        sync(field)
        sync(field, days=1)

        assert len(provisionings(field)) == 1

    def test_provisions_while_gaps_of_the_meter_are_being_read(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        field.command(CommandKind.READ_INTERVALS, owner_key=registry_owner(SENDER, DEVICE))
        scripted.meters = [meter(provisioned=False)]

        sync(field)

        assert len(provisionings(field)) == 1

    def test_provisions_again_what_failed_and_opens_a_case(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        scripted.meters = [meter(provisioned=False)]
        sync(field)
        scripted.script = ["reject BUSY"]
        field.worker.turn()

        sync(field, days=1)

        assert [command.status for command in provisionings(field)] == [CommandStatus.FAILED, CommandStatus.READY]
        (case,) = field.all(ExceptionCase)
        assert case.kind == registry_sync.FAILED
        assert "BUSY" in case.note

    def test_asks_nothing_for_a_device_without_registers(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device(registers=False)
        scripted.meters = [meter(provisioned=False)]

        sync(field)

        assert provisionings(field) == []

    def test_shows_a_device_the_head_end_does_not_have_until_it_has(
        self, field: Field, scripted: ScriptedHeadEnd
    ) -> None:
        field.device()
        sync(field)
        (case,) = field.all(ExceptionCase)
        assert (case.kind, case.case_key, case.closed_at) == (registry_sync.MISSING, f"city/{SERIAL}", None)

        scripted.meters = [meter()]
        sync(field, days=1)

        (case,) = field.all(ExceptionCase)
        assert case.opened_at == NOON
        assert case.closed_at == NOON + timedelta(days=1)

    def test_passes_over_a_device_that_is_no_longer_valid(self, field: Field) -> None:
        device = field.device()
        field.save(replace(device, valid_to=NOON.date()))

        assert sync(field).startswith("city: 0 devices compared")
        assert sync(field, days=-1).startswith("city: 1 devices compared")

    def test_shows_a_meter_sap_never_told_of(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        scripted.meters = [meter(serial="0000005678"), meter(serial="0000009999", provisioned=False)]

        sync(field)

        assert [case.case_key for case in field.all(ExceptionCase)] == ["city/0000005678"]

    @pytest.mark.parametrize(
        ("called", "was_asked", "kind"),
        [
            pytest.param(DEVICE, False, registry_sync.LEFT_BEHIND, id="it names the device"),
            pytest.param(DEVICE.lstrip("0"), False, registry_sync.LEFT_BEHIND, id="without its zeros"),
            pytest.param(None, True, registry_sync.LEFT_BEHIND, id="it was asked about it"),
            pytest.param(None, False, registry_sync.UNKNOWN, id="nothing but the serial number is the same"),
            pytest.param("000000000000099999", True, registry_sync.UNKNOWN, id="it names another device"),
        ],
    )
    def test_shows_a_meter_that_moved_and_is_still_served(
        self, field: Field, scripted: ScriptedHeadEnd, called: str | None, was_asked: bool, kind: str
    ) -> None:
        device = field.device()
        if was_asked:
            field.command(CommandKind.READ_ON_DEMAND)
        field.save(replace(device, head_end="village"))
        scripted.meters = [meter(device_id=called)]

        said = sync(field)

        (case,) = field.all(ExceptionCase)
        assert (case.kind, case.case_key) == (kind, f"city/{SERIAL}")
        is_known = kind == registry_sync.LEFT_BEHIND
        assert ("1 left behind" in said, "SAP never told of it" in case.note) == (is_known, not is_known)

    def test_shows_a_meter_that_moved_though_its_commands_were_forgotten(
        self, field: Field, scripted: ScriptedHeadEnd
    ) -> None:
        device = field.device()
        field.command(CommandKind.PROVISION)
        field.command(CommandKind.READ_ON_DEMAND)
        long_ago = field.clock.now()
        with field.database.begin() as uow:
            uow.connection.execute(update(COMMAND.table).values(status=CommandStatus.DONE, ended_at=long_ago))
        field.save(replace(device, head_end="village"))
        with field.database.begin() as uow:
            before = long_ago + timedelta(days=1)
            forgotten = forget_commands(uow.connection, before=before, after=0, upto=1000, limit=1000)
        scripted.meters = [meter(device_id=None)]

        sync(field)

        assert forgotten == (1, None)
        (case,) = field.all(ExceptionCase)
        assert case.kind == registry_sync.LEFT_BEHIND

    def test_shows_it_until_it_is_served_no_more(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        device = field.device()
        field.save(replace(device, head_end="village"))
        scripted.meters = [meter()]
        sync(field)
        (case,) = field.all(ExceptionCase)
        assert "village does by what SAP told" in case.note

        scripted.meters = [meter(provisioned=False)]
        sync(field, days=1)
        (case,) = field.all(ExceptionCase)
        assert case.closed_at == NOON + timedelta(days=1)

    def test_makes_lost_signs_of_life_good(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        scripted.meters = [meter(has_breaker=False)]

        sync(field)

        status = field.status_of()
        assert status.first_heard_at == NOON.replace(hour=8)
        assert status.last_heard_at == NOON.replace(hour=9)
        assert status.has_breaker is False

    def test_believes_no_signs_of_life_of_another_device(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        scripted.meters = [meter(device_id="000000000000099999")]

        sync(field)

        assert field.status_of().first_heard_at is None

    def test_names_a_head_end_that_does_not_answer_and_shows_nothing_for_it(
        self, field: Field, scripted: ScriptedHeadEnd
    ) -> None:
        field.device()
        scripted.down = True

        assert "city answered HTTP 503" in sync(field)
        assert field.all(ExceptionCase) == []
