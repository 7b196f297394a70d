"""A client plans events in which meters leave controlled load a part of its power, and cancels them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mdus.domain.access import Role
from mdus.domain.command import CommandKind
from mdus.domain.load_control_event import LoadControlEvent
from tests.flows.both_sides import SENDER, BothSides
from tests.flows.rest.doors import Client
from tests.flows.rest.processes import METER, NEW_METER, START
from tests.flows.rest.test_clients_order import only_item
from tests.flows.rest.test_demand_is_limited import stop

PEAK = START + timedelta(hours=6)
SCHEDULE = {
    "event_id": "peak",
    "action": "schedule",
    "device_ids": [METER, NEW_METER],
    "start_at": PEAK.isoformat(),
    "minutes": 90,
    "percent": 40,
}
CANCEL = {"event_id": "peak", "action": "cancel"}


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=START)
    made.meter(METER)
    made.meter(NEW_METER)
    yield made
    made.close()


@pytest.fixture
def client(sides: BothSides) -> Client:
    return Client(sides, role=Role.OPERATOR)


def confirm(sides: BothSides, **result: Any) -> None:
    sides.rest()
    assert sides.answer(CommandKind.CONTROL_LOAD, **result)
    sides.rest()


def scheduled(sides: BothSides, client: Client) -> None:
    number = client.order("load-control-events", SCHEDULE)
    confirm(sides)
    assert only_item(client, number)["state"] == "done"


def shown(client: Client, device_id: str = METER) -> list[str]:
    events = client.get(f"devices/{SENDER}/{device_id}")["load_control_events"]
    return [event["status"] for event in events]


def actions(sides: BothSides) -> list[str]:
    return [order["action"] for order in sides.submitted(CommandKind.CONTROL_LOAD)]


class TestAnEvent:
    def test_is_given_to_all_its_meters_in_one_job(self, sides: BothSides, client: Client) -> None:
        number = client.order("load-control-events", SCHEDULE)
        sides.rest()
        [job] = sides.head_end.submitted
        assert job["kind"] == "control_load"
        assert [(order["event"], order["start"], order["minutes"], order["percent"]) for order in job["devices"]] == [
            ("peak", "2026-03-28T16:00:00Z", 90, 40)
        ] * 2
        assert shown(client) == ["ordered"]

        confirm(sides)
        assert only_item(client, number)["result"]["devices"] == [
            {"device_id": METER, "status": "scheduled"},
            {"device_id": NEW_METER, "status": "scheduled"},
        ]
        assert shown(client) == ["scheduled"]

    def test_is_shown_until_it_is_over(self, sides: BothSides, client: Client) -> None:
        scheduled(sides, client)
        sides.clock.move(hours=7, minutes=29)
        assert shown(client) == ["scheduled"]
        sides.clock.move(minutes=1)
        assert shown(client) == []

    def test_is_cancelled(self, sides: BothSides, client: Client) -> None:
        scheduled(sides, client)
        number = client.order("load-control-events", CANCEL | {"device_ids": [METER]})
        confirm(sides)
        assert only_item(client, number)["state"] == "done"
        assert (shown(client), shown(client, NEW_METER)) == (["cancelled"], ["scheduled"])
        assert actions(sides) == ["schedule", "schedule", "cancel"]

    def test_is_scheduled_again_once_it_is_cancelled(self, sides: BothSides, client: Client) -> None:
        scheduled(sides, client)
        client.order("load-control-events", CANCEL)
        sides.rest()
        number = client.order("load-control-events", SCHEDULE)
        sides.rest()
        assert actions(sides) == ["schedule"] * 2 + ["cancel"] * 2

        confirm(sides)
        assert shown(client) == ["cancelled"]
        sides.clock.move(seconds=30)
        confirm(sides)
        assert actions(sides) == ["schedule"] * 2 + ["cancel"] * 2 + ["schedule"] * 2
        assert only_item(client, number)["state"] == "done"
        assert (shown(client), shown(client, NEW_METER)) == (["scheduled"], ["scheduled"])

    def test_that_has_passed_is_refused(self, sides: BothSides, client: Client) -> None:
        passed = SCHEDULE | {"start_at": (START - timedelta(hours=2)).isoformat()}
        number = client.order("load-control-events", passed)
        sides.rest()
        assert only_item(client, number)["state"] == "failed"
        assert {each["type_id"] for each in only_item(client, number)["problems"]} == {"352(MDUS)"}
        assert actions(sides) == []

    def test_never_leaves_once_it_is_over(self, sides: BothSides, client: Client) -> None:
        number = client.order("load-control-events", SCHEDULE)
        sides.decide()
        sides.clock.move(hours=8)
        sides.rest()
        assert only_item(client, number)["state"] == "failed"
        assert actions(sides) == []

    def test_that_may_have_been_given_is_uncertain_when_it_expires(self, sides: BothSides, client: Client) -> None:
        number = client.order("load-control-events", SCHEDULE)
        sides.decide()
        sides.head_end.script, sides.head_end.down = ["cut"], True
        sides.commands.turn()
        sides.head_end.down = False
        sides.clock.move(hours=8)
        sides.rest()
        assert {each["type_id"] for each in only_item(client, number)["problems"]} == {"357(MDUS)"}
        events = client.get("load-control-events", status="uncertain")["items"]
        assert [(one["device_id"], one["note"].partition(":")[0]) for one in reversed(events)] == [
            (METER, "EXPIRED"),
            (NEW_METER, "EXPIRED"),
        ]

    def test_that_may_have_been_given_is_uncertain_until_it_is_cancelled(
        self, sides: BothSides, client: Client
    ) -> None:
        client.order("load-control-events", SCHEDULE)
        for _ in range(3):
            confirm(sides, status="failed", code="NO_RESPONSE", text="silence")
            sides.clock.move(minutes=1)
        sides.rest()
        assert (shown(client), shown(client, NEW_METER)) == (["uncertain"], ["uncertain"])
        client.order("load-control-events", CANCEL | {"device_ids": [METER]})
        confirm(sides)
        assert (shown(client), shown(client, NEW_METER)) == (["cancelled"], ["uncertain"])

    @pytest.mark.parametrize(
        ("is_given", "status"),
        [pytest.param(True, "uncertain", id="perhaps given"), pytest.param(False, "cancelled", id="never given")],
    )
    def test_that_is_called_back_in_its_own_turn_stands_as_it_ended(
        self, sides: BothSides, client: Client, is_given: bool, status: str
    ) -> None:
        client.order("load-control-events", SCHEDULE | {"device_ids": [METER]})
        sides.rest()
        client.order("load-control-events", CANCEL | {"device_ids": [METER]})
        sides.decide()  # it waits for what is under way
        assert sides.answer(CommandKind.CONTROL_LOAD, status="failed", code="NOT_SUPPORTED", text="x")
        sides.readings.turn()
        number = client.order("load-control-events", SCHEDULE)
        sides.decide()
        if is_given:
            sides.head_end.script, sides.head_end.down = ["cut"], True
            sides.commands.turn()
            sides.head_end.down = False

        sides.clock.move(minutes=2)  # cancellation and event are due in one turn
        sides.decide()
        assert only_item(client, number)["state"] == "waiting"
        confirm(sides, status="failed", code="NOT_SUPPORTED", text="x")
        sides.clock.move(minutes=2)
        sides.rest()
        assert shown(client) == [status]

    def test_that_nobody_knows_is_not_cancelled(self, sides: BothSides, client: Client) -> None:
        number = client.order("load-control-events", CANCEL)
        sides.rest()
        assert [each["type_id"] for each in only_item(client, number)["problems"]] == ["353(MDUS)"]

    def test_that_some_meters_refuse_is_told_meter_by_meter(self, sides: BothSides, client: Client) -> None:
        number = client.order("load-control-events", SCHEDULE | {"device_ids": [METER, "9"]})
        confirm(sides)
        item = only_item(client, number)
        assert item["state"] == "failed"
        assert [each["note"].split(":")[0] for each in item["problems"]] == ["Device 9"]
        assert shown(client) == ["scheduled"]

    def test_is_told_again_where_the_answer_was_lost(self, sides: BothSides, client: Client) -> None:
        sides.head_end.script = ["cut"]
        scheduled(sides, client)
        orders = sides.submitted(CommandKind.CONTROL_LOAD)
        assert (len(orders), len({order["reference"] for order in orders})) == (4, 2)

    def test_takes_up_to_a_thousand_meters(self, client: Client) -> None:
        assert client.post("load-control-events", SCHEDULE | {"device_ids": ["9"] * 1000}).status_code == 202
        assert client.post("load-control-events", SCHEDULE | {"device_ids": ["9"] * 1001}).status_code == 422

    @pytest.mark.parametrize(
        ("changes", "status"),
        [
            ({"percent": 0}, 202),
            ({"percent": 100}, 202),
            ({"percent": 101}, 422),
            ({"percent": -1}, 422),
            ({"minutes": 1440}, 202),
            ({"minutes": 1441}, 422),
            ({"minutes": 0}, 422),
            ({"event_id": ""}, 422),
            ({"action": "forget"}, 422),
        ],
    )
    def test_keeps_to_its_bounds(self, client: Client, changes: dict[str, Any], status: int) -> None:
        assert client.post("load-control-events", SCHEDULE | changes).status_code == status


class TestTheList:
    def test_has_every_device_of_an_event(self, sides: BothSides, client: Client) -> None:
        scheduled(sides, client)
        client.order("load-control-events", CANCEL | {"device_ids": [METER]})
        confirm(sides)
        listed = client.get("load-control-events", event_id="peak", sort="id")["items"]
        assert [(each["device_id"], each["status"]) for each in listed] == [
            (METER, "cancelled"),
            (NEW_METER, "scheduled"),
        ]
        [one] = client.get("load-control-events", status="scheduled")["items"]
        assert one["device_id"] == NEW_METER
        assert client.get("load-control-events", event_id="other")["items"] == []

    def test_has_nothing_for_whoever_sees_another_system(self, sides: BothSides, client: Client) -> None:
        scheduled(sides, client)
        assert Client(sides, name="crew", systems=["Q11"]).get("load-control-events")["items"] == []


class TestTheGovernor:
    def test_lets_no_event_leave_while_switching_is_stopped(self, sides: BothSides, client: Client) -> None:
        stop(sides)
        number = client.order("load-control-events", SCHEDULE)
        sides.rest()
        assert {"KILL_SWITCH" in each["note"] for each in only_item(client, number)["problems"]} == {True}
        assert actions(sides) == []
        assert {event.status.value for event in sides.all(LoadControlEvent)} == {"failed"}

    def test_lets_events_be_cancelled_all_the_same(self, sides: BothSides, client: Client) -> None:
        scheduled(sides, client)
        stop(sides)
        number = client.order("load-control-events", CANCEL)
        confirm(sides)
        assert only_item(client, number)["state"] == "done"
        assert shown(client) == ["cancelled"]
