"""Asking head ends for the results of calls they have accepted: when it is time, when they say so, and when overdue.

Of a call that was given up a result may still come, and it tells where a breaker stands: it is asked for another day.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from sqlalchemy import BindParameter, Connection, and_, func, select, update
from sqlalchemy.sql import ColumnElement

from mdus.domain.command import CommandStatus
from mdus.storage.column_types import database_now
from mdus.storage.command import COMMAND, COMMAND_INTENT, COMMAND_IS_POLLED, COMMAND_IS_UNDER_WAY
from mdus.storage.keys import among

_TABLE = COMMAND.table

#: How long after its time a result is asked for, as long as a delivery that belongs to nothing is kept waiting.
_GIVEN_UP_AFTER: Final = timedelta(hours=24)

#: A value, or its place in a statement that is made once.
_Text: TypeAlias = "str | BindParameter[Any]"
_Instant: TypeAlias = "datetime | BindParameter[Any]"


def overdue_tokens(connection: Connection, head_end: str, *, now: datetime, limit: int) -> list[str]:
    """Return the calls whose results are overdue and whose head end was not yet asked for them."""
    query = (
        select(_TABLE.c.token)
        .where(is_overdue(head_end, now), _TABLE.c.due_at.is_(None), _TABLE.c.token.is_not(None))
        .distinct()
        .limit(limit)
    )
    return [token for token in connection.scalars(query) if token is not None]


def open_tokens(connection: Connection, head_end: str, *, answer_by: datetime, limit: int) -> list[str]:
    """Return the calls with results still to come by `answer_by` (business time), those most urgent first."""
    query = (
        select(_TABLE.c.token)
        .where(
            COMMAND_IS_UNDER_WAY,
            _TABLE.c.status == CommandStatus.ACCEPTED,
            _TABLE.c.head_end == head_end,
            _TABLE.c.answer_by <= answer_by,
            _TABLE.c.token.is_not(None),
        )
        .group_by(_TABLE.c.token)
        .order_by(_TABLE.c.token)
        .limit(limit)
    )
    return [token for token in connection.scalars(query) if token is not None]


def claim_polls(
    connection: Connection, head_end: str, *, now: datetime, pause: timedelta, longest: int, limit: int
) -> list[str]:
    """Return the calls whose results are to be asked for now, and put each off until it is due again.

    The pause doubles with each time up to `longest` times as much. Several may ask for one: they fetch the same.
    """
    query = (
        select(_TABLE.c.token, func.max(_TABLE.c.polls))
        .where(is_polled(head_end, wanted_from(now)))
        .group_by(_TABLE.c.token)
        .order_by(func.min(_TABLE.c.poll_at))
        .limit(limit)
    )
    by_polls: dict[int, list[str]] = {}
    for token, polls in connection.execute(query):
        by_polls.setdefault(polls, []).append(token)
    for polls, tokens in by_polls.items():
        connection.execute(
            update(_TABLE)
            .where(COMMAND_IS_POLLED, _TABLE.c.head_end == head_end, _TABLE.c.token.in_(tokens))
            .values(poll_at=database_now(plus=pause * min(2**polls, longest)), polls=_TABLE.c.polls + 1)
        )
    return [token for tokens in by_polls.values() for token in tokens]


def note_ready(connection: Connection, head_end: str, tokens: Collection[str]) -> frozenset[str]:
    """Have the results of these calls asked for at once, also of one that was given up.

    Returns the tokens that are of calls we know.
    """
    if not tokens:
        return frozenset()
    intent = COMMAND_INTENT
    named = [(head_end, token) for token in sorted(tokens)]
    named_here = among(connection, [intent.c.head_end, intent.c.token], named)
    found = frozenset(connection.scalars(select(intent.c.token).where(named_here).distinct()))
    connection.execute(
        update(_TABLE)
        .where(
            _TABLE.c.id.in_(select(intent.c.command_id).where(named_here)),
            _TABLE.c.status.in_([CommandStatus.ACCEPTED, CommandStatus.TIMED_OUT]),
            _TABLE.c.token.in_(sorted(found)),
        )
        .values(poll_at=database_now(), polls=0)
    )
    return found


def stop(connection: Connection, command_ids: Collection[int]) -> None:
    """Ask no more for the results of these commands: they are here, if late."""
    if command_ids:
        ids = [(command_id,) for command_id in sorted(command_ids)]
        connection.execute(update(_TABLE).where(among(connection, [_TABLE.c.id], ids)).values(poll_at=None))


def forget(connection: Connection, *, now: datetime) -> None:
    """Let go of results that were asked for in vain long enough: each look at what is to be asked for reads them."""
    is_given_up = and_(COMMAND_IS_POLLED, _TABLE.c.answer_by <= wanted_from(now))
    connection.execute(update(_TABLE).where(is_given_up).values(poll_at=None))


def note_asked(connection: Connection, head_end: str, tokens: Collection[str], *, now: datetime) -> None:
    """Note that the head end was asked for these overdue results: `due_at` of an accepted command says when."""
    if tokens:
        connection.execute(
            update(_TABLE)
            .where(is_overdue(head_end, now), _TABLE.c.token.in_(tokens), _TABLE.c.due_at.is_(None))
            .values(due_at=database_now())
        )


def wanted_from(now: datetime) -> datetime:
    """Return the instant (business time) before which a result must have been due that is not asked for any more."""
    return now - _GIVEN_UP_AFTER


def is_polled(head_end: _Text, since: _Instant) -> ColumnElement[bool]:
    """Return the condition that the result of a command is to be asked for now: one that was due after `since`."""
    return and_(
        COMMAND_IS_POLLED,
        _TABLE.c.head_end == head_end,
        _TABLE.c.poll_at <= database_now(),
        _TABLE.c.answer_by > since,
    )


def is_overdue(head_end: _Text, now: _Instant) -> ColumnElement[bool]:
    """Return the condition that the result of a command should have come by an instant (business time)."""
    return and_(
        COMMAND_IS_UNDER_WAY,
        _TABLE.c.status == CommandStatus.ACCEPTED,
        _TABLE.c.head_end == head_end,
        _TABLE.c.answer_by <= now,
    )
