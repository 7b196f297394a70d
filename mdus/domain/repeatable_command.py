"""Commands that do no harm when they are carried out twice: given again when nobody knows what became of them.

A switch is none of them (`verified_switch`). Where only the answer to a call was lost, its worker gives the same
command again under the same reference; here is what follows when a result never came, or the meter could not be had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from mdus.domain.command import Command, CommandStatus, command_key

#: Codes of failures that another attempt may mend.
_PASSING: Final = frozenset({"TIMED_OUT", "NO_RESPONSE", "BUSY"})

#: Codes of failures after which the meter may have acted all the same.
_IN_DOUBT: Final = frozenset({"TIMED_OUT", "NO_RESPONSE"})

#: How a command ends of which nobody knows whether the meter acted.
_UNKNOWN: Final = frozenset({CommandStatus.UNCERTAIN, CommandStatus.TIMED_OUT})

#: How often a command is given, and how long after a failure it is given again.
ATTEMPTS: Final = 3
PAUSE: Final = timedelta(minutes=1)


def again(
    attempts: Sequence[Command], *, lasts: timedelta, now: datetime, until: datetime | None = None
) -> Command | None:
    """Return the attempt that follows these, of which the last has failed; None when there is to be none.

    It leaves after a pause and within `lasts`, but not from `until` on.
    """
    last, not_before = attempts[-1], now + PAUSE
    if last.result_code not in _PASSING or len(attempts) >= ATTEMPTS or (until is not None and not_before >= until):
        return None
    key = command_key(
        owner_kind=last.owner_kind,
        owner_key=last.owner_key,
        device_id=last.device_id,
        purpose=last.purpose,
        attempt=len(attempts) + 1,
    )
    return replace(
        last,
        command_key=key,
        not_before=not_before,
        expires_at=min(not_before + lasts, until or not_before + lasts),
        status=CommandStatus.READY,
        ended_at=None,
        acted_at=None,
        result_code=None,
        result_text=None,
        result_state=None,
    )


def is_in_doubt(command: Command) -> bool:
    """Tell whether a command that did not succeed may have been carried out."""
    return not command.succeeded and (command.status in _UNKNOWN or command.result_code in _IN_DOUBT)


def may_have_acted(attempts: Sequence[Command]) -> bool:
    """Tell whether the meter may have carried out one of these attempts, none of which succeeded.

    Whatever became of the last says nothing of those before it. Not even that the meter is unknown or cannot do it: an
    earlier attempt may have gone to another concentrator, or to one that knew the meter then.
    """
    return any(map(is_in_doubt, attempts))


def what_came(command: Command) -> str:
    """Return what is known of a command that did not succeed, for people."""
    told = ": ".join(part for part in (command.result_code, command.result_text) if part)
    return told or command.status.value
