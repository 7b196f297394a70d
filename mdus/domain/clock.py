"""Business time: planned times, expiry, parking, missing confirmations and job slots all ask this clock.

Leases, backoff and HTTP time-outs do not: they run on the database's real clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The source of business time."""

    def now(self) -> datetime:
        """Return the present business instant, aware UTC."""
        ...


class RealClock:
    """Business time that is real time: what every utility runs on."""

    def now(self) -> datetime:
        """Return the present instant, aware UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedTime:
    """A steered clock: at real instant `anchor` it showed `epoch`, and since then runs `speed` times as fast."""

    anchor: datetime
    epoch: datetime
    speed: float

    def at(self, real: datetime) -> datetime:
        """Return the simulated instant at a real instant."""
        return self.epoch + timedelta(seconds=(real - self.anchor).total_seconds() * self.speed)

    def steered(self, *, real: datetime, speed: float | None = None, jump_to: datetime | None = None) -> SimulatedTime:
        """Return the clock from `real` on, with a new speed or moved forward to `jump_to`; never backward."""
        present = self.at(real)
        epoch = present if jump_to is None else max(present, jump_to)
        return SimulatedTime(anchor=real, epoch=epoch, speed=self.speed if speed is None else speed)
