"""What must hold whatever goes wrong: each simulated head end with every fault it can have, all in one play.

Meters are read, switched and left alone for some days, while calls break off, results come twice, in parts, late, for
another meter or never. Then the simulated head end, which knows the truth, is asked.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select

from mdus.domain.capability import Capability
from mdus.domain.command import ENDED, Command, CommandKind, CommandStatus
from mdus.domain.end_device import EndDevice, SwitchState
from mdus.domain.end_device_control import ControlCategory, ControlStatus, EndDeviceControl
from mdus.domain.reading import MeterReading, ReadingOrigin
from mdus.domain.register import Register
from mdus.domain.unheard_time import UnheardTime
from mdus.storage.command import COMMAND
from mdus.storage.concentrator import concentrators_of
from mdus.storage.message import MESSAGE_EVENT
from mdus.workers import head_end_poll, registry_sync, unheard_time
from tests.head_ends.city import PATIENCE, City
from tests.head_ends.ledger import Intervals, Read, unlike
from tests.head_ends.test_every_kind import MIDNIGHT

#: Faults by which a register's value or its instant is told wrongly: what was stored of those meters is not compared.
_FALSIFY = {
    "duplicate_callback_other_value",
    "wrong_meter_in_callback",
    "meter_clock_drift",
    "meter_clock_jump",
    "stamp_of_1970",
    "stamp_of_2000",
}

#: Faults that make deliveries which belong nowhere; a kind may have more of its own (`Variant.strays`).
_STRAYS = {"callback_unknown_token", "callback_empty_correlation", "wrong_meter_in_callback"}

#: How many orders at once a concentrator bears.
_AT_CONCENTRATOR = 2

#: At most so many rounds until every fault has fired, and so long at least.
_ROUNDS = 40
_UNTIL = MIDNIGHT + timedelta(days=2)


class Play:
    """A few days of a city in which everything goes wrong once."""

    def __init__(self, city: City) -> None:
        self.city = city
        self.commands: list[Command] = []
        self.first_ends: dict[str, CommandStatus] = {}
        self.devices: list[EndDevice] = []
        self.controls: list[EndDeviceControl] = []  # not settled yet: the next disconnection waits for them

    def begin(self) -> None:
        """Make all meters known, however often that fails."""
        for meter in self.city.simulated.meters():
            self.devices.append(self.city.install(meter, provision=False, hear=False, channels=True))
        if self.city.takes(CommandKind.PROVISION):
            left = list(self.devices)
            while left:
                some = left[:_AT_CONCENTRATOR]  # nobody has told yet behind which concentrators they are
                tried = self.order(some, CommandKind.PROVISION)
                self.settle()
                failed = [device for device, command in zip(some, tried, strict=True) if not self.is_done(command)]
                left = [*left[len(some) :], *failed]
                self.city.clock.advance(minutes=1)  # who is closed for maintenance opens again
        self.city.simulated.hear(*(device.serial_id for device in self.devices))
        self.city.clock.advance(minutes=5)
        self.settle()
        # The first that is told may find its subscription lost: it is made again before anything else is told.
        self.city.real += 3600
        self.settle()
        if self.city.variant.fetches("meters"):  # it tells who is behind which concentrator
            now = self.city.clock.now()
            registry_sync.run(self.city.database, {"city": self.city.head_end}, now=now, day=now.date())

    def order(self, devices: Iterable[EndDevice], kind: CommandKind, **changes: Any) -> list[Command]:
        """Order one thing of several devices."""
        ordered = [self.city.order(device, kind, **changes) for device in devices]
        self.commands += ordered
        return ordered

    def switch(self, devices: Iterable[EndDevice], category: ControlCategory) -> list[Command]:
        """Order devices to be switched."""
        ordered = [
            self.city.switch(category, device_id=device.device_id, serial_id=device.serial_id) for device in devices
        ]
        self.controls += [control for control, _ in ordered]
        self.commands += [command for _, command in ordered]
        return [command for _, command in ordered]

    def is_done(self, command: Command) -> bool:
        return self.first_ends[command.command_key] is CommandStatus.DONE

    def settle(self) -> None:
        """Let all commands end, and all that is on its way arrive; time passes where nothing else helps."""
        idle = 0
        while idle < 8:
            moved = self.city.worker.turn() + self.city.watch.turn()
            self.city.readings.turn()
            self.city.real += 60  # rests after failures are over
            open_commands = self._note_ends()
            if moved or not self.city.simulated.is_quiet():
                idle = 0
            elif open_commands:
                self.city.clock.advance(minutes=5)
            else:
                idle += 1

    def _note_ends(self) -> bool:
        """Note how commands ended first, also those that the product has ordered; returns whether any is still open."""
        table = COMMAND.table
        with self.city.database.read() as uow:
            found = uow.connection.execute(select(table.c.command_key, table.c.status)).all()
        for row in found:
            if row.status in ENDED:
                self.first_ends.setdefault(row.command_key, row.status)
        return len(self.first_ends) < len(found)

    @property
    def switchable(self) -> list[EndDevice]:
        """The devices with a breaker."""
        serials = {meter["serial"] for meter in self.city.simulated.meters() if meter["has_breaker"]}
        return [device for device in self.devices if device.serial_id in serials]

    def verify(self, switches: Sequence[Command], devices: Sequence[EndDevice]) -> None:
        """Read the state back where a switch did not certainly succeed, as the order's service does."""
        left = [device for device, each in zip(devices, switches, strict=True) if not self.is_done(each)]
        while left:
            read = self.order(left, CommandKind.SWITCH_STATE)
            self.settle()
            left = [device for device, command in zip(left, read, strict=True) if not self.is_done(command)]
            self.city.clock.advance(minutes=5)  # maintenance ends, and a concentrator comes back
        now = self.city.clock.now()
        self.city.save(*(replace(each, status=ControlStatus.EXECUTED, processed_at=now) for each in self.controls))
        self.controls.clear()

    def go_on(self) -> bool:
        """Tell whether some fault has not fired yet."""
        return any(not hits for hits in self.city.simulated.fired().values())

    def play(self) -> None:
        """Read and switch, day after day, until every fault has fired."""
        self.begin()
        category = ControlCategory.DISCONNECT
        for number in range(_ROUNDS):
            if not self.go_on() and self.city.clock.now() >= _UNTIL:
                break
            for kind in (CommandKind.READ_ON_DEMAND, CommandKind.READ_REGISTERS, CommandKind.READ_INTERVALS):
                if self.city.takes(kind):
                    some = self.devices[number % 3 :: 3]
                    period = {} if kind is CommandKind.READ_ON_DEMAND else self._last_day()
                    self.order(some, kind, **period)
            for kind in (CommandKind.PING, CommandKind.SWITCH_STATE):
                if self.city.takes(kind):
                    self.order(self.switchable[number % 3 :: 3], kind)
            self.settle()
            if self.city.takes(CommandKind.SWITCH):
                switches = self.switch(self.switchable, category)
                self.settle()
                self.verify(switches, self.switchable)
                category = (
                    ControlCategory.RECONNECT if category is ControlCategory.DISCONNECT else ControlCategory.DISCONNECT
                )
            self.city.clock.advance(hours=11)
            self.settle()
            self._ask_for_what_was_unheard()
        self._catch_up()

    def _catch_up(self) -> None:
        """Let days pass until no meter is to be asked any more for what its head end told nobody."""
        self._look_for_subscriptions()
        while times := self.city.all(UnheardTime):
            self.city.clock.advance(seconds=max((times[0].look_at - self.city.clock.now()).total_seconds(), 0))
            self.settle()
            self._ask_for_what_was_unheard()
            self._look_for_subscriptions()

    def _ask_for_what_was_unheard(self) -> None:
        """Do what the job `head_end_poll` does."""
        zones = {"city": self.city.row.time_zone}
        unheard_time.run(self.city.database, zones, now=self.city.clock.now())
        self.settle()

    def _look_for_subscriptions(self) -> None:
        """Let the head end be asked again what it knows of us: a loss is found then, and not before."""
        self.city.real += timedelta(days=1).total_seconds()
        self.settle()

    def end(self) -> None:
        """Let what has begun to happen come to its end: storms pass, and concentrators that are away come back."""
        is_over = False
        while not is_over:
            self.city.clock.advance(hours=1)
            self.settle()
            is_over = all(each["online"] for each in self.city.simulated.concentrators().values())

    @property
    def serials(self) -> dict[str, str]:
        """The serial numbers of the meters, by device."""
        return {device.device_id: device.serial_id for device in self.devices}

    @property
    def read(self) -> list[Read]:
        """The periods of which interval values were read, also where the product has ordered it."""
        return [
            Read(serial=each.serial_id, period_from=each.period_from, period_to=each.period_to)
            for each in self.city.all(Command)
            if each.kind is CommandKind.READ_INTERVALS and each.succeeded and each.period_from and each.period_to
        ]

    def _last_day(self) -> dict[str, datetime]:
        now = self.city.clock.now()
        return {"period_from": now - timedelta(days=1), "period_to": now}


