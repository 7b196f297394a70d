"""How the head end hears from meters: their first communication, daily snapshots, interval values."""

import math
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from simulators.clock import stamp
from simulators.fleet.core import Core
from simulators.fleet.deliveries import Push
from simulators.fleet.intervals import AFTER_PERIOD, SECOND_AFTER, Block, Profiles, floor
from simulators.fleet.journal import Record
from simulators.fleet.meters import MEMORY, Kind, Meter, fraction, midnight
from simulators.fleet.snapshots import LATE_SLOT, Collection

PUSH_SIZE = 1000  # meters in one push
INTERVAL_PUSH_SIZE = 200  # meters in one push of interval values
_HEARD_TOGETHER = 30  # seconds
_DAY = timedelta(days=1)

# What a fault makes of the interval values collected.
_FAULTS = {
    "intervals_late": Kind.LATE,
    "interval_gap": Kind.GAP,
    "interval_revised": Kind.REVISED,
    "interval_multiplied": Kind.MULTIPLIED,
}
_MOST_DAYS_LATE = 7


class Collecting:
    """This will hear from meters; the loop of the head end calls `hear`, `collect` and `deliver` when they are due."""

    def __init__(self, core: Core, collection: Collection, profiles: Profiles) -> None:
        self._core = core
        self._collection = collection
        self._profiles = profiles
        self._planned: set[datetime] = set()  # when interval values are delivered next

    def restore(self, *, begun_at: datetime, slot: tuple[date, int] | None) -> None:
        """This will plan what follows the last slot collected, or the start of the head end."""
        now = self._core.clock.now()
        for meter in self._core.state.meters.values():
            self.plan_first_heard(meter)
        first = self._collection.next_slot(*slot, now=now) if slot else self._collection.first_slot(begun_at)
        self._core.at(self._collection.due(*first), "slot", first)
        self.plan_delivery()

    # --- the first communication --------------------------------------------------------------------------------------

    def plan_first_heard(self, meter: Meter) -> None:
        """This will let a meter be heard some time after it was provisioned."""
        due = self._first_heard_due(meter)
        if due is not None:
            self._core.at(due, "hear", meter)

    def _first_heard_due(self, meter: Meter) -> datetime | None:
        if meter.provisioned_at is None or meter.first_heard_at is not None:
            return None
        state, behaviour = self._core.state, self._core.behaviour
        if meter.serial in state.hear_at:
            return max(state.hear_at[meter.serial], meter.provisioned_at)
        seconds = behaviour.hear_delay * (1 + fraction(behaviour.seed, meter.serial, "heard"))
        # On a grid, lest a thousand meters make a thousand moments.
        return meter.provisioned_at + timedelta(seconds=math.ceil(seconds / _HEARD_TOGETHER) * _HEARD_TOGETHER)

    async def hear_from(self, serials: Sequence[str], at: datetime) -> None:
        """This will let these meters communicate for the first time at `at`, or when provisioned, if that is later."""
        await self._core.keep({"t": "hear_at", "serials": list(serials), "at": stamp(at)})
        for serial in serials:
            self.plan_first_heard(self._core.state.meters[serial])

    async def let_go(self, serials: Sequence[str]) -> None:
        """This will never hear from these meters again, unless they are provisioned anew."""
        await self._core.keep({"t": "left", "serials": list(serials)})

    async def hear(self, meters: Iterable[Meter]) -> None:
        """This will note and tell the first communication of those of the meters that it is due of."""
        # A meter may stand on the heap twice: when it was provisioned again, or a test moved its first communication.
        now = self._core.clock.now()
        dues = {meter.serial: self._first_heard_due(meter) for meter in meters}
        new = [serial for serial, due in dues.items() if due is not None and due <= now]
        if not new:
            return
        heard = [{"serial": serial, "first": True, "at": stamp(now)} for serial in new]
        await self._core.keep({"t": "heard", "serials": new, "at": stamp(now)}, self._heard_pushes(heard))

    # --- the daily collection -----------------------------------------------------------------------------------------

    async def collect(self, slot: tuple[date, int]) -> None:
        """This will collect a slot: snapshots, and the day's interval values of meters that deliver them daily."""
        day, number = slot
        now = self._core.clock.now()
        await self._delay(self._collection.members(day, number), day)
        meters = self._collection.members(day, number)
        overdue = self._collection.overdue(day, number)
        heard = [{"serial": meter.serial, "first": False, "at": stamp(now)} for meter in meters]
        zone = self._core.behaviour.zone
        begin, end = midnight(day - _DAY, zone), midnight(day, zone)
        daily = [meter for meter in meters if self._delivers_daily(meter)]
        twice = await self._spoil([(meter, begin, end) for meter in daily])
        pushes = self._overdue_pushes(overdue, now)
        pushes += self._snapshot_pushes(meters, end) + self._heard_pushes(heard)
        pushes += self._interval_pushes([self._daily_blocks(meter, day) for meter in daily], twice)
        record: Record = {"t": "slot", "day": day.isoformat(), "slot": number, "at": stamp(now), "hits": _hits(twice)}
        record["serials"] = [meter.serial for meter in meters]
        await self._core.keep(record, pushes)
        following = self._collection.next_slot(day, number, now=now)
        self._core.at(self._collection.due(*following), "slot", following)

    async def push_snapshots(self, at: datetime, serials: Sequence[str] | None = None) -> int:
        """This will push the registers as they stood at `at`, of all meters heard or of these, and count the meters."""
        meters = self._heard_meters(serials)
        await self._core.keep({"t": "pushed"}, self._snapshot_pushes(meters, at))
        return len(meters)

    def _snapshot_pushes(self, meters: Sequence[Meter], at: datetime) -> list[Push]:
        printed = stamp(at)
        return [
            push
            for concentrator, chunk in self._core.parts(meters, PUSH_SIZE, serial=lambda meter: meter.serial)
            for push in self._core.push(
                "readings",
                {
                    "readings": [
                        {"serial": meter.serial, **row} for meter in chunk for row in meter.readings(at, printed)
                    ]
                },
                concentrator=concentrator,
            )
        ]

    def _overdue_pushes(self, overdue: Iterable[tuple[date, Meter]], now: datetime) -> list[Push]:
        zone = self._core.behaviour.zone
        pushes: list[Push] = []
        for day, meter in overdue:
            end = midnight(day, zone)
            pushes += self._snapshot_pushes([meter], end)
            if self._delivers_daily(meter):
                twice = end if self._collection.collected_at(meter, day + _DAY) <= now else None
                pushes += self._interval_pushes([self._daily_blocks(meter, day, twice=twice)])
        return pushes

    def _daily_blocks(self, meter: Meter, day: date, *, twice: datetime | None = None) -> list[Block]:
        """This will return the intervals of the day before `day`, and what a second collection adds to those before."""
        first, begin, end = (midnight(day - each * _DAY, self._core.behaviour.zone) for each in (2, 1, 0))
        # A day comes whole where it is late itself.
        again = [] if day - _DAY in meter.late_days else self._profiles.second_telling(meter, first, begin)
        return again + self._profiles.first_telling(meter, begin, end, twice=twice)

    async def _delay(self, meters: Sequence[Meter], day: date) -> None:
        """This will let a fault have what a meter tells of a day come days late."""
        plan = self._core.state.faults.draw("snapshots", [meter.serial for meter in meters])
        zone, seed = self._core.behaviour.zone, self._core.behaviour.seed
        record: Record = {"t": "late_days", "made": [], "hits": []}
        for serial, name in plan.devices.items():
            days = 1 + int(fraction(seed, serial, day, "days late") * _MOST_DAYS_LATE)
            collected_on = day + days * _DAY
            hit: dict[str, Any] = {
                "at": stamp(self._core.clock.now()),
                "kind": "snapshots",
                "correlation_id": None,
                "references": [],
                "serial": serial,
                "from": stamp(midnight(day - _DAY, zone)),
                "to": stamp(midnight(day, zone)),
                "told_at": stamp(self._collection.due(collected_on, LATE_SLOT)),
            }
            record["made"].append([serial, day.isoformat(), collected_on.isoformat()])
            record["hits"].append([name, hit])
        if record["made"]:
            await self._core.keep(record)

    def _delivers_daily(self, meter: Meter) -> bool:
        return bool(meter.collected_since) and self._profiles.period(meter) is None

    def _heard_pushes(self, heard: Sequence[dict[str, Any]]) -> list[Push]:
        return [
            push
            for concentrator, chunk in self._core.parts(heard, PUSH_SIZE, serial=lambda row: str(row["serial"]))
            for push in self._core.push("heard", {"meters": chunk}, concentrator=concentrator)
        ]

    # --- interval values ----------------------------------------------------------------------------------------------

    def plan_delivery(self) -> None:
        """This will plan the next collection of the meters that deliver interval values by themselves."""
        periods = [period for _, period in self._delivering()]
        if not periods:
            return
        shortest = min(periods)
        due = floor(self._core.clock.now() - AFTER_PERIOD, shortest) + shortest + AFTER_PERIOD
        if due not in self._planned:
            self._planned.add(due)
            self._core.at(due, "deliver")

    async def deliver(self) -> None:
        """This will collect what meters that deliver by themselves have measured since the last time."""
        now = self._core.clock.now()
        self._planned = {due for due in self._planned if due > now}
        state = self._core.state
        upto = now - AFTER_PERIOD
        since = max(state.delivered_upto or now - MEMORY, now - MEMORY)
        ranges = [(meter, floor(since, period), floor(upto, period)) for meter, period in self._delivering()]
        twice = await self._spoil([(meter, begin, end) for meter, begin, end in ranges if begin < end])
        blocks = [
            self._profiles.second_telling(meter, begin - SECOND_AFTER, min(begin, end - SECOND_AFTER))
            + self._profiles.first_telling(meter, begin, end, twice=end - SECOND_AFTER)
            for meter, begin, end in ranges
            if begin < end
        ]
        record: Record = {"t": "delivered_upto", "at": stamp(upto), "hits": _hits(twice)}
        await self._core.keep(record, self._interval_pushes(blocks, twice))
        self.plan_delivery()

    async def push_intervals(
        self, begin: datetime, end: datetime, serials: Sequence[str] | None = None, *, estimated: bool = False
    ) -> int:
        """This will push what meters have stored of a period, of all heard or of these, and count those that have."""
        now = self._core.clock.now()
        meters = self._heard_meters(serials)
        blocks = [self._profiles.stored(meter, begin, end, now=now, estimated=estimated) for meter in meters]
        await self._core.keep({"t": "pushed"}, self._interval_pushes(blocks))
        return sum(map(bool, blocks))

    async def make_irregular(self, serial: str, begin: datetime, end: datetime, kind: Kind) -> None:
        """This will make something be wrong with the intervals of a meter that start in [begin, end)."""
        await self._core.keep({"t": "irregular", "made": [[serial, stamp(begin), stamp(end), kind.value]]})

    def _delivering(self) -> list[tuple[Meter, timedelta]]:
        meters = self._core.state.meters.values()
        return [
            (meter, period)
            for meter in meters
            if meter.collected_since and (period := self._profiles.period(meter)) is not None
        ]

    def _heard_meters(self, serials: Sequence[str] | None) -> list[Meter]:
        only = None if serials is None else set(serials)
        return [
            meter
            for meter in self._core.state.meters.values()
            if meter.first_heard_at is not None and (only is None or meter.serial in only)
        ]

    async def _spoil(self, ranges: Sequence[tuple[Meter, datetime, datetime]]) -> dict[str, dict[str, Any]]:
        """This will let faults hit what is about to be collected; returns, by serial, what is to be told twice."""
        told = {
            meter.serial: (max(begin, since), end)
            for meter, begin, end in ranges
            if (since := self._profiles.since(meter)) is not None and since < end
        }
        plan = self._core.state.faults.draw("intervals", list(told)) if told else None
        if plan is None or not plan.devices:
            return {}
        now = stamp(self._core.clock.now())
        twice: dict[str, dict[str, Any]] = {}
        record: Record = {"t": "irregular", "made": [], "hits": []}
        for serial, name in plan.devices.items():
            begin, end = told[serial]
            if name in ("interval_gap", "interval_revised") and end - begin >= timedelta(hours=12):
                begin, end = begin + timedelta(hours=6), begin + timedelta(hours=8)
            hit: dict[str, Any] = {
                "at": now,
                "kind": "intervals",
                "correlation_id": None,
                "references": [],
                "serial": serial,
            }
            hit |= {"from": stamp(begin), "to": stamp(end)}
            if name == "duplicate_block":
                twice[serial] = hit
            else:
                record["made"].append([serial, stamp(begin), stamp(end), _FAULTS[name].value])
                record["hits"].append([name, hit])
        if record["made"]:
            await self._core.keep(record)
        return twice

    def _interval_pushes(self, by_meter: Iterable[list[Block]], twice: Iterable[str] = ()) -> list[Push]:
        told = [blocks for blocks in by_meter if blocks]
        again = set(twice)

        def parts(of: Sequence[list[Block]], size: int) -> list[tuple[str | None, Sequence[list[Block]]]]:
            return self._core.parts(of, size, serial=lambda blocks: str(blocks[0]["serial"]))

        return [
            push
            for concentrator, chunk in (
                *parts(told, INTERVAL_PUSH_SIZE),
                *parts([blocks for blocks in told if blocks[0]["serial"] in again], 1),
            )
            for push in self._core.push(
                "intervals", {"blocks": [block for blocks in chunk for block in blocks]}, concentrator=concentrator
            )
        ]


def _hits(twice: dict[str, dict[str, Any]]) -> list[list[Any]]:
    return [["duplicate_block", hit] for hit in twice.values()]
