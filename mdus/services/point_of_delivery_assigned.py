"""SmartMeterUtilitiesMeasurementTaskERPPointOfDeliveryAssignedNotification: whose consumption a register measures.

SAP assigns points of delivery to a logical register number (measurement task) of a device, each for a span of time.
Nothing goes back. What fails becomes a smart meter event.

```
SAP   --AssignedNotification-->      register not there yet: wait for it, 24 hours at most
                                     assignments listed: they are the register's (all of them, or a change)
                                     none listed:        the register is not assigned any more
MDUS  --smart meter event--> SAP     when it could not be done
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

from mdus.contracts.binding import wire
from mdus.domain.dated_list import SpanReversed, SpansOverlap, ended, listed_instead
from mdus.domain.end_device import EndDevice
from mdus.domain.local_time import end_instant, instant
from mdus.domain.register import Register, register_arrival
from mdus.domain.usage_point import UsagePoint
from mdus.messaging.addressed_device import check_system
from mdus.messaging.known import Known
from mdus.messaging.outcome import BusinessError, Done, Outcome, Park, Received
from mdus.messaging.patterns import Door, NotificationReceived
from mdus.storage.session import UnitOfWork


@dataclass(frozen=True, kw_only=True, slots=True)
class SentAssignment:
    """One point of delivery in one span; dates and times are local to the sender, as SAP has them."""

    point_of_delivery_id: str = wire("UtilitiesPointOfDeliveryPartyID")
    start_on: date = wire("StartDate")
    start_time: time = wire("StartTime")
    end_on: date = wire("EndDate")
    end_time: time = wire("EndTime")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Received):
    """The points of delivery of one logical register number."""

    measurement_task_id: str = wire("UtilitiesMeasurementTask/ID")
    complete: bool = wire(
        "UtilitiesMeasurementTask/UtilitiesPointOfDeliveryAssignmentListCompleteTransmissionIndicator"
    )
    assignments: tuple[SentAssignment, ...] = wire("UtilitiesMeasurementTask/UtilitiesPointOfDeliveryAssignment")
    device_id: str = wire("UtilitiesMeasurementTask/UtilitiesDevice/UtilitiesDeviceID")
    ams_id: str = wire("UtilitiesMeasurementTask/UtilitiesDevice/SmartMeter/AdvancedMeteringSystemID")


class DatesReversed(BusinessError):
    """An assignment ends before it starts."""

    type_id = "106(MDUS)"


class RegisterUnknown(BusinessError):
    """The device has no register with this number: no create request for it has come."""

    type_id = "130(MDUS)"


class AssignmentsOverlap(BusinessError):
    """The register would be assigned to two points of delivery at once."""

    type_id = "131(MDUS)"


def load(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    """Fetch the devices and registers of a batch, and the registers' points of delivery."""
    devices = {(request.origin.sender_system, request.device_id) for request in requests}
    tasks = {(*_owner(request).values(),) for request in requests}
    by_task = ("sender_system", "device_id", "measurement_task_id")
    return Known(
        uow.load(EndDevice, ("sender_system", "device_id"), devices),
        uow.load(Register, by_task, tasks),
        uow.load(UsagePoint, by_task, tasks),
    )


def decide(request: Request, known: Known, *, now: datetime) -> Outcome:
    """Make the register's points of delivery those SAP tells, or raise why not (SAP contract 3.3).

    - The register is not known in any span: wait for it, then fail. Another metering system than the device's: refused.
    - A complete list replaces what is stored. An incomplete one adds, and replaces what it names by start.
    - An empty list ends the open assignment at the instant the notification came; those still to begin never happen.
      Coming again it changes nothing. Of a register that never comes it needs nothing more: where an installation is
      reversed, the register may go before its assignment does.
    - Dates and times are local to the sender. Spans become half-open instants: the last second of a day is its end,
      9999-12-31 an open end. They are longer than nothing and do not overlap.
    """
    origin = request.origin
    if not known.find(Register, **_owner(request)):
        if not request.assignments and now >= origin.park_until:
            return Done()
        arrival = register_arrival(origin.sender_system, request.device_id, request.measurement_task_id)
        return Park(waits_for=arrival, until=origin.park_until, otherwise=RegisterUnknown())
    device = known.one(EndDevice, origin.sender_system, request.device_id)
    if device is not None:
        check_system(device, request.ams_id)
    stored = known.find(UsagePoint, **_owner(request))
    if not request.assignments:
        return Done(changes=ended(stored, at=origin.received_at))
    listed = [
        UsagePoint(
            sender_system=origin.sender_system,
            device_id=request.device_id,
            measurement_task_id=request.measurement_task_id,
            point_of_delivery_id=sent.point_of_delivery_id,
            valid_from=instant(sent.start_on, sent.start_time, zone=origin.zone),
            valid_to=end_instant(sent.end_on, sent.end_time, zone=origin.zone),
        )
        for sent in request.assignments
    ]
    try:
        return Done(changes=listed_instead(listed, stored=stored, complete=request.complete))
    except SpanReversed as error:
        raise DatesReversed from error
    except SpansOverlap as error:
        raise AssignmentsOverlap from error


def _owner(request: Request) -> dict[str, str]:
    return {
        "sender_system": request.origin.sender_system,
        "device_id": request.device_id,
        "measurement_task_id": request.measurement_task_id,
    }


SERVICE = NotificationReceived(
    notification="SmartMeterUtilitiesMeasurementTaskERPPointOfDeliveryAssignedNotification",
    bulk_notification="SmartMeterUtilitiesMeasurementTaskERPPointOfDeliveryBulkAssignedNotification",
    shape=Request,
    order_by="device_id",
    load=load,
    decide=decide,
    door=Door(path="point-of-delivery-assignments"),
)
