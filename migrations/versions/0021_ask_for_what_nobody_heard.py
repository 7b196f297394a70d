"""know a head end's subscription, and the time in which what it told went nowhere

Revision: 0021
Follows: 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mdus.storage.column_types import UtcInstant
from mdus.storage.mapping import Identity64

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("head_end_probe", sa.Column("subscription", sa.Text(), nullable=True))
    op.create_table(
        "unheard_time",
        sa.Column("id", Identity64, primary_key=True, autoincrement=True),
        sa.Column("head_end", sa.Text(), nullable=False),
        sa.Column("begins_at", UtcInstant(), nullable=False),
        sa.Column("ends_at", UtcInstant(), nullable=False),
        sa.Column("look_at", UtcInstant(), nullable=False),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("head_end", name="unheard_time_key"),
    )


def downgrade() -> None:
    op.drop_table("unheard_time")
    op.drop_column("head_end_probe", "subscription")
