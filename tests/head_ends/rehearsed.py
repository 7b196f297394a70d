"""A head end in this process that does what a test says: for what the port promises, whatever a kind speaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from mdus.domain.command import CommandKind
from mdus.domain.head_end import Arrival, Batch, FieldEvent, Probe, RawDelivery, SilentHeadEnd, Submission


@dataclass
class RehearsedHeadEnd(SilentHeadEnd):
    """Takes every batch under the token `t-<number>`; bodies are names of events that `tells` holds."""

    name: str = "city"
    batch_size: int = 100
    batches: list[Batch] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)  # tokens
    answers: Callable[[Batch], Submission] | None = None
    known: dict[str, list[str]] = field(default_factory=dict)  # names of events by token: results to be fetched
    tells: dict[str, list[FieldEvent]] = field(default_factory=dict)
    offers: frozenset[CommandKind] | None = None
    probed: int = 0
    probed_after: timedelta | None = None
    subscription: str | None = None
    fails: Exception | None = None
    arriving: list[Arrival] = field(default_factory=list)

    def submit(self, batch: Batch) -> Submission:
        self.batches.append(batch)
        if self.fails is not None:
            raise self.fails
        if self.answers is not None:
            return self.answers(batch)
        return Submission(token=f"t-{len(self.batches)}")

    def results(self, token: str) -> Iterable[RawDelivery]:
        self.asked.append(token)
        return [told(name) for name in self.known.get(token, ())]

    def probe(self) -> Probe:
        self.probed += 1
        if self.fails is not None:
            raise self.fails
        return Probe(
            takes=self.offers,
            text="rehearsed 1",
            again_after=self.probed_after,
            subscription=self.subscription,
        )

    def arrivals(self) -> Iterator[Arrival]:
        while self.arriving:
            yield self.arriving.pop(0)

    def decode(self, raw: RawDelivery) -> Iterator[FieldEvent]:
        if raw.body.decode() not in self.tells:
            raise ValueError(f"nobody told {raw.body.decode()}")
        return iter(self.tells[raw.body.decode()])

    @property
    def told_of(self) -> list[list[str]]:
        """The serial numbers of each batch."""
        return [[command.serial_id for command in batch.commands] for batch in self.batches]


def told(name: str) -> RawDelivery:
    """Return a delivery of the events of that name."""
    return RawDelivery(topic="told", correlation="", body=name.encode())
