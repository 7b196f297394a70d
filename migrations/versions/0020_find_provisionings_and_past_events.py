"""find what head ends were told of a device without all that was read from it, and events of load control by their time

Revision: 0020
Follows: 0019
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_PROVISIONS = sa.text("kind = 'provision'")
_IS_SETTLED = sa.text("settled_at IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "command_provisioned", "command", ["owner_key"], sqlite_where=_PROVISIONS, postgresql_where=_PROVISIONS
    )
    op.create_index(
        "load_control_event_past",
        "load_control_event",
        ["start_at"],
        sqlite_where=_IS_SETTLED,
        postgresql_where=_IS_SETTLED,
    )


def downgrade() -> None:
    op.drop_index("load_control_event_past", table_name="load_control_event")
    op.drop_index("command_provisioned", table_name="command")
