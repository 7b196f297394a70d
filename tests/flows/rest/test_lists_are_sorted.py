"""Every list with a sort is told in that order, both ways, page by page, without a gap or a repetition."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert

from mdus.domain.command import Command, CommandKind, OwnerKind
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.reading import MeterReading
from mdus.storage.job import JOB_RUN
from tests.flows.intake.installation import NOW, Installation
from tests.flows.intake.messages import create_device
from tests.flows.rest.test_state_is_read import device, device_event, pages

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
        for slot in range(5):
            uow.connection.execute(
                insert(JOB_RUN).values(job="x", slot=f"{slot}", status="done", attempts=1, created_at=NOW)
            )
    for _ in range(5):
        mdus.post(create_device())
    return mdus


@pytest.mark.parametrize(
    ("path", "sort", "parameters", "keys"),
    [
        pytest.param("/devices", "device_id", {}, ("sender_system", "device_id"), id="devices by id"),
        pytest.param("/messages", "id", {}, ("id",), id="messages"),
        pytest.param("/messages", "stored_at", {}, ("stored_at", "id"), id="messages as they were stored"),
        pytest.param("/events", "id", {}, ("event_id",), id="events"),
        pytest.param("/exceptions", "id", {}, ("case_key",), id="cases"),
        pytest.param("/jobs", "id", {}, ("slot",), id="runs of jobs"),
        pytest.param("/commands", "id", OF_DEVICE, ("id",), id="commands"),
        pytest.param("/readings", "id", OF_DEVICE, ("id",), id="readings as they came"),
        pytest.param("/readings", "measured_at", OF_DEVICE, ("measured_at", "id"), id="readings as they were measured"),
    ],
)
@pytest.mark.parametrize("limit", [2, 100])
def test_both_ways(
    filled: Installation, path: str, sort: str, parameters: dict[str, Any], keys: tuple[str, ...], limit: int
) -> None:
    def told(name: str) -> list[tuple[Any, ...]]:
        listed = pages(filled, f"/api/v1{path}", limit=limit, sort=name, **parameters)
        return [tuple(row[key] for key in keys) for page in listed for row in page]

    ascending = told(sort)
    assert len(ascending) >= 5
    assert ascending == sorted(set(ascending))
    assert told(f"-{sort}") == ascending[::-1]


def test_a_cursor_is_good_for_any_name_of_the_same_order(mdus_on_sqlite: Installation) -> None:
    for _ in range(3):
        mdus_on_sqlite.post(create_device())
    cursor = mdus_on_sqlite.get("/api/v1/messages", params={"sort": "id", "limit": 1}).json()["next"]
    for sort, status in (("stored_at", 200), ("-stored_at", 409), ("-id", 409)):
        response = mdus_on_sqlite.get("/api/v1/messages", params={"sort": sort, "cursor": cursor})
        assert response.status_code == status
