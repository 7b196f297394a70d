"""The head-end worker's own statements: what is due, the claim with its intents, and what became of each call."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, TypeAlias

from sqlalchemy import BindParameter, Connection, and_, bindparam, case, exists, null, or_, select, update
from sqlalchemy.sql import ColumnElement

from mdus.domain.command import HARMS_WHEN_LATE, Command, CommandKind, CommandStatus
from mdus.domain.end_device import EndDevice, SwitchState
from mdus.domain.end_device_control import EndDeviceControl
from mdus.domain.register import Register
from mdus.messaging.status import sources_of
from mdus.storage.column_types import database_now
from mdus.storage.command import (
    COMMAND,
    COMMAND_INTENT,
    COMMAND_IS_DOUBTFUL,
    COMMAND_IS_READY,
    COMMAND_IS_UNDER_WAY,
    DELIVERY_IS_OPEN,
    HEAD_END_DELIVERY,
    add_events_of,
    wake_owners,
)
from mdus.storage.concentrator import is_behind, is_out_of_reach
from mdus.storage.end_device_control import END_DEVICE_CONTROL, is_held_up
from mdus.storage.keys import among, among_given, told
from mdus.storage.outstanding import Limits, free_places, places_of
from mdus.storage.polling import is_overdue, is_polled, wanted_from
from mdus.storage.registry import END_DEVICE, REGISTER
from mdus.storage.rows import insert_rows, update_rows

_TABLE = COMMAND.table

#: A value, or its place in a statement that is made once.
_Text: TypeAlias = "str | BindParameter[Any]"
_Instant: TypeAlias = "datetime | BindParameter[Any]"


#: What `claimed_by` reads.
CLAIMED: Final = select(
    _TABLE.c.id,
    _TABLE.c.attempts,
    _TABLE.c.correlation,
    _TABLE.c.token,
    *(_TABLE.c[name] for name in COMMAND.names),
)

#: What the end of a command writes.
_ENDING: Final = (
    "status",
    "ended_at",
    "acted_at",
    "result_code",
    "result_text",
    "result_state",
    "lease_token",
    "lease_until",
    "due_at",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """A command with what only the head-end worker knows of it."""

    id: int
    command: Command
    attempts: int
    correlation: str | None
    token: str | None

    def ending(self, status: CommandStatus, *, code: str, text: str | None) -> Ended:
        """Return the end of the command, as it is to be stored."""
        return Ended(id=self.id, command_key=self.command.command_key, status=status, code=code, text=text)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """What there is to do for one head end.

    Kinds with due commands, and whether any expired, was lost or is late, and whether results are to be asked for.
    """

    kinds: frozenset[CommandKind]
    expired: bool
    orphaned: bool
    overdue: bool
    polled: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How one command ended."""

    id: int
    command_key: str
    status: CommandStatus
    code: str | None = None
    text: str | None = None
    acted_at: datetime | None = None
    state: SwitchState | None = None


def pending(connection: Connection, head_end: str, *, now: datetime) -> Pending:
    """Return what there is to do for a head end; one statement, so an idle turn costs next to nothing."""
    asked = {"head_end": head_end, "now": now, "wanted_from": wanted_from(now)}
    row = connection.execute(_pending_query(), asked).one()
    return Pending(
        kinds=frozenset(kind for kind, due in zip(CommandKind, row, strict=False) if due),
        expired=bool(row.expired),
        orphaned=bool(row.orphaned),
        overdue=bool(row.overdue),
        polled=bool(row.polled),
    )


@cache
def _pending_query() -> Any:
    """Return the questions of `pending`; they are asked so often that making them anew costs more than the answers."""
    head_end: BindParameter[Any] = bindparam("head_end")
    now: BindParameter[Any] = bindparam("now")
    questions = [exists().where(_due(head_end, kind, now)).label(kind.value) for kind in CommandKind]
    questions.append(exists().where(_expired(head_end, now)).label("expired"))
    questions.append(exists().where(_orphaned(head_end)).label("orphaned"))
    questions.append(exists().where(is_overdue(head_end, now)).label("overdue"))
    wanted: BindParameter[Any] = bindparam("wanted_from")
    questions.append(exists().where(is_polled(head_end, wanted)).label("polled"))
    return select(*questions)


