"""keep what head ends tell under codes that no table explains, and the tables that deliveries were read by

Revision: 0016
Follows: 0015
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mdus.storage.column_types import UtcInstant
from mdus.storage.mapping import Identity64

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("head_end_delivery", sa.Column("read_by", sa.Text(), nullable=True))
    op.create_table(
        "mapping_version",
        sa.Column("id", Identity64, primary_key=True, autoincrement=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("first_at", UtcInstant(), nullable=False),
        sa.UniqueConstraint("name", name="mapping_version_key"),
    )
    op.create_table(
        "unmapped_value",
        sa.Column("id", Identity64, primary_key=True, autoincrement=True),
        sa.Column("head_end", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("serial_id", sa.Text(), nullable=False),
        sa.Column("at", UtcInstant(), nullable=True),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("delivery_id", sa.BigInteger(), nullable=False),
        sa.Column("received_at", UtcInstant(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.UniqueConstraint("head_end", "content_hash", name="unmapped_value_key"),
    )
    op.create_index("unmapped_value_source", "unmapped_value", ["head_end", "source", "id"])
    op.create_index("unmapped_value_code", "unmapped_value", ["head_end", "source", "code", "id"])
    op.create_index("unmapped_value_serial", "unmapped_value", ["serial_id", "head_end"])
    op.create_index("unmapped_value_delivery", "unmapped_value", ["delivery_id"])


def downgrade() -> None:
    op.drop_table("unmapped_value")
    op.drop_table("mapping_version")
    op.drop_column("head_end_delivery", "read_by")
