"""Concentrators that go away and come back, because a fault says so or somebody asks for it."""

from collections.abc import Awaitable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from simulators.clock import stamp
from simulators.fleet.core import Core
from simulators.fleet.faults import CONCENTRATOR
from simulators.fleet.journal import Record
from simulators.fleet.meters import fraction

FAULT = "concentrator_offline"

_SHORTEST, _LONGEST = timedelta(minutes=10), timedelta(hours=6)


class Changed(Protocol):
    """Tells the client that a concentrator is there or gone."""

    def __call__(self, name: str, *, is_online: bool) -> Awaitable[None]: ...


class Absences:
    """This will take concentrators away and bring them back, with all that they have to tell."""

    def __init__(self, core: Core, *, changed: Changed) -> None:
        self._core = core
        self._changed = changed

    def restore(self) -> None:
        """This will keep back what those have to tell that are away, and plan their return."""
        for each in self._core.state.concentrators.values():
            if not each.is_online:
                self._core.deliveries.keep_back(each.name)
            if each.back_at is not None:
                self._core.at(each.back_at, "back", each.name)

    def places(self, serials: Sequence[str]) -> tuple[str, ...]:
        """This will return the place of the fault where one of these meters is behind a concentrator that is there."""
        return (CONCENTRATOR,) if any(self._there(serial) for serial in serials) else ()

    async def begin(self, serials: Sequence[str], hit: Mapping[str, Any]) -> None:
        """This will take away the first concentrator that one of these meters is behind, for some time."""
        name = next(name for serial in serials if (name := self._there(serial)))
        state, now = self._core.state, self._core.clock.now()
        share = fraction(self._core.behaviour.seed, name, stamp(now), "away")
        back_at = (now + _SHORTEST * (_LONGEST / _SHORTEST) ** share).replace(microsecond=0)
        behind = [meter.serial for meter in state.meters.values() if meter.concentrator == name]
        hit = {**hit, "concentrator": name, "back_at": stamp(back_at), "serials": behind}
        await self._change(name, is_online=False, back_at=stamp(back_at), hits=[[FAULT, hit]])
        self._core.at(back_at, "back", name)

    async def end(self, names: Sequence[str]) -> None:
        """This will bring back those of them whose time has come."""
        now = self._core.clock.now()
        for name in names:
            back_at = self._core.state.concentrators[name].back_at
            if back_at is not None and back_at <= now:
                await self.set(name, is_online=True)

    async def set(self, name: str, *, is_online: bool) -> None:
        """This will take a concentrator away until it is brought back, or bring it back."""
        if self._core.state.concentrators[name].is_online != is_online:
            await self._change(name, is_online=is_online)

    async def _change(self, name: str, *, is_online: bool, **facts: Any) -> None:
        if not is_online:
            self._core.deliveries.keep_back(name)
        record: Record = {"t": "concentrator", "name": name, "online": is_online, **facts}
        await self._core.keep(record)
        await self._changed(name, is_online=is_online)
        if is_online:
            self._core.deliveries.let_go(name)

    def _there(self, serial: str) -> str | None:
        concentrator = self._core.state.concentrators.get(self._core.state.meters[serial].concentrator or "")
        return None if concentrator is None or not concentrator.is_online else concentrator.name
