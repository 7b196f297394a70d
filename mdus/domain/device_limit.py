"""How much power a meter lets through at most, as far as MDUS knows, and how it takes a limit away in time.

```
confirmed, or in doubt --valid_until--> LIMIT_DEMAND without a limit --done--> gone
                                                                     --failed--> a case, and again after a while
```
A meter is given one such command after the other, never two at once: which of them it carries out last would be chance.
A limit of which nobody knows whether the meter took it may be in force, so it ends like one that was confirmed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar, Final

from mdus.domain.command import Command, CommandKind, OwnerKind, command_key
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import ExceptionCase, closed
from mdus.domain.repeatable_command import what_came
from mdus.domain.value import Remove, Value
from mdus.settings import Settings

#: The kind of exception case of a meter that may be limited otherwise than MDUS shows.
LIMIT_DOUBTFUL: Final = "demand_limit_doubtful"

#: How long a command about a limit waits for another that is under way.
AFTER_ANOTHER: Final = timedelta(seconds=30)

_PURPOSE: Final = "lift"

Change = Value | Remove


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitRules(Value):
    """What is said of demand limits in the sections `switching` and `reading` of the settings."""

    KEY: ClassVar[tuple[str, ...]] = ()

    least_kw: Decimal = Decimal("0.5")
    interval: timedelta = timedelta(minutes=15)
    timeout: timedelta = timedelta(minutes=60)

    @classmethod
    def of(cls, settings: Settings) -> LimitRules:
        """Return the rules that the settings say."""
        return cls(
            least_kw=settings.switching.least_limit_kw,
            interval=timedelta(minutes=settings.switching.limit_interval_minutes),
            timeout=timedelta(minutes=settings.reading.on_demand_timeout_minutes),
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
    lifts: Sequence[Command],
    others: Sequence[DeviceLimit],
    is_busy: bool,
    cases: Sequence[ExceptionCase],
    rules: LimitRules,
    now: datetime,
) -> tuple[Change, ...]:
    """Return what changes when MDUS looks at a limit whose time is up.

    `lifts` are the commands that were to take it away, oldest first; `others` are the device's other limits; `is_busy`
    says that another command about them is under way, `cases` are those of the device that `doubt` opens.
    """
    if device is None or device.serial_id != limit.serial_id:
        # The meter that was limited hangs there no more.
        return _gone(limit, [each for each in others if each.serial_id == limit.serial_id], others, cases, now=now)
    newest = lifts[-1] if lifts else None
    if newest is not None and newest.succeeded:
        return _gone(limit, [each for each in others if _ended_with(each, newest)], others, cases, now=now)
    if newest is not None and not newest.has_ended and now < newest.expires_at + rules.timeout:
        return (replace(limit, look_at=newest.expires_at + rules.timeout),)
    if is_busy:
        return (replace(limit, look_at=now + AFTER_ANOTHER),)
    if newest is not None and newest.ended_at is not None and now < newest.ended_at + rules.interval:
        note = f"The demand limit of {limit_text(limit.limit_kw)} kW could not be taken away ({what_came(newest)})"
        return replace(limit, look_at=newest.ended_at + rules.interval), doubt(limit, note=note, now=now)
    if device.head_end is None:
        note = (
            f"The demand limit of {limit_text(limit.limit_kw)} kW cannot be taken away: no head end serves the device"
        )
        return replace(limit, look_at=now + rules.interval), doubt(limit, note=note, now=now)
    lift = _lift(limit, device, attempt=len(lifts) + 1, rules=rules, now=now)
    return lift, replace(limit, look_at=lift.expires_at + rules.timeout)


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
