"""What a decision says: it is done, it awaits commands, or it waits for something not yet there."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, TypeVar

from mdus.contracts.log import Log, LogItem, ProcessingResultCode, SeverityCode
from mdus.domain.command import Command
from mdus.domain.value import Remove, Value, changed

Change = Value | Remove


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One line of the log SAP will read: a type id in the form `nnn(MDUS)`, a severity and up to 200 characters."""

    type_id: str
    note: str
    severity: SeverityCode = SeverityCode.ERROR
    category: str | None = "PRE"


class BusinessError(Exception):
    """The request is wrong in business terms."""

    type_id: ClassVar[str] = "001(MDUS)"

    def __init__(self, note: str | None = None) -> None:
        """Take the note for SAP's log; without one, the first line of the class's docstring is the note."""
        super().__init__(note or (type(self).__doc__ or "").strip().splitlines()[0])

    @property
    def problem(self) -> Problem:
        """Return this error as the log line that SAP reads."""
        return Problem(type_id=self.type_id, note=str(self))


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of one item, as its confirmation will tell; services with more to tell extend it."""

    problems: tuple[Problem, ...] = ()

    @property
    def failed(self) -> bool:
        """Tell whether any problem is an error."""
        return any(problem.severity >= SeverityCode.ERROR for problem in self.problems)

    @property
    def log(self) -> Log:
        """Return what the confirmation's Log says: code 5 with the problems, or 3, with remarks if there are any."""
        items = tuple(
            LogItem(
                type_id=problem.type_id,
                category=problem.category if problem.severity >= SeverityCode.ERROR else None,
                severity=problem.severity,
                note=problem.note,
            )
            for problem in self.problems
        )
        if self.failed:
            return Log.failure(items)
        if not items:
            return Log.success()
        severity = max(problem.severity for problem in self.problems)
        return Log(result_code=ProcessingResultCode.SUCCESSFUL, max_severity=severity, items=items)


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a request came from; set by the pattern, never bound from the wire.

    `zone` is the IANA zone of the sender system. `park_until` is when parking ends for items of this pattern.
    `answers` is the UUID, in small letters, of the message of ours that a confirmation answers, `overall_code` the
    result code of a bulk confirmation as a whole. `client` is the REST client that asked, None where SAP did.
    """

    item_id: int
    sender_system: str
    zone: str
    message_uuid: str | None
    uuid: str | None  # of the item's own header, else the message's
    id: str | None
    bulk: bool
    test_data: bool
    received_at: datetime
    park_until: datetime
    answers: str | None = None
    overall_code: str | None = None
    client: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """The base of every service's Request: the body bound from the wire, plus where it came from."""

    origin: Origin = field(default=None, compare=False, repr=False, metadata={"transient": True})  # type: ignore[assignment]


R = TypeVar("R", bound=Received)


def received(request: R, origin: Origin) -> R:
    """Return the request with its origin set."""
    return changed(request, origin=origin)


@dataclass(frozen=True, slots=True)
class Done:
    """Decided for good: the changes to save, and the result to confirm (None: no confirmation is due)."""

    changes: tuple[Change, ...] = ()
    result: Result | None = Result()


@dataclass(frozen=True, slots=True)
class Await:
    """The item needs these commands; it is decided again when all have ended or `until` (business time) has passed.

    `changes` are saved now. Commands already known to the store (same key) are left as they are.
    """

    commands: tuple[Command, ...]
    until: datetime
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Park:
    """The item waits for a value whose `wakes` holds `waits_for`; at `until` it ends as `otherwise`."""

    waits_for: str
    until: datetime
    otherwise: BusinessError


Outcome = Done | Await | Park
