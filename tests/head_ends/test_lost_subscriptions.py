"""What meters told while their head end had lost our subscription is asked of them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from mdus.domain.channel import Channel
from mdus.domain.command import Command
from mdus.domain.end_device import EndDevice
from mdus.domain.reading import MeterReading
from mdus.domain.unheard_time import UnheardTime
from mdus.storage.interval_block import current_blocks
from mdus.workers import unheard_time
from tests.head_ends.city import City
from tests.head_ends.test_every_kind import MIDNIGHT

#: The second night: what is told after it is told to nobody.
LOST = MIDNIGHT + timedelta(days=1)
DAY = MIDNIGHT.date() + timedelta(days=1)


def installed(city: City) -> list[EndDevice]:
    """Install a few meters, which tell what they measure for a day, and look for the subscription."""
    devices = [city.install(meter, channels=True) for meter in city.simulated.meters()[:3]]
    a_day_passes(city)
    probe(city)
    return devices


def probe(city: City) -> None:
    city.real += timedelta(days=1).total_seconds()
    city.watch.turn()


def a_day_passes(city: City) -> None:
    """Let all meters tell what they measured until midnight."""
    city.clock.advance(days=1)
    all_is_taken_in(city)


def all_is_taken_in(city: City) -> None:
    city.until(city.simulated.is_quiet, what="silence")
    city.until(lambda: "ready" not in city.deliveries(), what="taking it in")


def known(city: City, device: EndDevice) -> list[list[Decimal | None]]:
    """Return what is here of the day and the midnight after it: what the registers show, and what each channel has."""
    readings = city.all(MeterReading, device_id=device.device_id, measured_at=LOST)
    channels = city.all(Channel, device_id=device.device_id)
    with city.database.read() as uow:
        blocks = current_blocks(uow.connection, [(channel, DAY) for channel in channels])
    days = [blocks.get((channel, DAY)) for channel in channels]
    return [
        [reading.value for reading in sorted(readings, key=lambda each: each.reading_type)],
        *([] if day is None else list(day.quantities()) for day in days),
    ]


def true(city: City, device: EndDevice) -> list[list[Decimal]]:
    """Return the same as it truly was."""
    (meter,) = (each for each in city.simulated.meters() if each["serial"] == device.serial_id)
    names = sorted(each["obis"] for each in meter["registers"])
    channels = [each.reading_type for each in city.all(Channel, device_id=device.device_id)]
    assert channels
    return [
        [Decimal(city.simulated.true_value(device.serial_id, name, LOST)) for name in names],
        *(list(map(Decimal, city.simulated.true_intervals(device.serial_id, name, DAY))) for name in channels),
    ]


def job_runs(city: City) -> set[str]:
    """Let the job run when it is time; returns the serial numbers of the meters that it has asked by now."""
    city.clock.advance(hours=6)
    unheard_time.run(city.database, {"city": city.row.time_zone}, now=city.clock.now())
    asked = [each for each in city.all(Command) if "unheard" in each.purpose]
    city.settle(*asked)
    all_is_taken_in(city)
    return {command.serial_id for command in asked}


@pytest.mark.has("subscription_lost")
class TestValues:
    def test_that_were_told_while_the_subscription_was_lost_are_asked_for(self, city: City) -> None:
        devices = installed(city)
        city.simulated.arm("subscription_lost")
        city.simulated.snapshot(city.clock.now())  # by this it is lost
        city.until(lambda: city.simulated.fired()["subscription_lost"], what="the loss")
        a_day_passes(city)
        assert all(not known(city, device)[0] for device in devices)

        probe(city)

        assert job_runs(city) == {device.serial_id for device in devices}
        for device in devices:
            assert known(city, device) == true(city, device)
        count = len(city.all(Command))
        job_runs(city)
        assert (len(city.all(Command)), city.all(UnheardTime)) == (count, [])

    def test_that_were_heard_are_asked_of_nobody(self, city: City) -> None:
        devices = installed(city)
        a_day_passes(city)
        for device in devices:
            assert known(city, device) == true(city, device)

        probe(city)

        assert job_runs(city) == set()
