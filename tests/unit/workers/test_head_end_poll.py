"""Fetching what a head end should have pushed, on both databases."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.reading import MeterReading
from mdus.workers import head_end_poll
from tests.head_ends.field import ENERGY, NOON, SERIAL, Field
from tests.head_ends.scripted import ScriptedHeadEnd


def poll(field: Field) -> str:
    since = NOON - timedelta(hours=6)
    return head_end_poll.run(field.database, {"city": field.head_end}, now=field.clock.now(), since=since)


def asked(scripted: ScriptedHeadEnd, path: str) -> list[tuple[str, str]]:
    """Return the periods that pages of this path were asked for, in order."""
    urls = [urlsplit(each) for each in scripted.asked]
    queries = [parse_qs(url.query) for url in urls if url.path == path]
    return [(query["from"][0], query["to"][0]) for query in queries]


class TestRun:
    def test_fetches_the_snapshots_since_the_poll_before_the_last(
        self, field: Field, scripted: ScriptedHeadEnd
    ) -> None:
        field.device()
        scripted.snapshots = [
            {"serial": SERIAL, "obis": ENERGY, "at": f"2026-03-2{day}T23:00:00Z", "value": f"{day}", "unit": "kWh"}
            for day in (4, 5, 6)
        ]

        assert poll(field) == "city: 2 new deliveries"
        field.readings.turn()

        assert [int(reading.value) for reading in field.all(MeterReading)] == [4, 5, 6]
        query = parse_qs(urlsplit(scripted.asked[0]).query)
        assert (query["from"], query["to"]) == (["2026-03-26T05:00:00Z"], ["2026-03-27T11:00:00Z"])

    def test_fetches_events_since_the_poll_before_the_last(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        field.device()
        scripted.events = [{"serial": SERIAL, "code": "3.26.0.85", "at": "2026-03-26T23:00:00Z", "event_id": "e-1"}]

        assert poll(field) == "city: 1 new deliveries"
        field.readings.turn()

        assert field.deliveries() == ["done"]
        assert asked(scripted, "/v1/events") == [("2026-03-26T05:00:00Z", "2026-03-27T11:00:00Z")]

    def test_fetches_interval_values_at_once_and_a_day_later(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        poll(field)

        assert asked(scripted, "/v1/intervals") == [
            ("2026-03-26T05:00:00Z", "2026-03-26T11:00:00Z"),
            ("2026-03-27T05:00:00Z", "2026-03-27T11:00:00Z"),
        ]

    def test_fetches_interval_values_of_all_the_time_it_was_down(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        since = NOON - timedelta(days=3)

        head_end_poll.run(field.database, {"city": field.head_end}, now=NOON, since=since)

        assert asked(scripted, "/v1/intervals") == [
            ("2026-03-23T11:00:00Z", "2026-03-24T11:00:00Z"),
            ("2026-03-24T11:00:00Z", "2026-03-27T11:00:00Z"),
        ]

    def test_stores_what_it_fetched_before_once(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        scripted.snapshots = [
            {"serial": SERIAL, "obis": ENERGY, "at": "2026-03-26T23:00:00Z", "value": "1", "unit": "kWh"}
        ]

        assert [poll(field), poll(field)] == ["city: 1 new deliveries", "city: 0 new deliveries"]

    def test_asks_for_results_that_are_due_soon_and_for_no_others(
        self, field: Field, scripted: ScriptedHeadEnd
    ) -> None:
        field.device()
        command = field.command(CommandKind.READ_ON_DEMAND)
        field.worker.turn()
        job = scripted.jobs["t-1"]
        job["results"] = field.result(command, correlation=job["correlation_id"])["results"]
        field.clock.advance(minutes=29)  # of 60; asked when 30 are left
        assert poll(field) == "city: 0 new deliveries"

        field.clock.advance(minutes=1)

        assert poll(field) == "city: 1 new deliveries"
        field.readings.turn()
        assert field.stored(command).status is CommandStatus.DONE

    def test_names_a_head_end_that_does_not_answer(self, field: Field, scripted: ScriptedHeadEnd) -> None:
        scripted.down = True

        assert "city answered HTTP 503" in poll(field)

    def test_says_so_when_there_is_no_head_end(self, field: Field) -> None:
        now = field.clock.now()

        assert head_end_poll.run(field.database, {}, now=now, since=now) == "no head end is configured"
