"""What never leaves for a head end: commands it does not take, and what a device cannot do."""

from __future__ import annotations

import pytest

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.end_device_control import ControlCategory, ControlStatus
from mdus.settings import load_settings
from tests.head_ends.field import Field
from tests.head_ends.scripted import ScriptedHeadEnd

READING = frozenset({CommandKind.READ_REGISTERS, CommandKind.READ_ON_DEMAND})


@pytest.fixture
def field(field: Field) -> Field:
    field.device()
    return field


def configure(field: Field, **denied: str) -> None:
    """Let the installation deny capabilities to the models that begin as said, as after a restart."""
    environ = {}
    for capability, material_id in denied.items():
        environ[f"MDUS_CAPABILITIES__{capability.upper()}__MATERIAL_ID"] = f"{material_id}*"
        environ[f"MDUS_CAPABILITIES__{capability.upper()}__{capability.upper()}"] = "false"
    field.database.settings = load_settings(environ)


def ending(field: Field, command: Command) -> tuple[CommandStatus, str | None]:
    stored = field.stored(command)
    return stored.status, stored.result_code


class TestAHeadEnd:
    @pytest.mark.parametrize("kind", [kind for kind in CommandKind if kind is not CommandKind.SWITCH])
    def test_is_never_given_commands_of_a_kind_it_does_not_take(
        self, field: Field, scripted: ScriptedHeadEnd, kind: CommandKind
    ) -> None:
        worker = field.new_worker(takes=frozenset(CommandKind) - {kind})
        command = field.command(kind)

        worker.turn()

        assert ending(field, command) == (CommandStatus.FAILED, "NOT_CAPABLE")
        assert field.stored(command).result_text == f"The head end city takes no commands of the kind {kind.value}"
        assert scripted.submitted == []

    def test_is_given_those_it_takes(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        worker = field.new_worker(takes=READING)
        command = field.command(CommandKind.READ_ON_DEMAND)

        worker.turn()

        assert ending(field, command) == (CommandStatus.ACCEPTED, None)
        assert len(scripted.submitted) == 1

    @pytest.mark.parametrize("category", list(ControlCategory))
    def test_without_switches_is_never_given_one(
        self, field: Field, scripted: ScriptedHeadEnd, category: ControlCategory
    ) -> None:
        worker = field.new_worker(takes=READING)
        _, command = field.switch(category)

        worker.turn()

        assert ending(field, command) == (CommandStatus.FAILED, "NOT_CAPABLE")
        assert scripted.submitted == []

    def test_without_switches_hides_no_better_reason(self, field: Field) -> None:
        worker = field.new_worker(takes=READING)
        _, command = field.switch(status=ControlStatus.CANCELLED)

        worker.turn()

        assert ending(field, command) == (CommandStatus.FAILED, "CANCELLED")


class TestADevice:
    @pytest.mark.parametrize(
        ("kind", "capability"),
        [
            (CommandKind.READ_ON_DEMAND, "on_demand_reading"),
            (CommandKind.READ_ON_DEMAND, "remote_reading"),
            (CommandKind.READ_REGISTERS, "remote_reading"),
            (CommandKind.READ_INTERVALS, "load_profile"),
        ],
    )
    def test_that_cannot_be_read_is_not_asked(
        self, field: Field, scripted: ScriptedHeadEnd, kind: CommandKind, capability: str
    ) -> None:
        configure(field, **{capability: "LX"})
        command = field.command(kind)

        field.worker.turn()

        assert ending(field, command) == (CommandStatus.FAILED, "NOT_CAPABLE")
        assert scripted.submitted == []

    @pytest.mark.parametrize(
        ("category", "capability", "leaves"),
        [
            pytest.param(ControlCategory.DISCONNECT, "disconnect", False, id="disconnection"),
            pytest.param(ControlCategory.DISCONNECT, "reconnect", True, id="disconnection, only reconnections denied"),
            pytest.param(ControlCategory.RECONNECT, "reconnect", False, id="reconnection"),
            pytest.param(ControlCategory.RECONNECT, "disconnect", True, id="reconnection, only disconnections denied"),
        ],
    )
    def test_is_not_switched_as_it_cannot_be(
        self, field: Field, scripted: ScriptedHeadEnd, category: ControlCategory, capability: str, leaves: bool
    ) -> None:
        configure(field, **{capability: "LX"})
        field.switch(category)

        field.worker.turn()

        assert len(scripted.submitted) == int(leaves)

    def test_of_another_model_is(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        configure(field, remote_reading="GX", disconnect="GX")
        field.command(CommandKind.READ_REGISTERS)
        field.switch()

        while field.worker.turn():
            pass

        assert [body["kind"] for body in scripted.submitted] == ["switch", "read_registers"]

    def test_that_can_do_nothing_is_still_provisioned_and_asked_for_its_position(
        self, field: Field, scripted: ScriptedHeadEnd
    ) -> None:
        configure(field, remote_reading="LX", disconnect="LX", reconnect="LX")
        field.command(CommandKind.PROVISION)
        field.command(CommandKind.SWITCH_STATE)

        while field.worker.turn():
            pass

        assert {body["kind"] for body in scripted.submitted} == {"provision", "switch_state"}

    def test_that_cannot_be_read_holds_back_no_other(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        configure(field, on_demand_reading="LX")
        field.command(CommandKind.READ_ON_DEMAND)
        other = field.command(
            CommandKind.READ_ON_DEMAND, serial_id="0000005678", device_id="000000000000010043"
        )  # not known to SAP any more: nothing is known of what it can do

        field.worker.turn()

        assert [device["reference"] for device in scripted.submitted[0]["devices"]] == [other.command_key]
