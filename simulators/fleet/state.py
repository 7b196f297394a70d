"""All that can change about the head end, and the only place that changes it: `State.apply`.

A record of the journal is one fact. Live, it is made, applied, committed, and only then told; after a kill the same
records are applied again, in the same order. So there are no two codes for one change.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from simulators.clock import instant, stamp
from simulators.fleet.callbacks import SPOILING, Completion, can_spoil, tellings
from simulators.fleet.concentrators import Concentrator
from simulators.fleet.deliveries import Push
from simulators.fleet.events import Event, Log
from simulators.fleet.faults import FaultPlan, Plan
from simulators.fleet.field import obey, provision, roll_over_soon
from simulators.fleet.jobs import Job, Order, Submission
from simulators.fleet.journal import Record
from simulators.fleet.meters import Irregularity, Kind, Meter

# A result with one of these codes does not show that the meter communicated.
_UNHEARD = ("NO_RESPONSE", "EXPIRED", "BUSY")

_MAINTENANCE = timedelta(minutes=1)


class StateMismatch(Exception):
    """The state file belongs to other meters."""


@dataclass(kw_only=True, slots=True)
class SwitchCount:
    """How often a switch command with one reference reached this head end, and what that did."""

    serial: str
    state: str
    received: int = 0
    executed: int = 0
    lost: int = 0  # submits that ended before anything was done: cut off, or answered 503


class State:
    """This will hold meters, jobs, counts and scripts as the records applied so far left them."""

    def __init__(
        self,
        meters: Sequence[Meter],
        *,
        seed: int,
        faults: FaultPlan,
        completion: Completion,
        needs_address: bool,
        concentrators_speak: bool,
        concentrators: Mapping[str, Concentrator],
    ) -> None:
        self.meters = {meter.serial: meter for meter in meters}
        self.faults = faults
        self.concentrators = concentrators
        self.closed_until: datetime | None = None  # for maintenance
        self.jobs: dict[str, Job] = {}
        self.by_correlation: defaultdict[str, list[Job]] = defaultdict(list)
        self.switch_counts: dict[str, SwitchCount] = {}
        self.attempts: defaultdict[str, int] = defaultdict(int)  # device orders a meter has had
        self.outstanding = 0  # device orders still to be carried out
        self.hear_at: dict[str, datetime] = {}
        self.log = Log()  # the events heard of
        self.planned_events: dict[str, tuple[datetime, Event]] = {}  # by id: those still to be told, and when
        self.delivered_upto: datetime | None = None  # by meters that deliver interval values by themselves
        self._seed = seed
        self._completion = completion
        self._needs_address = needs_address
        self._concentrators_speak = concentrators_speak
        self._neighbours = dict(zip(self.meters, [*list(self.meters)[1:], *list(self.meters)[:1]], strict=True))
        self._scripts: defaultdict[str, list[tuple[str | None, str]]] = defaultdict(list)

    def scripted(self, kind: str, serial: str) -> str | None:
        """This will return how the next device order of this kind for this meter is told to end, or None."""
        step = self._step(kind, serial)
        return None if step is None else step[1]

    def is_reached(self, serial: str) -> bool:
        """This will tell whether the head end reaches a meter: whether the concentrator it is behind is there."""
        concentrator = self.concentrators.get(self.meters[serial].concentrator or "")
        return concentrator is None or concentrator.is_online

    def apply(self, record: Record) -> list[Push]:
        """This will change the state by one record and return the pushes it caused."""
        pushes = [Push.from_record(push) for push in record.get("pushes", ())]
        for name, hit in record.get("hits", ()):
            self._fired(name, hit)
        for event in record.get("events", ()):
            self.log.add([event])
            self.planned_events.pop(event["event_id"], None)
        for told_at, event in record.get("planned", ()):
            self.planned_events[event["event_id"]] = (instant(told_at), event)
        match record["t"]:
            case "start":
                if (record["seed"], record["meters"]) != (self._seed, len(self.meters)):
                    raise StateMismatch(
                        f"the state file is of {record['meters']} meters of seed {record['seed']}, "
                        f"not of {len(self.meters)} of seed {self._seed}"
                    )
            case "job":
                self._take(record)
            case "ran":
                pushes += self._carried_out(record)
            case "told":
                pushes += self._told(record)
            case "concentrator":
                concentrator = self.concentrators[record["name"]]
                concentrator.is_online = record["online"]
                concentrator.back_at = instant(record["back_at"]) if "back_at" in record else None
            case "heard":
                for serial in record["serials"]:
                    meter = self.meters[serial]
                    meter.first_heard_at = meter.last_heard_at = instant(record["at"])
            case "left":
                for serial in record["serials"]:
                    meter = self.meters[serial]
                    meter.device_id = meter.provisioned_at = meter.provisioned_registers = meter.first_heard_at = None
                    self.hear_at.pop(serial, None)
            case "slot":
                for serial in record["serials"]:
                    self.meters[serial].last_heard_at = instant(record["at"])
            case "hear_at":
                self.hear_at.update(dict.fromkeys(record["serials"], instant(record["at"])))
            case "script":
                self._scripts[record["serial"]] += [(record["kind"], outcome) for outcome in record["outcomes"]]
            case "arm":
                self.faults.arm(record["name"], record["times"])
            case "lost":
                self._fired(record["fault"], record["hit"])
                for reference, serial, state in record["switches"]:
                    self._count(reference, serial, state).lost += 1
            case "delivered_upto":
                self.delivered_upto = instant(record["at"])
            case "irregular":
                for serial, begin, end, kind in record["made"]:
                    made = Irregularity(begin=instant(begin), end=instant(end), kind=Kind(kind))
                    self.meters[serial].irregularities.append(made)
            case "late_days":
                for serial, late_day, collected_on in record["made"]:
                    self.meters[serial].late_days[date.fromisoformat(late_day)] = date.fromisoformat(collected_on)
            case "clocks_set":
                for serial in record["serials"]:
                    obey(self.meters[serial], "set_time", {}, instant(record["at"]))
            case "exchanged":
                for serial in record["serials"]:
                    self.meters[serial].exchanged_at.append(instant(record["at"]))
        return pushes

    def _fired(self, name: str, hit: dict[str, Any]) -> None:
        self.faults.fired(name, hit)
        if name == "maintenance_window":
            self.closed_until = instant(hit["at"]) + _MAINTENANCE

    def _take(self, record: Record) -> None:
        job = Job(
            token=record["token"],
            correlation_id=record["correlation_id"],
            kind=record["kind"],
            callback_url=record["callback_url"],
            submitted_at=instant(record["submitted_at"]),
            expires_at=None if record["expires_at"] is None else instant(record["expires_at"]),
            orders={order[1]: Order.from_record(order) for order in record["orders"]},
            rejected=record["rejected"],
            callback_fault=record["callback_fault"],
        )
        self.jobs[job.token] = job
        self.by_correlation[job.correlation_id.lower()].append(job)
        for order in job.orders.values():
            if order.due is not None:
                self.outstanding += 1
                self._begin(job, order, order.due)
            self.attempts[order.serial] += 1
            step = self._step(job.kind, order.serial)
            if step is not None:
                self._scripts[order.serial].remove(step)
            if job.kind == "switch":
                self._count(order.reference, order.serial, order.wish["state"]).received += 1

    def _carried_out(self, record: Record) -> list[Push]:
        job, at = self.jobs[record["token"]], instant(record["at"])
        operated = set(record["operated"])
        for result in record["results"]:
            order = job.orders[result["reference"]]
            order.result = result
            self._end(job, order)
            meter = self.meters[order.serial]
            if order.reference in operated:
                obey(meter, job.kind, order.wish, at)
                if job.kind == "switch":
                    self.switch_counts[order.reference].executed += 1
            if job.kind != "provision":
                if result["code"] not in _UNHEARD:
                    meter.last_heard_at = at
            elif result["status"] == "ok":
                provision(meter, order.wish, at)
                if order.outcome == "register_rollover":
                    roll_over_soon(meter, at, seed=self._seed)
            if job.kind == "read_intervals" and result["status"] == "ok":
                meter.read_again.append((instant(order.wish["period"]["from"]), instant(order.wish["period"]["to"])))
        for reference, told_at in record["held"].items():
            job.orders[reference].told_at = instant(told_at)
        for reference in record["silent"]:
            job.orders[reference].due = None
            self._end(job, job.orders[reference])
        told = [result for result in record["results"] if result["reference"] not in record["held"]]
        return self._tellings(job, told, record["delivery_id"])

    def _told(self, record: Record) -> list[Push]:
        job = self.jobs[record["token"]]
        for reference in record["references"]:
            job.orders[reference].told_at = None
        results = [job.orders[reference].result for reference in record["references"]]
        return self._tellings(job, [result for result in results if result is not None], record["delivery_id"])

    def _tellings(self, job: Job, results: list[dict[str, Any]], delivery_id: str) -> list[Push]:
        if not results or (self._needs_address and not job.callback_url):
            return []
        stranger, fault = self._neighbours[results[0]["serial"]], job.callback_fault
        has_more = any(order.result is None or order.told_at is not None for order in job.orders.values())
        pushes = tellings(
            job,
            results,
            delivery_id=delivery_id,
            completion=self._completion,
            stranger=stranger,
            has_more=has_more,
        )
        if can_spoil(fault, results):
            job.callback_fault = None
            if (pushes or self._completion is Completion.POLL) and fault in SPOILING:
                self.faults.told(fault, job.token, _spoiled(fault, results, stranger))
        elif fault is not None and not has_more:
            self.faults.missed(fault, job.token)
        behind = {self.meters[result["serial"]].concentrator for result in results}
        if self._concentrators_speak and len(behind) == 1:
            for push in pushes:
                [push.concentrator] = behind
        return pushes

    def _begin(self, job: Job, order: Order, due: datetime) -> None:
        concentrator = self.concentrators.get(self.meters[order.serial].concentrator or "")
        if concentrator is not None and job.kind != "provision":
            concentrator.begin()
            concentrator.busy_until = max(due, concentrator.busy_until or due)

    def _end(self, job: Job, order: Order) -> None:
        self.outstanding -= 1
        concentrator = self.concentrators.get(self.meters[order.serial].concentrator or "")
        if concentrator is not None and job.kind != "provision":
            concentrator.end()

    def _step(self, kind: str, serial: str) -> tuple[str | None, str] | None:
        return next((step for step in self._scripts.get(serial, ()) if step[0] in (None, kind)), None)

    def _count(self, reference: str, serial: str, state: str) -> SwitchCount:
        return self.switch_counts.setdefault(reference, SwitchCount(serial=serial, state=state))


def _spoiled(fault: str, results: Sequence[dict[str, Any]], stranger: str) -> dict[str, Any]:
    """This will name the meters whose results a fault has spoiled in the telling."""
    if fault == "wrong_meter_in_callback":
        return {"serials": [results[0]["serial"]], "serial": results[0]["serial"], "stranger": stranger}
    return {"serials": [result["serial"] for result in results]}


def hits_of(job: Job, plan: Plan, submission: Submission) -> list[tuple[str, dict[str, Any]]]:
    """This will account for what goes wrong with a job just taken."""
    base = {
        "at": stamp(job.submitted_at),
        "token": job.token,
        "correlation_id": job.correlation_id,
        "kind": job.kind,
    }
    serials = {order.reference: order.serial for order in submission.orders}
    whole = {"references": list(job.orders), "serials": [order.serial for order in job.orders.values()]}
    hits = [] if plan.job is None else [(plan.job, {**base, **whole})]
    hits += [
        (name, {**base, "references": [reference], "serial": serials[reference]})
        for reference, name in plan.devices.items()
    ]
    return hits


def job_record(job: Job, hits: list[tuple[str, dict[str, Any]]]) -> Record:
    """This will print a job just taken, with the faults that fired on it, as the record `apply` reads."""
    return {
        "t": "job",
        "token": job.token,
        "correlation_id": job.correlation_id,
        "kind": job.kind,
        "callback_url": job.callback_url,
        "submitted_at": stamp(job.submitted_at),
        "expires_at": None if job.expires_at is None else stamp(job.expires_at),
        "callback_fault": job.callback_fault,
        "orders": [order.record() for order in job.orders.values()],
        "rejected": job.rejected,
        "hits": hits,
    }
