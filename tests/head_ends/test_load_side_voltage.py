"""Head ends that look for voltage behind a breaker before it closes: whose that is, the position says."""

from __future__ import annotations

import pytest

from mdus.domain.command import Command, CommandStatus
from mdus.domain.end_device import EndDevice
from mdus.domain.end_device_control import ControlCategory, ControlStatus, EndDeviceControl
from mdus.domain.verified_switch import Ended, SwitchRules, Waiting, next_step
from tests.head_ends.city import City

FEEDS_IN = "voltage_behind_the_breaker"


def reconnected(city: City, device: EndDevice) -> EndDeviceControl:
    """Let a device be reconnected as its order would have it; returns what became of it."""
    control, switch = city.switch(ControlCategory.RECONNECT, device_id=device.device_id, serial_id=device.serial_id)
    commands: list[Command] = [switch]
    while True:
        city.settle(*commands)
        ended = [city.stored(command) for command in commands]
        step = next_step(control, device=device, commands=ended, rules=SwitchRules(), now=city.clock.now())
        if isinstance(step, Ended):
            return step.control
        assert isinstance(step, Waiting)
        city.save(step.command)
        commands.append(step.command)


def moved(city: City, device: EndDevice) -> list[str]:
    """Return to which states a breaker was told to move."""
    return [state for serial, state in city.simulated.executed().elements() if serial == device.serial_id]


@pytest.mark.has(FEEDS_IN)
class TestReconnection:
    def test_of_a_closed_breaker_is_executed_as_it_stands(self, city: City) -> None:
        device = city.install(city.meter())

        control = reconnected(city, device)

        assert (control.status, control.reported_success) == (ControlStatus.EXECUTED, True)
        assert moved(city, device) == []

    @pytest.mark.parametrize(
        ("feeds_in", "status", "code"),
        [
            pytest.param(False, ControlStatus.EXECUTED, None, id="dead"),
            pytest.param(True, ControlStatus.FAILED, "LOAD_SIDE_VOLTAGE", id="somebody feeds in"),
        ],
    )
    def test_of_an_open_breaker_is_refused_where_somebody_feeds_in(
        self, city: City, feeds_in: bool, status: ControlStatus, code: str | None
    ) -> None:
        device = city.install(city.meter())
        assert city.settle(city.switch_of(device)) == [CommandStatus.DONE]
        if feeds_in:
            city.simulated.arm(FEEDS_IN)

        control = reconnected(city, device)

        assert (control.status, control.failure_code) == (status, code)
        assert moved(city, device) == ["disconnected"] + ["connected"] * (not feeds_in)
