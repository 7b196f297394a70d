"""The work list of exception cases: routed, changed by people, raised when they are overdue; the history of each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Table,
    Text,
    case,
    func,
    literal_column,
    or_,
    select,
    update,
)

from mdus.domain.exception_grouping import STORM
from mdus.domain.exception_routing import CaseState, Route, Severity, Subject
from mdus.storage.audit import Deed, note_deed
from mdus.storage.column_types import UtcInstant
from mdus.storage.exception_subject import Case
from mdus.storage.facts import CASE_IS_LISTED, CASE_IS_OPEN, CASE_IS_UNROUTED, CASE_WAS_LISTED, EXCEPTION_CASE
from mdus.storage.keys import among
from mdus.storage.mapping import METADATA, AnyRow, Identity64
from mdus.storage.paging import Page, sorted_few
from mdus.storage.rows import insert_rows, update_rows

_CASE: Final = EXCEPTION_CASE.table
_IS_OPEN: Final[ColumnElement[bool]] = literal_column(CASE_IS_OPEN)
_IS_LISTED: Final[ColumnElement[bool]] = literal_column(CASE_IS_LISTED)
_WAS_LISTED: Final[ColumnElement[bool]] = literal_column(CASE_WAS_LISTED)
_IS_UNROUTED: Final[ColumnElement[bool]] = literal_column(CASE_IS_UNROUTED)

#: Asked so often that making it anew costs more than its answer.
_ONE_UNROUTED: Final = select(_CASE.c.id).where(_IS_UNROUTED).limit(1)

#: The lock of whoever routes and groups on PostgreSQL; SQLite has one writer.
_ROUTING: Final = 0x45584350

#: What people have done and said about a case, and what was done by rule.
EXCEPTION_HISTORY = Table(
    "exception_history",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("case_id", BigInteger, nullable=False),
    Column("at", UtcInstant, nullable=False),  # business instant
    Column("who", Text, nullable=False),  # a user of the machine, rest:<client>, or mdus
    Column("action", Text, nullable=False),  # changed | comment | escalated | grouped | closed
    Column("text", Text, nullable=False),
    Index("exception_history_case_id", "case_id", "id"),
)

_SUBJECT: Final = (
    "sender_system",
    "device_id",
    "point_of_delivery_id",
    "head_end",
    "area",
    "commodity",
    "reading_reason",
)
_ROUTE: Final = ("team", "severity", "due_at", "rule")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cases:
    """Which open or closed cases are meant: all that meet every condition stated.

    Members of a group stand behind their group's one line, and are had by `group_id`. `systems` are the sender systems
    the caller may see (None: all); a case of no known system is seen by all.
    """

    is_open: bool = True
    kind: str | None = None
    state: CaseState | None = None
    team: str | None = None
    assignee: str | None = None
    severity: Severity | None = None
    age_class: str | None = None
    sender_system: str | None = None
    head_end: str | None = None
    area: str | None = None
    device_id: str | None = None
    point_of_delivery_id: str | None = None
    group_id: int | None = None
    overdue_at: datetime | None = None
    case_keys: Collection[str] = ()
    systems: Collection[str] | None = None

    def __str__(self) -> str:
        said = {name: getattr(self, name) for name in _FILTERS if getattr(self, name) is not None}
        said |= {"case_keys": ",".join(sorted(self.case_keys))} if self.case_keys else {}
        said |= {"overdue": True} if self.overdue_at is not None else {}
        return " ".join(f"{name}={value}" for name, value in said.items()) or "all"

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions on the table."""
        if self.group_id is None:
            found = [_IS_LISTED if self.is_open else _WAS_LISTED]
        else:
            found = [_IS_OPEN if self.is_open else _CASE.c.closed_at.is_not(None)]
        found += [_CASE.c[name] == value for name in _FILTERS if (value := getattr(self, name)) is not None]
        if self.case_keys:
            found.append(_CASE.c.case_key.in_(sorted(self.case_keys)))
        if self.overdue_at is not None:
            found += [_CASE.c.due_at <= self.overdue_at, _CASE.c.paused_at.is_(None)]
        if self.systems is not None:
            found.append(or_(_CASE.c.sender_system.is_(None), _CASE.c.sender_system.in_(sorted(self.systems))))
        return found


