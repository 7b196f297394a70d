"""keep interval values

Revision: 0002
Follows: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mdus.storage.column_types import UtcInstant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "channel",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("sender_system", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("reading_type", sa.Text(), nullable=False),
        sa.Column("interval_minutes", sa.BigInteger(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("decimals", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "sender_system",
            "device_id",
            "reading_type",
            "interval_minutes",
            "time_zone",
            "unit",
            name="channel_key",
        ),
    )
    op.create_table(
        "interval_block",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("layer", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("values", sa.LargeBinary(), nullable=False),
        sa.Column("qualities", sa.LargeBinary(), nullable=False),
        sa.Column("present", sa.Integer(), nullable=False),
        sa.Column("unfit", sa.Text(), nullable=True),
        sa.Column("used", sa.Boolean(), nullable=False),
        sa.Column("written_at", UtcInstant(), nullable=False),
        sa.Column("written_by", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("channel_id", "day", "layer", "version", name="interval_block_key"),
    )
    with op.batch_alter_table("interval_block", schema=None) as batch_op:
        batch_op.create_index(
            "interval_block_current",
            ["channel_id", "day", "layer"],
            unique=True,
            sqlite_where=sa.text("is_current"),
            postgresql_where=sa.text("is_current"),
        )
    op.create_table(
        "quality_set",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("codes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("codes"),
    )
    op.add_column("message", sa.Column("imported", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "registration_resend",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("sender_system", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ordered_by", sa.Text(), nullable=False),
        sa.Column("ordered_at", UtcInstant(), nullable=False),
        sa.Column("sent_at", UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sender_system", "device_id", "attempt", name="registration_resend_key"),
    )
    with op.batch_alter_table("registration_resend", schema=None) as batch_op:
        batch_op.create_index(
            "registration_resend_due",
            ["id"],
            unique=False,
            sqlite_where=sa.text("sent_at IS NULL"),
            postgresql_where=sa.text("sent_at IS NULL"),
        )
    _add_profiles()


def downgrade() -> None:
    _drop_profiles()
    with op.batch_alter_table("registration_resend", schema=None) as batch_op:
        batch_op.drop_index(
            "registration_resend_due",
            sqlite_where=sa.text("sent_at IS NULL"),
            postgresql_where=sa.text("sent_at IS NULL"),
        )
    op.drop_table("registration_resend")
    with op.batch_alter_table("message", schema=None) as batch_op:
        batch_op.drop_column("imported")
    op.drop_table("quality_set")
    with op.batch_alter_table("interval_block", schema=None) as batch_op:
        batch_op.drop_index(
            "interval_block_current",
            sqlite_where=sa.text("is_current"),
            postgresql_where=sa.text("is_current"),
        )
    op.drop_table("interval_block")
    op.drop_table("channel")


def _add_profiles() -> None:
    """What SAP has assigned and been told of its profiles."""
    op.create_table(
        "time_series_assignment",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("sender_system", sa.Text(), nullable=False),
        sa.Column("time_series_id", sa.Text(), nullable=False),
        sa.Column("valid_from", UtcInstant(), nullable=False),
        sa.Column("valid_to", UtcInstant(), nullable=True),
        sa.Column("role_code", sa.Text(), nullable=False),
        sa.Column("measurement_task_id", sa.Text(), nullable=False),
        sa.Column("recurrence_code", sa.Text(), nullable=True),
        sa.Column("interval_minutes", sa.BigInteger(), nullable=True),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("total_digits", sa.BigInteger(), nullable=True),
        sa.Column("fraction_digits", sa.BigInteger(), nullable=True),
        sa.Column("remotely_stored", sa.Boolean(), nullable=False),
        sa.Column("exported", sa.Boolean(), nullable=False),
        sa.Column("ams_id", sa.Text(), nullable=True),
        sa.Column("assigned_at", UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sender_system", "time_series_id", "valid_from", name="time_series_assignment_key"),
    )
    with op.batch_alter_table("time_series_assignment", schema=None) as batch_op:
        batch_op.create_index(
            "time_series_assignment_sender_system_measurement_task_id",
            ["sender_system", "measurement_task_id"],
            unique=False,
        )
    op.create_table(
        "time_series_day",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("sender_system", sa.Text(), nullable=False),
        sa.Column("time_series_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("interval_minutes", sa.BigInteger(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("decimals", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.LargeBinary(), nullable=False),
        sa.Column("statuses", sa.LargeBinary(), nullable=False),
        sa.Column("codes", sa.Text(), nullable=False),
        sa.Column("refusals", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sender_system", "time_series_id", "day", name="time_series_day_key"),
    )
    with op.batch_alter_table("time_series_day", schema=None) as batch_op:
        batch_op.create_index(
            "time_series_day_refused",
            ["day"],
            unique=False,
            sqlite_where=sa.text("refusals > 0"),
            postgresql_where=sa.text("refusals > 0"),
        )
    op.create_table(
        "time_series_look",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("sender_system", sa.Text(), nullable=False),
        sa.Column("time_series_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("due_at", UtcInstant(), nullable=False),
        sa.Column("onward", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sender_system", "time_series_id", "day", name="time_series_look_key"),
    )
    with op.batch_alter_table("time_series_look", schema=None) as batch_op:
        batch_op.create_index("time_series_look_due_at", ["due_at"], unique=False)
    op.create_table(
        "time_series_upload",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("sender_system", sa.Text(), nullable=False),
        sa.Column("time_series_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("decimals", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("made_at", UtcInstant(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sender_system", "time_series_id", "number", name="time_series_upload_key"),
    )
    with op.batch_alter_table("time_series_upload", schema=None) as batch_op:
        batch_op.create_index(
            "time_series_upload_due",
            ["operation", "id"],
            unique=False,
            sqlite_where=sa.text("status = 'due'"),
            postgresql_where=sa.text("status = 'due'"),
        )
        batch_op.create_index(
            "time_series_upload_open",
            ["sender_system", "time_series_id", "day"],
            unique=False,
            sqlite_where=sa.text("status IN ('due', 'sent')"),
            postgresql_where=sa.text("status IN ('due', 'sent')"),
        )
        batch_op.create_index(
            "time_series_upload_sent",
            ["id"],
            unique=False,
            sqlite_where=sa.text("status = 'sent'"),
            postgresql_where=sa.text("status = 'sent'"),
        )
    op.add_column("message", sa.Column("result_code", sa.Text(), nullable=True))
    with op.batch_alter_table("interval_block", schema=None) as batch_op:
        batch_op.create_index(
            "interval_block_revised",
            ["written_at"],
            unique=False,
            sqlite_where=sa.text("is_current AND (version > 1 OR cause = 'late' OR layer = 'final')"),
            postgresql_where=sa.text("is_current AND (version > 1 OR cause = 'late' OR layer = 'final')"),
        )


def _drop_profiles() -> None:
    where = sa.text("is_current AND (version > 1 OR cause = 'late' OR layer = 'final')")
    with op.batch_alter_table("interval_block", schema=None) as batch_op:
        batch_op.drop_index("interval_block_revised", sqlite_where=where, postgresql_where=where)
    with op.batch_alter_table("message", schema=None) as batch_op:
        batch_op.drop_column("result_code")
    for name in ("time_series_upload", "time_series_look", "time_series_day", "time_series_assignment"):
        op.drop_table(name)
