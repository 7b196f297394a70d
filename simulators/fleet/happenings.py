"""How the head end comes to hear of events: by themselves, of a storm, or because somebody asks for one."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any

from simulators.clock import instant, stamp
from simulators.fleet.core import Core
from simulators.fleet.deliveries import Push
from simulators.fleet.events import POWER_RESTORED, VOLTAGE_SAG, Event, clock_set, event, happening, outage, told_at
from simulators.fleet.meters import MEMORY, Meter, fraction, midnight

PUSH_SIZE = 1000  # events in one push
STORM_SECONDS = 60  # within which an area loses power
_STORM_TOLD_ON = 20  # seconds: a storm is heard of in a few moments
_STORM_METERS = 100  # of a storm that comes by itself
_DARK_SECONDS = 600  # for which power is away in one that comes by itself, up to half as long again
FLOOD_EVENTS = 10_000  # within a minute
_FLOOD_EVENTS_OF_ONE = 60  # of one meter, one a second
LAST_GASPS_LOST = 0.6  # share in a flood
_OUT_OF_ORDER = "events_out_of_order"
_HELD_SHORTEST, _HELD_LONGEST = timedelta(minutes=5), timedelta(days=2)
_DAY = timedelta(days=1)


#: An event and when it shall be told.
Planned = tuple[datetime, Event]


@dataclass(kw_only=True, slots=True)
class Telling:
    """Events told now, with their pushes, those to be told later, and the faults that fired."""

    events: list[Event]
    pushes: list[Push] = field(default_factory=list)
    planned: list[Planned] = field(default_factory=list)
    hits: list[list[Any]] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """This will give what of it the journal keeps, but for the pushes."""
        planned = [[stamp(due), each] for due, each in self.planned]
        return {"events": self.events, "planned": planned, "hits": self.hits}


class Happenings:
    """This will let things happen to meters; the loop of the head end calls `plan_day` and `tell` when they are due."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._begun_at = core.clock.now()

    def restore(self, *, begun_at: datetime) -> None:
        """This will plan what is still to be told, and what happens from now on."""
        self._begun_at = begun_at
        self.plan(self._core.state.planned_events.values())
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

    async def raise_at_once(self, events: Sequence[Event], *, hits: Sequence[Any] = ()) -> None:
        """This will tell events now, whoever they are of."""
        telling = self.telling(events)
        telling.hits += hits
        await self._core.keep({"t": "events", **telling.record()}, telling.pushes)
        self.plan(telling.planned)

    def telling(self, events: Sequence[Event]) -> Telling:
        """This will make the telling of events, with one told twice or later than others where a fault says so."""
        state = self._core.state
        held_before = {hit.get("event_id") for hit in state.faults.hits.get(_OUT_OF_ORDER, ())}
        by_id = {each["event_id"]: each for each in events}
        plan = state.faults.draw("events", [each for each in by_id if each not in held_before])
        telling = Telling(events=list(events))
        for event_id, name in plan.devices.items():
            if name == _OUT_OF_ORDER:
                self._hold(telling, by_id[event_id])
        telling.pushes = self._pushes(telling.events)
        if plan.job == "duplicate_event" and telling.events:
            again = telling.events[0]
            telling.pushes += self._pushes([again])
            telling.hits.append(["duplicate_event", self._hit(serial=again["serial"], event_id=again["event_id"])])
        return telling

    def plan(self, planned: Iterable[Planned]) -> None:
        """This will let events be told when they shall."""
        moments: defaultdict[datetime, list[Event]] = defaultdict(list)
        for due, each in planned:
            moments[due].append(each)
        for due, together in moments.items():
            self._core.at(due, "happen", together)

    async def storm(self, serials: Sequence[str], *, seconds: int, at: datetime, hits: Sequence[Any] = ()) -> None:
        """This will let meters lose power within a minute of `at`, each for about so many seconds."""
        await self._keep_planned([each for serial in serials for each in self._outage(serial, at, seconds)], hits)

    async def befall(self) -> None:
        """This will let happen what faults want to happen about a daily collection, to meters that are heard."""
        state = self._core.state
        heard = [meter for meter in state.meters.values() if meter.first_heard_at is not None]
        if len(heard) < 2:
            return
        powered = [meter.serial for meter in heard if meter.commodity == "electricity"]
        plan = state.faults.draw("collection", powered)
        now = self._core.clock.now()
        for serial, name in plan.devices.items():
            if name == "restoration_without_outage":
                await self._restore_power(serial, now, name)
            elif name == "meter_exchanged":
                await self._exchange(serial, now, name)
        if plan.job == "event_storm":
            area = [meter.serial for meter in self._area(heard, now)]
            hit = self._hit(meters=len(area), first=area[0], serials=area)
            await self.storm(area, seconds=_DARK_SECONDS, at=now, hits=[["event_storm", hit]])
        elif plan.job == "time_sync_storm":
            await self._set_clocks(self._area(heard, now), now)
        elif plan.job == "event_flood" and powered:
            await self._flood(powered[:FLOOD_EVENTS], now)

    def _area(self, heard: Sequence[Meter], now: datetime) -> Sequence[Meter]:
        begin = int(fraction(self._core.behaviour.seed, stamp(now), "area") * max(1, len(heard) - _STORM_METERS))
        return heard[begin : begin + _STORM_METERS]

    async def _set_clocks(self, meters: Sequence[Meter], now: datetime) -> None:
        """Let the clocks of meters be set, which each of them tells of within a minute."""
        told = []
        for meter in meters:
            seconds = int(fraction(self._core.behaviour.seed, meter.serial, stamp(now), "set") * STORM_SECONDS)
            told.append(clock_set(meter, now + timedelta(seconds=seconds)))
        serials = [meter.serial for meter in meters]
        hit = self._hit(meters=len(serials), first=serials[0], serials=serials)
        clocks_set = {"t": "clocks_set", "serials": serials, "at": stamp(now)}
        await self._keep_planned(told, [["time_sync_storm", hit]], with_it=clocks_set)

    async def _flood(self, serials: Sequence[str], now: datetime) -> None:
        """Let the voltage sag again and again, then fail; no more than so many events come within a minute."""
        each_tells = min(_FLOOD_EVENTS_OF_ONE, FLOOD_EVENTS // len(serials))
        begin = now.replace(microsecond=0) + timedelta(seconds=1)
        planned: list[Event] = []
        lost: list[str] = []
        for serial in serials:
            moments = [begin + timedelta(seconds=STORM_SECONDS * each // each_tells) for each in range(each_tells)]
            planned += [event(serial, VOLTAGE_SAG, at) for at in moments[:-1]]
            failed, restored = outage(serial, moments[-1], self._longer(serial, now, _DARK_SECONDS))
            if fraction(self._core.behaviour.seed, serial, stamp(now), "gasp") < LAST_GASPS_LOST:
                lost.append(serial)
            else:
                planned.append(failed)
            planned.append(restored)
        hit = self._hit(meters=len(serials), first=serials[0], serials=list(serials), events=len(planned), lost=lost)
        await self._keep_planned(planned, [["event_flood", hit]])

    async def _restore_power(self, serial: str, now: datetime, fault: str) -> None:
        at = now.replace(microsecond=0)
        made = event(serial, POWER_RESTORED, at, properties={"seconds": str(_DARK_SECONDS)})
        hit = self._hit(serial=serial, event_id=made["event_id"])
        await self.raise_at_once([made], hits=[[fault, hit]])

    async def _exchange(self, serial: str, now: datetime, fault: str) -> None:
        hours = 6 + 12 * fraction(self._core.behaviour.seed, serial, stamp(now), "exchange")
        at = (now + timedelta(hours=hours)).replace(second=0, microsecond=0)
        hit = self._hit(serial=serial, exchanged_at=stamp(at))
        await self._core.keep({"t": "exchanged", "serials": [serial], "at": stamp(at), "hits": [[fault, hit]]})

    def _hold(self, telling: Telling, each: Event) -> None:
        share = fraction(self._core.behaviour.seed, each["event_id"], "held")
        due = self._core.clock.now() + _HELD_SHORTEST * (_HELD_LONGEST / _HELD_SHORTEST) ** share
        due = due.replace(microsecond=0)
        telling.events.remove(each)
        telling.planned.append((due, each))
        hit = self._hit(serial=each["serial"], event_id=each["event_id"], told_at=stamp(due))
        telling.hits.append([_OUT_OF_ORDER, hit])

    def _pushes(self, events: Sequence[Event]) -> list[Push]:
        return [
            push
            for concentrator, chunk in self._core.parts(events, PUSH_SIZE, serial=_serial)
            for push in self._core.push("events", {"events": list(chunk)}, concentrator=concentrator)
        ]

    def _outage(self, serial: str, at: datetime, seconds: int) -> tuple[Event, Event]:
        lost = int(fraction(self._core.behaviour.seed, serial, stamp(at), "storm") * STORM_SECONDS)
        return outage(serial, at + timedelta(seconds=lost), self._longer(serial, at, seconds))

    def _longer(self, serial: str, at: datetime, seconds: int) -> int:
        return int(seconds * (1 + fraction(self._core.behaviour.seed, serial, stamp(at), "longer") / 2))

    async def _keep_planned(
        self, events: Iterable[Event], hits: Sequence[Any], *, with_it: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        planned: list[Planned] = []
        for each in events:
            at = instant(each["at"]).replace(microsecond=0)
            planned.append((at + timedelta(seconds=_STORM_TOLD_ON - at.second % _STORM_TOLD_ON), each))
        telling = Telling(events=[], planned=planned, hits=list(hits))
        await self._core.keep({"t": "planned", **telling.record(), **with_it})
        self.plan(planned)

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

    def _is_heard(self, each: Event) -> bool:
        if each["event_id"] in self._core.state.planned_events:
            return True
        heard_at = self._core.state.meters[each["serial"]].first_heard_at
        return heard_at is not None and heard_at <= instant(each["at"])

    def _hit(self, **facts: Any) -> dict[str, Any]:
        at = stamp(self._core.clock.now())
        return {"at": at, "kind": "events", "correlation_id": None, "references": [], **facts}


def _serial(event: Event) -> str:
    return str(event["serial"])
