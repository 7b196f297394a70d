"""Events in which a meter leaves the load it controls only a part of its power: planned, confirmed, cancelled.

```
ORDERED --confirmed by the meter--> SCHEDULED --cancelled, confirmed--> CANCELLED
        --refused, not to be had--> FAILED
        --perhaps carried out--> UNCERTAIN --ordered once more, cancelled: confirmed--> SCHEDULED, CANCELLED
        --taken back before it left--> CANCELLED
```
What the meter has is what it confirmed: SCHEDULED until the event is over, or until it has confirmed that it is not.
What it may have stays UNCERTAIN until it has confirmed one or the other, or until the event is over: the meter ends it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Final

from mdus.domain.command import Command, CommandKind, OwnerKind, command_key
from mdus.domain.end_device import EndDevice
from mdus.domain.value import Value

#: The longest event, in minutes.
LONGEST_MINUTES: Final = 1440


class LoadControlAction(StrEnum):
    """What is to become of an event; the names are those of the commands' parameter `action`."""

    SCHEDULE = "schedule"
    CANCEL = "cancel"


class LoadControlStatus(StrEnum):
    """How an event stands at one device."""

    ORDERED = "ordered"  # a command is, or is about to be, under way
    SCHEDULED = "scheduled"  # the meter has it
    CANCELLED = "cancelled"  # the meter has it no more, or never had it
    FAILED = "failed"  # the meter refused it, or could not be had
    UNCERTAIN = "uncertain"  # nobody knows whether the meter has it


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadControlEvent(Value):
    """An event at one device: from `start_at` on for `minutes` only `percent` of the load is left.

    `settled_at` is when the status came to be, None while it is ordered (once more, where it is UNCERTAIN); `note` is
    why it failed. `item_id` and `client` are those of the request that scheduled it.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "event_id", "device_id")

    sender_system: str
    event_id: str
    device_id: str
    start_at: datetime
    minutes: int
    percent: int
    status: LoadControlStatus = LoadControlStatus.ORDERED
    settled_at: datetime | None = None
    note: str | None = None
    item_id: int
    client: str | None = None

    @property
    def ends_at(self) -> datetime:
        """Return the instant from which the meter gives all its power again."""
        return self.start_at + timedelta(minutes=self.minutes)

    @property
    def stands(self) -> bool:
        """Tell whether the meter has it, may have it, or may have it any moment."""
        return self.status in (LoadControlStatus.ORDERED, LoadControlStatus.SCHEDULED, LoadControlStatus.UNCERTAIN)

    @property
    def is_settled(self) -> bool:
        """Tell whether nothing more comes of the order that it is of."""
        return self.settled_at is not None

    def is_same_as(self, other: LoadControlEvent) -> bool:
        """Tell whether two events of one name ask for the same."""
        return (self.start_at, self.minutes, self.percent) == (other.start_at, other.minutes, other.percent)

    def settled(self, status: LoadControlStatus, *, now: datetime, note: str | None = None) -> LoadControlEvent:
        """Return the event as it stands from now on."""
        return replace(self, status=status, settled_at=now, note=note)

    def command(self, action: LoadControlAction, device: EndDevice, *, item_id: int, now: datetime) -> Command:
        """Return the first command of an item that schedules or cancels the event; it is of no use once it is over."""
        owner_key = str(item_id)
        key = command_key(
            owner_kind=OwnerKind.ITEM, owner_key=owner_key, device_id=self.device_id, purpose=action.value
        )
        return Command(
            command_key=key,
            owner_kind=OwnerKind.ITEM,
            owner_key=owner_key,
            sender_system=self.sender_system,
            device_id=self.device_id,
            serial_id=device.serial_id,
            head_end=device.head_end or "",
            kind=CommandKind.CONTROL_LOAD,
            purpose=action.value,
            not_before=now,
            expires_at=self.ends_at,
            parameters=(
                ("event", self.event_id),
                ("action", action.value),
                ("start", self.start_at.astimezone(UTC).isoformat().replace("+00:00", "Z")),
                ("minutes", str(self.minutes)),
                ("percent", str(self.percent)),
            ),
        )
