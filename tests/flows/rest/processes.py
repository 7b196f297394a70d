"""Business processes step by step: what SAP says, and what a client sends that means the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.flows import orders, registry
from tests.flows.both_sides import BothSides
from tests.flows.profiles.metering import ASSIGN, PROFILE, role, time_series
from tests.flows.technical_change import messages as technical

START = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
METER, NEW_METER = "000000000000000042", "000000000000000043"
DOCUMENT = "00000000000000000007"
ORDER = "000000004711"
SPAN = {"valid_from": "2026-01-01", "valid_to": None}

Send = Callable[[BothSides], None]


@dataclass(frozen=True)
class Step:
    """One thing that is said: SAP's message, a bulk of several bodies, and what a client sends; then what happens."""

    root: str
    body: str | tuple[str, ...]
    resource: str
    item: dict[str, Any] | tuple[dict[str, Any], ...]
    then: Send = BothSides.rest

    @property
    def bodies(self) -> tuple[str, ...]:
        return (self.body,) if isinstance(self.body, str) else self.body

    @property
    def items(self) -> tuple[dict[str, Any], ...]:
        return (self.item,) if isinstance(self.item, dict) else self.item


def reading_order(**changes: Any) -> dict[str, Any]:
    return {
        "document_id": DOCUMENT,
        "reason_code": "09",
        "scheduled_on": "2026-03-28",
        "data_source_code": "1",
        "measurement_task_id": METER,
        "obis_text": "1-0:1.8.0",
        "device_id": METER,
        "ams_id": "AM01",
    } | changes


def connection_order(category: str = "1", **changes: Any) -> dict[str, Any]:
    return {
        "request_id": ORDER,
        "category_code": category,
        "planned_at": "2026-03-28T11:00:00+01:00",
        "devices": [{"device_id": METER, "ams_id": "AM01"}],
    } | changes


def register(**changes: Any) -> dict[str, Any]:
    return {
        **SPAN,
        "measurement_task_id": METER,
        "obis_text": "1-0:1.8.0",
        "unit": "KWH",
        "total_digits": 8,
        "fraction_digits": 2,
    } | changes


CREATED = Step(
    registry.DEVICE,
    registry.device(METER),
    "devices",
    {**SPAN, "device_id": METER, "serial_id": f"S{METER}", "material_id": "LX100", "ams_id": "AM01"},
)
MEASURES = Step(
    registry.REGISTER,
    registry.register(METER),
    "registers",
    {"device_id": METER, "ams_id": "AM01", "registers": [register()]},
)
HANGS = Step(
    registry.LOCATION,
    registry.location(METER),
    "device-locations",
    {
        "device_id": METER,
        "ams_id": "AM01",
        "locations_complete": True,
        "locations": [{**SPAN, "installation_point_id": f"IP{METER}", "parent_installation_point_id": "CO1"}],
    },
)
SUPPLIES = Step(
    registry.POINT,
    registry.point_of_delivery(METER),
    "point-of-delivery-assignments",
    {
        "measurement_task_id": METER,
        "complete": True,
        "device_id": METER,
        "ams_id": "AM01",
        "assignments": [
            {
                "point_of_delivery_id": f"DE{METER}",
                "start_on": "2026-01-01",
                "start_time": "00:00:00",
                "end_on": "9999-12-31",
                "end_time": "23:59:59",
            }
        ],
    },
)
INSTALLED = (CREATED, MEASURES, HANGS, SUPPLIES)


def read_now(sides: BothSides) -> None:
    assert orders.read_now(sides, "12345.67") == 1


def switched_off(sides: BothSides) -> None:
    orders.carry_out(sides, "disconnected")


def switched_on(sides: BothSides) -> None:
    orders.carry_out(sides, "connected")


def days_later(sides: BothSides) -> None:
    sides.rest()
    at = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
    sides.snapshot(at, (METER, "500.25"))
    sides.clock.move(days=3)
    sides.rest()


OLD, NEW = "00000000000000000003", "00000000000000000006"
REMOVED_ON, LAST_DAY = "2026-03-28", "2026-03-27"
TO_REMOVAL = {"valid_from": "2026-01-01", "valid_to": REMOVED_ON}
FROM_REMOVAL = {"valid_from": REMOVED_ON, "valid_to": None}


def supply(device: str, start: str, end: str) -> dict[str, Any]:
    return {
        "measurement_task_id": device,
        "complete": True,
        "device_id": device,
        "ams_id": "AM01",
        "assignments": [
            {
                "point_of_delivery_id": "DE1",
                "start_on": start,
                "start_time": "00:00:00",
                "end_on": end,
                "end_time": "23:59:59",
            }
        ],
    }