def claim_due(
    connection: Connection, head_end: str, kind: CommandKind, *, now: datetime, limit: int, limits: Limits
) -> list[Claimed]:
    """Claim due commands of one kind until the transaction ends, those planned first leading.

    Never two for one meter: a head end may answer by call and meter. Switches, limits and load control of one claim
    expire at the same instant, and its switches want the same state, so that one job can carry them. Reconnections come
    first, and no switch leaves while an earlier order of its meter is open. What is beyond the limits stays for a later
    turn.
    """
    free = free_places(connection, head_end, limits)
    limit = limit if free.in_all is None else min(limit, free.in_all)
    if limit <= 0:
        return []
    due = _due(head_end, kind, now)
    if limits.know_concentrators:
        due = and_(due, ~is_out_of_reach(needs_concentrator=limits.needs_concentrator))
    if free.full:
        due = and_(due, ~is_behind(sorted(free.full)))
    order: tuple[Any, ...] = (_TABLE.c.not_before, _TABLE.c.id)
    if kind is CommandKind.SWITCH:
        due = and_(due, ~is_held_up(now))
        order = (case((_TABLE.c.wanted_state == SwitchState.CONNECTED, 0), else_=1), *order)
    if kind in HARMS_WHEN_LATE:
        alike = (_TABLE.c.expires_at, _TABLE.c.wanted_state)
        first = connection.execute(
            select(*alike).where(due).order_by(*order).limit(1).with_for_update(skip_locked=True)
        ).first()
        if first is None:
            return []
        due = and_(due, *(column == value for column, value in zip(alike, first, strict=True)))
    claimed = _claim(connection, due, order=order, limit=limit)
    places = places_of(connection, head_end, [each.command.serial_id for each in claimed], limits, free)
    return [each for each in claimed if places.take(each.command.serial_id)]


def claim_expired(connection: Connection, head_end: str, *, now: datetime, limit: int) -> list[Claimed]:
    """Claim commands that must not leave any more."""
    return _claim(connection, _expired(head_end, now), order=(_TABLE.c.id,), limit=limit)


def claim_stranded(connection: Connection, configured: Collection[str], *, now: datetime, limit: int) -> list[Claimed]:
    """Claim expired and overdue commands of head ends that are not configured any more: nobody else ends them."""
    expired = and_(COMMAND_IS_READY, _TABLE.c.expires_at <= now)
    overdue = and_(
        COMMAND_IS_UNDER_WAY,
        or_(
            and_(_TABLE.c.status == CommandStatus.ACCEPTED, _TABLE.c.answer_by <= now),
            and_(_TABLE.c.status == CommandStatus.SUBMITTING, _TABLE.c.lease_until < database_now()),
        ),
    )
    unknown = _TABLE.c.head_end.not_in(list(configured))
    return _claim(connection, and_(unknown, or_(expired, overdue)), order=(_TABLE.c.id,), limit=limit)


def claim_orphans(
    connection: Connection, head_end: str, *, lease_token: str, lease: timedelta, limit: int
) -> list[Claimed]:
    """Take over commands whose intent has no outcome and whose lease ran out: the worker before us died in the call."""
    orphans = _claim(connection, _orphaned(head_end), order=(_TABLE.c.id,), limit=limit)
    _set(
        connection,
        [orphan.id for orphan in orphans],
        {"lease_token": lease_token, "lease_until": database_now(plus=lease)},
    )
    return orphans


def controls_of(
    connection: Connection, claimed: Sequence[Claimed]
) -> tuple[dict[str, EndDeviceControl], frozenset[str]]:
    """Return the connection orders these switches belong to, held, and the names of those somebody else holds.

    Whoever holds an order may be cancelling it: its switch is left for the next turn, and nobody waits for another.
    """
    keys = {each.command.control_key: control_of(each.command) for each in claimed if each.command.control_key}
    wanted = sorted(set(keys.values()))
    if not wanted:
        return {}, frozenset()
    there = END_DEVICE_CONTROL.read(connection, EndDeviceControl.KEY, wanted)
    table = END_DEVICE_CONTROL.table
    held = END_DEVICE_CONTROL.fetch(
        connection,
        END_DEVICE_CONTROL.select()
        .where(among(connection, [table.c[name] for name in EndDeviceControl.KEY], wanted))
        .order_by(table.c.id)
        .with_for_update(skip_locked=True),
    )
    found = {control.control_key: control for control in held}
    return found, frozenset(control.control_key for control in there) - frozenset(found)


def devices_and_registers(
    connection: Connection, commands: Sequence[Command], *, now: datetime
) -> tuple[dict[tuple[str, str], EndDevice], dict[tuple[str, str], list[Register]]]:
    """Return the master data a head end is told with PROVISION: each channel once, what is over left out."""
    keys = [(command.sender_system, command.device_id) for command in commands]
    by = ("sender_system", "device_id")
    devices = {(device.sender_system, device.device_id): device for device in END_DEVICE.read(connection, by, keys)}
    channels: dict[tuple[str, str], dict[str, Register]] = {}
    for register in sorted(REGISTER.read(connection, by, keys), key=lambda each: each.valid_from):
        if register.is_collected_on(now.date()):
            of_device = channels.setdefault((register.sender_system, register.device_id), {})
            of_device[register.reading_type] = register
    return devices, {key: list(of_device.values()) for key, of_device in channels.items()}


