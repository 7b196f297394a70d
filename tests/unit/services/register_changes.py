"""SAP's register changes as requests with plain values."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from mdus.domain.usage_point import UsagePoint
from mdus.services.register_change import Request, SentRegister, SentSpecification
from tests.unit.services.device_initialization import DEVICE, NOW, SENDER, TASK, origin

#: 2026-07-01, when registers change in most tests; the last day before it is SAP's end date.
DAY = date(2026, 7, 1)
START = date(2026, 1, 1)


def specification(**facts: Any) -> SentSpecification:
    """One specification as `known_register` has it; from 2026-01-01 on."""
    told: dict[str, Any] = {
        "valid_from": START,
        "valid_to": None,
        "unit": "KWH",
        "total_digits": 8,
        "fraction_digits": 2,
        "factor": Decimal(1),
    }
    return SentSpecification(**{**told, **facts})


def sent(*specifications: SentSpecification, **facts: Any) -> SentRegister:
    """One register of SAP's register change as `known_register` has it; from 2026-01-01 on."""
    told: dict[str, Any] = {
        "measurement_task_id": TASK,
        "valid_from": START,
        "valid_to": None,
        "obis_text": "1-0:1.8.0",
        "division": "1",
    }
    return SentRegister(specifications=specifications or (specification(),), **{**told, **facts})


def change(*registers: SentRegister, **facts: Any) -> Request:
    """SAP's register change with these registers."""
    told: dict[str, Any] = {"origin": origin(), "device_id": DEVICE, "ams_id": "AM01"}
    return Request(registers=registers, **{**told, **facts})


def assignment(number: str) -> UsagePoint:
    """The point of delivery of a number of the device."""
    return UsagePoint(
        sender_system=SENDER, device_id=DEVICE, measurement_task_id=number, point_of_delivery_id="DE1", valid_from=NOW
    )
