"""trace and mend: find items by what they are about, what was given up, who did what, and who may

Revision: 0004
Follows: 0003
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from mdus.storage.column_types import UtcInstant

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_INDEXES: Final = (
    ("message_item_taken", "message_item", "ordering_key", "status <> 'ready'"),
    ("message_dead", "message", "id", "status = 'dead'"),
    ("message_item_dead", "message_item", "id", "status = 'dead'"),
    ("head_end_delivery_dead", "head_end_delivery", "id", "status = 'dead'"),
)


def upgrade() -> None:
    for name, table, column, condition in _INDEXES:
        where = sa.text(condition)
        op.create_index(name, table, [column], sqlite_where=where, postgresql_where=where)
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", UtcInstant(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("audit_action", "audit", ["action", "id"])
    op.create_table(
        "access_token",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("systems", sa.Text(), nullable=True),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UtcInstant(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", UtcInstant(), nullable=True),
        sa.Column("revoked_at", UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name", name="access_token_name"),
        sa.UniqueConstraint("token_hash", name="access_token_hash"),
    )


def downgrade() -> None:
    op.drop_table("access_token")
    op.drop_table("audit")
    for name, table, _, _ in reversed(_INDEXES):
        op.drop_index(name, table_name=table)
