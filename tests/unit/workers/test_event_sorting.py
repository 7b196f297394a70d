"""Alarms of head ends taken in and sorted, on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import event

from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice, EndDeviceStatus, SwitchState
from mdus.domain.end_device_event import EndDeviceEvent, EventReason, EventState, EventWindow
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.head_end import FieldAlarm
from mdus.settings import load_settings
from mdus.storage.session import Database
from mdus.workers.event_intake import take_alarms
from mdus.workers.event_sorting import EventSorter
from mdus.workers.told import Told
from tests.head_ends.field import DEVICE, NOON, SENDER, SERIAL, Field
from tests.head_ends.scripted import ScriptedHeadEnd

FAILED, BREAKER = "3.26.0.85", "3.31.0.68"
MINUTE = timedelta(minutes=1)


def sorter(field: Field, **settings: str) -> EventSorter:
    """Return a sorter that looks around in every turn; settings as MDUS_EVENTS__<NAME>."""
    environ = {f"MDUS_EVENTS__{name.upper()}": value for name, value in settings.items()}
    return EventSorter(database=field.database, settings=load_settings(environ), clock=field.clock, look_seconds=0)


def take(field: Field, *alarms: FieldAlarm, head_end: str = "city", delivery_id: int = 1) -> Any:
    """Take alarms in as those of one delivery that came just now."""
    told = Told(delivery_id=delivery_id, head_end=head_end, received_at=field.clock.now(), events=alarms)
    devices = {(device.head_end or "", device.serial_id): device for device in field.all(EndDevice)}
    with field.database.begin() as uow:
        return take_alarms(uow, [told], devices, now=field.clock.now())


def alarm(minute: float = 0, event_type: str = FAILED, **facts: Any) -> FieldAlarm:
    told: dict[str, Any] = {
        "serial_id": SERIAL,
        "event_type": event_type,
        "at": NOON + minute * MINUTE,
        "source_id": None,
        "text": None,
        **facts,
    }
    return FieldAlarm(**told)


def fates(field: Field) -> list[str]:
    return [f"{one.state}" if one.reason is None else f"{one.state}: {one.reason}" for one in field.all(EndDeviceEvent)]


def register(field: Field, device_id: str = DEVICE) -> None:
    field.save(EndDeviceStatus(sender_system=SENDER, device_id=device_id, registered_at=NOON))


class TestTakeAlarms:
    def test_stores_what_was_told(self, field: Field) -> None:
        field.device()

        taken = take(field, alarm(-5, text="down", properties=(("phase", "L2"),)))

        [stored] = field.all(EndDeviceEvent)
        assert (stored.sender_system, stored.device_id, stored.event_type) == (SENDER, DEVICE, FAILED)
        assert (stored.at, stored.told_at, stored.state) == (NOON - 5 * MINUTE, NOON, EventState.TOLD)
        assert (stored.source, stored.area, stored.text) == ("city", "city", "down")
        assert stored.properties == (("phase", "L2"),)
        assert len(stored.event_id) == 22
        assert taken.heard == {(SENDER, DEVICE): (NOON - 5 * MINUTE, NOON - 5 * MINUTE)}
        assert taken.unplaced == {}

    def test_stores_it_once_however_often_it_is_told(self, field: Field) -> None:
        field.device()
        take(field, alarm(source_id="e-1"))
        sorter(field).turn()
        take(field, alarm(source_id="e-2"), alarm(), delivery_id=2)

        assert [one.state for one in field.all(EndDeviceEvent)] == [EventState.HELD]

    def test_keeps_the_alarm_of_an_unknown_meter_out(self, field: Field) -> None:
        field.device()
        taken = take(field, alarm(serial_id="9"), alarm())

        assert taken.unplaced == {1: ["no device with serial number 9"]}
        assert len(field.all(EndDeviceEvent)) == 1

    def test_does_not_believe_a_meter_of_the_future(self, field: Field) -> None:
        field.device()
        taken = take(field, alarm(600))

        assert field.all(EndDeviceEvent)[0].at == NOON
        assert taken.heard == {(SENDER, DEVICE): (NOON, NOON)}

    def test_names_the_area_that_the_head_end_tells(self, field: Field) -> None:
        field.device()
        take(field, alarm(properties=(("concentrator", "DC-7"),)))
        assert field.all(EndDeviceEvent)[0].area == "DC-7"


class TestSort:
    def test_holds_events_until_their_device_is_registered(self, field: Field) -> None:
        field.device()
        take(field, alarm())
        worker = sorter(field)

        assert worker.turn() == 1
        assert fates(field) == ["held"]
        assert worker.turn() == 0

        register(field)
        assert worker.turn() == 1
        assert fates(field) == ["due"]

    def test_makes_events_of_registered_devices_due_at_once(self, field: Field) -> None:
        field.device()
        register(field)
        take(field, alarm())
        worker = EventSorter(database=field.database, settings=field.settings, clock=field.clock)
        worker.turn()
        take(field, alarm(-30))
        worker.turn()  # too soon for another look around
        assert fates(field) == ["due", "due"]

    def test_finds_repetitions_in_earlier_batches(self, field: Field) -> None:
        field.device()
        worker = sorter(field)
        for minute in (0, 14, 15):
            take(field, alarm(minute - 60))
            worker.turn()
        assert fates(field) == ["held", "suppressed: repeated", "held"]

    def test_gives_up_what_was_held_too_long(self, field: Field) -> None:
        field.device()
        take(field, alarm())
        worker = sorter(field, held_days="2")
        worker.turn()
        field.clock.advance(days=2, microseconds=-1)
        worker.turn()
        assert fates(field) == ["held"]
        field.clock.advance(microseconds=1)
        worker.turn()
        assert fates(field) == ["withheld: expired"]

    def test_withholds_what_was_due_and_is_in_the_table_no_more(self, field: Field) -> None:
        field.device()
        register(field)
        take(field, alarm())
        sorter(field).turn()
        settings = load_settings({"MDUS_EVENT_TYPES__POWER_FAILED__SEND": "false"})
        EventSorter(database=field.database, settings=settings, clock=field.clock).turn()
        assert fates(field) == ["withheld: unmapped"]

    def test_reads_the_breaker_back_and_believes_no_alarm(self, field: Field) -> None:
        field.device()
        field.save(EndDeviceStatus(sender_system=SENDER, device_id=DEVICE, switch_state=SwitchState.CONNECTED))
        take(field, alarm(event_type=BREAKER))

        sorter(field).turn()

        assert field.status_of().switch_state is SwitchState.CONNECTED
        [command] = field.all(Command)
        assert (command.kind, command.head_end) == (CommandKind.SWITCH_STATE, "city")


class TestStorm:
    def _power_fails(self, field: Field, numbers: range) -> None:
        for number in numbers:
            field.device(f"S{number}", f"{number:018d}")
        take(field, *(alarm(-1, serial_id=f"S{number}") for number in numbers))

    def _open_cases(self, field: Field) -> list[ExceptionCase]:
        return [case for case in field.all(ExceptionCase) if case.closed_at is None]

    def test_is_cut_off_told_once_and_shown_until_it_is_over(self, field: Field) -> None:
        worker = sorter(field, storm_limit="3")
        self._power_fails(field, range(5))
        worker.turn()
        self._power_fails(field, range(5, 8))
        while worker.turn():
            pass

        assert fates(field).count("suppressed: storm") == 5
        [summary] = [one for one in field.all(EndDeviceEvent) if one.event_type == "event_storm"]
        assert summary.state is EventState.DUE
        [case] = self._open_cases(field)
        assert (case.kind, case.case_key) == ("event_storm", f"{SENDER}/city/{FAILED}")
        assert case.note.startswith(f"5 events {FAILED} of city not sent to {SENDER} since 2026-03-27 11:00")

        field.clock.advance(hours=2)
        worker.turn()
        assert self._open_cases(field) == [case]
        field.clock.advance(microseconds=1)
        worker.turn()
        assert self._open_cases(field) == []

    def test_lets_the_next_window_through(self, field: Field) -> None:
        worker = sorter(field, storm_limit="1")
        self._power_fails(field, range(2))
        worker.turn()
        field.clock.advance(hours=1)
        self._power_fails(field, range(2, 3))
        worker.turn()
        power = [one for one in field.all(EndDeviceEvent) if one.event_type == FAILED]
        assert [one.reason for one in power] == [None, EventReason.STORM, None]
        assert [(one.passed, one.suppressed) for one in field.all(EventWindow)] == [(1, 1), (1, 0)]


class TestTwoSorters:
    def test_do_not_sort_at_once(self, postgresql_url: str, scripted: ScriptedHeadEnd) -> None:
        from mdus.storage import end_device_event as events

        first, second = Database(postgresql_url), Database(postgresql_url)
        with first.begin() as one, second.begin() as other:
            assert events.is_alone_in_sorting(one.connection)
            assert not events.is_alone_in_sorting(other.connection)
        with second.begin() as other:
            assert events.is_alone_in_sorting(other.connection)
        first.close()
        second.close()


class TestStatements:
    def test_are_as_many_for_a_hundred_events_as_for_two(self, field: Field) -> None:
        worker = sorter(field, storm_limit="20", repeat_minutes="5")
        for number in range(100):
            field.device(f"S{number}", f"{number:018d}")
            register(field, f"{number:018d}")
        counts = []
        for minute, count in ((0, 2), (60, 2), (120, 100)):
            field.clock.advance(hours=1)
            seen: list[str] = []

            def note(_c: object, _cursor: object, statement: str, *_: object, seen: list[str] = seen) -> None:
                seen.append(statement)

            # Each meter tells that power failed, once more, and of its breaker: all that can happen to an event does.
            alarms = [
                alarm(minute + late, event_type, serial_id=f"S{number}")
                for number in range(count)
                for late, event_type in ((0, FAILED), (1, FAILED), (2, BREAKER), (3, "3.1.1.1"))
            ]
            event.listen(field.database.engine, "before_cursor_execute", note)
            take(field, *alarms)
            worker.turn()
            event.remove(field.database.engine, "before_cursor_execute", note)
            counts.append(len(seen))
        assert {"due", "suppressed: repeated", "suppressed: storm", "withheld: unmapped"} <= set(fates(field))
        assert counts[2] - counts[1] <= 12  # the storm's own: its event, its window, its case
        assert counts[2] <= 40
