"""Exception cases, their rules, storms, figures, and what no table explains, as examples in the description of REST."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Example = dict[str, Any]

_CASE: Final[Example] = {
    "id": 12,
    "kind": "device_silent",
    "case_key": "P11/000000000000000042",
    "opened_at": "2026-03-28T04:00:09Z",
    "closed_at": None,
    "note": "device 000000000000000042 was last heard on 2026-03-24 23:10 UTC",
    "state": "in_work",
    "team": "field",
    "assignee": "a.smith",
    "severity": "normal",
    "due_at": "2026-04-03T15:00:00Z",
    "paused_at": None,
    "escalated_at": None,
    "age_class": "0-1",
    "rule": "silent_devices",
    "rules_version": 0,
    "sender_system": "P11",
    "device_id": "000000000000000042",
    "point_of_delivery_id": "DE0001234",
    "head_end": "city",
    "area": "10115",
    "commodity": "01",
    "reading_reason": None,
    "members": None,
    "group": None,
}
_ENTRY: Final[Example] = {
    "at": "2026-03-28T10:00:00Z",
    "who": "rest:portal",
    "action": "changed",
    "text": "state in_work, assignee a.smith: looked at it",
}
_RULE: Final[Example] = {
    "name": "silent_devices",
    "place": 100,
    "kind": "device_*",
    "head_end": None,
    "area": None,
    "commodity": None,
    "reading_reason": None,
    "device": None,
    "of_severity": None,
    "team": "field",
    "severity": "normal",
    "due_hours": None,
    "due_days": 5,
    "escalate_to": None,
}

#: By the name of the shape.
EXCEPTION_EXAMPLES: Final[Mapping[str, Example]] = {
    "Case": _CASE,
    "CaseDetail": {**_CASE, "history": [_ENTRY]},
    "CaseEntry": _ENTRY,
    "RuleShown": _RULE,
    "RulesVersion": {
        "version": 3,
        "valid_from": "2026-03-28T10:00:00Z",
        "made_at": "2026-03-28T10:00:00Z",
        "made_by": "rest:portal",
        "reason": "gas has a team of its own",
        "rules": [_RULE],
    },
    "KpiShown": {"day": "2026-03-27", "name": "completeness", "labels": {"head_end": "city"}, "value": 0.9985},
    "StormShown": {
        "id": 4,
        "head_end": "city",
        "area": "10115",
        "started_at": "2026-03-28T10:00:00Z",
        "started_by": "mdus",
        "reason": "by rule",
        "meters": 420,
        "affected": 380,
        "most_affected": 400,
        "case_id": 812,
        "ended_at": None,
        "ended_by": None,
        "end_reason": None,
    },
    "UnmappedShown": {
        "id": 3,
        "head_end": "north",
        "source": "channel",
        "code": "cmep: commodity=E, unit=PULSE",
        "serial_id": "0000001234",
        "at": "2026-03-28T10:00:00Z",
        "value": "12",
        "unit": "PULSE",
        "text": None,
        "delivery_id": 42,
        "received_at": "2026-03-28T10:00:00Z",
        "row": '[[channels]] obis = "?", kind = "?", unit = "?", head_end = "north", '
        'cmep = [{ commodity = "E", unit = "PULSE" }]',
    },
}
