"""Giving commands to a head end that follows a script, over real HTTP, on both databases."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from mdus.domain.command import Command, CommandKind, CommandStatus, OwnerKind
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.messaging.retry import RetryPolicy
from mdus.storage import submission
from mdus.storage.command import COMMAND, COMMAND_INTENT
from mdus.storage.message import MESSAGE_EVENT
from mdus.workers.command_timeouts import command_timeouts
from tests.head_ends.field import DEVICE, ENERGY, SENDER, SERIAL, Field
from tests.head_ends.scripted import ScriptedHeadEnd


def raw(field: Field, command: Command) -> dict[str, object]:
    with field.database.read() as uow:
        found = uow.connection.execute(select(COMMAND.table).where(COMMAND.table.c.command_key == command.command_key))
        return dict(found.mappings().one())


def intents(field: Field) -> list[tuple[int, str | None]]:
    with field.database.read() as uow:
        query = select(COMMAND_INTENT.c.attempt, COMMAND_INTENT.c.outcome).order_by(COMMAND_INTENT.c.id)
        return [tuple(row) for row in uow.connection.execute(query)]


def document(now: datetime, **changes: Any) -> MeterReadingDocument:
    """Return an order to read the device's energy on demand, due an hour ago."""
    values: dict[str, Any] = {
        "sender_system": SENDER,
        "document_id": "00000000000000000077",
        "device_id": DEVICE,
        "measurement_task_id": f"LRN{DEVICE}",
        "obis_text": ENERGY,
        "reading_type": ENERGY,
        "reason_code": "01",
        "scheduled_on": now.date(),
        "time_zone": "Europe/Berlin",
        "due_at": now - timedelta(hours=1),
        "window_from": now,
        "window_until": now + timedelta(days=3),
        "next_try_at": now,
        "on_demand": True,
        "order_item_id": 1,
    }
    return MeterReadingDocument(**(values | changes))


