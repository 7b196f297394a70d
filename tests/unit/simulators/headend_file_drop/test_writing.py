"""How the simulated head end writes what is told: by the formats' own texts, not by how MDUS reads them."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest

from simulators.headend_file_drop import cmep, documents, neutral, register_reads, requests
from simulators.headend_file_drop.manners import Manner

CREATED = datetime(2026, 3, 28, 8, 15, tzinfo=UTC)
BLOCK = {
    "serial": "0000000042",
    "obis": "1-0:1.29.0*255",
    "unit": "kWh",
    "interval_minutes": 15,
    "start": "2026-03-27T23:00:00Z",
    "values": ["0.100000", None, "0.300000"],
    "quality": [None, "2.5.259", "2.8.0"],
}
READING = {"serial": "42", "obis": "1-0:1.8.0*255", "at": "2026-03-27T23:00:00Z", "value": "12345.60", "unit": "kWh"}


class TestCmep:
    def test_tells_ends_of_intervals_flags_and_values(self) -> None:
        (record,) = cmep.intervals([BLOCK], created=CREATED)
        assert record == (
            "MEPMD01,20080501,SIMULATED,UT:1,90000001,,202603280815,0000000042,OK,E,KWH,1.0,00000015,3,"
            "202603272315,R0,0.100000,,N0,,,E0,0.300000"
        )

    def test_has_48_values_in_a_record_at_most(self) -> None:
        records = cmep.intervals([BLOCK | {"values": ["1"] * 100, "quality": []}], created=CREATED)
        assert [(line.split(",")[13], line.split(",")[14]) for line in records] == [
            ("48", "202603272315"),
            ("48", "202603281115"),
            ("4", "202603282315"),
        ]

    @pytest.mark.parametrize(("minutes", "length"), [(15, "00000015"), (60, "00000100")])
    def test_writes_an_interval_as_hours_and_minutes(self, minutes: int, length: str) -> None:
        (record,) = cmep.intervals([BLOCK | {"interval_minutes": minutes}], created=CREATED)
        assert record.split(",")[12] == length

    @pytest.mark.parametrize(
        ("obis", "begins", "ends"),
        [
            ("1-0:1.8.0*255", "MEPMD01", ",OK,E,KWHREG,1.0,00000000,1,202603272300,R0,12345.60"),
            (
                "1-0:1.8.1*255",
                "MEPMD02",
                ",OK,E,KWHREG,,1.0,202603272300,202603272300,1,ON-PEAK,R0,12345.60",
            ),
            ("7-0:3.0.0*255", "MEPMD01", ",OK,G,M3REG,1.0,00000000,1,202603272300,R0,12345.60"),
        ],
    )
    def test_tells_registers_and_times_of_use(self, obis: str, begins: str, ends: str) -> None:
        (record,) = cmep.registers([READING | {"obis": obis}], created=CREATED)
        assert record.startswith(begins)
        assert record.endswith(ends)

    def test_tells_times_in_the_manner_of_its_sender(self) -> None:
        hours = BLOCK | {"start": "2026-10-25T00:00:00Z"}  # 02:00 in Berlin, for the first time
        berlin, winter = ZoneInfo("Europe/Berlin"), ZoneInfo("Etc/GMT-1")

        def first(**manner: Any) -> str:
            (record,) = cmep.intervals([hours], created=CREATED, manner=Manner(**manner))
            return record.split(",")[14]

        assert first(zone=berlin) == "202610250215"
        assert first(zone=winter) == "202610250115"
        assert first(zone=berlin, at_start=True) == "202610250200"
        (reading,) = cmep.registers([READING], created=CREATED, manner=Manner(zone=berlin, at_start=True))
        assert reading.split(",")[6:15:8] == ["202603280915", "202603280000"]

    def test_counts_pulses_where_it_has_a_word_for_them(self) -> None:
        back = BLOCK | {"obis": "1-0:2.29.0*255"}
        delivered, received = cmep.intervals([BLOCK, back], created=CREATED, manner=Manner(pulses=True))
        assert delivered.endswith(",E,PULSE,0.000001,00000015,3,202603272315,R0,100000,,N0,,,E0,300000")
        assert received.endswith(",E,GKWH,1.0,00000015,3,202603272315,R0,0.100000,,N0,,,E0,0.300000")


class TestNeutral:
    def test_tells_an_interval_value_a_row(self) -> None:
        assert neutral.intervals([BLOCK])[1:] == [
            "0000000042,1-0:1.29.0*255,kWh,15,2026-03-27T23:00:00Z,0.100000,",
            "0000000042,1-0:1.29.0*255,kWh,15,2026-03-27T23:15:00Z,,2.5.259",
            "0000000042,1-0:1.29.0*255,kWh,15,2026-03-27T23:30:00Z,0.300000,2.8.0",
        ]

    def test_tells_an_event_by_its_name_or_its_code(self) -> None:
        told = [{"serial": "42", "code": code, "at": "2026-03-27T23:00:00Z"} for code in ("3.26.0.85", "3.12.29.39")]
        rows = list(csv.DictReader(neutral.events(told, transaction="T1")))
        assert [(row["device"], row["event"], row["severity"]) for row in rows] == [
            ("42", "Primary Power Down", "Alert"),
            ("42", "3.12.29.39", "Information"),
        ]

    def test_tells_a_result_a_row_for_each_value(self) -> None:
        result = {"reference": "r", "serial": "42", "status": "ok", "readings": [READING, READING], "blocks": [BLOCK]}
        rows = list(csv.DictReader(neutral.results([result], request="c")))
        assert [row["interval_minutes"] for row in rows] == ["", "", "15", "15", "15"]
        assert {(row["reference"], row["request"]) for row in rows} == {("r", "c")}

    def test_tells_a_result_without_values_in_one_row(self) -> None:
        result = {"reference": "r", "serial": "42", "status": "failed", "code": "BUSY", "text": "it is, very"}
        (row,) = csv.DictReader(neutral.results([result], request="c"))
        assert (row["status"], row["code"], row["text"], row["value"]) == ("failed", "BUSY", "it is, very", "")


class TestRegisterReads:
    def test_tells_the_raw_count_and_what_it_is_multiplied_with(self) -> None:
        told = [READING, READING | {"obis": "1-0:1.8.1*255", "value": "7"}]
        first, second = csv.DictReader(register_reads.registers(told, zone=ZoneInfo("Europe/Berlin")))
        assert (first["RawRead"], first["Scalar"], first["ScaledRead"]) == ("1234560", "0.01", "12345.60")
        assert (second["RawRead"], second["Scalar"], second["ScaledRead"]) == ("7", "1", "7")
        assert (first["Port"], second["Port"]) == ("1", "2")
        assert (first["ReadingTime"], first["LocalTime"]) == ("2026-03-27 23:00:00", "2026-03-28 00:00:00")


class TestDocuments:
    def test_tell_intervals_with_their_number_period_and_statuses(self) -> None:
        root = ElementTree.fromstring("\n".join(documents.intervals([BLOCK], created=CREATED)))
        (channel,) = root.iter("Channel")
        (block,) = channel.iter("ContiguousIntervalSet")
        assert block.get("NumberOfReadings") == "3"
        assert channel.find("ChannelID").get("IntervalChannelID") == "0000000042:1-0:1.29.0*255"  # type: ignore[union-attr]
        assert block.find("TimePeriod").attrib == {  # type: ignore[union-attr]
            "StartTime": "2026-03-27T23:00:00Z",
            "EndTime": "2026-03-27T23:45:00Z",
        }
        codes = {ref.get("Ref"): next(ref.iter("Code")).text for ref in root.iter("ReadingStatusRef")}
        assert [(each.get("Value"), codes.get(each.get("StatusRef"))) for each in block.iter("Reading")] == [
            ("0.100000", None),
            ("", "NOTCOLLECTED"),
            ("0.300000", "EST"),
        ]

    def test_tell_registers_with_their_time(self) -> None:
        root = ElementTree.fromstring("\n".join(documents.registers([READING], created=CREATED)))
        (reading,) = root.iter("Reading")
        assert reading.attrib == {"Value": "12345.60", "ReadingTime": "2026-03-27T23:00:00Z"}

    def test_tell_times_without_an_offset_and_pulses_in_the_manner_of_their_sender(self) -> None:
        manner = Manner(zone=ZoneInfo("Europe/Berlin"), pulses=True)
        root = ElementTree.fromstring("\n".join(documents.intervals([BLOCK], created=CREATED, manner=manner)))
        (channel,) = root.iter("Channel")
        assert (channel.get("ReadingsInPulse"), channel.get("PulseMultiplier")) == ("true", "0.000001")
        (period,) = root.iter("TimePeriod")
        assert period.attrib == {"StartTime": "2026-03-28T00:00:00", "EndTime": "2026-03-28T00:45:00"}
        assert [each.get("Value") for each in root.iter("Reading")] == ["100000", "", "300000"]
        root = ElementTree.fromstring("\n".join(documents.registers([READING], created=CREATED, manner=manner)))
        (reading,) = root.iter("Reading")
        assert reading.attrib == {"Value": "12345.60", "ReadingTime": "2026-03-28T00:00:00"}


class TestRequests:
    HEADER = "reference,serial,what,from,to,expires"

    def test_are_read_by_what_is_asked(self) -> None:
        rows = [
            "a,1,read_on_demand,,,2026-03-28T08:00:00Z",
            "b,2,read_registers,2026-03-27T00:00:00Z,2026-03-28T00:00:00Z,",
            "c,3,read_on_demand,,,2026-03-28T09:00:00Z",
        ]
        first, second = requests.read("c-1", "\n".join([self.HEADER, *rows]).encode()).submissions()
        assert (first.kind, [order.reference for order in first.orders]) == ("read_on_demand", ["a", "c"])
        assert first.expires_at == datetime(2026, 3, 28, 9, 0, tzinfo=UTC)
        assert second.orders[0].wish == {"period": {"from": "2026-03-27T00:00:00Z", "to": "2026-03-28T00:00:00Z"}}
        assert (first.correlation_id, second.expires_at) == ("c-1", None)

    @pytest.mark.parametrize(
        "rows",
        [
            pytest.param(["reference,serial"], id="header"),
            pytest.param([HEADER, "a,1,switch,,,"], id="a switch"),
            pytest.param([HEADER, "a,1,read_registers,,,"], id="no period"),
            pytest.param([HEADER, "a,1,read_on_demand"], id="columns"),
            pytest.param([HEADER, "a,1,read_on_demand,,,", "a,2,read_on_demand,,,"], id="a reference twice"),
        ],
    )
    def test_that_are_none_are_refused(self, rows: list[str]) -> None:
        with pytest.raises(requests.NotARequest):
            requests.read("c-1", "\n".join(rows).encode())
