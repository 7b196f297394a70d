"""The neutral event file: names of events by the table, what is not mapped as it came."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mdus.domain.head_end import FieldAlarm, Unmapped
from tests.unit.headends.file_drop.feeds import csv, decoder, told

HEADER = (
    "transaction,device,event,event_at,device_type,service_location,module_serial,category,severity,status,status_at"
)
AT = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
TABLES = """
[[field_events]]
name = "cover_opened"
codes.name = ["Lid up"]
"""
DECODE = decoder(TABLES)


def row(
    event: str = "Lid up", *, device: str = "42", at: str = "2026-03-29T01:00:00Z", device_type: str = "Meter"
) -> str:
    return f"T1,{device},{event},{at},{device_type},SL1,M7,5,Alert,open,2026-03-29T01:01:00Z"


class TestEvents:
    @pytest.mark.parametrize(
        ("name", "event_type"),
        [
            ("Lid up", "3.12.29.39"),
            ("LID UP", "3.12.29.39"),
            ("Primary Power Down", "3.26.0.85"),
            ("3.12.66.257", "3.12.66.257"),
        ],
    )
    def test_have_the_type_of_their_name(self, name: str, event_type: str) -> None:
        ((found,), wrong) = told(DECODE, "events", csv(HEADER, row(name)))
        assert (found.event_type, found.text, wrong) == (event_type, name, [])

    def test_take_along_what_is_said_of_them(self) -> None:
        ((found,), _) = told(DECODE, "events", csv(HEADER, row()))
        assert found == FieldAlarm(
            serial_id="42",
            event_type="3.12.29.39",
            at=AT,
            source_id=None,
            text="Lid up",
            properties=(
                ("transaction", "T1"),
                ("service_location", "SL1"),
                ("module_serial", "M7"),
                ("category", "5"),
                ("severity", "Alert"),
                ("status", "open"),
                ("status_at", "2026-03-29T01:01:00Z"),
            ),
        )

    @pytest.mark.parametrize(
        ("name", "device_type", "text"),
        [
            pytest.param("Unheard of", "Meter", None, id="name"),
            pytest.param("Lid up", "Collector", "Collector", id="device"),
        ],
    )
    def test_without_a_row_and_of_no_meter_are_told_as_they_came(
        self, name: str, device_type: str, text: str | None
    ) -> None:
        ((found,), wrong) = told(DECODE, "events", csv(HEADER, row(name, device_type=device_type)))
        assert wrong == []
        assert found == Unmapped(serial_id="42", source="event", code=f"name: {name}", at=AT, value="open", text=text)

    def test_need_no_more_than_three_columns(self) -> None:
        ((found,), _) = told(DECODE, "events", csv("event_at,device,event", "2026-03-29T02:00:00+01:00,42,Lid up"))
        assert (found.at, found.properties) == (AT, ())

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            pytest.param(row(device=""), "device: a text is expected", id="no device"),
            pytest.param(row(""), "event: a text is expected", id="no event"),
            pytest.param(row(at="2026-03-29T01:00:00"), "event_at: an instant such as", id="no zone"),
            pytest.param(row(at=""), "event_at: an instant is expected", id="no time"),
        ],
    )
    def test_that_cannot_be_read_cost_no_other(self, bad: str, reason: str) -> None:
        found, ((line, text),) = told(DECODE, "events", csv(HEADER, bad, row()))
        assert (len(found), line) == (1, 2)
        assert reason in text
