"""By which clock the simulated head end writes, and that its row says so."""

from __future__ import annotations

from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from simulators.fleet.process import arguments
from simulators.fleet.times import Times
from simulators.headend_cim import payloads
from simulators.headend_cim.envelopes import Writer
from simulators.headend_cim.face import KIND, Cim
from simulators.headend_cim.words import Spaces

AT = "2026-03-27T10:00:00Z"
ROW: dict[str, Any] = {"serial": "1", "at": AT, "text": "it", "properties": {}, "event_id": "e-1", "code": "3.26.0.85"}


def written(times: Times) -> str:
    """Return messages of all that has a time."""
    writer = Writer(spaces=Spaces("2011"), is_generic=False, times=times)
    readings = payloads.MeterReadings(writer, has_periods=True)
    readings.reading("1", {"obis": "1-0:1.8.0*255", "at": AT, "value": "1"})
    readings.block("1", {"obis": "1-0:1.29.0*255", "interval_minutes": 15, "start": AT, "values": ["1.5"]})
    moved = {"serial": "1", "reference": "c-1", "switch_state": "connected", "switched_at": AT, "completed_at": AT}
    made = {
        "MeterReadings": readings.written(),
        "EndDeviceEvents": payloads.events(writer, [ROW]),
        "EndDeviceControls": payloads.controls(writer, "switch", [moved], {"c-1": {"state": "connected"}}),
    }
    return "".join(writer.event(noun, at=AT, payload=payload).decode() for noun, payload in made.items())


def row(*options: str) -> dict[str, Any]:
    parsed = arguments(KIND).parse_args([*options, "--password", "x"])
    parsed.callback_password = "y"
    told: dict[str, Any] = Cim(parsed).row("http://h")["options"]  # type: ignore[assignment]
    return told


class TestTimes:
    def test_say_that_they_are_utc(self) -> None:
        told = written(Times(zone=UTC))
        # Three headers, a reading, the begin and twice the end of an interval, an event, a control.
        assert (told.count(AT), told.count("2026-03-27T10:15:00Z")) == (7, 2)
        assert "zone_of_local_times" not in row()

    def test_of_a_zone_do_not_say_it(self) -> None:
        told = written(Times(zone=ZoneInfo("Europe/Berlin")))
        assert (told.count("2026-03-27T11:00:00<"), told.count("2026-03-27T11:15:00<")) == (7, 2)
        assert AT not in told

    @pytest.mark.parametrize(("times", "zone"), [("local", "Europe/Berlin"), ("standard", "Etc/GMT-1")])
    def test_are_of_the_zone_in_the_row(self, times: str, zone: str) -> None:
        assert row("--times", times)["zone_of_local_times"] == zone
