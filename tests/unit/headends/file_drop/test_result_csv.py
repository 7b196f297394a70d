"""The result file: rows of one reference are one result, and a bad row counts for nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from mdus.domain.head_end import CommandResult, FieldReading
from tests.unit.headends.file_drop.feeds import csv, decoder, told

HEADER = "reference,serial,status,code,text,completed_at,reading_type,measured_at,value,unit"
AT = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
DECODE = decoder()


def row(
    reference: str = "r1",
    *,
    status: str = "ok",
    code: str = "",
    reading_type: str = "1-0:1.8.0*255",
    at: str = "2026-03-29T01:00:00Z",
    value: str = "12.50",
    completed_at: str = "2026-03-29T01:00:00Z",
) -> str:
    return f"{reference},42,{status},{code},,{completed_at},{reading_type},{at},{value},kWh"


def reading(reading_type: str, value: str) -> FieldReading:
    return FieldReading(serial_id="42", reading_type=reading_type, measured_at=AT, value=Decimal(value), unit="kWh")


class TestResults:
    def test_gather_the_rows_of_their_reference_wherever_they_stand(self) -> None:
        rows = [row(), row("r2", value="1"), row(reading_type="1-0:1.8.1*255", value="2.5")]
        ((first, second), wrong) = told(DECODE, "results", csv(HEADER, *rows))
        assert wrong == []
        assert first == CommandResult(
            command_key="r1",
            correlation=None,
            token=None,
            serial_id="42",
            succeeded=True,
            code=None,
            text=None,
            acted_at=AT,
            readings=(reading("1-0:1.8.0*255", "12.50"), reading("1-0:1.8.1*255", "2.5")),
        )
        assert second.command_key == "r2"

    def test_may_have_no_reading(self) -> None:
        ((found,), wrong) = told(DECODE, "results", csv(HEADER, row(reading_type="", at="", value="")))
        assert (found.succeeded, found.readings, wrong) == (True, (), [])

    def test_may_have_interval_values(self) -> None:
        header = f"{HEADER},interval_minutes,quality"
        begins = ("2026-03-29T01:15:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z")
        values = [
            f"{row(reading_type='1-0:1.29.0*255', at=at, value=value)},15,{quality}"
            for at, value, quality in zip(begins, ("2.5", "1", ""), ("", "2.8.0", "2.5.259"), strict=True)
        ]
        ((found,), wrong) = told(DECODE, "results", csv(header, *values, f"{row()},,"))
        assert wrong == []
        (block,) = found.intervals
        assert (block.serial_id, block.reading_type, block.interval_minutes, block.start_at) == (
            "42", "1-0:1.29.0*255", 15, AT,
        )  # fmt: skip
        assert (list(block.values), list(block.qualities)) == ([1, Decimal("2.5"), None], ["2.8.0", None, "2.5.259"])
        assert found.readings == (reading("1-0:1.8.0*255", "12.50"),)

    @pytest.mark.parametrize(
        ("minutes", "quality", "at", "reason"),
        [
            pytest.param("x", "", "2026-03-29T01:00:00Z", "interval_minutes: a number of minutes", id="minutes"),
            pytest.param("1441", "", "2026-03-29T01:00:00Z", "interval_minutes: a number of minutes", id="two days"),
            pytest.param("15", "bad", "2026-03-29T01:00:00Z", "quality: a code such as", id="quality"),
            pytest.param("15", "", "2026-03-29T01:00:01Z", "a whole minute is expected", id="seconds"),
            pytest.param("15", "", "", "measured_at: an instant is expected", id="no time"),
        ],
    )
    def test_with_bad_interval_values_tell_their_lines(self, minutes: str, quality: str, at: str, reason: str) -> None:
        body = csv(f"{HEADER},interval_minutes,quality", f"{row(at=at)},{minutes},{quality}")
        assert (told(DECODE, "results", body)[0]) == []
        ((line, text),) = told(DECODE, "results", body)[1]
        assert line == 2
        assert reason in text

    def test_that_failed_say_why(self) -> None:
        ((found,), _) = told(DECODE, "results", csv(HEADER, row(status="Failed", code="NO_RESPONSE", value="")))
        assert (found.succeeded, found.code, found.uncertain, found.is_final) == (False, "NO_RESPONSE", False, True)

    def test_of_which_more_follows_leave_their_command_open(self) -> None:
        ((found,), _) = told(DECODE, "results", csv(HEADER, row(status="part")))
        assert (found.succeeded, found.is_final) == (True, False)

    def test_may_name_the_request_they_answer(self) -> None:
        ((found,), _) = told(DECODE, "results", csv("reference,serial,status,request", "r1,42,ok,c-1"))
        assert found.correlation == "c-1"

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            pytest.param(row(status="fine"), "status: one of ok, failed, part is expected, found 'fine'", id="status"),
            pytest.param(row(""), "reference: a text is expected", id="reference"),
            pytest.param(row(value="x"), "value: a number is expected, found 'x'", id="value"),
            pytest.param(row(reading_type=""), "reading_type: a text is expected", id="reading type"),
            pytest.param(row(at="now"), "measured_at: an instant such as", id="instant"),
            pytest.param(row(completed_at="now"), "completed_at: an instant such as", id="completed"),
        ],
    )
    def test_with_a_bad_row_have_the_others(self, bad: str, reason: str) -> None:
        found, ((line, text),) = told(DECODE, "results", csv(HEADER, row(), bad, row(reading_type="1-0:2.8.0*255")))
        assert [len(each.readings) for each in found] == [2]
        assert line == 3
        assert reason in text

    def test_with_nothing_but_bad_rows_are_none(self) -> None:
        found, wrong = told(DECODE, "results", csv(HEADER, row(value="x"), row("r2")))
        assert [each.command_key for each in found] == ["r2"]
        assert len(wrong) == 1