def stored_for_weeks(sides: BothSides) -> None:
    """Values of every midnight of a month are there before the orders, which are looked at then."""
    for days in range(-40, 1):
        sides.snapshot(datetime(2026, 3, 27, 23, 0, tzinfo=UTC) + timedelta(days=days), (METER, f"{1000 + days}.50"))
    sides.rest()


REPLACED = (
    *INSTALLED,
    Step(
        technical.REGISTER_CHANGE,
        technical.registers(METER, technical.changed(METER, "2026-01-01", LAST_DAY)),
        "register-changes",
        {
            "device_id": METER,
            "ams_id": "AM01",
            "registers": [
                {
                    **TO_REMOVAL,
                    "measurement_task_id": METER,
                    "obis_text": "1-0:1.8.0",
                    "division": "1",
                    "specifications": [
                        {**TO_REMOVAL, "unit": "KWH", "total_digits": 8, "fraction_digits": 2, "factor": "1.0"}
                    ],
                }
            ],
        },
    ),
    Step(
        technical.POINT_OF_DELIVERY,
        technical.point_of_delivery(METER, METER, ("2026-01-01", LAST_DAY)),
        "point-of-delivery-assignments",
        supply(METER, "2026-01-01", LAST_DAY),
    ),
    Step(
        technical.LOCATION,
        technical.location(METER, f"IP{METER}", "2026-01-01", LAST_DAY),
        "device-locations",
        {
            "device_id": METER,
            "ams_id": "AM01",
            "locations_complete": True,
            "locations": [{**TO_REMOVAL, "installation_point_id": f"IP{METER}", "parent_installation_point_id": "CO1"}],
        },
    ),
    Step(
        technical.DEVICE_CREATE,
        technical.device(NEW_METER, start=REMOVED_ON),
        "devices",
        {
            **FROM_REMOVAL,
            "device_id": NEW_METER,
            "serial_id": f"S{NEW_METER}",
            "material_id": "LX100",
            "manufacturer_part_id": "P1",
            "ams_id": "AM01",
        },
    ),
    Step(
        technical.REGISTER_CREATE,
        technical.registers(NEW_METER, technical.register(NEW_METER, REMOVED_ON)),
        "registers",
        {
            "device_id": NEW_METER,
            "ams_id": "AM01",
            "registers": [register(**FROM_REMOVAL, measurement_task_id=NEW_METER, division="1", factor="1.0")],
        },
    ),
    Step(
        technical.LOCATION,
        technical.location(NEW_METER, f"IP{METER}", REMOVED_ON),
        "device-locations",
        {
            "device_id": NEW_METER,
            "ams_id": "AM01",
            "locations_complete": True,
            "locations": [
                {**FROM_REMOVAL, "installation_point_id": f"IP{METER}", "parent_installation_point_id": "CO1"}
            ],
        },
    ),
    Step(
        technical.POINT_OF_DELIVERY,
        technical.point_of_delivery(NEW_METER, NEW_METER, (REMOVED_ON, "9999-12-31")),
        "point-of-delivery-assignments",
        supply(NEW_METER, REMOVED_ON, "9999-12-31"),
    ),
)

