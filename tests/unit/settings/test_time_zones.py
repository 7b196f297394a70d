"""SAP's time zone codes: each a zone there is, the offsets the right way round, others refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from mdus.settings import SettingsError, load_settings

SUMMER = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
WINTER = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def offset(code: str, at: datetime = WINTER) -> timedelta | None:
    return at.astimezone(ZoneInfo(load_settings({}).time_zones[code])).utcoffset()


class TestTheDefaults:
    def test_name_zones_there_are(self) -> None:
        zones = load_settings({}).time_zones
        assert len(zones) > 50
        assert [code for code in zones if offset(code) is None] == []

    def test_have_codes_that_fit_the_wire(self) -> None:
        assert [code for code in load_settings({}).time_zones if not 1 <= len(code) <= 10] == []

    @pytest.mark.parametrize("hours", [*range(1, 15)])
    def test_are_ahead_of_utc_with_a_plus(self, hours: int) -> None:
        assert offset(f"UTC+{hours}") == timedelta(hours=hours)

    @pytest.mark.parametrize("hours", [*range(1, 13)])
    def test_are_behind_utc_with_a_minus(self, hours: int) -> None:
        assert offset(f"UTC-{hours}") == timedelta(hours=-hours)

    @pytest.mark.parametrize(
        ("code", "winter", "summer"),
        [
            pytest.param("CET", 1, 2, id="summer time"),
            pytest.param("MSTNO", -7, -7, id="none in Arizona"),
            pytest.param("CSTNO", -6, -6, id="none in Saskatchewan"),
            pytest.param("AUSNSW", 11, 10, id="south of the equator"),
            pytest.param("AUSQLD", 10, 10, id="none in Queensland"),
            pytest.param("INDIA", 5.5, 5.5, id="half an hour"),
            pytest.param("NEPAL", 5.75, 5.75, id="three quarters"),
        ],
    )
    def test_know_summer_time(self, code: str, winter: float, summer: float) -> None:
        assert offset(code, WINTER) == timedelta(hours=winter)
        assert offset(code, SUMMER) == timedelta(hours=summer)


class TestACodeOfTheUser:
    def test_is_added(self) -> None:
        zones = load_settings({"MDUS_TIME_ZONES__ZMALTA": "Europe/Malta"}).time_zones
        assert (zones["ZMALTA"], zones["CET"]) == ("Europe/Malta", "Europe/Berlin")

    @pytest.mark.parametrize("zone", ["Europe/Atlantis", "CEST", ""])
    def test_is_refused_with_a_zone_that_is_none(self, zone: str) -> None:
        with pytest.raises(SettingsError, match="not an IANA time zone"):
            load_settings({"MDUS_TIME_ZONES__ZMALTA": zone})
