"""Channels by what head ends call them: the delivered table, its precedence, and what no row explains."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mdus.bootstrap.tables import SHARED_TABLES
from mdus.domain.channel_map import ChannelKind, ChannelMap, ChannelRow, Mapped
from mdus.domain.channel_name import ChannelName, CmepName, Mrid, MultiSpeakName, ObisName, OtherName
from mdus.domain.reading_type import ReadingType
from mdus.domain.unit import Units
from mdus.settings import HeadEnd, Settings, SettingsError, load_settings

SETTINGS = load_settings({}, tables=SHARED_TABLES)
ROWS = SETTINGS.rows("channels", ChannelRow)
DELIVERED = ChannelMap.of(SETTINGS)
NORTH = HeadEnd(name="north", kind="rest", time_zone="UTC", vendor="northern")
SOUTH = HeadEnd(name="south", kind="rest", time_zone="UTC")
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


def multispeak(field: str = "", unit: str = "", value_type: str = "", **told: Any) -> MultiSpeakName:
    return MultiSpeakName(field=field, unit=unit, value_type=value_type, **told)


def cmep(commodity: str, unit: str, label: str = "", *, is_irregular: bool = False) -> CmepName:
    return CmepName(commodity=commodity, unit=unit, label=label, is_irregular=is_irregular)


def row(name: str, obis: str, **facts: Any) -> ChannelRow:
    return ChannelRow.model_validate({"name": name, "obis": obis, "kind": "register", "unit": "kWh", **facts})


def mapped(names: ChannelMap, name: ChannelName, *, at: datetime | None = None) -> tuple[str, str | None, str]:
    found = names.find(name, at=at)
    assert found is not None, f"no row explains {name}"
    return found.reading_type.removesuffix("*255"), found.unit, str(found.factor)


# The table of field facts, row by row: each name a head end may use, and the channel it is.
KNOWN: list[tuple[ChannelName, str, str | None, str]] = [
    # kWh delivered, register
    (Mrid("0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"), "1-0:1.8.0", "kWh", "1"),
    (Mrid("0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.0.72.0"), "1-0:1.8.0", "kWh", "0.001"),
    (Mrid("0.0.0.9.1.1.12.0.0.0.0.0.0.0.0.6.72.0"), "1-0:1.8.0", "kWh", "1E+3"),
    (multispeak("posKWh", "kWh", "Energy"), "1-0:1.8.0", "kWh", "1"),
    (multispeak("posKWh"), "1-0:1.8.0", "kWh", "1"),
    (multispeak("posKWh", "Wh", "Energy"), "1-0:1.8.0", "Wh", "1"),
    (multispeak(value_type="Energy", unit="kWh"), "1-0:1.8.0", "kWh", "1"),
    (cmep("E", "KWHREG"), "1-0:1.8.0", "kWh", "1"),
    (cmep("E", "KWHREG", "TOTAL"), "1-0:1.8.0", "kWh", "1"),
    # kWh received, net
    (Mrid("0.0.0.1.19.1.12.0.0.0.0.0.0.0.0.3.72.0"), "1-0:2.8.0", "kWh", "1"),
    (multispeak("negKWh", "kWh", "Negative Energy"), "1-0:2.8.0", "kWh", "1"),
    (multispeak(value_type="Negative Energy", unit="kWh"), "1-0:2.8.0", "kWh", "1"),
    (cmep("E", "GKWHREG"), "1-0:2.8.0", "kWh", "1"),
    (Mrid("0.0.0.1.4.1.12.0.0.0.0.0.0.0.0.3.72.0"), "1-0:16.8.0", "kWh", "1"),
    (multispeak("netKWh", "kWh"), "1-0:16.8.0", "kWh", "1"),
    # times of use, with either accumulation
    (Mrid("0.0.0.9.1.1.12.0.0.0.0.1.0.0.0.3.72.0"), "1-0:1.8.1", "kWh", "1"),
    (Mrid("0.0.0.1.1.1.12.0.0.0.0.1.0.0.0.3.72.0"), "1-0:1.8.1", "kWh", "1"),
    (Mrid("0.0.0.9.1.1.12.0.0.0.0.2.0.0.0.3.72.0"), "1-0:1.8.2", "kWh", "1"),
    (Mrid("0.0.0.1.1.1.12.0.0.0.0.2.0.0.0.0.72.0"), "1-0:1.8.2", "kWh", "0.001"),
    (multispeak("kWh", tou="1"), "1-0:1.8.1", "kWh", "1"),
    (multispeak("kWh", "kWh", tou="2"), "1-0:1.8.2", "kWh", "1"),
    (multispeak("posKWh", "kWh", "Energy", tou="2"), "1-0:1.8.2", "kWh", "1"),
    (cmep("E", "KWHREG", "ON-PEAK"), "1-0:1.8.1", "kWh", "1"),
    (cmep("E", "KWHREG", "OFF-PEAK"), "1-0:1.8.2", "kWh", "1"),
    # intervals of 15, 30 and 60 minutes, and of days
    (Mrid("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"), "1-0:1.29.0", "kWh", "1"),
    (Mrid("0.0.5.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0"), "1-0:1.29.0", "kWh", "0.001"),
    (Mrid("0.0.7.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"), "1-0:1.29.0", "kWh", "1"),
    (Mrid("11.0.0.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"), "1-0:1.29.0", "kWh", "1"),
    (multispeak("kWh", "kWh", is_interval=True), "1-0:1.29.0", "kWh", "1"),
    (multispeak(unit="kWh", is_interval=True), "1-0:1.29.0", "kWh", "1"),
    (cmep("E", "KWH"), "1-0:1.29.0", "kWh", "1"),
    (cmep("E", "GKWH"), "1-0:2.29.0", "kWh", "1"),
    # demand
    (Mrid("8.8.2.6.1.1.8.0.0.0.0.0.0.0.0.3.38.0"), "1-0:1.6.0", "kW", "1"),
    (Mrid("8.8.53.6.1.1.8.0.0.0.0.0.0.0.0.0.38.0"), "1-0:1.6.0", "kW", "0.001"),
    (multispeak("kW", "kW", "Max demand"), "1-0:1.6.0", "kW", "1"),
    (multispeak("kW"), "1-0:1.6.0", "kW", "1"),
    (multispeak("kW", tou="2"), "1-0:1.6.2", "kW", "1"),
    (cmep("E", "KW", "TOTAL"), "1-0:1.6.0", "kW", "1"),
    (cmep("E", "KW"), "1-0:1.5.0", "kW", "1"),
    (Mrid("0.0.0.12.1.1.37.0.0.0.0.0.0.0.0.3.38.0"), "1-0:1.7.0", "kW", "1"),
    (multispeak("kW", "kW", "Current demand"), "1-0:1.7.0", "kW", "1"),
    (cmep("E", "KW", is_irregular=True), "1-0:1.7.0", "kW", "1"),
    # reactive and apparent energy
    (Mrid("0.0.0.1.5.1.12.0.0.0.0.0.0.0.0.3.73.0"), "1-0:3.8.0", "kvarh", "1"),
    (Mrid("0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.73.0"), "1-0:3.8.0", "kvarh", "1"),
    (multispeak("kVARh", "kVARh"), "1-0:3.8.0", "kvarh", "1"),
    (cmep("E", "KVARHREG"), "1-0:3.8.0", "kvarh", "1"),
    (cmep("E", "KVARH"), "1-0:3.29.0", "kvarh", "1"),
    (Mrid("0.0.0.1.13.1.12.0.0.0.0.0.0.0.0.3.73.0"), "1-0:4.8.0", "kvarh", "1"),
    (Mrid("0.0.0.1.19.1.12.0.0.0.0.0.0.0.0.3.73.0"), "1-0:4.8.0", "kvarh", "1"),
    (cmep("E", "GKVARHREG"), "1-0:4.8.0", "kvarh", "1"),
    (Mrid("0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.71.0"), "1-0:9.8.0", "kVAh", "1"),
    (multispeak("kVAh", "kVAh"), "1-0:9.8.0", "kVAh", "1"),
    (cmep("E", "KVAHREG"), "1-0:9.8.0", "kVAh", "1"),
    # voltage by phase, with and without neutral, and both kinds
    (Mrid("0.0.0.12.0.1.158.0.0.0.0.0.0.0.129.0.29.0"), "1-0:32.7.0", "V", "1"),
    (Mrid("0.0.0.6.0.1.54.0.0.0.0.0.0.0.128.0.29.0"), "1-0:32.7.0", "V", "1"),
    (Mrid("0.0.0.12.0.1.158.0.0.0.0.0.0.0.65.0.29.0"), "1-0:52.7.0", "V", "1"),
    (Mrid("0.0.0.12.0.1.54.0.0.0.0.0.0.0.64.0.29.0"), "1-0:52.7.0", "V", "1"),
    (Mrid("0.0.0.12.0.1.158.0.0.0.0.0.0.0.33.-3.29.0"), "1-0:72.7.0", "V", "0.001"),
    (Mrid("0.0.0.6.0.1.158.0.0.0.0.0.0.0.32.0.29.0"), "1-0:72.7.0", "V", "1"),
    (multispeak("V", "V", "Current Voltage Phase A"), "1-0:32.7.0", "V", "1"),
    (multispeak("V", "V RMS", "Current Voltage Phase B"), "1-0:52.7.0", "V", "1"),
    (multispeak("V", "V", "Current Voltage Phase C"), "1-0:72.7.0", "V", "1"),
    (multispeak("V", "V", "Current Voltage", phase="B"), "1-0:52.7.0", "V", "1"),
    (multispeak("V", "V", "Current Voltage"), "1-0:12.7.0", "V", "1"),
    (cmep("E", "VOLTS"), "1-0:12.7.0", "V", "1"),
    # current, power factor, frequency, outages
    (Mrid("0.0.0.12.0.1.4.0.0.0.0.0.0.0.128.0.5.0"), "1-0:31.7.0", "A", "1"),
    (multispeak("Amps", "Amps", phase="A"), "1-0:31.7.0", "A", "1"),
    (multispeak("Amps", "Amps", phase="C"), "1-0:71.7.0", "A", "1"),
    (multispeak("Amps", "Amps"), "1-0:11.7.0", "A", "1"),
    (Mrid("0.0.0.12.0.1.38.0.0.0.0.0.0.0.0.0.65.0"), "1-0:13.7.0", None, "1"),
    (multispeak(value_type="Current power factor", unit="Power factor"), "1-0:13.7.0", None, "1"),
    (Mrid("0.0.0.12.0.1.15.0.0.0.0.0.0.0.0.0.33.0"), "1-0:14.7.0", "Hz", "1"),
    (multispeak(value_type="Current frequency", unit="Frequency"), "1-0:14.7.0", "Hz", "1"),
    (Mrid("0.0.0.12.0.1.128.0.0.0.0.0.0.0.0.0.111.0"), "0-0:96.7.0", None, "1"),
    (multispeak(value_type="Sustained interruptions count", unit="Nbr of power outage"), "0-0:96.7.0", None, "1"),
    # gas
    (Mrid("0.0.0.1.1.7.58.0.0.0.0.0.0.0.0.0.42.0"), "7-0:3.0.0", "m3", "1"),
    (Mrid("0.0.0.1.1.7.58.0.0.0.0.0.0.0.0.2.119.0"), "7-0:3.0.0", "ft3", "1E+2"),
    (ObisName("0-1:24.2.1"), "7-0:3.0.0", "m3", "1"),
    (ObisName("0-4:24.2.1*255"), "7-0:3.0.0", "m3", "1"),
    (multispeak("volume", "cubic meter", service="Gas"), "7-0:3.0.0", "m3", "1"),
    (multispeak("volume", "ccf", service="Gas"), "7-0:3.0.0", "CCF", "1"),
    (Mrid("0.0.0.1.1.7.58.0.0.0.0.0.0.0.0.0.167.0"), "7-0:3.1.0", "m3", "1"),
    (Mrid("0.0.0.1.1.7.58.0.0.0.0.0.0.0.0.0.121.0"), "7-0:3.1.0", "ft3", "1"),
    (multispeak("volume", "cubic feet uncorrected"), "7-0:3.1.0", "ft3", "1"),
    (Mrid("0.0.0.1.1.7.58.0.0.0.0.0.0.0.0.0.166.0"), "7-0:3.2.0", "m3", "1"),
    (Mrid("0.0.0.1.1.7.58.0.0.0.0.0.0.0.0.0.120.0"), "7-0:3.2.0", "ft3", "1"),
    (multispeak("volume", "cubic feet corrected"), "7-0:3.2.0", "ft3", "1"),
    (cmep("G", "GASREG"), "7-0:3.0.0", None, "1"),
    (cmep("G", "CF"), "7-0:3.29.0", "ft3", "1"),
    (cmep("G", "CCF"), "7-0:3.29.0", "CCF", "1"),
    (cmep("G", "M3"), "7-0:3.29.0", "m3", "1"),
    (cmep("G", "THERM"), "7-0:33.29.0", "THERM", "1"),
    # water
    (Mrid("0.0.0.1.1.9.58.0.0.0.0.0.0.0.0.0.42.0"), "8-0:1.0.0", "m3", "1"),
    (Mrid("0.0.0.1.1.9.58.0.0.0.0.0.0.0.0.0.128.0"), "8-0:1.0.0", "GAL", "1"),
    (Mrid("0.0.0.1.1.9.58.0.0.0.0.0.0.0.0.0.119.0"), "8-0:1.0.0", "ft3", "1"),
    (Mrid("0.0.0.1.1.9.58.0.0.0.0.0.0.0.0.0.134.0"), "8-0:1.0.0", "l", "1"),
    (multispeak("volume", "US gl", service="Water"), "8-0:1.0.0", "GAL", "1"),
    (multispeak("volume", "cubic feet", service="Water"), "8-0:1.0.0", "ft3", "1"),
    (multispeak("volume", "cubic meter", service="Water"), "8-0:1.0.0", "m3", "1"),
    (cmep("W", "GALREG"), "8-0:1.0.0", "GAL", "1"),
    (cmep("W", "CFREG"), "8-0:1.0.0", "ft3", "1"),
    (cmep("W", "GAL"), "8-0:1.29.0", "GAL", "1"),
    (cmep("W", "CF"), "8-0:1.29.0", "ft3", "1"),
]

UNKNOWN: list[ChannelName] = [
    Mrid("0.0.0.3.1.1.12.0.0.0.0.0.0.0.0.3.72.0"),  # cumulative
    Mrid("0.0.0.1.1.1.12.0.0.0.0.3.0.0.0.3.72.0"),  # a third time of use
    Mrid("13.0.0.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"),  # of months
    Mrid("no ReadingType"),
    Mrid(""),
    multispeak("kVARh", "kWh", "Energy"),  # a field no row has for such a value
    multispeak("posKWh", "kVARh"),  # a unit that is none of energy
    multispeak("posKWh", tou="7"),
    multispeak("kW", "mW", "Max demand"),  # milli, which units.toml does not have
    multispeak("volume", "cubic meter"),  # gas or water?
    multispeak(),
    cmep("E", "PULSE"),
    cmep("G", "KWH"),
    cmep("E", "KWHREG", "PART-PEAK"),
    cmep("e", "KWH"),
    ObisName("0-1:24.2.2"),
    ObisName("nonsense"),
    OtherName("anything", "WATER"),
]


class TestDelivered:
    @pytest.mark.parametrize(
        ("name", "obis", "unit", "factor"), KNOWN, ids=[f"{name} is {obis}" for name, obis, _, _ in KNOWN]
    )
    def test_explains(self, name: ChannelName, obis: str, unit: str | None, factor: str) -> None:
        assert mapped(DELIVERED, name) == (obis, unit, factor)

    @pytest.mark.parametrize("name", UNKNOWN, ids=str)
    def test_does_not_guess(self, name: ChannelName) -> None:
        assert DELIVERED.find(name) is None

    @pytest.mark.parametrize(
        ("mrid", "minutes"),
        [
            ("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", 15),
            ("0.0.5.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", 30),
            ("0.0.7.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", 60),
            ("11.0.0.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", 1440),
            ("0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0", None),
        ],
    )
    def test_says_how_long_an_interval_is(self, mrid: str, minutes: int | None) -> None:
        found = DELIVERED.find(Mrid(mrid))
        assert found is not None
        assert found.minutes == minutes

    def test_tells_intervals_from_what_a_register_shows(self) -> None:
        kinds = {str(name): DELIVERED.find(name) for name, *_ in KNOWN}
        for name, found in kinds.items():
            assert found is not None
            assert (found.kind is ChannelKind.INTERVAL) == (".29." in found.reading_type), name

    @pytest.mark.parametrize(
        ("power", "told"), [(3, "12345.678"), (0, "12345678"), (6, "12.345678"), (-3, "12345678000"), (1, "1234567.8")]
    )
    def test_brings_all_powers_of_ten_to_the_same(self, power: int, told: str) -> None:
        found = DELIVERED.find(Mrid(f"0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.{power}.72.0"))
        assert found is not None
        assert found.value(Decimal(told)) == Decimal("12345.678")


def names_of(each: ChannelRow) -> Iterator[ChannelName]:
    """Yield every name of a row, as a head end would tell it."""
    if each.mrid is not None:
        yield Mrid(each.mrid)
    yield from (Mrid(name.mrid) for name in each.mrids)
    for name in each.multispeak:
        told = name.model_dump(include={"value_type", "unit", "phase", "tou", "service", "code"})
        field = "any" if name.field == "*" else name.field
        yield MultiSpeakName(**told, field=field, is_interval=each.kind is ChannelKind.INTERVAL)
    for one in each.cmep:
        yield CmepName(**one.model_dump(include={"commodity", "unit", "label", "is_irregular"}))
    yield ObisName(each.obis)
    yield from (OtherName(source, name) for source, names in each.names.items() for name in names)


class TestThereAndBack:
    @pytest.mark.parametrize("each", ROWS, ids=lambda each: each.name)
    def test_every_name_of_a_row_is_its_channel(self, each: ChannelRow) -> None:
        for name in names_of(each):
            found = DELIVERED.find(name)
            assert found is not None, name
            assert found.reading_type == each.obis, name

    @pytest.mark.parametrize("each", ROWS, ids=lambda each: each.name)
    def test_what_a_channel_is_asked_for_by_is_told_as_it(self, each: ChannelRow) -> None:
        back: list[ChannelName | None] = [
            Mrid(mrid) if (mrid := DELIVERED.to_mrid(each.obis)) is not None else None,
            DELIVERED.to_multispeak(each.obis),
            DELIVERED.to_cmep(each.obis),
        ]
        assert any(name is not None for name in back)
        for name in back:
            if name is not None:
                found = DELIVERED.find(name)
                assert found is not None, name
                assert (found.reading_type, found.kind) == (each.obis, each.kind), name

    @pytest.mark.parametrize("minutes", [5, 15, 30, 60, 1440])
    def test_intervals_are_asked_for_by_their_length(self, minutes: int) -> None:
        mrid = DELIVERED.to_mrid("1-0:1.29.0", minutes=minutes)
        assert mrid is not None
        found = DELIVERED.find(Mrid(mrid))
        assert found is not None
        assert (found.reading_type, found.minutes) == ("1-0:1.29.0*255", minutes)

    def test_a_channel_of_no_row_has_no_name(self) -> None:
        assert DELIVERED.to_mrid("1-0:99.9.9*255") is None
        assert DELIVERED.to_multispeak("1-0:99.9.9*255") is None
        assert DELIVERED.to_cmep("1-0:99.9.9*255") is None
        assert DELIVERED.to_name("aclara", "1-0:1.8.0*255") is None

    def test_registers_and_their_intervals_are_asked_for_apart(self) -> None:
        of_registers = DELIVERED.mrids(
            {ChannelKind.REGISTER, ChannelKind.DEMAND}, period_from=NEW_YEAR, period_to=NEW_YEAR
        )
        of_intervals = DELIVERED.mrids({ChannelKind.INTERVAL}, period_from=NEW_YEAR, period_to=NEW_YEAR)

        named = {each.mrid: each.kind for each in ROWS if each.mrid is not None}
        assert {named[mrid] for mrid in of_registers} == {ChannelKind.REGISTER, ChannelKind.DEMAND}
        assert {named[mrid] for mrid in of_intervals} == {ChannelKind.INTERVAL}
        rest = set(named) - {*of_registers, *of_intervals}
        assert {named[mrid] for mrid in rest} == {ChannelKind.INSTANTANEOUS}

    def test_reading_types_of_rows_are_all_different(self) -> None:
        plain = [ReadingType.parse(each.mrid).plain for each in ROWS if each.mrid is not None]
        assert len(set(plain)) == len(plain)


class TestPrecedence:
    ROWS = (
        row("all", "1-0:1.8.0", multispeak=[{"field": "kWh"}]),
        row("vendor", "1-0:1.8.8", multispeak=[{"field": "kWh"}], vendor="northern"),
        row("own", "1-0:1.8.9", multispeak=[{"field": "kWh"}], head_end="north"),
    )

    @pytest.mark.parametrize(
        ("rows", "head_end", "obis"),
        [
            pytest.param(ROWS, NORTH, "1-0:1.8.9", id="the head end's own"),
            pytest.param(ROWS[::-1], NORTH, "1-0:1.8.9", id="in any order"),
            pytest.param(ROWS[:2], NORTH, "1-0:1.8.8", id="its vendor's"),
            pytest.param(ROWS[:1], NORTH, "1-0:1.8.0", id="that for all"),
            pytest.param(ROWS, SOUTH, "1-0:1.8.0", id="not another's"),
            pytest.param(ROWS, None, "1-0:1.8.0", id="of no head end in particular"),
        ],
    )
    def test_is_of_the_nearest_row(self, rows: tuple[ChannelRow, ...], head_end: HeadEnd | None, obis: str) -> None:
        assert mapped(ChannelMap(rows, head_end=head_end), multispeak("kWh"))[0] == obis

    def test_is_of_the_nearest_row_even_where_another_says_more(self) -> None:
        rows = (
            row("all", "1-0:1.8.0", mrid="0.0.0.9.1.1.12.0.0.0.0.0.0.0.0.3.72.0"),
            row("own", "1-0:1.8.9", mrid="0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0", head_end="north"),
        )
        told = Mrid("0.0.0.9.1.1.12.0.0.0.0.0.0.0.0.3.72.0")
        assert mapped(ChannelMap(rows, head_end=NORTH), told)[0] == "1-0:1.8.9"

    def test_is_of_the_exact_name_among_rows_for_the_same(self) -> None:
        rows = (
            row("bulk", "1-0:1.8.0", mrid="0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"),
            row("summation", "1-0:1.8.9", mrid="0.0.0.9.1.1.12.0.0.0.0.0.0.0.0.3.72.0"),
        )
        names = ChannelMap(rows)
        assert mapped(names, Mrid("0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"))[0] == "1-0:1.8.0"
        assert mapped(names, Mrid("0.0.0.9.1.1.12.0.0.0.0.0.0.0.0.3.72.0"))[0] == "1-0:1.8.9"

    def test_is_of_what_names_say_more_about(self) -> None:
        rows = (
            row("value type", "1-0:1.8.0", multispeak=[{"field": "*", "value_type": "Energy"}]),
            row("field", "1-0:16.8.0", multispeak=[{"field": "netKWh"}]),
        )
        assert mapped(ChannelMap(rows), multispeak("netKWh", value_type="Energy"))[0] == "1-0:16.8.0"
        assert mapped(ChannelMap(rows), multispeak("else", value_type="Energy"))[0] == "1-0:1.8.0"

    def test_is_of_the_row_that_was_valid_when_it_was_measured(self) -> None:
        rows = (
            row("before", "1-0:1.8.0", multispeak=[{"field": "kWh"}], head_end="north"),
            row("since", "1-0:1.8.9", multispeak=[{"field": "kWh"}], head_end="north", valid_from=NEW_YEAR),
        )
        names = ChannelMap(rows, head_end=NORTH)
        told = multispeak("kWh")
        assert mapped(names, told, at=NEW_YEAR - timedelta(microseconds=1))[0] == "1-0:1.8.0"
        assert mapped(names, told, at=NEW_YEAR)[0] == "1-0:1.8.9"
        assert mapped(names, told)[0] == "1-0:1.8.9"

    def test_goes_on_to_rows_for_all_where_a_dated_one_is_not_valid_yet(self) -> None:
        rows = (
            row("all", "1-0:1.8.0", multispeak=[{"field": "kWh"}]),
            row("own", "1-0:1.8.9", multispeak=[{"field": "kWh"}], head_end="north", valid_from=NEW_YEAR),
        )
        names = ChannelMap(rows, head_end=NORTH)
        assert mapped(names, multispeak("kWh"), at=NEW_YEAR - timedelta(days=1))[0] == "1-0:1.8.0"

    def test_goes_on_to_rows_for_all_where_the_own_row_has_no_such_name(self) -> None:
        own = row("own", "1-0:1.8.0", multispeak=[{"field": "total"}], head_end="north")
        names = ChannelMap([*ROWS, own], head_end=NORTH, units=Units.of(SETTINGS))
        assert names.to_multispeak("1-0:1.8.0") == multispeak("total")
        assert names.to_mrid("1-0:1.8.0") == "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"


class TestNames:
    def test_may_have_a_unit_and_a_factor_of_their_own(self) -> None:
        thousand = {"commodity": "G", "unit": "MCF", "kept_as": "ft3", "factor": "1000"}
        found = ChannelMap([row("a", "7-0:3.0.0", cmep=[thousand])]).find(cmep("G", "MCF"))
        assert found is not None
        assert (found.unit, found.value(Decimal("1.5"))) == ("ft3", 1500)

    def test_are_compared_in_capitals_or_not_but_for_mega_and_milli(self) -> None:
        names = ChannelMap([row("a", "1-0:1.8.0", multispeak=[{"field": "POSkwh", "unit": "MWh"}])])
        assert names.find(multispeak("poskWH", "MWH")) is not None
        assert names.find(multispeak("poskWH", "mWh")) is None

    def test_of_other_sources_are_texts(self) -> None:
        names = ChannelMap([row("a", "8-0:1.0.0", names={"aclara": ["Water meter"]})])
        assert names.find(OtherName("aclara", "WATER  METER")) is not None
        assert names.find(OtherName("other", "Water meter")) is None
        assert names.to_name("aclara", "8-0:1.0.0") == "Water meter"

    def test_print_what_a_row_for_them_has_to_say(self) -> None:
        assert str(multispeak("kWh", "kWh", tou="7")) == "multispeak: field=kWh, unit=kWh, tou=7"
        assert str(cmep("E", "PULSE", is_irregular=True)) == "cmep: commodity=E, unit=PULSE, is_irregular"
        assert str(ObisName("0-1:24.2.2")) == "obis: 0-1:24.2.2*255"
        assert str(OtherName("aclara", "x")) == "aclara: x"


class TestRows:
    @pytest.mark.parametrize(
        ("facts", "reason"),
        [
            pytest.param({"obis": "1.8.0"}, "no OBIS code", id="no OBIS code"),
            pytest.param({"mrid": "1.2.3"}, "18 numbers", id="no ReadingType"),
            pytest.param({"kind": "counter"}, "kind", id="no kind"),
            pytest.param({"multispeak": [{"phase": "A"}]}, "states field", id="a name that says nothing"),
            pytest.param({"cmep": [{"commodity": "E"}]}, "unit", id="half a name"),
            pytest.param({"cmep": [{"commodity": "E", "unit": "KWH", "factor": 0.1}]}, "not exact", id="a float"),
            pytest.param({"cmep": [{"commodity": "E", "unit": "KWH", "factor": "0"}]}, "greater than 0", id="a zero"),
            pytest.param({"head_end": "north", "vendor": "northern"}, "not for both", id="for two"),
            pytest.param({"valid_from": "2027-01-01T00:00:00"}, "timezone", id="an instant without a zone"),
            pytest.param({"multispek": []}, "multispek", id="a word it does not know"),
        ],
    )
    def test_are_refused(self, facts: dict[str, Any], reason: str) -> None:
        with pytest.raises(ValidationError, match=reason):
            row("a", **{"obis": "1-0:1.8.0", **facts})

    @pytest.mark.parametrize(
        ("facts", "reason"),
        [
            pytest.param({"mrid": "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"}, "mrid: 0.0.0.1.1.1", id="ReadingType"),
            pytest.param({"multispeak": [{"field": "KWH"}]}, "multispeak", id="MultiSpeak"),
            pytest.param({"cmep": [{"commodity": "E", "unit": "KWH"}]}, "cmep: commodity=E, unit=KWH", id="CMEP"),
            pytest.param({"obis_codes": ["0-1:24.2.1"]}, "obis: 0-1:24.2.1", id="OBIS"),
            pytest.param({"names": {"aclara": ["x"]}}, "aclara: x", id="other"),
        ],
    )
    def test_must_not_explain_one_name_twice(self, facts: dict[str, Any], reason: str) -> None:
        one, other = row("one", "1-0:1.8.0", **facts), row("other", "1-0:2.8.0", **facts)
        (told,) = ChannelRow.contradictions([one, other])
        assert reason in told
        assert "one" in told
        assert "other" in told

    def test_may_explain_a_name_otherwise_for_another_head_end_or_time(self) -> None:
        facts = {"multispeak": [{"field": "kWh"}]}
        rows = [
            row("one", "1-0:1.8.0", **facts),
            row("other", "1-0:2.8.0", **facts, head_end="north"),
            row("later", "1-0:2.8.1", **facts, head_end="north", valid_from=NEW_YEAR),
            row("vendor", "1-0:2.8.2", **facts, vendor="northern"),
        ]
        assert list(ChannelRow.contradictions(rows)) == []

    def test_that_contradict_are_a_problem_of_the_settings(self, tmp_path: Path) -> None:
        (tmp_path / "channels.toml").write_text(
            '[[channels]]\nname = "mine"\nobis = "1-0:2.8.0"\nkind = "register"\nunit = "kWh"\n'
            'cmep = [{ commodity = "E", unit = "KWHREG" }]\n'
        )
        with pytest.raises(SettingsError, match="stands in kwh_delivered and in mine"):
            load_settings({"MDUS_CONFIG": str(tmp_path)}, tables=SHARED_TABLES)

    def test_of_an_installation_go_before_the_delivered_ones(self, tmp_path: Path) -> None:
        (tmp_path / "channels.toml").write_text(
            '[[channels]]\nname = "mine"\nobis = "1-0:2.8.0"\nkind = "register"\nunit = "kWh"\nhead_end = "north"\n'
            'cmep = [{ commodity = "E", unit = "KWHREG" }]\n'
        )
        settings: Settings = load_settings({"MDUS_CONFIG": str(tmp_path)}, tables=SHARED_TABLES)
        assert mapped(ChannelMap.of(settings, head_end=NORTH), cmep("E", "KWHREG"))[0] == "1-0:2.8.0"
        assert mapped(ChannelMap.of(settings, head_end=SOUTH), cmep("E", "KWHREG"))[0] == "1-0:1.8.0"


def test_a_value_without_a_factor_is_itself() -> None:
    plain = Mapped(row="a", kind=ChannelKind.REGISTER, reading_type="1-0:1.8.0*255", unit="kWh")
    assert plain.value(Decimal("12.300")).as_tuple() == Decimal("12.300").as_tuple()
