"""CMEP: records into events, as the protocol has them and as senders write them; a bad line costs no other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from mdus.domain.head_end import FieldEvent, FieldIntervals, FieldReading, RawDelivery, Unmapped, UnreadableLine
from tests.unit.headends.file_drop.cmep_files import END_OF_FIRST, file, mepmd01, mepmd02, times
from tests.unit.headends.file_drop.feeds import decoder, told

START = END_OF_FIRST - timedelta(minutes=15)
DECODE = decoder()


def decoded(*records: str) -> list[FieldEvent]:
    return list(DECODE(RawDelivery(topic="cmep", correlation="", body=file(*records))))


def block(*records: str) -> FieldIntervals:
    (found,) = decoded(*records)
    assert isinstance(found, FieldIntervals)
    return found


def mistakes(*records: str) -> list[tuple[int, str]]:
    return [(each.line, each.reason) for each in decoded(*records) if isinstance(each, UnreadableLine)]


class TestIntervals:
    def test_begin_an_interval_before_the_time_they_are_told_with(self) -> None:
        found = block(mepmd01(["0.1", "0.25"]))
        assert (found.serial_id, found.reading_type, found.unit) == ("0000000042", "1-0:1.29.0*255", "kWh")
        assert (found.start_at, found.interval_minutes) == (START, 15)
        assert list(found.values) == [Decimal("0.1"), Decimal("0.25")]
        assert len(found.qualities) == 0

    @pytest.mark.parametrize("count", [92, 96, 100])
    def test_may_be_more_than_the_protocol_allows(self, count: int) -> None:
        assert len(block(mepmd01(["0.1"] * count)).values) == count

    @pytest.mark.parametrize(
        ("interval", "minutes"), [("00000005", 5), ("00000015", 15), ("00000030", 30), ("00000100", 60)]
    )
    def test_are_of_the_length_the_record_says(self, interval: str, minutes: int) -> None:
        found = block(mepmd01(["1", "2"], interval=interval, ends=times(2, minutes=minutes)))
        assert (found.interval_minutes, found.start_at) == (minutes, END_OF_FIRST - timedelta(minutes=minutes))

    @pytest.mark.parametrize(
        "ends", [["000101010000"], ["999912312345", ""]], ids=["before all years", "after all years"]
    )
    def test_beyond_the_calendar_are_told_with_their_line(self, ends: list[str]) -> None:
        record = mepmd01(["1"] * len(ends), ends=ends, flags="R9")
        assert mistakes(record, mepmd01(["1"])) == [(1, "times within the calendar are expected")]

    def test_may_be_of_a_day(self) -> None:
        found = block(mepmd01(["24"], interval="00010000", ends=["202603282300"]))
        assert (found.interval_minutes, found.start_at) == (1440, datetime(2026, 3, 27, 23, 0, tzinfo=UTC))

    def test_are_as_far_apart_as_their_times_where_the_record_does_not_say(self) -> None:
        assert block(mepmd01(["1", "2"], interval="", ends=times(2, minutes=30))).interval_minutes == 30

    def test_follow_each_other_where_times_are_left_out(self) -> None:
        found = block(mepmd01(["1", "2", "3"], ends=[*times(1), "", ""]))
        assert (found.start_at, list(found.values)) == (START, [1, 2, 3])

    def test_may_be_told_in_any_order_with_gaps_and_twice(self) -> None:
        ends = times(5)
        found = block(mepmd01(["4", "1", "7", "2"], ends=[ends[4], ends[0], ends[1], ends[1]]))
        assert (found.start_at, list(found.values)) == (START, [1, 2, None, None, 4])

    def test_far_apart_are_told_apart(self) -> None:
        found = decoded(mepmd01(["1", "2"], ends=[*times(1), "202605010015"], interval="00000015"))
        assert [each.start_at for each in found if isinstance(each, FieldIntervals)] == [
            START,
            datetime(2026, 5, 1, 0, 0, tzinfo=UTC),
        ]

    def test_have_the_qualities_of_their_flags(self) -> None:
        found = block(mepmd01(["1", "2", "3", "9", "5"], flags=["R", "E", "A0", "N", ""]))
        assert list(found.qualities) == [None, "2.8.0", "2.7.0", None, None]
        assert list(found.values) == [1, 2, 3, None, 5]

    def test_are_in_the_unit_that_the_constant_makes(self) -> None:
        assert list(block(mepmd01(["0.5", "2"], constant="0.1")).values) == [Decimal("0.05"), Decimal("0.2")]
        assert list(block(mepmd01(["0.5"], constant="")).values) == [Decimal("0.5")]

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            pytest.param("+1.5", "1.5", id="a plus"),
            pytest.param("1.5E+1", "15", id="an exponent"),
            pytest.param("1.5d-1", "0.15", id="one of Fortran"),
            pytest.param("0.12345678901234567890", "0.12345678901234567890", id="many decimals"),
            pytest.param("", None, id="nothing"),
            pytest.param(" 7 ", "7", id="spaces"),
            pytest.param('"7"', "7", id="quotes"),
        ],
    )
    def test_are_exact_however_they_are_written(self, text: str, value: str | None) -> None:
        assert list(block(mepmd01(["1", text])).values) == [1, None if value is None else Decimal(value)]

    @pytest.mark.parametrize(
        ("commodity", "unit", "reading_type"), [("G", "M3", "7-0:3.29.0*255"), ("W", "GAL", "8-0:1.29.0*255")]
    )
    def test_of_gas_and_water_have_channels_of_their_own(self, commodity: str, unit: str, reading_type: str) -> None:
        record = mepmd01(["1"], commodity=commodity, unit=unit, interval="00000100")
        assert block(record).reading_type == reading_type

    def test_may_end_in_a_checksum_or_an_empty_field(self) -> None:
        assert len(decoded(mepmd01(["1"]) + ",H1A2B", mepmd01(["1"]) + ",")) == 2
        assert mistakes(mepmd01(["1"]) + ",1A2B")[0][0] == 1


class TestReadings:
    def test_are_what_a_register_shows_at_the_time(self) -> None:
        (found,) = decoded(mepmd01(["12345.6"], unit="KWHREG", interval="00000000"))
        assert found == FieldReading(
            serial_id="0000000042",
            reading_type="1-0:1.8.0*255",
            measured_at=END_OF_FIRST,
            value=Decimal("12345.6"),
            unit="kWh",
        )

    def test_come_from_times_of_use_too(self) -> None:
        (found,) = decoded(mepmd02([("TOTAL", "R", "12345.6")]))
        assert isinstance(found, FieldReading)
        assert found.measured_at == datetime(2026, 3, 29, 22, 0, tzinfo=UTC)

    def test_a_time_of_use_of_a_day_is_a_daily_value(self) -> None:
        found = block(mepmd02([("TOTAL", "E", "24")], unit="KWH"))  # of the day of 23 hours
        assert (found.interval_minutes, found.start_at) == (1440, datetime(2026, 3, 28, 23, 0, tzinfo=UTC))
        assert (list(found.values), list(found.qualities)) == ([24], ["2.8.0"])


class TestMistakes:
    @pytest.mark.parametrize(
        ("record", "reason"),
        [
            pytest.param("MLA01,1,2", "MEPMD01 or MEPMD02 is expected, found 'MLA01'", id="another record"),
            pytest.param("MEPMD01,1,2", "14 fields and triplets are expected, found 3", id="cut"),
            pytest.param(mepmd01(["1"], count="2"), "2 triplets are expected, found 3 fields", id="too few"),
            pytest.param(mepmd01(["1", "2"], count="1"), "1 triplets are expected, found 6", id="too many"),
            pytest.param(
                mepmd01(["1"], count="x"), "field 14: a number of triplets is expected, found 'x'", id="count"
            ),
            pytest.param(mepmd01(["1"], meter=""), "field 8: the meter is expected", id="no meter"),
            pytest.param(mepmd01(["1"], purpose="SUMMARY"), "found 'SUMMARY'", id="no measured values"),
            pytest.param(mepmd01(["1"], flags="X7"), "cmep_flags is expected for 'X7'", id="flag"),
            pytest.param('MEPMD01,"a"b\rc,', "fields separated by commas are expected", id="no line of CSV"),
            pytest.param(mepmd01(["1"], interval="15"), "field 13: an interval MMDDHHMM", id="interval"),
            pytest.param(mepmd01(["1"], interval="01000000"), "found 1 months", id="months"),
            pytest.param(mepmd01(["1"], interval=""), "interval of a single value", id="no interval"),
            pytest.param(mepmd01(["1"], constant="0"), "field 12: a multiplier is expected, found '0'", id="constant"),
            pytest.param(mepmd01(["1"], ends=["202602290015"]), "CCYYMMDDHHMM is expected", id="no such day"),
            pytest.param(mepmd01(["1"], ends=["20260228"]), "found '20260228'", id="no time"),
            pytest.param(
                mepmd01(["1", "2"], ends=times(2, minutes=5)), "15 minutes apart are expected, found 5", id="apart"
            ),
            pytest.param(
                mepmd02([("ON-PEAK", "X", "1")]), "cmep_flags is expected for 'X'", id="flag of a time of use"
            ),
            pytest.param(
                mepmd02([("TOTAL", "", "1")], unit="KWH", start="202602282300"), "a day is expected", id="span"
            ),
        ],
    )
    def test_are_told_with_line_and_reason_and_cost_no_other_line(self, record: str, reason: str) -> None:
        good = mepmd01(["1"], meter="1")
        found = decoded(good, record, mepmd01(["2"], meter="2"))
        assert {each.serial_id for each in found if isinstance(each, FieldIntervals)} == {"1", "2"}
        ((line, told),) = [(each.line, each.reason) for each in found if isinstance(each, UnreadableLine)]
        assert line == 2
        assert reason in told

    def test_a_value_that_is_no_number_costs_no_other_value(self) -> None:
        found = decoded(mepmd01(["1", "abc", "3"]))
        assert [list(each.values) for each in found if isinstance(each, FieldIntervals)] == [[1, None, 3]]
        assert mistakes(mepmd01(["1", "abc", "3"])) == [(1, "value 2: a number is expected, found 'abc'")]

    def test_of_a_long_file_stand_where_they_are(self) -> None:
        lines = [mepmd01([str(number), "x" if number == 260 else "1"], meter=str(number)) for number in range(600)]
        found = decoded(*lines)
        blocks = [each for each in found if isinstance(each, FieldIntervals)]
        assert [each.serial_id for each in blocks] == [str(number) for number in range(600)]
        assert all(
            list(each.values) == [int(each.serial_id), None if each.serial_id == "260" else 1] for each in blocks
        )
        assert [each.line for each in found if isinstance(each, UnreadableLine)] == [261]


class TestUnmapped:
    def test_is_a_unit_that_no_row_explains(self) -> None:
        (found,) = decoded(mepmd01(["1", "", "2.5"], unit="PULSE"))
        assert found == Unmapped(
            serial_id="0000000042",
            source="channel",
            code="cmep: commodity=E, unit=PULSE",
            at=END_OF_FIRST,
            value="1,,2.5",
            text="3 values of 15 minutes",
        )

    def test_is_a_time_of_use_that_no_row_explains(self) -> None:
        found = decoded(mepmd02([("PEAK-4", "", "1"), ("TOTAL", "", "2")]))
        assert [type(each) for each in found] == [Unmapped, FieldReading]
        assert isinstance(found[0], Unmapped)
        assert found[0].code == "cmep: commodity=E, unit=KWHREG, label=PEAK-4"

    def test_are_the_digits_of_a_flag_beside_its_value(self) -> None:
        found = decoded(mepmd01(["1", "2", "3"], flags=["R", "E7", "E7"]))
        assert [type(each) for each in found] == [Unmapped, FieldIntervals]
        assert found[0] == Unmapped(
            serial_id="0000000042",
            source="quality",
            code="cmep: E7",
            at=END_OF_FIRST + timedelta(minutes=15),
            text="KWH",
        )
        assert isinstance(found[1], FieldIntervals)
        assert (list(found[1].values), list(found[1].qualities)) == ([1, 2, 3], [None, "2.8.0", "2.8.0"])


class TestFeeds:
    def test_with_the_meter_in_another_field(self) -> None:
        record = mepmd01(["1"], meter="").split(",")
        record[5] = "0000000077"
        body = file(",".join(record), mepmd01(["1"]))
        found, wrong = told(decoder(cmep_meter_field=6), "cmep", body)
        assert ([each.serial_id for each in found], wrong) == (["0000000077", "0000000042"], [])
        assert [line for line, _ in told(decoder(), "cmep", body)[1]] == [1]

    def test_in_local_time(self) -> None:
        ends = ["202610250245", *[""] * 4, "202610250300"]
        found, wrong = told(decoder(cmep_time_zone="Europe/Berlin"), "cmep", file(mepmd01(["1"] * 6, ends=ends)))
        assert wrong == []
        assert [(each.start_at, len(each.values)) for each in found] == [(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), 6)]

    def test_in_local_time_lack_the_values_of_which_hour_nobody_knows(self) -> None:
        ends = [f"20261025{each}" for each in ("0145", "0200", "0230", "0300", "0315")]
        record = mepmd01(["1", "2", "x", "4", "y"], ends=ends, flags=["R", "E", "A", "R", "E"])
        found, wrong = told(decoder(cmep_time_zone="Europe/Berlin"), "cmep", file(record))
        (block,) = found
        assert block.start_at == datetime(2026, 10, 24, 23, 30, tzinfo=UTC)
        assert list(block.values) == [1, 2, *[None] * 7, 4, None]
        assert list(block.qualities) == [None, "2.8.0", *[None] * 9]
        assert [(line, reason[:7]) for line, reason in wrong] == [(1, "value 3"), (1, "value 5")]
        assert "there once" in wrong[0][1]

    def test_in_local_time_lack_a_record_of_which_hour_nobody_knows(self) -> None:
        body = file(mepmd01(["1"] * 4, ends=["202610250215", "", "", ""]), mepmd01(["1"], ends=["202610250315"]))
        found, wrong = told(decoder(cmep_time_zone="Europe/Berlin"), "cmep", body)
        assert ([each.start_at.hour for each in found], [line for line, _ in wrong]) == ([2], [1])

    def test_in_standard_time_are_so_in_summer_too(self) -> None:
        ((found,), wrong) = told(
            decoder(cmep_time_zone="Etc/GMT-1"), "cmep", file(mepmd01(["1"], ends=["202607100015"]))
        )
        assert (found.start_at, wrong) == (datetime(2026, 7, 9, 23, 0, tzinfo=UTC), [])

    def test_at_the_start_of_intervals_begin_them(self) -> None:
        record = mepmd01(["1", "2"], ends=["202603282315", ""])
        ((at_start,), _), ((at_end,), _) = (
            told(decoder(cmep_times=each), "cmep", file(record)) for each in ("start", "end")
        )
        assert at_start.start_at == datetime(2026, 3, 28, 23, 15, tzinfo=UTC)
        assert at_end.start_at == datetime(2026, 3, 28, 23, 0, tzinfo=UTC)

    @pytest.mark.parametrize("each", ["start", "end"])
    def test_of_registers_are_when_they_were_read(self, each: str) -> None:
        record = mepmd01(["7"], unit="KWHREG", interval="", ends=["202603282300"])
        ((found,), _) = told(decoder(cmep_times=each), "cmep", file(record))
        assert found.measured_at == datetime(2026, 3, 28, 23, 0, tzinfo=UTC)

    def test_in_local_time_name_an_hour_that_is_not_there(self) -> None:
        found, ((line, reason),) = told(
            decoder(cmep_time_zone="Europe/Berlin"), "cmep", file(mepmd01(["1"], ends=["202603290230"]))
        )
        assert (found, line) == ([], 1)
        assert "clocks of Europe/Berlin" in reason

    def test_with_times_of_use_in_local_time(self) -> None:
        record = mepmd02([("TOTAL", "", "24")], unit="KWH", start="202603290000", end="202603300000")
        ((found,), wrong) = told(decoder(cmep_time_zone="Europe/Berlin"), "cmep", file(record))
        assert (found.start_at, wrong) == (datetime(2026, 3, 28, 23, 0, tzinfo=UTC), [])

    def test_with_times_of_use_whose_end_is_there_twice(self) -> None:
        body = file(
            mepmd02([("TOTAL", "", "24")], end="202610250230"), mepmd02([("TOTAL", "", "24")], end="202610250330")
        )
        found, ((line, reason),) = told(decoder(cmep_time_zone="Europe/Berlin"), "cmep", body)
        assert ([each.measured_at.hour for each in found], line, reason[:8]) == ([2], 1, "field 15")

    def test_with_a_day_that_begins_at_a_midnight_that_is_there_twice(self) -> None:
        record = mepmd02([("TOTAL", "", "24")], unit="KWH", start="202610250000", end="202610260000")
        ((found,), wrong) = told(decoder(cmep_time_zone="Atlantic/Azores"), "cmep", file(record))
        assert (found.start_at, wrong) == (datetime(2026, 10, 25, 0, 0, tzinfo=UTC), [])


class TestRecords:
    OURS = """
