"""UtilitiesDeviceERPSmartMeterLocationNotification: SAP tells where a smart meter is installed, or that it is not.

Nothing goes back. What fails becomes a smart meter event.

```
SAP   --LocationNotification-->   device not there yet: wait for it, 24 hours at most
                                  locations listed: they are the device's locations (all of them, or a change)
                                  no location:      the meter was removed
MDUS  --smart meter event--> SAP  when it could not be done
```
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

from mdus.contracts.binding import wire, wire_end
from mdus.domain.dated_list import Span, SpanReversed, SpansOverlap, ended, listed_instead
from mdus.domain.end_device import EndDevice
from mdus.domain.end_device_event import LateFailure
from mdus.domain.local_time import instant, local_day
from mdus.domain.usage_point import DeviceLocation, LogicalLocation
from mdus.domain.value import Value
from mdus.messaging.addressed_device import awaited, check_system
from mdus.messaging.known import Known
from mdus.messaging.outcome import BusinessError, Change, Done, Outcome, Received
from mdus.messaging.patterns import Door, NotificationReceived
from mdus.settings import Settings
from mdus.storage.session import UnitOfWork


@dataclass(frozen=True, kw_only=True, slots=True)
class SentLogicalLocation:
    """One logical installation point in one span; the dates are local, the end exclusive."""

    logical_installation_point_id: str = wire("LogicalInstallationPointID")
    valid_from: date = wire("StartDate")
    valid_to: date | None = wire_end("EndDate")


@dataclass(frozen=True, kw_only=True, slots=True)
class SentLocation:
    """One installation point in one span; the dates are local, the end exclusive."""

    installation_point_id: str = wire("InstallationPointID")
    valid_from: date = wire("StartDate")
    valid_to: date | None = wire_end("EndDate")
    parent_installation_point_id: str = wire("InstallationPointHierarchyRelationship/ParentInstallationPointID")
    house_id: str | None = wire("InstallationPointAddressInformation/HouseID")
    postal_code: str | None = wire("InstallationPointAddressInformation/StreetPostalCode")
    city_name: str | None = wire("InstallationPointAddressInformation/CityName")
    street_name: str | None = wire("InstallationPointAddressInformation/StreetName")
    country_code: str | None = wire("InstallationPointAddressInformation/CountryCode")
    region_code: str | None = wire("InstallationPointAddressInformation/RegionCode")
    time_zone_code: str | None = wire("InstallationPointAddressInformation/TimeZoneCode")
    installed_on: date | None = wire("ModificationInformation/InstallationDate")
    installed_time: time | None = wire("ModificationInformation/InstallationTime")
    removed_on: date | None = wire("ModificationInformation/RemoveDate")
    removed_time: time | None = wire("ModificationInformation/RemoveTime")
    modification_zone_code: str | None = wire("ModificationInformation/TimeZoneCode")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Received):
    """The locations of one device; customers' additions to a location are not read."""

    device_id: str = wire("UtilitiesDevice/ID")
    ams_id: str = wire("UtilitiesDevice/SmartMeter/UtilitiesAdvancedMeteringSystemID")
    locations: tuple[SentLocation, ...] = wire("UtilitiesDevice/Location")
    locations_complete: bool = wire("UtilitiesDevice/@locationListCompleteTransmissionIndicator")
    logical_locations: tuple[SentLogicalLocation, ...] = wire("UtilitiesDevice/LogicalLocation")
    logical_locations_complete: bool | None = wire("UtilitiesDevice/@logicalLocationListCompleteTransmissionIndicator")

    @property
    def is_removal(self) -> bool:
        """Tell whether the meter was removed: no location, unless only logical locations change."""
        return not self.locations and (self.locations_complete or not self.logical_locations)


class DatesReversed(BusinessError):
    """A location ends before it starts."""

    type_id = "106(MDUS)"


class TimeZoneUnknown(BusinessError):
    """A time zone code of a location is not in config/time_zones.toml."""

    type_id = "117(MDUS)"


class LocationsOverlap(BusinessError):
    """The device would be at two locations at once."""

    type_id = "120(MDUS)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy(Value):
    """The IANA zone of each of SAP's time zone codes."""

    time_zones: Mapping[str, str]

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """Return the policy that config/time_zones.toml says."""
        return cls(time_zones=settings.time_zones)

    def zone(self, code: str | None, *, otherwise: str) -> str:
        """Return the zone a code means, `otherwise` where SAP gave none; an unknown one is refused, never guessed."""
        if code is None:
            return otherwise
        if code not in self.time_zones:
            raise TimeZoneUnknown(f"The time zone code {code} is not in config/time_zones.toml")
        return self.time_zones[code]


