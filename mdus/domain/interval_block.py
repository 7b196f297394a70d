"""Interval values of one channel on one local day: two arrays, never changed, of which there are versions.

A value told for an interval that had none extends a version that nobody has used yet. A value that differs from the one
before, or comes after the version was used (sent to SAP, billed), makes a new version; the old one stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from mdus.domain.channel import MISSING, Channel
from mdus.domain.quantities import Elements as Elements
from mdus.domain.quantities import Quantities

Marks = NDArray[np.uint16]

#: The quality set of a value with nothing to say of it (IEC 61968-9: valid).
VALID = 0

#: After how long the first values of a day are late: whoever looked for them may have stopped looking.
LATE_AFTER = timedelta(days=1)


class Layer(StrEnum):
    """Whose word a version is."""

    RAW = "raw"  # as the field told it
    FINAL = "final"  # validated, estimated, edited: fit to bill


class Cause(StrEnum):
    """Why there is a version."""

    RECEIVED = "received"  # the first values of the day
    REVISED = "revised"  # a value differs from the one before
    LATE = "late"  # values came after the version before was used, or the first of the day long after it
    VALIDATED = "validated"  # the first version fit to bill
    EDITED = "edited"  # an operator has set, accepted or rejected values


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class IntervalBlock:
    """One version of a channel's day.

    `values[i]` is the quantity of the i-th interval times 10**`channel.decimals`, MISSING without one; `qualities[i]`
    names its quality set. `unfit` keeps, by position, the text of a value that the array cannot hold. `used` says that
    somebody has acted on this version. Of a final version `estimated`, `edited` and `suspect` count its values of that
    kind, and `basis` (JSON) says what rules found and what estimates were made from.
    """

    channel: Channel
    day: date
    layer: Layer = Layer.RAW
    version: int = 1
    values: Elements
    qualities: Marks
    unfit: Mapping[int, str] = field(default_factory=dict)
    used: bool = False
    written_at: datetime
    written_by: str
    cause: Cause = Cause.RECEIVED
    note: str | None = None
    estimated: int = 0
    edited: int = 0
    suspect: int = 0
    basis: str | None = None

    @property
    def present(self) -> NDArray[np.bool_]:
        """Return which intervals have a value."""
        present: NDArray[np.bool_] = self.values != MISSING
        return present

    @property
    def is_complete(self) -> bool:
        """Tell whether every interval has a value."""
        return bool(self.present.all())

    def quantities(self) -> list[Decimal | None]:
        """Return the quantities in the channel's unit."""
        return [self.channel.quantity(element) for element in self.values.tolist()]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ToldValues:
    """Values told for consecutive intervals of one day, from `position` on; MISSING says nothing of an interval."""

    position: int
    values: Elements
    qualities: Marks
    unfit: Mapping[int, str] = field(default_factory=dict)  # by position in the day

    @classmethod
    def of(cls, channel: Channel, position: int, quantities: Quantities, marks: Marks | None = None) -> ToldValues:
        """Return quantities in the channel's scale; without `marks` there is nothing to say of them.

        What the channel's scale cannot hold stays as text.
        """
        scaled = quantities.scaled(channel.decimals)
        return cls(
            position=position,
            values=scaled.elements,
            qualities=np.full(len(quantities), VALID, dtype=np.uint16) if marks is None else marks,
            unfit={position + place: text for place, text in scaled.unfit.items()},
        )


def empty_block(channel: Channel, day: date, *, at: datetime, by: str) -> IntervalBlock:
    """Return the first version of a day, without values."""
    count = channel.day(day).count
    nothing = ToldValues(
        position=0, values=np.full(count, MISSING, dtype=np.int64), qualities=np.zeros(count, dtype=np.uint16)
    )
    return first_block(channel, day, nothing, at=at, by=by)


def first_block(channel: Channel, day: date, told: ToldValues, *, at: datetime, by: str) -> IntervalBlock:
    """Return the first version of a day, with what was told of it; the arrays are the block's own from now on.

    Raises ValueError for values beyond the end of the day.
    """
    grid = channel.day(day)
    values, qualities = told.values, told.qualities
    if qualities.any():
        qualities = np.where(values == MISSING, np.uint16(VALID), qualities)
    if len(values) != grid.count:
        span, parts = _span(told, grid.count), (values, qualities)
        values, qualities = np.full(grid.count, MISSING, dtype=np.int64), np.zeros(grid.count, dtype=np.uint16)
        values[span], qualities[span] = parts
    return IntervalBlock(
        channel=channel,
        day=day,
        values=values,
        qualities=qualities,
        unfit=told.unfit,
        written_at=at,
        written_by=by,
        cause=Cause.LATE if at > grid.end + LATE_AFTER else Cause.RECEIVED,
    )


def merged(block: IntervalBlock, told: ToldValues, *, at: datetime, by: str) -> IntervalBlock:
    """Return the block with what was told, itself where that says nothing new.

    Raises ValueError for values beyond the end of the day.
    """
    span = _span(told, len(block.values))
    old, said = block.values[span], told.values != MISSING
    had = old != MISSING
    differs = said & had & ((old != told.values) | (block.qualities[span] != told.qualities))
    adds = said & ~had
    unfit = {place: text for place, text in told.unfit.items() if block.unfit.get(place) != text}
    if not (differs.any() or adds.any() or unfit):
        return block
    values, qualities = block.values.copy(), block.qualities.copy()
    values[span] = np.where(said, told.values, old)
    qualities[span] = np.where(said, told.qualities, qualities[span])
    is_new = bool(block.present.any() or block.unfit) and (block.used or bool(differs.any()))
    kept = {place: text for place, text in block.unfit.items() if values[place] == MISSING}
    return replace(
        block,
        values=values,
        qualities=qualities,
        unfit={**kept, **unfit},
        version=block.version + 1 if is_new else block.version,
        used=False if is_new else block.used,
        written_at=at,
        written_by=by,
        cause=(Cause.REVISED if differs.any() else Cause.LATE) if is_new else block.cause,
        note=None if is_new else block.note,
    )


def lacking(block: IntervalBlock, told: ToldValues, *, explained: bool = False) -> ToldValues:
    """Return what was told of intervals that the block knows nothing of: what it knows stays as it is.

    Where tables have `explained` since what was told, a quality that they say is added to the very value it is of.
    Raises ValueError for values beyond the end of the day.
    """
    span = _span(told, len(block.values))
    is_unknown = block.values[span] == MISSING
    for place in block.unfit:
        if span.start <= place < span.stop:
            is_unknown[place - span.start] = False
    is_told = is_unknown
    if explained:
        is_told = is_unknown | ((block.values[span] == told.values) & (block.qualities[span] == VALID))
    unfit = {place: text for place, text in told.unfit.items() if is_unknown[place - span.start]}
    return replace(told, values=np.where(is_told, told.values, MISSING), unfit=unfit)


def _span(told: ToldValues, count: int) -> slice:
    span = slice(told.position, told.position + len(told.values))
    if told.position < 0 or span.stop > count:
        raise ValueError(f"values for the intervals {span.start} to {span.stop - 1} of a day of {count}")
    return span
