"""make values fit to bill: which days are to be validated, and what of a final version is asked for without its values

Revision: 0008
Follows: 0007
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from mdus.storage.column_types import UtcInstant

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_COUNTS: Final = ("estimated", "edited", "suspect")
_IS_FINAL: Final = sa.text("is_current AND layer = 'final'")
_IS_ESTIMATED: Final = sa.text("is_current AND layer = 'final' AND estimated > 0")


def upgrade() -> None:
    op.create_table(
        "validation_look",
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("due_at", UtcInstant(), nullable=False),
        sa.PrimaryKeyConstraint("channel_id", "day"),
    )
    op.create_index("validation_look_due_at", "validation_look", ["due_at", "channel_id", "day"])
    op.add_column("interval_block", sa.Column("total", sa.BigInteger(), nullable=True))
    op.add_column("interval_block", sa.Column("peak", sa.BigInteger(), nullable=True))
    for name in _COUNTS:
        op.add_column("interval_block", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.add_column("interval_block", sa.Column("basis", sa.Text(), nullable=True))
    op.create_index(
        "interval_block_days",
        "interval_block",
        ["channel_id", "day", "total", "peak", "present", "estimated"],
        sqlite_where=_IS_FINAL,
        postgresql_where=_IS_FINAL,
    )
    op.create_index(
        "interval_block_estimated",
        "interval_block",
        ["id", "day"],
        sqlite_where=_IS_ESTIMATED,
        postgresql_where=_IS_ESTIMATED,
    )
    # Days that were kept before there was validation are validated like those that come.
    op.execute(
        "INSERT INTO validation_look (channel_id, day, due_at)"
        " SELECT channel_id, day, written_at FROM interval_block WHERE is_current AND layer = 'raw'"
    )


def downgrade() -> None:
    op.drop_index("interval_block_estimated", table_name="interval_block")
    op.drop_index("interval_block_days", table_name="interval_block")
    for name in ("basis", *reversed(_COUNTS), "peak", "total"):
        op.drop_column("interval_block", name)
    op.drop_index("validation_look_due_at", table_name="validation_look")
    op.drop_table("validation_look")
