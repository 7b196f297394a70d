"""Stretches of consecutive intervals that have something in common, found without looking at every short one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mdus.vee.days import Elements, Mask
from mdus.vee.method import runs


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stretches:
    """Stretches by the row they are in, their first interval and their length."""

    rows: Elements
    firsts: Elements
    lengths: Elements

    def those(self, which: Mask) -> Stretches:
        """Return some of them."""
        return Stretches(rows=self.rows[which], firsts=self.firsts[which], lengths=self.lengths[which])

    def marked(self, shape: tuple[int, ...]) -> Mask:
        """Return which intervals are in one (c, n)."""
        if not len(self.rows):
            return np.zeros(shape, dtype=np.bool_)
        steps = np.zeros((shape[0], shape[1] + 1), dtype=np.int8)
        steps[self.rows, self.firsts] += 1
        steps[self.rows, self.firsts + self.lengths] -= 1
        marked: Mask = np.cumsum(steps, axis=1, dtype=np.int8)[:, :-1] > 0
        return marked

    def longest(self, count: int) -> Elements:
        """Return the length of the longest in each of `count` rows, 0 without any."""
        longest = np.zeros(count, dtype=np.int64)
        np.maximum.at(longest, self.rows, self.lengths)
        return longest


def stretches(mask: Mask, *, at_least: int) -> Stretches:
    """Return the stretches of at least so many intervals for which the mask (c, n) is true."""
    several, width = mask, 1
    while width < at_least and several.shape[1]:
        step = min(width, at_least - width)
        several = several[:, :-step] & several[:, step:]
        width += step
    with_one = np.flatnonzero(several.any(axis=1))
    rows, firsts, lengths = runs(mask[with_one])
    found = Stretches(rows=with_one[rows], firsts=firsts, lengths=lengths)
    return found.those(lengths >= at_least)
