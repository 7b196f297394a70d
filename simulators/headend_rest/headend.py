"""The head end itself: takes jobs, carries them out when they are due, and lets all else happen in its time.

One agenda holds everything that will happen, by simulated instant; one loop lets it happen. Whatever changes is a
record, committed to the journal before anybody is told: the client by an answer or a push, a test by the control API.
So after a kill each device order was either carried out and will be told, or was not begun.
"""

import asyncio
import contextlib
import math
import signal
import traceback
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from statistics import NormalDist
from typing import Any
from uuid import uuid4

from simulators.clock import Clock, instant, stamp
from simulators.headend_rest.collecting import Collecting
from simulators.headend_rest.core import Behaviour, Core
from simulators.headend_rest.deliveries import Deliveries, Push
from simulators.headend_rest.events import Event, operated
from simulators.headend_rest.faults import FaultPlan, Plan
from simulators.headend_rest.field import carry_out
from simulators.headend_rest.happenings import Happenings
from simulators.headend_rest.intervals import Profiles
from simulators.headend_rest.jobs import Job, Order, Submission, rejection
from simulators.headend_rest.journal import Journal, Record
from simulators.headend_rest.meters import Meter, fraction
from simulators.headend_rest.snapshots import Collection
from simulators.headend_rest.state import State, job_record, results_push

_TIME_OUT_FACTOR = 10  # a meter is given up after so many median latencies
_LATE_AFTER = timedelta(minutes=10)


class Overloaded(Exception):
    """The head end takes no more jobs for now."""


class ConnectionCut(Exception):
    """The connection of a submit is to be cut without an answer."""


