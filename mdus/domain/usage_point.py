"""Where a meter hangs and which point of delivery its registers measure, each with its span of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from mdus.domain.value import Value


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceLocation(Value):
    """The installation point of a device in one span, from UtilitiesDeviceERPSmartMeterLocationNotification.

    Dates are SAP local, half-open. `installed_at`/`removed_at` are instants when SAP gave date, time and zone.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "device_id", "installation_point_id", "valid_from")

    sender_system: str
    device_id: str
    installation_point_id: str
    valid_from: date
    valid_to: date | None = None
    parent_installation_point_id: str
    house_id: str | None = None
    postal_code: str | None = None
    city_name: str | None = None
    street_name: str | None = None
    country_code: str | None = None
    region_code: str | None = None
    time_zone_code: str | None = None
    installed_at: datetime | None = None
    removed_at: datetime | None = None

    def is_valid_on(self, day: date) -> bool:
        """Tell whether the device hangs here on a local day."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)


def place_on(day: date, locations: Iterable[DeviceLocation]) -> str | None:
    """Return the installation point of a device on a local day, None where none of its locations holds then."""
    return next((each.installation_point_id for each in locations if each.is_valid_on(day)), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogicalLocation(Value):
    """The logical installation point of a device in one span (SAP local dates, half-open)."""

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "device_id", "logical_installation_point_id", "valid_from")

    sender_system: str
    device_id: str
    logical_installation_point_id: str
    valid_from: date
    valid_to: date | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class UsagePoint(Value):
    """The point of delivery that a measurement task of a device measures in one span of instants, half-open.

    From SmartMeterUtilitiesMeasurementTaskERPPointOfDeliveryAssignedNotification.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "device_id", "measurement_task_id", "valid_from")

    sender_system: str
    device_id: str
    measurement_task_id: str
    point_of_delivery_id: str
    valid_from: datetime
    valid_to: datetime | None = None