@pytest.fixture
def played(city: City) -> Play:
    play = Play(city)
    play.play()
    return play


@pytest.mark.run_with(faults="all=1", concentrators="3", concentrator_limit=str(_AT_CONCENTRATOR), tls="{folder}/tls")
@pytest.mark.timeout(600)
class TestUnderEveryFault:
    def test_every_promise_is_kept(self, played: Play) -> None:
        city = played.city
        fired = city.simulated.fired()
        assert [name for name, hits in fired.items() if not hits] == [], "these faults found no opportunity"

        self._each_command_has_ended_once(played)
        if city.takes(CommandKind.SWITCH):
            self._no_switch_was_given_twice(played)
            self._no_switch_is_done_that_was_not(played, denied=fired.get("relay_stuck_but_acknowledged", ()))
            self._breakers_are_known_as_they_stand(played)
        played.end()
        self._nothing_told_is_lost(played)
        if Capability.REMOTE_READING in city.kind.tells:
            self._no_reading_is_lost(played, spoilt=_serials(fired, _FALSIFY) | _to_come(fired, city.clock.now()))
        self._nothing_told_is_lost(played)  # nor changed, where all of it was fetched once more
        self._no_value_is_anothers(played, spoilt=_serials(fired, _FALSIFY))
        self._no_concentrator_had_too_much(played)
        assert city.deliveries().count("dead") <= _told(fired, _STRAYS | city.variant.strays)

    def _each_command_has_ended_once(self, played: Play) -> None:
        with played.city.database.read() as uow:
            table = COMMAND.table
            ends = select(table.c.command_key, func.count()).join(
                MESSAGE_EVENT, MESSAGE_EVENT.c.command_id == table.c.id
            )
            ends = ends.where(MESSAGE_EVENT.c.status.in_([status.value for status in ENDED])).group_by(
                table.c.command_key
            )
            counted = {row[0]: row[1] for row in uow.connection.execute(ends)}
        assert counted == dict.fromkeys(played.first_ends, 1)
        for command in played.commands:
            assert played.city.stored(command).status is played.first_ends[command.command_key]

    def _no_switch_was_given_twice(self, played: Play) -> None:
        ordered = Counter(each.serial_id for each in played.commands if each.kind is CommandKind.SWITCH)
        given = Counter(each["serial"] for each in played.city.simulated.commands(kind="switch"))
        assert given - ordered == Counter(), "a switch was given more often than it was ordered"
        for received, executed in played.city.simulated.switches():
            assert received <= 1
            assert executed <= 1

    def _no_switch_is_done_that_was_not(self, played: Play, *, denied: Sequence[dict[str, Any]]) -> None:
        """No order is done by what another meter did; `denied` are lies of the meter itself."""
        done: Counter[tuple[str, str]] = Counter()
        for command in played.commands:
            if command.kind is CommandKind.SWITCH and played.is_done(command):
                assert command.wanted_state is not None
                done[command.serial_id, command.wanted_state.value] += 1
        lies = Counter(hit["serial"] for hit in denied)
        too_many = done - played.city.simulated.executed()
        assert Counter(serial for serial, _ in too_many.elements()) - lies == Counter()

    def _breakers_are_known_as_they_stand(self, played: Play) -> None:
        read = played.order(played.switchable, CommandKind.SWITCH_STATE)
        played.settle()
        for device, command in zip(played.switchable, read, strict=True):
            assert played.is_done(command)
            true = SwitchState(played.city.simulated.breaker(device.serial_id))
            assert played.city.status(device).switch_state is true

    def _no_reading_is_lost(self, played: Play, *, spoilt: set[str]) -> None:
        city = played.city
        if city.variant.fetches("snapshots"):
            now = city.clock.now()
            head_end_poll.run(city.database, {"city": city.head_end}, now=now, since=now - timedelta(days=3))
            played.settle()
        told: dict[tuple[str, str, datetime], list[Decimal]] = {}
        for reading in city.all(MeterReading, origin=ReadingOrigin.SNAPSHOT):
            told.setdefault((reading.device_id, reading.reading_type, reading.measured_at), []).append(reading.value)
        registers: list[Register] = city.all(Register)
        counting = {meter["serial"]: {each["obis"] for each in meter["registers"]} for meter in city.simulated.meters()}
        serials = {device.device_id: device.serial_id for device in played.devices}
        missing, wrong = [], []
        for register in registers:
            serial = serials[register.device_id]
            if serial in spoilt or register.reading_type not in counting[serial]:
                continue
            # The night after the meters were heard for the first time, which is long collected by now.
            values = told.get((register.device_id, register.reading_type, MIDNIGHT), [])
            true = Decimal(city.simulated.true_value(serial, register.reading_type, MIDNIGHT))
            if not values:
                missing.append((serial, register.reading_type))
            elif values != [true]:
                wrong.append((serial, register.reading_type, values, true))
        assert missing == []
        assert wrong == []

    def _nothing_told_is_lost(self, played: Play) -> None:
        if Capability.LOAD_PROFILE in played.city.kind.tells:
            self._no_interval_is_lost(played)
        if Capability.EVENTS in played.city.kind.tells:
            self._no_event_is_lost(played)

    def _no_interval_is_lost(self, played: Play) -> None:
        """Each interval is kept once, as it was measured, as soon as it was told: none is lost, none another's."""
        ledger = Intervals(played.city, played.serials, played.read)
        assert ledger.told.keys() == set(played.serials.values()), "of these meters nothing was told"
        self._comes_to_nothing(played, ledger.complaints)

    def _no_event_is_lost(self, played: Play) -> None:
        """Each event is kept once, however often and in whatever order it was told."""
        assert played.city.simulated.events()
        self._comes_to_nothing(played, lambda: unlike(played.city, played.serials))

    def _comes_to_nothing(self, played: Play, complaints: Callable[[], list[Any]]) -> None:
        """Let all that is on its way arrive: of a broker nobody knows what lies there."""
        deadline = time.monotonic() + PATIENCE
        while (found := complaints()) and time.monotonic() < deadline:
            played.settle()
        assert found == []

    def _no_value_is_anothers(self, played: Play, *, spoilt: set[str]) -> None:
        """Whatever is kept of a meter is what it truly showed, also of one that a result was told of for another's."""
        city = played.city
        counting = {meter["serial"]: {each["obis"] for each in meter["registers"]} for meter in city.simulated.meters()}
        serials = {device.device_id: device.serial_id for device in played.devices}
        wrong = []
        for reading in city.all(MeterReading):
            serial, reading_type, at = serials[reading.device_id], reading.reading_type, reading.measured_at
            if serial in spoilt:
                continue
            true = None
            if reading_type in counting[serial]:
                true = Decimal(city.simulated.true_value(serial, reading_type, at))
            if reading.value != true:
                wrong.append((serial, reading_type, at, reading.value, true))
        assert wrong == []

    def _no_concentrator_had_too_much(self, played: Play) -> None:
        """Where the head end tells which meters are behind which: to any other only a limit for all can be kept."""
        city = played.city
        with city.database.read() as uow:
            behind = concentrators_of(uow.connection, "city", [device.serial_id for device in played.devices])
        assert bool(behind) is city.variant.tells_of_concentrators
        for name, each in city.simulated.concentrators().items():
            assert not behind or each["most_under_way"] <= each["limit"] == _AT_CONCENTRATOR, name


def _serials(fired: dict[str, list[dict[str, Any]]], names: set[str]) -> set[str]:
    """Return the meters that some faults have hit."""
    hits = [hit for name in names for hit in fired.get(name, ())]
    return {serial for hit in hits for serial in [hit.get("serial"), *hit.get("serials", ())] if serial}


def _to_come(fired: dict[str, list[dict[str, Any]]], now: datetime) -> set[str]:
    """Return the meters of which a day is told later than now."""
    late = fired.get("late_reads", ())
    return {hit["serial"] for hit in late if datetime.fromisoformat(hit["told_at"]) > now}


def _told(fired: dict[str, list[dict[str, Any]]], names: Iterable[str]) -> int:
    """Return how many tellings some faults have spoiled at most: some protocols tell each meter by itself."""
    return sum(len(hit.get("serials", ())) or 1 for name in names for hit in fired.get(name, ()))
