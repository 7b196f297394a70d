"""UtilitiesTimeSeriesItemByIDQuery_sync: SAP asks for values of a profile and waits for them.

Answered in the same call by UtilitiesTimeSeriesItemByIDResponse_sync. Neither has a MessageHeader: the asking system is
the one the sender stands for.

```
SAP   --Query_sync-->        profile, time zone, local period
SAP   <--Response_sync--     the values there are, in the profile's unit; or only a Log that says why not
```
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import ClassVar, Final

from mdus.contracts.binding import wire
from mdus.contracts.log import Log
from mdus.domain.channel import Channel
from mdus.domain.end_device import EndDevice
from mdus.domain.interval_block import IntervalBlock
from mdus.domain.local_time import hours_ahead, instant
from mdus.domain.reading_quality import QualitySet
from mdus.domain.register import Register
from mdus.domain.time_series import (
    Blocks,
    Grid,
    ProfileDay,
    Segment,
    Sources,
    TimeSeriesAssignment,
    channel_days,
    profile_day,
)
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.domain.value import Value
from mdus.messaging.known import Known
from mdus.messaging.outcome import BusinessError, Received, Result
from mdus.messaging.patterns import Query
from mdus.storage.session import UnitOfWork

_SELECTION: Final = "UtilitiesTimeSeriesItemSelectionByID"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request(Received):
    """What SAP asks for; the period is local to the time zone, its end not included."""

    time_series_id: str = wire(f"{_SELECTION}/UtilitiesTimeSeriesID")
    time_zone_code: str = wire(f"{_SELECTION}/UtilitiesTimeSeriesItemTimeZoneCode")
    start: datetime | None = wire(f"{_SELECTION}/UtilitiesTimeSeriesItemValidityPeriod/StartDateTime")
    end: datetime | None = wire(f"{_SELECTION}/UtilitiesTimeSeriesItemValidityPeriod/EndDateTime")


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """What kind of value it is: SAP's code, and its name here."""

    code: str = wire("Code")
    name: str | None = wire("Name")


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One interval in UTC, with what the asked time zone is ahead of it at both ends, in hours."""

    quantity: Decimal = wire("Quantity")
    unit: str = wire("Quantity/@unitCode")
    start_at: datetime = wire("UTCValidityStartDateTime")
    end_at: datetime = wire("UTCValidityEndDateTime")
    start_ahead: Decimal = wire("UTCStartDateTimeTimeZoneDifferenceValue")
    end_ahead: Decimal = wire("UTCEndDateTimeTimeZoneDifferenceValue")
    statuses: tuple[Status, ...] = wire("Status")


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """The values of the profile, of which there is at least one."""

    unit: str = wire("@MeasureUnitCode")
    time_series_id: str = wire("ID")
    items: tuple[Item, ...] = wire("Item")


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """What SAP reads."""

    series: Series | None = wire("UtilitiesTimeSeries")
    log: Log = wire("Log")


class DatesReversed(BusinessError):
    """The period ends before it starts."""

    type_id = "106(MDUS)"


class TimeZoneUnknown(BusinessError):
    """The time zone code is not in config/time_zones.toml."""

    type_id = "117(MDUS)"


class ProfileUnknown(BusinessError):
    """The profile is assigned to no register."""

    type_id = "166(MDUS)"


class PeriodUnstated(BusinessError):
    """The period has no start."""

    type_id = "167(MDUS)"


class PeriodTooLong(BusinessError):
    """The period has more values than one answer may have."""

    type_id = "168(MDUS)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy(Value):
    """What the settings say of queries."""

    KEY: ClassVar[tuple[str, ...]] = ()

    time_zones: Mapping[str, str]
    most_values: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stored(Value):
    """What feeds the profile in the period, and the values that are stored."""

    KEY: ClassVar[tuple[str, ...]] = ()

    segments: Sequence[Segment]
    grid: Grid
    blocks: Blocks
    qualities: Mapping[int, QualitySet]


def load(requests: Sequence[Request], uow: UnitOfWork) -> Known:
    """Fetch the profile's assignments, what feeds it in the period, and the values; nothing for a bad question."""
    policy = Policy(time_zones=uow.settings.time_zones, most_values=uow.settings.intervals.query_values)
    time_series = TimeSeriesPolicy.of(uow.settings)
    (request,) = requests
    profile = (request.origin.sender_system, request.time_series_id)
    assignments = uow.load(TimeSeriesAssignment, ("sender_system", "time_series_id"), [profile])
    known: list[Sequence[Value]] = [[policy], [time_series], assignments]
    try:
        start, end, _ = _period(request, policy)
    except BusinessError:
        return Known(*known)
    tasks = {(each.sender_system, each.measurement_task_id) for each in assignments}
    registers: dict[str, list[Register]] = {}
    for register in uow.load(Register, ("sender_system", "measurement_task_id"), tasks):
        registers.setdefault(register.measurement_task_id, []).append(register)
    devices = {(each.sender_system, each.device_id) for some in registers.values() for each in some}
    channels: dict[tuple[str, str], list[Channel]] = {}
    for channel in uow.load(Channel, EndDevice.KEY, devices):
        channels.setdefault((channel.sender_system, channel.device_id), []).append(channel)
    sources = Sources(registers=registers, channels=channels, policy=time_series, zone=request.origin.zone)
    segments = sources.segments(assignments, start=start, end=end)
    if not segments:
        return Known(*known)
    grid = Grid.of(segments, zone=sources.zone)
    first, last = grid.whole_days(start, end)
    segments = sources.segments(assignments, start=first, end=last)
    blocks: dict[tuple[Channel, date], IntervalBlock] = {}
    if (end - start) / timedelta(minutes=grid.minutes) <= policy.most_values:
        wanted = {pair for on in grid.days(start, end) for pair in channel_days(segments, grid.day(on))}
        blocks = uow.interval_blocks(wanted)
    stored = Stored(segments=segments, grid=grid, blocks=blocks, qualities=uow.quality_sets(blocks.values()))
    return Known(*known, [stored])


