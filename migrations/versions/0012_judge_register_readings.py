"""judge register readings: what validation or a person holds of each, and which values of orders are estimates

Revision: 0012
Follows: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mdus.storage.column_types import ExactDecimal, UtcInstant
from mdus.storage.mapping import Identity64

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_IS_ESTIMATED = sa.text("estimate IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "reading_verdict",
        sa.Column("id", Identity64, primary_key=True, autoincrement=True),
        sa.Column("sender_system", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("reading_type", sa.Text(), nullable=False),
        sa.Column("measured_at", UtcInstant(), nullable=False),
        sa.Column("value", ExactDecimal(), nullable=False),
        sa.Column("judgement", sa.Text(), nullable=False),
        sa.Column("rule_set", sa.Text(), nullable=True),
        sa.Column("basis", sa.Text(), nullable=True),
        sa.Column("judged_at", UtcInstant(), nullable=False),
        sa.Column("judged_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.UniqueConstraint(
            "sender_system", "device_id", "reading_type", "measured_at", "value", name="reading_verdict_key"
        ),
    )
    for name, kind in (("type_code", sa.Text()), ("estimate", sa.Text()), ("estimated_usage", ExactDecimal())):
        op.add_column("meter_reading_document", sa.Column(name, kind, nullable=True))
    op.create_index(
        "meter_reading_document_estimated",
        "meter_reading_document",
        ["sender_system", "device_id"],
        sqlite_where=_IS_ESTIMATED,
        postgresql_where=_IS_ESTIMATED,
    )


def downgrade() -> None:
    op.drop_index("meter_reading_document_estimated", table_name="meter_reading_document")
    for name in ("estimated_usage", "estimate", "type_code"):
        op.drop_column("meter_reading_document", name)
    op.drop_table("reading_verdict")
