"""UtilitiesTimeSeriesERPMeasurementTaskAssignmentChangeRequest: SAP assigns a profile to logical register numbers.

Answered by UtilitiesTimeSeriesERPMeasurementTaskAssignmentChangeConfirmation. From then on the interval values of the
register go to SAP under the profile, see `interval_export`.

```
SAP   --AssignmentChangeRequest-->        a register not there yet: wait for it, 30 minutes at most
                                          roles listed: they are the profile's (all of them, or a change)
                                          none listed:  nothing more is sent of the profile
SAP   <--AssignmentChangeConfirmation--   code 3, or 5 with the reason
SAP   <--ItemBulkCreateRequest--          the values (time_series_item_create)
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time

from mdus.contracts.binding import wire
from mdus.contracts.log import Log
from mdus.domain.capability import Capabilities, Capability
from mdus.domain.end_device import EndDevice
from mdus.domain.local_time import end_instant, instant
from mdus.domain.register import Register, task_arrival
from mdus.domain.time_series import TimeSeriesAssignment
from mdus.domain.time_series_policy import TIME_SERIES_TABLES, TimeSeriesPolicy
from mdus.domain.time_series_reassignment import Reassignment, held_at_once, holders
from mdus.messaging.addressed_device import check_system
from mdus.messaging.commanded_device import NotCapable
from mdus.messaging.known import Known
from mdus.messaging.outcome import BusinessError, Done, Outcome, Park, Received, Result
from mdus.messaging.patterns import Door, RequestConfirmation
from mdus.storage.session import UnitOfWork

#: The tables of config/ that say what profiles may be.
TABLES = TIME_SERIES_TABLES


@dataclass(frozen=True, kw_only=True, slots=True)
class SentRole:
    """One assignment in one span; dates and times are local to the sender, as SAP has them."""

    role_code: str = wire("UtilitiesTimeSeriesAssignmentRoleCode")
    measurement_task_id: str = wire("UtilitiesMeasurementTaskID")
    start_on: date = wire("StartDate")
    start_time: time = wire("StartTime")
    end_on: date = wire("EndDate")
    end_time: time = wire("EndTime")
    ams_id: str = wire("UtilitiesDeviceSmartMeter/UtilitiesAdvancedMeteringSystemID")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Received):
    """The assignments of one profile, and what the profile is."""

    time_series_id: str = wire("UtilitiesTimeSeries/ID")
    complete: bool = wire("UtilitiesTimeSeries/@measurementTaskAssignmentRoleListCompleteTransmissionIndicator")
    recurrence_code: str | None = wire("UtilitiesTimeSeries/UtilitiesMeasurementRecurrenceCode")
    unit: str | None = wire("UtilitiesTimeSeries/MeasureUnitCode")
    total_digits: int | None = wire("UtilitiesTimeSeries/DecimalValuePrecision/TotalDigitNumberValue")
    fraction_digits: int | None = wire("UtilitiesTimeSeries/DecimalValuePrecision/FractionDigitNumberValue")
    remotely_stored: bool | None = wire("UtilitiesTimeSeries/ItemsRemotelyStoredIndicator")
    roles: tuple[SentRole, ...] = wire("UtilitiesTimeSeries/MeasurementTaskAssignmentRole")


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """What SAP reads: the profile and how it went."""

    time_series_id: str = wire("UtilitiesTimeSeries/ID")
    log: Log = wire("Log")


class DatesReversed(BusinessError):
    """An assignment ends before it starts."""

    type_id = "106(MDUS)"


class PrecisionImpossible(BusinessError):
    """It has no digit, or more decimals than digits."""

    type_id = "115(MDUS)"


class TaskUnknown(BusinessError):
    """No register has this logical register number in this time: no create request for one has come."""

    type_id = "160(MDUS)"


class PeriodsOverlap(BusinessError):
    """The profile would be assigned twice at once."""

    type_id = "161(MDUS)"


class TaskNotUnique(BusinessError):
    """The logical register number is on two channels at once."""

    type_id = "162(MDUS)"


class NoIntervals(BusinessError):
    """The register has no interval values: config/load_profiles.toml names none for it."""

    type_id = "163(MDUS)"


class UnitUnknown(BusinessError):
    """Its unit is not in config/units.toml."""

    type_id = "121(MDUS)"


class RecurrenceUnknown(BusinessError):
    """Its recurrence code is not in config/recurrence.toml, or means no interval."""

    type_id = "122(MDUS)"


def load(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    """Fetch the assignments of a batch's profiles, the registers they name, and these registers' devices."""
    profiles = {(request.origin.sender_system, request.time_series_id) for request in requests}
    tasks = {(r.origin.sender_system, role.measurement_task_id) for r in requests for role in r.roles}
    registers = uow.load(Register, ("sender_system", "measurement_task_id"), tasks)
    devices = {(register.sender_system, register.device_id) for register in registers}
    return Known(
        [TimeSeriesPolicy.of(uow.settings), Capabilities.of(uow.settings)],
        uow.load(TimeSeriesAssignment, ("sender_system", "time_series_id"), profiles),
        registers,
        uow.load(EndDevice, EndDevice.KEY, devices, lock=False),
    )


def decide(request: Request, known: Known, *, now: datetime) -> Outcome:
    """Make the assignments of the profile those SAP tells, all or none, or raise why not (SAP contract 3.4).

    - A logical register number that no register has in the time of its role: wait for it, then fail. Its register has
      interval values, is on one channel at a time, and its device belongs to the metering system SAP names and can
      deliver a load profile.
    - A complete list replaces what is stored. An incomplete one adds, and replaces what it names by start. Roles that
      the setting `skipped_roles` names are passed over, as if SAP had not listed them.
    - Without any role nothing more is sent of the profile, also nothing of the time before.
    - Instants are kept as they are: dates and times of the sender, half-open, the last second of a day being its end
      and 9999-12-31 an open end. Spans are longer than nothing, and those of a profile do not overlap: it sits on one
      channel at a time.
    - Recurrence codes and units are known, decimals fit. What SAP leaves out is the register's.
    """
    origin = request.origin
    policy = known.one(TimeSeriesPolicy) or TimeSeriesPolicy()
    stored = known.find(TimeSeriesAssignment, sender_system=origin.sender_system, time_series_id=request.time_series_id)
    if not request.roles:
        return Done(changes=tuple(replace(each, exported=False) for each in stored if each.exported))
    minutes = _minutes(request, policy)
    roles = [role for role in request.roles if not policy.is_skipped(role.role_code)]
    listed = [_assignment(request, role, minutes) for role in roles]
    for assignment in listed:
        if assignment.valid_to is not None and assignment.valid_to <= assignment.valid_from:
            raise DatesReversed
    for assignment in listed:
        tasks = {"sender_system": origin.sender_system, "measurement_task_id": assignment.measurement_task_id}
        registers = holders(known.find(Register, **tasks), assignment, zone=origin.zone)
        if not registers:
            arrival = task_arrival(origin.sender_system, assignment.measurement_task_id)
            return Park(waits_for=arrival, until=origin.park_until, otherwise=TaskUnknown(_of(assignment)))
        _check_registers(assignment, registers, known, policy)
    anew = Reassignment(listed=listed, stored=stored, complete=request.complete)
    if (overlap := anew.overlap) is not None:
        earlier, later = overlap
        numbers = f"{earlier.measurement_task_id} and {later.measurement_task_id}"
        raise PeriodsOverlap(f"The profile would be on {numbers} at once, from {later.valid_from:%Y-%m-%d %H:%MZ}")
    look = anew.look(zone=origin.zone, backfill=policy.backfill, now=now)
    return Done(changes=(*anew.changes(), *(() if look is None else (look,))))


def _minutes(request: Request, policy: TimeSeriesPolicy) -> int | None:
    """Check what SAP says of the profile itself; returns the length of its intervals where it says one."""
    code = request.recurrence_code
    minutes = None if code is None else policy.recurrences.minutes_of(code)
    if code is not None and not minutes:
        raise RecurrenceUnknown(f"Its recurrence code {code} is not in config/recurrence.toml, or means no interval")
    if request.unit is not None and not policy.units.is_known(request.unit, division=None):
        raise UnitUnknown(f"Its unit {request.unit} is not in config/units.toml")
    if request.total_digits is not None and not max(1, request.fraction_digits or 0) <= request.total_digits:
        raise PrecisionImpossible
    return minutes


def _assignment(request: Request, role: SentRole, minutes: int | None) -> TimeSeriesAssignment:
    zone = request.origin.zone
    return TimeSeriesAssignment(
        sender_system=request.origin.sender_system,
        time_series_id=request.time_series_id,
        valid_from=instant(role.start_on, role.start_time, zone=zone),
        valid_to=end_instant(role.end_on, role.end_time, zone=zone),
        role_code=role.role_code,
        measurement_task_id=role.measurement_task_id,
        recurrence_code=request.recurrence_code,
        interval_minutes=minutes,
        unit=request.unit,
        total_digits=request.total_digits,
        fraction_digits=request.fraction_digits,
        remotely_stored=bool(request.remotely_stored),
        ams_id=role.ams_id,
        assigned_at=request.origin.received_at,
    )


def _of(assignment: TimeSeriesAssignment) -> str:
    return f"No register has the number {assignment.measurement_task_id} in the time of the assignment"


def _check_registers(
    assignment: TimeSeriesAssignment, registers: Sequence[Register], known: Known, policy: TimeSeriesPolicy
) -> None:
    """Raise unless these registers can feed the profile, one at a time."""
    matrix = known.one(Capabilities) or Capabilities()
    if (pair := held_at_once(registers)) is not None:
        devices = " and ".join(sorted({f"{each.reading_type} of device {each.device_id}" for each in pair}))
        raise TaskNotUnique(f"The number {assignment.measurement_task_id} is on {devices} at once")
    for register in registers:
        device = known.one(EndDevice, register.sender_system, register.device_id)
        if device is not None:
            check_system(device, assignment.ams_id)
        lack = device and matrix.lack(device, Capability.LOAD_PROFILE)
        if lack:
            raise NotCapable(lack)
        if not policy.interval_types(register):
            raise NoIntervals(f"The register {register.reading_type} has no interval values, see load_profiles.toml")


def confirm(request: Request, result: Result) -> Confirmation:
    """Return the confirmation of one profile."""
    return Confirmation(time_series_id=request.time_series_id, log=result.log)


SERVICE = RequestConfirmation(
    request="UtilitiesTimeSeriesERPMeasurementTaskAssignmentChangeRequest",
    confirmation="UtilitiesTimeSeriesERPMeasurementTaskAssignmentChangeConfirmation",
    shape=Request,
    confirmation_shape=Confirmation,
    order_by="time_series_id",
    load=load,
    decide=decide,
    confirm=confirm,
    door=Door(path="measurement-task-assignments"),
)
