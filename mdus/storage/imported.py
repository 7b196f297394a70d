"""What became of the items of a message that was made of a file."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, or_, select

from mdus.messaging.status import ItemStatus
from mdus.storage.mapping import AnyRow
from mdus.storage.message import ITEM

_OPEN = ITEM.c.status.not_in([ItemStatus.CLOSED, ItemStatus.DEAD])


def undecided(connection: Connection, message_id: int) -> int:
    """Return how many items of a message are still to be decided; one that failed by a defect of ours is not."""
    query = select(func.count()).where(ITEM.c.message_id == message_id, _OPEN, ITEM.c.attempts == 0)
    return connection.execute(query).scalar_one()


def not_taken(connection: Connection, message_id: int) -> Sequence[AnyRow]:
    """Return (header id, result, note) of the items of a message that ended with remarks, or did not end."""
    query = (
        select(ITEM.c.header_id, ITEM.c.result, ITEM.c.note)
        .where(ITEM.c.message_id == message_id, or_(_OPEN, ITEM.c.result.is_(None), ITEM.c.result != "{}"))
        .order_by(ITEM.c.position)
    )
    return connection.execute(query).all()
