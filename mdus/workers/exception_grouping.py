"""Groups of cases that have one cause, storms, and cases that end because what was missing has come.

All of it is found anew at each look, from the rows there are: what a crash leaves undone the next look does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import select

from mdus.domain.end_device_event import LateFailure
from mdus.domain.exception_grouping import ROOT_CAUSE, GroupingRules, Place, whole_head_ends, worth_counting
from mdus.domain.exception_subject import named_in
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.storage import exception_group as groups
from mdus.storage import exception_storm as storms
from mdus.storage.exception_case import close_for
from mdus.storage.exception_storm import BY_RULE
from mdus.storage.exception_work import note_history
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.reconciliation import DOCUMENT_OVERDUE
from mdus.storage.session import UnitOfWork

log = structlog.get_logger(__name__)

#: Cases about reading orders looked at in one turn.
_LOOKED_AT: Final = 1000

#: Reading orders that wait for no value any more: it is there, or SAP has it otherwise.
_ANSWERED: Final = (
    DocumentStatus.READ,
    DocumentStatus.AVAILABLE,
    DocumentStatus.RESULT_SENT,
    DocumentStatus.CONFIRMED,
    DocumentStatus.ENTERED,
    DocumentStatus.CANCELLED,
)


def keep_groups(uow: UnitOfWork, kinds: Collection[str], rules: GroupingRules, *, area: str, now: datetime) -> int:
    """Let cases of one cause be members of one: of those there are, then of new ones; close what has no member left."""
    connection = uow.connection
    since = now - rules.group_window
    moved = 0
    for group in groups.open_groups(connection):
        place = Place(head_end=group.head_end, area=group.area)
        began = group.opened_at - rules.group_window
        moved += groups.join(connection, group.id, place, kinds, since=began)
    counted = whole_head_ends(groups.affected(connection, kinds, since=since, ungrouped=True)) if kinds else {}
    found: list[Place] = []
    for place in worth_counting(counted, least=rules.group_members):
        if any(other.covers(place) for other in found):
            continue
        meters = groups.meters_at(connection, place, area=area, day=now.date())
        if rules.is_one_cause(counted[place], of=meters):
            found.append(place)
            note = f"{counted[place]} of {meters} meters of {place} lack data since {since:%Y-%m-%d %H:%M} UTC"
            group_id = groups.open_group(connection, ROOT_CAUSE, place, note=note, now=now)
            members = groups.join(connection, group_id, place, kinds, since=since)
            note_history(connection, [group_id], who=BY_RULE, action="grouped", text=note, at=now)
            log.warning("cases_grouped", place=str(place), members=members, meters=meters)
            moved += members
    groups.count_members(connection)
    return moved + groups.close_empty(connection, now=now)


def keep_storms(uow: UnitOfWork, kinds: Collection[str], rules: GroupingRules, *, area: str, now: datetime) -> int:
    """Begin storms, let new cases join them, and end those that are over."""
    connection = uow.connection
    since = now - rules.storm_window
    moved = 0
    present = storms.open_storms(connection)
    counted = whole_head_ends(groups.affected(connection, kinds, since=since, ungrouped=False)) if kinds else {}
    stormy = [Place(head_end=storm.head_end, area=storm.area) for storm in present]
    for place in worth_counting(counted, least=rules.storm_members):
        if any(other.covers(place) for other in stormy):
            continue
        meters = groups.meters_at(connection, place, area=area, day=now.date())
        if rules.is_storm(counted[place], of=meters):
            stormy.append(place)
            who = {"who": BY_RULE, "reason": "by rule"}
            storms.start_storm(connection, place, kinds, meters=meters, since=since, now=now, **who)
            moved += counted[place]
    for storm in present:
        moved += storms.join_storm(connection, storm, kinds, since=storm.started_at - rules.storm_window, now=now)
        affected = storms.members_affected(connection, storm)
        storms.note_affected(connection, storm, affected)
        if storm.started_by == BY_RULE and rules.is_over(affected, of=storm.meters):
            reason = f"{affected} of {storm.meters} meters still have a case"
            moved += storms.end_storm(connection, storm, who=BY_RULE, reason=reason, now=now)
    return moved


def close_answered(uow: UnitOfWork, *, now: datetime) -> int:
    """Close cases about reading orders that have their value, or need none, by now; returns how many."""
    table, closed = EXCEPTION_CASE.table, 0
    for kind in (LateFailure.READING_MISSING.value, DOCUMENT_OVERDUE):
        query = select(table.c.case_key).where(table.c.closed_at.is_(None), table.c.kind == kind)
        keys: Sequence[str] = uow.connection.scalars(query.order_by(table.c.id).limit(_LOOKED_AT)).all()
        named = {(one.sender_system, one.document_id): key for key in keys if (one := named_in(kind, key)).document_id}
        documents = uow.load(MeterReadingDocument, MeterReadingDocument.KEY, list(named), lock=False)
        done = [named[one.sender_system, one.document_id] for one in documents if one.status in _ANSWERED]
        closed += close_for(uow, kind, done, now)
    return closed
