"""Exception cases: what services write of them, and beside it what makes a work list of them.

A service writes kind, key, note, and when it was opened and closed. Who looks after the case and what it is about is
filled in right after by the worker `exception_routing`, for all kinds: until then `routed_at` is empty. A case that is
opened anew begins anew.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, Text, text

from mdus.domain.exception_case import ExceptionCase
from mdus.domain.exception_routing import CaseState, Severity
from mdus.storage.column_types import EnumText, UtcInstant
from mdus.storage.mapping import ValueTable

# In the words of the partial indexes.
CASE_IS_OPEN: Final = "exception_case.closed_at IS NULL"
CASE_IS_LISTED: Final = "exception_case.closed_at IS NULL AND exception_case.group_id IS NULL"
CASE_WAS_LISTED: Final = "exception_case.closed_at IS NOT NULL AND exception_case.group_id IS NULL"
CASE_IS_UNROUTED: Final = "exception_case.closed_at IS NULL AND exception_case.routed_at IS NULL"

_IS_OPENED_ANEW: Final = '"exception_case"."closed_at" IS NOT NULL AND excluded."closed_at" IS NULL'

#: What is filled in of a case, and empty again when it is opened anew.
_FILLED: Final = (
    "assignee",
    "team",
    "severity",
    "due_at",
    "rule",
    "rules_version",
    "routed_at",
    "escalated_at",
    "paused_at",
    "age_class",
    "group_id",
)


def _index(name: str, *columns: str, where: str) -> Index:
    condition = text(where.replace("exception_case.", ""))
    return Index(name, *columns, sqlite_where=condition, postgresql_where=condition)


EXCEPTION_CASE = ValueTable(
    ExceptionCase,
    "exception_case",
    becomes={
        # Opening an open case again changes only its note.
        "opened_at": 'CASE WHEN "exception_case"."closed_at" IS NULL THEN "exception_case"."opened_at"'
        ' ELSE excluded."opened_at" END',
        "state": f'CASE WHEN {_IS_OPENED_ANEW} THEN \'open\' ELSE "exception_case"."state" END',
        **{name: f'CASE WHEN {_IS_OPENED_ANEW} THEN NULL ELSE "exception_case"."{name}" END' for name in _FILLED},
    },
    extra=[
        Column("state", EnumText(CaseState), nullable=False, server_default="open"),  # of an open case
        Column("assignee", Text),
        Column("team", Text),
        Column("severity", EnumText(Severity)),
        Column("due_at", UtcInstant),  # business instant
        Column("rule", Text),  # the rule that gave team, severity and due date; NULL: none matched
        Column("rules_version", BigInteger),
        Column("routed_at", UtcInstant),  # NULL: still to be routed
        Column("escalated_at", UtcInstant),  # it was overdue and has been raised
        Column("paused_at", UtcInstant),  # its due date stands still since
        Column("age_class", Text),  # in working days, as of the last hour
        Column("group_id", BigInteger),  # the case whose cause it shares
        Column("member_count", Integer),  # of a group: its open members; NULL: no group
        # What it is about, as far as it is known.
        Column("sender_system", Text),
        Column("device_id", Text),
        Column("point_of_delivery_id", Text),
        Column("head_end", Text),
        Column("area", Text),
        Column("commodity", Text),
        Column("reading_reason", Text),
    ],
    constraints=[
        _index("exception_case_open", "kind", "id", where=CASE_IS_OPEN),
        _index("exception_case_listed", "kind", "id", where=CASE_IS_LISTED),
        _index("exception_case_closed", "kind", "id", where="exception_case.closed_at IS NOT NULL"),
        _index("exception_case_unrouted", "id", where=CASE_IS_UNROUTED),
        _index("exception_case_due", "due_at", where=CASE_IS_LISTED),
        _index("exception_case_members", "group_id", where="exception_case.group_id IS NOT NULL"),
        _index("exception_case_ended", "closed_at", where="exception_case.closed_at IS NOT NULL"),
        _index(
            "exception_case_device", "sender_system", "device_id", "id", where="exception_case.device_id IS NOT NULL"
        ),
    ],
)
