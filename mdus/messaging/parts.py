"""Parting items into messages that are neither too many items nor too many bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def parted(items: Sequence[T], weights: Sequence[int], *, most: int, heaviest: int) -> Iterator[Sequence[T]]:
    """Yield the items in their order, in parts of at most `most` whose weights add up to at most `heaviest`.

    An item that weighs more than that by itself is a part of its own: a message has one item at least.
    """
    start, weight = 0, 0
    for place, own in enumerate(weights):
        if place > start and (place - start == most or weight + own > heaviest):
            yield items[start:place]
            start, weight = place, 0
        weight += own
    if start < len(items):
        yield items[start:]
