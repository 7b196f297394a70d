"""One call to a head end, as the worker holds it between the intent and the outcome."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mdus.domain.head_end import Batch
from mdus.storage.submission import Claimed

_NAME_SPACE: Final = uuid.UUID("0b6c4f7e-2a55-5d1c-8a3b-91f6b5a7c2de")


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call to a head end: the intents are stored, the commands are ours as long as the lease token stands."""

    batch: Batch
    lease_token: str
    commands: tuple[Claimed, ...]
    begun: float = 0.0  # on the monotonic clock
    messages: frozenset[str] = frozenset()  # of SAP's, that ordered it: told only where there are traces


def correlation_of(commands: Sequence[Claimed]) -> str:
    """Return the id of a call: the same commands in the same attempts give the same."""
    return str(uuid.uuid5(_NAME_SPACE, ",".join(f"{each.id}:{each.attempts + 1}" for each in commands)))
