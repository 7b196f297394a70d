"""What every kind of head end that takes them must do with limits, load control, texts and the time."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.end_device import EndDevice
from tests.head_ends.city import City
from tests.head_ends.field import NOON

PEAK = NOON + timedelta(hours=6)
EVENT = {"event": "peak", "start": "2026-03-27T17:00:00Z", "minutes": "90", "percent": "40"}


def install(city: City) -> EndDevice:
    """Install an electricity meter."""
    return city.install(next(each for each in city.simulated.meters() if each["commodity"] == "electricity"))


def told(city: City, device: EndDevice, kind: CommandKind, **parameters: str) -> CommandStatus:
    """Give a meter a command and return how it ended."""
    command = city.order(device, kind, parameters=tuple(parameters.items()) or None)
    [status] = city.settle(command)
    return status


def held(city: City, device: EndDevice) -> dict[str, Any]:
    """Return what the meter truly has."""
    return next(each for each in city.simulated.meters() if each["serial"] == device.serial_id)


@pytest.mark.takes(CommandKind.LIMIT_DEMAND)
def test_a_limit_is_set_and_taken_away(city: City) -> None:
    device = install(city)

    assert told(city, device, CommandKind.LIMIT_DEMAND, limit_kw="3.5") is CommandStatus.DONE
    assert Decimal(held(city, device)["limit_kw"]) == Decimal("3.5")

    assert told(city, device, CommandKind.LIMIT_DEMAND) is CommandStatus.DONE
    assert held(city, device)["limit_kw"] is None


@pytest.mark.takes(CommandKind.LIMIT_DEMAND)
def test_a_limit_may_be_set_twice(city: City) -> None:
    device = install(city)

    for limit_kw in ("3.5", "3.5", "5"):
        assert told(city, device, CommandKind.LIMIT_DEMAND, limit_kw=limit_kw) is CommandStatus.DONE

    assert Decimal(held(city, device)["limit_kw"]) == 5


@pytest.mark.takes(CommandKind.CONTROL_LOAD)
def test_an_event_is_scheduled_and_cancelled(city: City) -> None:
    device = install(city)

    assert told(city, device, CommandKind.CONTROL_LOAD, action="schedule", **EVENT) is CommandStatus.DONE
    [event] = held(city, device)["load_events"]
    assert (event["event"], event["minutes"], event["percent"]) == ("peak", 90, 40)
    assert datetime.fromisoformat(event["start"]) == PEAK

    assert told(city, device, CommandKind.CONTROL_LOAD, action="cancel", **EVENT) is CommandStatus.DONE
    assert held(city, device)["load_events"] == []


@pytest.mark.takes(CommandKind.SHOW_TEXT)
def test_a_text_is_shown(city: City) -> None:
    device = install(city)

    assert told(city, device, CommandKind.SHOW_TEXT, text="Wartung am 3. Mai") is CommandStatus.DONE
    assert held(city, device)["shown_text"] == "Wartung am 3. Mai"


@pytest.mark.takes(CommandKind.SET_TIME)
def test_the_time_is_taken(city: City) -> None:
    device = install(city)

    assert told(city, device, CommandKind.SET_TIME) is CommandStatus.DONE
    assert datetime.fromisoformat(held(city, device)["clock_set_at"]) == NOON
