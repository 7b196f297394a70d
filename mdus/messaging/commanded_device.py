"""The device that an order or a command is for: it is refused at once when it could not come to anything."""

from __future__ import annotations

from datetime import datetime

from mdus.domain.capability import Capabilities, Capability
from mdus.domain.end_device import EndDevice
from mdus.domain.local_time import local_day
from mdus.messaging.addressed_device import DeviceUnknown
from mdus.messaging.outcome import BusinessError, Origin


class NotInService(BusinessError):
    """The device is not in service today."""

    type_id = "211(MDUS)"


class NoHeadEnd(BusinessError):
    """No head end serves the device, so that it cannot be asked."""

    type_id = "317(MDUS)"


class NotCapable(BusinessError):
    """The device cannot do what is asked."""

    type_id = "150(MDUS)"


class TestData(BusinessError):
    """The message is marked as test data: it changes nothing."""

    type_id = "310(MDUS)"


def able(
    device: EndDevice | None, capability: Capability, *, matrix: Capabilities, origin: Origin, now: datetime
) -> EndDevice:
    """Return a device that can be given a command; raises what is wrong with it."""
    if device is None:
        raise DeviceUnknown
    today = local_day(now, zone=origin.zone)
    if not device.is_valid_on(today):
        raise NotInService(f"The device is not in service on {today}")
    if device.head_end is None:
        raise NoHeadEnd
    lack = matrix.lack(device, capability)
    if lack is not None:
        raise NotCapable(lack)
    return device


def check_real(origin: Origin) -> None:
    """Raise TestData where the message must change nothing."""
    if origin.test_data:
        raise TestData
