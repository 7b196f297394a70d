"""An order to a head end about one meter, and what became of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from mdus.domain.end_device import SwitchState
from mdus.domain.value import Value

_NAME_SPACE = uuid.UUID("6f0d2b9e-8f43-5c0f-9b1e-3f1c2a7d4e55")


class CommandKind(StrEnum):
    """What a head end can be asked to do with a meter."""

    PROVISION = "provision"  # know the meter and its registers
    READ_REGISTERS = "read_registers"  # stored register values of a period
    READ_INTERVALS = "read_intervals"  # interval values of a period, as the meter has them stored
    READ_ON_DEMAND = "read_on_demand"  # the register values now
    SWITCH = "switch"  # move the breaker: not repeatable
    SWITCH_STATE = "switch_state"  # read the breaker's position back
    PING = "ping"  # answer, and do nothing else
    LIMIT_DEMAND = "limit_demand"  # let no more than so much power through, or all of it again
    CONTROL_LOAD = "control_load"  # take load off for a while (demand response), or call that off
    SET_TIME = "set_time"  # set the meter's clock
    SHOW_TEXT = "show_text"  # show a text to the customer


#: Kinds of which one carried out too late does harm; those of one call expire at the same instant.
HARMS_WHEN_LATE = frozenset({CommandKind.SWITCH, CommandKind.LIMIT_DEMAND, CommandKind.CONTROL_LOAD})


class CommandStatus(StrEnum):
    """The state of a command; `TRANSITIONS` in messaging/status.py says which follows which."""

    READY = "ready"  # waits for its instant, its turn or its next attempt
    SUBMITTING = "submitting"  # the intent is stored, the call may be under way
    ACCEPTED = "accepted"  # the head end gave a token, the result is awaited
    DONE = "done"  # carried out, with its result
    FAILED = "failed"  # refused by us, rejected or reported failed by the head end
    UNCERTAIN = "uncertain"  # it may or may not have been carried out: the state must be read
    TIMED_OUT = "timed_out"  # accepted, but no result came in time
    CANCELLED = "cancelled"  # taken back before it was submitted


#: Statuses after which a command says nothing new to its owner.
ENDED = frozenset(
    {
        CommandStatus.DONE,
        CommandStatus.FAILED,
        CommandStatus.UNCERTAIN,
        CommandStatus.TIMED_OUT,
        CommandStatus.CANCELLED,
    }
)


class OwnerKind(StrEnum):
    """Who is woken when a command ends."""

    ITEM = "item"  # an inbox item that awaits it
    DOCUMENT = "document"  # a meter reading document
    LIMIT = "limit"  # a demand limit whose time is up
    REGISTRY = "registry"  # the registry itself (provisioning, synchronization): nobody is woken


@dataclass(frozen=True, kw_only=True, slots=True)
class Command(Value):
    """One order to the head end of one meter.

    `command_key` is made of owner, purpose and attempt, so deciding the same thing again makes the same command.
    It leaves neither before `not_before` nor from `expires_at` on (business instants). `control_key` names the
    connection order a switch belongs to, for the governor. Period fields serve READ_REGISTERS and READ_INTERVALS,
    `wanted_state` SWITCH, and `parameters` by name:

    ```
    LIMIT_DEMAND   limit_kw: decimal; without it the limit is taken away
    CONTROL_LOAD   event: id; action: schedule or cancel; start: RFC 3339, UTC; minutes; percent: of the load left
    SHOW_TEXT      text
    ```
    """

    KEY: ClassVar[tuple[str, ...]] = ("command_key",)

    command_key: str
    owner_kind: OwnerKind
    owner_key: str
    sender_system: str
    device_id: str
    serial_id: str
    head_end: str
    kind: CommandKind
    purpose: str
    not_before: datetime
    expires_at: datetime
    status: CommandStatus = CommandStatus.READY
    wanted_state: SwitchState | None = None
    control_key: str | None = None
    period_from: datetime | None = None
    period_to: datetime | None = None
    parameters: tuple[tuple[str, str], ...] | None = None
    test_data: bool = False
    ended_at: datetime | None = None
    acted_at: datetime | None = None  # when the meter acted, as the head end reports it
    result_code: str | None = None  # the head end's or our own short code of a failure
    result_text: str | None = None
    result_state: SwitchState | None = None

    def parameter(self, name: str) -> str | None:
        """Return a parameter, None where the command has none of that name."""
        return next((text for given, text in self.parameters or () if given == name), None)

    @property
    def has_ended(self) -> bool:
        """Tell whether nothing more is expected of this command."""
        return self.status in ENDED

    @property
    def succeeded(self) -> bool:
        """Tell whether the head end carried it out."""
        return self.status is CommandStatus.DONE


def command_key(*, owner_kind: OwnerKind, owner_key: str, device_id: str, purpose: str, attempt: int = 1) -> str:
    """Return the key of a command: the same decision made twice gives the same key.

    It is the reference head ends return with a result, so it is a UUID: 36 characters, which all of them carry.
    """
    return str(uuid.uuid5(_NAME_SPACE, f"{owner_kind}/{owner_key}/{device_id}/{purpose}/{attempt}"))


def called_back(commands: Iterable[Command], *, reason: str, now: datetime) -> tuple[Command, ...]:
    """Return those of the commands that have not left yet, called back."""
    return tuple(
        replace(command, status=CommandStatus.CANCELLED, ended_at=now, result_text=reason)
        for command in commands
        if command.status is CommandStatus.READY
    )


def called_back_anew(commands: Iterable[Command], *, reason: str, now: datetime) -> tuple[Command, ...]:
    """Return those of the commands that have not left and whose owner asks again, called back; others end alone.

    Documents ask whoever serves their meter; a device is provisioned where it goes.
    """
    anew = (each for each in commands if each.owner_kind is OwnerKind.DOCUMENT or each.kind is CommandKind.PROVISION)
    return called_back(anew, reason=reason, now=now)
