"""determine what is billed: parts of days, determinants in versions, which set a point of delivery has

Revision: 0010
Follows: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mdus.storage.column_types import ExactDecimal, UtcInstant

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def _identity() -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("id", kind, autoincrement=True, nullable=False)


def upgrade() -> None:
    op.create_table(
        "billing_part",
        sa.Column("channel_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("recipe", sa.BigInteger(), nullable=False),
        sa.Column("missing", sa.Integer(), nullable=False),
        sa.Column("estimated", sa.Integer(), nullable=False),
        sa.Column("suspect", sa.Integer(), nullable=False),
        sa.Column("numbers", sa.LargeBinary(), nullable=False),
        sa.Column("written_at", UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("channel_id", "day"),
        sqlite_with_rowid=False,
    )

    op.create_table(
        "determinant",
        _identity(),
        sa.Column("sender_system", sa.Text(), nullable=False),
        sa.Column("point_of_delivery_id", sa.Text(), nullable=False),
        sa.Column("period_from", sa.Date(), nullable=False),
        sa.Column("period_to", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reading_type", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("is_newest", sa.Boolean(), nullable=False),
        sa.Column("quantity", ExactDecimal(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("peak_at", UtcInstant(), nullable=True),
        sa.Column("intervals", sa.Integer(), nullable=False),
        sa.Column("missing", sa.Integer(), nullable=False),
        sa.Column("estimated", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("gate_reason", sa.Text(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("made_at", UtcInstant(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("replaces", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "sender_system",
            "point_of_delivery_id",
            "period_from",
            "period_to",
            "reading_type",
            "name",
            "version",
            name="determinant_key",
        ),
    )
    for name, columns, condition in (
        ("determinant_newest", ["sender_system", "point_of_delivery_id", "period_to"], "is_newest"),
        ("determinant_held", ["id"], "is_newest AND status = 'held'"),
    ):
        where = sa.text(condition)
        op.create_index(name, "determinant", columns, sqlite_where=where, postgresql_where=where)
    op.create_index("determinant_point_of_delivery_id", "determinant", ["point_of_delivery_id", "id"])
    op.create_index("determinant_made_at", "determinant", ["made_at", "id"])

    op.create_table(
        "determinant_set_assignment",
        _identity(),
        sa.Column("sender_system", sa.Text(), nullable=False),
        sa.Column("point_of_delivery_id", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("set_name", sa.Text(), nullable=False),
        sa.Column("assigned_at", UtcInstant(), nullable=False),
        sa.Column("assigned_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint(
            "sender_system", "point_of_delivery_id", "valid_from", name="determinant_set_assignment_key"
        ),
    )
    op.create_index("determinant_set_assignment_assigned_at", "determinant_set_assignment", ["assigned_at"])


def downgrade() -> None:
    op.drop_table("determinant_set_assignment")
    op.drop_table("determinant")
    op.drop_table("billing_part")
