"""What a REST client orders: taken once, decided like SAP's, governed like SAP's, read where SAP is answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mdus.domain.access import Role
from mdus.domain.command import CommandKind
from mdus.domain.end_device import EndDeviceStatus, SwitchState
from mdus.domain.end_device_control import ControlStatus, EndDeviceControl
from mdus.domain.end_device_event import EndDeviceEvent, LateFailure
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.reading import MeterReading
from mdus.storage.end_device_control import order_switching
from mdus.storage.message import MESSAGE
from mdus.workers import reconcile
from tests.flows import orders
from tests.flows.both_sides import ENERGY, SENDER, BothSides
from tests.flows.rest.doors import Client
from tests.flows.rest.processes import DOCUMENT, METER, START, connection_order, reading_order

UNKNOWN = "000000000000000099"


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=START)
    made.meter(METER)
    yield made
    made.close()


@pytest.fixture
def client(sides: BothSides) -> Client:
    return Client(sides)


def only_item(client: Client, number: int) -> dict[str, Any]:
    [item] = client.request(number)["items"]
    assert isinstance(item, dict)
    return item


class TestARequest:
    def test_tells_what_becomes_of_each_item(self, sides: BothSides, client: Client) -> None:
        number = client.order("reading-orders", reading_order(), reading_order(device_id=UNKNOWN, document_id=None))
        waiting = client.request(number)
        assert waiting["state"] == "waiting"
        assert [item["state"] for item in waiting["items"]] == ["waiting", "waiting"]

        sides.rest()
        done, failed = client.request(number)["items"]
        assert (done["state"], done["problems"]) == ("done", [])
        assert failed["state"] == "failed"
        assert [problem["type_id"] for problem in failed["problems"]] == ["110(MDUS)"]
        assert client.request(number)["client"] == "rest:portal"

    def test_names_the_order_where_the_client_does_not(self, sides: BothSides, client: Client) -> None:
        number = client.order("reading-orders", reading_order(document_id=None))
        sides.rest()
        made = only_item(client, number)["request"]["document_id"]
        assert len(made) == 20
        [document] = sides.all(MeterReadingDocument)
        assert document.document_id == made

    def test_is_taken_once_per_idempotency_key(self, sides: BothSides, client: Client) -> None:
        first = client.post("reading-orders", reading_order(document_id=None), key="k1")
        again = client.post("reading-orders", reading_order(document_id=None), key="k1")
        assert (first.status_code, again.status_code) == (202, 202)
        assert first.json()["id"] == again.json()["id"]
        sides.rest()
        assert client.post("reading-orders", reading_order(document_id=None), key="k1").status_code == 200
        assert len(sides.all(MeterReadingDocument)) == 1
        assert len(sides.mdus.rows(MESSAGE)) == 1

        other = client.post("reading-orders", reading_order(reason_code="01"), key="k1")
        assert other.status_code == 409
        assert "came before with other content" in other.json()["detail"]
        assert Client(sides, name="crew").order("reading-orders", reading_order(document_id=None), key="k1")

    def test_is_answered_when_it_is_settled_if_the_client_waits(self, sides: BothSides, client: Client) -> None:
        def decide_once_stored() -> None:
            while not sides.mdus.rows(MESSAGE):
                time.sleep(0.01)
            sides.decide()

        worker = threading.Thread(target=decide_once_stored)
        worker.start()
        answer = client.post("reading-orders?wait=20", reading_order())
        worker.join()
        assert (answer.status_code, answer.json()["state"]) == (200, "settled")

    def test_that_waits_too_short_is_told_that_it_waits(self, client: Client) -> None:
        answer = client.post("reading-orders?wait=0.2", reading_order())
        assert (answer.status_code, answer.json()["state"]) == (202, "waiting")

    def test_is_in_the_audit_with_its_reason(self, sides: BothSides) -> None:
        client = Client(sides, role=Role.ADMIN)
        number = client.order("reading-orders", reading_order(), reason="the customer asked")
        [deed] = client.get("audit")["items"]
        assert (deed["who"], deed["reason"], deed["count"]) == ("rest:portal", "the customer asked", 1)
        assert deed["action"] == "order reading-orders"
        assert deed["target"] == f"request {number} to {SENDER}"

    def test_is_listed(self, client: Client) -> None:
        numbers = [client.order("reading-orders", reading_order(document_id=None)) for _ in range(3)]
        page = client.get("requests", limit=2)
        assert [one["id"] for one in page["items"]] == numbers[:0:-1]
        rest = client.get("requests", limit=2, cursor=page["next"])
        assert [one["id"] for one in rest["items"]] == numbers[:1]
        assert {one["resource"] for one in page["items"]} == {"reading-orders"}
        assert client.get("requests", client="rest:nobody")["items"] == []

    def test_is_found_by_trace(self, sides: BothSides, client: Client) -> None:
        client.order("reading-orders", reading_order())
        sides.rest()
        traced = client.get("trace", of=DOCUMENT)
        assert {"message from rest:portal", "item"} <= {happening["what"] for happening in traced["happenings"]}
        assert traced["missing"] == []
        assert not any("SAP" in step["step"] for step in traced["steps"]), traced["steps"]

    def test_is_not_replayed(self, sides: BothSides) -> None:
        client = Client(sides, role=Role.ADMIN)
        number = client.order("reading-orders", reading_order())
        answer = sides.mdus.ask(
            "POST", f"/api/v1/messages/{number}/replay", json={"reason": "a test"}, headers=client.headers
        )
        assert answer.status_code == 409
        assert "Idempotency-Key" in answer.json()["detail"]


class TestWhoMay:
    @pytest.mark.parametrize(
        ("role", "resource", "item", "status"),
        [
            (Role.VIEWER, "reading-orders", reading_order(), 403),
            (Role.OPERATOR, "reading-orders", reading_order(), 202),
            (Role.OPERATOR, "connection-orders", connection_order(), 403),
            (Role.APPROVER, "connection-orders", connection_order(), 202),
        ],
    )
    def test_is_said_by_the_role(
        self, sides: BothSides, role: Role, resource: str, item: dict[str, Any], status: int
    ) -> None:
        assert Client(sides, role=role).post(resource, item).status_code == status

    def test_is_said_by_the_systems_of_the_token(self, sides: BothSides) -> None:
        crew = Client(sides, name="crew", systems=["Q11"])
        answer = crew.post("reading-orders", reading_order())
        assert answer.status_code == 403
        assert "acts for Q11, not for P11" in answer.json()["detail"]
        mine = Client(sides).order("reading-orders", reading_order())
        assert sides.mdus.get(f"/api/v1/requests/{mine}", headers=crew.headers).status_code == 404
        assert crew.get("requests")["items"] == []

    def test_is_said_of_addresses_too(self, sides: BothSides) -> None:
        location = {
            "valid_from": "2026-01-01",
            "valid_to": None,
            "installation_point_id": "IP1",
            "parent_installation_point_id": "CO1",
            "street_name": "Mill Lane",
        }
        item = {"device_id": METER, "ams_id": "AM01", "locations_complete": True, "locations": [location]}
        crew = Client(sides, name="crew", role=Role.OPERATOR)
        number = crew.order("device-locations", item)
        [shown] = crew.request(number)["items"]
        assert shown["request"]["locations"][0]["street_name"] == "Mill Lane"
        [hidden] = Client(sides, role=Role.VIEWER).request(number)["items"]
        assert hidden["request"]["locations"][0]["street_name"] == "***"


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("changes", "at"),
        [
            ({"scheduled_on": "28.03.2026"}, "scheduled_on"),
            ({"scheduled_on": 20260328}, "scheduled_on"),
            ({"device_id": "0" * 19}, "device_id"),
            ({"device_id": ""}, "device_id"),
            ({"device_id": 42}, "device_id"),
            ({"device_id": "4\x002"}, "device_id"),
            ({"measurement_task_id": "A1"}, "measurement_task_id"),
            ({"devise_id": METER}, "devise_id"),
        ],
    )
    def test_in_an_item_is_named(self, client: Client, changes: dict[str, Any], at: str) -> None:
        answer = client.post("reading-orders", reading_order(**changes))
        assert answer.status_code == 422
        assert [error["at"] for error in answer.json()["errors"]] == [f"body.items.0.{at}"]

    def test_with_the_whole_is_named(self, client: Client) -> None:
        assert client.post("reading-orders").status_code == 422
        assert client.post("reading-orders", reading_order(), reason="").status_code == 422
        assert client.post("reading-orders", *[reading_order()] * 1001).status_code == 422
        assert client.post("nothing", reading_order()).status_code in (404, 405)


class TestAReadingOrder:
    def test_gives_the_client_the_value_and_sap_nothing(self, sides: BothSides, client: Client) -> None:
        client.order("reading-orders", reading_order())
        orders.read_now(sides, "12345.67")
        [document] = sides.all(MeterReadingDocument)
        assert (document.status, document.client) == (DocumentStatus.AVAILABLE, "rest:portal")
        [order] = client.get("orders", kind="reading")["items"]
        assert (order["status"], float(order["value"]), order["client"]) == ("available", 12345.67, "rest:portal")
        assert orders.results(sides) == {}

    def test_that_finds_no_value_tells_the_client_only(self, sides: BothSides, client: Client) -> None:
        client.order("reading-orders", reading_order())
        for _ in range(10):
            sides.rest()
            sides.clock.move(hours=2)
        [document] = sides.all(MeterReadingDocument)
        assert document.status is DocumentStatus.FAILED
        assert document.note
        assert sides.all(ExceptionCase) == []
        assert sides.all(EndDeviceEvent) == []

    def test_of_sap_that_a_crew_has_read_is_answered_to_sap(self, sides: BothSides, client: Client) -> None:
        sides.tell(orders.READING, orders.reading(DOCUMENT, METER, reason="21", on="2026-03-28", source="0"))
        sides.rest()
        item = {
            "document_id": DOCUMENT,
            "reason_code": "21",
            "measurement_task_id": METER,
            "device_id": METER,
            "ams_id": "AM01",
            "read_on": "2026-03-28",
            "read_time": "10:00:00",
            "type_code": "01",
            "value": "4711.50",
        }
        number = client.order("manual-readings", item)
        sides.rest()
        assert only_item(client, number)["state"] == "done"
        assert orders.results(sides)[DOCUMENT]["value"] == "4711.50"
        again = client.order("manual-readings", item | {"value": "4712.00"})
        sides.rest()
        assert only_item(client, again)["state"] == "failed"


class TestASwitch:
    def test_ordered_outside_sap_is_told_to_sap_and_reconciled(self, sides: BothSides, client: Client) -> None:
        number = client.order("connection-orders", connection_order(request_id=None))
        orders.carry_out(sides, "disconnected")
        assert only_item(client, number)["state"] == "done"
        assert orders.switches(sides) == {}
        [event] = sides.all(EndDeviceEvent)
        assert event.event_type == LateFailure.SWITCHED_OUTSIDE_SAP
        assert event.text == f"Device {METER} is disconnected by order of rest:portal"

        sides.clock.move(hours=1)
        now = sides.clock.now()
        reconcile.run(sides.database, {}, now=now, day=now.date())
        [case] = [case for case in sides.all(ExceptionCase) if case.kind == "switched_outside_sap"]
        assert "by order" in case.note
        assert "of rest:portal, not of SAP" in case.note

        sides.tell(orders.SWITCH, orders.switch("000000000001", METER, at=now, category="2"))
        orders.carry_out(sides, "connected")
        reconcile.run(sides.database, {}, now=sides.clock.now(), day=now.date())
        cases = [case for case in sides.all(ExceptionCase) if case.kind == "switched_outside_sap"]
        assert [case.closed_at for case in cases] == [sides.clock.now()]

    def test_that_finds_the_breaker_so_tells_sap_nothing(self, sides: BothSides, client: Client) -> None:
        standing = EndDeviceStatus(
            sender_system=SENDER,
            device_id=METER,
            has_breaker=True,
            switch_state=SwitchState.DISCONNECTED,
            switch_state_at=START - timedelta(minutes=5),
        )
        sides.save(standing)
        number = client.order("connection-orders", connection_order())
        sides.rest()
        assert only_item(client, number)["state"] == "done"
        assert sides.all(EndDeviceEvent) == []

    def test_passes_the_same_governor(self, sides: BothSides, client: Client) -> None:
        with sides.database.begin() as uow:
            order_switching(uow.connection, stopped=True, reason="storm", ordered_by="test", at=START)
        number = client.order("connection-orders", connection_order())
        sides.rest()
        item = only_item(client, number)
        assert item["state"] == "failed"
        assert [problem["type_id"] for problem in item["problems"]] == ["313(MDUS)"]
        assert sides.submitted(CommandKind.SWITCH) == []
        [control] = sides.all(EndDeviceControl)
        assert control.status is ControlStatus.FAILED

    def test_of_test_data_moves_nothing(self, sides: BothSides, client: Client) -> None:
        number = client.order("connection-orders", connection_order(), test_data=True)
        sides.rest()
        assert only_item(client, number)["state"] == "failed"
        assert sides.submitted(CommandKind.SWITCH) == []


class TestAQuestionToAMeter:
    def test_reads_it_now(self, sides: BothSides, client: Client) -> None:
        number = client.order("commands", {"device_id": METER, "ask": "read"})
        orders.read_now(sides, "12345.67")
        item = only_item(client, number)
        assert item["state"] == "done"
        [reading] = item["result"]["readings"]
        assert (reading["reading_type"], float(reading["value"]), reading["unit"]) == (ENERGY, 12345.67, "kWh")
        assert [float(one.value) for one in sides.all(MeterReading)] == [12345.67]

    def test_asks_how_its_breaker_stands(self, sides: BothSides, client: Client) -> None:
        number = client.order("commands", {"device_id": METER, "ask": "switch_state"})
        sides.rest()
        sides.answer(CommandKind.SWITCH_STATE, switch_state="connected", switched_at=None)
        sides.rest()
        assert only_item(client, number)["result"]["switch_state"] == "connected"
        [status] = sides.all(EndDeviceStatus)
        assert status.switch_state is SwitchState.CONNECTED

    def test_asks_for_a_sign_of_life(self, sides: BothSides, client: Client) -> None:
        number = client.order("commands", {"device_id": METER, "ask": "ping"})
        sides.rest()
        assert sides.answer(CommandKind.PING) == 1
        sides.rest()
        item = only_item(client, number)
        assert item["state"] == "done"
        assert datetime.fromisoformat(item["result"]["told_at"]) == START.astimezone(UTC)

    def test_that_stays_silent_fails(self, sides: BothSides, client: Client) -> None:
        number = client.order("commands", {"device_id": METER, "ask": "ping"})
        for _ in range(5):
            sides.rest()
            sides.clock.move(hours=1)
        item = only_item(client, number)
        assert item["state"] == "failed"
        assert "did not answer" in item["problems"][0]["note"]

    def test_of_no_device_fails_at_once(self, sides: BothSides, client: Client) -> None:
        number = client.order("commands", {"device_id": UNKNOWN, "ask": "read"})
        sides.rest()
        assert [problem["type_id"] for problem in only_item(client, number)["problems"]] == ["110(MDUS)"]
