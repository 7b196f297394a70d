"""Resources under /api/v1 that tell what is where: registers, locations, points of delivery, head ends."""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the dependencies are local names.

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, HTTPException, Query

from mdus.domain.access import Caller
from mdus.domain.capability import Capabilities, Capability, CapabilityRow
from mdus.endpoints.rest.access import HIDDEN, PERSONAL, Access
from mdus.endpoints.rest.paging import DEFAULT, Cursor, Day, Limit, Sorts
from mdus.endpoints.rest.shapes import Listed, Location, Register, Shown
from mdus.endpoints.runtime import Runtime
from mdus.storage import registry_listing
from mdus.storage.concentrator import concentrators_told, probes
from mdus.storage.outstanding import outstanding
from mdus.storage.registry_listing import POINTS
from mdus.storage.sorting import Sort

#: Of a list that is narrowed by a day alone: those that began last before it come first, as an index has them.
_BY_DAY: Final = "-valid_from"

SystemFilter = Annotated[str | None, Query(description="Only of this sender system.")]
DeviceFilter = Annotated[str | None, Query(description="Only of this device id, with its zeros.")]
ValidOn = Annotated[
    Day | None,
    Query(description="Only what is valid on this SAP local date; without a narrower filter sorted by `-valid_from`."),
]

_REGISTERS: Final = Sorts(
    device_id=Sort.by(sender_system=str, device_id=str, measurement_task_id=str, valid_from=date),
    measurement_task_id=Sort.by(sender_system=str, measurement_task_id=str, id=int),
    valid_from=Sort.by(valid_from=date, id=int),
)
_LOCATIONS: Final = Sorts(
    device_id=Sort.by(sender_system=str, device_id=str, installation_point_id=str, valid_from=date),
    valid_from=Sort.by(valid_from=date, id=int),
)
_POINTS: Final = Sorts(point_of_delivery_id=POINTS)


class RegisterShown(Register):
    """A register of a device."""

    id: int
    sender_system: str
    device_id: str


class LocationShown(Location):
    """Where a device hangs or hung; the address is `***` for callers that may not see where somebody lives."""

    id: int
    sender_system: str
    device_id: str


class PointOfDelivery(Shown):
    """A point of delivery: measured since when, by how many devices so far, and by how many now."""

    sender_system: str
    point_of_delivery_id: str
    first_measured_from: datetime
    devices: int
    devices_measuring: int


class MeasuredBy(Shown):
    """A register number of a device that measures a point of delivery in one span of instants, half-open.

    `registers` are those that carry the number on the device, in spans of SAP local dates; `serial_id` is absent while
    SAP has not created the device.
    """

    device_id: str
    serial_id: str | None
    measurement_task_id: str
    valid_from: datetime
    valid_to: datetime | None
    is_measuring: bool
    registers: list[Register]


class PointOfDeliveryDetail(PointOfDelivery):
    """A point of delivery with what it is and was measured by, the newest first."""

    measured_by: list[MeasuredBy]


class CapabilityRowShown(Shown):
    """A row of config/capabilities.toml that is for devices of a head end: what it says is there, and what is not."""

    name: str
    ams_id: str
    material_id: str
    capabilities: dict[str, bool]


class ConcentratorShown(Shown):
    """A data concentrator: whether it is there (null: it has not said), when it told, how many meters are behind it."""

    name: str
    is_online: bool | None
    told_at: datetime
    meters: int


class HeadEndShown(Shown):
    """A head end of the settings, and the metering systems (AMS ids) it serves.

    `capabilities` is what its devices can do at most, null where nobody knows; `rows` say what that is by system and
    model; `commands` are those it takes by its kind and its row, `commands_told` those it says itself that it takes
    (null where it does not say), `says` its own name and version, asked at `asked_at`. `outstanding` commands were
    given to it and are not answered; `concentrators` are those that have told of themselves.
    """

    name: str
    kind: str
    ams_ids: list[str]
    capabilities: list[str] | None
    commands: list[str] | None
    commands_told: list[str] | None
    says: str | None
    asked_at: datetime | None
    outstanding: int
    concentrators: list[ConcentratorShown]
    rows: list[CapabilityRowShown]


