"""When device orders end, and when their results may be told."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from simulators.fleet.jobs import Job, Order

_LATE_AFTER = timedelta(minutes=10)


class End(NamedTuple):
    """When a device order ends, in seconds, and whether that is because the meter is given up."""

    seconds: float
    is_given_up: bool
    order: Order


def end_together(ends: Sequence[End], job: Job) -> None:
    """This will let device orders end in a few moments, not each in its own: what answers quickly, slowly, never.

    Each moment is one push.
    """
    answered = sorted(end.seconds for end in ends if not end.is_given_up)
    middle = answered[len(answered) // 2] if len(answered) >= 50 else -1.0
    for end in ends:
        seconds = end.seconds
        if not end.is_given_up:
            seconds = middle if end.seconds <= middle else answered[-1]
        end.order.due = job.submitted_at + timedelta(seconds=round(seconds, 3))


def told_at(job: Job, order: Order, now: datetime) -> datetime | None:
    """This will tell when the result of an order that misbehaves by lateness may be told; None for at once."""
    if order.outcome == "late_result":
        return max(now, job.expires_at or now + timedelta(hours=1)) + _LATE_AFTER
    if order.outcome is not None and order.outcome.startswith("late:"):
        return now + timedelta(seconds=float(order.outcome.removeprefix("late:")))
    return None
