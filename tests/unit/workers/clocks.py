"""Business time that a test sets."""

from __future__ import annotations

from datetime import datetime


class SetClock:
    """Shows `present`, whatever the time."""

    def __init__(self, present: datetime) -> None:
        self.present = present

    def now(self) -> datetime:
        return self.present
