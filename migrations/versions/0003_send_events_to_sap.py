"""send events to SAP

Late failures that were stored as due so far become events, each once. Their kind is told by their note, and so is the
case they opened.

Revision: 0003
Follows: 0002
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from mdus.storage.column_types import UtcInstant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SERVICE: Final = "UtilitiesSmartMeterEventERPBulkCreateRequest"
_LOCATION: Final = "UtilitiesDeviceERPSmartMeterLocationNotification: %"

# How the note of each kind of late failure begins; whatever else failed was a message of SAP.
_FAILURES: Final = {
    "location_failed": _LOCATION,
    "reading_missing": "No reading for document %",
    "switch_state_unknown": "The breaker of device %",
    "switch_contradiction": "The order was confirmed as %",
}


def upgrade() -> None:
    op.create_table(
        "end_device_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("sender_system", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=True),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("at", UtcInstant(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("area", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("properties", sa.Text(), nullable=False),
        sa.Column("told_at", UtcInstant(), nullable=False),
        sa.Column("happened_on", sa.Date(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("sent_at", UtcInstant(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("case_key", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sender_system", "event_id", name="end_device_event_key"),
    )
    with op.batch_alter_table("end_device_event", schema=None) as batch_op:
        batch_op.create_index(
            "end_device_event_sender_system_device_id_at", ["sender_system", "device_id", "at"], unique=False
        )
        for name, columns in (("told", ["id"]), ("held", ["sender_system", "device_id"]), ("due", ["id"])):
            batch_op.create_index(
                f"end_device_event_{name}",
                columns,
                unique=False,
                sqlite_where=sa.text(f"state = '{name}'"),
                postgresql_where=sa.text(f"state = '{name}'"),
            )
    op.create_table(
        "event_window",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("sender_system", sa.Text(), nullable=False),
        sa.Column("area", sa.Text(), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("window_from", UtcInstant(), nullable=False),
        sa.Column("passed", sa.BigInteger(), nullable=False),
        sa.Column("suppressed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sender_system", "area", "event_type", "window_from", name="event_window_key"),
    )
    with op.batch_alter_table("event_window", schema=None) as batch_op:
        batch_op.create_index("event_window_window_from", ["window_from"], unique=False)
    with op.batch_alter_table("meter_reading_document", schema=None) as batch_op:
        batch_op.create_index(
            "meter_reading_document_failed",
            ["id"],
            unique=False,
            sqlite_where=sa.text("status = 'failed'"),
            postgresql_where=sa.text("status = 'failed'"),
        )
    _take_over()


def _take_over() -> None:
    """Let the late failures stored as due go the way of events."""
    kinds = " ".join(f"WHEN note LIKE '{begins}' THEN '{failure}'" for failure, begins in _FAILURES.items())
    due = (
        "type = 'smart_meter_event_due' AND NOT EXISTS (SELECT 1 FROM domain_event_consumed AS consumed"
        f" WHERE consumed.event_id = domain_event.event_id AND consumed.service = '{_SERVICE}')"
    )
    # Cases of locations had the kind of any message.
    op.execute(
        f"UPDATE exception_case SET kind = 'location_failed' WHERE kind = 'message_failed' AND note LIKE '{_LOCATION}'"
    )
    op.execute(
        "INSERT INTO end_device_event (event_id, sender_system, device_id, event_type, at, source, area, text,"
        " properties, told_at, state, case_key)"
        " SELECT told.event_id, told.sender_system, told.device_id, told.event_type, told.at, 'mdus', 'mdus',"
        " told.note, '[]', told.at, 'told', opened.case_key"
        " FROM (SELECT id, event_id, sender_system, replace(aggregate, 'device/', '') AS device_id, at, note,"
        f" CASE {kinds} ELSE 'message_failed' END AS event_type FROM domain_event WHERE {due}) AS told"
        " LEFT JOIN (SELECT kind, note, min(case_key) AS case_key FROM exception_case GROUP BY kind, note) AS opened"
        " ON opened.kind = told.event_type AND opened.note = told.note ORDER BY told.id"
    )
    # Nothing else was ever stored in these.
    op.drop_table("domain_event_consumed")
    op.drop_table("domain_event")


def downgrade() -> None:
    op.create_table(
        "domain_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("sender_system", sa.Text(), nullable=False),
        sa.Column("aggregate", sa.Text(), nullable=False),
        sa.Column("at", UtcInstant(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("event_id", name="domain_event_key"),
    )
    with op.batch_alter_table("domain_event", schema=None) as batch_op:
        batch_op.create_index("domain_event_type_at", ["type", "at"], unique=False)
    op.create_table(
        "domain_event_consumed",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("at", UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("event_id", "service", name="domain_event_consumed_key"),
    )
    # A late failure that was not sent is due again.
    op.execute(
        "INSERT INTO domain_event (event_id, type, sender_system, aggregate, at, note)"
        " SELECT event_id, 'smart_meter_event_due', sender_system, 'device/' || coalesce(device_id, ''), at,"
        " coalesce(text, '') FROM end_device_event WHERE source = 'mdus' AND sent_at IS NULL ORDER BY id"
    )
    with op.batch_alter_table("meter_reading_document", schema=None) as batch_op:
        batch_op.drop_index("meter_reading_document_failed")
    op.drop_table("event_window")
    op.drop_table("end_device_event")
