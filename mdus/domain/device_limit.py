"""How much power a meter lets through at most, as far as MDUS knows, and how it takes a limit away in time.

```
confirmed, or in doubt --valid_until--> LIMIT_DEMAND without a limit --done--> gone
                                                                     --failed--> a case, and again after a while
in doubt, and refused so often since the meter can hold no limit --> left to the case, until it is told otherwise
```
A meter is given one such command after the other, never two at once: which of them it carries out last would be chance.
A limit of which nobody knows whether the meter took it may be in force, so it ends like one that was confirmed. Nothing
more is tried only where the head end that may have given it says again and again that the meter has no such function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import takewhile
from typing import ClassVar, Final

from mdus.domain.command import Command, CommandKind, CommandStatus, OwnerKind, command_key
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import ExceptionCase, closed
from mdus.domain.repeatable_command import is_in_doubt, what_came
from mdus.domain.value import Remove, Value
from mdus.settings import Settings

#: The kind of exception case of a meter that may be limited otherwise than MDUS shows.
LIMIT_DOUBTFUL: Final = "demand_limit_doubtful"

#: How long a command about a limit waits for another that is under way.
AFTER_ANOTHER: Final = timedelta(seconds=30)

#: Codes by which a head end says for certain that a meter has nothing to limit its demand with. One that it does not
#: know, or cannot reach, may be limited all the same.
_NO_SUCH_FUNCTION: Final = frozenset({"NOT_SUPPORTED", "NO_BREAKER"})

#: The longest pause between two attempts to take a limit away that are refused for that, and between two looks whether
#: another head end serves the meter of a limit that is left.
_LONGEST_PAUSE: Final = timedelta(days=1)

_PURPOSE: Final = "lift"

Change = Value | Remove


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitRules(Value):
    """What is said of demand limits in the sections `switching` and `reading` of the settings."""

    KEY: ClassVar[tuple[str, ...]] = ()

    least_kw: Decimal = Decimal("0.5")
    interval: timedelta = timedelta(minutes=15)
    timeout: timedelta = timedelta(minutes=60)
    refusals: int = 8

    @classmethod
    def of(cls, settings: Settings) -> LimitRules:
        """Return the rules that the settings say."""
        return cls(
            least_kw=settings.switching.least_limit_kw,
            interval=timedelta(minutes=settings.switching.limit_interval_minutes),
            timeout=timedelta(minutes=settings.reading.on_demand_timeout_minutes),
            refusals=settings.switching.limit_refusals,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceLimit(Value):
    """A demand limit that a meter has confirmed, or may have; a device without one may draw what its connection bears.

    A device has at most one that is confirmed, and those that are `in_doubt`: nobody knows whether the meter took them.
    `set_at` is when the meter took it, or when it came to be in doubt. At `valid_until` MDUS takes it away itself,
    None: it stays. `look_at` is when MDUS next sees to that. `item_id` and `client` are those of the request that set
    it.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "device_id", "item_id")

    sender_system: str
    device_id: str
    serial_id: str
    limit_kw: Decimal
    set_at: datetime
    valid_until: datetime | None = None
    look_at: datetime | None = None
    item_id: int
    client: str | None = None
    in_doubt: bool = False

    @property
    def device_key(self) -> tuple[str, str]:
        """Return the key of the device that is limited."""
        return self.sender_system, self.device_id

    @property
    def owner_key(self) -> str:
        """Return the name under which it owns the commands that take it away."""
        return str(self.item_id)

    def lifted_by(self, command: Command) -> bool:
        """Tell whether a command is one of those that take it away."""
        return command.owner_kind is OwnerKind.LIMIT and command.owner_key == self.owner_key

    @property
    def case_key(self) -> str:
        """Return the key of the case that `doubt` opens."""
        return case_key(self.sender_system, self.device_id)


