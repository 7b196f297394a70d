"""Case 6. TimeZoneCode is SAP's code, such as INDIA or CET, not an IANA name.

A table maps each; a code that is not in it is refused, never taken for UTC. The zone of the server says nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mdus.domain.usage_point import DeviceLocation
from tests.flows.both_sides import BothSides
from tests.flows.hard_cases.conftest import Open
from tests.flows.hard_cases.sap_messages import (
    LOCATION,
    METER,
    READ,
    REGISTERS,
    REGISTERS_CREATED,
    installed,
    locations,
    place,
    reading,
    register,
    registers,
)
from tests.flows.hard_cases.steps import answers, document, late_failures


class TestACode:
    @pytest.mark.parametrize(
        ("code", "instant"),
        [
            pytest.param("INDIA", datetime(2026, 3, 1, 6, 30, tzinfo=UTC), id="INDIA, half an hour off"),
            pytest.param("CET", datetime(2026, 3, 1, 11, tzinfo=UTC), id="CET"),
            pytest.param("UTC", datetime(2026, 3, 1, 12, tzinfo=UTC), id="UTC"),
            pytest.param(None, datetime(2026, 3, 1, 11, tzinfo=UTC), id="none: that of the sender"),
        ],
    )
    @pytest.mark.usefixtures("zone_of_the_server")
    def test_says_when_a_meter_was_installed_wherever_the_server_stands(
        self, sides_on_sqlite: BothSides, code: str | None, instant: datetime
    ) -> None:
        sides = sides_on_sqlite
        sides.tell(LOCATION, locations(place(modified=installed("2026-03-01", "12:00:00", zone=code))))
        sides.rest()

        assert [one.installed_at for one in sides.all(DeviceLocation)] == [instant]

    @pytest.mark.parametrize("code", ["MARS", "Asia/Kolkata", "india"])
    def test_that_no_table_holds_is_refused_and_shown(self, sides_on_sqlite: BothSides, code: str) -> None:
        sides = sides_on_sqlite
        sides.tell(LOCATION, locations(place(modified=installed("2026-03-01", "12:00:00", zone=code[:10]))))
        sides.rest()

        assert sides.all(DeviceLocation) == []
        assert late_failures(sides) == ["location_failed"]

    @pytest.mark.parametrize(("code", "answer"), [("INDIA", ("3", [])), ("MARS", ("5", ["117(MDUS)"]))])
    def test_of_a_register_is_known_or_refused(
        self, sides_on_sqlite: BothSides, code: str, answer: tuple[str, list[str]]
    ) -> None:
        sides = sides_on_sqlite
        sides.tell(REGISTERS, registers(register("0009", obis="1-0:2.8.0", zone=code)))
        sides.rest()

        assert answers(sides, REGISTERS_CREATED) == [answer]

    def test_can_be_added_by_a_setting(self, open_sides: Open, sqlite_url: str, tmp_path: Path) -> None:
        (tmp_path / "zones.toml").write_text('[time_zones]\nMARS = "Pacific/Chatham"\n')
        sides = open_sides(sqlite_url)
        sides.meter(METER)
        sides.tell(LOCATION, locations(place(modified=installed("2026-03-01", "12:00:00", zone="MARS"))))
        sides.rest()

        assert [one.installed_at for one in sides.all(DeviceLocation)] == [datetime(2026, 2, 28, 22, 15, tzinfo=UTC)]


class TestTheZoneOfTheSender:
    @pytest.mark.parametrize(
        ("zone", "ends_at"),
        [
            ("Asia/Kolkata", datetime(2026, 3, 29, 18, 30, tzinfo=UTC)),
            ("Europe/Berlin", datetime(2026, 3, 29, 22, 0, tzinfo=UTC)),
            ("America/New_York", datetime(2026, 3, 30, 4, 0, tzinfo=UTC)),
        ],
    )
    def test_says_when_the_day_of_an_order_ends(
        self, open_sides: Open, sqlite_url: str, tmp_path: Path, zone: str, ends_at: datetime
    ) -> None:
        (tmp_path / "mdus.toml").write_text(f'time_zone = "{zone}"\n')
        sides = open_sides(sqlite_url)
        sides.meter(METER)
        sides.tell(READ, reading())
        sides.rest()

        assert document(sides).due_at == ends_at
        assert document(sides).scheduled_on.isoformat() == "2026-03-29"
