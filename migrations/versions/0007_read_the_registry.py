"""read the registry: find registers, locations and points of delivery by what lists are asked for, and a day's figures

Revision: 0007
Follows: 0006
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_INDEXES: Final = {
    "register": (
        ("sender_system", "measurement_task_id", "id"),
        ("sender_system", "id"),
        ("device_id",),
        ("measurement_task_id",),
        ("reading_type", "id"),
        ("valid_from", "id"),
    ),
    "device_location": (("sender_system", "id"), ("device_id",), ("installation_point_id",), ("valid_from", "id")),
    "usage_point": (("sender_system", "point_of_delivery_id"), ("device_id",)),
    "meter_reading_document": (("sender_system", "window_until"),),
    "end_device_control": (("sender_system", "effective_at"),),
}
#: What the longer index serves too.
_SHORTER: Final = "register_sender_system_measurement_task_id"
_OURS: Final = "end_device_event_ours"


def upgrade() -> None:
    op.drop_index(_SHORTER, table_name="register")
    for table, indexes in _INDEXES.items():
        for columns in indexes:
            op.create_index(f"{table}_{'_'.join(columns)}", table, list(columns))
    where = sa.text("source = 'mdus'")
    op.create_index(_OURS, "end_device_event", ["sender_system", "told_at"], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.drop_index(_OURS, table_name="end_device_event")
    for table, indexes in reversed(_INDEXES.items()):
        for columns in reversed(indexes):
            op.drop_index(f"{table}_{'_'.join(columns)}", table_name=table)
    op.create_index(_SHORTER, "register", ["sender_system", "measurement_task_id"])