def begin_call(
    connection: Connection,
    claimed: Sequence[Claimed],
    *,
    head_end: str,
    correlation: str,
    lease_token: str,
    lease: timedelta,
    now: datetime,
) -> None:
    """Store the intent of a call: from now on it may have happened."""
    insert_rows(
        connection,
        COMMAND_INTENT,
        ("command_id", "attempt", "head_end", "correlation", "at"),
        [(each.id, each.attempts + 1, head_end, correlation, now) for each in claimed],
    )
    _set(
        connection,
        [each.id for each in claimed],
        {
            "status": CommandStatus.SUBMITTING,
            "attempts": _TABLE.c.attempts + 1,
            "correlation": correlation,
            "lease_token": lease_token,
            "lease_until": database_now(plus=lease),
            "due_at": null(),
        },
    )
    add_events_of(connection, [each.command.command_key for each in claimed], at=now, note=None)


def still_ours(connection: Connection, claimed: Sequence[Claimed], *, lease_token: str) -> list[Claimed]:
    """Hold those of our commands that nobody took over and no result has ended meanwhile."""
    parameters = _ids(connection, [each.id for each in claimed]) | {"lease": lease_token}
    held = frozenset(connection.scalars(_still_ours(connection.dialect.name), parameters))
    return [each for each in claimed if each.id in held]


@cache
def _still_ours(dialect: str) -> Any:
    return (
        select(_TABLE.c.id)
        .where(
            among_given(dialect, [_TABLE.c.id]),
            _TABLE.c.lease_token == bindparam("lease"),
            _TABLE.c.status == CommandStatus.SUBMITTING,
        )
        .order_by(_TABLE.c.id)
        .with_for_update()
    )


def accept(
    connection: Connection,
    claimed: Sequence[Claimed],
    *,
    token: str,
    answer_by: datetime,
    poll_after: timedelta | None,
    now: datetime,
) -> None:
    """Mark commands as taken by the head end; their results are awaited until `answer_by` (business time).

    With `poll_after` they are asked for by then (real time).
    """
    _set(
        connection,
        [each.id for each in claimed],
        {
            "status": CommandStatus.ACCEPTED,
            "token": token,
            "answer_by": answer_by,
            "poll_at": null() if poll_after is None else database_now(plus=poll_after),
            "polls": 0,
            "lease_token": null(),
            "lease_until": null(),
        },
    )
    add_events_of(connection, [each.command.command_key for each in claimed], at=now, note=token)


def give_back(
    connection: Connection, claimed: Sequence[Claimed], *, pauses: Mapping[int, timedelta], now: datetime, note: str
) -> None:
    """Make commands ready for another attempt, each after its pause (by command id, on real time)."""
    for pause in sorted(set(pauses.values())):
        _set(
            connection,
            [each.id for each in claimed if pauses[each.id] == pause],
            {
                "status": CommandStatus.READY,
                "due_at": database_now(plus=pause),
                "lease_token": null(),
                "lease_until": null(),
            },
        )
    add_events_of(connection, [each.command.command_key for each in claimed], at=now, note=note[:500])


def end(connection: Connection, ended: Sequence[Ended], *, now: datetime) -> list[Ended]:
    """Store how commands ended, where that may follow their present status, and wake their owners; returns how.

    What failed has not been carried out. Of a restraint of which an earlier attempt may have been, nobody can say so,
    whatever its head end says of the last: it is UNCERTAIN.
    """
    failed = [each.id for each in ended if each.status is CommandStatus.FAILED]
    in_doubt = doubtful(connection, failed)
    ended = [_uncertain(each) if each.id in in_doubt else each for each in ended]
    for status in sorted({each.status for each in ended}):
        some = [each for each in ended if each.status is status]
        before = ", ".join(f"'{source.value}'" for source in sorted(sources_of(status)))
        update_rows(
            connection,
            _TABLE,
            _ENDING,
            [
                (status, now, each.acted_at, each.code, each.text, each.state, None, None, None, each.id)
                for each in some
            ],
            by=("id",),
            where=f"command.status IN ({before})",
        )
        for code in sorted({each.code or "" for each in some}):
            keys = [each.command_key for each in some if (each.code or "") == code]
            add_events_of(connection, keys, at=now, note=code or None)
    wake_owners(connection, [each.command_key for each in ended])
    return list(ended)


def _uncertain(ended: Ended) -> Ended:
    text = "; ".join(part for part in (ended.text, "an earlier attempt may have been carried out") if part)
    return replace(ended, status=CommandStatus.UNCERTAIN, text=text)


