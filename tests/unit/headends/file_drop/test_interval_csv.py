"""The neutral interval CSV: rows in any order, a bad one costs no other."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from mdus.domain.head_end import FieldIntervals, UnreadableLine
from mdus.headends.file_drop.interval_csv import HEADER, decode

START = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)


def row(place: int, value: str, quality: str = "", *, meter: str = "0000000042", minutes: int = 15) -> str:
    start = f"{START + place * timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"
    return f"{meter},1-0:1.29.0*255,kWh,{minutes},{start},{value},{quality}"


def told(*rows: str, header: str = HEADER) -> tuple[list[FieldIntervals], list[tuple[int, str]]]:
    events = list(decode("\n".join([header, *rows, ""]).encode()))
    found = [event for event in events if isinstance(event, FieldIntervals)]
    return found, [(event.line, event.reason) for event in events if isinstance(event, UnreadableLine)]


class TestDecode:
    def test_gathers_the_rows_of_a_meter_in_any_order(self) -> None:
        rows = [row(place, f"{place}.5", meter=meter) for meter in ("1", "2") for place in range(96)]
        random.Random(4).shuffle(rows)
        found, wrong = told(*rows)
        assert wrong == []
        assert [(each.start_at, len(each.values)) for each in found] == [(START, 96), (START, 96)]
        assert list(found[0].values) == [Decimal(f"{place}.5") for place in range(96)]

    def test_tells_grids_and_units_apart(self) -> None:
        rows = [row(0, "1"), row(0, "2", minutes=60), row(0, "3").replace("kWh", "Wh")]
        assert {(each.interval_minutes, each.unit) for each in told(*rows)[0]} == {(15, "kWh"), (60, "kWh"), (15, "Wh")}

    @pytest.mark.parametrize(
        "start", ["2026-03-28T23:00:00Z", "2026-03-29T00:00:00+01:00", "2026-03-29 00:00+01:00", "20260328T2300Z"]
    )
    def test_reads_an_instant_in_any_zone(self, start: str) -> None:
        ((found,), wrong) = told(f"42,1-0:1.29.0*255,kWh,15,{start},1,")
        assert (found.start_at, wrong) == (START, [])

    def test_keeps_qualities_and_takes_an_empty_value_for_none(self) -> None:
        ((found,), _) = told(row(0, "1", "2.8.0"), row(1, ""), row(2, "3"))
        assert (list(found.values), list(found.qualities)) == ([1, None, 3], ["2.8.0", None, None])

    @pytest.mark.parametrize("start", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:00Z"])
    def test_tells_rows_beyond_the_calendar_and_reads_the_others(self, start: str) -> None:
        ((found,), wrong) = told(f"42,1-0:1.29.0*255,kWh,15,{start},1,", row(0, "1"))
        assert found.start_at == START
        assert [(line, "within the calendar" in reason) for line, reason in wrong] == [(2, True)]

    @pytest.mark.parametrize("value", ["1e61", "-1e-61", "9" * 62])
    def test_tells_numbers_that_no_quantity_is(self, value: str) -> None:
        _, wrong = told(row(0, "1"), row(1, value))
        assert [line for line, _ in wrong] == [3]

    def test_needs_no_column_of_qualities(self) -> None:
        ((found,), _) = told("42,O,kWh,15,2026-03-28T23:00:00Z,1", header=HEADER.removesuffix(",quality"))
        assert list(found.values) == [1]

    def test_reads_what_a_spreadsheet_writes(self) -> None:
        cells = ["42", "O", "kWh", "15", "2026-03-28T23:00:00Z", "1e-1", ""]
        quoted = ["".join(f'"{cell}",' for cell in line).rstrip(",") for line in (HEADER.split(","), cells)]
        body = "\ufeff" + "\r\n".join(quoted)
        (found,) = decode(body.encode())
        assert isinstance(found, FieldIntervals)
        assert list(found.values) == [Decimal("0.1")]

    def test_of_two_values_of_one_interval_the_last_counts(self) -> None:
        ((found,), _) = told(row(0, "1"), row(1, "2"), row(0, "3"), row(1, ""))
        assert list(found.values) == [3, 2]

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            pytest.param("1,2,3", "7 columns are expected, found 3", id="columns"),
            pytest.param(row(0, "x"), "value: a number is expected, found 'x'", id="value"),
            pytest.param(row(0, "1", "bad"), "quality: a code such as 2.5.259 is expected, found 'bad'", id="quality"),
            pytest.param(row(0, "1").replace("Z", ""), "start: an instant with Z or an offset", id="no zone"),
            pytest.param(row(0, "1").replace("T23:00:00", "T23:00:30"), "a whole minute is expected", id="seconds"),
            pytest.param(row(0, "1").replace("2026-03", "2026-13"), "start: an instant such as", id="no instant"),
            pytest.param(row(0, "1").replace(",15,", ",x,"), "interval_minutes: a number", id="minutes"),
            pytest.param(row(0, "1", meter=""), "a meter and a reading type", id="no meter"),
        ],
    )
    def test_tells_a_bad_row_with_its_line_and_takes_the_others(self, bad: str, reason: str) -> None:
        found, wrong = told(row(1, "1", meter="1"), bad, row(2, "2", meter="1"))
        assert [list(each.values) for each in found if each.serial_id == "1"] == [[1, 2]]
        ((line, text),) = wrong
        assert line == 3
        assert reason in text

    def test_reads_nothing_without_its_header(self) -> None:
        with pytest.raises(ValueError, match="line 1: the header meter,reading_type"):
            told(header="serial,obis")
