"""The job `retention`: what has been kept long enough goes, in transactions of bounded size.

Values are not among it: neither readings nor interval values are ever deleted here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final

from mdus.messaging.patterns import Service
from mdus.messaging.trace import Patience
from mdus.settings import Settings
from mdus.storage import retention, unmapped
from mdus.storage.session import Database

#: Rows of one transaction.
AT_ONCE: Final = 500

#: For how long a body that had to stay, for SAP has not confirmed, is looked at again; then it goes with its keys.
_LOOKED_AT_AGAIN: Final = timedelta(days=30)


def run(
    database: Database,
    *,
    settings: Settings,
    services: Mapping[str, Service],
    now: datetime,
    day: date,
    since: datetime | None = None,
    at_once: int = AT_ONCE,
) -> str:
    """Forget what is older than the settings say; returns how much of each.

    `since` is when this was done last (None: never): bodies that were too old long before are not looked at again, but
    for those of deliveries once what no table explained was read again.
    """
    keep = settings.retention
    confirmed = set(Patience.of(services, settings).confirmed_by_sap)

    def before(days: int) -> datetime:
        return now - timedelta(days=days)

    def walked(step: Callable[..., tuple[int, int | None]], days: int, *, after: int = 0) -> int:
        """Go through what is older, from the oldest on: what must stay is passed over."""
        count = 0
        while True:
            with database.begin() as uow:
                some, following = step(uow.connection, before=before(days), after=after, limit=at_once)
            count += some
            if following is None:
                return count
            after = following

    def emptied(step: Callable[..., int], **options: Any) -> int:
        """Take the oldest until there are no more."""
        count = 0
        while True:
            with database.begin() as uow:
                some = step(uow.connection, limit=at_once, **options)
            count += some
            if some < at_once:
                return count

    message = delivery = 0
    if since is not None:
        again = since - timedelta(days=keep.payload_days) - _LOOKED_AT_AGAIN
        with database.read() as uow:
            message = retention.first_message(uow.connection, since=again)
            if not unmapped.was_mended(uow.connection, since=since):
                delivery = retention.first_delivery(uow.connection, since=again)
    with database.read() as uow:
        upto = retention.last_command(uow.connection, before=before(keep.key_days))
    counts = {
        "bodies of messages": walked(
            partial(retention.forget_bodies, confirmed=confirmed), keep.payload_days, after=message
        ),
        "bodies of deliveries": walked(retention.forget_deliveries, keep.payload_days, after=delivery),
        "messages": walked(partial(retention.forget_messages, confirmed=confirmed), keep.key_days),
        "commands": walked(partial(retention.forget_commands, upto=upto), keep.key_days),
        "load control events": emptied(retention.forget_load_control, before=before(keep.key_days)),
        "closed cases": emptied(retention.forget_cases, before=before(keep.case_days)),
        "deeds": emptied(retention.forget_deeds, before=before(keep.audit_days)),
        "figures": emptied(retention.forget_kpis, before=day - timedelta(days=keep.kpi_days)),
    }
    return f"forgotten: {', '.join(f'{count} {what}' for what, count in counts.items())}"
