"""Binding an item again: only when the service's shape has changed since intake.

What SAP sent is bound from the raw body, which is XML. What a REST client sent has no place on a wire: its item holds
it by the names of the shape, with what was made for it, so it is read in the present shape from there.
"""

from __future__ import annotations

import zlib
from typing import TypeVar

from sqlalchemy import Connection

from mdus.contracts.binding import bind, from_json
from mdus.contracts.catalog import catalog
from mdus.contracts.envelope import parse
from mdus.contracts.streaming import iter_items
from mdus.messaging.outcome import Received
from mdus.storage.inbox import body_of
from mdus.storage.mapping import AnyRow

R = TypeVar("R", bound=Received)


class BodyGone(Exception):
    """The raw body is past its retention, so an item stored under an older shape cannot be bound again."""


def bound_again(connection: Connection, shape: type[R], row: AnyRow) -> R:
    """Return the item's request in the present shape: from its message's raw body, of a client's from its content.

    `row` names client, content, root, content_hash and position (from 1). Raises BodyGone when the body is not kept any
    more, and ShapeError where the present shape does not hold what a client said: nothing of it is left out.
    """
    if row.client is not None:
        return from_json(shape, row.content)
    data = body_of(connection, row.content_hash)
    if data is None:
        raise BodyGone(f"the body of {row.root} is not kept any more: item {row.position} needs its present shape")
    element = parse(zlib.decompress(data), huge=True)
    root = catalog().root(row.root)
    if not root.is_bulk:
        return bind(shape, element)
    return bind(shape, next(item for position, item in iter_items(element, root) if position == row.position))
