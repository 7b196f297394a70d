"""What each service sends, in values at the edge of what may come: the longest ids, the worst texts, nothing optional.

One entry per service that sends anything. A confirmation is made from a request and each of its results, a message we
start from its subjects, the answer to a query from what is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from mdus.contracts.log import SeverityCode
from mdus.domain.end_device_event import EndDeviceEvent, LateFailure, late_failure
from mdus.domain.event_types import EventType
from mdus.domain.meter_reading_document import MeterReadingDocument
from mdus.domain.reading_quality import QualitySet
from mdus.domain.time_series import Grid
from mdus.domain.time_series_upload import Operation, Run, TimeSeriesUpload
from mdus.domain.time_series_upload import stored as stored_runs
from mdus.domain.value import Value
from mdus.messaging.known import Known
from mdus.messaging.outcome import Problem, Received, Result
from mdus.services import (
    connection_status_change_cancellation,
    connection_status_change_create,
    device_change,
    device_create,
    device_registered,
    measurement_task_assignment_change,
    meter_reading_document_cancellation,
    meter_reading_document_create,
    meter_reading_document_result,
    meter_reading_result_received,
    register_change,
    register_create,
    smart_meter_event,
    time_series_item_change,
    time_series_item_create,
    time_series_query,
)
from mdus.settings import load_settings
from tests.unit.domain import profiles

AT = datetime(2026, 3, 29, 1, 0, 0, 123456, tzinfo=UTC)
DEVICE, TASK, DOCUMENT, POINT = "Z" * 18, "0" * 17 + "7", "0" * 19 + "7", "P" * 50
CODE_TEXT = "1-0:1.8.0"

#: What a head end or a database may have put into a log: too long, and of characters that XML does not hold.
WORST = Problem(type_id="999(MDUS)" + "9" * 60, note="\u0000\u001b caf\u00e9 <&> " * 100, category="C" * 40)
REMARK = Problem(type_id="001(MDUS)", note="", severity=SeverityCode.WARNING)
RESULTS = (Result(), Result(problems=(WORST,) * 30), Result(problems=(REMARK,)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """A request, and the results its confirmation may have to tell."""

    request: Received
    results: Sequence[Result] = RESULTS


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """What a message that we start is about."""

    subjects: Sequence[Value]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A question, and what is known when it is answered: of an answer, and of a refusal."""

    request: Received
    known: Sequence[Known]


def _document(**facts: object) -> MeterReadingDocument:
    told: dict[str, object] = {
        "sender_system": "P11",
        "document_id": DOCUMENT,
        "device_id": DEVICE,
        "measurement_task_id": TASK,
        "obis_text": CODE_TEXT,
        "reading_type": "1-0:1.8.0*255",
        "reason_code": "01",
        "scheduled_on": date(2026, 3, 29),
        "time_zone": "Europe/Berlin",
        "due_at": AT,
        "window_from": AT,
        "window_until": AT,
        "order_item_id": 1,
        "value": Decimal("0.00"),
        "measured_at": AT,
    }
    return MeterReadingDocument(**{**told, **facts})  # type: ignore[arg-type]


def _events() -> Sequence[Value]:
    """Every event SAP is told of by the defaults: one of each row of the table, with each property it names."""
    subjects: list[Value] = []
    for row in load_settings({}).rows("event_types", EventType):
        event_type = row.event.replace("*", "3")
        properties = tuple((name, "\u0000" + "x" * 500) for name in row.properties if name not in ("text", "event"))
        event: EndDeviceEvent
        if event_type in set(LateFailure):
            event = late_failure(
                LateFailure(event_type),
                sender_system="P11",
                device_id=None if event_type == LateFailure.EVENT_STORM else DEVICE,
                at=AT,
                told_at=AT,
                about="document/7",
                note=WORST.note,
            )
        else:
            event = EndDeviceEvent(
                event_id=f"{len(subjects):0>22}",
                sender_system="P11",
                device_id=DEVICE,
                event_type=event_type,
                at=AT,
                source="city",
                area="city",
                text=WORST.note,
                properties=properties,
                told_at=AT,
            )
        if row.send:
            subjects.append(smart_meter_event.MappedEvent(event=event, row=row))
    return subjects


_ORDERED = tuple(
    connection_status_change_create.OrderedDevice(device_id=device_id, ams_id="AM01") for device_id in (DEVICE, "1")
)
_SWITCHED = tuple(
    connection_status_change_create.DeviceOutcome(
        device_id=device.device_id, switched=device.device_id == DEVICE, processed_at=AT + timedelta(seconds=1)
    )
    for device in _ORDERED
)


def _upload(operation: Operation, **facts: object) -> TimeSeriesUpload:
    quarters = Run(start=AT.replace(microsecond=0), minutes=15, status="ACTL", values=(0, 10**15, -1))
    day = Run(start=AT, minutes=1440, status="0", values=(5,))
    told: dict[str, object] = {
        "sender_system": "P11",
        "time_series_id": "9" * 18,
        "number": 1,
        "day": date(2026, 3, 29),
        "operation": operation,
        "unit": "KWH",
        "decimals": 14,
        "count": 4,
        "content": stored_runs([quarters, day]),
        "made_at": AT,
    }
    return TimeSeriesUpload(**{**told, **facts})  # type: ignore[arg-type]


