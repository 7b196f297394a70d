"""The load of one file: rows sorted into Requests, Requests into the messages SAP would send, and what became of them.

```
read      each row judged by itself; wrong ones are found, right ones wait
messages  rows that go together -> a Request -> an item of a bulk, its header's ID the number of its first row
settle    what the services refused, as findings about those rows
```
Rows go together as they would in a message of SAP's: the registers of a device, its locations, the points of delivery
of a register. They are taken all or none, because each such list is the whole truth.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

from mdus.contracts.binding import from_json, to_json
from mdus.contracts.catalog import Catalog
from mdus.contracts.envelope import Item, render
from mdus.contracts.header import MessageHeader
from mdus.endpoints.initial_load.findings import OTHER_REFUSAL, REFUSALS, Fault, UnusableFile
from mdus.endpoints.initial_load.kinds import COLUMNS, KIND_COLUMN, KINDS, Kind, Unfit
from mdus.endpoints.initial_load.rows import Row, open_rows, shown
from mdus.endpoints.initial_load.spool import Spool, Waiting
from mdus.messaging.outcome import Problem, Received, Result
from mdus.messaging.patterns import RequestConfirmation

#: Requests in one message: few enough to be held in memory, enough to be taken in fast.
_AT_ONCE: Final = 1000
#: Rows between two looks at the progress.
_TOLD_EVERY: Final = 500


class Outcome(Protocol):
    """An item that was not taken: its header's ID, its Result as JSON, and a note where it has no Result."""

    header_id: str
    result: str | None
    note: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class InitialLoad:
    """The load of one file for one sender system."""

    spool: Spool
    system: str
    contract: Catalog
    clock: Callable[[], datetime]
    #: Rows of the file by kind, also those that are wrong; '' where a row does not tell.
    seen: dict[str, int] = field(default_factory=dict)

    # -- reading ------------------------------------------------------------------------------------------------------

    def read(self, file: Path, *, kind: str | None, progress: Callable[[int, int], None]) -> None:
        """Judge every row of a file; `kind` is that of rows that name none. UnusableFile if it is no file of rows.

        `progress` is told how many bytes of how many have been read.
        """
        with open_rows(file, columns=COLUMNS) as rows:
            if rows.header is not None:
                _check_header(rows.header, kind)
            for number, row in enumerate(rows):
                self._take(row, kind)
                if number % _TOLD_EVERY == 0:
                    progress(rows.position, rows.size)
            progress(rows.size, rows.size)
        if not self.seen:
            raise UnusableFile("the file has no rows", mend="write a row for each device, register and so on")
        for name in KINDS:
            for number, blamed in self.spool.held_back(name):
                self.spool.find(name, number, _held_back(blamed))

    def _take(self, row: Row, default: str | None) -> None:
        cells = dict(row.cells)
        name = cells.pop(KIND_COLUMN, default or "").strip().lower()
        kind = KINDS.get(name)
        self.seen[name if kind else ""] = self.seen.get(name if kind else "", 0) + 1
        if row.faults or kind is None:
            known = ", ".join(KINDS)
            found = shown(name) if name else "nothing"
            unknown = Fault(field=KIND_COLUMN, expected=f"one of {known}", found=found, mend="name the kind of the row")
            self._find(kind, row.number, row.faults or (unknown,), owner=kind.owner(cells) if kind else None)
            return
        owner = kind.owner(cells)
        try:
            request = kind.request(cells, contract=self.contract)
        except Unfit as unfit:
            self._find(kind, row.number, unfit.faults, owner=owner)
            return
        waiting = Waiting(row.number, to_json(request))
        twin = self.spool.add(kind.name, waiting, owner=owner or "", identity=kind.identity(request))
        if twin is not None:
            expected = f"no second row with the same {', '.join(kind.key)}"
            fault = Fault(field=kind.key[0], expected=expected, found=f"row {twin}", mend="leave one of the two out")
            self._find(kind, row.number, [fault], owner=None)

    def _find(self, kind: Kind | None, number: int, faults: Sequence[Fault], *, owner: str | None) -> None:
        """Keep what is wrong with a row, and hold back those that go together with it."""
        name = kind.name if kind else ""
        for fault in faults:
            self.spool.find(name, number, fault)
        if kind is not None and kind.listed is not None and owner is not None:
            self.spool.spoil(name, owner, number)

    # -- sending ------------------------------------------------------------------------------------------------------

    def requests(self, kind: Kind) -> Iterator[tuple[int, Received]]:
        """Yield the Requests of a kind, each with the number of its first row."""
        for _, rows in self.spool.groups(kind.name):
            try:
                yield rows[0].number, kind.joined([_request(kind, row) for row in rows])
            except Unfit as unfit:
                for fault in unfit.faults:
                    self.spool.find(kind.name, rows[0].number, fault)
                self._hold_back(kind, rows, [rows[0].number])

    def messages(self, kind: Kind) -> Iterator[tuple[bytes, int]]:
        """Yield the messages that carry the Requests of a kind, each with the number of its items."""
        requests = self.requests(kind)
        while some := list(islice(requests, _AT_ONCE)):
            items = [Item(self._header(row=number), request) for number, request in some]
            body = render(kind.bulk_root, header=self._header(), items=items, contract=self.contract)
            yield body, len(items)

    def _header(self, *, row: int | None = None) -> MessageHeader:
        # A UUID of its own each time: importing the same file again is decided again, by what is known then.
        return MessageHeader(
            id=None if row is None else str(row),
            uuid=str(uuid.uuid4()),
            created_at=self.clock().replace(microsecond=0),
            sender_system=self.system,
        )

    # -- settling -----------------------------------------------------------------------------------------------------

    def settle(self, kind: Kind, outcomes: Sequence[Outcome]) -> None:
        """Find for each item that was not taken which of its rows are to blame, and why."""
        for outcome in outcomes:
            rows = self.spool.together_with(kind.name, int(outcome.header_id))
            blamed: list[int] = []
            for problem in _problems(kind, outcome):
                for row in _meant(kind, rows, problem):
                    self.spool.find(kind.name, row.number, _fault(kind, row, problem))
                    blamed.append(row.number)
            self._hold_back(kind, rows, blamed)

    def _hold_back(self, kind: Kind, rows: Sequence[Waiting], blamed: Sequence[int]) -> None:
        for row in rows:
            if blamed and row.number not in blamed:
                self.spool.find(kind.name, row.number, _held_back(blamed[0]))


