"""UtilitiesDeviceERPSmartMeterChangeRequest: SAP changes what it told of a smart meter, or says when it ends.

Answered by UtilitiesDeviceERPSmartMeterChangeConfirmation; SAP has no bulk of it. What the request leaves out stays.

```
SAP   --ChangeRequest-->        device not there yet: wait for it, 30 minutes at most
                                dates, manufacturer's data and head end change together, or nothing does
MDUS  --provision--> head end   when it is another one than before; what the old one was not yet asked is taken back
SAP   <--ChangeConfirmation--   code 3, or 5 with the reason
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from mdus.contracts.binding import wire
from mdus.contracts.log import Log
from mdus.domain.command import Command, CommandStatus, called_back_anew
from mdus.domain.end_device import EndDevice, device_arrival
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation
from mdus.domain.value import Value
from mdus.messaging.addressed_device import DeviceUnknown
from mdus.messaging.known import Known
from mdus.messaging.outcome import BusinessError, Change, Done, Outcome, Park, Received, Result
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
    """What SAP changes of a meter; both dates are local, `end_on` is the last day as on the wire.

    The end is read as it stands, for here an open end (9999-12-31) and none at all say different things.
    """

    device_id: str = wire("UtilitiesDevice/ID")
    serial_id: str = wire("UtilitiesDevice/SerialID")
    material_id: str = wire("UtilitiesDevice/MaterialID")
    start_on: date | None = wire("UtilitiesDevice/StartDate")
    end_on: date | None = wire("UtilitiesDevice/EndDate")
    manufacturer_id: str | None = wire("UtilitiesDevice/IndividualMaterialManufacturerInformation/PartyInternalID")
    manufacturer_part_id: str | None = wire("UtilitiesDevice/IndividualMaterialManufacturerInformation/PartNumberID")
    manufacturer_serial_id: str | None = wire("UtilitiesDevice/IndividualMaterialManufacturerInformation/SerialID")
    ams_id: str | None = wire("UtilitiesDevice/SmartMeter/UtilitiesAdvancedMeteringSystemID")


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """What SAP reads: the device and how it went."""

    device_id: str = wire("UtilitiesDevice/ID")
    log: Log = wire("Log")


class StartFixed(BusinessError):
    """The start cannot change any more: the meter has registers or a location."""

    type_id = "108(MDUS)"


class RegistersLater(BusinessError):
    """A register of the device starts after the device would have ended."""

    type_id = "109(MDUS)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy(Value):
    """Which head end stands for which advanced metering system (UtilitiesAdvancedMeteringSystemID -> name)."""

    head_ends: Mapping[str, str]

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """Return the policy that config/head_ends.toml says."""
        return cls(head_ends={ams_id: row.name for row in settings.head_ends for ams_id in row.ams_ids})

    def served_by(self, ams_id: str | None) -> str | None:
        """Return the head end of a metering system, None where none stands for it."""
        return None if ams_id is None else self.head_ends.get(ams_id)


def load(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    """Fetch the devices, those of their serial numbers where they move, what they have, provisionings, the policy."""
    policy = Policy.of(uow.settings)
    by_id = ("sender_system", "device_id")
    keys = {(request.origin.sender_system, request.device_id) for request in requests}
    moves = {(policy.served_by(request.ams_id), request.serial_id) for request in requests}
    return Known(
        [policy],
        uow.load(EndDevice, by_id, keys),
        uow.load(EndDevice, ("head_end", "serial_id"), {(name, serial) for name, serial in moves if name is not None}),
        uow.load(Register, by_id, keys),
        uow.load(DeviceLocation, by_id, keys),
        uow.load(Command, (*by_id, "status"), {(*key, CommandStatus.READY.value) for key in keys}, lock=False),
        uow.load_provisionings(keys),
    )


def decide(request: Request, known: Known, *, now: datetime) -> Outcome:
    """Change the device, or raise why not (SAP contract 3.1).

    - The device is not known: wait for it, then fail.
    - Serial number and material name the meter and never change: another meter is another device.
    - An end of 9999-12-31 is open, any other is the last day; one that was set is taken back by sending it open. The
      validity holds at least one day and no register starts after it.
    - The start moves only while the meter is in stock, that is without registers and location: orders rest on it later.
    - Another metering system moves the device to its head end, which is told of it; there the serial number has to be
      free. What the old one was not asked yet is taken back. The same system moves nothing, whatever is configured.
    - What the field has told of the meter stays.
    """
    sender = request.origin.sender_system
    stored = known.one(EndDevice, sender, request.device_id)
    if stored is None:
        arrival = device_arrival(sender, request.device_id)
        return Park(waits_for=arrival, until=request.origin.park_until, otherwise=DeviceUnknown())
    if stored.serial_id != request.serial_id:
        raise SerialNumberDiffers(f"The device is known with the serial number {stored.serial_id}")
    if stored.material_id != request.material_id:
        raise MaterialDiffers(f"The device is known with the material {stored.material_id}")
    device = _changed(stored, request, policy=known.one(Policy) or Policy(head_ends={}))
    if device == stored:
        return Done()
    registers = known.find(Register, sender_system=sender, device_id=request.device_id)
    _check(device, stored=stored, registers=registers, known=known)
    changes: list[Change] = [device, *provisioning(device, registers, known, origin=request.origin, now=now)]
    if device.head_end != stored.head_end:
        waiting = known.find(Command, sender_system=sender, device_id=request.device_id, head_end=stored.head_end)
        changes += called_back_anew(waiting, reason=f"The device is served by {device.head_end} now", now=now)
    return Done(changes=tuple(changes))


def _changed(stored: EndDevice, request: Request, *, policy: Policy) -> EndDevice:
    of_manufacturer = ("manufacturer_id", "manufacturer_part_id", "manufacturer_serial_id")
    told = {"valid_from": request.start_on} | {name: getattr(request, name) for name in of_manufacturer}
    changed: dict[str, object] = {name: value for name, value in told.items() if value is not None}
    if request.end_on is not None:
        changed["valid_to"] = None if request.end_on == date.max else request.end_on + timedelta(days=1)
    if request.ams_id not in (None, stored.ams_id):
        head_end = policy.served_by(request.ams_id)
        if head_end is None:
            raise SystemUnknown(f"No head end stands for the advanced metering system {request.ams_id}")
        changed |= {"ams_id": request.ams_id, "head_end": head_end}
    return replace(stored, **changed)  # type: ignore[arg-type]


def _check(device: EndDevice, *, stored: EndDevice, registers: Sequence[Register], known: Known) -> None:
    locations = known.find(DeviceLocation, sender_system=device.sender_system, device_id=device.device_id)
    if device.valid_from != stored.valid_from and (registers or locations):
        raise StartFixed(f"The start stays {stored.valid_from}: the meter has registers or a location")
    if device.valid_to is not None and device.valid_to <= device.valid_from:
        raise DatesReversed
    if device.valid_to is not None and any(register.valid_from >= device.valid_to for register in registers):
        raise RegistersLater
    for holder in known.find(EndDevice, head_end=device.head_end, serial_id=device.serial_id):
        if holder.key != device.key:
            raise SerialNumberTaken(f"The serial number already belongs to device {holder.device_id}")


def confirm(request: Request, result: Result) -> Confirmation:
    """Return the confirmation of the device."""
    return Confirmation(device_id=request.device_id, log=result.log)


SERVICE = RequestConfirmation(
    request="UtilitiesDeviceERPSmartMeterChangeRequest",
    confirmation="UtilitiesDeviceERPSmartMeterChangeConfirmation",
    shape=Request,
    confirmation_shape=Confirmation,
    order_by="device_id",
    load=load,
    decide=decide,
    confirm=confirm,
    door=Door(path="device-changes"),
)
