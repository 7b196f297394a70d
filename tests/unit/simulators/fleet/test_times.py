"""Clocks that times are written by: UTC, local, standard time the whole year."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from simulators.fleet.times import Times, zone_of

FIRST, SECOND = "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"  # half past two in Berlin, both of them


class TestTimes:
    def test_of_utc_say_so(self) -> None:
        assert Times().said(FIRST) == FIRST

    def test_of_a_zone_do_not_say_it(self) -> None:
        berlin = Times(zone=ZoneInfo("Europe/Berlin"))
        assert berlin.said(FIRST) == berlin.said(SECOND) == "2026-10-25T02:30:00"

    def test_of_standard_time_never_come_twice(self) -> None:
        winter = Times(zone=ZoneInfo("Etc/GMT-1"))
        assert [winter.said(FIRST), winter.said(SECOND)] == ["2026-10-25T01:30:00", "2026-10-25T02:30:00"]

    def test_are_the_same_instants(self) -> None:
        at = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
        shown = Times(zone=ZoneInfo("Europe/Berlin")).at(at)
        assert (shown.hour, shown.astimezone(UTC)) == (2, at)


class TestZone:
    @pytest.mark.parametrize(
        ("zone", "name"),
        [("Europe/Berlin", "Etc/GMT-1"), ("America/Chicago", "Etc/GMT+6"), ("Europe/London", "Etc/GMT")],
    )
    def test_of_standard_time_is_that_of_winter(self, zone: str, name: str) -> None:
        assert zone_of("standard", zone) == ZoneInfo(name)

    def test_of_standard_time_of_half_an_hour_is_refused(self) -> None:
        with pytest.raises(ValueError, match="not of whole hours"):
            zone_of("standard", "Asia/Kolkata")

    def test_of_standard_time_differs_from_local_time_and_utc(self) -> None:
        assert (zone_of("local", "Europe/Berlin"), zone_of("utc", "Europe/Berlin")) == (ZoneInfo("Europe/Berlin"), None)
