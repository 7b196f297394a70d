"""Every list with a sort is told in that order, both ways, page by page, without a gap or a repetition."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert

from mdus.domain.access import Role
from mdus.domain.command import Command, CommandKind, OwnerKind
from mdus.domain.device_limit import DeviceLimit
from mdus.domain.end_device_control import ControlCategory, EndDeviceControl
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.load_control_event import LoadControlEvent, LoadControlStatus
from mdus.domain.meter_reading_document import MeterReadingDocument
from mdus.domain.reading import MeterReading
from mdus.messaging.status import MessageStatus
from mdus.storage.access_token import make_token
from mdus.storage.audit import Deed, note_deed
from mdus.storage.job import JOB_RUN
from mdus.storage.message import MESSAGE
from tests.flows.intake.installation import NOW, Installation
from tests.flows.intake.messages import create_device, create_devices, header, item, new_uuid
from tests.flows.rest.test_state_is_read import device, device_event, pages

#: A message to SAP that was given up, and a request of a client's.
DEAD: dict[str, Any] = {
    "direction": "out",
    "sender_system": "P11",
    "service": "S",
    "root": "Root",
    "bulk": False,
    "status": MessageStatus.DEAD,
    "created_at": NOW,
    "stored_at": NOW,
}
REQUEST: dict[str, Any] = {
    **DEAD,
    "direction": "in",
    "bulk": True,
    "status": MessageStatus.COMPLETED,
    "client": "rest:desk",
}
OF_DEVICE = {"sender_system": "P11", "device_id": f"{1:018}"}


@pytest.fixture
def filled(mdus: Installation) -> Installation:
    """Five of everything, of which some came in another order than that of their fields."""
    readings = [
        MeterReading(
            **OF_DEVICE,
            reading_type="1-0:1.8.0*255",
            measured_at=NOW + timedelta(minutes=minutes),
            value=Decimal(minutes),
            received_at=NOW,
        )
        for minutes in (3, 1, 2, 2, 5)
    ]
    commands = [
        Command(
            **OF_DEVICE,
            command_key=f"{number}",
            owner_kind=OwnerKind.REGISTRY,
            owner_key="x",
            serial_id="s",
            head_end="city",
            kind=CommandKind.PROVISION,
            purpose="provision",
            not_before=NOW,
            expires_at=NOW,
        )
        for number in range(5)
    ]
    two_of_one = [replace(each, reading_type="1-0:2.8.0*255") for each in readings[:1]]
    with mdus.database.begin() as uow:
        uow.save([device(3), device(1), device(2, system="P12"), device(5), device(4)])
        uow.save([*readings, *two_of_one, *commands])
        uow.save([device_event(number) for number in range(1, 6)])
        uow.save(
            [ExceptionCase(kind="dead_item", case_key=f"{number}", opened_at=NOW, note="x") for number in range(5)]
        )
        uow.save([document(number) for number in range(1, 6)])
        uow.save([control(number) for number in range(1, 6)])
        uow.save([limit(number) for number in range(1, 6)])
        uow.save([load_control_event(number) for number in range(1, 6)])
        for number in range(5):
            deed = Deed(who="test", reason="a test")
            note_deed(uow.connection, deed, action="retry", target=f"{number}", count=1, at=NOW)
            uow.connection.execute(insert(MESSAGE).values(**DEAD, key=f"{number}", uuid=f"{number}"))
            uow.connection.execute(insert(MESSAGE).values(**REQUEST, key=f"rest:desk/{number}"))
        for slot in range(5):
            uow.connection.execute(
                insert(JOB_RUN).values(job="x", slot=f"{slot}", status="done", attempts=1, created_at=NOW)
            )
    mdus.post(create_devices(*(item(f"{number:018}", header_xml=header(uuid=new_uuid())) for number in range(5))))
    for _ in range(5):
        mdus.post(create_device())
    return mdus


@pytest.fixture
def operator(filled: Installation) -> dict[str, str]:
    """What presents the token of an operator."""
    with filled.database.begin() as uow:
        made = make_token(uow.connection, "desk", role=Role.OPERATOR, systems=None, lasts=None, created_by="test")
    return {"Authorization": f"Bearer {made}"}


def document(number: int) -> MeterReadingDocument:
    return MeterReadingDocument(
        sender_system="P11",
        document_id=f"{number:020}",
        device_id=f"{number:018}",
        measurement_task_id="000000000000000007",
        obis_text="1-0:1.8.0*255",
        reading_type="1-0:1.8.0*255",
        reason_code="01",
        scheduled_on=date(2026, 3, 31),
        time_zone="Europe/Berlin",
        due_at=NOW,
        window_from=NOW,
        window_until=NOW + timedelta(days=1),
        order_item_id=1,
    )


def control(number: int) -> EndDeviceControl:
    return EndDeviceControl(
        sender_system="P11",
        request_id=f"{number:012}",
        category=ControlCategory.DISCONNECT,
        device_id=f"{number:018}",
        planned_at=NOW,
        effective_at=NOW,
        expires_at=NOW + timedelta(hours=1),
        item_id=2,
    )


def limit(number: int) -> DeviceLimit:
    return DeviceLimit(
        sender_system="P11",
        device_id=f"{number:018}",
        serial_id=f"{number}",
        limit_kw=Decimal(number),
        set_at=NOW,
        item_id=number,
    )


def load_control_event(number: int) -> LoadControlEvent:
    return LoadControlEvent(
        sender_system="P11",
        event_id="peak",
        device_id=f"{number:018}",
        start_at=NOW,
        minutes=60,
        percent=40,
        status=LoadControlStatus.SCHEDULED if number % 2 else LoadControlStatus.CANCELLED,
        item_id=number,
    )


@pytest.mark.parametrize(
    ("path", "sort", "parameters", "keys"),
    [
        pytest.param("/devices", "device_id", {}, ("sender_system", "device_id"), id="devices by id"),
        pytest.param("/messages", "id", {}, ("id",), id="messages"),
        pytest.param("/messages", "stored_at", {}, ("stored_at", "id"), id="messages as they were stored"),
        pytest.param("/orders", "id", {"kind": "reading"}, ("document_id",), id="reading orders"),
        pytest.param("/orders", "id", {"kind": "connection"}, ("request_id",), id="connection orders"),
        pytest.param("/audit", "id", {}, ("id",), id="deeds"),
        pytest.param("/audit", "id", {"action": "retry"}, ("target",), id="deeds of a kind"),
        pytest.param("/dead", "id", {"kind": "message"}, ("id",), id="given up"),
        pytest.param("/dead", "id", {"kind": "message", "sender_system": "P11"}, ("id",), id="given up of a system"),
        pytest.param("/requests", "id", {}, ("id",), id="requests"),
        pytest.param("/events", "id", {}, ("event_id",), id="events"),
        pytest.param("/demand-limits", "id", {}, ("device_id",), id="demand limits"),
        pytest.param("/load-control-events", "id", {"event_id": "peak"}, ("id",), id="load control events"),
        pytest.param("/exceptions", "id", {}, ("case_key",), id="cases"),
        pytest.param("/jobs", "id", {}, ("slot",), id="runs of jobs"),
        pytest.param("/commands", "id", OF_DEVICE, ("id",), id="commands"),
        pytest.param("/readings", "id", OF_DEVICE, ("id",), id="readings as they came"),
        pytest.param("/readings", "measured_at", OF_DEVICE, ("measured_at", "id"), id="readings as they were measured"),
    ],
)
@pytest.mark.parametrize("limit", [2, 100])
def test_both_ways(
    filled: Installation,
    operator: dict[str, str],
    path: str,
    sort: str,
    parameters: dict[str, Any],
    keys: tuple[str, ...],
    limit: int,
) -> None:
    def told(name: str) -> list[tuple[Any, ...]]:
        listed = pages(filled, f"/api/v1{path}", headers=operator, limit=limit, sort=name, **parameters)
        return [tuple(row[key] for key in keys) for page in listed for row in page]

    ascending = told(sort)
    assert len(ascending) >= 5
    assert ascending == sorted(set(ascending))
    assert told(f"-{sort}") == ascending[::-1]


@pytest.mark.parametrize("status", [None, "ready"])
def test_items_of_a_message_both_ways(filled: Installation, status: str | None) -> None:
    bulk = next(row.id for row in filled.rows(MESSAGE) if row.bulk and row.client is None)

    def told(**parameters: Any) -> list[int]:
        path = f"/api/v1/messages/{bulk}/items"
        listed = pages(filled, path, limit=2, **({"status": status} if status else {}), **parameters)
        return [row["position"] for page in listed for row in page]

    assert told() == told(sort="position") == [1, 2, 3, 4, 5]
    assert told(sort="-position") == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("limit", [2, 5, 7, 100])
def test_orders_of_both_kinds_have_readings_first_both_ways(filled: Installation, limit: int) -> None:
    def told(name: str) -> list[int]:
        listed = pages(filled, "/api/v1/orders", limit=limit, sort=name)
        return [int(row.get("document_id") or row["request_id"]) for page in listed for row in page]

    assert told("id") == [1, 2, 3, 4, 5] * 2
    assert told("-id") == [5, 4, 3, 2, 1] * 2


@pytest.mark.parametrize(
    ("path", "parameters", "unasked", "other"),
    [
        pytest.param("/orders", {}, "-id", "id", id="orders"),
        pytest.param("/audit", {}, "-id", "id", id="deeds"),
        pytest.param("/dead", {"kind": "message"}, "id", "-id", id="given up"),
        pytest.param("/requests", {}, "-id", "id", id="requests"),
        pytest.param("/messages/{bulk}/items", {}, "position", "-position", id="items"),
    ],
)
def test_a_cursor_is_of_the_sort_it_came_with(
    filled: Installation, operator: dict[str, str], path: str, parameters: dict[str, str], unasked: str, other: str
) -> None:
    bulk = next(row.id for row in filled.rows(MESSAGE) if row.bulk and row.client is None)

    def page(**further: Any) -> Any:
        asked = {**parameters, "limit": 2, **further}
        return filled.get(f"/api/v1{path.format(bulk=bulk)}", headers=operator, params=asked)

    first, reverse = page().json(), page(sort=other).json()
    assert first["items"] == page(sort=unasked).json()["items"] != reverse["items"]
    assert page(cursor=first["next"]).status_code == 200
    assert page(sort=other, cursor=reverse["next"]).status_code == 200
    for wrong in (page(sort=other, cursor=first["next"]), page(cursor=reverse["next"])):
        assert wrong.status_code == 409
        assert [error["at"] for error in wrong.json()["errors"]] == ["query.cursor"]
    assert page(sort="-note").status_code == 422


def test_a_position_beyond_all_ends_a_list(filled: Installation) -> None:
    [bulk] = [row.id for row in filled.rows(MESSAGE) if row.bulk and row.client is None]
    page = filled.get(f"/api/v1/messages/{bulk}/items", params={"cursor": "9" * 16})
    assert (page.status_code, page.json()["items"]) == (200, [])


def test_a_cursor_is_good_for_any_name_of_the_same_order(mdus_on_sqlite: Installation) -> None:
    for _ in range(3):
        mdus_on_sqlite.post(create_device())
    cursor = mdus_on_sqlite.get("/api/v1/messages", params={"sort": "id", "limit": 1}).json()["next"]
    for sort, status in (("stored_at", 200), ("-stored_at", 409), ("-id", 409)):
        response = mdus_on_sqlite.get("/api/v1/messages", params={"sort": sort, "cursor": cursor})
        assert response.status_code == status
