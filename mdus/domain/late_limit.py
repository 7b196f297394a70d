"""What is known of a meter's demand limit once it tells late that it carried a command about it out.

Late is what comes when its order has been decided. No order's outcome changes: its client was told that nobody knows,
or that the meter has not confirmed it. What changes is what is known to be in force:

```
nothing has taken its place since --> the limit is confirmed, or there is none, and no case is left
of an order told as failed        --> the limit is taken away at once, with a case: its client knows of none
maybe after a later one           --> taken away at once where that took a limit away; else in doubt; with a case
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from mdus.domain.command import Command, OwnerKind
from mdus.domain.device_limit import Change, DeviceLimit, doubt
from mdus.domain.exception_case import ExceptionCase, closed
from mdus.domain.repeatable_command import is_in_doubt
from mdus.domain.value import Remove


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldLimit:
    """A command about a meter's limit that was carried out, as it is told late.

    `acted_at` is when, as the meter says, None where it does not; `at` the instant of which it is news to us.
    """

    command: Command
    acted_at: datetime | None
    at: datetime

    @property
    def limit_kw(self) -> str | None:
        """Return the limit as the command carried it, None where it took one away."""
        return self.command.parameter("limit_kw")

    def came_before(self, other: Command) -> bool:
        """Tell whether the meter certainly carried another command out later than this one.

        Both instants are of the same clock, however wrong. Where one is missing, what is certain is that a command was
        not carried out before it was given.
        """
        if self.acted_at is not None and other.acted_at is not None:
            return self.acted_at <= other.acted_at
        return self.acted_at is not None and self.at <= other.not_before

    def __str__(self) -> str:
        what = "freed of its demand limit" if self.limit_kw is None else f"limited to {self.limit_kw} kW"
        return f"{what} ({self.at:%Y-%m-%d %H:%M:%S} UTC)"


def known_late(
    told: ToldLimit,
    *,
    commands: Sequence[Command],
    limits: Sequence[DeviceLimit],
    cases: Sequence[ExceptionCase],
    now: datetime,
) -> tuple[Change, ...]:
    """Return what changes; nothing where it was known, or has been over since.

    `commands` are all about the limit of the meter, oldest first, and `limits` those it has.
    """
    position = next(number for number, each in enumerate(commands) if each.key == told.command.key)
    since = commands[position + 1 :]
    done = [each for each in since if each.succeeded]
    if any(told.came_before(each) for each in done):
        return ()
    own = next((each for each in limits if _is_of(each, told.command)), None)
    if done:
        if own is None:
            return _after(told, done[-1], limits, now=now)
        if own.lifted_by(done[-1]):
            # Taken away, and not looked at yet; maybe the meter took it since.
            note = f"The meter was {told}, maybe after that was taken away: it is freed again"
            return replace(own, set_at=now, look_at=now), doubt(told.command, note=note, now=now)
        return ()  # its order was given once more since: it is in doubt already
    passed = [each for each in limits if each != own and not any(_is_of(each, later) for later in since)]
    gone = [Remove(DeviceLimit, each.key) for each in passed]
    settled = _settled(told, since, cases, now=now)
    if told.limit_kw is None:
        return (*gone, *settled)
    if own is not None:
        confirmed = replace(own, in_doubt=False, set_at=told.at, look_at=own.valid_until)
        return (*gone, confirmed, *settled) if own.in_doubt else ()
    later = _told_late_too(told, since, limits)
    if later is not None:
        return () if told.acted_at is not None and told.at <= later.not_before else _after(told, later, limits, now=now)
    attempts = [each for each in commands if each.owner_key == told.command.owner_key]
    if any(not each.has_ended or is_in_doubt(each) for each in attempts):
        # It was left to the newest of those in doubt, for it has no end.
        return (*gone, _limit(told, set_at=told.at), *settled)
    note = f"The order was told as failed, but the meter was {told}: it is freed of that"
    return (*gone, _ending(_limit(told, set_at=now), now=now), doubt(told.command, note=note, now=now))


def _told_late_too(told: ToldLimit, since: Sequence[Command], limits: Sequence[DeviceLimit]) -> Command | None:
    """Return the last of the later commands in doubt, where it was told late before this one: its limit is in none."""
    owner = told.command.owner_kind, told.command.owner_key
    doubtful = [each for each in since if is_in_doubt(each) and (each.owner_kind, each.owner_key) != owner]
    if not doubtful or any(each.in_doubt and _is_of(each, doubtful[-1]) for each in limits):
        return None
    return doubtful[-1]


def _after(told: ToldLimit, last: Command, limits: Sequence[DeviceLimit], *, now: datetime) -> tuple[Change, ...]:
    """Return what changes where a later command has been carried out too, and nobody knows which came last."""
    later = last.parameter("limit_kw")
    if told.limit_kw == later:
        return ()
    note = f"The meter was {told}, maybe after a later order was carried out"
    if told.limit_kw is None:
        case = doubt(told.command, note=f"{note}: to limit it to {later} kW, order that again", now=now)
        return (*(replace(each, in_doubt=True) for each in limits if not each.in_doubt), case)
    limit = _limit(told, set_at=now)
    if later is None:
        case = doubt(told.command, note=f"{note} to free it of any limit: it is freed again", now=now)
        return _ending(limit, now=now), case
    # Both end together.
    end = min((each.valid_until for each in limits if each.valid_until is not None), default=None)
    case = doubt(told.command, note=f"{note} to limit it to {later} kW: order that again", now=now)
    return replace(limit, in_doubt=True, valid_until=end, look_at=end), case


def _settled(
    told: ToldLimit, since: Sequence[Command], cases: Sequence[ExceptionCase], *, now: datetime
) -> tuple[ExceptionCase, ...]:
    """Return the open cases, closed where nothing is in doubt any more; else with what is known now."""
    others = [each for each in since if each.has_ended and each.parameter("limit_kw") != told.limit_kw]
    if not any(is_in_doubt(each) or each.owner_kind is OwnerKind.LIMIT for each in others):
        return closed(cases, now=now)
    text = f"the meter was {told}"
    still_open = [each for each in cases if each.closed_at is None and text not in each.note]
    return tuple(replace(each, note=f"{text}; {each.note}"[:500]) for each in still_open)


def _is_of(limit: DeviceLimit, command: Command) -> bool:
    """Tell whether a limit is what the order of a command was to set."""
    return command.owner_kind is OwnerKind.ITEM and command.owner_key == limit.owner_key


def _limit(told: ToldLimit, *, set_at: datetime) -> DeviceLimit:
    """Return the limit of a command that has none any more."""
    command = told.command
    return DeviceLimit(
        sender_system=command.sender_system,
        device_id=command.device_id,
        serial_id=command.serial_id,
        limit_kw=Decimal(told.limit_kw or 0),
        set_at=set_at,
        item_id=int(command.owner_key),
    )


def _ending(limit: DeviceLimit, *, now: datetime) -> DeviceLimit:
    return replace(limit, valid_until=now, look_at=now)
