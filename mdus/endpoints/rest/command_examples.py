"""Examples of what clients order of meters beyond SAP's messages, and of what meters have of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_DEVICE: Final = "000000000000000042"

#: One item by the path it is sent to.
COMMANDED: Final[Mapping[str, dict[str, Any]]] = {
    "commands": {"device_id": _DEVICE, "ask": "read"},
    "demand-limits": {"device_id": _DEVICE, "limit_kw": "3.5", "valid_until": "2026-03-29T18:00:00Z"},
    "load-control-events": {
        "event_id": "peak-2026-03-29",
        "action": "schedule",
        "device_ids": [_DEVICE],
        "start_at": "2026-03-29T16:00:00Z",
        "minutes": 120,
        "percent": 40,
    },
}

_LIMIT: Final[dict[str, Any]] = {
    "limit_kw": "3.5",
    "set_at": "2026-03-28T10:00:06Z",
    "valid_until": "2026-03-29T18:00:00Z",
    "client": "rest:portal",
}
_EVENT: Final[dict[str, Any]] = {
    "event_id": "peak-2026-03-29",
    "start_at": "2026-03-29T16:00:00Z",
    "minutes": 120,
    "percent": 40,
    "status": "scheduled",
    "settled_at": "2026-03-28T10:00:06Z",
    "note": None,
    "client": "rest:portal",
}
_OF_DEVICE: Final[dict[str, Any]] = {"id": 7, "sender_system": "P11", "device_id": _DEVICE}

#: What a device shows of it.
HELD: Final[Mapping[str, Any]] = {"demand_limit": _LIMIT, "load_control_events": [_EVENT]}

#: What is listed of it, by the name of the shape.
RESTRAINTS: Final[Mapping[str, dict[str, Any]]] = {
    "DeviceLimitShown": {**_LIMIT, **_OF_DEVICE, "in_doubt": False},
    "DeviceEventShown": {**_EVENT, **_OF_DEVICE},
}