def _check_header(header: Sequence[str], kind: str | None) -> None:
    """Raise UnusableFile when a header lacks what every row needs."""
    if kind is None:
        if KIND_COLUMN not in header:
            what = f"the file has no column {KIND_COLUMN!r}"
            raise UnusableFile(what, mend=f"add it, or say --kind and one of {', '.join(KINDS)}")
        return
    missing = [column.name for column in KINDS[kind].columns.values() if column.required and column.name not in header]
    if missing:
        raise UnusableFile(f"the file has no column {missing[0]!r}", mend=f"each {kind} needs {', '.join(missing)}")


def _request(kind: Kind, row: Waiting) -> Received:
    return from_json(kind.service.shape, row.content)


def _held_back(blamed: int) -> Fault:
    return Fault(
        field="",
        expected=f"row {blamed} to be right, for they are taken together",
        found="it is not",
        mend=f"mend row {blamed}, then import the file again",
    )


def _problems(kind: Kind, outcome: Outcome) -> Sequence[Problem]:
    if outcome.result is None:
        return [Problem(type_id="", note=outcome.note or "not decided: is mdus serve, or mdus work, running?")]
    shape = kind.service.result if isinstance(kind.service, RequestConfirmation) else Result
    result: Result = from_json(shape, outcome.result)
    return result.problems if result.failed else ()


def _meant(kind: Kind, rows: Sequence[Waiting], problem: Problem) -> Sequence[Waiting]:
    """Return the rows a problem is about: those whose number it names in brackets, else the first."""
    name, _, _ = problem.note.removeprefix("[").partition("] ")
    if kind.listed is not None and problem.note.startswith("["):
        meant = [row for row in rows if _first(kind, row, "measurement_task_id") == name]
        if meant:
            return meant
    return rows[:1]


def _fault(kind: Kind, row: Waiting, problem: Problem) -> Fault:
    refusal = REFUSALS.get(problem.type_id, OTHER_REFUSAL)
    column = kind.columns.get(refusal.field)
    value = None if column is None else _first(kind, row, column.fields[0])
    said = f"{problem.note} {problem.type_id}".rstrip()
    return Fault(
        field=refusal.field,
        expected=refusal.expected,
        found=said if value is None else f"{shown(str(value))}: {said}",
        mend=refusal.mend,
    )


def _first(kind: Kind, row: Waiting, name: str) -> Any:
    """Return what a row says in a field, of the Request or of what it lists."""
    request = _request(kind, row)
    listed = getattr(request, kind.listed)[0] if kind.listed else request
    return getattr(listed, name, getattr(request, name, None))
