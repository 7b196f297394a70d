"""E14 Resampling: interval values in a grid of other intervals.

A method of estimation fills a day in its own grid; this changes the grid, so it stands beside the methods: whoever
needs values of another channel or of another grid (a check meter with half hours, a profile SAP wants by hours) brings
them into the grid first and hands them over as a fact, such as CHECK or SIMILAR. Values are quantities of intervals,
not readings of registers. Source: Itron (15 minutes / 3 are 5, 30 / 6 are 5, two of 15 are 30); that parts add up to
the whole to the last digit, not each rounded by itself, is our own.
"""

from __future__ import annotations

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Elements
from mdus.vee.half_up import shared_out


def resampled(values: Elements, *, minutes: int, to: int) -> Elements:
    """Return values (c, n) of intervals of `minutes` as values of intervals of `to` minutes.

    A shorter interval gets its part of the longer, a longer one the sum of the shorter; what is missing in part is
    missing. Raises ValueError where no whole number of the one makes the other, or the day no whole number of them.
    """
    if to == minutes:
        return values.copy()
    if to < minutes:
        if to <= 0 or minutes % to:
            raise ValueError(f"no whole number of intervals of {to} minutes makes one of {minutes}")
        return split(values, minutes // to)
    if to % minutes:
        raise ValueError(f"no whole number of intervals of {minutes} minutes makes one of {to}")
    return joined(values, to // minutes)


def split(values: Elements, parts: int) -> Elements:
    """Return every value in equal parts (c, n x parts) that add up to it; what is left over goes to the first parts."""
    flat = values.reshape(-1)
    present = flat != MISSING
    pieces = shared_out(np.where(present, flat, 0), np.ones((len(flat), parts), dtype=np.int64))
    result: Elements = np.where(present[:, None], pieces, MISSING).reshape(len(values), values.shape[1] * parts)
    return result


def joined(values: Elements, parts: int) -> Elements:
    """Return the sums of so many values each (c, n / parts), MISSING where one of them is."""
    count, width = values.shape
    if width % parts:
        raise ValueError(f"a day of {width} intervals has no whole number of {parts}")
    together = values.reshape(count, width // parts, parts)
    present = (together != MISSING).all(axis=2)
    result: Elements = np.where(present, np.where(present[:, :, None], together, 0).sum(axis=2), MISSING)
    return result


def as_wide(values: Elements, width: int) -> Elements:
    """Return days' values (d, n) by the place of a day of another length: the hour it lacks or has twice is cut away.

    Clocks are held to change two hours after midnight: what is before and after stands at its own local time.
    """
    length = values.shape[1]
    if length == width:
        return values
    change = 2 * round(length / 24)
    fitted = np.full((len(values), width), MISSING, dtype=np.int64)
    rest = min(width, length) - change
    fitted[:, :change] = values[:, :change]
    fitted[:, width - rest :] = values[:, length - rest :]
    return fitted
