"""What a meter shows against an estimate that SAP was told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_document import MeterReadingDocument
from mdus.domain.reading import MeterReading, ReadingOrigin
from mdus.domain.reading_contradiction import Tolerance, contradictions

AT = datetime(2026, 3, 10, 23, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DOCUMENT = MeterReadingDocument(
    sender_system="P11",
    document_id="7",
    device_id="42",
    measurement_task_id="1",
    obis_text="1-0:1.8.0",
    reading_type="1-0:1.8.0*255",
    reason_code="01",
    scheduled_on=date(2026, 3, 10),
    time_zone="UTC",
    due_at=AT,
    window_from=AT - HOUR,
    window_until=AT + HOUR,
    order_item_id=1,
    value=Decimal(1410),
    unit="KWH",
    measured_at=AT,
    estimate="{}",
    estimated_usage=Decimal(10),
)
TOLERANCE = Tolerance(percent=Decimal(20), least=Decimal(1))


def reading(value: str, at: datetime = AT) -> MeterReading:
    return MeterReading(
        sender_system="P11",
        device_id="42",
        reading_type="1-0:1.8.0*255",
        measured_at=at,
        value=Decimal(value),
        received_at=at,
    )


class TestContradictions:
    @pytest.mark.parametrize(
        ("told", "is_one"),
        [
            pytest.param(reading("1412"), False, id="as_far_above_as_allowed"),
            pytest.param(reading("1412.01"), True, id="further_above"),
            pytest.param(reading("1408"), False, id="as_far_below_as_allowed"),
            pytest.param(reading("1407.99"), True, id="further_below"),
            pytest.param(reading("1500", AT + HOUR), False, id="more_later"),
            pytest.param(reading("1300", AT - HOUR), False, id="less_before"),
            pytest.param(reading("1407", AT + HOUR), True, id="less_later"),
            pytest.param(reading("1413", AT - HOUR), True, id="more_before"),
            pytest.param(reading("1300", AT + HOUR + timedelta(seconds=1)), False, id="outside_the_window"),
            pytest.param(replace(reading("1300"), device_id="43"), False, id="another_meter"),
            pytest.param(replace(reading("1300"), reading_type="1-0:2.8.0*255"), False, id="another_register"),
            pytest.param(replace(reading("1300"), origin=ReadingOrigin.MANUAL), False, id="read_by_a_person"),
            pytest.param(replace(reading("1300"), unit="m3"), False, id="another_unit"),
        ],
    )
    def test_are_what_the_meter_cannot_have_shown(self, told: MeterReading, is_one: bool) -> None:
        found = list(contradictions([DOCUMENT], [told], tolerance=TOLERANCE, now=AT))
        assert [type(each) for each in found] == ([EndDeviceEvent, ExceptionCase] if is_one else [])

    def test_are_allowed_the_least_where_next_to_nothing_was_used(self) -> None:
        vacant = replace(DOCUMENT, estimated_usage=Decimal(0))
        for value, is_one in (("1411", False), ("1411.01", True)):
            found = list(contradictions([vacant], [reading(value)], tolerance=TOLERANCE, now=AT))
            assert bool(found) is is_one

    def test_of_a_clients_order_are_no_event(self) -> None:
        ordered = replace(DOCUMENT, client="portal")
        found = list(contradictions([ordered], [reading("1300")], tolerance=TOLERANCE, now=AT))
        assert [type(each) for each in found] == [ExceptionCase]
