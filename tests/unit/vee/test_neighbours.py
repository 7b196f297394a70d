"""Which meters and stations say something of a meter: rows of config/neighbours.toml, and OBIS codes."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mdus.bootstrap.composition import examine
from mdus.domain.channel import Channel
from mdus.vee.neighbours import CheckMeterRow, Measured, Neighbours, contradicting_checks, is_active, sibling_of

DAY = date(2026, 2, 11)


def channel(reading_type: str = "1-0:1.29.0*255", *, device_id: str = "42", unit: str = "KWH") -> Channel:
    return Channel(
        sender_system="P11",
        device_id=device_id,
        reading_type=reading_type,
        interval_minutes=15,
        time_zone="Europe/Berlin",
        unit=unit,
        decimals=3,
    )


def neighbours(folder: Path, rows: str = "", **environ: str) -> Neighbours:
    (folder / "neighbours.toml").write_text(rows)
    examined = examine({"MDUS_CONFIG": str(folder), **environ})
    assert examined.settings is not None, examined.problems
    return examined.settings.made(Neighbours)


def check(**stated: Any) -> CheckMeterRow:
    return CheckMeterRow(**{"name": "a", "main": "42", "check": "43", **stated})


class TestSiblings:
    @pytest.mark.parametrize(
        ("reading_type", "expected"),
        [
            ("1-0:1.29.0*255", "1-0:3.29.0*255"),
            ("1-0:3.29.0*255", "1-0:1.29.0*255"),
            ("1-1:2.8.1*255", "1-1:4.8.1*255"),
            ("1-0:21.29.0", "1-0:23.29.0*255"),
            ("1-0:64.29.0*255", "1-0:62.29.0*255"),
            ("1-0:16.29.0*255", None),  # the difference of both directions
            ("1-0:5.29.0*255", None),  # a quadrant
            ("7-0:3.29.0*255", None),
            ("8-0:1.29.0*255", None),
            ("HEAT", None),
        ],
    )
    def test_are_told_by_obis_codes(self, reading_type: str, expected: str | None) -> None:
        assert sibling_of(reading_type) == expected

    @pytest.mark.parametrize(("reading_type", "is_so"), [("1-0:22.8.0", True), ("1-0:24.8.0", False), ("HEAT", False)])
    def test_are_active_or_not(self, reading_type: str, is_so: bool) -> None:
        assert is_active(reading_type) is is_so

    @pytest.mark.parametrize(
        ("told", "wanted", "expected"),
        [("KVR", "KWH", 1), ("KVR", "MWH", Fraction(1, 1000)), ("kvarh", "Wh", 1000), ("UNKNOWN", "KWH", 1)],
    )
    def test_stand_beside_each_other_in_one_size(
        self, tmp_path: Path, told: str, wanted: str, expected: Fraction
    ) -> None:
        reactive, active = channel("1-0:3.29.0*255", unit=told), channel(unit=wanted)
        policy = neighbours(tmp_path)
        assert policy.sibling_ratio(told=reactive, wanted=active) == expected
        assert policy.sibling_ratio(told=active, wanted=reactive) == 1 / Fraction(expected)


class TestCheckMeters:
    @pytest.mark.parametrize(
        "stated",
        [
            {"check": "42"},
            {"check": "42", "reading_type": "a", "check_reading_type": "a"},
            {"valid_from": DAY, "valid_to": DAY},
            {"main": ""},
        ],
        ids=["itself", "its own values", "no day", "nothing"],
    )
    def test_that_check_nothing_are_refused(self, stated: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            check(**stated)

    @pytest.mark.parametrize("main", ["42", "43"], ids=["of itself", "of another"])
    def test_hold_no_other_values_against_one_reading_type(self, main: str) -> None:
        with pytest.raises(ValidationError, match="of the main meter: name that too"):
            check(main=main, check="42", check_reading_type="1-1:1.29.0*255")
        named = check(main=main, check="42", reading_type="1-0:1.29.0*255", check_reading_type="1-1:1.29.0*255")
        assert named.check_reading_type == "1-1:1.29.0*255"

    def test_may_be_another_channel_of_the_same_device(self, tmp_path: Path) -> None:
        types = f'reading_type = "{channel().reading_type}"\ncheck_reading_type = "1-1:1.29.0*255"\n'
        row = f'[[check_meters]]\nname = "a"\nmain = "42"\ncheck = "42"\n{types}'
        found = neighbours(tmp_path, row).check_of(channel(), DAY)
        assert found == Measured("P11", "42", "1-1:1.29.0*255")

    @pytest.mark.parametrize(
        ("one", "other", "is_so"),
        [
            ({}, {"check": "44"}, True),
            ({}, {"main": "44"}, False),
            ({"valid_to": DAY}, {"valid_from": DAY}, False),
            ({"valid_to": DAY}, {"valid_from": date(2026, 2, 10)}, True),
            ({"reading_type": "a"}, {"reading_type": "b"}, False),
            ({"reading_type": "a"}, {}, True),
            ({"sender_system": "P11"}, {"sender_system": "P12"}, False),
            ({"sender_system": "P11"}, {}, True),
        ],
    )
    def test_of_the_same_values_contradict_each_other(
        self, one: dict[str, Any], other: dict[str, Any], is_so: bool
    ) -> None:
        assert bool(list(contradicting_checks([check(**one), check(**other, name="b")]))) is is_so


class TestGroups:
    def test_are_a_devices_first_of_its_system(self, tmp_path: Path) -> None:
        rows = "".join(
            f'[[similar_groups]]\nname = "{name}"\ndevices = ["1", "2"]\n{system}\n'
            for name, system in (("a", 'sender_system = "P12"'), ("b", ""), ("c", ""))
        )
        policy = neighbours(tmp_path, rows)
        found = [policy.group_of("P11", "1"), policy.group_of("P12", "1"), policy.group_of("P11", "3")]
        assert [each and each.name for each in found] == ["b", "a", None]


class TestStations:
    @pytest.mark.parametrize(
        ("area", "station"), [("10115", "near"), ("10999", "town"), ("20095", "far"), (None, "far")]
    )
    def test_are_those_of_the_longest_pattern(self, tmp_path: Path, area: str | None, station: str) -> None:
        rows = "".join(
            f'[[temperature_stations]]\nname = "{name}"\nstation = "{name}"\nareas = ["{pattern}"]\n'
            for name, pattern in (("far", "*"), ("near", "101*"), ("town", "10*"))
        )
        assert neighbours(tmp_path, rows).station_of(area) == station

    def test_are_none_by_default(self, tmp_path: Path) -> None:
        assert neighbours(tmp_path).station_of("10115") is None


def test_are_made_once(tmp_path: Path) -> None:
    examined = examine({"MDUS_CONFIG": str(tmp_path)})
    assert examined.settings is not None
    assert examined.settings.made(Neighbours) is examined.settings.made(Neighbours)
