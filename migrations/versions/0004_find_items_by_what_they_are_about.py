"""find items by what they are about

Revision: 0004
Follows: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TAKEN = "status <> 'ready'"


def upgrade() -> None:
    op.create_index(
        "message_item_taken",
        "message_item",
        ["ordering_key"],
        sqlite_where=sa.text(_TAKEN),
        postgresql_where=sa.text(_TAKEN),
    )


def downgrade() -> None:
    op.drop_index("message_item_taken", table_name="message_item")
