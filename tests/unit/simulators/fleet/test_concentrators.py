"""Concentrators: who is behind which, how much is under way, and what happens while one is away."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from simulators.fleet.concentrators import spread
from simulators.fleet.meters import population


class TestSpread:
    def test_puts_meters_behind_concentrators_in_runs(self) -> None:
        meters = population(seed=1, size=10)
        assert list(spread(meters, over=3, limit=5)) == ["DC-001", "DC-002", "DC-003"]
        behind = [meter.concentrator for meter in meters]
        assert behind == sorted(behind, key=str)
        assert {behind.count(name) for name in set(behind)} == {3, 4}

    def test_leaves_meters_alone_where_there_are_none(self) -> None:
        meters = population(seed=1, size=3)
        assert spread(meters, over=0, limit=None) == {}
        assert [meter.concentrator for meter in meters] == [None, None, None]


class TestCount:
    def test_of_orders_under_way_rises_and_falls_and_its_most_stays(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage(
                "--profile", "rf_mesh", "--latency", "12", "--failure-rate", "0", "--concentrators", "2"
            ) as city:
                await city.provision()
                busy, calm = city.head_end.state.concentrators.values()
                assert (busy.under_way, busy.most_under_way, busy.limit) == (0, 0, 15)  # provisioning is not counted
                await city.submit("ping", [meter.serial for meter in city.meters[:6]])
                await city.submit("ping", [city.meters[19].serial])
                assert (busy.under_way, calm.under_way) == (6, 1)
                await city.advance(hours=1)
                assert (busy.under_way, busy.most_under_way) == (0, 6)
                await city.submit("ping", [city.meters[0].serial])
                assert (busy.under_way, busy.most_under_way) == (1, 6)

        asyncio.run(play())


class TestOffline:
    @pytest.fixture
    def options(self) -> list[str]:
        return ["--concentrators", "2", "--profiles", "daily"]

    def test_orders_are_not_carried_out_and_fail(self, stage: Callable[..., Any], options: list[str]) -> None:
        async def play() -> None:
            async with stage(*options) as city:
                await city.provision()
                away, there = city.with_breaker()[0], city.with_breaker()[-1]
                await city.head_end.set_concentrator("DC-001", is_online=False)
                await city.submit("switch", [away, there], state="disconnected")
                await city.idle()
                codes = {each["serial"]: each["code"] for body in city.face.of("results") for each in body["results"]}
                assert codes == {away: "NO_RESPONSE", there: None}
                states = [city.head_end.state.meters[serial].breaker.state for serial in (away, there)]
                assert states == ["connected", "disconnected"]

        asyncio.run(play())

    def test_orders_end_in_silence_where_concentrators_speak_themselves(
        self, stage: Callable[..., Any], options: list[str], speaking: Any
    ) -> None:
        async def play() -> None:
            async with stage(*options, face=speaking) as city:
                await city.provision()
                away, there = city.meters[0].serial, city.meters[19].serial
                await city.head_end.set_concentrator("DC-001", is_online=False)
                job = await city.submit("ping", [away])
                await city.submit("ping", [there])
                await city.idle()
                assert [push.concentrator for push in city.face.told] == ["DC-002"]
                await city.head_end.set_concentrator("DC-001", is_online=True)
                await city.idle()
                assert not job.is_done(city.now)
                assert city.head_end.state.outstanding == 0

        asyncio.run(play())

    def test_tellings_wait_and_come_in_a_burst_and_in_order(
        self, stage: Callable[..., Any], options: list[str]
    ) -> None:
        async def play() -> None:
            async with stage(*options) as city:
                await city.provision()
                await city.head_end.set_concentrator("DC-001", is_online=False)
                for _ in range(3):
                    await city.advance(days=1)
                assert {push.concentrator for push in city.face.told} == {"DC-002"}
                city.face.told.clear()
                await city.head_end.set_concentrator("DC-001", is_online=True)
                await city.idle()
                assert {push.concentrator for push in city.face.told} == {"DC-001"}
                starts = [body["blocks"][0]["start"] for body in city.face.of("intervals")]
                assert starts == sorted(starts)
                assert len({reading["at"] for body in city.face.of("readings") for reading in body["readings"]}) == 3
                assert city.face.changes == [("DC-001", False), ("DC-001", True)]

        asyncio.run(play())

    def test_is_remembered_with_what_was_kept_back(self, stage: Callable[..., Any], options: list[str]) -> None:
        async def before() -> int:
            async with stage(*options) as city:
                await city.provision()
                await city.head_end.set_concentrator("DC-001", is_online=False)
                await city.advance(days=1)
                assert {push.concentrator for push in city.face.told} == {"DC-002"}
                return len(city.head_end._deliveries.open)

        async def after(kept_back: int) -> None:
            city = stage(*options)
            city.now = city.head_end.clock.now()
            async with city:
                await city.idle()
                assert city.face.told == []
                await city.head_end.set_concentrator("DC-001", is_online=True)
                await city.idle()
                assert len(city.face.told) == kept_back > 0

        asyncio.run(after(asyncio.run(before())))
