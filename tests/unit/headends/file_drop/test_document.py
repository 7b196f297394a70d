"""MeterReadingDocuments: channels by the table, a bad channel costs no other, large ones in parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO

import pytest

from mdus.domain.head_end import FieldIntervals, FieldReading, Unmapped
from mdus.headends.file_drop.document_parts import parts
from tests.unit.headends.file_drop.feeds import decoder, told

START = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
TABLES = """
[[channels]]
name = "channel_1"
obis = "1-0:1.29.0*255"
kind = "interval"
unit = "kWh"
names = { meter_reading_document = ["1"] }
"""
DECODE = decoder(TABLES, document_meter="7.7.{serial}", document_qualities={"EST": "2.8.0", "OK": ""})
TABLE = "".join(
    f'<ReadingStatusRef Ref="{number}"><UnencodedStatus><StatusCodes><Code>{code}</Code></StatusCodes>'
    "</UnencodedStatus></ReadingStatusRef>"
    for number, code in enumerate(("EST", "ODD"), start=1)
)
TABLE = f"<ReadingStatusRefTable>{TABLE}</ReadingStatusRefTable>"


def intervals(
    *values: str,
    meter: str = "7.7.0000000042",
    channel: str = "1",
    count: int | None = None,
    status: str = "",
    pulses: str = "",
) -> str:
    end = START + len(values) * timedelta(minutes=15)
    readings = "".join(f'<Reading Value="{value}" {status}/>' for value in values)
    return (
        f'<Channel IsRegister="false" IntervalLength="15" {pulses}><ChannelID IntervalChannelID="{meter}:{channel}"/>'
        f'<ContiguousIntervalSets><ContiguousIntervalSet NumberOfReadings="{count or len(values)}">'
        f'<TimePeriod StartTime="{START:%Y-%m-%dT%H:%M:%SZ}" EndTime="{end:%Y-%m-%dT%H:%M:%SZ}"/>'
        f"<Readings>{readings}</Readings></ContiguousIntervalSet></ContiguousIntervalSets></Channel>"
    )


def register(value: str, *, channel: str = "1-0:1.8.0*255") -> str:
    return (
        f'<Channel IsRegister="true"><ChannelID IntervalChannelID="7.7.42:{channel}"/>'
        f'<Readings><Reading Value="{value}" ReadingTime="{START:%Y-%m-%dT%H:%M:%SZ}"/></Readings></Channel>'
    )


def document(*channels: str, table: str = TABLE) -> bytes:
    inside = f"<Header/>{table}<Channels>{''.join(channels)}</Channels>"
    return (
        f'<?xml version="1.0"?><MeterReadingDocument xmlns="urn:d" Version="1">{inside}</MeterReadingDocument>'.encode()
    )


class TestDecode:
    def test_reads_interval_values(self) -> None:
        ((found,), wrong) = told(DECODE, "document", document(intervals("0.1", "", "2.50")))
        assert wrong == []
        assert isinstance(found, FieldIntervals)
        assert (found.serial_id, found.reading_type, found.unit) == ("0000000042", "1-0:1.29.0*255", "kWh")
        assert (found.start_at, found.interval_minutes) == (START, 15)
        assert list(found.values) == [Decimal("0.1"), None, Decimal("2.5")]

    def test_reads_registers_by_their_obis_code(self) -> None:
        ((found,), _) = told(DECODE, "document", document(register("12345.67")))
        assert found == FieldReading(
            serial_id="42", reading_type="1-0:1.8.0*255", measured_at=START, value=Decimal("12345.67"), unit="kWh"
        )

    def test_makes_quantities_of_pulses(self) -> None:
        pulses = 'ReadingsInPulse="true" PulseMultiplier="0.025"'
        ((found,), _) = told(DECODE, "document", document(intervals("10", "3", pulses=pulses)))
        assert list(found.values) == [Decimal("0.250"), Decimal("0.075")]

    @pytest.mark.parametrize(
        ("zone", "start"),
        [(None, START), ("UTC", START + timedelta(hours=1)), ("Etc/GMT-2", START - timedelta(hours=1))],
    )
    def test_reads_times_without_an_offset_in_the_zone_of_the_feed(self, zone: str | None, start: datetime) -> None:
        local = intervals("1", "2").replace("2026-03-28T23:00:00Z", "2026-03-29T00:00:00")
        body = document(local.replace("2026-03-28T23:30:00Z", "2026-03-29T00:30:00"))
        decode = decoder(TABLES, document_meter="7.7.{serial}", document_time_zone=zone)
        ((found,), wrong) = told(decode, "document", body)
        assert (found.start_at, wrong) == (start, [])

    def test_reads_statuses_by_the_options(self) -> None:
        ((found,), _) = told(DECODE, "document", document(intervals("1", "2", status='StatusRef="1"')))
        assert list(found.qualities) == ["2.8.0", "2.8.0"]

    def test_tells_a_status_that_no_option_explains(self) -> None:
        ((found, unknown), _) = told(DECODE, "document", document(intervals("1", status='StatusRef="2"')))
        assert (list(found.values), list(found.qualities)) == ([1], [None])
        assert unknown == Unmapped(serial_id="0000000042", source="quality", code="ODD", text="1")

    def test_tells_a_channel_that_no_row_explains(self) -> None:
        ((first, second), wrong) = told(
            DECODE, "document", document(intervals("1", "2", channel="9"), register("5", channel="8"))
        )
        assert wrong == []
        assert (first.source, first.code, first.at, first.value) == (
            "channel", "meter_reading_document: 9", START, "1,2",
        )  # fmt: skip
        assert (second.code, second.value) == ("meter_reading_document: 8", "5")

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            pytest.param(intervals("1", count=2), "NumberOfReadings is 2, but there are 1", id="count"),
            pytest.param(intervals("x"), "Value is 'x', not a number", id="value"),
            pytest.param(intervals("1", meter="42"), "a meter 7.7.... is expected, found '42'", id="meter"),
        ],
    )
    def test_tells_a_bad_channel_and_reads_the_others(self, bad: str, reason: str) -> None:
        found, ((_, text),) = told(DECODE, "document", document(intervals("1"), bad, register("5")))
        assert len(found) == 2
        assert reason in text


class TestParts:
    def test_of_a_small_document_are_the_document(self) -> None:
        body = document(intervals("1"))
        assert list(parts(BytesIO(body), most=len(body))) == [body]

    @pytest.mark.parametrize("table_first", [True, False], ids=["the table first", "the table last"])
    def test_tell_the_same_as_the_document(self, table_first: bool) -> None:
        channels = [intervals(str(number), meter=f"7.7.{number}", status='StatusRef="1"') for number in range(50)]
        body = (
            document(*channels)
            if table_first
            else document(*channels, table="").replace(b"</Channels>", f"</Channels>{TABLE}".encode())
        )
        found = list(parts(BytesIO(body), most=3000))
        assert 5 < len(found) < 20
        assert all(b"ReadingStatusRefTable" in part and b"Header" in part for part in found)
        events = [event for part in found for event in told(DECODE, "document", part)[0]]
        assert events == told(DECODE, "document", body)[0]

    def test_of_one_that_breaks_off_tell_its_whole_channels_and_where(self) -> None:
        body = document(*(intervals(str(number), meter=f"7.7.{number}") for number in range(50)))
        found = [told(DECODE, "document", part) for part in parts(BytesIO(body[: len(body) // 2]), most=3000)]
        events = [event for some, _ in found for event in some]
        assert [event.serial_id for event in events] == [str(number) for number in range(len(events))]
        assert 20 < len(events) < 26
        assert [len(wrong) for _, wrong in found] == [0] * (len(found) - 1) + [1]
        assert "breaks off" in found[-1][1][0][1]

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            pytest.param(b"<a>" + b"x" * 5000 + b"</a>", "there is no MeterReadingDocument", id="another document"),
            pytest.param(b"MEPMD01," * 1000, "no XML", id="no document"),
            pytest.param(
                b'<!DOCTYPE a [<!ENTITY x "y">]>' + document(*[intervals("1")] * 20).partition(b"?>")[2],
                "document type",
                id="entities",
            ),
        ],
    )
    def test_of_anything_else_are_none(self, body: bytes, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            list(parts(BytesIO(body), most=3000))
