"""Lists of dated facts as SAP sends them: all there are, or a change of those; or none, which ends what is open.

```
stored     |--- A ---|--- B ------->        |--- A ---|--- B ------->        |--- A ---|--- B ------->
listed               |-- B' -->             complete: |-- B' -->             none, at:      ^
becomes    |--- A ---|-- B' ------->        |-- B' -->                       |--- A ---|- B -|
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, TypeVar

from mdus.domain.usage_point import DeviceLocation, LogicalLocation, UsagePoint
from mdus.domain.value import Remove, Value

Span = TypeVar("Span", DeviceLocation, LogicalLocation, UsagePoint)


class SpanReversed(ValueError):
    """A span ends before it starts, or where it does."""


class SpansOverlap(ValueError):
    """Two spans share a day or an instant; `since` is where the later of them starts."""

    def __init__(self, since: Any) -> None:
        super().__init__(f"two spans overlap from {since}")
        self.since = since


def listed_instead(listed: Sequence[Span], *, stored: Sequence[Span], complete: bool) -> tuple[Value | Remove, ...]:
    """Return what makes the stored spans those listed: a complete list replaces them, else what it names by key.

    Spans are half-open, hold something, and none overlaps another. Raises SpanReversed and SpansOverlap.
    """
    named = {span.key for span in listed}
    others: list[Span] = [span for span in stored if span.key not in named]
    spans: list[Span] = list(listed)
    if not complete:
        spans += others
    if any(span.valid_to is not None and span.valid_to <= span.valid_from for span in spans):
        raise SpanReversed
    for earlier, later in pairwise(sorted(spans, key=lambda span: span.valid_from)):
        if earlier.valid_to is None or later.valid_from < earlier.valid_to:
            raise SpansOverlap(later.valid_from)
    return (
        *(Remove(type(span), span.key) for span in others if complete),
        *(span for span in listed if span not in stored),
    )


def ended(stored: Sequence[Span], *, at: Any) -> tuple[Value | Remove, ...]:
    """Return what ends the open spans at a day or an instant, as they are dated; those to begin later never happen."""
    return (
        *(Remove(type(span), span.key) for span in stored if span.valid_from >= at),
        *(
            replace(span, valid_to=at)
            for span in stored
            if span.valid_from < at and (span.valid_to is None or span.valid_to > at)
        ),
    )
