"""What exception cases are about, looked up for a whole batch: one query per table, whatever the number of cases."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, select

from mdus.domain.end_device import EndDevice
from mdus.domain.exception_routing import Subject
from mdus.domain.exception_subject import Named, named_in
from mdus.domain.meter_reading_document import MeterReadingDocument
from mdus.domain.usage_point import DeviceLocation
from mdus.storage.end_device_event import END_DEVICE_EVENT
from mdus.storage.message import ITEM
from mdus.storage.meter_reading_document import METER_READING_DOCUMENT
from mdus.storage.registry import DEVICE_LOCATION, END_DEVICE, REGISTER, USAGE_POINT
from mdus.storage.time_series import TIME_SERIES_ASSIGNMENT

#: (sender system, device id), and likewise of orders and profiles.
Pair = tuple[str, str]

#: What the area of a device may be, by the names of the setting.
POSTAL_CODE: Final = "postal_code"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A case whose subject is asked for."""

    id: int
    kind: str
    case_key: str
    opened_at: datetime


def subjects_of(connection: Connection, cases: Collection[Case], *, area: str) -> dict[int, Subject]:
    """Return what each case is about, by its id; `area` names the column of a location that is the area."""
    named = {case.id: named_in(case.kind, case.case_key) for case in cases}
    named = _through_items(connection, named)
    named = _through_events(connection, named)
    documents = _documents(connection, named.values())
    profiled = _profiled(connection, named.values())
    devices = _devices(connection, named.values(), documents, profiled)
    divisions = _divisions(connection, devices)
    points = _points(connection, devices)
    locations = _locations(connection, devices)
    found = {}
    for case in cases:
        one = named[case.id]
        system = one.sender_system or ""
        document = documents.get((system, one.document_id or ""))
        device = devices.get((system, _device_id(one, documents, profiled, devices) or ""))
        key = None if device is None else (device.sender_system, device.device_id)
        found[case.id] = Subject(
            kind=case.kind,
            sender_system=one.sender_system,
            device_id=None if device is None else device.device_id,
            head_end=one.head_end if device is None else device.head_end,
            point_of_delivery_id=points.get(key) if key else None,
            area=_area(locations.get(key, ()), case.opened_at, area) if key else None,
            commodity=divisions.get(key) if key else None,
            reading_reason=None if document is None else document.reason_code,
        )
    return found


def _through_items(connection: Connection, named: Mapping[int, Named]) -> dict[int, Named]:
    """Return what is named, with the device of each item: its ordering key is that of one, where it has one."""
    ids = sorted({one.item_id for one in named.values() if one.item_id is not None})
    if not ids:
        return dict(named)
    query = select(ITEM.c.id, ITEM.c.sender_system, ITEM.c.ordering_key).where(ITEM.c.id.in_(ids))
    items = {row.id: row for row in connection.execute(query)}
    return {
        case: one
        if (item := items.get(one.item_id or 0)) is None
        else Named(sender_system=item.sender_system, device_id=item.ordering_key.removeprefix(f"{item.sender_system}/"))
        for case, one in named.items()
    }


def _through_events(connection: Connection, named: Mapping[int, Named]) -> dict[int, Named]:
    keys = {(one.sender_system, one.event_id) for one in named.values() if one.event_id is not None}
    events = END_DEVICE_EVENT.read(connection, ("sender_system", "event_id"), keys)
    devices = {(event.sender_system, event.event_id): event.device_id for event in events}
    return {
        case: one
        if one.event_id is None
        else replace(one, device_id=devices.get((one.sender_system or "", one.event_id)))
        for case, one in named.items()
    }


def _documents(connection: Connection, named: Iterable[Named]) -> dict[Pair, MeterReadingDocument]:
    keys = {(one.sender_system, one.document_id) for one in named if one.document_id is not None}
    found = METER_READING_DOCUMENT.read(connection, MeterReadingDocument.KEY, keys)
    return {(one.sender_system, one.document_id): one for one in found}


def _profiled(connection: Connection, named: Iterable[Named]) -> dict[Pair, str]:
    """Return the device that each profile sits on, the newest assignment's."""
    keys = {(one.sender_system, one.time_series_id) for one in named if one.time_series_id is not None}
    assignments = TIME_SERIES_ASSIGNMENT.read(connection, ("sender_system", "time_series_id"), keys)
    tasks = {(one.sender_system, one.measurement_task_id) for one in assignments}
    registers = REGISTER.read(connection, ("sender_system", "measurement_task_id"), tasks)
    devices = {
        (one.sender_system, one.measurement_task_id): one.device_id
        for one in sorted(registers, key=lambda register: register.valid_from)
    }
    newest = sorted(assignments, key=lambda one: one.valid_from)
    found = {
        (one.sender_system, one.time_series_id): devices.get((one.sender_system, one.measurement_task_id))
        for one in newest
    }
    return {key: device for key, device in found.items() if device is not None}


def _devices(
    connection: Connection,
    named: Iterable[Named],
    documents: Mapping[Pair, MeterReadingDocument],
    profiled: Mapping[Pair, str],
) -> dict[Pair, EndDevice]:
    keys = {(one.sender_system, one.device_id) for one in named if one.sender_system and one.device_id}
    keys |= {(key[0], document.device_id) for key, document in documents.items()}
    keys |= {(key[0], device) for key, device in profiled.items()}
    return {(one.sender_system, one.device_id): one for one in END_DEVICE.read(connection, EndDevice.KEY, keys)}


def _device_id(
    one: Named,
    documents: Mapping[Pair, MeterReadingDocument],
    profiled: Mapping[Pair, str],
    devices: Mapping[Pair, EndDevice],
) -> str | None:
    system = one.sender_system or ""
    if one.device_id is not None and (system, one.device_id) in devices:
        return one.device_id
    document = documents.get((system, one.document_id or ""))
    return profiled.get((system, one.time_series_id or "")) if document is None else document.device_id


def _divisions(connection: Connection, devices: Collection[Pair]) -> dict[Pair, str]:
    registers = REGISTER.read(connection, ("sender_system", "device_id"), set(devices))
    return {(one.sender_system, one.device_id): one.division for one in registers if one.division is not None}


def _points(connection: Connection, devices: Collection[Pair]) -> dict[Pair, str]:
    points = USAGE_POINT.read(connection, ("sender_system", "device_id"), set(devices))
    newest = sorted(points, key=lambda point: point.valid_from)
    return {(one.sender_system, one.device_id): one.point_of_delivery_id for one in newest}


def _locations(connection: Connection, devices: Collection[Pair]) -> dict[Pair, list[DeviceLocation]]:
    found: dict[Pair, list[DeviceLocation]] = {}
    for one in DEVICE_LOCATION.read(connection, ("sender_system", "device_id"), set(devices)):
        found.setdefault((one.sender_system, one.device_id), []).append(one)
    return found


def _area(locations: Iterable[DeviceLocation], at: datetime, column: str) -> str | None:
    """Return the area of a device: where it hangs on a day, else where it hung last."""
    ordered = sorted(locations, key=lambda one: (one.is_valid_on(at.date()), one.valid_from))
    value: Any = getattr(ordered[-1], column) if ordered else None
    return value or None
