"""Examples of what is told of validation: rule sets, rules and methods, edits of a day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_CONTENT: Final = {
    "judges": "intervals",
    "reading_types": ["1-*"],
    "divisions": [],
    "rules": [{"name": "spike", "severity": "issue", "replaces": True, "tolerance": 2.5}],
    "methods": [{"name": "linear", "max_minutes": 60}],
    "estimated_share": 0.5,
}
_VERSION: Final = {
    "name": "electricity",
    "version": 2,
    "valid_from": "2026-04-01",
    "content": _CONTENT,
    "written_at": "2026-03-28T10:00:00Z",
    "written_by": "rest:quality",
    "reason": "too many false alarms about heat pumps",
    "retired": False,
}

VALIDATION: Final[Mapping[str, dict[str, Any]]] = {
    "RuleSetShown": {"name": "electricity", "in_force": {**_VERSION, "version": 1}, "to_come": [_VERSION]},
    "RuleSetVersionShown": _VERSION,
    "ToolShown": {
        "name": "spike",
        "number": "V6",
        "title": "V6 Spike: one or two values of a day stand far above all others.",
        "description": "Formula: (max - third highest) / third highest > tolerance.",
        "parameters": [
            {
                "name": "tolerance",
                "type": '{"exclusiveMinimum": 0, "type": "number"}',
                "default": 1.8,
                "description": "How far the highest value may stand above the third highest, as a ratio of the latter.",
            }
        ],
        "needs": [],
    },
    "EditResult": {
        "position": 0,
        "state": "done",
        "problem": None,
        "day": "2026-03-28",
        "version": 2,
        "intervals": [40, 41],
    },
}
