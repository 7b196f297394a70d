"""Events as the client gets them: by themselves, of its own switches, on demand, in a storm, and told twice."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from simulators.clock import instant

PERIOD = {"from": "2026-03-27T00:00:00Z", "to": "2026-04-05T00:00:00Z"}


def pushed(receiver: Any) -> list[dict[str, Any]]:
    return [event for push in receiver.of("events") for event in push["events"]]


def fetched(head_end: Any, **query: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = head_end.get("/v1/events", **PERIOD, **query, cursor=cursor)
        events += page["events"]
        cursor = page["next_cursor"]
    return events


def by_id(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(events, key=lambda event: (event["at"], event["event_id"]))


class TestByThemselves:
    def test_are_pushed_of_meters_that_were_heard(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run("--event-rate", "1")
        heard = head_end.meters()[:10]
        head_end.provision(*heard)
        for _ in range(60):
            head_end.advance(hours=1)
        head_end.idle()
        told = pushed(receiver)
        assert {event["serial"] for event in told} == {meter["serial"] for meter in heard}
        assert all(instant(event["at"]) > instant("2026-03-27T10:00:00Z") for event in told)
        assert len({event["event_id"] for event in told}) == len(told)
        assert fetched(head_end, limit="7") == head_end.get("/control/events")["events"] == by_id(told)

    def test_are_told_once_across_a_kill_and_not_lost_in_it(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run("--event-rate", "1")
        head_end.provision()
        head_end.advance(hours=20)
        head_end.idle()
        before = len(pushed(receiver))
        head_end.kill()
        head_end.advance(hours=60)
        head_end.start()
        head_end.idle()
        told = pushed(receiver)
        assert 0 < before < len(told)
        assert len({event["event_id"] for event in told}) == len(told)
        assert fetched(head_end) == by_id(told)
        days = {event["at"][:10] for event in told}
        assert days >= {"2026-03-27", "2026-03-28", "2026-03-29", "2026-03-30"}


class TestOfSwitches:
    def test_tell_that_the_relay_moved_and_why(self, head_end: Any, receiver: Any) -> None:
        meter = head_end.meters("LX100-SW")[0]
        head_end.provision(meter)
        for reference, state in (("off", "disconnected"), ("on", "connected")):
            head_end.submit("switch", {"serial": meter["serial"], "reference": reference, "state": state})
            head_end.idle()
            head_end.advance(minutes=1)
        told = pushed(receiver)
        assert [(event["code"], event["properties"]["reference"]) for event in told] == [
            ("3.31.0.68", "off"),
            ("3.31.0.42", "on"),
        ]
        head_end.kill()
        head_end.start()
        assert fetched(head_end) == told

    def test_tell_nothing_of_a_relay_that_stuck(self, head_end: Any, receiver: Any) -> None:
        meter = head_end.meters("LX100-SW")[0]
        head_end.provision(meter)
        head_end.control("faults", name="stuck_relay")
        head_end.submit("switch", {"serial": meter["serial"], "reference": "off", "state": "disconnected"})
        receiver.results(count=2)
        head_end.idle()
        assert pushed(receiver) == []


class TestOnDemand:
    def test_raises_any_event_of_any_meter(self, head_end: Any, receiver: Any) -> None:
        serial = head_end.meters()[0]["serial"]
        at = {"serial": serial, "at": "2026-03-27T09:00:00Z"}
        own = head_end.control("event", code="3.12.29.39", **at)
        odd = head_end.control(
            "event", code="9.9.9.999", text="odd", event_id="x-1", properties={"name": "value"}, **at
        )
        receiver.wait("events", lambda pushes: len(pushes) == 2)
        assert sorted(pushed(receiver), key=lambda event: event["code"]) == [own, odd]
        assert own["text"] == "cover opened"
        assert (odd["event_id"], odd["text"], odd["properties"]) == ("x-1", "odd", {"name": "value"})
        assert fetched(head_end) == by_id([own, odd])

    @pytest.mark.parametrize(
        ("path", "body", "status"),
        [
            pytest.param("event", {"serial": "9", "code": "3.26.0.85"}, 404, id="no-meter"),
            pytest.param("event", {"code": "3.26.85"}, 422, id="no-code"),
            pytest.param("event", {"code": "3.26.0.85", "at": "noon"}, 400, id="no-instant"),
            pytest.param("storm", {}, 422, id="storm-over-nobody"),
            pytest.param("storm", {"meters": 0}, 422, id="storm-over-none"),
            pytest.param("storm", {"meters": 2, "serial": "9"}, 404, id="storm-over-no-meter"),
        ],
    )
    def test_refuses_what_there_is_not(self, head_end: Any, path: str, body: dict[str, Any], status: int) -> None:
        body = {"serial": head_end.meters()[0]["serial"]} | body
        assert head_end.api.post(f"/control/{path}", json=body).status_code == status


class TestStorm:
    def test_takes_power_from_neighbours_within_a_minute_and_gives_it_back(self, head_end: Any, receiver: Any) -> None:
        head_end.provision()
        area = [meter["serial"] for meter in head_end.meters()[5:15]]
        assert head_end.control("storm", meters=10, serial=area[0], seconds=300)["serials"] == area
        for _ in range(4):
            head_end.advance(seconds=20)
            head_end.idle()
        failed = pushed(receiver)
        assert {event["code"] for event in failed} == {"3.26.0.85"}
        assert sorted(event["serial"] for event in failed) == area
        begin = instant("2026-03-27T10:00:00Z")
        assert all(begin <= instant(event["at"]) < begin + timedelta(minutes=1) for event in failed)
        assert len(receiver.of("events")) <= 3

        head_end.kill()  # what is planned is not forgotten
        head_end.advance(minutes=20)
        head_end.start()
        head_end.idle()
        restored = pushed(receiver)[10:]
        assert sorted(event["serial"] for event in restored) == area
        assert all(300 <= int(event["properties"]["seconds"]) <= 450 for event in restored)

    def test_comes_as_a_fault_after_the_daily_collection(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run("--faults", "event_storm=1", "--meters", "150")
        head_end.provision()
        for at in ("2026-03-27T23:01:00Z", "2026-03-27T23:02:30Z", "2026-03-28T12:00:00Z"):
            head_end.advance_to(instant(at))
            head_end.idle()
        account = head_end.get("/control/faults")["fired"]["event_storm"]
        assert (account["count"], account["hits"][0]["meters"]) == (1, 100)
        assert sum(event["code"] == "3.26.0.85" for event in pushed(receiver)) == 100
        assert sum(event["code"] == "3.26.0.216" for event in pushed(receiver)) == 100


class TestDuplicateEvent:
    def test_is_told_again_under_its_id_in_another_delivery(self, head_end: Any, receiver: Any) -> None:
        head_end.control("faults", name="duplicate_event")
        made = head_end.control("event", serial=head_end.meters()[0]["serial"], code="3.26.0.85")
        pushes = receiver.wait("events", lambda pushes: len(pushes) == 2)
        assert [push["events"] for push in pushes] == [[made], [made]]
        assert pushes[0]["delivery_id"] != pushes[1]["delivery_id"]
        assert fetched(head_end) == [made]
        [hit] = head_end.get("/control/faults")["fired"]["duplicate_event"]["hits"]
        assert hit["event_id"] == made["event_id"]
