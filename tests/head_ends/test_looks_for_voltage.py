"""A look for the voltage behind a breaker is never taken for what became of the breaker."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mdus.domain.command import CommandStatus
from mdus.domain.end_device import EndDevice, SwitchState
from mdus.domain.end_device_control import ControlCategory, ControlStatus, EndDeviceControl
from mdus.domain.exception_case import ExceptionCase
from tests.head_ends.city import City


def disconnected(city: City) -> EndDevice:
    """Return a device whose breaker was opened an hour ago."""
    device = city.install(city.meter())
    assert city.settle(city.switch_of(device)) == [CommandStatus.DONE]
    (control,) = city.all(EndDeviceControl)
    city.save(replace(control, status=ControlStatus.EXECUTED, processed_at=city.clock.now()))
    city.clock.advance(hours=1)
    return device


@pytest.mark.has("detection_told_to_subscribers")
class TestALookForVoltage:
    @pytest.mark.parametrize("told", [False, True], ids=["told to nobody", "told to subscribers"])
    def test_that_succeeds_closes_no_breaker_whose_reconnection_was_lost(self, city: City, told: bool) -> None:
        device = disconnected(city)
        if told:
            city.simulated.arm("detection_told_to_subscribers")
        city.simulated.arm("never_answers")

        reconnection = city.switch_of(device, category=ControlCategory.RECONNECT)
        assert city.settle(reconnection) == [CommandStatus.UNCERTAIN]
        city.until(lambda: city.simulated.is_quiet() and "ready" not in city.deliveries(), what="all that is told")

        assert len(city.simulated.fired().get("detection_told_to_subscribers", ())) == told
        assert city.stored(reconnection).status is CommandStatus.UNCERTAIN
        assert city.status(device).switch_state is SwitchState.DISCONNECTED
        assert city.simulated.breaker(device.serial_id) == "disconnected"
        assert city.all(ExceptionCase) == []

    def test_that_is_told_to_subscribers_does_not_hinder_the_reconnection(self, city: City) -> None:
        device = disconnected(city)
        city.simulated.arm("detection_told_to_subscribers")

        reconnection = city.switch_of(device, category=ControlCategory.RECONNECT)
        assert city.settle(reconnection) == [CommandStatus.DONE]
        city.until(lambda: city.simulated.is_quiet() and "ready" not in city.deliveries(), what="all that is told")

        assert len(city.simulated.fired()["detection_told_to_subscribers"]) == 1
        assert city.status(device).switch_state is SwitchState.CONNECTED
        assert city.simulated.breaker(device.serial_id) == "connected"