PROCESSES: dict[str, Sequence[Step]] = {
    "device replacement": REPLACED,
    "moving out and in, in one bulk": (
        *INSTALLED,
        Step(
            orders.READINGS,
            (
                orders.reading(OLD, METER, reason="03", on="2026-03-28"),
                orders.reading(NEW, METER, reason="06", on="2026-03-29"),
            ),
            "reading-orders",
            (
                reading_order(document_id=OLD, reason_code="03", data_source_code=None),
                reading_order(document_id=NEW, reason_code="06", data_source_code=None, scheduled_on="2026-03-29"),
            ),
            then=days_later,
        ),
    ),
    "supplier switch, told weeks later": (
        *INSTALLED[:3],
        replace(SUPPLIES, then=stored_for_weeks),
        Step(
            orders.READINGS,
            (
                orders.reading(OLD, METER, reason="03", on="2026-02-28"),
                orders.reading(NEW, METER, reason="06", on="2026-03-01"),
            ),
            "reading-orders",
            (
                reading_order(document_id=OLD, reason_code="03", data_source_code=None, scheduled_on="2026-02-28"),
                reading_order(document_id=NEW, reason_code="06", data_source_code=None, scheduled_on="2026-03-01"),
            ),
        ),
    ),
    "device initialization": INSTALLED,
    "device change": (
        *INSTALLED,
        Step(
            technical.DEVICE_CHANGE,
            technical.changed_device(METER, part="P2"),
            "device-changes",
            {
                "device_id": METER,
                "serial_id": f"S{METER}",
                "material_id": "LX100",
                "start_on": "2026-01-01",
                "end_on": "9999-12-31",
                "manufacturer_part_id": "P2",
                "ams_id": "AM01",
            },
        ),
    ),
    "register change": (
        *INSTALLED,
        Step(
            technical.REGISTER_CHANGE,
            technical.registers(METER, technical.changed(METER, "2026-01-01", factor="40")),
            "register-changes",
            {
                "device_id": METER,
                "ams_id": "AM01",
                "registers": [
                    {
                        **SPAN,
                        "measurement_task_id": METER,
                        "obis_text": "1-0:1.8.0",
                        "division": "1",
                        "specifications": [
                            {**SPAN, "unit": "KWH", "total_digits": 8, "fraction_digits": 2, "factor": "40"}
                        ],
                    }
                ],
            },
        ),
    ),
    "reading on demand": (
        *INSTALLED,
        Step(
            orders.READING,
            orders.reading(DOCUMENT, METER, reason="09", on="2026-03-28", source="1"),
            "reading-orders",
            reading_order(),
            then=read_now,
        ),
    ),
    "reading of stored values": (
        *INSTALLED,
        Step(
            orders.READING,
            orders.reading(DOCUMENT, METER, reason="01", on="2026-03-28", source="0"),
            "reading-orders",
            reading_order(reason_code="01", data_source_code="0"),
            then=days_later,
        ),
    ),
    "reading cancelled": (
        *INSTALLED,
        Step(
            orders.READING,
            orders.reading(DOCUMENT, METER, reason="01", on="2026-04-28", source="0"),
            "reading-orders",
            reading_order(reason_code="01", data_source_code="0", scheduled_on="2026-04-28"),
        ),
        Step(
            orders.CANCEL_READING,
            orders.reading_cancelled(DOCUMENT),
            "reading-order-cancellations",
            {"document_id": DOCUMENT, "ams_id": "AM01"},
        ),
    ),
    "reading by a person": (
        *INSTALLED,
        Step(
            technical.READING,
            technical.reading(DOCUMENT, METER, METER, reason="21", on="2026-03-28"),
            "manual-readings",
            {
                "document_id": DOCUMENT,
                "reason_code": "21",
                "measurement_task_id": METER,
                "device_id": METER,
                "ams_id": "AM01",
                "read_on": "2026-03-28",
                "read_time": "10:00:00",
                "type_code": "01",
                "value": "12345.67",
            },
        ),
    ),
    "disconnection": (
        *INSTALLED,
        Step(
            orders.SWITCH,
            orders.switch(ORDER, METER, at=START),
            "connection-orders",
            connection_order(),
            then=switched_off,
        ),
    ),
    "reconnection": (
        *INSTALLED,
        Step(
            orders.SWITCH,
            orders.switch(ORDER, METER, at=START, category="2"),
            "connection-orders",
            connection_order("2"),
            then=switched_on,
        ),
    ),
    "disconnection refused by the governor": (
        *INSTALLED,
        Step(
            orders.SWITCH,
            orders.switch(ORDER, METER, at=START - timedelta(hours=2)),
            "connection-orders",
            connection_order(planned_at="2026-03-28T08:00:00Z"),
        ),
    ),
    "disconnection cancelled": (
        *INSTALLED,
        Step(
            orders.SWITCH,
            orders.switch(ORDER, METER, at=START + timedelta(days=1)),
            "connection-orders",
            connection_order(planned_at="2026-03-29T10:00:00Z"),
        ),
        Step(
            orders.CANCEL_SWITCH,
            orders.switch_cancelled(ORDER, METER),
            "connection-order-cancellations",
            {"request_id": ORDER, "category_code": "1", "devices": [{"device_id": METER}]},
        ),
    ),
    "profile assigned": (
        CREATED,
        Step(
            registry.REGISTER,
            registry.register(METER, obis="1-0:1.29.0"),
            "registers",
            {"device_id": METER, "ams_id": "AM01", "registers": [register(obis_text="1-0:1.29.0")]},
        ),
        Step(
            ASSIGN,
            time_series(role("2026-03-01T00:00:00", task=METER)),
            "measurement-task-assignments",
            {
                "time_series_id": PROFILE,
                "complete": True,
                "recurrence_code": "15",
                "unit": "KWH",
                "total_digits": 14,
                "fraction_digits": 3,
                "roles": [
                    {
                        "role_code": "01",
                        "measurement_task_id": METER,
                        "start_on": "2026-03-01",
                        "start_time": "00:00:00",
                        "end_on": "9999-12-31",
                        "end_time": "23:59:59",
                        "ams_id": "AM01",
                    }
                ],
            },
        ),
    ),
}
