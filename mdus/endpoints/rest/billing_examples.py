"""Answers about billing as examples in the description of the REST side, by the names of their shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Example = dict[str, Any]

_DETERMINANT: Final[Example] = {
    "id": 4711,
    "sender_system": "P11",
    "point_of_delivery_id": "DE0001234",
    "period_from": "2026-03-01",
    "period_to": "2026-04-01",
    "reason": "1",
    "reading_type": "1-0:1.29.0*255",
    "name": "total.high",
    "version": 2,
    "quantity": "311.25",
    "unit": "KWH",
    "peak_at": None,
    "intervals": 2972,
    "missing": 0,
    "estimated": 4,
    "status": "released",
    "gate_reason": None,
    "cause": "corrected",
    "made_at": "2026-04-03T04:30:02Z",
    "made_by": "job determinants",
    "replaces": 4203,
    "is_newest": True,
}
_SET: Final[Example] = {
    "valid_from": "2026-04-01",
    "set_name": "standard",
    "assigned_at": "2026-03-28T10:00:00Z",
    "assigned_by": "rest:portal",
}

BILLING: Final[Mapping[str, Example]] = {
    "DeterminantShown": _DETERMINANT,
    "DeterminantPage": {"items": [_DETERMINANT], "last": 4711},
    "SetsShown": {"usual": "standard", "assigned": [_SET]},
    "SetShown": _SET,
}
