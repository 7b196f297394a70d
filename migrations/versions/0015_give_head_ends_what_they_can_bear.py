"""poll results of calls; know concentrators, the meters behind them, and what head ends say they can do

Revision: 0015
Follows: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mdus.storage.column_types import TextPairs, UtcInstant
from mdus.storage.mapping import Identity64

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_POLLED = sa.text("status = 'accepted' AND poll_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("command", sa.Column("parameters", TextPairs(), nullable=True))
    op.add_column("command", sa.Column("poll_at", UtcInstant(), nullable=True))
    op.add_column("command", sa.Column("polls", sa.Integer(), nullable=False, server_default="0"))
    op.create_index(
        "command_polled", "command", ["head_end", "poll_at"], sqlite_where=_POLLED, postgresql_where=_POLLED
    )
    op.create_index("command_intent_token", "command_intent", ["token"])
    op.create_table(
        "concentrator",
        sa.Column("id", Identity64, primary_key=True, autoincrement=True),
        sa.Column("head_end", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("is_online", sa.Boolean(), nullable=True),
        sa.Column("told_at", UtcInstant(), nullable=False),
        sa.UniqueConstraint("head_end", "name", name="concentrator_key"),
    )
    op.create_table(
        "concentrator_meter",
        sa.Column("id", Identity64, primary_key=True, autoincrement=True),
        sa.Column("head_end", sa.Text(), nullable=False),
        sa.Column("serial_id", sa.Text(), nullable=False),
        sa.Column("concentrator", sa.Text(), nullable=False),
        sa.Column("told_at", UtcInstant(), nullable=False),
        sa.UniqueConstraint("head_end", "serial_id", name="concentrator_meter_key"),
    )
    op.create_table(
        "head_end_probe",
        sa.Column("id", Identity64, primary_key=True, autoincrement=True),
        sa.Column("head_end", sa.Text(), nullable=False),
        sa.Column("takes", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("probed_at", UtcInstant(), nullable=False),
        sa.UniqueConstraint("head_end", name="head_end_probe_key"),
    )


def downgrade() -> None:
    for name in ("head_end_probe", "concentrator_meter", "concentrator"):
        op.drop_table(name)
    op.drop_index("command_intent_token", table_name="command_intent")
    op.drop_index("command_polled", table_name="command")
    for name in ("polls", "poll_at", "parameters"):
        op.drop_column("command", name)
