"""What a peer's texts say of instants."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mdus.headends.multispeak import soap

BERLIN = "Europe/Berlin"


class TestInstant:
    @pytest.mark.parametrize(
        ("value", "hour"),
        [
            pytest.param("2026-10-25T02:30:00+02:00", 0, id="with an offset"),
            pytest.param("2026-10-25T01:30:00", 23, id="local, there once"),
            pytest.param("2026-03-29T03:30:00", 1, id="local, after the hour that is not there"),
        ],
    )
    def test_is_in_utc(self, value: str, hour: int) -> None:
        at = soap.instant(value, "at", zone=BERLIN)
        assert (at.hour, at.minute, at.tzinfo) == (hour, 30, UTC)

    def test_is_none_of_an_hour_that_is_there_twice(self) -> None:
        with pytest.raises(ValueError, match="at is '2026-10-25T02:30:00', which is there twice in Europe/Berlin"):
            soap.instant("2026-10-25T02:30:00", "at", zone=BERLIN)
        assert soap.earliest("2026-10-25T02:30:00", "at", zone=BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)

    def test_is_none_of_an_hour_that_is_not_there(self) -> None:
        with pytest.raises(ValueError, match="at is '2026-03-29T02:30:00', which no clock shows in Europe/Berlin"):
            soap.instant("2026-03-29T02:30:00", "at", zone=BERLIN)
        assert soap.earliest("2026-03-29T02:30:00", "at", zone=BERLIN) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)

    @pytest.mark.parametrize("value", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00"])
    def test_is_none_beyond_the_calendar(self, value: str) -> None:
        with pytest.raises(ValueError, match="not an instant"):
            soap.instant(value, "at", zone=BERLIN)
        with pytest.raises(ValueError, match="not an instant"):
            soap.earliest(value, "at", zone=BERLIN)


def test_a_beginning_is_looked_for_in_the_beginning_only() -> None:
    filling = b"<x/>" * 20_000
    with pytest.raises(ValueError, match="no SOAP envelope"):
        soap.beginning(b"<e>" + filling + b"<Body><Message/></Body></e>")
    assert soap.beginning(b"<e><Body><Message/></Body>" + filling + b"</e>")[2] == "Message"
