"""Why a device is not taken over as SAP tells of it, whether SAP creates or changes it."""

from __future__ import annotations

from mdus.messaging.outcome import BusinessError


class SerialNumberTaken(BusinessError):
    """The serial number already belongs to another device of the metering system."""

    type_id = "101(MDUS)"


class SerialNumberDiffers(BusinessError):
    """The device is known with another serial number."""

    type_id = "102(MDUS)"


class MaterialDiffers(BusinessError):
    """The device is known with another material."""

    type_id = "103(MDUS)"


class SystemUnknown(BusinessError):
    """No head end stands for this advanced metering system."""

    type_id = "104(MDUS)"


class DatesReversed(BusinessError):
    """The validity ends before it starts."""

    type_id = "106(MDUS)"
