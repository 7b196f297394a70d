"""Commands of a device that was given to another head end after they were made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.end_device_control import ControlCategory
from mdus.workers.meter_reading_documents import MeterReadingDocumentWorker
from tests.head_ends.field import Field
from tests.head_ends.scripted import ScriptedHeadEnd
from tests.unit.workers.test_head_end import document


class TestMovedDevices:
    """The device was given to another head end after the command was made."""

    @pytest.mark.parametrize("kind", [kind for kind in CommandKind if kind is not CommandKind.SWITCH])
    def test_fails_a_command_of_a_device_served_elsewhere(
        self, field: Field, scripted: ScriptedHeadEnd, kind: CommandKind
    ) -> None:
        device = field.device()
        command = field.command(kind)
        field.save(replace(device, head_end="village"))

        assert field.worker.turn() == 1

        stored = field.stored(command)
        assert (stored.status, stored.result_code) == (CommandStatus.FAILED, "OTHER_HEAD_END")
        assert "village" in (stored.result_text or "")
        assert scripted.submitted == []

    @pytest.mark.parametrize("category", list(ControlCategory))
    def test_fails_a_switch_of_a_device_served_elsewhere(
        self, field: Field, scripted: ScriptedHeadEnd, category: ControlCategory
    ) -> None:
        device = field.device()
        _, command = field.switch(category)
        field.save(replace(device, head_end="village"))
        # The meter of that serial number belongs to another device now.
        field.device(device_id="000000000000010043")

        field.worker.turn()

        stored = field.stored(command)
        assert (stored.status, stored.result_code) == (CommandStatus.FAILED, "OTHER_HEAD_END")
        assert scripted.submitted == []

    def test_lets_its_neighbours_leave(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        moved = field.device()
        field.device("0000005678", "000000000000010043")
        field.command(CommandKind.READ_ON_DEMAND)
        stays = field.command(CommandKind.READ_ON_DEMAND, serial_id="0000005678", device_id="000000000000010043")
        field.save(replace(moved, head_end="village"))

        field.worker.turn()

        assert [[device["reference"] for device in body["devices"]] for body in scripted.submitted] == [
            [stays.command_key]
        ]

    def test_reads_the_meter_at_its_new_head_end(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        device = field.device()
        now = field.clock.now()
        field.save(document(now))
        documents = MeterReadingDocumentWorker(database=field.database, settings=field.settings, clock=field.clock)
        documents.turn()
        field.save(replace(device, head_end="village"))
        field.worker.turn()
        field.clock.advance(minutes=60)

        documents.turn()

        assert [(command.head_end, command.status) for command in field.all(Command)] == [
            ("city", CommandStatus.FAILED),
            ("village", CommandStatus.READY),
        ]
