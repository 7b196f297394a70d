"""The CSV of registers: each row for itself, held against its raw value; meter types by the utility's table."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from mdus.domain.head_end import FieldReading, Unmapped
from tests.unit.headends.file_drop.feeds import csv, decoder, told

HEADER = "AccountNumber,MeterSN,MTUID,Port,RawRead,ScaledRead,ReadingTime,LocalTime,Scalar,MeterTypeID,Description"
AT = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
TABLES = """
[[channels]]
name = "water_type"
obis = "8-0:1.0.0*255"
kind = "register"
unit = "m3"
names = { register_csv = ["7"] }

[[channels]]
name = "gas_port"
obis = "7-0:3.0.0*255"
kind = "register"
unit = "m3"
names = { register_csv = ["7/2"] }
"""
DECODE = decoder(TABLES)


def row(
    scaled: str = "123.45",
    *,
    meter: str = "0000000042",
    port: str = "1",
    raw: str = "12345",
    scalar: str = "0.01",
    at: str = "2026-03-29 01:00:00",
    meter_type: str = "7",
) -> str:
    return f'A1,{meter},77,{port},{raw},{scaled},{at},2026-03-29 03:00:00,{scalar},{meter_type},"Meter, 5/8 in"'


class TestReadings:
    def test_are_the_scaled_value_at_its_instant_in_utc(self) -> None:
        ((found,), wrong) = told(DECODE, "registers", csv(HEADER, row()))
        assert wrong == []
        assert found == FieldReading(
            serial_id="0000000042", reading_type="8-0:1.0.0*255", measured_at=AT, value=Decimal("123.45"), unit="m3"
        )

    def test_of_a_port_with_a_row_of_its_own_go_by_that(self) -> None:
        ((first, second), _) = told(DECODE, "registers", csv(HEADER, row(), row(port="2")))
        assert (first.reading_type, second.reading_type) == ("8-0:1.0.0*255", "7-0:3.0.0*255")

    def test_of_a_type_without_a_row_are_told_as_they_came(self) -> None:
        ((found,), wrong) = told(DECODE, "registers", csv(HEADER, row(meter_type="9")))
        assert wrong == []
        assert found == Unmapped(
            serial_id="0000000042",
            source="channel",
            code="register_csv: 9/1",
            at=AT,
            value="123.45",
            text="Meter, 5/8 in",
        )

    def test_that_were_not_read_say_nothing(self) -> None:
        assert told(DECODE, "registers", csv(HEADER, row("", raw=""))) == ([], [])

    @pytest.mark.parametrize(
        ("scaled", "raw", "scalar"),
        [
            pytest.param("123.45", "12345", "0.01", id="the same"),
            pytest.param("123.4", "12345", "0.01", id="cut to a decimal"),
            pytest.param("123.5", "12345", "0.01", id="rounded up to one"),
            pytest.param("123", "", "0.01", id="no raw value"),
            pytest.param("123", "9", "", id="no scalar"),
        ],
    )
    def test_agree_with_the_raw_value(self, scaled: str, raw: str, scalar: str) -> None:
        found, wrong = told(DECODE, "registers", csv(HEADER, row(scaled, raw=raw, scalar=scalar)))
        assert (len(found), wrong) == (1, [])

    @pytest.mark.parametrize("at", ["2026-03-29T01:00:00Z", "2026-03-29T03:00:00+02:00", "2026-03-29 01:00"])
    def test_may_have_their_time_in_any_form_of_iso_8601(self, at: str) -> None:
        assert told(DECODE, "registers", csv(HEADER, row(at=at)))[0][0].measured_at == AT

    def test_may_have_their_time_as_the_vendor_writes_it(self) -> None:
        decode = decoder(TABLES, reading_time_format="%m/%d/%Y %I:%M:%S %p")
        ((found,), wrong) = told(decode, "registers", csv(HEADER, row(at="3/29/2026 1:00:00 AM"), row()))
        assert found.measured_at == AT
        assert [line for line, _ in wrong] == [3]

    def test_are_read_in_whatever_order_the_columns_stand(self) -> None:
        body = csv("ReadingTime,Port,ScaledRead,MeterTypeID,MeterSN", "2026-03-29 01:00,1,5,7,42", newline="\r\n")
        ((found,), wrong) = told(DECODE, "registers", b"\xef\xbb\xbf" + body)
        assert (found.serial_id, found.value, wrong) == ("42", 5, [])


class TestMistakes:
    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            pytest.param(row("123.46"), "rawread times scalar, 123.45, is expected, found 123.46", id="raw value"),
            pytest.param(row("x"), "scaledread: a number is expected, found 'x'", id="no number"),
            pytest.param(row(raw="x"), "rawread: a number is expected", id="no raw number"),
            pytest.param(row(meter=""), "metersn: a text is expected", id="no meter"),
            pytest.param(row(port=""), "port: a text is expected", id="no port"),
            pytest.param(row(at="yesterday"), "readingtime: an instant in UTC is expected", id="no time"),
            pytest.param("1,2,3", "11 columns are expected, found 3", id="columns"),
            pytest.param('a"b\rc,"', "fields separated by commas are expected", id="no line of CSV"),
        ],
    )
    def test_are_told_with_their_line_and_cost_no_other(self, bad: str, reason: str) -> None:
        found, ((line, text),) = told(DECODE, "registers", csv(HEADER, row(meter="1"), bad, row(meter="2")))
        assert [each.serial_id for each in found] == ["1", "2"]
        assert line == 3
        assert reason in text

    def test_of_the_header_cost_all(self) -> None:
        with pytest.raises(ValueError, match="line 1: a header with the columns metersn, port"):
            told(DECODE, "registers", csv("MeterSN,Port", "1,2"))
