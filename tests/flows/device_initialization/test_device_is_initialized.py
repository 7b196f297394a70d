"""Device initialization through SOAP: messages in any order, the registry after them, and what waits in vain."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mdus.messaging.patterns import Service
from mdus.messaging.retry import RetryPolicy
from mdus.services import (
    device_create,
    device_location,
    device_registered,
    point_of_delivery_assigned,
    register_create,
)
from mdus.storage.command import COMMAND
from mdus.storage.end_device_event import END_DEVICE_EVENT
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.message import ITEM
from mdus.storage.registry import DEVICE_LOCATION, END_DEVICE, REGISTER, USAGE_POINT
from mdus.workers.inbox import InboxWorker
from tests.flows.intake.installation import Installation

START = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
SERVICES: Mapping[str, Service] = {
    module.SERVICE.name: module.SERVICE
    for module in (device_create, register_create, device_location, point_of_delivery_assigned, device_registered)
}
HEAD_END = '[[head_ends]]\nname = "city"\nkind = "rest"\nurl = "http://city"\nams_ids = ["AM01"]\n'
SMART_METER = "<SmartMeter><UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID></SmartMeter>"
SPAN = "<StartDate>2026-01-01</StartDate><EndDate>9999-12-31</EndDate>"


class Clock:
    """Business time that a test moves."""

    def __init__(self) -> None:
        self.instant = START

    def now(self) -> datetime:
        return self.instant


class Initialization:
    """An installation and its inbox, told of device 42 by the messages a test names."""

    def __init__(self, url: str, folder: Path) -> None:
        (folder / "head_ends.toml").write_text(HEAD_END)
        self.clock = Clock()
        self.mdus = Installation(url, environ={"MDUS_CONFIG": str(folder)}, clock=self.clock, services=dict(SERVICES))
        self.inbox = InboxWorker(
            database=self.mdus.database,
            services=SERVICES,
            settings=self.mdus.runtime.settings,
            clock=self.clock,
            retry=RetryPolicy(attempts=1),
        )

    def tell(self, *names: str) -> None:
        """Post messages one after the other, the inbox coming to rest after each."""
        for name in names:
            response = self.mdus.post(MESSAGES[name]())
            assert (response.status_code, response.content) == (202, b"")
            self.rest()

    def rest(self) -> None:
        """Let the inbox decide until nothing is left to decide."""
        for _ in range(50):
            if self.inbox.turn() == 0:
                return
        raise AssertionError("the inbox never comes to rest")

    def items(self) -> dict[str, tuple[str, str | None]]:
        """Status and result of the items by service."""
        return {row.service: (row.status.value, row.result) for row in self.mdus.rows(ITEM)}


def message(root: str, body: str) -> bytes:
    """A single message of SAP under a new UUID."""
    header = (
        f"<MessageHeader><UUID>{uuid.uuid4()}</UUID><CreationDateTime>2026-03-28T10:00:00Z</CreationDateTime>"
        "<SenderBusinessSystemID>P11</SenderBusinessSystemID></MessageHeader>"
    )
    text = f'<n0:{root} xmlns:n0="http://sap.com/xi/SAPGlobal20/Global">{header}{body}</n0:{root}>'
    envelope = "http://schemas.xmlsoap.org/soap/envelope/"
    return f'<s:Envelope xmlns:s="{envelope}"><s:Body>{text}</s:Body></s:Envelope>'.encode()


def device() -> bytes:
    serial = "<SerialID>0000001234</SerialID><MaterialID>LX100</MaterialID>"
    body = f"<UtilitiesDevice><ID>42</ID>{SPAN}{serial}{SMART_METER}</UtilitiesDevice>"
    return message(device_create.SERVICE.name, body)


def register() -> bytes:
    body = (
        f"<UtilitiesDevice><ID>42</ID><Register>{SPAN}<UtilitiesMeasurementTaskID>0007</UtilitiesMeasurementTaskID>"
        "<UtilitiesDivisionCategoryCode>1</UtilitiesDivisionCategoryCode>"
        "<Specifications><MeasureUnitCode>KWH</MeasureUnitCode><DecimalValuePrecision>"
        "<TotalDigitNumberValue>8</TotalDigitNumberValue></DecimalValuePrecision></Specifications></Register>"
        f"{SMART_METER}</UtilitiesDevice>"
    )
    return message(register_create.SERVICE.name, body)


def location() -> bytes:
    body = (
        '<UtilitiesDevice locationListCompleteTransmissionIndicator="true"><ID>42</ID>'
        f"<Location>{SPAN}<InstallationPointID>IP1</InstallationPointID><InstallationPointHierarchyRelationship>"
        "<ParentInstallationPointID>CO1</ParentInstallationPointID></InstallationPointHierarchyRelationship></Location>"
        f"{SMART_METER}</UtilitiesDevice>"
    )
    return message(device_location.SERVICE.name, body)


def point_of_delivery() -> bytes:
    complete = "UtilitiesPointOfDeliveryAssignmentListCompleteTransmissionIndicator"
    body = (
        f"<UtilitiesMeasurementTask><ID>0007</ID><{complete}>true</{complete}><UtilitiesPointOfDeliveryAssignment>"
        "<StartDate>2026-01-01</StartDate><StartTime>00:00:00</StartTime>"
        "<EndDate>9999-12-31</EndDate><EndTime>23:59:59</EndTime>"
        "<UtilitiesPointOfDeliveryPartyID>DE1</UtilitiesPointOfDeliveryPartyID></UtilitiesPointOfDeliveryAssignment>"
        "<UtilitiesDevice><UtilitiesDeviceID>42</UtilitiesDeviceID>"
        "<SmartMeter><AdvancedMeteringSystemID>AM01</AdvancedMeteringSystemID></SmartMeter></UtilitiesDevice>"
        "</UtilitiesMeasurementTask>"
    )
    return message(point_of_delivery_assigned.SERVICE.name, body)


MESSAGES = {
    "device": device,
    "register": register,
    "location": location,
    "point of delivery": point_of_delivery,
}


@pytest.fixture
def initialization(database_url: str, tmp_path: Path) -> Iterator[Initialization]:
    made = Initialization(database_url, tmp_path)
    yield made
    made.mdus.database.close()


class TestADevice:
    @pytest.mark.parametrize(
        "order",
        [
            order
            for order in itertools.permutations(MESSAGES)
            if order[0] == "point of delivery" or order == tuple(MESSAGES)
        ],
        ids=", ".join,
    )
    def test_is_initialized_by_its_messages_in_the_order(
        self, initialization: Initialization, order: tuple[str, ...]
    ) -> None:
        initialization.tell(*order)
        ended = {name: status for name, (status, _) in initialization.items().items()}
        assert ended == {
            device_create.SERVICE.name: "decided",
            register_create.SERVICE.name: "decided",
            device_location.SERVICE.name: "closed",
            point_of_delivery_assigned.SERVICE.name: "closed",
        }
        rows = initialization.mdus.rows
        assert [(row.device_id, row.head_end) for row in rows(END_DEVICE.table)] == [("42", "city")]
        assert [(row.measurement_task_id, row.reading_type) for row in rows(REGISTER.table)] == [
            ("0007", "1-0:1.8.0*255")
        ]
        assert [row.installation_point_id for row in rows(DEVICE_LOCATION.table)] == ["IP1"]
        assert [row.valid_from for row in rows(USAGE_POINT.table)] == [datetime(2025, 12, 31, 23, 0, tzinfo=UTC)]
        assert [(row.kind.value, row.serial_id) for row in rows(COMMAND.table)] == [("provision", "0000001234")]
        assert rows(EXCEPTION_CASE.table) == []


class TestAMessageBeforeItsDevice:
    @pytest.mark.parametrize(
        ("waited", "status"),
        [
            pytest.param(timedelta(minutes=29), "parked", id="29 minutes"),
            pytest.param(timedelta(minutes=30), "decided", id="30 minutes"),
        ],
    )
    def test_with_a_confirmation_waits_half_an_hour(
        self, initialization: Initialization, waited: timedelta, status: str
    ) -> None:
        initialization.tell("register")
        initialization.clock.instant = START + waited
        initialization.rest()
        found, result = initialization.items()[register_create.SERVICE.name]
        assert found == status
        assert ("110(MDUS)" in (result or "")) is (status == "decided")

    @pytest.mark.parametrize("name", ["location", "point of delivery"])
    @pytest.mark.parametrize(
        ("waited", "events"),
        [pytest.param(timedelta(hours=23), 0, id="23 hours"), pytest.param(timedelta(hours=24), 1, id="24 hours")],
    )
    def test_without_a_confirmation_waits_a_day_and_ends_as_an_event_and_a_case(
        self, initialization: Initialization, name: str, waited: timedelta, events: int
    ) -> None:
        initialization.tell(name)
        initialization.clock.instant = START + waited
        initialization.rest()
        assert len(initialization.mdus.rows(END_DEVICE_EVENT.table)) == events
        assert len(initialization.mdus.rows(EXCEPTION_CASE.table)) == events
