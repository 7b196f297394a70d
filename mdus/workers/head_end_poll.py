"""The job `head_end_poll`: fetches what head ends should have pushed, lest a lost push stay lost.

Register snapshots, events and interval values of the time since the last poll, and the results of calls accepted a
while ago. Everything becomes a delivery like a pushed one: what had come already is known by its readings and commands,
and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial

import structlog

from mdus.domain.head_end import HeadEnd, RawDelivery
from mdus.messaging.retry import TransientError, UncertainError
from mdus.storage import delivery, polling
from mdus.storage.session import Database

log = structlog.get_logger(__name__)

#: How far a poll looks back before the one before it: snapshots are collected up to hours after midnight. Interval
#: values are too many to be fetched in each poll of a day: their time is asked for at once, and once more this much
#: later, when what was late has come.
OVERLAP = timedelta(hours=24)

#: Calls asked for per head end and poll.
_CALLS = 500


def run(
    database: Database,
    head_ends: Mapping[str, HeadEnd],
    *,
    now: datetime,
    since: datetime,
    results_within: timedelta = timedelta(minutes=30),
) -> str:
    """Fetch what was told from `since` (the last poll) on and results due within `results_within`; returns what it did.

    A head end that does not answer costs the others nothing: it is named in the outcome, and the next poll's overlap
    covers the time.
    """
    parts = []
    for name, head_end in head_ends.items():
        fetched, errors = 0, []
        for fetch in _fetches(database, head_end, now=now, since=since, answer_by=now + results_within):
            try:
                fetched += fetch()
            except (TransientError, UncertainError, ValueError, ArithmeticError) as error:
                log.warning("head_end_not_polled", head_end=name, reason=str(error))
                errors.append(str(error))
        parts.append(
            f"{name}: {'; '.join([*errors, *([f'{fetched} new deliveries'] if fetched or not errors else [])])}"
        )
    return "; ".join(parts) or "no head end is configured"


def _fetches(
    database: Database, head_end: HeadEnd, *, now: datetime, since: datetime, answer_by: datetime
) -> Iterator[Callable[[], int]]:
    """Yield what is to be fetched, each by a call of its own: one that fails keeps nothing of the others back."""
    early = since - OVERLAP
    yield lambda: _stored(database, head_end, head_end.snapshots(period_from=early, period_to=now), now=now)
    with database.read() as uow:
        tokens = polling.open_tokens(uow.connection, head_end.name, answer_by=answer_by, limit=_CALLS)
    for token in tokens:
        yield partial(_results, database, head_end, token, now=now)
    yield lambda: _stored(database, head_end, head_end.events(period_from=early, period_to=now), now=now)
    for period_from, period_to in ((early, min(now - OVERLAP, since)), (since, now)):
        yield partial(_intervals, database, head_end, period_from, period_to, now=now)


def _intervals(
    database: Database, head_end: HeadEnd, period_from: datetime, period_to: datetime, *, now: datetime
) -> int:
    return _stored(database, head_end, head_end.intervals(period_from=period_from, period_to=period_to), now=now)


def _stored(database: Database, head_end: HeadEnd, pages: Iterable[RawDelivery], *, now: datetime) -> int:
    stored = 0
    # Page by page: each is durable before the next is asked for.
    for page in pages:
        packed = [delivery.pack(page)]
        with database.begin() as uow:
            stored += delivery.store(uow.connection, packed, head_end=head_end.name, now=now)
    return stored


def _results(database: Database, head_end: HeadEnd, token: str, *, now: datetime) -> int:
    packed = [delivery.pack(each) for each in head_end.results(token)]
    with database.begin() as uow:
        return delivery.store(uow.connection, packed, head_end=head_end.name, now=now)