def doubtful(connection: Connection, command_ids: Collection[int]) -> frozenset[int]:
    """Return those of the commands of which an attempt may have been carried out, where that does harm, by id."""
    if not command_ids:
        return frozenset()
    is_one = among(connection, [_TABLE.c.id], [(each,) for each in command_ids])
    return frozenset(connection.scalars(select(_TABLE.c.id).where(is_one, COMMAND_IS_DOUBTFUL)))


def close_intents(
    connection: Connection,
    correlation: str,
    *,
    outcome: str,
    now: datetime,
    token: str | None = None,
    of: Collection[int] | None = None,
) -> None:
    """Write down what came of a call (accepted, rejected, transient, uncertain): for some commands, or the rest."""
    rest = and_(COMMAND_INTENT.c.correlation == correlation, COMMAND_INTENT.c.outcome.is_(None))
    chosen = rest
    if of is not None:
        chosen = and_(rest, among(connection, [COMMAND_INTENT.c.command_id], [(command_id,) for command_id in of]))
    connection.execute(update(COMMAND_INTENT).where(chosen).values(outcome=outcome, token=token, ended_at=now))


def claim_overdue(connection: Connection, head_end: str, *, now: datetime, limit: int) -> list[Claimed]:
    """Claim accepted commands whose results did not come, though their head end was asked once more.

    Those are left for which an undecoded delivery may hold the result.
    """
    deliveries = HEAD_END_DELIVERY
    may_hold_it = (
        select(deliveries.c.id)
        .where(
            DELIVERY_IS_OPEN,
            deliveries.c.status == "ready",
            deliveries.c.head_end == _TABLE.c.head_end,
            or_(
                deliveries.c.correlation.in_([_TABLE.c.correlation, _TABLE.c.token]),
                deliveries.c.received_at <= _TABLE.c.answer_by,
            ),
        )
        .exists()
    )
    asked = or_(_TABLE.c.due_at.is_not(None), _TABLE.c.token.is_(None))
    condition = and_(is_overdue(head_end, now), asked, ~may_hold_it)
    return _claim(connection, condition, order=(_TABLE.c.id,), limit=limit)


def _due(head_end: _Text, kind: CommandKind, now: _Instant) -> ColumnElement[bool]:
    return and_(
        COMMAND_IS_READY,
        _TABLE.c.head_end == head_end,
        _TABLE.c.kind == kind,
        _TABLE.c.not_before <= now,
        _TABLE.c.expires_at > now,
        or_(_TABLE.c.due_at.is_(None), _TABLE.c.due_at <= database_now()),
    )


def _expired(head_end: _Text, now: _Instant) -> ColumnElement[bool]:
    return and_(COMMAND_IS_READY, _TABLE.c.head_end == head_end, _TABLE.c.not_before <= now, _TABLE.c.expires_at <= now)


def _orphaned(head_end: _Text) -> ColumnElement[bool]:
    return and_(
        COMMAND_IS_UNDER_WAY,
        _TABLE.c.status == CommandStatus.SUBMITTING,
        _TABLE.c.head_end == head_end,
        _TABLE.c.lease_until < database_now(),
    )


def _claim(
    connection: Connection, condition: ColumnElement[bool], *, order: Sequence[Any], limit: int
) -> list[Claimed]:
    query = CLAIMED.where(condition).order_by(*order).limit(limit).with_for_update(skip_locked=True)
    return claimed_by(connection, query)


def claimed_by(connection: Connection, query: Any, parameters: Mapping[str, Any] | None = None) -> list[Claimed]:
    """Return the commands of a query, made by narrowing `CLAIMED`, with what only the head-end worker knows of them."""
    return [
        Claimed(id=command_id, command=command, attempts=attempts, correlation=correlation, token=token)
        for (command_id, attempts, correlation, token), command in COMMAND.fetch_beside(
            connection, query, 4, parameters=parameters
        )
    ]


def _set(connection: Connection, ids: Sequence[int], values: Mapping[str, Any]) -> None:
    if ids:
        is_one = among_given(connection.dialect.name, [_TABLE.c.id])
        connection.execute(update(_TABLE).where(is_one).values(**values), _ids(connection, ids))


def _ids(connection: Connection, ids: Sequence[int]) -> dict[str, Any]:
    return told(connection, [_TABLE.c.id], [(command_id,) for command_id in ids])


def control_of(command: Command) -> tuple[str, str, str, str]:
    """Return the key of the connection order a switch names (`control_key` of domain/end_device_control.py)."""
    name = command.control_key or ""
    inner = name.removeprefix(f"{command.sender_system}/").removesuffix(f"/{command.device_id}")
    request_id, _, category = inner.rpartition("/")
    return command.sender_system, request_id, category, command.device_id