_FILTERS: Final = (
    "kind",
    "state",
    "team",
    "assignee",
    "severity",
    "age_class",
    "sender_system",
    "head_end",
    "area",
    "device_id",
    "point_of_delivery_id",
    "group_id",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What becomes of cases; None leaves a thing as it is. `closed` closes them, members of a group with it."""

    state: CaseState | None = None
    closed: bool = False
    team: str | None = None
    assignee: str | None = None  # empty: nobody
    severity: Severity | None = None
    due_at: datetime | None = None
    comment: str | None = None

    def __str__(self) -> str:
        told = {"state": "closed" if self.closed else self.state, "team": self.team, "severity": self.severity}
        told["assignee"] = "nobody" if self.assignee == "" else self.assignee
        told["due"] = None if self.due_at is None else f"{self.due_at:%Y-%m-%d %H:%M} UTC"
        return ", ".join(f"{name} {value}" for name, value in told.items() if value is not None)

    def values(self, now: datetime) -> dict[str, Any]:
        """Return the columns that change."""
        values: dict[str, Any] = {"state": self.state, "team": self.team, "severity": self.severity}
        values |= {"due_at": self.due_at, "closed_at": now if self.closed else None}
        values = {name: value for name, value in values.items() if value is not None}
        return values if self.assignee is None else {**values, "assignee": self.assignee or None}


def is_alone_in_routing(connection: Connection) -> bool:
    """Take the turn to route and group until the transaction ends; False while another process has it.

    Two that group at once would each open a group of the same cause.
    """
    if connection.dialect.name == "sqlite":
        return True
    return bool(connection.scalar(select(func.pg_try_advisory_xact_lock(_ROUTING))))


def wait_for_routing(connection: Connection) -> None:
    """Wait until nobody routes and groups, and keep it so until the transaction ends."""
    if connection.dialect.name != "sqlite":
        connection.execute(select(func.pg_advisory_xact_lock(_ROUTING)))


def is_any_unrouted(connection: Connection) -> bool:
    """Tell whether a case waits to be routed."""
    return connection.execute(_ONE_UNROUTED).first() is not None


def unrouted(connection: Connection, *, limit: int) -> list[Case]:
    """Return cases to be routed, the oldest first, held until the transaction ends."""
    query = select(_CASE.c.id, _CASE.c.kind, _CASE.c.case_key, _CASE.c.opened_at).where(_IS_UNROUTED)
    rows = connection.execute(query.order_by(_CASE.c.id).limit(limit).with_for_update())
    return [Case(id=row.id, kind=row.kind, case_key=row.case_key, opened_at=row.opened_at) for row in rows]


def note_routes(
    connection: Connection, routed: Mapping[int, tuple[Subject, Route]], *, version: int, age_class: str, now: datetime
) -> None:
    """Fill in what cases are about and who looks after them, in one statement.

    What is known of a group's place is not taken from it: it names no device.
    """
    columns = (*_SUBJECT, *_ROUTE, "rules_version", "routed_at", "age_class")
    rows = [
        (
            *(getattr(subject, name) for name in _SUBJECT),
            *(getattr(route, name) for name in _ROUTE),
            version,
            now,
            age_class,
            case_id,
        )
        for case_id, (subject, route) in sorted(routed.items())
    ]
    update_rows(connection, _CASE, columns, rows, by=("id",))


def places_of(connection: Connection, ids: Collection[int]) -> dict[int, tuple[str | None, str | None]]:
    """Return head end and area of those of the cases that are groups."""
    if not ids:
        return {}
    query = select(_CASE.c.id, _CASE.c.head_end, _CASE.c.area)
    rows = connection.execute(query.where(_CASE.c.id.in_(sorted(ids)), _CASE.c.member_count.is_not(None)))
    return {row.id: (row.head_end, row.area) for row in rows}


def listed(connection: Connection, page: Page, cases: Cases) -> Sequence[AnyRow]:
    """Return a page of cases with all that is known of them."""
    # Whose they are the cases say: what a caller may see is among what is meant.
    query = select(_CASE).where(*cases.conditions(), *replace(page, systems=None).conditions(_CASE, {}))
    if page.sort.is_by_identity:
        # The open ones are few, whatever is closed: found first, then sorted.
        return connection.execute(sorted_few(query, limit=page.limit, sort=page.sort)).all()
    return connection.execute(query.order_by(*page.sort.order(_CASE)).limit(page.limit)).all()


def found_case(connection: Connection, kind: str, case_key: str) -> AnyRow | None:
    """Return one case."""
    return connection.execute(select(_CASE).where(_CASE.c.kind == kind, _CASE.c.case_key == case_key)).first()


def history_of(connection: Connection, case_id: int, *, limit: int) -> Sequence[AnyRow]:
    """Return what was done and said about a case, the newest last."""
    table = EXCEPTION_HISTORY
    newest = select(table).where(table.c.case_id == case_id).order_by(table.c.id.desc()).limit(limit)
    return connection.execute(newest).all()[::-1]


def count_meant(connection: Connection, cases: Cases) -> int:
    """Return how many cases are meant."""
    return connection.scalar(select(func.count()).select_from(_CASE).where(*cases.conditions())) or 0


def change_cases(connection: Connection, cases: Cases, change: Change, deed: Deed, *, now: datetime) -> int:
    """Change the cases that are meant, keep who did so and why; returns how many. A storm's is not closed by it."""
    conditions = cases.conditions()
    if change.closed:
        conditions.append(_CASE.c.kind != STORM)  # it ends by its end
    ids = connection.scalars(select(_CASE.c.id).where(*conditions).order_by(_CASE.c.id).with_for_update()).all()
    return _change(connection, ids, change, deed, target=str(cases), now=now)


def change_case(connection: Connection, row: AnyRow, change: Change, deed: Deed, *, now: datetime) -> None:
    """Change one open case, keep who did so and why."""
    _change(connection, [row.id], change, deed, target=f"{row.kind}/{row.case_key}", now=now)


def _change(
    connection: Connection, ids: Sequence[int], change: Change, deed: Deed, *, target: str, now: datetime
) -> int:
    values = change.values(now)
    if ids and values:
        connection.execute(update(_CASE).where(_is_one_of(connection, ids)).values(**values))
    if ids and change.closed:
        connection.execute(
            update(_CASE).where(_is_member_of(connection, ids), _CASE.c.closed_at.is_(None)).values(closed_at=now)
        )
    told = str(change)
    note_history(connection, ids, who=deed.who, action="changed", text=f"{told}: {deed.reason}" if told else "", at=now)
    note_history(connection, ids, who=deed.who, action="comment", text=change.comment or "", at=now)
    action = "exception closed" if change.closed else "exception changed"
    note_deed(connection, deed, action=action, target=f"{target}: {told or 'comment'}", count=len(ids), at=now)
    return len(ids)


def _is_one_of(connection: Connection, ids: Sequence[int]) -> ColumnElement[bool]:
    return among(connection, [_CASE.c.id], {(each,) for each in ids})


def _is_member_of(connection: Connection, ids: Sequence[int]) -> ColumnElement[bool]:
    return among(connection, [_CASE.c.group_id], {(each,) for each in ids})


def note_history(
    connection: Connection, ids: Collection[int], *, who: str, action: str, text: str, at: datetime
) -> None:
    """Keep what was done or said about cases; nothing where there is no text."""
    if text:
        rows = [(each, at, who, action, text) for each in ids]
        insert_rows(connection, EXCEPTION_HISTORY, ("case_id", "at", "who", "action", "text"), rows)


# -- ageing -----------------------------------------------------------------------------------------------------------


def note_ages(connection: Connection, classes: Sequence[tuple[datetime | None, str]]) -> int:
    """Give every open case its class of age; returns how many have changed.

    `classes` are, the youngest first, the instant from which on a case opened is of the class; None for the last.
    """
    whens = [(_CASE.c.opened_at >= since, name) for since, name in classes if since is not None]
    [oldest] = [name for since, name in classes if since is None]
    is_now = case(*whens, else_=oldest)
    changed = update(_CASE).where(_IS_OPEN, _CASE.c.age_class.is_distinct_from(is_now)).values(age_class=is_now)
    return connection.execute(changed).rowcount


@dataclass(frozen=True, kw_only=True, slots=True)
class Overdue:
    """A case that was to be done by now, and the rule it was routed by."""

    id: int
    rule: str | None
    subject: Subject


def overdue(connection: Connection, *, now: datetime, limit: int) -> Iterator[Overdue]:
    """Yield listed cases that are overdue and have not been raised yet, held until the transaction ends."""
    query = select(_CASE).where(
        _IS_LISTED, _CASE.c.due_at <= now, _CASE.c.escalated_at.is_(None), _CASE.c.paused_at.is_(None)
    )
    for row in connection.execute(query.order_by(_CASE.c.due_at).limit(limit).with_for_update()):
        subject = Subject(
            kind=row.kind,
            severity=row.severity or Severity.NORMAL,
            team=row.team,
            **{name: getattr(row, name) for name in _SUBJECT},
        )
        yield Overdue(id=row.id, rule=row.rule, subject=subject)


def note_escalated(connection: Connection, raised: Mapping[int, Route], *, now: datetime) -> None:
    """Raise cases that are overdue, in one statement, and keep it in their history."""
    rows = [(*(getattr(route, name) for name in _ROUTE), now, case_id) for case_id, route in sorted(raised.items())]
    update_rows(connection, _CASE, (*_ROUTE, "escalated_at"), rows, by=("id",))
    told = [
        (case_id, now, "mdus", "escalated", f"overdue: now {route.severity}, with {route.team}")
        for case_id, route in sorted(raised.items())
    ]
    insert_rows(connection, EXCEPTION_HISTORY, ("case_id", "at", "who", "action", "text"), told)


def lately(connection: Connection, *, since: datetime | None, limit: int) -> Sequence[AnyRow]:
    """Return the listed cases that are open, and with an instant those closed since: what rules are tried on."""
    wanted = [_IS_LISTED] if since is None else [_WAS_LISTED, _CASE.c.closed_at >= since]
    return connection.execute(select(_CASE).where(*wanted).order_by(_CASE.c.id.desc()).limit(limit)).all()


def route_again(connection: Connection) -> None:
    """Let the open cases be routed again that nobody has taken up and that were not raised."""
    is_untouched = (_CASE.c.state == CaseState.OPEN, _CASE.c.assignee.is_(None), _CASE.c.escalated_at.is_(None))
    connection.execute(update(_CASE).where(_IS_OPEN, *is_untouched).values(routed_at=None))


def subject_of(row: AnyRow) -> Subject:
    """Return what a routed case is about, as it was when it was opened."""
    return Subject(kind=row.kind, **{name: getattr(row, name) for name in _SUBJECT})
