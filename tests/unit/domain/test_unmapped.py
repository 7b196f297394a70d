"""Codes that no table explains: the row that would, and what makes two values the same."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mdus.domain.channel_map import ChannelMap, ChannelRow
from mdus.domain.channel_name import ChannelName, CmepName, Mrid, MultiSpeakName, ObisName, OtherName
from mdus.domain.event_map import EventMap, FieldEventRow, event_code
from mdus.domain.unmapped import UnmappedCode, UnmappedSource, UnmappedValue
from mdus.settings import HeadEnd

NORTH = HeadEnd(name="north", kind="rest", time_zone="UTC")
AT = datetime(2026, 3, 27, 10, 0, tzinfo=UTC)


def toml(code: str, source: UnmappedSource) -> dict[str, Any]:
    """Return the row to add, as TOML reads it once people have filled what was left open."""
    shown = UnmappedCode("north", source, code).row
    table, _, columns = shown.partition("]] ")
    filled = columns.replace('obis = "?"', 'obis = "1-0:1.8.0"').replace('kind = "?"', 'kind = "register"')
    filled = filled.replace('unit = "?"', 'unit = "kWh"').replace('event = "?"', 'event = "3.1.0.1"')
    read = tomllib.loads(f"row = {{ {filled} }}")["row"]
    return {"name": "mine", **read, "table": table.removeprefix("[[")}


class TestRowToAdd:
    @pytest.mark.parametrize(
        "name",
        [
            Mrid("0.0.0.1.1.1.12.0.0.0.0.3.0.0.0.3.72.0"),
            MultiSpeakName(field="total kWh", value_type="Other", unit="kWh"),
            MultiSpeakName(field="kWh", tou="7", phase="A", service="Electric", code="x"),
            MultiSpeakName(unit="ccf", is_interval=True),
            MultiSpeakName(field='a "quoted" one, with = and \\'),
            CmepName(commodity="E", unit="PULSE"),
            CmepName(commodity="E", unit="KWHREG", label="PART-PEAK"),
            CmepName(commodity="E", unit="KVA", is_irregular=True),
            ObisName("0-1:24.2.9"),
            OtherName("aclara", "WATER / 1"),
        ],
        ids=str,
    )
    def test_explains_the_channel_once_it_is_filled(self, name: ChannelName) -> None:
        read = toml(str(name), UnmappedSource.CHANNEL)
        assert read.pop("table") == "channels"
        found = ChannelMap([ChannelRow.model_validate(read)], head_end=NORTH).find(name)
        assert found is not None
        assert found.row == "mine"

    @pytest.mark.parametrize(("scheme", "code"), [("c1219", "m17"), ("history_log", "Momentary interruption")])
    def test_explains_the_event_once_it_is_filled(self, scheme: str, code: str) -> None:
        read = toml(event_code(scheme, code), UnmappedSource.EVENT)
        assert read.pop("table") == "field_events"
        assert EventMap([FieldEventRow.model_validate(read)], head_end=NORTH).find(scheme, code) == "3.1.0.1"

    @pytest.mark.parametrize(
        ("source", "code", "row"),
        [
            (UnmappedSource.UNIT, "furlong", '[[units]] code = "?", quantity = "?", texts = ["furlong"]'),
            (UnmappedSource.QUALITY, "cmep: R7", 'a row of the table of qualities of its kind, for "R7"'),
        ],
    )
    def test_of_units_and_qualities_is_in_other_tables(self, source: UnmappedSource, code: str, row: str) -> None:
        assert UnmappedCode("north", source, code).row == row


class TestTheSameValue:
    VALUE = UnmappedValue(
        head_end="north",
        source=UnmappedSource.CHANNEL,
        code="cmep: commodity=E, unit=PULSE",
        serial_id="1",
        at=AT,
        value="1",
        unit="kWh",
        text=None,
        delivery_id=1,
        received_at=AT,
    )

    @pytest.mark.parametrize("changes", [{}, {"delivery_id": 2}, {"received_at": AT + timedelta(days=1)}], ids=str)
    def test_is_the_same_whoever_tells_it(self, changes: dict[str, Any]) -> None:
        assert replace(self.VALUE, **changes).content_hash == self.VALUE.content_hash

    @pytest.mark.parametrize(
        "changes",
        [
            {"source": UnmappedSource.UNIT},
            {"code": "x"},
            {"serial_id": "01"},
            {"at": None},
            {"value": "1.0"},
            {"value": None},
            {"unit": None},
            {"text": ""},
        ],
        ids=str,
    )
    def test_is_another_where_anything_differs(self, changes: dict[str, Any]) -> None:
        assert replace(self.VALUE, **changes).content_hash != self.VALUE.content_hash
