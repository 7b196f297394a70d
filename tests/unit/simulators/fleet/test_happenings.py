"""Faults of events: told late and out of order, in a flood, of power that never failed."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from simulators.clock import instant
from simulators.fleet.events import POWER_FAILED, POWER_RESTORED, VOLTAGE_SAG, event
from simulators.fleet.happenings import FLOOD_EVENTS, LAST_GASPS_LOST


def told(city: Any) -> list[dict[str, Any]]:
    return [each for body in city.face.of("events") for each in body["events"]]


def hits(city: Any, fault: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = city.head_end.state.faults.hits[fault]
    return found


async def to_the_collection(city: Any) -> None:
    """From ten in the morning to what follows the daily collection, UTC."""
    await city.advance(hours=13, minutes=2)
    await city.idle()


class TestOutOfOrder:
    def test_tells_an_event_after_later_ones(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm("events_out_of_order", 1)
                serial = city.meters[0].serial
                first, second = (event(serial, code, city.now) for code in (POWER_FAILED, POWER_RESTORED))
                await city.head_end.happenings.raise_at_once([first])
                await city.head_end.happenings.raise_at_once([second])
                await city.idle()
                assert told(city) == [second]
                assert first["event_id"] not in city.head_end.state.log.ids
                [hit] = hits(city, "events_out_of_order")
                assert (hit["serial"], hit["event_id"]) == (serial, first["event_id"])
                delay = instant(hit["told_at"]) - city.now
                assert timedelta(minutes=5) - timedelta(seconds=1) <= delay <= timedelta(days=2)
                await city.advance(seconds=delay.total_seconds() - 1)
                assert told(city) == [second]
                await city.advance(seconds=1)
                assert told(city) == [second, first]
                assert first["event_id"] in city.head_end.state.log.ids

        asyncio.run(play())

    def test_is_not_forgotten_in_a_restart(self, stage: Callable[..., Any]) -> None:
        made: list[dict[str, Any]] = []

        async def before() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm("events_out_of_order", 1)
                made.append(event(city.meters[0].serial, POWER_FAILED, city.now))
                await city.head_end.happenings.raise_at_once(made)

        async def after() -> None:
            async with stage() as city:
                await city.advance(days=2)
                assert told(city) == made

        asyncio.run(before())
        asyncio.run(after())

    def test_leaves_the_other_events_of_a_moment_where_they_are(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm("events_out_of_order", 1)
                made = [event(meter.serial, VOLTAGE_SAG, city.now) for meter in city.meters[:5]]
                await city.head_end.happenings.raise_at_once(made)
                await city.idle()
                [hit] = hits(city, "events_out_of_order")
                assert told(city) == [each for each in made if each["event_id"] != hit["event_id"]]
                assert len(told(city)) == 4

        asyncio.run(play())

    def test_befalls_the_event_of_a_switch(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm("events_out_of_order", 1)
                serial = city.with_breaker()[0]
                await city.submit("switch", [serial], state="disconnected")
                await city.idle()
                assert (told(city), len(city.face.of("results"))) == ([], 1)
                await city.advance(days=2)
                assert [each["serial"] for each in told(city)] == [serial]

        asyncio.run(play())


class TestFlood:
    @pytest.mark.parametrize(
        ("meters", "of_one"),
        [pytest.param(20, 60, id="few-meters"), pytest.param(600, 10_000 // 360, id="many-meters")],
    )
    def test_is_bounded_and_loses_last_gasps(self, stage: Callable[..., Any], meters: int, of_one: int) -> None:
        async def play() -> None:
            async with stage("--meters", str(meters)) as city:
                await city.head_end.arm("event_flood", 1)
                powered = [meter.serial for meter in city.meters if meter.commodity == "electricity"]
                for meter in city.meters:  # quicker than to provision them
                    meter.first_heard_at = city.now
                await to_the_collection(city)
                await city.advance(minutes=2)
                [hit] = hits(city, "event_flood")
                assert (hit["serials"], hit["meters"]) == (powered, len(powered))
                events = told(city)
                assert len(events) <= FLOOD_EVENTS
                moments = [instant(each["at"]) for each in events]
                assert max(moments) - min(moments) < timedelta(minutes=1)
                codes = Counter(each["code"] for each in events)
                assert codes[VOLTAGE_SAG] == len(powered) * (of_one - 1)
                gasped = {each["serial"] for each in events if each["code"] == POWER_FAILED}
                assert gasped == set(powered) - set(hit["lost"])
                assert LAST_GASPS_LOST - 0.25 < len(hit["lost"]) / len(powered) < LAST_GASPS_LOST + 0.25
                await city.advance(minutes=20)
                back = [each["serial"] for each in told(city) if each["code"] == POWER_RESTORED]
                assert sorted(back) == powered
                assert len(told(city)) == len({each["event_id"] for each in told(city)})
                assert sum(len(body["events"]) for body in city.face.of("events")) == hit["events"]

        asyncio.run(play())

    def test_does_not_come_by_itself(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await to_the_collection(city)
                await city.advance(minutes=30)
                assert told(city) == []

        asyncio.run(play())


class TestStorm:
    def test_as_a_fault_names_its_meters(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm("event_storm", 1)
                await to_the_collection(city)
                await city.advance(minutes=30)
                [hit] = hits(city, "event_storm")
                assert sorted(hit["serials"]) == sorted({each["serial"] for each in told(city)})
                assert hit["meters"] == len(hit["serials"]) == 20

        asyncio.run(play())


class TestTimeSyncStorm:
    def test_is_told_by_all_meters_of_an_area_within_a_minute(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm("time_sync_storm", 1)
                before = {meter.serial: meter.clock_offset for meter in city.meters}
                await to_the_collection(city)
                await city.advance(minutes=2)
                [hit] = hits(city, "time_sync_storm")
                events = told(city)
                assert sorted(each["serial"] for each in events) == sorted(hit["serials"])
                assert hit["meters"] == len(hit["serials"]) == 20
                codes = {(each["serial"], each["code"]) for each in events}
                powered = {meter.serial for meter in city.meters if meter.commodity == "electricity"}
                assert codes == {(serial, "3.36.0.24" if serial in powered else "0.36.0.24") for serial in before}
                assert {each["serial"]: each["properties"]["seconds"] for each in events} == before
                moments = [instant(each["at"]) for each in events]
                assert timedelta(0) < max(moments) - min(moments) < timedelta(minutes=1)
                assert {meter.clock_offset for meter in city.head_end.state.meters.values()} == {"0"}
                await city.advance(hours=20)
                assert len(told(city)) == 20

        asyncio.run(play())

    def test_is_remembered(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm("time_sync_storm", 1)
                await to_the_collection(city)

        asyncio.run(play())
        assert {meter.clock_offset for meter in stage().meters} == {"0"}


class TestRestorationWithoutOutage:
    def test_tells_only_that_power_is_back(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm("restoration_without_outage", 1)
                await to_the_collection(city)
                await city.advance(days=1)
                [made] = told(city)
                [hit] = hits(city, "restoration_without_outage")
                assert made["code"] == POWER_RESTORED
                assert (hit["serial"], hit["event_id"]) == (made["serial"], made["event_id"])
                assert city.head_end.state.meters[made["serial"]].commodity == "electricity"

        asyncio.run(play())


class TestExchange:
    def test_lets_registers_begin_at_zero_while_intervals_go_on(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm("meter_exchanged", 1)
                await to_the_collection(city)
                [hit] = hits(city, "meter_exchanged")
                meter = city.head_end.state.meters[hit["serial"]]
                at = instant(hit["exchanged_at"])
                assert meter.exchanged_at == [at]
                assert timedelta(hours=5, minutes=59) < at - city.now < timedelta(hours=18)
                register, second = meter.registers[0], timedelta(seconds=1)
                assert register.shown(meter.true(register, at)) == "0.00"
                assert meter.true(register, at - second) > 1_000_000
                assert meter.counted(register, at) >= meter.counted(register, at - second)
                later = at + timedelta(days=1)
                assert meter.true(register, later) == meter.counted(register, later) - meter.counted(register, at)
                channel, begin = meter.channels[0], at - timedelta(hours=1)
                values = city.head_end.profiles.true(meter, channel, begin, at + timedelta(hours=1))
                assert all(0 <= value < 5_000_000 for _, value in values)

        asyncio.run(play())

    def test_is_remembered(self, stage: Callable[..., Any]) -> None:
        serials: list[str] = []

        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm("meter_exchanged", 1)
                await to_the_collection(city)
                serials.extend(meter.serial for meter in city.meters if meter.exchanged_at)

        asyncio.run(play())
        assert [meter.serial for meter in stage().meters if meter.exchanged_at] == serials
        assert len(serials) == 1
