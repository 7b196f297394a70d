"""An item of a message we sent, as a confirmation refers to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mdus.domain.value import Value


@dataclass(frozen=True, kw_only=True, slots=True)
class SentItem(Value):
    """An item that was sent: in which message, about what, and at which attempt (`Due.attempt`)."""

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "message_key", "about", "attempt")

    sender_system: str
    message_key: str  # the message's UUID in small letters
    about: str  # the business key, `Due.key`
    attempt: int
