"""Calls that the simulated head end of MultiSpeak answers at once: with values, or with why there are none."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from simulators.clock import real_now, stamp
from simulators.fleet import process
from simulators.headend_multispeak.face import KIND
from simulators.headend_multispeak.wire import Element, Read, Version, element, read

START = datetime(2026, 3, 27, 10, 0, tzinfo=UTC)
_PATIENCE = 20.0  # real seconds


class Stage:
    """A running head end of this kind that calls nobody back: `async with stage:`."""

    def __init__(self, folder: Path, version: str) -> None:
        self.now = START
        self._clock = folder / "clock.json"
        self._write_clock()
        given = ["--latency", "0", "--failure-rate", "0", "--event-rate", "0", "--hear-delay", "0", "--meters", "6"]
        given += ["--password", "secret", "--clock", str(self._clock), "--version", version]
        options = process.arguments(KIND).parse_args([*given, "--state", str(folder / "state.jsonl")])
        options.callback_password = "secret"
        self.app = process.build(KIND, options)
        self.head_end = self.app.state.head_end
        self.version = Version(name=version, length=timedelta(hours=1))
        self.serial = next(iter(self.head_end.state.meters))

    async def __aenter__(self) -> Stage:
        self._running = self.app.router.lifespan_context(self.app)
        await self._running.__aenter__()
        self._api = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://city")
        await self.call(
            "MeterAddNotification", element("addedMeters", element("meter", element("meterNo", self.serial)))
        )
        await self.head_end.collecting.hear_from([self.serial], self.now)
        await self.advance(days=1, hours=1)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._api.aclose()
        await self._running.__aexit__(None, None, None)

    async def call(self, name: str, *inside: Element) -> httpx.Response:
        """Call a method of MR_Server."""
        content = self.version.envelope(element(name, *inside), at=self.now, UserID="mdus", Pwd="secret")
        return await self._api.post("/MR_Server.asmx", content=content)

    async def registers(self) -> httpx.Response:
        """Ask what the registers of the meter showed at the last midnight."""
        return await self._read("GetReadingsByMeterNo" if self.version.is_3 else "GetReadingsByMeterID")

    async def intervals(self) -> httpx.Response:
        """Ask the meter for the interval values of the last day."""
        singular = "GetReadingByMeterIDAndFieldNameIntervalData"
        return await self._read(singular if self.version.is_3 else singular.replace("Reading", "Readings"))

    async def _read(self, name: str) -> httpx.Response:
        period = (element("startDate", stamp(self.now - timedelta(days=1))), element("endDate", stamp(self.now)))
        return await self.call(name, *self.version.meter(self.serial), *period)

    async def advance(self, **delta: float) -> None:
        """Let simulated time pass, and all that happens in it happen."""
        self.now += timedelta(**delta)
        self._write_clock()
        await self.head_end.clock.refresh()
        async with asyncio.timeout(_PATIENCE):
            while self.head_end.activity()["in_flight"]:
                await asyncio.sleep(0.005)

    def _write_clock(self) -> None:
        draft = self._clock.with_suffix(".draft")
        draft.write_text(json.dumps({"anchor": stamp(real_now()), "epoch": stamp(self.now), "speed": 0.0}))
        draft.replace(self._clock)


def answered(answer: httpx.Response) -> Read:
    """Return the message of an answer that is none of a fault."""
    assert answer.status_code == 200, answer.text
    return read(answer.content)[1]


def refused(answer: httpx.Response) -> str:
    """Return why a call was refused."""
    assert answer.status_code == 500, answer.text
    return read(answer.content)[1].said("faultstring") or ""


@pytest.fixture(params=["3.0", "4.1"])
def city(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    """A head end of each version."""
    return Stage(tmp_path, request.param)


class TestReadingsOfAMeter:
    def test_are_not_told_during_maintenance(self, city: Stage) -> None:
        async def scene() -> None:
            async with city:
                await city.head_end.arm("maintenance_window", 1)
                for seconds in (0, 59):
                    await city.advance(seconds=seconds)
                    assert (await city.registers()).status_code == 503
                    assert (await city.intervals()).status_code == 503
                await city.advance(seconds=1)
                assert list(answered(await city.registers()).below("readingValue"))
                assert list(answered(await city.intervals()).below("block"))
                assert len(city.head_end.state.faults.hits["maintenance_window"]) == 1

        asyncio.run(scene())

    @pytest.mark.parametrize("fault", ["max_pending", "soap_fault", "login_refused_once", "overloaded"])
    def test_are_not_told_where_a_fault_hits_the_call(self, city: Stage, fault: str) -> None:
        async def scene() -> None:
            async with city:
                await city.head_end.arm(fault, 1)
                answer = await city.registers()
                assert answer.status_code != 200 or not list(answered(answer).below("readingValue"))
                [hit] = city.head_end.state.faults.hits[fault]
                assert hit["serials"] == [city.serial]
                assert list(answered(await city.registers()).below("readingValue"))

        asyncio.run(scene())


class TestIntervalsOfAMeter:
    def test_that_is_busy_are_refused(self, city: Stage) -> None:
        async def scene() -> None:
            async with city:
                await city.head_end.arm("per_meter_reject", 1)
                assert refused(await city.intervals()) == "Meter is busy with another request"
                assert list(answered(await city.intervals()).below("block"))

        asyncio.run(scene())

    def test_that_does_not_answer_in_time_are_refused(self, city: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        async def scene() -> None:
            async with city:
                monkeypatch.setattr("simulators.headend_multispeak.face._WAITS", 0.05)
                await city.head_end.script(city.serial, "read_intervals", ["late:60"])
                assert refused(await city.intervals()) == "Timeout expired"
                monkeypatch.undo()
                assert list(answered(await city.intervals()).below("block"))

        asyncio.run(scene())

    @pytest.mark.parametrize(("code", "text"), [("NO_RESPONSE", "No response from meter")])
    def test_that_fails_are_refused(self, city: Stage, code: str, text: str) -> None:
        async def scene() -> None:
            async with city:
                await city.head_end.script(city.serial, "read_intervals", [code])
                assert refused(await city.intervals()) == text

        asyncio.run(scene())

    def test_of_a_time_of_which_none_are_kept_are_none(self, city: Stage) -> None:
        async def scene() -> None:
            async with city:
                city.now += timedelta(days=3)  # the meter's own time has not come so far
                message = answered(await city.intervals())
                assert list(message.below("block")) == []

        asyncio.run(scene())
