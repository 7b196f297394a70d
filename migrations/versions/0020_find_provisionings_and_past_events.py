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


def upgrade() -> None:
    op.create_index(
        "command_provisioned", "command", ["owner_key"], sqlite_where=_PROVISIONS, postgresql_where=_PROVISIONS
    )


def downgrade() -> None:
    op.drop_index("command_provisioned", table_name="command")
