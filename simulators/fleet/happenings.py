"""How the head end comes to hear of events: by themselves, of a storm, or because somebody asks for one."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from simulators.clock import instant, stamp
from simulators.fleet.core import Core
from simulators.fleet.deliveries import Push
from simulators.fleet.events import Event, happening, outage, told_at
from simulators.fleet.meters import MEMORY, fraction, midnight

PUSH_SIZE = 1000  # events in one push
STORM_SECONDS = 60  # within which an area loses power
_STORM_TOLD_ON = 20  # seconds: a storm is heard of in a few moments
_STORM_METERS = 100  # of a storm that comes by itself
_DAY = timedelta(days=1)


class Happenings:
    """This will let things happen to meters; the loop of the head end calls `plan_day` and `tell` when they are due."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._begun_at = core.clock.now()

    def restore(self, *, begun_at: datetime) -> None:
        """This will plan what is still to be told, and what happens from now on."""
        self._begun_at = begun_at
        self._plan_storm(self._core.state.planned_events.values())
        if self._core.behaviour.event_rate <= 0:
            return
        now, zone = self._core.clock.now(), self._core.behaviour.zone
        day = max(begun_at, now - MEMORY).astimezone(zone).date()
        while day < now.astimezone(zone).date():
            self._plan(day)
            day += _DAY
        self.plan_day(day)

    def plan_day(self, day: date) -> None:
        """This will plan what happens on a local day, and the planning of the next."""
        self._plan(day)
        self._core.at(midnight(day + _DAY, self._core.behaviour.zone), "day", day + _DAY)

    async def tell(self, events: Iterable[Event]) -> None:
        """This will tell what has happened to meters that are heard by now."""
        heard = [each for each in events if self._is_heard(each)]
        if heard:
            await self.raise_at_once(heard)

    async def raise_at_once(self, events: Sequence[Event]) -> None:
        """This will tell events now, whoever they are of."""
        pushes, hits = self.pushes(events)
        await self._core.keep({"t": "events", "events": list(events), "hits": hits}, pushes)

    def pushes(self, events: Sequence[Event]) -> tuple[list[Push], list[list[Any]]]:
        """This will make the pushes of events, and the hits of a fault that has them told twice."""
        pushes = [
            push
            for concentrator, chunk in self._core.parts(events, PUSH_SIZE, serial=_serial)
            for push in self._core.push("events", {"events": list(chunk)}, concentrator=concentrator)
        ]
        if self._core.state.faults.draw("events", [each["event_id"] for each in events]).job != "duplicate_event":
            return pushes, []
        concentrator = self._core.state.meters[events[0]["serial"]].concentrator
        again = self._core.push("events", {"events": [events[0]]}, concentrator=concentrator)
        hit = self._hit() | {"serial": events[0]["serial"], "event_id": events[0]["event_id"]}
        return pushes + again, [["duplicate_event", hit]]

    async def storm(self, serials: Sequence[str], *, seconds: int, at: datetime, hits: Sequence[Any] = ()) -> None:
        """This will let meters lose power within a minute of `at`, each for about so many seconds."""
        seed = self._core.behaviour.seed
        planned: list[Event] = []
        for serial in serials:
            lost = at + timedelta(seconds=int(fraction(seed, serial, stamp(at), "storm") * STORM_SECONDS))
            longer = 1 + fraction(seed, serial, stamp(at), "longer") / 2
            planned += outage(serial, lost, int(seconds * longer))
        await self._core.keep({"t": "planned_events", "events_planned": planned, "hits": list(hits)})
        self._plan_storm(planned)

    async def perhaps_storm(self) -> None:
        """This will let a storm come where a fault says so, over up to a hundred neighbouring meters that are heard."""
        state = self._core.state
        serials = [meter.serial for meter in state.meters.values() if meter.first_heard_at is not None]
        if len(serials) < 2 or state.faults.draw("collection", ["storm"]).job != "event_storm":
            return
        now = self._core.clock.now()
        begin = int(fraction(self._core.behaviour.seed, stamp(now), "area") * max(1, len(serials) - _STORM_METERS))
        area = serials[begin : begin + _STORM_METERS]
        hit = self._hit() | {"meters": len(area), "first": area[0]}
        await self.storm(area, seconds=600, at=now, hits=[["event_storm", hit]])

    def _plan(self, day: date) -> None:
        behaviour = self._core.behaviour
        moments: defaultdict[datetime, list[Event]] = defaultdict(list)
        for meter in self._core.state.meters.values():
            for each in happening(meter, day, seed=behaviour.seed, zone=behaviour.zone, rate=behaviour.event_rate):
                at = instant(each["at"])
                if at >= self._begun_at and each["event_id"] not in self._core.state.log.ids:
                    moments[told_at(at)].append(each)
        for due, together in moments.items():
            self._core.at(due, "happen", together)

    def _plan_storm(self, events: Iterable[Event]) -> None:
        moments: defaultdict[datetime, list[Event]] = defaultdict(list)
        for each in events:
            at = instant(each["at"]).replace(microsecond=0)
            moments[at + timedelta(seconds=_STORM_TOLD_ON - at.second % _STORM_TOLD_ON)].append(each)
        for due, together in moments.items():
            self._core.at(due, "happen", together)

    def _is_heard(self, each: Event) -> bool:
        if each["event_id"] in self._core.state.planned_events:
            return True
        heard_at = self._core.state.meters[each["serial"]].first_heard_at
        return heard_at is not None and heard_at <= instant(each["at"])

    def _hit(self) -> dict[str, Any]:
        return {"at": stamp(self._core.clock.now()), "kind": "events", "correlation_id": None, "references": []}


def _serial(event: Event) -> str:
    return str(event["serial"])
