"""The job `estimate_missing`: makes days due for validation of which nothing came at all.

A day of which some values came looks after itself; of one that stayed silent nobody would ever hear. So nightly every
channel that has told values lately, and none of a day that is over, has that day looked at: its values are estimated,
or it becomes an exception.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from mdus.settings import Settings
from mdus.storage import validation
from mdus.storage.session import Database
from mdus.workers.validation_facts import HISTORY_DAYS


def run(database: Database, *, settings: Settings, now: datetime, day: date) -> str:
    """Look at what was silent in the days before a business date; returns what was found.

    The days looked back over are those in which values may still be on their way.
    """
    found = 0
    patience = timedelta(minutes=settings.vee.estimate_after_minutes)
    for back in range(1, patience.days + 3):
        silent = day - timedelta(days=back)
        with database.begin() as uow:
            since = silent - timedelta(days=HISTORY_DAYS)
            found += validation.look_at_silent(uow.connection, silent, since=since, due_at=now)
    return f"{found} days without any value"