def add_registry(router: APIRouter, runtime: Runtime, access: Access) -> None:
    """Add the routes to a router."""
    who = Depends(access)
    _add_registers(router, runtime, who)
    _add_locations(router, runtime, who)
    _add_points(router, runtime, who)
    _add_head_ends(router, runtime, who)


def _add_registers(router: APIRouter, runtime: Runtime, who: Any) -> None:
    @router.get("/registers", tags=["registry"])
    def registers(
        caller: Annotated[Caller, who],
        sender_system: SystemFilter = None,
        device_id: DeviceFilter = None,
        reading_type: Annotated[str | None, Query(description="Only of this channel: an OBIS code.")] = None,
        measurement_task_id: Annotated[
            str | None, Query(description="Only with this logical register number, with its zeros.")
        ] = None,
        valid_on: ValidOn = None,
        sort: Annotated[
            Literal[
                "id",
                "-id",
                "device_id",
                "-device_id",
                "measurement_task_id",
                "-measurement_task_id",
                "valid_from",
                "-valid_from",
            ]
            | None,
            Query(description="The order; `-` descends. Without, the newest come first."),
        ] = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[RegisterShown]:
        """List the registers of devices, each in one span of SAP local dates."""
        filters = {
            "sender_system": sender_system,
            "device_id": device_id,
            "reading_type": reading_type,
            "measurement_task_id": measurement_task_id,
        }
        order = sort or _default(valid_on, narrow=(device_id, measurement_task_id))
        page = _REGISTERS.page(order, cursor=cursor, limit=limit, systems=caller.systems)
        with runtime.database.read() as uow:
            rows = registry_listing.registers(uow.connection, page, valid_on=valid_on, **filters)
        return _REGISTERS.listed(RegisterShown, rows, page)


def _add_locations(router: APIRouter, runtime: Runtime, who: Any) -> None:
    @router.get("/locations", tags=["registry"])
    def locations(
        caller: Annotated[Caller, who],
        sender_system: SystemFilter = None,
        device_id: DeviceFilter = None,
        installation_point_id: Annotated[str | None, Query(description="Only of this installation point.")] = None,
        valid_on: ValidOn = None,
        sort: Annotated[
            Literal["id", "-id", "device_id", "-device_id", "valid_from", "-valid_from"] | None,
            Query(description="The order; `-` descends. Without, the newest come first."),
        ] = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[LocationShown]:
        """List where devices hang and hung; the address is shown to operators, and to SAP what is its own."""
        filters = {
            "sender_system": sender_system,
            "device_id": device_id,
            "installation_point_id": installation_point_id,
        }
        order = sort or _default(valid_on, narrow=(device_id, installation_point_id))
        page = _LOCATIONS.page(order, cursor=cursor, limit=limit, systems=caller.systems)
        with runtime.database.read() as uow:
            rows = registry_listing.locations(uow.connection, page, valid_on=valid_on, **filters)
        shown = _LOCATIONS.listed(LocationShown, rows, page)
        if caller.sees_personal:
            return shown
        return shown.model_copy(update={"items": [without_address(one) for one in shown.items]})


def _add_points(router: APIRouter, runtime: Runtime, who: Any) -> None:
    @router.get("/points-of-delivery", tags=["registry"])
    def points(
        caller: Annotated[Caller, who],
        sender_system: SystemFilter = None,
        point_of_delivery_id: Annotated[str | None, Query(description="Only under this name.")] = None,
        device_id: Annotated[str | None, Query(description="Only those that this device measures or measured.")] = None,
        sort: Annotated[
            Literal["point_of_delivery_id", "-point_of_delivery_id"],
            Query(description="By sender system and name; `-` descends."),
        ] = "point_of_delivery_id",
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Listed[PointOfDelivery]:
        """List the points of delivery that registers measure or measured."""
        filters = {
            "sender_system": sender_system,
            "point_of_delivery_id": point_of_delivery_id,
            "device_id": device_id,
        }
        page = _POINTS.page(sort, cursor=cursor, limit=limit, systems=caller.systems)
        with runtime.database.read() as uow:
            rows = registry_listing.points_of_delivery(uow.connection, page, at=runtime.clock.now(), **filters)
        return _POINTS.listed(PointOfDelivery, rows, page)

    @router.get("/points-of-delivery/{sender_system}/{point_of_delivery_id}", tags=["registry"])
    def point(sender_system: str, point_of_delivery_id: str, caller: Annotated[Caller, who]) -> PointOfDeliveryDetail:
        """Show one point of delivery with the devices and registers it is and was measured by."""
        now = runtime.clock.now()
        with runtime.database.read() as uow:
            row = registry_listing.point_of_delivery(uow.connection, sender_system, point_of_delivery_id, at=now)
            if row is None or not caller.may_see(sender_system):
                raise HTTPException(
                    404,
                    f"There is no point of delivery {point_of_delivery_id} of {sender_system}: names are as SAP has "
                    "them, with their zeros; /points-of-delivery lists them",
                )
            spans = registry_listing.measured_by(uow.connection, sender_system, point_of_delivery_id)
            registers = registry_listing.registers_named(uow.connection, spans)
        return PointOfDeliveryDetail(
            **PointOfDelivery.model_validate(row).model_dump(), measured_by=_measured_by(spans, registers, now)
        )


def _measured_by(spans: Sequence[Any], registers: Sequence[Any], now: datetime) -> list[MeasuredBy]:
    return [
        MeasuredBy(
            device_id=span.device_id,
            serial_id=span.serial_id,
            measurement_task_id=span.measurement_task_id,
            valid_from=span.valid_from,
            valid_to=span.valid_to,
            is_measuring=span.valid_from <= now and (span.valid_to is None or span.valid_to > now),
            registers=[
                Register.model_validate(each)
                for each in registers
                if (each.device_id, each.measurement_task_id) == (span.device_id, span.measurement_task_id)
            ],
        )
        for span in spans
    ]


def _add_head_ends(router: APIRouter, runtime: Runtime, who: Any) -> None:
    @router.get("/head-ends", tags=["metering"])
    def head_ends(_: Annotated[Caller, who]) -> list[HeadEndShown]:
        """List the head ends of the settings: the systems each serves, what their devices can do, what it takes."""
        matrix = Capabilities.of(runtime.settings)
        with runtime.database.read() as uow:
            probed, concentrators = probes(uow.connection), concentrators_told(uow.connection)
            given = {row.name: outstanding(uow.connection, row.name) for row in runtime.settings.head_ends}
        return [
            HeadEndShown(
                name=row.name,
                kind=row.kind,
                ams_ids=list(row.ams_ids),
                capabilities=_names(matrix.offered.get(row.name)),
                commands=_names(runtime.commands.get(row.name)),
                commands_told=_names(said.probe.takes) if (said := probed.get(row.name)) else None,
                says=(said.probe.text or None) if said else None,
                asked_at=said.at if said else None,
                outstanding=given[row.name],
                concentrators=[
                    ConcentratorShown(name=one.name, is_online=one.is_online, told_at=one.told_at, meters=one.meters)
                    for one in concentrators
                    if one.head_end == row.name
                ],
                rows=[_row(each) for each in matrix.rows if _is_for(each, row.ams_ids)],
            )
            for row in runtime.settings.head_ends
        ]


def _names(members: Any) -> list[str] | None:
    return None if members is None else sorted(map(str, members))


def _is_for(row: CapabilityRow, ams_ids: Sequence[str]) -> bool:
    """Tell whether a row is for devices of one of these systems, of whatever model; without any it may be."""
    return not ams_ids or any(row.applies(ams_id=each, material_id=row.material_id) for each in ams_ids)


def _row(row: CapabilityRow) -> CapabilityRowShown:
    said: Mapping[Capability, bool | None] = {each: row.says(each) for each in row.spoken_of}
    return CapabilityRowShown(
        name=row.name,
        ams_id=row.ams_id,
        material_id=row.material_id,
        capabilities={str(each): bool(there) for each, there in said.items()},
    )


def without_address(location: Any) -> Any:
    """Return a location as it is shown to callers who may not see where somebody lives."""
    hidden = {name: HIDDEN for name in PERSONAL & set(type(location).model_fields) if getattr(location, name)}
    return location.model_copy(update=hidden)


def _default(valid_on: date | None, *, narrow: Sequence[str | None]) -> str:
    """Return the sort of a list where none is asked for: one that an index serves together with the filters."""
    return _BY_DAY if valid_on is not None and not any(narrow) else DEFAULT