class HeadEnd:
    """This will be the head end behind the API: `restore`, then `start`, then `submit`; `state` is there to read."""

    def __init__(
        self,
        meters: Sequence[Meter],
        *,
        behaviour: Behaviour,
        clock: Clock,
        journal: Journal,
        deliveries: Deliveries,
        faults: FaultPlan,
    ) -> None:
        self.behaviour = behaviour
        self.clock = clock
        self.state = State(meters, seed=behaviour.seed, faults=faults)
        seed, zone, rate = behaviour.seed, behaviour.zone, behaviour.failure_rate
        self.collection = Collection(meters, seed=seed, zone=zone, late_rate=rate)
        self.profiles = Profiles(self.collection, seed=seed, zone=zone, rate=rate, daily=behaviour.daily_profiles)
        self.requests = 0  # being answered now
        self._core = Core(state=self.state, behaviour=behaviour, clock=clock, journal=journal, deliveries=deliveries)
        self.collecting = Collecting(self._core, self.collection, self.profiles)
        self.happenings = Happenings(self._core)
        self._deliveries = deliveries
        self._journal = journal
        self._working = 0
        self._loop: asyncio.Task[None] | None = None

    # --- life ---------------------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """This will rebuild the state from the journal and put on the heap what is still to happen."""
        slot: tuple[date, int] | None = None
        open_pushes: dict[str, Push] = {}
        begun_at: datetime | None = None
        for record in self._journal.replay():
            if record["t"] == "start":
                begun_at = instant(record["at"])
            open_pushes.update((push.delivery_id, push) for push in self.state.apply(record))
            if record["t"] == "slot":
                slot = (date.fromisoformat(record["day"]), record["slot"])
            elif record["t"] == "delivered":
                open_pushes.pop(record["id"], None)
        now = self.clock.now()
        if begun_at is None:
            begun_at = now
            start = {"t": "start", "at": stamp(now), "seed": self.behaviour.seed, "meters": len(self.state.meters)}
            self._journal.note(start)
        for push in open_pushes.values():
            self._deliveries.add(push)
        for job in self.state.jobs.values():
            self._plan(job.orders.values(), job)
        self.collecting.restore(begun_at=begun_at, slot=slot)
        self.happenings.restore(begun_at=begun_at)

    def start(self) -> None:
        """This will begin to let things happen."""
        self._deliveries.start()
        self._loop = asyncio.create_task(self._run())
        self._loop.add_done_callback(_end_of_loop)

    async def stop(self) -> None:
        """This will end the loop; what is still to happen is in the journal."""
        if self._loop is not None:
            self._loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop
        await self._deliveries.stop()
        self._journal.close()

    def activity(self) -> dict[str, Any]:
        """This will tell a steerer of the clock whether anything is going on, and when the next thing will."""
        now = self.clock.now()
        overdue = sum(due <= now for due, _, _ in self._core.agenda)
        later = min((due for due, _, _ in self._core.agenda if due > now), default=None)
        return {
            "now": stamp(now),
            "in_flight": len(self._deliveries.open) + overdue + self.requests + self._working,
            "next_due": None if later is None else stamp(later),
            "outstanding_orders": self.state.outstanding,
            "open_deliveries": len(self._deliveries.open),
            "delivered": self._deliveries.delivered,
            "failed_delivery_attempts": self._deliveries.failures,
        }

    # --- jobs ---------------------------------------------------------------------------------------------------------

    async def submit(self, submission: Submission) -> Job:
        """This will take a job; Overloaded or ConnectionCut where a fault, or the limit, says so."""
        now = await self.clock.refresh()
        if self.state.outstanding + len(submission.orders) > self.behaviour.most_outstanding:
            raise Overloaded
        refusals = [(order, self._refusal(submission, order, now)) for order in submission.orders]
        accepted = [order for order, code in refusals if code is None]
        rejected = [rejection(order, code) for order, code in refusals if code is not None]
        plan = Plan()
        # Whoever scripts a meter wants to see that and nothing else.
        if accepted and not any(self.state.scripted(submission.kind, order.serial) for order in accepted):
            plan = self.state.faults.draw(submission.kind, [order.reference for order in accepted])
        if plan.job in ("never_answers", "overloaded"):
            await self._lose(submission, accepted, plan.job, now)
        draft = self._draft(submission, accepted, rejected, plan, now)
        record = job_record(draft, _hits(draft, plan))
        await self._core.keep(record)
        job = self.state.jobs[draft.token]
        if plan.job == "callback_before_acknowledgement":
            await self._carry_out([(job, list(job.orders.values()))], at_once=True)
        else:
            self._plan(job.orders.values(), job)
        if plan.job == "ambiguous_submit":
            raise ConnectionCut
        return job

    async def _lose(self, submission: Submission, orders: list[Order], fault: str, now: datetime) -> None:
        hit = {
            "at": stamp(now),
            "correlation_id": submission.correlation_id,
            "kind": submission.kind,
            "references": [order.reference for order in orders],
        }
        switches = [
            [order.reference, order.serial, order.wish["state"]] for order in orders if submission.kind == "switch"
        ]
        await self._core.keep({"t": "lost", "fault": fault, "hit": hit, "switches": switches})
        raise ConnectionCut if fault == "never_answers" else Overloaded

    def _refusal(self, submission: Submission, order: Order, now: datetime) -> str | None:
        meter = self.state.meters.get(order.serial)
        if meter is None:
            return "UNKNOWN_METER"
        if submission.kind != "provision" and meter.provisioned_at is None:
            return "NOT_PROVISIONED"
        if submission.kind in ("switch", "switch_state") and meter.breaker is None:
            return "NO_BREAKER"
        if submission.expires_at is not None and submission.expires_at < now:
            return "EXPIRED"
        return None

    def _draft(
        self, submission: Submission, orders: list[Order], rejected: list[dict[str, Any]], plan: Plan, now: datetime
    ) -> Job:
        number = len(self.state.jobs) + 1
        tail = int(fraction(self.behaviour.seed, number, submission.correlation_id) * 16**4)
        for order in orders:
            order.outcome = plan.devices.get(order.reference) or self._outcome(submission.kind, order.serial)
        job = Job(
            token=f"j-{number:012d}-{tail:04x}",
            correlation_id=submission.correlation_id,
            kind=submission.kind,
            callback_url=(submission.callback_url or self.behaviour.callback_url or "").rstrip("/"),
            submitted_at=now,
            expires_at=submission.expires_at,
            orders={order.reference: order for order in orders},
            rejected=rejected,
            duplicate_next_push=plan.job == "duplicate_callback",
        )
        self._set_dues(job, at_once=plan.job == "callback_before_acknowledgement")
        return job

    def _outcome(self, kind: str, serial: str) -> str | None:
        scripted = self.state.scripted(kind, serial)
        if scripted is not None or kind == "provision":
            return scripted
        draw = fraction(self.behaviour.seed, serial, self.state.attempts[serial], "answer")
        return "NO_RESPONSE" if draw < self.behaviour.failure_rate else None

    def _set_dues(self, job: Job, *, at_once: bool) -> None:
        # Device orders of one job end in a few moments, not each in its own: what answers quickly, what answers slowly,
        # what is given up. Each moment is one push.
        instant_end = at_once or job.kind == "provision" or self.behaviour.latency == 0
        ends = [
            (0.0 if instant_end else self._seconds(order), order)
            for order in job.orders.values()
            if order.outcome != "accepts_then_silence"
        ]
        answered = sorted(seconds for seconds, order in ends if order.outcome != "NO_RESPONSE")
        middle = answered[len(answered) // 2] if len(answered) >= 50 else -1.0
        for seconds, order in ends:
            end = seconds
            if order.outcome != "NO_RESPONSE":
                end = middle if seconds <= middle else answered[-1]
            order.due = job.submitted_at + timedelta(seconds=round(end, 3))

    def _seconds(self, order: Order) -> float:
        if order.outcome == "NO_RESPONSE":
            return self.behaviour.latency * _TIME_OUT_FACTOR
        draw = fraction(self.behaviour.seed, order.serial, self.state.attempts[order.serial], "latency")
        return self.behaviour.latency * math.exp(0.6 * NormalDist().inv_cdf(min(max(draw, 1e-6), 1 - 1e-6)))

    # --- the loop -----------------------------------------------------------------------------------------------------

    def _plan(self, orders: Iterable[Order], job: Job) -> None:
        moments: defaultdict[tuple[str, datetime], list[Order]] = defaultdict(list)
        for order in orders:
            if order.due is not None and order.result is None:
                moments["run", order.due].append(order)
            elif order.told_at is not None:
                moments["tell", order.told_at].append(order)
        for (what, due), together in moments.items():
            self._core.at(due, what, (job, together))

    async def _run(self) -> None:
        while True:
            self._core.wake.clear()
            # The daily collection is always on the agenda.
            if not await self.clock.sleep_until(self._core.agenda[0][0], wake=self._core.wake):
                continue
            due: defaultdict[str, list[Any]] = defaultdict(list)
            self._working += 1
            try:
                for what, subject in self._core.take_due(self.clock.now()):
                    due[what].append(subject)
                await self._let_happen(due)
            finally:
                self._working -= 1

    async def _let_happen(self, due: Mapping[str, list[Any]]) -> None:
        await self._carry_out(due.get("run", ()))
        await self._tell(due.get("tell", ()))
        await self.collecting.hear(due.get("hear", ()))
        await self.happenings.tell([event for together in due.get("happen", ()) for event in together])
        if "deliver" in due:
            await self.collecting.deliver()
        for slot in due.get("slot", ()):
            await self.collecting.collect(slot)
            if slot[1] == 0:
                await self.happenings.perhaps_storm()
        for day in due.get("day", ()):
            self.happenings.plan_day(day)

    async def _carry_out(self, runs: Iterable[tuple[Job, list[Order]]], *, at_once: bool = False) -> None:
        now = self.clock.now()
        records: list[Record] = []
        pushes: list[Push] = []
        for job, orders in runs:
            record: Record = {"t": "ran", "token": job.token, "at": stamp(now), "results": [], "operated": []}
            record |= {"held": {}, "delivery_id": f"d-{uuid4().hex}", "copies": 1 + job.duplicate_next_push}
            events: list[Event] = []
            for order in orders:
                meter = self.state.meters[order.serial]
                result, has_operated = carry_out(
                    meter, job=job, order=order, now=now, zone=self.behaviour.zone, profiles=self.profiles
                )
                record["results"].append(result)
                if has_operated:
                    record["operated"].append(order.reference)
                    events.append(operated(order.serial, order.wish["state"], now, reference=order.reference))
                told_at = _told_at(job, order, now)
                if told_at is not None:
                    record["held"][order.reference] = stamp(told_at)
            if events:
                told, hits = self.happenings.pushes(events)
                record |= {"events": events, "hits": hits, "pushes": [push.record() for push in told]}
            pushes += self.state.apply(record)
            records.append(record)
        if not records:
            return
        await self._journal.commit(*records)
        for job, orders in runs:
            self._plan(orders, job)
            if job.kind == "provision":
                for order in orders:
                    self.collecting.plan_first_heard(self.state.meters[order.serial])
                self.collecting.plan_delivery()
        for push in pushes:
            if at_once:
                await self._deliveries.push_at_once(push)
            else:
                self._deliveries.add(push)

    async def _tell(self, held: Iterable[tuple[Job, list[Order]]]) -> None:
        for job, orders in held:
            results = [order.result for order in orders if order.result is not None]
            record: Record = {"t": "told", "token": job.token, "references": [order.reference for order in orders]}
            await self._core.keep(record, results_push(job, results, f"d-{uuid4().hex}"))

    # --- scripts ------------------------------------------------------------------------------------------------------

    async def script(self, serial: str, kind: str | None, outcomes: list[str]) -> None:
        """This will make the next device orders of a meter (of one kind, or any) end as told, one after the other."""
        await self._core.keep({"t": "script", "serial": serial, "kind": kind, "outcomes": outcomes})

    async def arm(self, name: str, times: int) -> None:
        """This will make a named fault fire more often."""
        await self._core.keep({"t": "arm", "name": name, "times": times})


def _end_of_loop(loop: asyncio.Task[None]) -> None:
    """This will end the process when the loop broke: a head end that answers but does nothing would mislead."""
    if loop.cancelled() or loop.exception() is None:
        return
    traceback.print_exception(loop.exception())
    signal.raise_signal(signal.SIGTERM)


def _hits(job: Job, plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    base = {
        "at": stamp(job.submitted_at),
        "token": job.token,
        "correlation_id": job.correlation_id,
        "kind": job.kind,
    }
    hits = [] if plan.job is None else [(plan.job, {**base, "references": list(job.orders)})]
    hits += [
        (name, {**base, "references": [reference], "serial": job.orders[reference].serial})
        for reference, name in plan.devices.items()
    ]
    return hits


def _told_at(job: Job, order: Order, now: datetime) -> datetime | None:
    """This will tell when the result of an order that misbehaves by lateness may be told; None for at once."""
    if order.outcome == "late_result":
        return max(now, job.expires_at or now + timedelta(hours=1)) + _LATE_AFTER
    if order.outcome is not None and order.outcome.startswith("late:"):
        return now + timedelta(seconds=float(order.outcome.removeprefix("late:")))
    return None
