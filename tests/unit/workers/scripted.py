"""A small service that does what its requests say, and messages of it put into the store as intake would."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from mdus.contracts.binding import shape_version, to_json, wire
from mdus.contracts.log import Log
from mdus.domain.end_device import EndDevice, device_arrival
from mdus.messaging.known import Known
from mdus.messaging.outcome import Await, BusinessError, Done, Outcome, Park, Received, Result
from mdus.messaging.patterns import RequestConfirmation
from mdus.storage.intake import ReceivedItem, ReceivedMessage, Stored, StoredBody, store_message
from mdus.storage.session import Database, UnitOfWork

START = datetime(2026, 3, 28, 8, tzinfo=UTC)
ROOT = "UtilitiesDeviceERPSmartMeterCreateRequest"


class Clock:
    """Business time that a test moves."""

    def __init__(self) -> None:
        self.instant = START

    def now(self) -> datetime:
        return self.instant

    def move(self, **span: float) -> None:
        self.instant += timedelta(**span)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Received):
    device_id: str = wire("UtilitiesDevice/ID")
    serial_id: str = wire("UtilitiesDevice/SerialID")
    material_id: str = wire("UtilitiesDevice/MaterialID")  # what to do with the item


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    device_id: str = wire("UtilitiesDevice/ID")
    log: Log = wire("Log")


class Refused(BusinessError):
    """Refused as scripted"""

    type_id = "900(MDUS)"


def load(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    keys = [(request.origin.sender_system, device) for request in requests for device in (request.device_id, "AWAITED")]
    return Known(uow.load(EndDevice, ("sender_system", "device_id"), keys))


def decide(request: Request, known: Known, *, now: datetime) -> Outcome:
    system = request.origin.sender_system
    match request.material_id:
        case "refuse":
            raise Refused
        case "break":
            raise ZeroDivisionError("a defect of ours")
        case "silent":
            return Done(result=None)
        case "await":
            return (
                Done()
                if now > request.origin.received_at
                else Await((), request.origin.received_at + timedelta(hours=1))
            )
        case "park":
            if known.one(EndDevice, system, "AWAITED") is None and now < request.origin.park_until:
                return Park(device_arrival(system, "AWAITED"), request.origin.park_until, Refused())
            return Done()
        case "park in vain":
            return Park(device_arrival(system, "AWAITED"), request.origin.park_until, Refused("never came"))
    device = EndDevice(
        sender_system=system,
        device_id=request.device_id,
        serial_id=request.serial_id,
        material_id="M",
        valid_from=date(2026, 1, 1),
        head_end="meadow",  # with a serial number taken, the database refuses
    )
    return Done((device,))


def confirm(request: Request, result: Result) -> Confirmation:
    return Confirmation(device_id=request.device_id, log=result.log)


SERVICE = RequestConfirmation(
    request=ROOT,
    bulk_request="UtilitiesDeviceERPSmartMeterBulkCreateRequest",
    confirmation="UtilitiesDeviceERPSmartMeterCreateConfirmation",
    bulk_confirmation="UtilitiesDeviceERPSmartMeterBulkCreateConfirmation",
    shape=Request,
    confirmation_shape=Confirmation,
    order_by="device_id",
    load=load,
    decide=decide,
    confirm=confirm,
)


def store(
    database: Database,
    items: Sequence[tuple[str, str]],
    *,
    uuid: str,
    bulk: bool = True,
    item_keys: Mapping[int, str] | None = None,
    test_data: bool = False,
    now: datetime = START,
) -> Stored:
    """Store a message with items (device id, what to do), as intake does; serials are the device ids unless `=X`."""
    rows = []
    for position, (device, script) in enumerate(items, start=1):
        device_id, _, serial = device.partition("=")
        request = Request(device_id=device_id, serial_id=serial or device_id, material_id=script)
        rows.append(
            ReceivedItem(
                position=position,
                key=(item_keys or {}).get(position, f"{uuid}/{position}"),
                uuid=None,
                header_id=None,
                ordering_key=f"P11/{device_id}",
                content=to_json(request),
                test_data=test_data,
            )
        )
    body = repr((uuid, items)).encode()
    message = ReceivedMessage(
        sender_system="P11",
        service=ROOT,
        root=SERVICE.bulk_request if bulk else ROOT,
        bulk=bulk,
        key=uuid,
        uuid=uuid,
        header_id=None,
        test_data=test_data,
        created_at=now,
        item_count=len(rows),
    )
    packed = StoredBody(content_hash=hashlib.sha256(body).digest(), data=zlib.compress(body), size=len(body))
    with database.begin() as uow:
        return store_message(
            uow.connection, message, body=packed, batches=[rows], shape_version=shape_version(Request), now=now
        )


def rows_of(database: Database, table: Any, **where: Any) -> list[Any]:
    """Return the rows of a table whose columns have these values, in their order."""
    with database.read() as uow:
        query = table.select().where(*(table.c[name] == value for name, value in where.items())).order_by(table.c.id)
        return list(uow.connection.execute(query))
