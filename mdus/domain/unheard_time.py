"""The time in which what a head end told went nowhere, and how its meters are asked for what they measured in it.

A head end that pushes to subscriptions may forget one, and says so to nobody. What it told until another was made is
not told again; but meters keep what they measured for a while, and can be asked for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Final

from mdus.domain.command import Command, CommandKind, OwnerKind, command_key
from mdus.domain.end_device import EndDevice
from mdus.domain.local_time import day_start, local_day
from mdus.domain.provisioning import registry_owner
from mdus.domain.value import Value

#: How long after it was measured most of it is told by itself, and how long a meter is given to answer: nobody is asked
#: for what is still on its way.
SETTLES_IN: Final = timedelta(hours=6)

#: How late a value may be told after all: what was told in a time may be of days before.
_TOLD_LATE: Final = timedelta(days=7)

#: How far back a meter is asked: what it keeps is not endless.
_KEPT: Final = timedelta(days=45)

_A_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class UnheardTime(Value):
    """The time in which what a head end told may have gone nowhere, as long as its meters are asked for it.

    `asked` is how often they were, `look_at` when it is looked next who has not told. There is one per head end: what
    is found meanwhile makes it longer.
    """

    KEY: ClassVar[tuple[str, ...]] = ("head_end",)

    head_end: str
    begins_at: datetime
    ends_at: datetime
    look_at: datetime
    asked: int = 0

    @property
    def measured_from(self) -> datetime:
        """Return the instant from which on it may have been measured what was told in this time."""
        return max(self.begins_at - _TOLD_LATE, self.ends_at - _KEPT)

    def midnights(self, *, zone: str) -> tuple[datetime, ...]:
        """Return the local midnights, oldest first, whose snapshots may have been told in this time."""
        first, last = (local_day(at, zone=zone) for at in (self.measured_from, self.ends_at))
        days = [first + number * _A_DAY for number in range((last - first).days + 1)]
        midnights = [day_start(day, zone=zone) for day in days]
        return tuple(at for at in midnights if self.measured_from <= at <= self.ends_at)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lack:
    """What a device has not told: stored register values, or interval values, of a period."""

    device: EndDevice
    kind: CommandKind
    period_from: datetime
    period_to: datetime

    def key(self, time: UnheardTime, *, attempt: int) -> str:
        """Return the key of the command that asks for it: looks taken twice make one."""
        return command_key(
            owner_kind=OwnerKind.REGISTRY,
            owner_key=registry_owner(self.device.sender_system, self.device.device_id),
            device_id=self.device.device_id,
            purpose=self._purpose(time),
            attempt=attempt,
        )

    def command(self, time: UnheardTime, *, now: datetime) -> Command:
        """Return the command that asks the meter for it, once more."""
        return Command(
            command_key=self.key(time, attempt=time.asked + 1),
            owner_kind=OwnerKind.REGISTRY,
            owner_key=registry_owner(self.device.sender_system, self.device.device_id),
            sender_system=self.device.sender_system,
            device_id=self.device.device_id,
            serial_id=self.device.serial_id,
            head_end=time.head_end,
            kind=self.kind,
            purpose=self._purpose(time),
            not_before=now,
            expires_at=now + SETTLES_IN,
            period_from=self.period_from,
            period_to=self.period_to,
        )

    def _purpose(self, time: UnheardTime) -> str:
        return f"{self.kind}, unheard until {time.ends_at:%Y-%m-%dT%H:%M:%SZ}"


def unheard(head_end: str, *, since: datetime, known: UnheardTime | None, now: datetime) -> UnheardTime:
    """Return the time unheard when a head end is heard again that was heard `since` for certain.

    `known` is what its meters are still to be asked for: both become one, and who was asked is asked again.
    """
    return UnheardTime(
        head_end=head_end,
        begins_at=since if known is None else min(since, known.begins_at),
        ends_at=now,
        look_at=now + SETTLES_IN if known is None else known.look_at,
    )