[[cmep_records]]
name = "ours"
record = "MEPXX01"
read_as = "MEPMD01"
fields = { 8 = 2, 9 = 0, 10 = 3, 11 = 4, 12 = 0, 13 = 5, 14 = 6 }
"""

    def test_of_a_vendor_are_read_as_the_utility_says(self) -> None:
        record = "MEPXX01,0000000042,E,KWH,00000015,2,202603282315,R,1,,R,2"
        ((found,), wrong) = told(decoder(self.OURS), "cmep", file(record, "MEPXX01,1,2"))
        assert (found.serial_id, found.start_at, list(found.values)) == ("0000000042", START, [1, 2])
        assert wrong == [(2, "6 fields and triplets are expected, found 3 fields")]

    @pytest.mark.parametrize("record", ["MEPAD01", "MEPBD03", "MEPEC01"])
    def test_without_measured_values_are_passed_over(self, record: str) -> None:
        found, wrong = told(DECODE, "cmep", file(f"{record},19970819,x", mepmd01(["1"])))
        assert (len(found), wrong) == (1, [])

    @pytest.mark.parametrize("record", ["MEPRR01", "MEPXX01"])
    def test_that_nobody_explains_are_told(self, record: str) -> None:
        assert mistakes(f"{record},1") == [(1, f"MEPMD01 or MEPMD02 is expected, found '{record}'")]
