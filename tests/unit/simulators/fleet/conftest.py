"""A head end in this process: a face that notes what it is told, and a clock that stands until a test moves it."""

import argparse
import asyncio
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from simulators.clock import Clock, real_now, stamp
from simulators.fleet.callbacks import Completion
from simulators.fleet.deliveries import Push
from simulators.fleet.face import Face, Kind
from simulators.fleet.faults import SHARED, FaultPlan
from simulators.fleet.headend import HeadEnd
from simulators.fleet.jobs import Job, Order, Submission
from simulators.fleet.journal import Journal
from simulators.fleet.meters import population
from simulators.fleet.process import arguments, behaviour

START = datetime(2026, 3, 27, 10, 0, tzinfo=UTC)  # the Friday before summer time begins in Berlin
_PATIENCE = 20.0  # real seconds


class Noting(Face):
    """A face that needs no address, notes every telling, and refuses as many as a test says."""

    needs_address = False

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.told: list[Push] = []
        self.changes: list[tuple[str, bool]] = []
        self.refuses = 0

    async def deliver(self, push: Push) -> bool:
        """Note a telling."""
        if self.refuses > 0:
            self.refuses -= 1
            return False
        self.told.append(push)
        return True

    async def concentrator_changed(self, name: str, *, is_online: bool) -> None:
        """Note who came and went, and that nothing of it was told before."""
        self.changes.append((name, is_online))

    def of(self, topic: str) -> list[dict[str, Any]]:
        """Return what was told of a topic."""
        return [push.body for push in self.told if push.topic == topic]


class SpeakingConcentrators(Noting):
    """A face whose concentrators talk to the client themselves."""

    concentrators_speak = True


class Stage:
    """A head end that a test plays with, inside one event loop: `async with stage:`."""

    def __init__(
        self, folder: Path, *options: str, face: type[Noting] = Noting, completion: Completion = Completion.CALLBACK
    ) -> None:
        self.now = START
        self._clock = folder / "clock.json"
        self._write_clock()
        kind = Kind(name="noting", description="", face=face, faults=SHARED)
        given = ["--latency", "0", "--failure-rate", "0", "--event-rate", "0", "--hear-delay", "0", "--meters", "20"]
        parsed = arguments(kind).parse_args([*given, "--state", str(folder / "state"), *options])
        self.face = face(parsed)
        self.face.completion = completion
        self.head_end = HeadEnd(
            population(seed=parsed.seed, size=parsed.meters),
            behaviour=behaviour(parsed),
            clock=Clock(str(self._clock)),
            journal=Journal(parsed.state),
            faults=FaultPlan({}, table=SHARED, seed=parsed.seed),
            face=self.face,
        )
        self.head_end.restore()
        self.meters = list(self.head_end.state.meters.values())

    async def __aenter__(self) -> "Stage":
        await self.head_end.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.head_end.stop()

    async def idle(self) -> None:
        """Wait until nothing is going on."""
        async with asyncio.timeout(_PATIENCE):
            while self.head_end.activity()["in_flight"]:
                await asyncio.sleep(0.005)

    async def advance(self, **delta: float) -> None:
        """Let simulated time pass, and all that happens in it happen."""
        self.now += timedelta(**delta)
        self._write_clock()
        await self.idle()

    async def submit(self, kind: str, serials: Iterable[str], **wish: Any) -> Job:
        """Submit the same order for meters; the reference is the serial number."""
        orders = [Order(serial=serial, reference=serial, wish=dict(wish)) for serial in serials]
        return await self.head_end.submit(
            Submission(correlation_id=f"c-{len(self.head_end.state.jobs)}", kind=kind, orders=orders)
        )

    async def provision(self) -> None:
        """Let all meters be provisioned and heard."""
        for meter in self.meters:
            registers = [{"obis": each.obis, "unit": each.unit} for each in (*meter.registers, *meter.channels)]
            await self.submit(
                "provision",
                [meter.serial],
                device_id=meter.serial,
                commodity=meter.commodity,
                registers=registers,
            )
        await self.idle()
        await self.head_end.collecting.hear_from([meter.serial for meter in self.meters], self.now)
        await self.idle()
        self.face.told.clear()

    def with_breaker(self) -> list[str]:
        """Return the serial numbers of meters with a breaker."""
        return [meter.serial for meter in self.meters if meter.breaker is not None]

    def _write_clock(self) -> None:
        draft = self._clock.with_suffix(".draft")
        draft.write_text(json.dumps({"anchor": stamp(real_now()), "epoch": stamp(self.now), "speed": 0.0}))
        draft.replace(self._clock)


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., Stage]:
    """Makes head ends with options of the command line."""

    def make(*options: str, **how: Any) -> Stage:
        return Stage(tmp_path, *options, **how)

    return make


@pytest.fixture
def speaking() -> type[Noting]:
    """The face whose concentrators speak."""
    return SpeakingConcentrators
