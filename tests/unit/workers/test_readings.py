"""Taking in what a head end delivers, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mdus.domain.channel import Channel
from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.reading import MeterReading, ReadingOrigin
from mdus.storage.interval_block import current_blocks
from mdus.workers import field_events
from tests.head_ends.field import ENERGY, NOON, SENDER, SERIAL, Field
from tests.head_ends.scripted import ScriptedHeadEnd

MIDNIGHT = "2026-03-26T23:00:00Z"


def snapshot(serial: str = SERIAL, value: str = "12345.60", at: str = MIDNIGHT) -> dict[str, Any]:
    return {"serial": serial, "obis": ENERGY, "at": at, "value": value, "unit": "kWh"}


def readings(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"delivery_id": "d-0", "readings": list(rows)}


def intervals(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"delivery_id": "d-0", "blocks": list(blocks)}


def block(value: str, *, serial: str = SERIAL, quality: str | None = None) -> dict[str, Any]:
    obis = "1-0:1.29.0*255"
    told = {"serial": serial, "obis": obis, "unit": "kWh", "interval_minutes": 15, "start": NOON.isoformat()}
    return told | {"values": [value]} | ({} if quality is None else {"quality": [quality]})


def submitted(field: Field, scripted: ScriptedHeadEnd, kind: CommandKind, **of: Any) -> tuple[Command, str]:
    """Return a command the head end has accepted, and the correlation of its call."""
    command = field.command(kind, **of)
    field.worker.turn()
    assert field.stored(command).status is CommandStatus.ACCEPTED
    return command, scripted.submitted[-1]["correlation_id"]


def document(field: Field, *, due_at: datetime, **changes: Any) -> MeterReadingDocument:
    values: dict[str, Any] = {
        "sender_system": SENDER,
        "document_id": "00000000000000000077",
        "device_id": "000000000000010042",
        "measurement_task_id": "1",
        "obis_text": ENERGY,
        "reading_type": ENERGY,
        "reason_code": "01",
        "scheduled_on": due_at.date(),
        "time_zone": "Europe/Berlin",
        "due_at": due_at,
        "window_from": due_at,
        "window_until": due_at + timedelta(days=3),
        "next_try_at": field.clock.now() + timedelta(days=1),
        "order_item_id": 1,
    }
    made = MeterReadingDocument(**(values | changes))
    field.save(made)
    return made


class TestReadings:
    def test_stores_snapshots_of_known_meters(self, field: Field) -> None:
        device = field.device()
        field.push("readings", readings(snapshot()))

        assert field.readings.turn() == 1

        (stored,) = field.all(MeterReading)
        assert stored == MeterReading(
            sender_system=device.sender_system,
            device_id=device.device_id,
            reading_type=ENERGY,
            measured_at=datetime.fromisoformat(MIDNIGHT),
            value=Decimal("12345.6"),
            unit="kWh",
            origin=ReadingOrigin.SNAPSHOT,
            received_at=NOON,
        )
        assert field.deliveries() == ["done"]
        assert field.readings.turn() == 0

    def test_counts_a_reading_as_a_sign_of_life(self, field: Field) -> None:
        field.device()
        field.push("readings", readings(snapshot()))

        field.readings.turn()

        assert field.status_of().last_heard_at == datetime.fromisoformat(MIDNIGHT)

    def test_stores_a_reading_told_twice_once(self, field: Field) -> None:
        field.device()
        field.push("readings", readings(snapshot()))
        field.push("readings", readings(snapshot()) | {"delivery_id": "d-1"})

        field.readings.turn()

        assert len(field.all(MeterReading)) == 1
        assert field.deliveries() == ["done", "done"]

    def test_keeps_a_differing_value_beside_the_first(self, field: Field) -> None:
        field.device()
        field.push("readings", readings(snapshot(value="1"), snapshot(value="2")))

        field.readings.turn()

        assert [stored.value for stored in field.all(MeterReading)] == [Decimal(1), Decimal(2)]

    def test_stores_the_same_body_once(self, field: Field) -> None:
        assert field.push("readings", readings(snapshot())) == 1
        assert field.push("readings", readings(snapshot())) == 0

    def test_lets_due_documents_of_the_device_look_at_once(self, field: Field) -> None:
        field.device()
        document(field, due_at=NOON - timedelta(hours=1))
        field.push("readings", readings(snapshot()))

        field.readings.turn()

        assert field.all(MeterReadingDocument)[0].next_try_at == NOON

    def test_leaves_documents_alone_that_are_not_due(self, field: Field) -> None:
        field.device()
        waiting = document(field, due_at=NOON + timedelta(hours=1))
        field.push("readings", readings(snapshot()))

        field.readings.turn()

        assert field.all(MeterReadingDocument) == [waiting]

    def test_leaves_documents_alone_that_are_decided(self, field: Field) -> None:
        field.device()
        decided = document(field, due_at=NOON - timedelta(hours=1), status=DocumentStatus.CONFIRMED)
        field.push("readings", readings(snapshot()))

        field.readings.turn()

        assert field.all(MeterReadingDocument) == [decided]


class TestHeard:
    def test_notes_first_and_last_whatever_the_order(self, field: Field) -> None:
        field.device()
        for hour in ("09", "08", "10"):
            meters = [{"serial": SERIAL, "first": hour == "08", "at": f"2026-03-27T{hour}:00:00Z"}]
            field.push("heard", {"delivery_id": hour, "meters": meters})
            field.readings.turn()

        status = field.status_of()
        assert status.first_heard_at == NOON.replace(hour=8)
        assert status.last_heard_at == NOON.replace(hour=10)


class TestUnknownMeters:
    def test_takes_the_known_and_keeps_the_rest_for_later(self, field: Field) -> None:
        field.device()
        field.push("readings", readings(snapshot(), snapshot("0000005678")))

        field.readings.turn()

        assert len(field.all(MeterReading)) == 1
        assert field.deliveries() == ["unmatched"]

    def test_sets_no_interval_value_back_while_the_rest_waits(self, field: Field) -> None:
        field.device()
        field.push("intervals", intervals(block("0.9", quality="2.8.0"), block("0.5", serial="0000005678")))
        field.readings.turn()
        field.push("intervals", intervals(block("0.1")))
        field.readings.turn()

        field.device("0000005678", "000000000000010043")
        field.readings.turn()

        with field.database.read() as uow:
            days = [(channel, NOON.date()) for channel in field.all(Channel)]
            told = [value for each in current_blocks(uow.connection, days).values() for value in each.quantities()]
        assert sorted(filter(None, told)) == [Decimal("0.1"), Decimal("0.5")]
        assert field.deliveries() == ["done", "done"]

    def test_takes_the_rest_when_the_device_arrives(self, field: Field) -> None:
        field.push("readings", readings(snapshot()))
        field.readings.turn()
        assert field.all(MeterReading) == []

        field.device()
        field.readings.turn()

        assert len(field.all(MeterReading)) == 1
        assert field.deliveries() == ["done"]

    def test_waits_a_day_and_then_shows_what_has_no_place(self, field: Field) -> None:
        field.push("readings", readings(snapshot()))
        field.readings.turn()
        field.clock.advance(hours=23, minutes=59)
        field.readings.turn()
        assert field.deliveries() == ["unmatched"]

        field.clock.advance(minutes=1)
        field.readings.turn()

        assert field.deliveries() == ["dead"]
        (case,) = field.all(ExceptionCase)
        assert case.kind == "delivery_unmatched"
        assert SERIAL in case.note

    def test_leaves_a_meter_to_the_head_end_that_serves_it(self, field: Field) -> None:
        device = field.device()
        field.save(replace(device, head_end="village"))
        field.push("readings", readings(snapshot()))

        field.readings.turn()

        assert field.all(MeterReading) == []
        assert field.deliveries() == ["unmatched"]


class TestUnreadable:
    def test_shows_a_body_that_cannot_be_read(self, field: Field) -> None:
        field.push("results", b'{"results": [{"serial": "1"}]}')

        assert field.readings.turn() == 1

        assert field.deliveries() == ["dead"]
        (case,) = field.all(ExceptionCase)
        assert case.kind == "delivery_unreadable"
        assert "results[0].status is missing" in case.note
        assert field.readings.turn() == 0

    def test_takes_its_neighbours_in(self, field: Field) -> None:
        field.device()
        field.push("readings", b"<xml/>")
        field.push("readings", readings(snapshot()))

        field.readings.turn()

        assert field.deliveries() == ["dead", "done"]

    def test_shows_a_delivery_of_a_head_end_that_is_gone(self, field: Field) -> None:
        field.push("readings", readings(snapshot()))
        field.readings._decoders = {}

        field.readings.turn()

        assert field.deliveries() == ["dead"]


class TestDefects:
    def test_costs_no_neighbour_its_turn(self, field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
        field.device()
        for value in ("1", "2", "3"):
            field.push("readings", readings(snapshot(value=value)))
        real = field_events._take_reading

        def fail_at_two(batch: Any, told: Any, reading: Any, devices: Any) -> None:
            if reading.value == 2:
                raise RuntimeError("a defect of ours")
            real(batch, told, reading, devices)

        monkeypatch.setattr(field_events, "_take_reading", fail_at_two)
        field.readings.turn()
        assert field.deliveries() == ["done", "ready", "done"]

        field.readings.turn()
        field.readings.turn()

        assert field.deliveries() == ["done", "dead", "done"]
        assert [case.kind for case in field.all(ExceptionCase)] == ["delivery_failed"]

    def test_takes_it_in_once_the_defect_is_gone(self, field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
        field.device()
        field.push("readings", readings(snapshot()))
        with monkeypatch.context() as patch:

            def fail(*_: object) -> None:
                raise RuntimeError("a defect of ours")

            patch.setattr(field_events, "_take_reading", fail)
            field.readings.turn()

        field.readings.turn()

        assert field.deliveries() == ["done"]


class TestTwoWorkers:
    def test_take_each_delivery_in_once(self, postgresql_url: str, scripted: ScriptedHeadEnd) -> None:
        field = Field(postgresql_url, scripted.url)
        try:
            field.device()
            field.push("readings", readings(snapshot()))
            real = field.readings._take_in

            def while_another_works(*args: Any, **named: Any) -> None:
                real(*args, **named)
                other = Field(postgresql_url, scripted.url)
                assert other.readings.turn() == 1  # it saw the delivery, and found it held
                other.close()

            field.readings._take_in = while_another_works  # type: ignore[method-assign]
            field.readings.turn()

            assert field.deliveries() == ["done"]
            assert len(field.all(MeterReading)) == 1
        finally:
            field.close()
