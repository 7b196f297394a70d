"""A concentrator that a fault takes away for a time, and what it tells when it is back."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from simulators.clock import instant

_FAULT = "concentrator_offline"
_OPTIONS = ("--concentrators", "2", "--profiles", "daily")


def hit_of(city: Any) -> dict[str, Any]:
    [hit] = city.head_end.state.faults.hits[_FAULT]
    assert isinstance(hit, dict)
    return hit


class TestFault:
    def test_begins_with_an_order_and_ends_by_itself(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage(*_OPTIONS) as city:
                await city.provision()
                await city.head_end.arm(_FAULT, 1)
                away, there = city.with_breaker()[0], city.with_breaker()[-1]
                await city.submit("switch", [away, there], state="disconnected")
                await city.idle()
                codes = {each["serial"]: each["code"] for body in city.face.of("results") for each in body["results"]}
                assert codes == {away: "NO_RESPONSE", there: None}
                hit = hit_of(city)
                assert (hit["concentrator"], hit["kind"]) == ("DC-001", "switch")
                behind = [meter.serial for meter in city.meters if meter.concentrator == "DC-001"]
                assert hit["serials"] == behind
                back_at = instant(hit["back_at"])
                assert timedelta(minutes=10) <= back_at - city.now <= timedelta(hours=6)
                assert city.head_end.activity()["next_due"] == hit["back_at"]
                await city.advance(seconds=(back_at - city.now).total_seconds() - 1)
                assert not city.head_end.state.concentrators["DC-001"].is_online
                await city.advance(seconds=1)
                assert city.head_end.state.concentrators["DC-001"].is_online
                assert city.face.changes == [("DC-001", False), ("DC-001", True)]
                again = await city.submit("ping", [away])
                await city.idle()
                assert [each["code"] for each in again.told(city.now)] == [None]

        asyncio.run(play())

    def test_tells_in_a_burst_what_was_kept_back(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage(*_OPTIONS) as city:
                await city.provision()
                await city.head_end.arm(_FAULT, 1)
                await city.advance(hours=13, minutes=1)  # the daily collection begins
                hit = hit_of(city)
                assert hit["kind"] == "collection"
                await city.advance(minutes=9)
                assert {push.concentrator for push in city.face.told} == {"DC-002"}
                city.face.told.clear()
                await city.advance(hours=6)
                burst = [push for push in city.face.told if push.concentrator == "DC-001"]
                read = {row["serial"] for push in burst if push.topic == "readings" for row in push.body["readings"]}
                assert read == set(hit["serials"])

        asyncio.run(play())

    def test_needs_a_concentrator(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm(_FAULT, 1)
                await city.submit("ping", [city.meters[0].serial])
                await city.advance(days=1)
                assert city.head_end.state.faults.hits[_FAULT] == []

        asyncio.run(play())

    def test_ends_after_a_restart_too(self, stage: Callable[..., Any]) -> None:
        async def before() -> None:
            async with stage(*_OPTIONS) as city:
                await city.provision()
                await city.head_end.arm(_FAULT, 1)
                await city.submit("ping", [city.meters[0].serial])
                await city.idle()

        async def after() -> None:
            async with stage(*_OPTIONS) as city:
                assert not city.head_end.state.concentrators["DC-001"].is_online
                await city.advance(hours=6)
                assert city.head_end.state.concentrators["DC-001"].is_online

        asyncio.run(before())
        asyncio.run(after())

    def test_ends_early_when_somebody_brings_it_back(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage(*_OPTIONS) as city:
                await city.provision()
                await city.head_end.arm(_FAULT, 1)
                await city.submit("ping", [city.meters[0].serial])
                await city.head_end.set_concentrator("DC-001", is_online=True)
                await city.head_end.set_concentrator("DC-001", is_online=False)
                await city.advance(hours=6)
                assert not city.head_end.state.concentrators["DC-001"].is_online

        asyncio.run(play())
