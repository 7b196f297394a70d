"""Answers as examples in the description of the REST side: one meter, its point of delivery and its place."""

from __future__ import annotations

from typing import Any, Final

Example = dict[str, Any]

_SPAN: Final[Example] = {
    "measurement_task_id": "000000000000100042",
    "valid_from": "2026-01-01",
    "valid_to": None,
    "reading_type": "1-0:1.8.0*255",
    "obis_text": "1-0:1.8.0",
    "division": "01",
    "unit": "KWH",
    "total_digits": 8,
    "fraction_digits": 2,
    "factor": None,
    "time_of_use_code": None,
}
REGISTER: Final[Example] = {**_SPAN, "id": 7, "sender_system": "P11", "device_id": "000000000000000042"}

LOCATION: Final[Example] = {
    "id": 3,
    "sender_system": "P11",
    "device_id": "000000000000000042",
    "installation_point_id": "4711",
    "parent_installation_point_id": "4710",
    "valid_from": "2026-01-01",
    "valid_to": None,
    "house_id": "***",
    "postal_code": "***",
    "city_name": "***",
    "street_name": "***",
    "country_code": "DE",
    "region_code": None,
    "time_zone_code": "CET",
    "installed_at": "2026-01-01T09:30:00Z",
    "removed_at": None,
}

POINT: Final[Example] = {
    "sender_system": "P11",
    "point_of_delivery_id": "DE0001234",
    "first_measured_from": "2025-12-31T23:00:00Z",
    "devices": 1,
    "devices_measuring": 1,
}
POINT_DETAIL: Final[Example] = {
    **POINT,
    "measured_by": [
        {
            "device_id": "000000000000000042",
            "serial_id": "S0000000042",
            "measurement_task_id": "000000000000100042",
            "valid_from": "2025-12-31T23:00:00Z",
            "valid_to": None,
            "is_measuring": True,
            "registers": [_SPAN],
        }
    ],
}

REPORT: Final[Example] = {
    "id": 81,
    "slot": "2026-03-28",
    "status": "done",
    "attempts": 1,
    "created_at": "2026-03-28T04:00:00Z",
    "started_at": "2026-03-28T04:00:01Z",
    "ended_at": "2026-03-28T04:00:09Z",
    "outcome": "1200 devices, 1430 registers, 8 connection orders, 1500 reading orders: 1 device_silent; "
    "1 cases opened, 0 still open, 0 closed",
}
DIFFERENCE: Final[Example] = {
    "id": 12,
    "kind": "device_silent",
    "between": "MDUS - field",
    "sender_system": "P11",
    "subject": "000000000000000042",
    "note": "device 000000000000000042 was last heard on 2026-03-24 23:10 UTC",
    "opened_at": "2026-03-28T04:00:09Z",
    "closed_at": None,
}

_SHARE: Final[Example] = {"count": 1188, "of": 1200, "share": 0.99}
FIGURES: Final[Example] = {
    "sender_system": "P11",
    "meters_read": _SHARE,
    "reading_orders_in_time": {"count": 40, "of": 40, "share": 1.0},
    "switch_orders_executed": {"count": 0, "of": 0, "share": None},
    "devices_registered": _SHARE,
    "devices_silent": {"count": 12, "of": 1200, "share": 0.01},
    "devices_never_heard": {"count": 0, "of": 1200, "share": 0.0},
    "late_failures": 2,
    "dead_messages": 0,
    "dead_items": 0,
}
KPIS: Final[Example] = {
    "as_of": "2026-03-28T10:00:00Z",
    "day": "2026-03-27",
    "systems": [FIGURES],
    "dead_deliveries": 0,
}
