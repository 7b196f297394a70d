"""What meters tell: blocks of interval values and events, read out of their JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from mdus.domain.channel import MISSING
from mdus.domain.head_end import FieldAlarm, FieldIntervals
from mdus.domain.quantities import NOTHING_SAID, Qualities, Quantities
from mdus.headends.rest import values

BLOCK = {
    "serial": "0000001234",
    "obis": "1-0:1.29.0*255",
    "unit": "kWh",
    "interval_minutes": 15,
    "start": "2026-03-29T00:00:00Z",
    "values": ["0.012", None, "0.0130"],
    "quality": [None, "1.2.32", None],
}
EVENT = {
    "serial": "0000001234",
    "event_id": "e-5f3a",
    "code": "3.26.79.223",
    "at": "2026-03-29T03:12:44.5+02:00",
    "text": "voltage sag",
    "properties": {"phase": "L1", "volts": "184.2"},
}


class TestIntervals:
    def test_reads_a_block(self) -> None:
        block = values.intervals(BLOCK | {"extra": "ignored"}, "blocks[0]")

        assert block == FieldIntervals(
            serial_id="0000001234",
            reading_type="1-0:1.29.0*255",
            unit="kWh",
            interval_minutes=15,
            start_at=datetime(2026, 3, 29, tzinfo=UTC),
            values=Quantities.of([Decimal("0.012"), None, Decimal("0.0130")]),
            qualities=Qualities.of([None, "1.2.32", None]),
        )
        assert (block.values.decimals, block.values.elements.tolist()) == (4, [120, MISSING, 130])

    def test_is_of_the_meter_of_its_result(self) -> None:
        row = {name: value for name, value in BLOCK.items() if name != "serial"}

        assert values.intervals(row, "results[0].blocks[0]", serial="0007").serial_id == "0007"

    @pytest.mark.parametrize("quality", [None, [], [None, None, None]], ids=["missing", "empty", "all valid"])
    def test_has_no_qualities_when_all_is_valid(self, quality: Any) -> None:
        assert values.intervals(BLOCK | {"quality": quality}, "b").qualities == NOTHING_SAID

    def test_keeps_every_digit_of_a_number(self) -> None:
        block = values.intervals(BLOCK | {"values": [Decimal("0.10"), 3, "-0.5"], "quality": None}, "b")

        assert list(block.values) == [Decimal("0.10"), Decimal(3), Decimal("-0.5")]

    @pytest.mark.parametrize(
        ("change", "mistake"),
        [
            pytest.param({"serial": ""}, "b.serial is missing", id="serial"),
            pytest.param({"obis": None}, "b.obis is missing", id="obis"),
            pytest.param({"interval_minutes": 0}, "b.interval_minutes is 0", id="minutes zero"),
            pytest.param({"interval_minutes": True}, "b.interval_minutes is True", id="minutes a truth"),
            pytest.param({"interval_minutes": "15"}, "b.interval_minutes is '15'", id="minutes text"),
            pytest.param({"start": "2026-03-29T00:00:00"}, "without zone", id="start without zone"),
            pytest.param({"values": []}, "b.values is empty", id="no values"),
            pytest.param({"values": "0.1"}, "b.values is not a list", id="values text"),
            pytest.param({"values": ["0.1", "NaN", "1"]}, r"b.values\[1\] is 'NaN'", id="no number"),
            pytest.param({"values": ["0.1", "1e3", "1"]}, r"b.values\[1\] is '1e3'", id="exponent"),
            pytest.param({"values": ["0.1", "\u0661", "1"]}, r"b.values\[1\]", id="other digits"),
            pytest.param({"values": [False, None, "1"]}, r"b.values\[0\] is False", id="a truth"),
            pytest.param({"quality": [None, None]}, "2 codes for 3 values", id="too few qualities"),
            pytest.param({"quality": [None, "power", None]}, r"b.quality\[1\] is 'power'", id="quality no code"),
            pytest.param({"quality": [None, 1, None]}, r"b.quality\[1\] is 1", id="quality a number"),
        ],
    )
    def test_says_where_it_is_wrong(self, change: dict[str, Any], mistake: str) -> None:
        with pytest.raises(ValueError, match=mistake):
            values.intervals(BLOCK | change, "b")


class TestAlarm:
    def test_reads_an_event(self) -> None:
        assert values.alarm(EVENT, "events[0]") == FieldAlarm(
            serial_id="0000001234",
            event_type="3.26.79.223",
            at=datetime(2026, 3, 29, 1, 12, 44, 500000, tzinfo=UTC),
            source_id="e-5f3a",
            text="voltage sag",
            properties=(("phase", "L1"), ("volts", "184.2")),
        )

    def test_needs_neither_id_nor_text_nor_properties(self) -> None:
        alarm = values.alarm(EVENT | {"event_id": None, "text": None, "properties": None}, "e")

        assert (alarm.source_id, alarm.text, alarm.properties) == (None, None, ())

    @pytest.mark.parametrize(
        ("change", "mistake"),
        [
            pytest.param({"serial": None}, "e.serial is missing", id="serial"),
            pytest.param({"code": "3.26.85"}, "e.code is '3.26.85'", id="three places"),
            pytest.param({"code": "3.26.0.85.1"}, "e.code is", id="five places"),
            pytest.param({"code": None}, "e.code is missing", id="no code"),
            pytest.param({"at": None}, "e.at is missing", id="no instant"),
            pytest.param({"properties": ["phase"]}, "e.properties is not an object", id="properties a list"),
            pytest.param({"properties": {"volts": 184.2}}, "e.properties.volts is not text", id="property a number"),
        ],
    )
    def test_says_where_it_is_wrong(self, change: dict[str, Any], mistake: str) -> None:
        with pytest.raises(ValueError, match=mistake):
            values.alarm(EVENT | change, "e")