class TestTurn:
    def test_does_nothing_when_nothing_is_due(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.command(CommandKind.READ_ON_DEMAND, not_before=field.clock.now() + timedelta(seconds=1))

        assert field.worker.turn() == 0
        assert scripted.submitted == []

    def test_submits_a_batch_of_one_kind_and_awaits_its_results(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        first = field.command(CommandKind.READ_ON_DEMAND)
        second = field.command(CommandKind.READ_ON_DEMAND, serial_id="0000009999")

        assert field.worker.turn() == 2

        assert [device["reference"] for device in scripted.submitted[0]["devices"]] == [
            first.command_key,
            second.command_key,
        ]
        row = raw(field, first)
        assert row["status"] == CommandStatus.ACCEPTED
        assert row["token"] == "t-1"
        assert row["correlation"] == scripted.submitted[0]["correlation_id"]
        assert row["answer_by"] == field.clock.now() + timedelta(minutes=60)
        assert intents(field) == [(1, "accepted"), (1, "accepted")]
        assert field.worker.turn() == 0

    def test_submits_at_the_planned_instant_and_not_before(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.command(CommandKind.READ_ON_DEMAND, not_before=field.clock.now() + timedelta(minutes=5))
        field.clock.advance(minutes=4, seconds=59)
        assert field.worker.turn() == 0

        field.clock.advance(seconds=1)

        assert field.worker.turn() == 1
        assert len(scripted.submitted) == 1

    def test_makes_calls_no_larger_than_the_head_end_takes(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.head_end.batch_size = 2
        for number in range(3):
            meter = field.device(f"{number}", f"{number}")
            field.command(CommandKind.READ_ON_DEMAND, device_id=meter.device_id, serial_id=meter.serial_id)

        assert [field.worker.turn(), field.worker.turn(), field.worker.turn()] == [2, 1, 0]
        assert [len(body["devices"]) for body in scripted.submitted] == [2, 1]

    def test_leaves_the_commands_of_another_head_end(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.command(CommandKind.READ_ON_DEMAND, head_end="village")

        assert field.worker.turn() == 0
        assert scripted.submitted == []

    def test_switches_before_it_reads(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        field.command(CommandKind.READ_REGISTERS)
        field.switch()

        field.worker.turn()
        field.worker.turn()

        assert [body["kind"] for body in scripted.submitted] == ["switch", "read_registers"]

    def test_tells_the_registers_with_a_provisioning(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        device = field.device()
        field.command(CommandKind.PROVISION)

        field.worker.turn()

        assert scripted.submitted[0]["devices"][0] | {"reference": ""} == {
            "serial": SERIAL,
            "reference": "",
            "device_id": device.device_id,
            "commodity": "electricity",
            "registers": [{"obis": ENERGY, "unit": "kWh", "digits": 6, "decimals": 2, "factor": "1"}],
        }

    def test_leaves_a_trace_of_every_status(self, field: Field) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND)

        field.worker.turn()

        with field.database.read() as uow:
            query = (
                select(MESSAGE_EVENT.c.status)
                .where(MESSAGE_EVENT.c.command_id == raw(field, command)["id"])
                .order_by(MESSAGE_EVENT.c.id)
            )
            assert list(uow.connection.scalars(query)) == ["submitting", "accepted"]

    def test_submits_each_command_once_with_several_threads(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.head_end.batch_size = 3
        field.device()
        switches = [field.switch()[1] for _ in range(20)]
        reads = [field.command(CommandKind.READ_ON_DEMAND) for _ in range(20)]

        def work() -> None:
            while field.worker.turn():
                pass

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        while field.worker.turn():  # what one thread held while another looked
            pass

        told = [device["reference"] for body in scripted.submitted for device in body["devices"]]
        assert sorted(told) == sorted(each.command_key for each in switches + reads)

    def test_begins_a_call_while_another_is_under_way(self, field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
        field.head_end.batch_size = 1
        both_under_way = threading.Barrier(2)
        submit = field.head_end.submit

        def waiting(*args: Any, **named: Any) -> Any:
            both_under_way.wait(30)
            return submit(*args, **named)

        monkeypatch.setattr(field.head_end, "submit", waiting)
        for _ in range(2):
            field.command(CommandKind.READ_ON_DEMAND)
        threads = [threading.Thread(target=field.worker.turn) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert not both_under_way.broken
        assert [outcome for _, outcome in intents(field)] == ["accepted", "accepted"]

    def test_claims_only_what_no_other_thread_is_claiming(self, field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
        field.command(CommandKind.READ_ON_DEMAND)
        claims: list[int] = []
        looks = threading.Semaphore(0)
        look, claim = submission.pending, submission.claim_due

        def looking(*args: Any, **named: Any) -> Any:
            found = look(*args, **named)
            looks.release()
            return found

        def claiming(*args: Any, **named: Any) -> Any:
            claimed = claim(*args, **named)
            claims.append(len(claimed))
            for _ in range(2):  # the look before this claim, and that of another thread, were there one
                looks.acquire(timeout=0.3)
            return claimed

        monkeypatch.setattr(submission, "pending", looking)
        monkeypatch.setattr(submission, "claim_due", claiming)
        threads = [threading.Thread(target=field.worker.turn) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert claims == [1]


class TestExpiry:
    def test_fails_a_command_that_waited_too_long(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND)
        field.clock.advance(hours=1)

        assert field.worker.turn() == 1

        stored = field.stored(command)
        assert (stored.status, stored.result_code) == (CommandStatus.FAILED, "EXPIRED")
        assert stored.ended_at == field.clock.now()
        assert scripted.submitted == []

    def test_submits_a_command_in_its_last_second(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND)
        field.clock.advance(minutes=59, seconds=59)

        field.worker.turn()

        assert field.stored(command).status is CommandStatus.ACCEPTED

    def test_fails_a_command_that_expires_while_it_rests_after_a_failure(
        self, field: Field, scripted: ScriptedHeadEnd
    ) -> None:
        field.retry = RetryPolicy(base=timedelta(hours=9), cap=timedelta(hours=9))
        field.worker = field.new_worker()
        command = field.command(CommandKind.READ_ON_DEMAND)
        scripted.script = ["503"]
        field.worker.turn()

        field.clock.advance(hours=1)
        field.worker.turn()

        assert field.stored(command).result_code == "EXPIRED"


class TestFailedCalls:
    def test_tries_again_what_the_head_end_did_not_take(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        scripted.script = ["503"]
        _, command = field.switch()
        field.worker.turn()
        assert field.stored(command).status is CommandStatus.READY

        field.real += 60
        field.worker.turn()

        assert field.stored(command).status is CommandStatus.ACCEPTED
        assert intents(field) == [(1, "transient"), (2, "accepted")]
        assert scripted.submitted[0]["correlation_id"] != scripted.submitted[1]["correlation_id"]

    def test_fails_what_was_tried_too_often(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        scripted.script = ["503"] * 3
        command = field.command(CommandKind.READ_ON_DEMAND)

        for _ in range(4):
            field.worker.turn()
            field.real += 60

        stored = field.stored(command)
        assert (stored.status, stored.result_code) == (CommandStatus.FAILED, "UNREACHABLE")
        assert len(scripted.submitted) == 3

    def test_rests_before_it_calls_again(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.retry = RetryPolicy(base=timedelta(seconds=4), cap=timedelta(seconds=4))
        field.worker = field.new_worker()
        scripted.script = ["503"]
        field.command(CommandKind.READ_ON_DEMAND)
        field.worker.turn()
        other = field.command(CommandKind.READ_REGISTERS)

        field.real += 1.9  # a rest is at least half of the delay
        assert field.worker.turn() == 0

        field.real += 2.2
        assert field.worker.turn() == 1
        assert field.stored(other).status is CommandStatus.ACCEPTED

    def test_fails_what_the_head_end_rejects(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        scripted.script = ["reject UNKNOWN_METER"]
        command = field.command(CommandKind.READ_ON_DEMAND)

        field.worker.turn()

        stored = field.stored(command)
        assert (stored.status, stored.result_code) == (CommandStatus.FAILED, "UNKNOWN_METER")
        assert intents(field) == [(1, "rejected")]

    def test_notes_that_a_meter_has_no_breaker(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        scripted.script = ["reject NO_BREAKER"]
        field.switch()

        field.worker.turn()

        assert field.status_of().has_breaker is False

    def test_fails_a_batch_the_head_end_cannot_read(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        scripted.script = ["422"]
        command = field.command(CommandKind.READ_ON_DEMAND)

        field.worker.turn()

        assert field.stored(command).result_code == "BATCH_REFUSED"
        assert "as scripted" in (field.stored(command).result_text or "")

    def test_wakes_the_owner_of_a_failed_command(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        made = document(field.clock.now(), next_try_at=field.clock.now() + timedelta(days=1), on_demand=False)
        field.save(made)
        scripted.script = ["reject BUSY"]
        owner = f"{made.sender_system}/{made.document_id}"
        field.command(CommandKind.READ_ON_DEMAND, owner_kind=OwnerKind.DOCUMENT, owner_key=owner)

        field.worker.turn()

        woken = field.all(MeterReadingDocument)[0]
        assert woken.status is DocumentStatus.ORDERED
        assert woken.next_try_at == made.due_at


class TestTimeouts:
    def _accepted(self, field: Field) -> Command:
        command = field.command(CommandKind.READ_ON_DEMAND)
        field.worker.turn()
        return command

    def test_waits_until_the_patience_is_over(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        command = self._accepted(field)
        field.clock.advance(minutes=59, seconds=59)

        assert field.worker.timeouts(field.clock.now()) == 0
        assert field.stored(command).status is CommandStatus.ACCEPTED
        assert scripted.asked == []

    def test_times_out_what_stays_silent_when_asked(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        command = self._accepted(field)
        field.clock.advance(minutes=60)

        assert field.worker.turn() == 1

        assert field.stored(command).status is CommandStatus.TIMED_OUT
        assert scripted.asked == ["/v1/jobs/t-1"]

    def test_takes_the_result_the_head_end_has_when_asked(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        command = self._accepted(field)
        job = scripted.jobs["t-1"]
        job["results"] = field.result(command, correlation=job["correlation_id"])["results"]
        field.clock.advance(minutes=60)

        assert field.worker.turn() == 0
        assert field.stored(command).status is CommandStatus.ACCEPTED
        field.readings.turn()

        assert field.stored(command).status is CommandStatus.DONE

    def test_times_out_when_the_head_end_cannot_be_asked(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        command = self._accepted(field)
        scripted.down = True
        field.clock.advance(minutes=60)

        field.worker.turn()

        assert field.stored(command).status is CommandStatus.TIMED_OUT

    def test_does_not_time_out_what_waits_undecoded(self, field: Field) -> None:
        field.device()
        command = self._accepted(field)
        correlation = str(raw(field, command)["correlation"])
        field.push("results", field.result(command, correlation=correlation))
        field.clock.advance(minutes=60)

        assert field.worker.timeouts(field.clock.now()) == 0
        field.readings.turn()

        assert field.stored(command).status is CommandStatus.DONE

    def test_ends_the_commands_of_a_head_end_that_is_gone(self, field: Field) -> None:
        command = field.command(CommandKind.READ_ON_DEMAND, head_end="village")
        workers = {"city": field.worker}
        assert "0 of unknown" in command_timeouts(field.database, workers, now=field.clock.now())

        field.clock.advance(hours=1)

        assert "1 of unknown" in command_timeouts(field.database, workers, now=field.clock.now())
        assert field.stored(command).result_code == "NO_HEAD_END"
