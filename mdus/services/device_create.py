"""UtilitiesDeviceERPSmartMeterCreateRequest: SAP asks us to know a smart meter.

Answered by UtilitiesDeviceERPSmartMeterCreateConfirmation. Creating the same meter twice is not an error: the request
is an upsert by SAP's device id, in which serial number and material may not change.

```
SAP   --CreateRequest-->        the device is stored, its head end found by AMS id
SAP   <--CreateConfirmation--   code 3, or 5 with the reason
                                registers arrive (register_create): the head end is told
                                the head end hears the meter: SAP is told (device_registered)
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from mdus.contracts.binding import wire, wire_end
from mdus.contracts.log import Log
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.register import Register
from mdus.domain.value import Value
from mdus.messaging.known import Known
from mdus.messaging.outcome import BusinessError, Change, Done, Outcome, Received, Result
from mdus.messaging.patterns import Door, RequestConfirmation
from mdus.messaging.provisioned_device import provisioning
from mdus.messaging.refused_device import (
    DatesReversed,
    MaterialDiffers,
    SerialNumberDiffers,
    SerialNumberTaken,
    SystemUnknown,
)
from mdus.settings import Settings
from mdus.storage.session import UnitOfWork


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Received):
    """The meter as SAP's device management has it; the dates are local, the end exclusive."""

    device_id: str = wire("UtilitiesDevice/ID")
    valid_from: date = wire("UtilitiesDevice/StartDate")
    valid_to: date | None = wire_end("UtilitiesDevice/EndDate")
    serial_id: str = wire("UtilitiesDevice/SerialID")
    material_id: str = wire("UtilitiesDevice/MaterialID")
    manufacturer_id: str | None = wire("UtilitiesDevice/IndividualMaterialManufacturerInformation/PartyInternalID")
    manufacturer_part_id: str | None = wire("UtilitiesDevice/IndividualMaterialManufacturerInformation/PartNumberID")
    manufacturer_serial_id: str | None = wire("UtilitiesDevice/IndividualMaterialManufacturerInformation/SerialID")
    ams_id: str | None = wire("UtilitiesDevice/SmartMeter/UtilitiesAdvancedMeteringSystemID")


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """What SAP reads: the device and how it went."""

    device_id: str = wire("UtilitiesDevice/ID")
    log: Log = wire("Log")


class SystemNotNamed(BusinessError):
    """The request names no advanced metering system, and there is not exactly one."""

    type_id = "105(MDUS)"


class RegistersEarlier(BusinessError):
    """A register of the device starts before the device would."""

    type_id = "107(MDUS)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy(Value):
    """Which head end stands for which advanced metering system (UtilitiesAdvancedMeteringSystemID -> name)."""

    head_ends: Mapping[str, str]

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """Return the policy that config/head_ends.toml says."""
        return cls(head_ends={ams_id: row.name for row in settings.head_ends for ams_id in row.ams_ids})

    def served_by(self, ams_id: str | None) -> tuple[str, str]:
        """Return AMS id and head end of a device; the only system there is needs no naming."""
        if ams_id is None:
            if len(self.head_ends) != 1:
                raise SystemNotNamed
            return next(iter(self.head_ends.items()))
        if ams_id not in self.head_ends:
            raise SystemUnknown(f"No head end stands for the advanced metering system {ams_id}")
        return ams_id, self.head_ends[ams_id]


def load(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    """Fetch the devices of a batch by id and serial number, their status, registers, provisionings, and the policy."""
    policy = Policy.of(uow.settings)
    keys = {(request.origin.sender_system, request.device_id) for request in requests}
    serials = {(name, request.serial_id) for request in requests for name in policy.head_ends.values()}
    by_id = ("sender_system", "device_id")
    return Known(
        [policy],
        uow.load(EndDevice, by_id, keys),
        uow.load(EndDevice, ("head_end", "serial_id"), serials),
        uow.load(EndDeviceStatus, by_id, keys),
        uow.load(Register, by_id, keys),
        uow.load_provisionings(keys),
    )


def decide(request: Request, known: Known, *, now: datetime) -> Outcome:
    """Store the device, or raise why not (SAP contract 3.1).

    - The same device with the same content again: done, nothing changes. Other dates, manufacturer's data or metering
      system: the stored device is replaced, what the field has told of it stays.
    - A known device with another serial number or material is another meter: refused.
    - A serial number belongs to one device per head end, whichever sender system it is from: refused.
    - An unknown metering system is refused; none at all means the only one that is configured, if there is just one.
    - The validity holds at least one day and begins no later than the device's registers.
    - The head end is told of the meter once there are registers to collect: here only when a known device moves to
      another head end.
    """
    policy = known.one(Policy) or Policy(head_ends={})
    sender = request.origin.sender_system
    ams_id, head_end = policy.served_by(request.ams_id)
    stored = known.one(EndDevice, sender, request.device_id)
    device = EndDevice(
        sender_system=sender,
        device_id=request.device_id,
        serial_id=request.serial_id,
        material_id=request.material_id,
        valid_from=request.valid_from,
        valid_to=request.valid_to,
        ams_id=ams_id,
        head_end=head_end,
        manufacturer_id=request.manufacturer_id,
        manufacturer_serial_id=request.manufacturer_serial_id,
        manufacturer_part_id=request.manufacturer_part_id,
        create_item_id=request.origin.item_id if stored is None else stored.create_item_id,
    )
    if stored == device:
        return Done()
    registers = known.find(Register, sender_system=sender, device_id=request.device_id)
    _check(device, stored=stored, registers=registers, known=known)

    changes: list[Change] = [device]
    if known.one(EndDeviceStatus, sender, request.device_id) is None:
        changes.append(EndDeviceStatus(sender_system=sender, device_id=request.device_id))
    changes += provisioning(device, registers, known, origin=request.origin, now=now)
    return Done(changes=tuple(changes))


def _check(device: EndDevice, *, stored: EndDevice | None, registers: Sequence[Register], known: Known) -> None:
    if device.valid_to is not None and device.valid_to <= device.valid_from:
        raise DatesReversed
    if stored is not None and stored.serial_id != device.serial_id:
        raise SerialNumberDiffers(f"The device is known with the serial number {stored.serial_id}")
    if stored is not None and stored.material_id != device.material_id:
        raise MaterialDiffers(f"The device is known with the material {stored.material_id}")
    for holder in known.find(EndDevice, head_end=device.head_end, serial_id=device.serial_id):
        if holder.key != device.key:
            raise SerialNumberTaken(f"The serial number already belongs to device {holder.device_id}")
    if any(register.valid_from < device.valid_from for register in registers):
        raise RegistersEarlier


def confirm(request: Request, result: Result) -> Confirmation:
    """Return the confirmation of one device."""
    return Confirmation(device_id=request.device_id, log=result.log)


SERVICE = RequestConfirmation(
    request="UtilitiesDeviceERPSmartMeterCreateRequest",
    bulk_request="UtilitiesDeviceERPSmartMeterBulkCreateRequest",
    confirmation="UtilitiesDeviceERPSmartMeterCreateConfirmation",
    bulk_confirmation="UtilitiesDeviceERPSmartMeterBulkCreateConfirmation",
    shape=Request,
    confirmation_shape=Confirmation,
    order_by="device_id",
    load=load,
    decide=decide,
    confirm=confirm,
    door=Door(path="devices"),
)
