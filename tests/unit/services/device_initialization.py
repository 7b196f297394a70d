"""The messages of device initialization as requests with plain values, for tests without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from mdus.domain.end_device import EndDevice
from mdus.domain.recurrence import Recurrences
from mdus.domain.register import Register
from mdus.domain.register_policy import ReadingTypeRow, RegisterPolicy
from mdus.domain.unit import Units
from mdus.messaging.known import Known
from mdus.messaging.outcome import Done, Origin, Outcome, Problem
from mdus.services import device_create, device_location, point_of_delivery_assigned, register_create
from mdus.settings import load_settings

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
SENDER = "P11"
DEVICE = "000000000000000042"
TASK = "000000000000100042"
POINT = "DE0001234500000000000000000000042"

HEAD_ENDS = device_create.Policy(head_ends={"AM01": "city", "AM02": "north"})
READING_TYPES = RegisterPolicy(
    reading_types=(
        ReadingTypeRow(name="electricity", division="1", reading_type="1-0:1.8.0*255"),
        ReadingTypeRow(name="night", division="1", time_of_use="2", reading_type="1-0:1.8.2*255", unit="KWH"),
        ReadingTypeRow(name="kwh_total", text="KWH_TOTAL", reading_type="1-0:1.8.0*255"),
        ReadingTypeRow(name="a", text="TWICE", reading_type="1-0:1.8.1*255"),
        ReadingTypeRow(name="b", text="TWICE", reading_type="1-0:1.8.2*255"),
        ReadingTypeRow(name="c", text="ONLY_NORTH", reading_type="1-0:1.8.1*255", head_end="north"),
    ),
    time_zone_codes=frozenset({"CET", "INDIA"}),
    units=Units.of(load_settings({})),
    recurrences=Recurrences.of(load_settings({})),
)
ZONES = device_location.Policy(time_zones={"CET": "Europe/Berlin", "INDIA": "Asia/Kolkata"})


def origin(*, item_id: int = 1, sender_system: str = SENDER, received_at: datetime = NOW, **other: Any) -> Origin:
    """An origin in Berlin whose parking ends after half an hour."""
    facts: dict[str, Any] = {
        "zone": "Europe/Berlin",
        "message_uuid": None,
        "uuid": None,
        "id": None,
        "bulk": False,
        "test_data": False,
        "park_until": received_at + timedelta(minutes=30),
        **other,
    }
    return Origin(item_id=item_id, sender_system=sender_system, received_at=received_at, **facts)


def device_request(**facts: Any) -> device_create.Request:
    """SAP's device create; valid from 2026-01-01 on."""
    told: dict[str, Any] = {
        "origin": origin(),
        "device_id": DEVICE,
        "serial_id": "0000001234",
        "material_id": "LX100-SW",
        "valid_from": date(2026, 1, 1),
        "ams_id": "AM01",
    }
    return device_create.Request(**{**told, **facts})


def sent_register(**facts: Any) -> register_create.SentRegister:
    """One register of SAP's register create; valid from 2026-01-01 on."""
    told: dict[str, Any] = {
        "measurement_task_id": TASK,
        "valid_from": date(2026, 1, 1),
        "obis_text": "1-0:1.8.0",
        "division": "1",
        "unit": "KWH",
        "total_digits": 8,
        "fraction_digits": 2,
        "factor": Decimal(1),
    }
    return register_create.SentRegister(**{**told, **facts})


def register_request(*registers: register_create.SentRegister, **facts: Any) -> register_create.Request:
    """SAP's register create with these registers, or one."""
    told: dict[str, Any] = {"origin": origin(), "device_id": DEVICE, "ams_id": "AM01"}
    return register_create.Request(registers=registers or (sent_register(),), **{**told, **facts})


def sent_location(**facts: Any) -> device_location.SentLocation:
    """One location of SAP's location notification; valid from 2026-01-01 on."""
    told: dict[str, Any] = {
        "installation_point_id": "IP1",
        "valid_from": date(2026, 1, 1),
        "parent_installation_point_id": "CO1",
        "country_code": "DE",
    }
    return device_location.SentLocation(**{**told, **facts})


def location_request(*locations: device_location.SentLocation, **facts: Any) -> device_location.Request:
    """SAP's location notification with these locations; the list is complete."""
    told: dict[str, Any] = {"origin": origin(), "device_id": DEVICE, "ams_id": "AM01", "locations_complete": True}
    return device_location.Request(locations=locations, **{**told, **facts})


def sent_assignment(**facts: Any) -> point_of_delivery_assigned.SentAssignment:
    """One assignment of SAP's notification; from 2026-01-01 on."""
    told: dict[str, Any] = {
        "point_of_delivery_id": POINT,
        "start_on": date(2026, 1, 1),
        "start_time": time(0),
        "end_on": date(9999, 12, 31),
        "end_time": time(23, 59, 59),
    }
    return point_of_delivery_assigned.SentAssignment(**{**told, **facts})


def assignment_request(
    *assignments: point_of_delivery_assigned.SentAssignment, **facts: Any
) -> point_of_delivery_assigned.Request:
    """SAP's point of delivery notification with these assignments; the list is complete."""
    told: dict[str, Any] = {
        "origin": origin(),
        "device_id": DEVICE,
        "measurement_task_id": TASK,
        "ams_id": "AM01",
        "complete": True,
    }
    return point_of_delivery_assigned.Request(assignments=assignments, **{**told, **facts})


def known_device(**facts: Any) -> EndDevice:
    """The device as `device_request` makes it."""
    outcome = device_create.decide(device_request(), Known([HEAD_ENDS]), now=NOW)
    return replace(only(outcome, EndDevice), **facts)


def known_register(**facts: Any) -> Register:
    """The register as `register_request` makes it."""
    outcome = register_create.decide(register_request(), Known([READING_TYPES], [known_device()]), now=NOW)
    return replace(only(outcome, Register), **facts)


def of_kind(outcome: Outcome, kind: type[Any]) -> list[Any]:
    """The changes of one kind of a decision that is done."""
    assert isinstance(outcome, Done)
    return [change for change in outcome.changes if isinstance(change, kind)]


def only(outcome: Outcome, kind: type[Any]) -> Any:
    """The one change of a kind."""
    (change,) = of_kind(outcome, kind)
    return change


def problems(outcome: Outcome) -> tuple[Problem, ...]:
    """What SAP's log will list."""
    assert isinstance(outcome, Done)
    assert outcome.result is not None
    return outcome.result.problems
