"""keep rule sets by version, and what staff do to final values

Revision: 0013
Follows: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mdus.storage.column_types import ExactDecimal, UtcInstant
from mdus.storage.mapping import Identity64

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rule_set",
        sa.Column("id", Identity64, primary_key=True, autoincrement=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("written_at", UtcInstant(), nullable=False),
        sa.Column("written_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("retired", sa.Boolean(), nullable=False),
        sa.UniqueConstraint("name", "version", name="rule_set_version"),
    )
    op.create_table(
        "interval_edit",
        sa.Column("id", Identity64, primary_key=True, autoincrement=True),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("value_before", ExactDecimal(), nullable=True),
        sa.Column("codes_before", sa.Text(), nullable=False),
        sa.Column("value_after", ExactDecimal(), nullable=True),
        sa.Column("codes_after", sa.Text(), nullable=False),
        sa.Column("written_at", UtcInstant(), nullable=False),
        sa.Column("written_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("is_undone", sa.Boolean(), nullable=False),
    )
    op.create_index("interval_edit_day", "interval_edit", ["channel_id", "day", "id"])


def downgrade() -> None:
    op.drop_index("interval_edit_day", table_name="interval_edit")
    op.drop_table("interval_edit")
    op.drop_table("rule_set")
