"""keep the demand limits of which nobody knows whether the meter took them, beside the one it has confirmed

Revision: 0019
Follows: 0018
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_KEY = "device_limit_key"


def upgrade() -> None:
    with op.batch_alter_table("device_limit") as table:
        table.add_column(sa.Column("in_doubt", sa.Boolean(), nullable=False, server_default=sa.false()))
        table.drop_constraint(_KEY, type_="unique")
        table.create_unique_constraint(_KEY, ["sender_system", "device_id", "item_id"])
    with op.batch_alter_table("device_limit") as table:
        table.alter_column("in_doubt", existing_type=sa.Boolean(), existing_nullable=False, server_default=None)


def downgrade() -> None:
    op.execute("DELETE FROM device_limit WHERE in_doubt")
    with op.batch_alter_table("device_limit") as table:
        table.drop_constraint(_KEY, type_="unique")
        table.drop_column("in_doubt")
        table.create_unique_constraint(_KEY, ["sender_system", "device_id"])
