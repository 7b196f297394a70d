"""let clients order: who sent a message by REST, whose orders are not SAP's, and what clients are told

Revision: 0005
Follows: 0004
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from mdus.storage.column_types import UtcInstant

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ORDERED: Final = ("message", "meter_reading_document", "end_device_control")


def upgrade() -> None:
    for table in _ORDERED:
        op.add_column(table, sa.Column("client", sa.Text(), nullable=True))
    where, columns = sa.text("client IS NOT NULL AND direction = 'in'"), ["client", "sender_system", "id"]
    op.create_index("message_client", "message", columns, sqlite_where=where, postgresql_where=where)

    op.create_table(
        "news",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=True),
        sa.Column("at", UtcInstant(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("sender_system", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=True),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("news_number", "news", ["number"], unique=True)
    untold = sa.text("number IS NULL")
    op.create_index("news_untold", "news", ["id"], sqlite_where=untold, postgresql_where=untold)
    op.create_index("news_at", "news", ["at"])
    op.create_table(
        "webhook",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("client", sa.Text(), nullable=True),
        sa.Column("systems", sa.Text(), nullable=True),
        sa.Column("topics", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("told_up_to", sa.BigInteger(), nullable=False),
        sa.Column("created_at", UtcInstant(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    op.drop_table("webhook")
    op.drop_table("news")
    op.drop_index("message_client", table_name="message")
    for table in reversed(_ORDERED):
        op.drop_column(table, "client")
