"""list by index: of every list each filter, from the newest row on

Revision: 0006
Follows: 0005
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

#: Of all rows; on SQLite by a condition that all rows meet, so that lists alone use them.
_OF_ALL: Final = (
    ("message_listed", "message", ("sender_system", "status"), "status <> ''"),
    ("message_listed_service", "message", ("service", "sender_system", "status"), "status <> ''"),
    ("meter_reading_document_listed", "meter_reading_document", ("sender_system", "status"), "status <> ''"),
    ("end_device_control_listed", "end_device_control", ("sender_system", "status"), "status <> ''"),
    ("end_device_event_listed", "end_device_event", ("sender_system", "state"), "state <> ''"),
    ("end_device_event_listed_type", "end_device_event", ("event_type", "sender_system", "state"), "state <> ''"),
    ("end_device_listed", "end_device", ("sender_system",), None),
    ("end_device_listed_head_end", "end_device", ("head_end", "sender_system"), None),
    ("job_run_listed", "job_run", ("job",), None),
)
_OF_SOME: Final = (
    ("end_device_event_listed_reason", "end_device_event", ("reason", "sender_system", "state"), "reason IS NOT NULL"),
    (
        "end_device_event_listed_type_reason",
        "end_device_event",
        ("event_type", "reason", "sender_system", "state"),
        "reason IS NOT NULL",
    ),
    ("exception_case_open", "exception_case", ("kind",), "closed_at IS NULL"),
    ("exception_case_closed", "exception_case", ("kind",), "closed_at IS NOT NULL"),
)


def upgrade() -> None:
    for name, table, columns, always in _OF_ALL:
        op.create_index(name, table, [*columns, "id"], sqlite_where=None if always is None else sa.text(always))
    for name, table, columns, condition in _OF_SOME:
        where = sa.text(condition)
        op.create_index(name, table, [*columns, "id"], sqlite_where=where, postgresql_where=where)
    op.drop_index("exception_case_closed_at", table_name="exception_case")


def downgrade() -> None:
    op.create_index("exception_case_closed_at", "exception_case", ["closed_at"])
    for name, table, _, _ in reversed((*_OF_ALL, *_OF_SOME)):
        op.drop_index(name, table_name=table)
