"""let clients order: who sent a message by REST, and whose orders are not SAP's

Revision: 0005
Follows: 0004
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ORDERED: Final = ("message", "meter_reading_document", "end_device_control")


def upgrade() -> None:
    for table in _ORDERED:
        op.add_column(table, sa.Column("client", sa.Text(), nullable=True))
    where = sa.text("client IS NOT NULL")
    op.create_index("message_client", "message", ["client", "id"], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.drop_index("message_client", table_name="message")
    for table in reversed(_ORDERED):
        op.drop_column(table, "client")
