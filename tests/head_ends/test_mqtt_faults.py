"""What concentrators do that no head end above them evens out: they vanish with what they were told, and flood."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.end_device import EndDevice
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.head_end import CommandResult, FieldAlarm
from mdus.storage.outstanding import outstanding_by_concentrator
from tests.head_ends.city import City
from tests.head_ends.mqtt_sites import until
from tests.head_ends.test_every_kind import MIDNIGHT, settled

pytestmark = pytest.mark.has("birth_lost")  # this kind, in both versions of MQTT

_AWAY = "DC-001"
_LIMIT = 3


def install_all(city: City) -> list[EndDevice]:
    """Make all meters known on both sides, and let them be heard."""
    devices = [city.install(meter, provision=False, hear=False) for meter in city.simulated.meters()]
    provisions = [city.order(device, CommandKind.PROVISION) for device in devices]
    assert set(city.settle(*provisions)) == {CommandStatus.DONE}
    city.simulated.hear(*(device.serial_id for device in devices))
    city.until(city.simulated.is_quiet, what="the first communication")
    settled(city)
    return devices


def turn(city: City) -> int:
    """Let everything turn that there is to do just now; returns how much that was."""
    done = 0
    while moved := city.worker.turn() + city.watch.turn() + city.readings.turn():
        done += moved
    return done


def received(city: City) -> set[str]:
    """Return of which topics the messages are that are received, and neither stored nor acknowledged."""
    return {each.topic for arrival in city.head_end.arrivals() for each in arrival.deliveries}


def begin_anew(city: City) -> None:
    """Let the process that listens end where it is, and another begin."""
    city.watch.close()
    city.head_end.close()
    city.head_end = city.kind.connect(city.settings, city.row)
    city.watch = city.new_watch()


@pytest.mark.run_with(concentrators="1", concentrator_limit=str(_LIMIT), latency="60")
class TestConcentratorThatWasAway:
    def most_outstanding(self, city: City, commands: list[Command]) -> int:
        """Let commands end one way or another; returns how many the concentrator had at most before it answered."""
        most = 0

        def have_ended() -> bool:
            nonlocal most
            moved = city.worker.turn()
            with city.database.read() as uow:
                most = max(most, *outstanding_by_concentrator(uow.connection, "city").values(), 0)
            if not moved and city.simulated.is_quiet():
                city.clock.advance(seconds=60)  # the meters answer
            return all(city.stored(command).has_ended for command in commands)

        city.until(have_ended, what="the end of the commands")
        assert {city.stored(command).status for command in commands} == {CommandStatus.DONE}
        return most

    def test_gets_the_meters_it_has_found_meanwhile_a_few_at_a_time(self, city: City) -> None:
        city.simulated.take_offline(_AWAY)
        devices = [city.install(meter, provision=False, hear=False) for meter in city.simulated.meters()]
        provisions = [city.order(device, CommandKind.PROVISION) for device in devices]
        turn(city)
        assert {city.stored(each).status for each in provisions} == {CommandStatus.READY}

        city.simulated.take_offline(_AWAY, is_online=True)

        assert self.most_outstanding(city, provisions) == _LIMIT
        assert len(city.simulated.commands(kind="provision")) == len(devices)

    def test_is_asked_for_what_it_missed_a_few_at_a_time(self, city: City) -> None:
        devices = install_all(city)
        city.simulated.take_offline(_AWAY)
        turn(city)
        reads = [city.order(device, CommandKind.READ_ON_DEMAND) for device in devices]
        turn(city)
        assert city.simulated.commands(kind="read_on_demand") == []

        city.simulated.take_offline(_AWAY, is_online=True)

        assert self.most_outstanding(city, reads) == _LIMIT
        assert city.simulated.concentrators()[_AWAY]["most_under_way"] == _LIMIT


@pytest.mark.run_with(concentrators="1")
class TestDisconnectionThatWaitsAtTheBroker:
    """MDUS does not know yet that the concentrator is away: the broker keeps what it is told for it."""

    def wait(self, city: City, **delta: float) -> tuple[str, Command]:
        """Give a disconnection away, and let so much time pass until the concentrator is back."""
        device = city.install(city.meter())
        city.simulated.take_offline(_AWAY)
        switch = city.switch_of(device)
        city.worker.turn()
        assert city.stored(switch).status is CommandStatus.ACCEPTED
        city.clock.advance(**delta)
        city.simulated.take_offline(_AWAY, is_online=True)
        return device.serial_id, switch

    def test_is_carried_out_where_it_has_not_expired(self, city: City) -> None:
        serial, switch = self.wait(city, minutes=59)

        assert city.settle(switch) == [CommandStatus.DONE]
        assert city.simulated.breaker(serial) == "disconnected"
        assert city.simulated.switches() == [(1, 1)]

    def test_is_not_carried_out_after_its_expiry(self, city: City) -> None:
        serial, switch = self.wait(city, minutes=61)

        assert city.settle(switch) == [CommandStatus.TIMED_OUT]
        city.until(lambda: [each.code for each in city.told(CommandResult)][-1:] == ["EXPIRED"], what="its answer")
        settled(city)
        assert city.stored(switch).status is CommandStatus.TIMED_OUT
        assert city.simulated.breaker(serial) == "connected"


@pytest.mark.run_with(concentrators="2", meters="100")
class TestFlood:
    def begin(self, city: City) -> None:
        """Let the flood begin: some of it is on its way."""
        install_all(city)
        city.simulated.arm("event_flood")
        city.clock.advance(seconds=(MIDNIGHT - city.clock.now()).total_seconds() + 60)
        city.until(lambda: city.simulated.fired()["event_flood"] and city.simulated.is_quiet(), what="the flood")
        turn(city)
        city.clock.advance(minutes=1)

    def all_was_told(self, city: City) -> None:
        """Let the flood end, and see that nothing of it was lost and nothing told twice."""
        city.clock.advance(minutes=20)
        until(lambda: not turn(city) and city.simulated.is_quiet(), "the end of the flood")
        settled(city)

        [hit] = city.simulated.fired()["event_flood"]
        told = city.told(FieldAlarm)
        assert len(told) == len({each.source_id for each in told}) == hit["events"]
        assert len(city.all(EndDeviceEvent)) == hit["events"]
        assert hit["events"] > 3000
        assert timedelta(seconds=50) < max(each.at for each in told[: hit["events"] // 2]) - MIDNIGHT

    def test_loses_no_event(self, city: City) -> None:
        self.begin(city)
        self.all_was_told(city)

    @pytest.mark.only("mqtt-5")  # the broker of the other does not tell again what was not acknowledged
    def test_loses_no_event_though_who_listens_dies_in_it(self, city: City) -> None:
        self.begin(city)
        until(lambda: "evt" in received(city), "some of it")
        begin_anew(city)
        self.all_was_told(city)