def answer(request: Request, known: Known) -> Response:
    """Return the values of the profile that begin in the period, or raise why there can be none (SAP contract 3.8).

    - The period is local to the time zone the query names, half-open; without an end it lasts until now. A code that is
      not known, no start, an end before it and a period of more values than the setting allows are told in the Log.
    - A profile that was never assigned is unknown: the answer has no UtilitiesTimeSeries, as when there is no value.
    - Values are as they are sent: in the profile's unit, times the register's factor, cut to its decimals, each with
      one status. Intervals without a value are left out.
    """
    policy = known.one(Policy)
    if policy is None:
        raise LookupError("the policy of queries was not loaded")
    start, end, zone = _period(request, policy)
    if not known.find(TimeSeriesAssignment, time_series_id=request.time_series_id):
        raise ProfileUnknown(f"The profile {request.time_series_id} is assigned to no register")
    stored = known.one(Stored)
    items: tuple[Item, ...] = ()
    if stored is not None:
        count = int((end - start) / timedelta(minutes=stored.grid.minutes))
        if count > policy.most_values:
            raise PeriodTooLong(f"The period has {count} values; ask for at most {policy.most_values}")
        time_series = known.one(TimeSeriesPolicy) or TimeSeriesPolicy()
        items = tuple(_items(stored, time_series, start=start, end=end, zone=zone))
    if stored is None or not items:
        return Response(log=Log.success(note="There are no values in this period"))
    series = Series(unit=stored.grid.unit, time_series_id=request.time_series_id, items=items)
    return Response(series=series, log=Log.success())


def _period(request: Request, policy: Policy) -> tuple[datetime, datetime, str]:
    """Return the instants between which values are asked for, and the IANA zone of the query."""
    zone = policy.time_zones.get(request.time_zone_code)
    if zone is None:
        raise TimeZoneUnknown(f"The time zone code {request.time_zone_code} is not in config/time_zones.toml")
    if request.start is None:
        raise PeriodUnstated
    start = instant(request.start.date(), request.start.time(), zone=zone)
    now = request.origin.received_at
    end = now if request.end is None else instant(request.end.date(), request.end.time(), zone=zone)
    if end <= start:
        raise DatesReversed
    return start, end, zone


def _items(stored: Stored, policy: TimeSeriesPolicy, *, start: datetime, end: datetime, zone: str) -> Iterator[Item]:
    grid = stored.grid
    for on in grid.days(start, end):
        day = grid.day(on)
        values = profile_day(day, stored.segments, stored.blocks, grid=grid, qualities=stored.qualities, policy=policy)
        found = _items_of(values, grid, policy, zone)
        yield from (item for item in found if start <= item.start_at and item.end_at <= end)


def _items_of(values: ProfileDay, grid: Grid, policy: TimeSeriesPolicy, zone: str) -> Iterator[Item]:
    day = values.day
    for place, (value, status, is_there) in enumerate(
        zip(values.values.tolist(), values.statuses.tolist(), values.present.tolist(), strict=True)
    ):
        if not is_there:
            continue
        start, end, code = day.starts_at(place), day.ends_at(place), values.codes[status]
        yield Item(
            quantity=Decimal(value).scaleb(-grid.decimals),
            unit=grid.unit,
            start_at=start,
            end_at=end,
            start_ahead=hours_ahead(start, zone=zone),
            end_ahead=hours_ahead(end, zone=zone),
            statuses=(Status(code=code, name=policy.name_of(code)),),
        )


def refuse(result: Result) -> Response:
    """Return the answer to a question that cannot be answered."""
    return Response(log=result.log)


SERVICE = Query(
    request="UtilitiesTimeSeriesItemByIDQuery_sync",
    response="UtilitiesTimeSeriesItemByIDResponse_sync",
    shape=Request,
    response_shape=Response,
    load=load,
    answer=answer,
    refuse=refuse,
)
