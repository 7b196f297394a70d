"""The resources of /api/v1 as they are shown: instants in UTC, decimals as text, ids with their zeros."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from fastapi import Path
from pydantic import BaseModel, BeforeValidator, ConfigDict

from mdus.domain.reading_verdict import ReadingVerdict, words
from mdus.endpoints.rest.examples import with_example

T = TypeVar("T")

#: Ids are numbers that every JSON reader keeps whole.
LARGEST_ID: Final = 2**53 - 1

MessageId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The number of the message.")]


class Shown(BaseModel):
    """A resource, read from the row or value it shows."""

    model_config = ConfigDict(from_attributes=True, frozen=True, json_schema_extra=with_example)


class Listed(Shown, Generic[T]):
    """One page; `next` is the cursor of the following page, absent on the last."""

    items: list[T]
    next: str | None = None


class Device(Shown):
    """A smart meter: SAP's master data, and what is known of it from the field."""

    sender_system: str
    device_id: str
    serial_id: str
    material_id: str
    valid_from: date
    valid_to: date | None
    ams_id: str | None
    head_end: str | None
    manufacturer_id: str | None
    manufacturer_serial_id: str | None
    manufacturer_part_id: str | None
    provisioned_at: datetime | None
    first_heard_at: datetime | None
    last_heard_at: datetime | None
    registered_at: datetime | None
    has_breaker: bool | None
    switch_state: str | None
    switch_state_at: datetime | None


class Register(Shown):
    """A register under its logical register number, in one span of SAP local dates, half-open."""

    measurement_task_id: str
    valid_from: date
    valid_to: date | None
    reading_type: str
    obis_text: str | None
    division: str | None
    unit: str
    total_digits: int | None
    fraction_digits: int
    factor: Decimal | None
    time_of_use_code: str | None


class Location(Shown):
    """Where a device is installed in one span of SAP local dates, half-open."""

    installation_point_id: str
    parent_installation_point_id: str
    valid_from: date
    valid_to: date | None
    house_id: str | None
    postal_code: str | None
    city_name: str | None
    street_name: str | None
    country_code: str | None
    region_code: str | None
    time_zone_code: str | None
    installed_at: datetime | None
    removed_at: datetime | None


class LogicalLocation(Shown):
    """The logical installation point of a device in one span of SAP local dates, half-open."""

    logical_installation_point_id: str
    valid_from: date
    valid_to: date | None


class UsagePoint(Shown):
    """The point of delivery a register measures in one span of instants, half-open."""

    measurement_task_id: str
    point_of_delivery_id: str
    valid_from: datetime
    valid_to: datetime | None


class DemandLimit(Shown):
    """The most power a meter lets through, in kW, as it has confirmed; at `valid_until` MDUS takes the limit away."""

    limit_kw: Decimal
    set_at: datetime
    valid_until: datetime | None
    client: str | None


class LoadControlEventShown(Shown):
    """An event at a device: from `start_at` on for `minutes` only `percent` of the load it controls is left.

    The meter has it when its status is `scheduled`; `ordered`: a command is under way; `uncertain`: nobody knows
    whether the meter has it.
    """

    event_id: str
    start_at: datetime
    minutes: int
    percent: int
    status: str
    settled_at: datetime | None
    note: str | None
    client: str | None


class DeviceDetail(Device):
    """A smart meter with all that hangs on it; `capabilities` by the names of config/capabilities.toml.

    `demand_limit` is None where its meter has confirmed none; `load_control_events` are those that are not over.
    """

    capabilities: list[str]
    demand_limit: DemandLimit | None
    load_control_events: list[LoadControlEventShown]
    registers: list[Register]
    locations: list[Location]
    logical_locations: list[LogicalLocation]
    usage_points: list[UsagePoint]


def _from_json(text: object) -> object:
    return json.loads(text) if isinstance(text, str) else text


#: What an estimated value was made from: rule set, method, words, why it was needed; None of a value that was read.
Estimate = Annotated[dict[str, Any] | None, BeforeValidator(_from_json)]


class ReadingOrder(Shown):
    """A meter reading document: an order for one reading, and its value once there is one; `client` None is SAP.

    A value with an `estimate` was not read; `type_code` is the MeterReadingTypeCode under which SAP gets it.
    """

    kind: Literal["reading"] = "reading"
    sender_system: str
    document_id: str
    device_id: str
    measurement_task_id: str
    reading_type: str
    reason_code: str
    scheduled_on: date
    on_demand: bool
    status: str
    due_at: datetime
    next_try_at: datetime | None
    attempts: int
    value: Decimal | None
    unit: str | None
    measured_at: datetime | None
    result_attempts: int
    note: str | None
    client: str | None
    type_code: str | None
    estimate: Estimate


class DeviceEvent(Shown):
    """What a meter told of itself, or MDUS of what failed late, and what became of it on its way to SAP."""

    sender_system: str
    event_id: str
    device_id: str | None
    event_type: str
    at: datetime
    source: str
    area: str
    text: str | None
    properties: Annotated[dict[str, str], BeforeValidator(dict)]  # stored as pairs
    told_at: datetime
    state: str
    reason: str | None
    sent_at: datetime | None
    note: str | None


