"""Orders under way: device orders are carried out when they are due, and their results told when they may be."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import uuid4

from simulators.clock import stamp
from simulators.fleet.collecting import Collecting
from simulators.fleet.core import Core
from simulators.fleet.deliveries import Push
from simulators.fleet.dues import told_at
from simulators.fleet.events import Event, operated
from simulators.fleet.field import carry_out
from simulators.fleet.happenings import Happenings, Planned
from simulators.fleet.intervals import Profiles
from simulators.fleet.jobs import Job, Order
from simulators.fleet.journal import Record


class Running:
    """This will carry out device orders and tell what came of them; the loop calls `carry_out` and `tell` when due.

    `told` is notified whenever results may be told that could not be told before.
    """

    def __init__(
        self,
        core: Core,
        *,
        profiles: Profiles,
        collecting: Collecting,
        happenings: Happenings,
        concentrators_speak: bool,
    ) -> None:
        self.told = asyncio.Condition()
        self._core = core
        self._profiles = profiles
        self._collecting = collecting
        self._happenings = happenings
        self._concentrators_speak = concentrators_speak

    def plan(self, orders: Iterable[Order], job: Job) -> None:
        """This will let device orders of a job be carried out, or told, when they are due."""
        moments: defaultdict[tuple[str, datetime], list[Order]] = defaultdict(list)
        for order in orders:
            if order.due is not None and order.result is None:
                moments["run", order.due].append(order)
            elif order.told_at is not None:
                moments["tell", order.told_at].append(order)
        for (what, due), together in moments.items():
            self._core.at(due, what, (job, together))

    async def carry_out(self, runs: Sequence[tuple[Job, list[Order]]], *, at_once: bool = False) -> None:
        """This will carry out device orders; `at_once` returns only when their results are told."""
        core, now = self._core, self._core.clock.now()
        records: list[Record] = []
        pushes: list[Push] = []
        planned: list[Planned] = []
        for job, orders in runs:
            record: Record = {"t": "ran", "token": job.token, "at": stamp(now), "results": [], "operated": []}
            record |= {"held": {}, "silent": [], "delivery_id": f"d-{uuid4().hex}"}
            events: list[Event] = []
            for order in orders:
                is_reached = job.kind == "provision" or core.state.is_reached(order.serial)
                if not is_reached and self._concentrators_speak:
                    record["silent"].append(order.reference)
                    continue
                result, obeys = carry_out(
                    core.state.meters[order.serial],
                    job=job,
                    order=order,
                    now=now,
                    zone=core.behaviour.zone,
                    profiles=self._profiles,
                    is_reached=is_reached,
                )
                record["results"].append(result)
                if obeys:
                    record["operated"].append(order.reference)
                if obeys and job.kind == "switch":
                    events.append(operated(order.serial, order.wish["state"], now, reference=order.reference))
                later = told_at(job, order, now)
                if later is not None:
                    record["held"][order.reference] = stamp(later)
            if events:
                telling = self._happenings.telling(events)
                record |= telling.record() | {"pushes": [push.record() for push in telling.pushes]}
                planned += telling.planned
            pushes += core.state.apply(record)
            records.append(record)
        if not records:
            return
        await core.journal.commit(*records)
        self._happenings.plan(planned)
        for job, orders in runs:
            self.plan(orders, job)
            if job.kind == "provision":
                for order in orders:
                    self._collecting.plan_first_heard(core.state.meters[order.serial])
                self._collecting.plan_delivery()
        async with self.told:
            self.told.notify_all()
        for push in pushes:
            if at_once:
                await core.deliveries.push_at_once(push)
            else:
                core.deliveries.add(push)

    async def tell(self, held: Iterable[tuple[Job, list[Order]]]) -> None:
        """This will tell results that were held back."""
        for job, orders in held:
            record: Record = {"t": "told", "token": job.token, "references": [order.reference for order in orders]}
            record["delivery_id"] = f"d-{uuid4().hex}"
            await self._core.keep(record)
            async with self.told:
                self.told.notify_all()
