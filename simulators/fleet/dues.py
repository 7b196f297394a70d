"""When device orders end, and when their results may be told."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from simulators.fleet.core import Behaviour
from simulators.fleet.jobs import Job, Order
from simulators.fleet.state import State

_LATE_AFTER = timedelta(minutes=10)


class _End(NamedTuple):
    """When a device order ends, in seconds, and whether that is because the meter is given up."""

    seconds: float
    is_given_up: bool
    order: Order


def set_dues(job: Job, *, state: State, behaviour: Behaviour, at_once: bool) -> None:
    """This will set when the device orders of a job end, by the network that they go through; `at_once` for all now."""
    network = behaviour.network
    ends = [
        _end(order, job.kind, state=state, behaviour=behaviour)
        for order in job.orders.values()
        if order.outcome != "accepts_then_silence"
    ]
    if at_once or job.kind == "provision" or network.median == 0:
        for end in ends:
            end.order.due = job.submitted_at
    elif network.name == "none":
        _end_together(ends, job)
    elif network.is_serial:
        _one_after_the_other(ends, job, state=state)
    else:
        for end in ends:
            end.order.due = job.submitted_at + timedelta(seconds=round(end.seconds))


def told_at(job: Job, order: Order, now: datetime) -> datetime | None:
    """This will tell when the result of an order that misbehaves by lateness may be told; None for at once."""
    if order.outcome == "late_result":
        return max(now, job.expires_at or now + timedelta(hours=1)) + _LATE_AFTER
    if order.outcome is not None and order.outcome.startswith("late:"):
        return now + timedelta(seconds=float(order.outcome.removeprefix("late:")))
    return None


def _end(order: Order, kind: str, *, state: State, behaviour: Behaviour) -> _End:
    network, meter = behaviour.network, state.meters[order.serial]
    if order.outcome == "NO_RESPONSE" or not state.is_reached(order.serial):
        return _End(network.time_out, True, order)
    attempt = state.attempts[order.serial]
    return _End(network.seconds(meter, seed=behaviour.seed, attempt=attempt, kind=kind), False, order)


def _end_together(ends: Sequence[_End], job: Job) -> None:
    """Let device orders end in a few moments, not each in its own: what answers quickly, slowly, never.

    Each moment is one push.
    """
    answered = sorted(end.seconds for end in ends if not end.is_given_up)
    middle = answered[len(answered) // 2] if len(answered) >= 50 else -1.0
    for end in ends:
        seconds = end.seconds
        if not end.is_given_up:
            seconds = middle if end.seconds <= middle else answered[-1]
        end.order.due = job.submitted_at + timedelta(seconds=round(seconds, 3))


def _one_after_the_other(ends: Sequence[_End], job: Job, *, state: State) -> None:
    busy = {name: concentrator.busy_until for name, concentrator in state.concentrators.items()}
    for end in ends:
        name = state.meters[end.order.serial].concentrator or ""
        begin = max(job.submitted_at, busy.get(name) or job.submitted_at)
        busy[name] = end.order.due = begin + timedelta(seconds=round(end.seconds))
