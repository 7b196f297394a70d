"""keep the demand limits that meters have confirmed, and load control events

Revision: 0017
Follows: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mdus.storage.column_types import ExactDecimal, UtcInstant
from mdus.storage.mapping import Identity64

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_ENDS = sa.text("look_at IS NOT NULL")
_ALWAYS = sa.text("status <> ''")
_LISTED = {
    "load_control_event_listed": ["sender_system", "status", "id"],
    "load_control_event_listed_event": ["event_id", "sender_system", "status", "id"],
}


def upgrade() -> None:
    op.create_table(
        "device_limit",
        sa.Column("id", Identity64, primary_key=True, autoincrement=True),
        sa.Column("sender_system", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("serial_id", sa.Text(), nullable=False),
        sa.Column("limit_kw", ExactDecimal(), nullable=False),
        sa.Column("set_at", UtcInstant(), nullable=False),
        sa.Column("valid_until", UtcInstant(), nullable=True),
        sa.Column("look_at", UtcInstant(), nullable=True),
        sa.Column("item_id", sa.BigInteger(), nullable=False),
        sa.Column("client", sa.Text(), nullable=True),
        sa.UniqueConstraint("sender_system", "device_id", name="device_limit_key"),
    )
    op.create_index("device_limit_item_id", "device_limit", ["item_id"])
    op.create_index("device_limit_listed", "device_limit", ["sender_system", "id"])
    op.create_index("device_limit_due", "device_limit", ["look_at"], sqlite_where=_ENDS, postgresql_where=_ENDS)
    op.create_table(
        "load_control_event",
        sa.Column("id", Identity64, primary_key=True, autoincrement=True),
        sa.Column("sender_system", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("start_at", UtcInstant(), nullable=False),
        sa.Column("minutes", sa.BigInteger(), nullable=False),
        sa.Column("percent", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("settled_at", UtcInstant(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("item_id", sa.BigInteger(), nullable=False),
        sa.Column("client", sa.Text(), nullable=True),
        sa.UniqueConstraint("sender_system", "event_id", "device_id", name="load_control_event_key"),
    )
    op.create_index(
        "load_control_event_sender_system_device_id_start_at",
        "load_control_event",
        ["sender_system", "device_id", "start_at"],
    )
    for name, columns in _LISTED.items():
        op.create_index(name, "load_control_event", columns, sqlite_where=_ALWAYS)


def downgrade() -> None:
    op.drop_table("load_control_event")
    op.drop_table("device_limit")
