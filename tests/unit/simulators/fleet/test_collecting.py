"""Faults of what is collected: days that come days late, values that are ten times too high."""

import asyncio
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from simulators.clock import instant, stamp
from simulators.fleet.meters import Kind

_DAILY = ("--profiles", "daily")


def readings(city: Any, serial: str) -> list[str]:
    """Return the instants of a meter's snapshots, as told."""
    rows = [row for body in city.face.of("readings") for row in body["readings"] if row["serial"] == serial]
    return list(dict.fromkeys(row["at"] for row in rows))


def starts(city: Any, serial: str) -> list[str]:
    """Return the starts of a meter's blocks of its first channel, as told."""
    rows = [row for body in city.face.of("intervals") for row in body["blocks"] if row["serial"] == serial]
    return [row["start"] for row in rows if row["obis"] == rows[0]["obis"]]


class TestLateReads:
    def test_come_days_later_with_their_intervals_and_nothing_is_lost(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage(*_DAILY) as city:
                await city.provision()
                await city.advance(days=1)
                await city.head_end.arm("late_reads", 1)
                await city.advance(days=1)
                [hit] = city.head_end.state.faults.hits["late_reads"]
                serial, meter = hit["serial"], city.head_end.state.meters[hit["serial"]]
                late, told_at = hit["to"], instant(hit["told_at"])
                assert timedelta(days=1) <= told_at - instant(late) <= timedelta(days=7, hours=4)
                assert late not in readings(city, serial)
                assert hit["from"] not in starts(city, serial)
                [(day, _)] = meter.late_days.items()

                def page() -> list[str]:
                    now = city.head_end.clock.now()
                    begin, end = instant(hit["from"]), instant(late) + timedelta(seconds=1)
                    found, _ = city.head_end.collection.page(begin, end, now=now, after=None, limit=9, serial=serial)
                    blocks, _ = city.head_end.profiles.page(
                        [meter], instant(hit["from"]), instant(late), now=now, after=None, limit=9
                    )
                    return [stamp(at) for at, _ in found] + [block["start"] for block in blocks]

                assert late not in page()
                assert hit["from"] not in page()[1:]
                while city.head_end.clock.now() < told_at:
                    assert late not in readings(city, serial)
                    await city.advance(hours=12)
                assert late in readings(city, serial)
                assert hit["from"] in starts(city, serial)
                assert {late, hit["from"]} <= set(page())
                others = [each.serial for each in city.meters if each.serial != serial]
                assert {tuple(sorted(readings(city, each))) for each in others} == {
                    tuple(sorted(readings(city, serial)))
                }
                assert len(set(starts(city, serial))) == len(starts(city, serial))
                assert isinstance(day, date)

        asyncio.run(play())

    def test_keep_nothing_back_of_what_is_told_again_of_the_day_before(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage(*_DAILY, "--meters", "1") as city:
                await city.provision()
                [meter] = city.meters
                begin = instant("2026-03-27T12:00:00Z")
                await city.head_end.collecting.make_irregular(
                    meter.serial, begin, begin + timedelta(hours=1), Kind.REVISED
                )
                await city.advance(days=1)
                await city.head_end.arm("late_reads", 1)
                await city.advance(days=1)
                [hit] = city.head_end.state.faults.hits["late_reads"]
                city.face.told.clear()
                await city.advance(days=8)
                assert instant(hit["told_at"]) <= city.head_end.clock.now()
                assert stamp(begin) in starts(city, meter.serial)

        asyncio.run(play())

    def test_are_not_forgotten_in_a_restart(self, stage: Callable[..., Any]) -> None:
        hits: list[dict[str, Any]] = []

        async def before() -> None:
            async with stage(*_DAILY) as city:
                await city.provision()
                await city.head_end.arm("late_reads", 1)
                await city.advance(hours=20)
                hits.extend(city.head_end.state.faults.hits["late_reads"])

        async def after() -> None:
            async with stage(*_DAILY) as city:
                await city.advance(days=9)
                assert hits[0]["to"] in readings(city, hits[0]["serial"])

        asyncio.run(before())
        asyncio.run(after())


class TestMultiplied:
    def test_tells_ten_times_too_much_and_can_be_asked_for_better(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage(*_DAILY) as city:
                await city.provision()
                await city.advance(days=1)
                await city.head_end.arm("interval_multiplied", 1)
                city.face.told.clear()
                await city.advance(days=1)
                [hit] = city.head_end.state.faults.hits["interval_multiplied"]
                meter, begin = city.head_end.state.meters[hit["serial"]], instant(hit["from"])
                assert [each.kind for each in meter.irregularities] == [Kind.MULTIPLIED]
                told = {
                    block["start"]: block
                    for body in city.face.of("intervals")
                    for block in body["blocks"]
                    if block["serial"] == meter.serial and block["obis"] == meter.channels[0].obis
                }
                true = city.head_end.profiles.true(meter, meter.channels[0], begin, begin + timedelta(hours=1))
                [first] = [float(told[stamp(begin)]["values"][0])]
                assert abs(first - true[0][1] / 100_000) < 0.001
                assert "quality" not in told[stamp(begin)]
                [stored, *_] = city.head_end.profiles.stored(
                    meter, begin, begin + timedelta(hours=1), now=city.head_end.clock.now()
                )
                assert abs(float(stored["values"][0]) - true[0][1] / 1_000_000) < 0.001

        asyncio.run(play())


class TestLetGo:
    def test_is_heard_no_more_until_it_is_provisioned_anew(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage(*_DAILY) as city:
                await city.provision()
                gone, *others = (meter.serial for meter in city.meters)
                await city.head_end.collecting.let_go([gone])
                await city.advance(days=1, hours=8)
                assert (readings(city, gone), starts_of(city, gone)) == ([], [])
                assert all(readings(city, serial) for serial in others)
                await city.provision()
                await city.advance(days=1)
                assert readings(city, gone)

        asyncio.run(play())

    def test_is_not_forgotten_in_a_restart(self, stage: Callable[..., Any]) -> None:
        async def before() -> None:
            async with stage(*_DAILY) as city:
                await city.provision()
                await city.head_end.collecting.let_go([city.meters[0].serial])

        async def after() -> None:
            async with stage(*_DAILY) as city:
                gone, stays = city.meters[:2]
                assert (gone.provisioned_at, gone.device_id, gone.first_heard_at) == (None, None, None)
                assert stays.provisioned_at is not None

        asyncio.run(before())
        asyncio.run(after())


def starts_of(city: Any, serial: str) -> list[str]:
    """Return the starts of all blocks of a meter, as told."""
    return [row["start"] for body in city.face.of("intervals") for row in body["blocks"] if row["serial"] == serial]
