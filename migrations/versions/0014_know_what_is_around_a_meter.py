"""keep what head ends tell of their meters, and temperatures; find meters by their area

Revision: 0014
Follows: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mdus.storage.column_types import ExactDecimal, TextPairs, UtcInstant
from mdus.storage.mapping import Identity64

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TOLD = ("told_at", "told_device_id", "told_factors", "clock_offset_seconds")
_AREAS = ("postal_code", "parent_installation_point_id")


def upgrade() -> None:
    for name, kind in zip(_TOLD, (UtcInstant(), sa.Text(), TextPairs(), ExactDecimal()), strict=True):
        op.add_column("end_device_status", sa.Column(name, kind, nullable=True))
    for name in _AREAS:
        op.create_index(f"device_location_{name}_sender_system", "device_location", [name, "sender_system"])
    op.create_table(
        "day_temperature",
        sa.Column("id", Identity64, primary_key=True, autoincrement=True),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("degrees", ExactDecimal(), nullable=False),
        sa.UniqueConstraint("station", "day", name="day_temperature_key"),
    )


def downgrade() -> None:
    op.drop_table("day_temperature")
    for name in _AREAS:
        op.drop_index(f"device_location_{name}_sender_system", table_name="device_location")
    for name in reversed(_TOLD):
        op.drop_column("end_device_status", name)
