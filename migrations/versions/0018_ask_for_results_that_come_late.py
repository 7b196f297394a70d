"""ask for the results of calls that were given up

Revision: 0018
Follows: 0017
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_POLLED = sa.text("status IN ('accepted', 'timed_out') AND poll_at IS NOT NULL")
_BEFORE = sa.text("status = 'accepted' AND poll_at IS NOT NULL")


def upgrade() -> None:
    _index(_POLLED)


def downgrade() -> None:
    _index(_BEFORE)


def _index(polled: sa.TextClause) -> None:
    op.drop_index("command_polled", table_name="command")
    op.create_index("command_polled", "command", ["head_end", "poll_at"], sqlite_where=polled, postgresql_where=polled)