class ConnectionOrder(Shown):
    """One device of an order to disconnect or reconnect, and what became of it; `client` None is SAP."""

    kind: Literal["connection"] = "connection"
    sender_system: str
    request_id: str
    category: str
    device_id: str
    planned_at: datetime
    expires_at: datetime
    reason_code: str | None
    test_data: bool
    status: str
    processed_at: datetime | None
    reported_success: bool | None
    note: str | None
    client: str | None


class Message(Shown):
    """A message received from SAP or a REST client (in), or sent to SAP (out)."""

    id: int
    direction: str
    sender_system: str
    service: str
    root: str
    bulk: bool
    status: str
    uuid: str | None
    header_id: str | None
    reference_uuid: str | None
    reference_id: str | None
    test_data: bool
    client: str | None
    imported: bool
    item_count: int
    set_aside: int
    created_at: datetime
    stored_at: datetime
    ended_at: datetime | None
    refusal: str | None
    original_id: int | None
    part: int
    attempts: int
    last_error: str | None


class Item(Shown):
    """One item of a message; `content` and `result` are JSON texts."""

    id: int
    position: int
    status: str
    key: str | None
    duplicate_of: int | None
    uuid: str | None
    header_id: str | None
    ordering_key: str
    content: str
    result: str | None
    confirmation_id: int | None
    waits_for: str | None
    until: datetime | None
    attempts: int
    note: str | None


class Event(Shown):
    """A change of status."""

    status: str
    at: datetime
    note: str | None


class MessageDetail(Message):
    """A message with what happened to it and its first items; the others are listed by /messages/{id}/items."""

    events: list[Event]
    items: list[Item]


class Case(Shown):
    """A situation that needs a human, and whose it is; team, severity and due date are given right after it was opened.

    `members` is the number of open cases of one cause that this line stands for; `group` the case it is a member of.
    """

    id: int
    kind: str
    case_key: str
    opened_at: datetime
    closed_at: datetime | None
    note: str
    state: str
    team: str | None
    assignee: str | None
    severity: str | None
    due_at: datetime | None
    paused_at: datetime | None
    escalated_at: datetime | None
    age_class: str | None
    rule: str | None
    rules_version: int | None
    sender_system: str | None
    device_id: str | None
    point_of_delivery_id: str | None
    head_end: str | None
    area: str | None
    commodity: str | None
    reading_reason: str | None
    members: int | None
    group: int | None


class Happening(Shown):
    """One line of a trace; `seconds` where it took time, `payload` (JSON) where it was asked for."""

    at: datetime
    what: str
    of: str
    status: str
    note: str | None
    seconds: float | None
    payload: str | None


class Step(Shown):
    """An expected step: came (`at`), due or missing (`since`, `until` when it may still come), failed (`note`)."""

    step: str
    of: str
    state: str
    at: datetime | None
    since: datetime | None
    until: datetime | None
    note: str | None


class Traced(Shown):
    """The account of what was asked for; `missing` are the steps whose time is up, `is_cut` says that there is more."""

    missing: list[Step]
    steps: list[Step]
    happenings: list[Happening]
    is_cut: bool


class Verdict(Shown):
    """What is held of a reading: valid or suspect, by which rule set or (`judged_by`) person, and why in words."""

    judgement: str
    rule_set: str | None
    found: str | None
    judged_at: datetime
    judged_by: str | None
    reason: str | None

    @classmethod
    def of(cls, verdict: ReadingVerdict) -> Verdict:
        """Return a verdict as it is shown."""
        return cls(
            judgement=verdict.judgement.value,
            rule_set=verdict.rule_set,
            found=words(verdict.basis) or None,
            judged_at=verdict.judged_at,
            judged_by=verdict.judged_by,
            reason=verdict.reason,
        )


class Reading(Shown):
    """A register reading as it came from the field; `value` as shown on the register, before any factor.

    `verdict` None: it was not judged, as it has not come up for an order.
    """

    id: int
    reading_type: str
    measured_at: datetime
    value: Decimal
    unit: str | None
    origin: str
    received_at: datetime
    verdict: Verdict | None = None


class Interval(Shown):
    """What passed in one interval; `value` in the channel's unit, before any factor; no quality says valid."""

    device_id: str
    reading_type: str
    start: datetime
    end: datetime
    value: str
    unit: str
    qualities: list[str]


class CommandShown(Shown):
    """An order to a head end about one device; `command_key` is the reference the head end returns."""

    id: int
    command_key: str
    head_end: str
    kind: str
    purpose: str
    status: str
    not_before: datetime
    expires_at: datetime
    wanted_state: str | None
    period_from: datetime | None
    period_to: datetime | None
    ended_at: datetime | None
    acted_at: datetime | None
    result_code: str | None
    result_text: str | None
    result_state: str | None
    attempts: int
    token: str | None


class JobRunShown(Shown):
    """A run of a scheduled job; `slot` is its business date or instant, `outcome` what it did or why it failed."""

    id: int
    job: str
    slot: str
    status: str
    attempts: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    outcome: str | None
