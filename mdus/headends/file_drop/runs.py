"""Instants of values, in minutes since 1970, as runs of consecutive intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdus.domain.channel import MISSING
from mdus.domain.head_end import FieldIntervals
from mdus.domain.quantities import Qualities, Quantities

Minutes = NDArray[np.int64]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

#: Up to so many intervals without a value stand as gaps within a run; after more a new one begins.
_LONGEST_GAP: Final = 200


class Run(NamedTuple):
    """A span of consecutive intervals, and which of the values told are in it: all in their order, or `places`.

    `offsets` are the intervals of the run at which these stand.
    """

    start_at: datetime
    length: int
    places: Minutes | None = None
    offsets: Minutes | None = None


def runs(starts: Sequence[int], minutes: int) -> list[Run]:
    """Return the runs of intervals of so many minutes that begin at these instants; they may be in any order."""
    told = np.array(starts, dtype=np.int64)
    if not (np.diff(told) != minutes).any():
        return [Run(_instant(starts[0]), len(starts))]
    order = np.argsort(told, kind="stable")  # of two values of one interval the one told last is the last
    told = told[order]
    gaps = np.diff(told)
    cuts = np.flatnonzero((gaps % minutes != 0) | (gaps > _LONGEST_GAP * minutes)) + 1
    found = []
    for places, some in zip(np.split(order, cuts), np.split(told, cuts), strict=True):
        offsets = (some - some[0]) // minutes
        found.append(Run(_instant(int(some[0])), int(offsets[-1]) + 1, places, offsets))
    return found


def blocks(
    found: Sequence[Run],
    quantities: Quantities,
    qualities: Qualities,
    *,
    serial_id: str,
    reading_type: str,
    unit: str | None,
    minutes: int,
) -> Iterator[FieldIntervals]:
    """Yield the values of one channel by run."""
    for run in found:
        some, said = (quantities, qualities) if run.places is None else _placed(run, quantities, qualities)
        yield FieldIntervals(
            serial_id=serial_id,
            reading_type=reading_type,
            unit=unit,
            interval_minutes=minutes,
            start_at=run.start_at,
            values=some,
            qualities=said,
        )


def _placed(run: Run, quantities: Quantities, qualities: Qualities) -> tuple[Quantities, Qualities]:
    places, offsets = run.places, run.offsets
    if places is None or offsets is None:
        return quantities, qualities
    told = quantities.elements[places]
    # An empty value takes nothing back; of several the last one stands, which is how arrays are filled.
    said = (told != MISSING) | np.isin(places, list(quantities.unfit))
    places, offsets = places[said], offsets[said]
    elements = np.full(run.length, MISSING, dtype=np.int64)
    elements[offsets] = quantities.elements[places]
    unfit = {
        at: quantities.unfit[place]
        for place, at in zip(places.tolist(), offsets.tolist(), strict=True)
        if place in quantities.unfit and elements[at] == MISSING
    }
    marks = np.zeros(run.length if len(qualities) else 0, dtype=np.uint16)
    if len(qualities):
        marks[offsets] = qualities.places[places]
    return (
        Quantities(elements=elements, decimals=quantities.decimals, unfit=unfit),
        Qualities(codes=qualities.codes, places=marks),
    )


def _instant(minutes: int) -> datetime:
    return EPOCH + timedelta(minutes=minutes)
