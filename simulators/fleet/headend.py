"""The head end itself: takes jobs, carries them out when they are due, and lets all else happen in its time.

It is the same for all kinds: what a face reads from its protocol comes in by `submit`, what is to be told goes out by
`Face.deliver`.

One agenda holds everything that will happen, by simulated instant; one loop lets it happen. Whatever changes is a
record, committed to the journal before anybody is told: the client by an answer or a push, a test by the control API.
So after a kill each device order was either carried out and will be told, or was not begun.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from simulators.clock import Clock, instant, stamp
from simulators.fleet import absences
from simulators.fleet.absences import Absences
from simulators.fleet.collecting import Collecting
from simulators.fleet.concentrators import spread
from simulators.fleet.core import Behaviour, Core
from simulators.fleet.deliveries import Deliveries, Push
from simulators.fleet.dues import set_dues
from simulators.fleet.face import Face
from simulators.fleet.faults import FIRST_PROVISION, Answer, FaultPlan, Plan
from simulators.fleet.field import refusal
from simulators.fleet.happenings import Happenings
from simulators.fleet.intervals import Profiles
from simulators.fleet.jobs import Job, Order, Submission, rejection
from simulators.fleet.journal import Journal
from simulators.fleet.meters import Meter, fraction
from simulators.fleet.running import Running
from simulators.fleet.snapshots import Collection
from simulators.fleet.state import State, hits_of, job_record
from simulators.fleet.tasks import ends_all


class Overloaded(Exception):
    """The head end takes no more jobs for now."""


class TooLarge(Exception):
    """A submit has more device orders than the head end takes at once."""

    def __init__(self, most: int) -> None:
        super().__init__(f"more than {most} device orders")
        self.most = most


class Misanswered(Exception):
    """A submit is to be answered as the fault says that fired: the connection cut, an error, nonsense.

    `job` is there when it was carried out all the same, None when nothing was done.
    """

    def __init__(self, fault: str, job: Job | None = None) -> None:
        super().__init__(fault)
        self.fault = fault
        self.job = job


class HeadEnd:
    """This will be the head end behind a face: `restore`, then `start`, then `submit`; `state` is there to read."""

    def __init__(
        self,
        meters: Sequence[Meter],
        *,
        behaviour: Behaviour,
        clock: Clock,
        journal: Journal,
        faults: FaultPlan,
        face: Face,
    ) -> None:
        self.behaviour = behaviour
        self.clock = clock
        self.face = face
        face.head_end = self
        self.state = State(
            meters,
            seed=behaviour.seed,
            faults=faults,
            completion=face.completion,
            needs_address=face.needs_address,
            concentrators_speak=face.concentrators_speak,
            concentrators=spread(meters, over=behaviour.concentrators, limit=behaviour.concentrator_limit),
        )
        seed, zone, rate = behaviour.seed, behaviour.zone, behaviour.network.incomplete
        self.collection = Collection(meters, seed=seed, zone=zone, late_rate=rate)
        self.profiles = Profiles(self.collection, seed=seed, zone=zone, rate=rate, daily=behaviour.daily_profiles)
        deliveries = Deliveries(journal, deliver=face.deliver)
        self._core = Core(
            state=self.state,
            behaviour=behaviour,
            clock=clock,
            journal=journal,
            deliveries=deliveries,
            needs_address=face.needs_address,
        )
        self.collecting = Collecting(self._core, self.collection, self.profiles)
        self.happenings = Happenings(self._core)
        self._running = Running(
            self._core,
            profiles=self.profiles,
            collecting=self.collecting,
            happenings=self.happenings,
            concentrators_speak=face.concentrators_speak,
        )
        self._absences = Absences(self._core, changed=face.concentrator_changed)
        self._deliveries = deliveries
        self._journal = journal
        self._answering = 0  # requests being answered now
        self._waiting = 0  # of these, those that wait for the meters
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
        self._absences.restore()
        for push in open_pushes.values():
            self._deliveries.add(push)
        for job in self.state.jobs.values():
            self._running.plan(job.orders.values(), job)
        self.collecting.restore(begun_at=begun_at, slot=slot)
        self.happenings.restore(begun_at=begun_at)

    async def start(self) -> None:
        """This will begin to let things happen."""
        await self.face.start()
        self._deliveries.start()
        self._loop = asyncio.create_task(self._run())
        self._loop.add_done_callback(ends_all)

    async def stop(self) -> None:
        """This will end the loop; what is still to happen is in the journal."""
        if self._loop is not None:
            # More than once: asyncio.wait_for forgets a cancellation that comes with what it waits for (Python 3.11).
            while not self._loop.done():
                self._loop.cancel()
                await asyncio.wait([self._loop], timeout=0.1)
        await self._deliveries.stop()
        await self.face.stop()
        self._journal.close()

    def activity(self) -> dict[str, Any]:
        """This will tell a steerer of the clock whether anything is going on, and when the next thing will."""
        now = self.clock.now()
        overdue = sum(due <= now for due, _, _ in self._core.agenda)
        later = min((due for due, _, _ in self._core.agenda if due > now), default=None)
        return {
            "now": stamp(now),
            "in_flight": self._deliveries.under_way
            + self.face.under_way()
            + overdue
            + self._answering
            - self._waiting
            + self._working,
            "next_due": None if later is None else stamp(later),
            "outstanding_orders": self.state.outstanding,
            "open_deliveries": len(self._deliveries.open),
            "delivered": self._deliveries.delivered,
            "failed_delivery_attempts": self._deliveries.failures,
        }

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """This will count a request of the client that is being answered as something going on."""
        self._answering += 1
        try:
            yield
        finally:
            self._answering -= 1

    # --- jobs ---------------------------------------------------------------------------------------------------------

    async def submit(self, submission: Submission) -> Job:
        """This will take a job; Overloaded, TooLarge, or Misanswered where a fault says so."""
        now = await self.clock.refresh()
        if self.state.outstanding + len(submission.orders) > self.behaviour.most_outstanding:
            raise Overloaded
        most = self.behaviour.network.batch
        if most is not None and len(submission.orders) > most:
            raise TooLarge(most)
        if submission.is_asked and self.is_closed(now):
            raise Misanswered("maintenance_window")
        refusals = [(order, self._refusal(submission, order, now)) for order in submission.orders]
        accepted = [order for order, code in refusals if code is None]
        rejected = [rejection(order, code) for order, code in refusals if code is not None]
        plan = Plan()
        # Whoever scripts a meter wants to see that and nothing else.
        if accepted and not any(self.state.scripted(submission.kind, order.serial) for order in accepted):
            plan = self._draw(submission, accepted)
        answer = Answer.USUAL if plan.job is None else self.state.faults.table[plan.job].answer
        if answer is Answer.LOST:
            await self._lose(submission, accepted, plan.job or "", now)
        for order in list(accepted):
            if plan.devices.get(order.reference) == "per_meter_reject":
                accepted.remove(order)
                rejected.append(rejection(order, "BUSY"))
        draft = self._draft(submission, accepted, rejected, plan, now)
        hits = hits_of(draft, plan, submission)
        away = [hit for name, hit in hits if name == absences.FAULT]
        await self._core.keep(job_record(draft, [each for each in hits if each[0] != absences.FAULT]))
        job = self.state.jobs[draft.token]
        if away and accepted:
            await self._absences.begin([order.serial for order in accepted], away[0])
        if plan.job == "callback_before_acknowledgement":
            await self._running.carry_out([(job, list(job.orders.values()))], at_once=True)
        else:
            self._running.plan(job.orders.values(), job)
        if answer is Answer.DONE:
            raise Misanswered(plan.job or "", job)
        return job

    def is_closed(self, now: datetime) -> bool:
        """This will tell whether it takes no jobs now, for maintenance."""
        return self.state.closed_until is not None and now < self.state.closed_until

    async def admit(self, kind: str, **hit: Any) -> None:
        """This will let pass a call of a kind of job that the face answers by itself; Misanswered as by `submit`."""
        fault = "maintenance_window" if self.is_closed(self.clock.now()) else await self.misfortune(kind, **hit)
        if fault is not None:
            raise Misanswered(fault)

    async def ended(self, job: Job, *, within: float) -> bool:
        """This will wait until all results of a job may be told, `within` real seconds at most; False when in vain.

        While it waits, nothing is going on: simulated time may pass.
        """
        self._waiting += 1
        try:
            async with asyncio.timeout(within), self._running.told:
                await self._running.told.wait_for(lambda: job.is_done(self.clock.now()))
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1
        return True

    async def misfortune(self, place: str, **hit: Any) -> str | None:
        """This will draw a fault of the face's own for a place of its own, count it, and return its name.

        What is given beside the place is told with the hit: `serial` or `serials` where it concerns single meters.
        """
        name = self.state.faults.draw(place, [place]).job
        if name is not None:
            account = {"at": stamp(self.clock.now()), "kind": place, "correlation_id": None, "references": [], **hit}
            await self._core.keep({"t": "hit", "hits": [[name, account]]})
        return name

    async def tell(self, topic: str, body: dict[str, Any]) -> None:
        """This will tell something under a topic of the face's own, until it is safely there."""
        await self._core.keep({"t": "pushed"}, self._core.push(topic, body))

    def _draw(self, submission: Submission, orders: Sequence[Order]) -> Plan:
        states = {order.wish["state"] for order in orders} if submission.kind == "switch" else set()
        references = [order.reference for order in orders]
        if not submission.is_asked:
            return self.state.faults.draw(FIRST_PROVISION, references)
        wanted = states.pop() if len(states) == 1 else None
        serials = [order.serial for order in orders]
        if submission.kind != "provision":
            also = self._absences.places(serials)
        else:
            is_first = all(self.state.meters[serial].provisioned_at is None for serial in serials)
            also = (FIRST_PROVISION,) if is_first else ()
        return self.state.faults.draw(submission.kind, references, wanted_state=wanted, also=also)

    async def _lose(self, submission: Submission, orders: list[Order], fault: str, now: datetime) -> None:
        hit = {
            "at": stamp(now),
            "correlation_id": submission.correlation_id,
            "kind": submission.kind,
            "references": [order.reference for order in orders],
            "serials": [order.serial for order in orders],
        }
        switches = [
            [order.reference, order.serial, order.wish["state"]] for order in orders if submission.kind == "switch"
        ]
        await self._core.keep({"t": "lost", "fault": fault, "hit": hit, "switches": switches})
        raise Misanswered(fault)

    def _refusal(self, submission: Submission, order: Order, now: datetime) -> str | None:
        code = refusal(self.state.meters.get(order.serial), submission.kind)
        if code is None and submission.expires_at is not None and submission.expires_at < now:
            return "EXPIRED"
        return code

    def _draft(
        self, submission: Submission, orders: list[Order], rejected: list[dict[str, Any]], plan: Plan, now: datetime
    ) -> Job:
        number = len(self.state.jobs) + 1
        tail = int(fraction(self.behaviour.seed, number, submission.correlation_id) * 16**4)
        for order in orders:
            order.outcome = plan.devices.get(order.reference) or self._outcome(submission.kind, order.serial, now)
        job = Job(
            token=f"j-{number:012d}-{tail:04x}",
            correlation_id=submission.correlation_id,
            kind=submission.kind,
            callback_url=(submission.callback_url or self.behaviour.callback_url or "").rstrip("/"),
            submitted_at=now,
            expires_at=submission.expires_at,
            orders={order.reference: order for order in orders},
            rejected=rejected,
            callback_fault=plan.job,
        )
        at_once = plan.job == "callback_before_acknowledgement"
        set_dues(job, state=self.state, behaviour=self.behaviour, at_once=at_once)
        return job

    def _outcome(self, kind: str, serial: str, now: datetime) -> str | None:
        scripted = self.state.scripted(kind, serial)
        if scripted is not None or kind == "provision":
            return scripted
        answers = self.behaviour.network.answers(
            self.state.meters[serial], seed=self.behaviour.seed, attempt=self.state.attempts[serial], at=now
        )
        return None if answers else "NO_RESPONSE"

    # --- the loop -----------------------------------------------------------------------------------------------------

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
        await self._running.carry_out(due.get("run", ()))
        await self._running.tell(due.get("tell", ()))
        await self._absences.end(due.get("back", ()))
        await self.collecting.hear(due.get("hear", ()))
        await self.happenings.tell([event for together in due.get("happen", ()) for event in together])
        if "deliver" in due:
            await self.collecting.deliver()
        for slot in due.get("slot", ()):
            if slot[1] == 0:
                await self._perhaps_away()
            await self.collecting.collect(slot)
            if slot[1] == 0:
                await self.happenings.befall()
        for day in due.get("day", ()):
            self.happenings.plan_day(day)

    async def _perhaps_away(self) -> None:
        serials = [meter.serial for meter in self.state.meters.values() if meter.first_heard_at is not None]
        places = self._absences.places(serials)
        if places and self.state.faults.draw(places[0], serials[:1]).job == absences.FAULT:
            at = stamp(self.clock.now())
            hit = {"at": at, "kind": "collection", "correlation_id": None, "references": list[str]()}
            await self._absences.begin(serials, hit)

    # --- scripts ------------------------------------------------------------------------------------------------------

    async def script(self, serial: str, kind: str | None, outcomes: list[str]) -> None:
        """This will make the next device orders of a meter (of one kind, or any) end as told, one after the other."""
        await self._core.keep({"t": "script", "serial": serial, "kind": kind, "outcomes": outcomes})

    async def arm(self, name: str, times: int) -> None:
        """This will make a named fault fire more often."""
        await self._core.keep({"t": "arm", "name": name, "times": times})

    async def set_concentrator(self, name: str, *, is_online: bool) -> None:
        """This will take a concentrator away, or bring it back with all that it has to tell."""
        await self._absences.set(name, is_online=is_online)
