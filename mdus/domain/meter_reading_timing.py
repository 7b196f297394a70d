"""When the value of a reading order counts, and when it is looked for first.

```
stored values   |--- the policy's window around the scheduled day ---|     looked for when the best may be there
on demand       |--- from the asking on, as long as it is tried ---|       asked now, or when the scheduled day begins
```
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from mdus.domain.local_time import day_start, local_day
from mdus.domain.meter_reading_selection import ReadingPolicies, ReadingPolicy, Window


class AskedTooLate(ValueError):
    """A meter asked now cannot tell what it showed on a scheduled date so long ago."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """The window in which a value counts, and the instant at which the order is looked at next."""

    window: Window
    next_try_at: datetime


def of_stored_values(
    scheduled_on: date, *, zone: str, policy: ReadingPolicy, policies: ReadingPolicies, now: datetime
) -> Timing:
    """Return the timing of an order for stored values, on a local date of a zone. Raises OutOfReach."""
    window = policy.window(scheduled_on, zone=zone)
    first_look_at = window.complete_at(policy.choice) + policies.collection_delay
    return Timing(window=window, next_try_at=max(first_look_at, now))


def on_demand(
    scheduled_on: date, *, zone: str, policy: ReadingPolicy, policies: ReadingPolicies, now: datetime
) -> Timing:
    """Return the timing of an order for which the meter is asked at the window's `target_at`.

    That is now for today and for past dates within the policy's window, else when the scheduled day begins. Raises
    AskedTooLate for dates before, OutOfReach for those beyond the calendar.
    """
    latest = max(policy.window(scheduled_on, zone=zone).ends_at, day_start(scheduled_on + timedelta(days=1), zone=zone))
    due_at = now
    if scheduled_on > local_day(now, zone=zone):
        due_at = day_start(scheduled_on, zone=zone)
    elif now > latest:
        raise AskedTooLate
    patience = policies.on_demand_timeout + policies.on_demand_interval
    # A meter tells whole seconds: what it reads within the second it was asked in carries that second's beginning.
    starts_at = due_at.replace(microsecond=0)
    window = Window(starts_at=starts_at, target_at=due_at, ends_at=due_at + policy.attempts * patience)
    # Looked at again when the command ends; the instant is for a wake-up that was lost.
    return Timing(window=window, next_try_at=due_at + 2 * policies.on_demand_timeout)
