"""A person or program reads what MDUS knows: devices, orders, messages and what needs a human."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mdus.domain.end_device import EndDevice, EndDeviceStatus, SwitchState
from mdus.domain.end_device_control import ControlCategory, EndDeviceControl
from mdus.domain.end_device_event import EndDeviceEvent, EventReason, EventState
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation, UsagePoint
from mdus.storage.message import MESSAGE
from tests.flows.intake.installation import NOW, SERVICES, Installation
from tests.flows.intake.messages import CREATE_DEVICE, create_device, create_devices, header, item, new_uuid

SENDERS = """
[[senders]]
name = "prod"
user = "sap_prod"
password = "one"
systems = ["P11"]
default_system = "P11"

[[senders]]
name = "any"
user = "operator"
password = "two"
systems = ["*"]
default_system = "P11"
"""


def pages(
    mdus: Installation, path: str, *, headers: Mapping[str, str] | None = None, **parameters: Any
) -> list[list[dict[str, Any]]]:
    """Follow a list to its end."""
    found, cursor = [], None
    while True:
        asked = {**parameters, **({"cursor": cursor} if cursor else {})}
        response = mdus.get(path, params=asked, headers=headers or {})
        assert response.status_code == 200, response.text
        page = response.json()
        found.append(page["items"])
        cursor = page["next"]
        if cursor is None:
            return found


def device(number: int, *, system: str = "P11") -> EndDevice:
    return EndDevice(
        sender_system=system,
        device_id=f"{number:018}",
        serial_id=f"{number:010}",
        material_id="METER-E",
        valid_from=date(2026, 1, 1),
        head_end="north",
    )


def device_event(number: int, *, system: str = "P11") -> EndDeviceEvent:
    return EndDeviceEvent(
        event_id=f"{number:022}",
        sender_system=system,
        device_id=str(number),
        event_type="3.26.0.85",
        at=NOW,
        source="north",
        area="north",
        text="power down",
        properties=(("phase", "L2"),),
        told_at=NOW,
    )


class TestDevices:
    def test_are_listed_page_by_page_with_what_the_field_says(self, mdus: Installation) -> None:
        status = EndDeviceStatus(
            sender_system="P11",
            device_id=f"{3:018}",
            last_heard_at=NOW,
            has_breaker=True,
            switch_state=SwitchState.CONNECTED,
        )
        with mdus.database.begin() as uow:
            uow.save([*(device(number) for number in range(5)), status])
        listed = pages(mdus, "/api/v1/devices", limit=2)
        assert [len(page) for page in listed] == [2, 2, 1]
        found = {row["device_id"]: row for page in listed for row in page}
        assert len(found) == 5
        assert found[f"{3:018}"]["switch_state"] == "connected"
        assert found[f"{3:018}"]["last_heard_at"] == "2026-03-28T10:00:00Z"
        assert found[f"{4:018}"]["last_heard_at"] is None

    @pytest.mark.parametrize(
        ("wanted", "count"),
        [
            pytest.param({"serial_id": f"{2:010}"}, 2, id="serial number, kept with its zeros"),
            pytest.param({"serial_id": "2"}, 0, id="serial number without its zeros"),
            pytest.param({"sender_system": "P12"}, 1, id="sender system"),
            pytest.param({"sender_system": "P12", "device_id": f"{1:018}"}, 0, id="both must hold"),
            pytest.param({"head_end": "north"}, 3, id="head end"),
        ],
    )
    def test_are_found_by_what_is_asked(self, mdus: Installation, wanted: dict[str, str], count: int) -> None:
        # A head end knows a serial number once: the other system's meter stands at another one.
        other = replace(device(2, system="P12"), head_end="south")
        with mdus.database.begin() as uow:
            uow.save([device(1), device(2), device(3), other])
        assert sum(map(len, pages(mdus, "/api/v1/devices", **wanted))) == count

    def test_are_shown_with_all_that_hangs_on_them(self, mdus: Installation) -> None:
        register = Register(
            sender_system="P11",
            device_id=f"{1:018}",
            measurement_task_id="000000000000000007",
            valid_from=date(2026, 1, 1),
            reading_type="1-0:1.8.0*255",
            unit="KWH",
            factor=Decimal("0.50000"),
        )
        location = DeviceLocation(
            sender_system="P11",
            device_id=f"{1:018}",
            installation_point_id="A1",
            valid_from=date(2026, 1, 1),
            parent_installation_point_id="A",
            city_name="Ulm",
        )
        point = UsagePoint(
            sender_system="P11",
            device_id=f"{1:018}",
            measurement_task_id="000000000000000007",
            point_of_delivery_id="DE001",
            valid_from=NOW,
        )
        with mdus.database.begin() as uow:
            uow.save([device(1), register, location, point])
        shown = mdus.get(f"/api/v1/devices/P11/{1:018}").json()
        assert shown["serial_id"] == f"{1:010}"
        assert shown["registers"][0]["measurement_task_id"] == "000000000000000007"
        assert Decimal(shown["registers"][0]["factor"]) == Decimal("0.5")
        assert shown["locations"][0]["city_name"] == "Ulm"
        assert shown["usage_points"][0]["point_of_delivery_id"] == "DE001"
        assert shown["logical_locations"] == []

    def test_are_shown_with_what_they_can_do(self, sqlite_url: str, tmp_path: Path) -> None:
        (tmp_path / "capabilities.toml").write_text(
            '[[capabilities]]\nname = "electricity"\nmaterial_id = "METER-E"\ndisconnect = false\ntext = false\n'
        )
        mdus = Installation(sqlite_url, environ={"MDUS_CONFIG": str(tmp_path)})
        with mdus.database.begin() as uow:
            uow.save([device(1), replace(device(2), material_id="METER-G")])
        able = [mdus.get(f"/api/v1/devices/P11/{number:018}").json()["capabilities"] for number in (1, 2)]
        assert [("disconnect" in some, "reconnect" in some) for some in able] == [(False, True), (True, True)]

    def test_are_not_found_under_another_system(self, mdus: Installation) -> None:
        with mdus.database.begin() as uow:
            uow.save([device(1)])
        response = mdus.get(f"/api/v1/devices/P12/{1:018}")
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == 404


class TestOrders:
    @pytest.fixture
    def with_orders(self, mdus: Installation) -> Installation:
        documents = [
            MeterReadingDocument(
                sender_system="P11",
                document_id=f"{number:020}",
                device_id=f"{number % 2:018}",
                measurement_task_id="000000000000000007",
                obis_text="1-0:1.8.0*255",
                reading_type="1-0:1.8.0*255",
                reason_code="01",
                scheduled_on=date(2026, 3, 31),
                time_zone="Europe/Berlin",
                status=DocumentStatus.READ if number == 3 else DocumentStatus.ORDERED,
                due_at=NOW,
                window_from=NOW,
                window_until=NOW + timedelta(days=1),
                order_item_id=1,
                value=Decimal("12.30") if number == 3 else None,
            )
            for number in range(5)
        ]
        controls = [
            EndDeviceControl(
                sender_system="P11",
                request_id="000000000042",
                category=ControlCategory.DISCONNECT,
                device_id=f"{number:018}",
                planned_at=NOW,
                effective_at=NOW,
                expires_at=NOW + timedelta(hours=1),
                item_id=2,
            )
            for number in range(3)
        ]
        with mdus.database.begin() as uow:
            uow.save([*documents, *controls])
        return mdus

    @pytest.mark.parametrize("limit", [2, 5, 8, 100])
    def test_are_listed_readings_first_without_gap_or_repeat(self, with_orders: Installation, limit: int) -> None:
        listed = pages(with_orders, "/api/v1/orders", limit=limit)
        kinds = [row["kind"] for page in listed for row in page]
        assert kinds == ["reading"] * 5 + ["connection"] * 3
        ids = {(row.get("document_id"), row.get("request_id"), row["device_id"]) for page in listed for row in page}
        assert len(ids) == 8
        assert all(len(page) <= limit for page in listed)

    @pytest.mark.parametrize(
        ("wanted", "count"),
        [
            pytest.param({"kind": "reading"}, 5, id="readings"),
            pytest.param({"kind": "connection"}, 3, id="connections"),
            pytest.param({"status": "read"}, 1, id="a status of readings"),
            pytest.param({"device_id": f"{0:018}"}, 4, id="a device"),
            pytest.param({"sender_system": "P12"}, 0, id="another system"),
        ],
    )
    def test_are_found_by_what_is_asked(self, with_orders: Installation, wanted: dict[str, str], count: int) -> None:
        assert sum(map(len, pages(with_orders, "/api/v1/orders", **wanted))) == count

    def test_show_the_value_exact(self, with_orders: Installation) -> None:
        [[row]] = pages(with_orders, "/api/v1/orders", status="read")
        assert Decimal(row["value"]) == Decimal("12.3")
        assert row["scheduled_on"] == "2026-03-31"

    @pytest.mark.parametrize("wanted", [{"kind": "other"}, {"cursor": "5"}, {"cursor": "reading-x"}, {"limit": "0"}])
    def test_answer_nonsense_with_a_problem(self, mdus_on_sqlite: Installation, wanted: dict[str, str]) -> None:
        response = mdus_on_sqlite.get("/api/v1/orders", params=wanted)
        assert response.status_code == 422
        assert response.headers["content-type"] == "application/problem+json"


class TestMessages:
    def test_are_listed_newest_first_and_filtered(self, mdus: Installation) -> None:
        uuid = new_uuid()
        mdus.post(create_device(uuid=uuid))
        mdus.post(create_device(sender="P12"))
        mdus.post(b"<broken")
        [everything] = pages(mdus, "/api/v1/messages")
        assert [row["status"] for row in everything] == ["refused", "received", "received"]
        [[refused]] = pages(mdus, "/api/v1/messages", status="refused")
        assert "Not well-formed XML" in refused["refusal"]
        [[by_uuid]] = pages(mdus, "/api/v1/messages", uuid=uuid)
        assert by_uuid["sender_system"] == "P11"
        [[by_system]] = pages(mdus, "/api/v1/messages", sender_system="P12", service=CREATE_DEVICE)
        assert by_system["id"] == everything[1]["id"]
        assert pages(mdus, "/api/v1/messages", direction="out") == [[]]
        assert len(pages(mdus, "/api/v1/messages", limit=1)) == 4

    def test_are_shown_with_items_events_and_body(self, mdus: Installation) -> None:
        content = create_devices(*(item(f"{n:018}", header_xml=header(uuid=new_uuid())) for n in range(150)))
        mdus.post(content)
        [row] = mdus.rows(MESSAGE)
        shown = mdus.get(f"/api/v1/messages/{row.id}").json()
        assert (shown["item_count"], len(shown["items"])) == (150, 100)
        assert [event["status"] for event in shown["events"]] == ["received"]
        assert f"{0:018}" in shown["items"][0]["content"]
        assert mdus.get(f"/api/v1/messages/{row.id}/body").content == content

    def test_list_all_their_items(self, mdus: Installation) -> None:
        mdus.post(create_devices(*(item(f"{n:018}", header_xml=header(uuid=new_uuid())) for n in range(7))))
        [row] = mdus.rows(MESSAGE)
        listed = pages(mdus, f"/api/v1/messages/{row.id}/items", limit=3)
        assert [entry["position"] for page in listed for entry in page] == list(range(1, 8))
        assert pages(mdus, f"/api/v1/messages/{row.id}/items", status="closed") == [[]]

    @pytest.mark.parametrize("path", ["/api/v1/messages/1", "/api/v1/messages/1/items", "/api/v1/messages/1/body"])
    def test_are_not_found_before_they_came(self, mdus_on_sqlite: Installation, path: str) -> None:
        assert mdus_on_sqlite.get(path).status_code == 404

    @pytest.mark.parametrize(
        "wanted", [{"status": "lost"}, {"direction": "up"}, {"cursor": "x"}, {"limit": "1001"}, {"cursor": "1" * 19}]
    )
    def test_answer_nonsense_with_a_problem(self, mdus_on_sqlite: Installation, wanted: dict[str, str]) -> None:
        response = mdus_on_sqlite.get("/api/v1/messages", params=wanted)
        assert response.status_code == 422
        assert response.json()["title"]


class TestEvents:
    def test_are_listed_the_newest_first_page_by_page(self, mdus: Installation) -> None:
        with mdus.database.begin() as uow:
            uow.save([device_event(number) for number in range(1, 6)])
        listed = pages(mdus, "/api/v1/events", limit=2)
        assert [[row["device_id"] for row in page] for page in listed] == [["5", "4"], ["3", "2"], ["1"]]
        assert listed[0][0]["properties"] == {"phase": "L2"}

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({"device_id": "1"}, ["1"]),
            ({"event_type": "3.1.1.1"}, ["2"]),
            ({"state": "suppressed"}, ["2"]),
            ({"state": "told"}, ["1"]),
            ({"reason": "storm"}, ["2"]),
            ({"reason": "repeated"}, []),
            ({"sender_system": "P12"}, []),
        ],
    )
    def test_are_found_by(self, mdus_on_sqlite: Installation, wanted: dict[str, str], found: list[str]) -> None:
        suppressed = replace(
            device_event(2), event_type="3.1.1.1", state=EventState.SUPPRESSED, reason=EventReason.STORM
        )
        with mdus_on_sqlite.database.begin() as uow:
            uow.save([device_event(1), suppressed])
        listed = mdus_on_sqlite.get("/api/v1/events", params=wanted).json()["items"]
        assert [row["device_id"] for row in listed] == found

    def test_answer_an_unknown_state_with_a_problem(self, mdus_on_sqlite: Installation) -> None:
        assert mdus_on_sqlite.get("/api/v1/events", params={"state": "lost"}).status_code == 422


class TestExceptions:
    def test_are_listed_open_or_closed(self, mdus: Installation) -> None:
        cases = [
            ExceptionCase(kind="dead_item", case_key="1", opened_at=NOW, note="given up"),
            ExceptionCase(kind="dead_item", case_key="2", opened_at=NOW, closed_at=NOW, note="mended"),
            ExceptionCase(kind="reading_missing", case_key="1", opened_at=NOW, note="no value"),
        ]
        with mdus.database.begin() as uow:
            uow.save(cases)
        assert [row["kind"] for row in pages(mdus, "/api/v1/exceptions")[0]] == ["reading_missing", "dead_item"]
        assert [row["note"] for row in pages(mdus, "/api/v1/exceptions", open=False)[0]] == ["mended"]
        assert [row["note"] for row in pages(mdus, "/api/v1/exceptions", kind="dead_item")[0]] == ["given up"]


class TestWhoMayRead:
    @pytest.fixture
    def guarded(self, sqlite_url: str, tmp_path: Path) -> Installation:
        (tmp_path / "senders.toml").write_text(SENDERS)
        installation = Installation(sqlite_url, environ={"MDUS_CONFIG": str(tmp_path)})
        with installation.database.begin() as uow:
            uow.save([device(1), device(2, system="P12"), device_event(1), device_event(2, system="P12")])
        return installation

    @staticmethod
    def basic(user: str, password: str) -> dict[str, str]:
        return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}

    @pytest.mark.parametrize(
        "path", ["devices", "orders", "events", "messages", "exceptions", "devices/P11/1", "messages/1"]
    )
    def test_is_asked_for_user_and_password(self, guarded: Installation, path: str) -> None:
        response = guarded.get(f"/api/v1/{path}")
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Basic ")
        assert response.headers["content-type"] == "application/problem+json"
        assert guarded.get(f"/api/v1/{path}", headers=self.basic("sap_prod", "two")).status_code == 401

    def test_sees_its_own_systems_only(self, guarded: Installation) -> None:
        headers = self.basic("sap_prod", "one")
        listed = guarded.get("/api/v1/devices", headers=headers).json()["items"]
        assert [row["sender_system"] for row in listed] == ["P11"]
        listed = guarded.get("/api/v1/events", headers=headers).json()["items"]
        assert [row["sender_system"] for row in listed] == ["P11"]
        assert guarded.get(f"/api/v1/devices/P12/{2:018}", headers=headers).status_code == 404
        assert guarded.get(f"/api/v1/devices/P11/{1:018}", headers=headers).status_code == 200

    def test_sees_all_where_its_user_may_name_any(self, guarded: Installation) -> None:
        headers = self.basic("operator", "two")
        assert len(guarded.get("/api/v1/devices", headers=headers).json()["items"]) == 2
        assert guarded.get(f"/api/v1/devices/P12/{2:018}", headers=headers).status_code == 200


class TestDescription:
    def test_is_served_with_every_resource(self, mdus_on_sqlite: Installation) -> None:
        assert mdus_on_sqlite.get("/api/docs").status_code == 200
        described = mdus_on_sqlite.get("/api/openapi.json").json()
        assert {f"/api/v1/{name}" for name in ("devices", "orders", "events", "messages", "exceptions")} <= set(
            described["paths"]
        )
        assert not [path for path in described["paths"] if path.startswith("/sap")]
        writes = {
            (verb, name.removeprefix("/api/v1/"))
            for name, verbs in described["paths"].items()
            for verb in verbs
            if verb != "get"
        }
        assert writes == {
            ("post", "dead/retry"),
            ("post", "dead/leave"),
            ("post", "unmapped/retry"),
            ("post", "messages/{message_id}/resend"),
            ("post", "messages/{message_id}/replay"),
            ("post", "switching"),
            ("post", "webhooks"),
            ("post", "webhooks/{webhook_id}/delete"),
            ("post", "determinants/{determinant_id}/release"),
            ("put", "points-of-delivery/{sender_system}/{point_of_delivery_id}/determinant-set"),
            ("patch", "exceptions"),
            ("patch", "exceptions/{kind}/{key}"),
            ("put", "exception-rules"),
            ("post", "exception-rules/preview"),
            ("post", "exception-storms"),
            ("post", "exception-storms/{storm_id}/end"),
            ("post", "intervals/edits"),
            ("post", "readings/{reading_id}/accept"),
            ("post", "readings/{reading_id}/reject"),
            ("put", "rule-sets/{name}"),
            ("post", "rule-sets/{name}/preview"),
            ("delete", "rule-sets/{name}/versions/{version}"),
            *(("post", service.door.path) for service in SERVICES.values() if getattr(service, "door", None)),
        }

    def test_is_a_problem_for_an_unknown_path(self, mdus_on_sqlite: Installation) -> None:
        response = mdus_on_sqlite.get("/api/v1/nothing")
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/problem+json"