def _asked() -> Asked:
    found, there = profiles.sources(), profiles.assignment()
    start, end = profiles.MIDNIGHT, profiles.MIDNIGHT + timedelta(days=1)
    segments = found.segments([there], start=start, end=end)
    block = profiles.block(["1.5", None, "0.000001", "99999"])
    values = time_series_query.Stored(
        segments=segments,
        grid=Grid.of(segments, zone=found.zone),
        blocks={(block.channel, block.day): block},
        qualities={0: QualitySet()},
    )
    said = time_series_query.Policy(time_zones={"INDIA": "Asia/Kolkata"}, most_values=1000)
    request = time_series_query.Request(
        time_series_id=profiles.PROFILE,
        time_zone_code="INDIA",
        start=start.replace(tzinfo=None) - timedelta(days=1),
        end=end.replace(tzinfo=None) + timedelta(days=1),
    )
    policy = profiles.policy()
    return Asked(
        request=request,
        known=[Known([said], [policy], [there], [values]), Known([said], [policy], [there]), Known([said], [policy])],
    )


EXAMPLES: Mapping[str, Answered | Started | Asked] = {
    connection_status_change_cancellation.SERVICE.name: Answered(
        request=connection_status_change_cancellation.Request(
            request_id="9" * 12,
            category_code="01",
            devices=(connection_status_change_cancellation.CancelledDevice(device_id=DEVICE),),
        ),
        results=[
            connection_status_change_cancellation.CancellationResult(problems=problems, cancelled=cancelled)
            for problems, cancelled in (((), 1), ((WORST,) * 5, 0), ((WORST,), 1))
        ],
    ),
    connection_status_change_create.SERVICE.name: Answered(
        request=connection_status_change_create.Request(
            request_id="9" * 12, category_code="1", planned_at=AT, devices=_ORDERED
        ),
        results=[
            connection_status_change_create.SwitchResult(problems=problems, devices=_SWITCHED)
            for problems in ((), (WORST,) * 30)
        ],
    ),
    device_change.SERVICE.name: Answered(
        request=device_change.Request(device_id=DEVICE, serial_id="S", material_id="M")
    ),
    device_create.SERVICE.name: Answered(
        request=device_create.Request(
            device_id=DEVICE, valid_from=date.min, valid_to=None, serial_id="S", material_id="M"
        )
    ),
    device_registered.SERVICE.name: Started(
        subjects=[
            device_registered.Registration(
                sender_system="P11", device_id=DEVICE, ams_id="AMSI", start_on=date(2026, 1, 1)
            ),
            device_registered.Registration(sender_system="P11", device_id="1", ams_id="A", start_on=None),
        ]
    ),
    measurement_task_assignment_change.SERVICE.name: Answered(
        request=measurement_task_assignment_change.Request(time_series_id="9" * 18, complete=True)
    ),
    meter_reading_document_cancellation.SERVICE.name: Answered(
        request=meter_reading_document_cancellation.Request(document_id=DOCUMENT, ams_id="AM01")
    ),
    meter_reading_document_create.SERVICE.name: Answered(
        request=meter_reading_document_create.Request(
            document_id=DOCUMENT,
            reason_code="01",
            scheduled_on=date.max,
            measurement_task_id=TASK,
            obis_text=CODE_TEXT,
            device_id=DEVICE,
            ams_id="AM01",
        )
    ),
    meter_reading_document_result.SERVICE.name: Started(
        subjects=[
            _document(),
            _document(document_id="1", value=Decimal("999999999999999.9999999999"), point_of_delivery_id=POINT),
            _document(document_id="2", value=Decimal("-12.5"), scheduled_on=date.max),
        ]
    ),
    meter_reading_result_received.SERVICE.name: Answered(
        request=meter_reading_result_received.Request(
            document_id=DOCUMENT,
            reason_code="21",
            measurement_task_id=TASK,
            device_id=DEVICE,
            ams_id="AM01",
            read_on=date(2026, 3, 29),
            read_time=AT.time(),
            type_code="01",
            value=Decimal(1),
        )
    ),
    register_change.SERVICE.name: Answered(request=register_change.Request(device_id=DEVICE, ams_id="AM01")),
    register_create.SERVICE.name: Answered(request=register_create.Request(device_id=DEVICE, registers=(), ams_id="A")),
    smart_meter_event.SERVICE.name: Started(subjects=_events()),
    time_series_item_change.SERVICE.name: Started(subjects=[_upload(Operation.CHANGE)]),
    time_series_item_create.SERVICE.name: Started(
        subjects=[_upload(Operation.CREATE), _upload(Operation.CREATE, time_series_id="1", unit="M3", decimals=0)]
    ),
    time_series_query.SERVICE.name: _asked(),
}
