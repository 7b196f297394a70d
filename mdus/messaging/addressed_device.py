"""The device that a message of SAP's is about: it may not have come yet, and belongs to one metering system."""

from __future__ import annotations

from mdus.domain.end_device import EndDevice, device_arrival
from mdus.messaging.outcome import BusinessError, Origin, Park


class DeviceUnknown(BusinessError):
    """The device is not known: no create request for it has come."""

    type_id = "110(MDUS)"


class SystemDiffers(BusinessError):
    """The device belongs to another advanced metering system."""

    type_id = "111(MDUS)"


def awaited(origin: Origin, device_id: str) -> Park:
    """Return that an item waits for its device as long as its pattern allows, then fails."""
    waits_for = device_arrival(origin.sender_system, device_id)
    return Park(waits_for=waits_for, until=origin.park_until, otherwise=DeviceUnknown())


def check_system(device: EndDevice, ams_id: str | None) -> None:
    """Raise SystemDiffers when SAP names another metering system than the device is known to belong to."""
    if device.ams_id not in (None, ams_id):
        raise SystemDiffers(f"The device belongs to the advanced metering system {device.ams_id}")
