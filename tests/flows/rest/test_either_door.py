"""Every business process, once driven by SOAP and once by REST, leaves the same state; on both databases.

What differs is who gave the order, and that SAP is told of its own orders only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import delete

from mdus.domain.command import Command
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.end_device_control import EndDeviceControl
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.reading import MeterReading
from mdus.domain.register import Register
from mdus.domain.time_series import TimeSeriesAssignment
from mdus.domain.usage_point import DeviceLocation, LogicalLocation, UsagePoint
from mdus.storage.mapping import METADATA
from mdus.storage.session import Database
from tests.flows import registry
from tests.flows.both_sides import BothSides
from tests.flows.rest.doors import Client
from tests.flows.rest.processes import PROCESSES, START

TOLD_UNASKED = {"UtilitiesSmartMeterEventERPBulkCreateRequest", registry.ALL_REGISTERED}

#: What a process leaves, beside messages.
KINDS = (
    EndDevice,
    EndDeviceStatus,
    Register,
    DeviceLocation,
    LogicalLocation,
    UsagePoint,
    MeterReading,
    MeterReadingDocument,
    EndDeviceControl,
    TimeSeriesAssignment,
)

#: What tells of the message, and of who sent it: the same only by accident.
OF_THE_MESSAGE = {
    "create_item_id",
    "item_id",
    "order_item_id",
    "order_uuid",
    "order_id",
    "bulk",
    "client",
    "result_attempts",
}


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=START)
    yield made
    made.close()


def empty(database: Database) -> None:
    with database.begin() as uow:
        for table in reversed(METADATA.sorted_tables):
            uow.connection.execute(delete(table))


def state(sides: BothSides) -> dict[str, Any]:
    """What there is, whoever ordered it."""
    found: dict[str, Any] = {}
    for kind in KINDS:
        names = {field.name for field in fields(kind)}
        blank: dict[str, Any] = dict.fromkeys(names & OF_THE_MESSAGE)
        found[kind.__name__] = [_alike(replace(value, **blank)) for value in sides.all(kind)]
    found["commands"] = [
        (one.device_id, one.kind, one.purpose, one.status, one.wanted_state) for one in sides.all(Command)
    ]
    return found


def _alike(value: Any) -> Any:
    if isinstance(value, MeterReadingDocument) and value.status in (
        DocumentStatus.AVAILABLE,
        DocumentStatus.RESULT_SENT,
    ):
        return replace(value, status=DocumentStatus.READ)
    return value


class TestEitherDoor:
    @pytest.mark.parametrize("process", PROCESSES)
    def test_leaves_the_same_state(self, sides: BothSides, process: str) -> None:
        for step in PROCESSES[process]:
            sides.tell(step.root, *step.bodies)
            step.then(sides)
        by_sap = state(sides)
        assert any(by_sap.values())

        empty(sides.database)
        sides.clock.instant = START
        sides.sap.received.clear()
        client, numbers = Client(sides), []
        for step in PROCESSES[process]:
            number = client.order(step.resource, *step.items)
            step.then(sides)
            numbers.append(number)
        assert state(sides) == by_sap
        requests = [client.request(number) for number in numbers]
        assert [request["state"] for request in requests] == ["settled"] * len(requests)
        assert {item["state"] for request in requests[:3] for item in request["items"]} == {"done"}
        # SAP is told what it could not know, and nothing of what it did not order.
        assert {etree.QName(message).localname for message in sides.sap.received} <= TOLD_UNASKED
