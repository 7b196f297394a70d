"""The job `command_timeouts`: ends commands whose results are overdue, at every head end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from mdus.domain.command import CommandStatus
from mdus.storage import polling, submission
from mdus.storage.session import Database
from mdus.workers.head_end import HeadEndWorker

#: Commands settled in one run whose head end is not configured any more.
_SETTLED_AT_ONCE: Final = 500

#: How a command of a head end that is not configured any more ends.
_STRANDED = {
    CommandStatus.READY: CommandStatus.FAILED,
    CommandStatus.SUBMITTING: CommandStatus.UNCERTAIN,
    CommandStatus.ACCEPTED: CommandStatus.TIMED_OUT,
}


def command_timeouts(database: Database, workers: Mapping[str, HeadEndWorker], *, now: datetime) -> str:
    """Do the job of that name: time out what is overdue at every head end, also at those no longer configured."""
    overdue = sum(worker.timeouts(now) for worker in workers.values())
    stranded = 0
    with database.begin() as uow:
        polling.forget(uow.connection, now=now)
        for each in submission.claim_stranded(uow.connection, list(workers), now=now, limit=_SETTLED_AT_ONCE):
            stranded += 1
            text = f"the head end {each.command.head_end} is not configured any more"
            ended = each.ending(_STRANDED[each.command.status], code="NO_HEAD_END", text=text)
            submission.end(uow.connection, [ended], now=now)
    return f"{overdue} commands timed out, {stranded} of unknown head ends ended"