def limit_text(limit_kw: Decimal) -> str:
    """Return a limit as commands carry it: plain digits, without zeros at their end."""
    text = format(limit_kw, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def next_step(
    limit: DeviceLimit,
    *,
    device: EndDevice | None,
    ordered: Sequence[Command],
    lifts: Sequence[Command],
    others: Sequence[DeviceLimit],
    is_busy: bool,
    is_concentrated: bool,
    cases: Sequence[ExceptionCase],
    rules: LimitRules,
    now: datetime,
) -> tuple[Change, ...]:
    """Return what changes when MDUS looks at a limit whose time is up.

    `ordered` are the commands that were to set it and `lifts` those that were to take it away, oldest first; `others`
    are the device's other limits; `is_busy` says that another command about them is under way, `is_concentrated` that
    the meter is behind a data concentrator; `cases` are those of the device that `doubt` opens.
    """
    if device is None or device.serial_id != limit.serial_id:
        # The meter that was limited hangs there no more.
        return _gone(limit, [each for each in others if each.serial_id == limit.serial_id], others, cases, now=now)
    attempt = len(lifts) + 1
    # Those before it came to be took away another of the same order.
    lifts = [each for each in lifts if not each.has_ended or each.not_before >= limit.set_at]
    done = [each for each in lifts if each.succeeded]
    if done:
        return _gone(limit, [each for each in others if _ended_with(each, done[-1])], others, cases, now=now)
    newest = lifts[-1] if lifts else None
    if newest is not None and not newest.has_ended and now < newest.expires_at + rules.timeout:
        return (replace(limit, look_at=newest.expires_at + rules.timeout),)
    if is_busy:
        return (replace(limit, look_at=now + AFTER_ANOTHER),)
    refusals = _refusals(lifts, device) if limit.in_doubt else 0
    if refusals >= rules.refusals and not is_concentrated and _is_from(device.head_end, ordered):
        return replace(limit, look_at=now + _LONGEST_PAUSE), *_left(limit, lifts[-1], refusals, cases, now=now)
    pause = _pause(refusals, rules)
    if newest is not None and newest.ended_at is not None and now < newest.ended_at + pause:
        note = f"The demand limit of {limit_text(limit.limit_kw)} kW could not be taken away ({what_came(newest)})"
        return replace(limit, look_at=newest.ended_at + pause), doubt(limit, note=note, now=now)
    if device.head_end is None:
        note = (
            f"The demand limit of {limit_text(limit.limit_kw)} kW cannot be taken away: no head end serves the device"
        )
        return replace(limit, look_at=now + rules.interval), doubt(limit, note=note, now=now)
    lift = _lift(limit, device, attempt=attempt, rules=rules, now=now)
    return lift, replace(limit, look_at=lift.expires_at + rules.timeout)


def _refusals(lifts: Sequence[Command], device: EndDevice) -> int:
    """Return how many attempts at last the device's head end refused since the meter can hold no limit."""
    last = takewhile(lambda each: _is_refused_for_good(each) and each.head_end == device.head_end, reversed(lifts))
    return sum(1 for _ in last)


def _is_refused_for_good(lift: Command) -> bool:
    """Tell whether no attempt of a command was carried out, and none will be: the meter lacks the function."""
    return lift.status is CommandStatus.FAILED and lift.result_code in _NO_SUCH_FUNCTION


def _is_from(head_end: str | None, ordered: Sequence[Command]) -> bool:
    """Tell whether only this head end may have limited the meter: of another its word says nothing."""
    doubtful = [each for each in ordered if not each.has_ended or is_in_doubt(each)]
    return bool(doubtful) and all(each.head_end == head_end for each in doubtful)


def _pause(refusals: int, rules: LimitRules) -> timedelta:
    """Return how long after an attempt that failed a limit is tried again to be taken away."""
    doubled = rules.interval * (1 << min(max(refusals - 1, 0), 16))
    return max(rules.interval, min(doubled, _LONGEST_PAUSE))


def _left(
    limit: DeviceLimit, refused: Command, refusals: int, cases: Sequence[ExceptionCase], *, now: datetime
) -> tuple[ExceptionCase, ...]:
    """Return the case of a limit that is not tried any more to be taken away; nothing where it says so already."""
    note = (
        f"The head end {refused.head_end} has refused {refusals} times to take a demand limit away that meter "
        f"{limit.serial_id} may have taken: it says that the meter can hold none ({what_came(refused)[:100]}). It is "
        f"not asked again. Have somebody look whether the meter limits the customer: if so order once more that it be "
        f"limited no more, or exchange it; if not close this case"
    )
    return () if any(case.note == note for case in cases) else (doubt(limit, note=note, now=now),)


def _ended_with(other: DeviceLimit, lift: Command) -> bool:
    """Tell whether a limit has ended with the command that took another of its device away.

    One that is confirmed came before: when it did, it took the place of all there were. One in doubt may have come
    since.
    """
    return not other.in_doubt or other.set_at <= lift.not_before


def _gone(
    limit: DeviceLimit,
    with_it: Sequence[DeviceLimit],
    others: Sequence[DeviceLimit],
    cases: Sequence[ExceptionCase],
    *,
    now: datetime,
) -> tuple[Change, ...]:
    gone = tuple(Remove(DeviceLimit, each.key) for each in (limit, *with_it))
    return gone if len(with_it) < len(others) else (*gone, *closed(cases, now=now))


def doubted(limit: DeviceLimit, others: Sequence[DeviceLimit]) -> tuple[Change, ...]:
    """Return what changes when a limit comes to be in doubt; `others` are the limits its device has.

    Of those in doubt that have no end, nothing is to be done about any but the newest.
    """
    passed = [each for each in others if each.in_doubt and each.valid_until is None and each.key != limit.key]
    return (limit, *(Remove(DeviceLimit, each.key) for each in passed))


def case_key(sender_system: str, device_id: str) -> str:
    """Return the key of the case of a device's limit."""
    return f"{sender_system}/{device_id}"


def doubt(of: DeviceLimit | Command, *, note: str, now: datetime) -> ExceptionCase:
    """Return the case of a meter that may be limited otherwise than MDUS shows."""
    key = case_key(of.sender_system, of.device_id)
    return ExceptionCase(kind=LIMIT_DOUBTFUL, case_key=key, opened_at=now, note=note[:500])


def _lift(limit: DeviceLimit, device: EndDevice, *, attempt: int, rules: LimitRules, now: datetime) -> Command:
    key = command_key(
        owner_kind=OwnerKind.LIMIT,
        owner_key=limit.owner_key,
        device_id=limit.device_id,
        purpose=_PURPOSE,
        attempt=attempt,
    )
    return Command(
        command_key=key,
        owner_kind=OwnerKind.LIMIT,
        owner_key=limit.owner_key,
        sender_system=limit.sender_system,
        device_id=limit.device_id,
        serial_id=device.serial_id,
        head_end=device.head_end or "",
        kind=CommandKind.LIMIT_DEMAND,
        purpose=_PURPOSE,
        not_before=now,
        expires_at=now + rules.timeout,
    )
