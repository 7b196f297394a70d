"""Interval values and events among what head ends deliver: where they go, and what they show, on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from mdus.domain.command import CommandKind, CommandStatus
from tests.head_ends.field import NOON, SERIAL, Field
from tests.head_ends.scripted import ScriptedHeadEnd


def block(serial: str = SERIAL, *values: str | None, start: str = "2026-03-27T09:00:00Z") -> dict[str, Any]:
    row = {"serial": serial, "obis": "1-0:1.29.0*255", "unit": "kWh", "interval_minutes": 15, "start": start}
    return row | {"values": list(values or ("0.1",))}


def blocks(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"delivery_id": "d-0", "blocks": list(rows)}


def events(serial: str = SERIAL, at: str = "2026-03-27T10:30:00Z") -> dict[str, Any]:
    return {"delivery_id": "d-0", "events": [{"serial": serial, "event_id": "e-1", "code": "3.26.0.85", "at": at}]}


class TestIntervals:
    def test_are_taken_of_a_known_meter(self, field: Field) -> None:
        field.device()
        field.push("intervals", blocks(block()))

        assert field.readings.turn() == 1

        assert field.deliveries() == ["done"]

    def test_show_that_a_meter_lived_until_its_last_measured_interval_ended(self, field: Field) -> None:
        field.device()
        field.push("intervals", blocks(block(SERIAL, "0.1", "0.2", None, None)))

        field.readings.turn()

        assert field.status_of().last_heard_at == NOON.replace(hour=9, minute=30)

    def test_show_nothing_when_nothing_was_measured(self, field: Field) -> None:
        field.device()
        field.push("intervals", blocks(block(SERIAL, None, None)))

        field.readings.turn()

        assert field.status_of().last_heard_at is None

    def test_of_a_clock_that_is_ahead_show_no_later_instant_than_now(self, field: Field) -> None:
        field.device()
        field.push("intervals", blocks(block(start="2027-01-01T00:00:00Z")))

        field.readings.turn()

        assert field.status_of().last_heard_at == NOON

    def test_wait_for_an_unknown_meter(self, field: Field) -> None:
        field.push("intervals", blocks(block()))
        field.readings.turn()
        assert field.deliveries() == ["unmatched"]

        field.device()
        field.readings.turn()

        assert field.deliveries() == ["done"]


class TestIntervalsOfACommand:
    def test_are_taken_with_its_result(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        command = field.command(CommandKind.READ_INTERVALS, period_from=NOON - timedelta(days=1), period_to=NOON)
        field.worker.turn()
        correlation = scripted.submitted[0]["correlation_id"]
        field.push("results", field.result(command, correlation=correlation, blocks=[block()]))

        field.readings.turn()

        assert scripted.submitted[0]["devices"][0]["period"]["to"] == "2026-03-27T11:00:00Z"
        assert field.stored(command).status is CommandStatus.DONE
        assert field.status_of().first_heard_at == NOON.replace(hour=9, minute=15)
        assert field.deliveries() == ["done"]

    def test_are_left_alone_when_the_result_is_of_no_command(self, field: Field) -> None:
        field.device()
        foreign = field.command(CommandKind.READ_INTERVALS, head_end="north", period_from=NOON, period_to=NOON)
        field.push("results", field.result(foreign, correlation="c-1", blocks=[block()]))

        field.readings.turn()

        assert field.status_of().first_heard_at is None
        assert field.deliveries() == ["unmatched"]


class TestEvents:
    def test_show_that_a_meter_lived(self, field: Field) -> None:
        field.device()
        field.push("events", events())

        field.readings.turn()

        assert field.status_of().last_heard_at == NOON.replace(hour=10, minute=30)
        assert field.deliveries() == ["done"]

    def test_of_a_clock_that_is_ahead_show_no_later_instant_than_now(self, field: Field) -> None:
        field.device()
        field.push("events", events(at="2027-01-01T00:00:00Z"))

        field.readings.turn()

        assert field.status_of().last_heard_at == NOON

    def test_wait_for_an_unknown_meter(self, field: Field) -> None:
        field.push("events", events())
        field.readings.turn()
        assert field.deliveries() == ["unmatched"]

        field.device()
        field.readings.turn()

        assert field.deliveries() == ["done"]
