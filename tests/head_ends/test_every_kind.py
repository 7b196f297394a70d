"""What every kind of head end must do for MDUS, whatever it speaks: one suite, all kinds, both databases.

Commands are accepted, rejected, answered by push or when asked; results come twice, late, before the acknowledgement or
never; calls break off in the middle. The simulated head end judges what was really done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from mdus.domain.capability import Capability
from mdus.domain.channel import Channel
from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.end_device import EndDevice, SwitchState
from mdus.domain.end_device_control import ControlCategory, ControlStatus, EndDeviceControl
from mdus.domain.end_device_event import EndDeviceEvent, LateFailure
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.head_end import CommandResult, FieldAlarm, FieldEvent, FieldIntervals
from mdus.domain.reading import MeterReading, ReadingOrigin
from mdus.storage.interval_block import current_blocks
from mdus.workers import head_end_poll, registry_sync
from tests.head_ends.city import City
from tests.head_ends.field import NOON

MIDNIGHT = datetime.fromisoformat("2026-03-27T23:00:00Z")  # in Berlin, after the Friday on which tests begin


def with_channel(city: City) -> tuple[EndDevice, str]:
    """Install a meter that delivers quarters of an hour; returns it and the reading type of its import."""
    meter = next(each for each in city.simulated.meters() if each["channels"][0].get("interval_minutes") == 15)
    return city.install(meter, channels=True), meter["channels"][0]["obis"]


def intervals(city: City, device: EndDevice, reading_type: str) -> dict[datetime, Decimal | None]:
    """Return what was told last of each interval, by its start."""
    blocks = [block for block in city.told(FieldIntervals) if block.serial_id == device.serial_id]
    return by_instant(blocks, reading_type)


def by_instant(blocks: Iterable[FieldEvent], reading_type: str) -> dict[datetime, Decimal | None]:
    return {
        block.start_at + number * timedelta(minutes=block.interval_minutes): value
        for block in blocks
        if isinstance(block, FieldIntervals) and block.reading_type == reading_type
        for number, value in enumerate(block.values)
    }


def settled(city: City) -> None:
    """Wait until all that was delivered has found its place."""
    city.until(lambda: set(city.deliveries()) == {"done"}, what="a place for all deliveries")


@pytest.mark.takes(CommandKind.PROVISION)
class TestProvisioning:
    def test_makes_a_meter_known_and_it_is_heard(self, city: City) -> None:
        device = city.install(city.meter(), hear=False)
        status = city.status(device)
        assert status.provisioned_at == city.clock.now()
        assert status.first_heard_at is None

        city.simulated.hear(device.serial_id)
        city.until(lambda: city.status(device).first_heard_at is not None, what="the first communication")

    @pytest.mark.fetches("meters")
    def test_is_found_in_order_by_the_comparison_of_registries(self, city: City) -> None:
        city.install(city.meter())
        now = city.clock.now()

        outcome = registry_sync.run(city.database, {"city": city.head_end}, now=now, day=now.date())

        nothing = "0 missing, 0 unknown, 0 left behind, 0 failed to provision"
        assert outcome == f"city: 1 devices compared, 0 to be provisioned, {nothing}"


@pytest.mark.takes(CommandKind.SWITCH_STATE)
class TestRejections:
    def test_fail_with_the_head_ends_reason(self, city: City) -> None:
        without = city.install(city.meter(breaker=False))
        no_breaker = city.order(without, CommandKind.SWITCH_STATE)

        assert city.settle(no_breaker) == [CommandStatus.FAILED]
        assert city.stored(no_breaker).result_code == "NO_BREAKER"
        assert city.status(without).has_breaker is False

    def test_fail_where_the_meter_is_not_known(self, city: City) -> None:
        stranger = city.device("9999999999", "999")
        command = city.order(stranger, CommandKind.SWITCH_STATE)
        if city.kind.needs_concentrator:
            city.clock.advance(hours=2)  # it may yet be found behind one

        assert city.settle(command) == [CommandStatus.FAILED]
        assert city.stored(command).result_code == ("EXPIRED" if city.kind.needs_concentrator else "UNKNOWN_METER")


class TestWhatItCannotDo:
    def test_is_refused_and_never_leaves(self, city: City) -> None:
        device = city.install(city.meter(), hear=False)
        lacking = [kind for kind in CommandKind if not city.takes(kind)]
        before = len(city.simulated.commands())
        commands = [city.order(device, kind) for kind in lacking]

        assert city.settle(*commands) == [CommandStatus.FAILED] * len(commands)
        assert len(city.simulated.commands()) == before


class TestReading:
    @pytest.mark.takes(CommandKind.READ_ON_DEMAND)
    def test_on_demand_gives_what_the_registers_show_now(self, city: City) -> None:
        device = city.install(city.meter())
        city.clock.advance(hours=5)
        command = city.order(device, CommandKind.READ_ON_DEMAND)

        assert city.settle(command) == [CommandStatus.DONE]

        readings = city.all(MeterReading, origin=ReadingOrigin.ON_DEMAND)
        assert readings
        for reading in readings:
            shown = city.simulated.true_value(device.serial_id, reading.reading_type, city.clock.now())
            assert (reading.value, reading.measured_at) == (Decimal(shown), city.clock.now())

    @pytest.mark.tells(Capability.REMOTE_READING)
    def test_takes_daily_snapshots_that_are_pushed(self, city: City) -> None:
        device = city.install(city.meter())
        city.clock.advance(days=1)
        city.simulated.snapshot(MIDNIGHT)

        city.until(lambda: city.all(MeterReading), what="a pushed snapshot")

        for reading in city.all(MeterReading, origin=ReadingOrigin.SNAPSHOT):
            shown = city.simulated.true_value(device.serial_id, reading.reading_type, MIDNIGHT)
            assert (reading.value, reading.measured_at) == (Decimal(shown), MIDNIGHT)

    @pytest.mark.takes(CommandKind.READ_REGISTERS)
    def test_fetches_snapshots_by_period(self, city: City) -> None:
        device = city.install(city.meter())
        city.clock.advance(days=2)
        command = city.order(
            device, CommandKind.READ_REGISTERS, period_from=MIDNIGHT, period_to=MIDNIGHT + timedelta(hours=1)
        )

        assert city.settle(command) == [CommandStatus.DONE]

        assert {reading.measured_at for reading in city.all(MeterReading)} >= {MIDNIGHT}

    @pytest.mark.fetches("snapshots")
    def test_fetches_what_was_never_pushed(self, city: City) -> None:
        device = city.install(city.meter())
        city.clock.advance(days=1)

        def polled() -> list[MeterReading]:
            now = city.clock.now()
            head_end_poll.run(city.database, {"city": city.head_end}, now=now, since=now)
            return city.all(MeterReading, device_id=device.device_id, measured_at=MIDNIGHT)

        city.until(polled, what="a fetched snapshot")

    @pytest.mark.takes(CommandKind.READ_ON_DEMAND)
    def test_fails_when_the_meter_does_not_answer(self, city: City) -> None:
        device = city.install(city.meter())
        city.simulated.script(device.serial_id, "read_on_demand", "NO_RESPONSE")
        command = city.order(device, CommandKind.READ_ON_DEMAND)

        assert city.settle(command) == [CommandStatus.FAILED]
        assert city.stored(command).result_code == "NO_RESPONSE"

    @pytest.mark.takes(CommandKind.READ_ON_DEMAND)
    @pytest.mark.has("never_answers")
    def test_is_repeated_when_the_call_breaks_off(self, city: City) -> None:
        device = city.install(city.meter())
        city.simulated.arm("never_answers")
        command = city.order(device, CommandKind.READ_ON_DEMAND)

        assert city.settle(command) == [CommandStatus.DONE]

    @pytest.mark.takes(CommandKind.READ_ON_DEMAND)
    @pytest.mark.has("wrong_meter_in_callback")
    def test_takes_no_value_of_another_meter(self, city: City) -> None:
        devices = [city.install(meter) for meter in city.simulated.meters()[:3]]  # neighbours: told of for each other
        city.clock.advance(hours=5)
        city.simulated.arm("wrong_meter_in_callback")
        commands = [city.order(device, CommandKind.READ_ON_DEMAND) for device in devices]
        city.until(lambda: _done(city, commands), what="the results that are right")
        city.until(lambda: city.simulated.is_quiet() and "ready" not in city.deliveries(), what="all results")

        assert city.simulated.fired()["wrong_meter_in_callback"]
        serials = {device.device_id: device.serial_id for device in devices}
        readings = city.all(MeterReading, origin=ReadingOrigin.ON_DEMAND)
        assert readings
        for reading in readings:
            shown = city.simulated.true_value(serials[reading.device_id], reading.reading_type, reading.measured_at)
            assert reading.value == Decimal(shown)


@pytest.mark.tells(Capability.LOAD_PROFILE)
class TestIntervals:
    def test_are_told_by_itself_as_measured(self, city: City) -> None:
        device, channel = with_channel(city)
        city.clock.advance(days=1, minutes=16)

        city.until(lambda: len(intervals(city, device, channel)) >= 13 * 4, what="a day of interval values")

        told = intervals(city, device, channel)
        true = city.simulated.true_intervals(device.serial_id, channel, NOON.date())
        assert [told[at] for at in sorted(told) if at < MIDNIGHT] == [Decimal(value) for value in true[12 * 4 :]]
        settled(city)

    def test_are_kept_as_the_day_of_their_channel(self, city: City) -> None:
        device, reading_type = with_channel(city)
        city.simulated.spoil(device.serial_id, "lost", NOON, NOON + timedelta(minutes=15))
        city.clock.advance(days=1, minutes=16)
        city.until(lambda: MIDNIGHT in intervals(city, device, reading_type), what="a day of interval values")
        settled(city)

        (channel,) = city.all(Channel, device_id=device.device_id, reading_type=reading_type)
        with city.database.read() as uow:
            block = current_blocks(uow.connection, {(channel, NOON.date())})[channel, NOON.date()]

        true = city.simulated.true_intervals(device.serial_id, reading_type, NOON.date())
        assert block.quantities() == [None] * (12 * 4 + 1) + [Decimal(value) for value in true[12 * 4 + 1 :]]

    def test_are_told_on_the_day_of_23_hours(self, city: City) -> None:
        device, channel = with_channel(city)
        city.clock.advance(days=3)
        begin, end = MIDNIGHT + timedelta(days=1), MIDNIGHT + timedelta(days=1, hours=23)

        def of_sunday() -> list[datetime]:
            return sorted(at for at in intervals(city, device, channel) if begin <= at < end)

        city.until(lambda: len(of_sunday()) >= 92, what="the day on which summer time begins")

        assert of_sunday() == [begin + number * timedelta(minutes=15) for number in range(92)]
        settled(city)

    @pytest.mark.takes(CommandKind.READ_INTERVALS)
    def test_are_read_again_from_the_meter_where_they_lack(self, city: City) -> None:
        device, channel = with_channel(city)
        gap = (NOON + timedelta(hours=1), NOON + timedelta(hours=2))
        city.simulated.spoil(device.serial_id, "gap", *gap)
        city.clock.advance(days=1, minutes=16)
        city.until(lambda: gap[0] in intervals(city, device, channel), what="interval values with a gap")
        assert intervals(city, device, channel)[gap[0]] is None

        command = city.order(device, CommandKind.READ_INTERVALS, period_from=gap[0], period_to=gap[1])

        assert city.settle(command) == [CommandStatus.DONE]
        # Whoever does not return our reference names the meter.
        results = [each for each in city.told(CommandResult) if each.serial_id == device.serial_id and each.intervals]
        (block,) = [each for each in results[-1].intervals if each.reading_type == channel]
        true = city.simulated.true_intervals(device.serial_id, channel, NOON.date())[13 * 4 : 14 * 4]
        assert (block.start_at, list(block.values)) == (gap[0], [Decimal(value) for value in true])
        settled(city)

    @pytest.mark.takes(CommandKind.READ_INTERVALS)
    def test_fail_to_be_read_where_the_meter_has_none(self, city: City) -> None:
        device, _ = with_channel(city)
        future = {"period_from": NOON + timedelta(days=1), "period_to": NOON + timedelta(days=2)}
        command = city.order(device, CommandKind.READ_INTERVALS, **future)

        assert city.settle(command) == [CommandStatus.FAILED]
        assert city.stored(command).result_code == "NO_DATA"

    @pytest.mark.fetches("intervals")
    def test_are_fetched_where_they_were_never_pushed(self, city: City) -> None:
        device, channel = with_channel(city)
        city.clock.advance(days=1, minutes=16)
        city.until(lambda: len(intervals(city, device, channel)) >= 13 * 4, what="a day of interval values")

        pages = city.head_end.intervals(period_from=NOON, period_to=MIDNIGHT)

        fetched = [event for page in pages for event in city.decode(page)]
        assert by_instant(fetched, channel) == {
            at: value for at, value in intervals(city, device, channel).items() if at < MIDNIGHT
        }

    def test_are_told_again_when_revised(self, city: City) -> None:
        device, channel = with_channel(city)
        at = NOON + timedelta(hours=1)
        city.simulated.spoil(device.serial_id, "revised", at, at + timedelta(minutes=15))
        city.clock.advance(hours=4)
        city.until(lambda: at in intervals(city, device, channel), what="an estimated value")
        estimate = intervals(city, device, channel)[at]

        city.clock.advance(days=1)
        city.until(lambda: intervals(city, device, channel)[at] != estimate, what="the revised value")

        true = city.simulated.true_intervals(device.serial_id, channel, NOON.date())[13 * 4]
        assert intervals(city, device, channel)[at] == Decimal(true)
        settled(city)


@pytest.mark.tells(Capability.EVENTS)
class TestEvents:
    def test_are_told_with_code_and_instant(self, city: City) -> None:
        device = city.install(city.meter())
        city.simulated.raise_event(device.serial_id, "3.26.0.85")

        city.until(lambda: city.told(FieldAlarm), what="an event")

        (alarm,) = city.told(FieldAlarm)
        assert (alarm.serial_id, alarm.event_type, alarm.at) == (device.serial_id, "3.26.0.85", city.clock.now())
        settled(city)

    @pytest.mark.takes(CommandKind.SWITCH)
    def test_tell_of_the_breaker_that_was_operated(self, city: City) -> None:
        device = city.install(city.meter())
        assert city.settle(city.switch_of(device)) == [CommandStatus.DONE]

        city.until(lambda: city.told(FieldAlarm), what="the event of the breaker")

        assert {alarm.event_type for alarm in city.told(FieldAlarm)} == {"3.31.0.68"}

    def test_come_in_a_storm(self, city: City) -> None:
        for meter in city.simulated.meters()[:4]:
            city.install(meter)
        begin = city.clock.now()
        city.simulated.storm(4)
        city.clock.advance(minutes=20)
        city.until(lambda: len(city.told(FieldAlarm)) == 8, what="the storm")

        lost = [alarm for alarm in city.told(FieldAlarm) if alarm.event_type == "3.26.0.85"]
        assert len({alarm.serial_id for alarm in lost}) == 4
        settled(city)
        if city.variant.fetches("events"):
            pages = city.head_end.events(period_from=begin, period_to=begin + timedelta(minutes=1))
            fetched = [event for page in pages for event in city.decode(page)]
            assert sorted(fetched, key=str) == sorted(lost, key=str)


@pytest.mark.tells(Capability.EVENTS)
@pytest.mark.has("subscription_lost")
class TestSubscriptions:
    def test_that_are_lost_are_made_again_within_the_hour(self, city: City) -> None:
        device = city.install(city.meter())
        city.simulated.arm("subscription_lost")
        city.simulated.raise_event(device.serial_id, "3.26.0.85")
        city.until(city.simulated.is_quiet, what="an event that goes nowhere")
        city.real += 3600
        city.watch.turn()

        city.simulated.raise_event(device.serial_id, "3.26.0.216")

        city.until(lambda: city.told(FieldAlarm), what="an event")
        assert [alarm.event_type for alarm in city.told(FieldAlarm)] == ["3.26.0.216"]


@pytest.mark.takes(CommandKind.SWITCH)
class TestSwitching:
    def test_moves_the_breaker_and_reads_it_back(self, city: City) -> None:
        device = city.install(city.meter())
        switch = city.switch_of(device)
        assert city.settle(switch) == [CommandStatus.DONE]

        state = city.order(device, CommandKind.SWITCH_STATE)

        assert city.settle(state) == [CommandStatus.DONE]
        assert city.stored(switch).acted_at == city.clock.now()
        assert city.stored(state).result_state is SwitchState.DISCONNECTED
        assert city.simulated.breaker(device.serial_id) == "disconnected"
        assert city.status(device).switch_state is SwitchState.DISCONNECTED

    def test_believes_a_position_that_is_read_however_long_the_breaker_stood_in_it(self, city: City) -> None:
        device = city.install(city.meter())
        assert city.settle(city.switch_of(device)) == [CommandStatus.DONE]
        (control,) = city.all(EndDeviceControl)
        city.save(replace(control, status=ControlStatus.EXECUTED, processed_at=city.clock.now()))
        city.clock.advance(hours=1)
        city.simulated.script(device.serial_id, "switch", "lies")
        assert city.settle(city.switch_of(device, category=ControlCategory.RECONNECT)) == [CommandStatus.DONE]
        assert city.status(device).switch_state is SwitchState.CONNECTED
        city.clock.advance(hours=1)

        assert city.settle(city.order(device, CommandKind.SWITCH_STATE)) == [CommandStatus.DONE]

        assert city.simulated.breaker(device.serial_id) == "disconnected"
        assert city.status(device).switch_state is SwitchState.DISCONNECTED

    @pytest.mark.has("stuck_relay")
    def test_tells_of_a_stuck_relay(self, city: City) -> None:
        device = city.install(city.meter())
        city.simulated.arm("stuck_relay")
        switch = city.switch_of(device)

        assert city.settle(switch) == [CommandStatus.FAILED]
        assert city.stored(switch).result_code == "RELAY_STUCK"
        assert city.status(device).switch_state is SwitchState.CONNECTED

    def test_is_uncertain_when_the_meter_does_not_answer(self, city: City) -> None:
        device = city.install(city.meter())
        city.simulated.script(device.serial_id, "switch", "acts_then_no_response")
        switch = city.switch_of(device)

        assert city.settle(switch) == [CommandStatus.UNCERTAIN]

    @pytest.mark.each_fault(
        pytest.param("ambiguous_submit", CommandStatus.DONE, 1, id="carried out, answer lost"),
        pytest.param("never_answers", CommandStatus.UNCERTAIN, 0, id="not carried out, no answer"),
        pytest.param("callback_before_acknowledgement", CommandStatus.DONE, 1, id="result first"),
        pytest.param("duplicate_callback", CommandStatus.DONE, 1, id="result twice"),
        pytest.param("overloaded", CommandStatus.DONE, 1, id="refused once"),
        pytest.param("max_pending", CommandStatus.DONE, 1, id="too much pending"),
        pytest.param("login_refused_once", CommandStatus.DONE, 1, id="login refused"),
        names=("fault", "status", "executed"),
    )
    def test_is_executed_once_at_most(self, city: City, fault: str, status: CommandStatus, executed: int) -> None:
        device = city.install(city.meter())
        city.simulated.arm(fault)
        switch = city.switch_of(device)

        city.until(lambda: _turned(city, switch), what="the end of the switch")

        if fault == "ambiguous_submit" and not city.variant.fetches("find"):
            # Who cannot be asked about a call whose answer was lost leaves it open until the position is read.
            status = CommandStatus.UNCERTAIN
        assert city.stored(switch).status is status
        assert [done for _, done in city.simulated.switches()] == [executed] * len(city.simulated.switches())
        assert city.simulated.breaker(device.serial_id) == ("disconnected" if executed else "connected")
        assert city.all(ExceptionCase) == []

    @pytest.mark.has("accepts_then_silence")
    def test_times_out_when_the_result_never_comes(self, city: City) -> None:
        device = city.install(city.meter())
        city.simulated.arm("accepts_then_silence")
        switch = city.switch_of(device)
        city.until(lambda: city.stored(switch).status is CommandStatus.ACCEPTED, what="the acceptance")

        city.clock.advance(hours=1)

        assert city.settle(switch) == [CommandStatus.TIMED_OUT]

    @pytest.mark.has("late_result")
    def test_is_told_late_that_it_was_executed_after_all(self, city: City) -> None:
        device = city.install(city.meter())
        city.simulated.arm("late_result")
        switch = city.switch_of(device)
        city.until(lambda: city.stored(switch).status is CommandStatus.ACCEPTED, what="the acceptance")
        city.clock.advance(hours=1)
        assert city.settle(switch) == [CommandStatus.TIMED_OUT]
        (control,) = city.all(EndDeviceControl)
        city.save(replace(control, status=ControlStatus.FAILED, reported_success=False))

        city.clock.advance(minutes=11)
        # The meter itself tells of its relay too: what is waited for is what MDUS has to say of it.
        contradicted = LateFailure.SWITCH_CONTRADICTION
        city.until(
            lambda: [event for event in city.all(EndDeviceEvent) if event.event_type == contradicted],
            what="the event of the late result",
        )

        assert city.stored(switch).status is CommandStatus.TIMED_OUT
        assert city.status(device).switch_state is SwitchState.DISCONNECTED
        assert [case.kind for case in city.all(ExceptionCase)] == ["switch_contradiction"]


@pytest.mark.takes(CommandKind.READ_ON_DEMAND)
class TestOutage:
    def test_waits_for_a_head_end_that_is_down(self, city: City) -> None:
        device = city.install(city.meter())
        city.simulated.kill()
        command = city.order(device, CommandKind.READ_ON_DEMAND)
        city.worker.turn()
        # Of a folder nobody knows who looks into it.
        assert city.stored(command).status is (CommandStatus.READY if city.kind.answers else CommandStatus.ACCEPTED)

        city.simulated.start()

        assert city.settle(command) == [CommandStatus.DONE]

    @pytest.mark.has("late_result")
    def test_gets_the_results_of_a_head_end_that_was_killed(self, city: City) -> None:
        device = city.install(city.meter())
        city.simulated.script(device.serial_id, "read_on_demand", "late:60")
        command = city.order(device, CommandKind.READ_ON_DEMAND)
        city.until(lambda: city.stored(command).status is CommandStatus.ACCEPTED, what="the acceptance")

        city.simulated.kill()
        city.clock.advance(minutes=1)
        city.simulated.start()
        city.clock.advance(minutes=1)  # it may have been killed before the meter was asked: then it is late from now on

        assert city.settle(command) == [CommandStatus.DONE]


def _done(city: City, commands: Iterable[Command]) -> list[Command]:
    return [command for command in commands if city.stored(command).status is CommandStatus.DONE]


def _turned(city: City, switch: object) -> bool:
    """Tell whether the switch has ended, resting after failures being over at once."""
    city.real += 3600
    return city.stored(switch).has_ended  # type: ignore[arg-type]
