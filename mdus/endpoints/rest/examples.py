"""Answers as examples in the description of the REST side: one meter, its orders, messages and values, as they come.

A shape has the example under its name; `with_example` puts it into the description.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mdus.endpoints.rest.billing_examples import BILLING
from mdus.endpoints.rest.command_examples import COMMANDED, HELD, RESTRAINTS
from mdus.endpoints.rest.exception_examples import EXCEPTION_EXAMPLES
from mdus.endpoints.rest.validation_examples import VALIDATION

Example = dict[str, Any]

_OWNER: Final = ("sender_system", "device_id")

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
_REGISTER: Final[Example] = {**_SPAN, "id": 7, "sender_system": "P11", "device_id": "000000000000000042"}

_LOCATION: Final[Example] = {
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

_POINT: Final[Example] = {
    "sender_system": "P11",
    "point_of_delivery_id": "DE0001234",
    "first_measured_from": "2025-12-31T23:00:00Z",
    "devices": 1,
    "devices_measuring": 1,
}
_POINT_DETAIL: Final[Example] = {
    **_POINT,
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

_VERDICT: Final[Example] = {
    "judgement": "valid",
    "rule_set": "counters@1",
    "found": "high_low_usage: the usage is 1200 % of what it was before, the limit is 1000 %",
    "judged_at": "2026-03-29T09:12:00Z",
    "judged_by": "rest:chief",
    "reason": "the greenhouse is new",
}

_REPORT: Final[Example] = {
    "id": 81,
    "job": "reconcile",
    "slot": "2026-03-28",
    "status": "done",
    "attempts": 1,
    "created_at": "2026-03-28T04:00:00Z",
    "started_at": "2026-03-28T04:00:01Z",
    "ended_at": "2026-03-28T04:00:09Z",
    "outcome": "1200 devices, 1430 registers, 8 connection orders, 1500 reading orders: 1 device_silent; "
    "1 cases opened, 0 still open, 0 closed",
}
_DIFFERENCE: Final[Example] = {
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
_FIGURES: Final[Example] = {
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
_KPIS: Final[Example] = {
    "as_of": "2026-03-28T10:00:00Z",
    "day": "2026-03-27",
    "systems": [_FIGURES],
    "dead_deliveries": 0,
}

_PLACE: Final[Example] = {name: value for name, value in _LOCATION.items() if name not in ("id", *_OWNER)}
_DEVICE: Final[Example] = {
    "sender_system": "P11",
    "device_id": "000000000000000042",
    "serial_id": "S0000000042",
    "material_id": "LX100",
    "valid_from": "2026-01-01",
    "valid_to": None,
    "ams_id": "AM01",
    "head_end": "city",
    "manufacturer_id": None,
    "manufacturer_serial_id": None,
    "manufacturer_part_id": None,
    "provisioned_at": "2026-01-01T08:00:04Z",
    "first_heard_at": "2026-01-01T09:31:00Z",
    "last_heard_at": "2026-03-28T09:45:00Z",
    "registered_at": "2026-01-01T09:32:10Z",
    "has_breaker": True,
    "switch_state": "connected",
    "switch_state_at": "2026-01-01T09:31:00Z",
}
_LOGICAL: Final[Example] = {"logical_installation_point_id": "815", "valid_from": "2026-01-01", "valid_to": None}
_USAGE_POINT: Final[Example] = {
    "measurement_task_id": "000000000000100042",
    "point_of_delivery_id": "DE0001234",
    "valid_from": "2025-12-31T23:00:00Z",
    "valid_to": None,
}
_CHANGE: Final[Example] = {"status": "received", "at": "2026-03-28T10:00:00Z", "note": None}
_MESSAGE: Final[Example] = {
    "id": 4,
    "direction": "in",
    "sender_system": "P11",
    "service": "SmartMeterMeterReadingDocumentERPCreateRequest",
    "root": "SmartMeterMeterReadingDocumentERPCreateRequest",
    "bulk": False,
    "status": "completed",
    "uuid": "ee386e9e-8cdf-498f-919f-c615bff69fd4",
    "header_id": None,
    "reference_uuid": None,
    "reference_id": None,
    "test_data": False,
    "client": None,
    "imported": False,
    "item_count": 1,
    "set_aside": 0,
    "created_at": "2026-03-28T09:59:58Z",
    "stored_at": "2026-03-28T10:00:00Z",
    "ended_at": "2026-03-28T10:00:01Z",
    "refusal": None,
    "original_id": None,
    "part": 0,
    "attempts": 0,
    "last_error": None,
}
_ITEM: Final[Example] = {
    "id": 4,
    "position": 1,
    "status": "closed",
    "key": "ee386e9e-8cdf-498f-919f-c615bff69fd4",
    "duplicate_of": None,
    "uuid": "ee386e9e-8cdf-498f-919f-c615bff69fd4",
    "header_id": None,
    "ordering_key": "P11/00000000000000000007",
    "content": '{"document_id":"00000000000000000007","device_id":"000000000000000042"}',
    "result": "{}",
    "confirmation_id": 5,
    "waits_for": None,
    "until": None,
    "attempts": 0,
    "note": None,
}
_STEP: Final[Example] = {
    "step": "answered by the head end",
    "of": "command read_on_demand of device 000000000000000042",
    "state": "due",
    "at": None,
    "since": "2026-03-28T10:00:00Z",
    "until": "2026-03-28T11:00:00Z",
    "note": None,
}
_HAPPENING: Final[Example] = {
    "at": "2026-03-28T10:00:00Z",
    "what": "message from SAP",
    "of": "message 4",
    "status": "received",
    "note": "SmartMeterMeterReadingDocumentERPCreateRequest ee386e9e-8cdf-498f-919f-c615bff69fd4",
    "seconds": None,
    "payload": None,
}

_REQUEST_LISTED: Final[Example] = {
    "id": 4711,
    "resource": "commands",
    "sender_system": "P11",
    "client": "rest:portal",
    "status": "completed",
    "stored_at": "2026-03-28T10:00:00Z",
    "ended_at": "2026-03-28T10:00:07Z",
    "item_count": 1,
}
_REQUEST_SHOWN: Final[Example] = {
    "id": 4711,
    "uuid": "0f2c6c6e-6f0e-5b7e-9d34-3f1c2a7d4e55",
    "resource": "commands",
    "sender_system": "P11",
    "client": "rest:portal",
    "state": "settled",
    "stored_at": "2026-03-28T10:00:00Z",
    "test_data": False,
    "items": [
        {
            "position": 1,
            "state": "done",
            "problems": [],
            "request": {"device_id": "000000000000000042", "ask": "read"},
            "result": {
                "told_at": "2026-03-28T10:00:06+00:00",
                "readings": [
                    {
                        "reading_type": "1-0:1.8.0*255",
                        "measured_at": "2026-03-28T10:00:05+00:00",
                        "value": "4711.08",
                        "unit": "kWh",
                    }
                ],
            },
            "waits_until": None,
        }
    ],
}
_NEWS: Final[Example] = {
    "number": 815,
    "at": "2026-03-28T10:00:07Z",
    "topic": "requests",
    "sender_system": "P11",
    "client": "rest:portal",
    "about": "request/4711",
    "content": {"id": 4711, "service": "DeviceCommand", "state": "settled"},
}

_AMS: Final[Example] = {"device_id": "000000000000000042", "ams_id": "AM01"}
_VALID: Final[Example] = {"valid_from": "2026-01-01", "valid_to": None}
_MEASURES: Final[Example] = {"unit": "KWH", "total_digits": 8, "fraction_digits": 2}
_ALWAYS: Final[Example] = {
    "start_on": "2026-01-01",
    "start_time": "00:00:00",
    "end_on": "9999-12-31",
    "end_time": "23:59:59",
}
_CODE: Final[Example] = {"measurement_task_id": "000000000000100042", "obis_text": "1-0:1.8.0"}

#: What clients order: one item by the path it is sent to.
ORDERED: Final[Mapping[str, Example]] = {
    **COMMANDED,
    "reading-orders": {**_AMS, **_CODE, "reason_code": "09", "scheduled_on": "2026-03-28", "data_source_code": "1"},
    "reading-order-cancellations": {"document_id": "00000000000000000007", "ams_id": "AM01"},
    "manual-readings": {
        **_AMS,
        "document_id": "00000000000000000007",
        "reason_code": "21",
        "measurement_task_id": "000000000000100042",
        "read_on": "2026-03-28",
        "read_time": "10:00:00",
        "type_code": "01",
        "value": "4711.08",
    },
    "connection-orders": {"category_code": "1", "planned_at": "2026-03-28T10:00:00Z", "devices": [_AMS]},
    "connection-order-cancellations": {
        "request_id": "000000004711",
        "category_code": "1",
        "devices": [{"device_id": "000000000000000042"}],
    },
    "devices": {**_AMS, **_VALID, "serial_id": "0000001234", "material_id": "LX100"},
    "device-changes": {**_AMS, "serial_id": "0000001234", "material_id": "LX100", "end_on": "2026-12-31"},
    "registers": {**_AMS, "registers": [{**_VALID, **_CODE, **_MEASURES}]},
    "register-changes": {
        **_AMS,
        "registers": [{**_VALID, **_CODE, "specifications": [{**_VALID, **_MEASURES, "factor": "40"}]}],
    },
    "device-locations": {
        **_AMS,
        "locations_complete": True,
        "locations": [{**_VALID, "installation_point_id": "4711", "parent_installation_point_id": "4710"}],
    },
    "point-of-delivery-assignments": {
        **_AMS,
        "measurement_task_id": "000000000000100042",
        "complete": True,
        "assignments": [{**_ALWAYS, "point_of_delivery_id": "DE0001234"}],
    },
    "measurement-task-assignments": {
        "time_series_id": "000000000000000815",
        "complete": True,
        "recurrence_code": "15",
        "unit": "KWH",
        "roles": [{**_ALWAYS, "role_code": "01", "measurement_task_id": "000000000000100042", "ams_id": "AM01"}],
    },
}

EXAMPLES: Final[Mapping[str, Example]] = {
    **RESTRAINTS,
    "RequestListed": _REQUEST_LISTED,
    "RequestShown": _REQUEST_SHOWN,
    "NewsShown": _NEWS,
    "Register": _SPAN,
    "RegisterShown": _REGISTER,
    "Location": _PLACE,
    "LocationShown": _LOCATION,
    "LogicalLocation": _LOGICAL,
    "UsagePoint": _USAGE_POINT,
    "PointOfDelivery": _POINT,
    "PointOfDeliveryDetail": _POINT_DETAIL,
    "Report": _REPORT,
    "JobRunShown": _REPORT,
    "Difference": _DIFFERENCE,
    "FiguresShown": _FIGURES,
    "Kpis": _KPIS,
    "Device": _DEVICE,
    "DeviceDetail": {
        **_DEVICE,
        "capabilities": ["disconnect", "events", "on_demand_reading", "reconnect", "remote_reading"],
        **HELD,
        "registers": [_SPAN],
        "locations": [_PLACE],
        "logical_locations": [_LOGICAL],
        "usage_points": [_USAGE_POINT],
    },
    "ReadingOrder": {
        "kind": "reading",
        "sender_system": "P11",
        "document_id": "00000000000000000007",
        "device_id": "000000000000000042",
        "measurement_task_id": "000000000000100042",
        "reading_type": "1-0:1.8.0*255",
        "reason_code": "01",
        "scheduled_on": "2026-03-28",
        "on_demand": False,
        "status": "confirmed",
        "due_at": "2026-03-28T23:00:00Z",
        "next_try_at": None,
        "attempts": 1,
        "value": "4711.08",
        "unit": "KWH",
        "measured_at": "2026-03-28T23:00:00Z",
        "result_attempts": 1,
        "note": None,
        "client": None,
        "type_code": None,
        "estimate": None,
    },
    "ConnectionOrder": {
        "kind": "connection",
        "sender_system": "P11",
        "request_id": "000000004711",
        "category": "1",
        "device_id": "000000000000000042",
        "planned_at": "2026-03-28T11:00:00Z",
        "expires_at": "2026-03-28T12:00:00Z",
        "reason_code": None,
        "test_data": False,
        "status": "executed",
        "processed_at": "2026-03-28T11:00:21Z",
        "reported_success": True,
        "note": None,
        "client": None,
    },
    "DeviceEvent": {
        "sender_system": "P11",
        "event_id": "0000000000000000000815",
        "device_id": "000000000000000042",
        "event_type": "3.26.0.85",
        "at": "2026-03-28T10:00:00Z",
        "source": "city",
        "area": "city",
        "text": "power down",
        "properties": {"phase": "L2"},
        "told_at": "2026-03-28T10:00:03Z",
        "state": "sent",
        "reason": None,
        "sent_at": "2026-03-28T10:00:05Z",
        "note": None,
    },
    "Message": _MESSAGE,
    "MessageDetail": {**_MESSAGE, "events": [_CHANGE], "items": [_ITEM]},
    "Item": _ITEM,
    "Event": _CHANGE,
    **EXCEPTION_EXAMPLES,
    "Traced": {"missing": [], "steps": [_STEP], "happenings": [_HAPPENING], "is_cut": False},
    "Step": _STEP,
    "Happening": _HAPPENING,
    "Reading": {
        "id": 815,
        "reading_type": "1-0:1.8.0*255",
        "measured_at": "2026-03-28T23:00:00Z",
        "value": "4711.08",
        "unit": "kWh",
        "origin": "snapshot",
        "received_at": "2026-03-28T23:04:10Z",
        "verdict": _VERDICT,
    },
    "Verdict": _VERDICT,
    "Interval": {
        "device_id": "000000000000000042",
        "reading_type": "1-0:1.29.0*255",
        "start": "2026-03-28T23:00:00Z",
        "end": "2026-03-28T23:15:00Z",
        "value": "0.125000",
        "unit": "KWH",
        "qualities": ["2.8.0"],
    },
    "CommandShown": {
        "id": 2,
        "command_key": "975e26cb-2962-58ff-a451-1e7f1e27bd56",
        "head_end": "city",
        "kind": "switch",
        "purpose": "switch",
        "status": "done",
        "not_before": "2026-03-28T11:00:00Z",
        "expires_at": "2026-03-28T12:00:00Z",
        "wanted_state": "disconnected",
        "period_from": None,
        "period_to": None,
        "ended_at": "2026-03-28T11:00:21Z",
        "acted_at": "2026-03-28T11:00:14Z",
        "result_code": None,
        "result_text": None,
        "result_state": "disconnected",
        "attempts": 1,
        "token": "t-7",
    },
    "HeadEndShown": {
        "name": "city",
        "kind": "rest",
        "ams_ids": ["AM01"],
        "capabilities": ["disconnect", "on_demand_reading", "reconnect", "remote_reading"],
        "commands": ["provision", "read_on_demand", "read_registers", "switch", "switch_state"],
        "commands_told": ["provision", "read_on_demand", "read_registers"],
        "says": "City head end 4.2",
        "asked_at": "2026-03-27T05:00:00Z",
        "outstanding": 12,
        "concentrators": [
            {"name": "c-17", "is_online": True, "told_at": "2026-03-27T04:55:00Z", "meters": 240},
        ],
        "rows": [
            {
                "name": "without_breaker",
                "ams_id": "AM01",
                "material_id": "LX100-NB*",
                "capabilities": {"disconnect": False, "reconnect": False},
            }
        ],
    },
    "GivenUp": {"id": 5, "of": "P11", "what": "MeterReadingDocument", "at": "2026-03-28T10:00:00Z", "why": "refused"},
    "Deeds": {
        "id": 1,
        "at": "2026-03-28T10:00:00Z",
        "who": "rest:portal",
        "action": "switching stopped",
        "target": "disconnections",
        "count": 1,
        "reason": "flood in the old town",
    },
    "Switching": {"stopped": True, "reason": "flood in the old town"},
    **BILLING,
    **VALIDATION,
}


def with_example(schema: dict[str, Any], shape: type[Any]) -> None:
    """Put the example of a shape, where there is one, into its description."""
    if (example := EXAMPLES.get(shape.__name__)) is not None:
        schema["examples"] = [example]
