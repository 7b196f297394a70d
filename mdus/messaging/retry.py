"""When to try again: exponential backoff with jitter on real time, then DEAD."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta


class TransientError(Exception):
    """The other side could not take it now and certainly did nothing; trying again is safe."""


class UncertainError(Exception):
    """The call broke off after the request may have been read: it may or may not have been carried out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How often and how long apart something is tried again."""

    base: timedelta = timedelta(seconds=1)
    cap: timedelta = timedelta(minutes=5)
    attempts: int = 20

    def delay(self, attempt: int, *, spread: random.Random | None = None) -> timedelta:
        """Return the pause after a failed attempt (1 is the first): doubled each time up to `cap`, less up to half."""
        full = min(self.base * float(2 ** min(attempt - 1, 30)), self.cap)
        share = (spread or random).uniform(0.5, 1.0)
        return full * share

    def is_exhausted(self, attempt: int) -> bool:
        """Tell whether a failed attempt with this number was the last."""
        return attempt >= self.attempts