def load(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    """Fetch the devices of a batch, their locations, and the policy."""
    by_id = ("sender_system", "device_id")
    keys = {(request.origin.sender_system, request.device_id) for request in requests}
    return Known(
        [Policy.of(uow.settings)],
        uow.load(EndDevice, by_id, keys),
        uow.load(DeviceLocation, by_id, keys),
        uow.load(LogicalLocation, by_id, keys),
    )


def decide(request: Request, known: Known, *, now: datetime) -> Outcome:
    """Make the device's locations those SAP tells, or raise why not (SAP contract 3.3).

    - The device is not known: wait for it, then fail. Another metering system than the device's: refused.
    - A complete list replaces what is stored. An incomplete one adds, and replaces what it names by point and start.
    - No location: the meter was removed on the local day the notification came (it names none). Open spans end on that
      day, the logical ones too where none are listed; spans that would begin then or later never happen. Coming again
      it changes nothing. An incomplete list of logical locations alone removes nothing.
    - Spans are half-open and hold at least a day; of one kind none overlaps another.
    - Times of installation and removal are instants when date and time are given, in the zone of the code beside them,
      else of the sender. Unknown codes are refused.
    """
    policy = known.one(Policy) or Policy(time_zones={})
    origin = request.origin
    owner = {"sender_system": origin.sender_system, "device_id": request.device_id}
    device = known.one(EndDevice, origin.sender_system, request.device_id)
    if device is None:
        return awaited(origin, request.device_id)
    check_system(device, request.ams_id)

    stored = known.find(DeviceLocation, **owner)
    stored_logical = known.find(LogicalLocation, **owner)
    listed = [_location(sent, device=device, policy=policy, zone=origin.zone) for sent in request.locations]
    logical = [
        LogicalLocation(
            sender_system=device.sender_system,
            device_id=device.device_id,
            logical_installation_point_id=sent.logical_installation_point_id,
            valid_from=sent.valid_from,
            valid_to=sent.valid_to,
        )
        for sent in request.logical_locations
    ]
    came_on = local_day(origin.received_at, zone=origin.zone)
    changes: list[Change] = []
    if listed:
        changes += _listed(listed, stored=stored, complete=request.locations_complete)
    elif request.is_removal:
        changes += ended(stored, at=came_on)
    if logical:
        changes += _listed(logical, stored=stored_logical, complete=bool(request.logical_locations_complete))
    elif request.is_removal or request.logical_locations_complete:
        changes += ended(stored_logical, at=came_on)
    return Done(changes=tuple(changes))


def _listed(listed: Sequence[Span], *, stored: Sequence[Span], complete: bool) -> Sequence[Change]:
    try:
        return listed_instead(listed, stored=stored, complete=complete)
    except SpanReversed as error:
        raise DatesReversed from error
    except SpansOverlap as error:
        raise LocationsOverlap(f"Two locations overlap from {error.since}") from error


def _location(sent: SentLocation, *, device: EndDevice, policy: Policy, zone: str) -> DeviceLocation:
    policy.zone(sent.time_zone_code, otherwise=zone)
    modified = policy.zone(sent.modification_zone_code, otherwise=zone)
    return DeviceLocation(
        sender_system=device.sender_system,
        device_id=device.device_id,
        installation_point_id=sent.installation_point_id,
        valid_from=sent.valid_from,
        valid_to=sent.valid_to,
        parent_installation_point_id=sent.parent_installation_point_id,
        house_id=sent.house_id,
        postal_code=sent.postal_code,
        city_name=sent.city_name,
        street_name=sent.street_name,
        country_code=sent.country_code,
        region_code=sent.region_code,
        time_zone_code=sent.time_zone_code,
        installed_at=_instant(sent.installed_on, sent.installed_time, zone=modified),
        removed_at=_instant(sent.removed_on, sent.removed_time, zone=modified),
    )


def _instant(day: date | None, at: time | None, *, zone: str) -> datetime | None:
    return None if day is None or at is None else instant(day, at, zone=zone)


SERVICE = NotificationReceived(
    notification="UtilitiesDeviceERPSmartMeterLocationNotification",
    bulk_notification="UtilitiesDeviceERPSmartMeterLocationBulkNotification",
    shape=Request,
    order_by="device_id",
    load=load,
    decide=decide,
    failure=LateFailure.LOCATION_FAILED,
    door=Door(path="device-locations"),
)
