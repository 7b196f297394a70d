"""An event of load control at a meter, as it is stored."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from mdus.domain.load_control_event import LoadControlEvent, LoadControlStatus


def load_control_event(start_at: datetime, **changes: Any) -> LoadControlEvent:
    """Return an event of an hour that the meter has confirmed."""
    values: dict[str, Any] = {
        "sender_system": "P11",
        "event_id": "peak",
        "device_id": "1",
        "start_at": start_at,
        "minutes": 60,
        "percent": 40,
        "status": LoadControlStatus.SCHEDULED,
        "item_id": 1,
    }
    return LoadControlEvent(**(values | changes))
