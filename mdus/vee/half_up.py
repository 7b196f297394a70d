"""Rounding as meter data standards want it: HALF_UP, away from zero, in whole numbers so that nothing is lost."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mdus.domain.channel import MISSING
from mdus.vee.days import Elements

_LARGEST: Final = 2**63 - 1


def divided(dividend: Elements, divisor: Elements | int) -> Elements:
    """Return integer quotients rounded HALF_UP (5 / 2 is 3, -5 / 2 is -3); a divisor of 0 gives 0."""
    top, bottom = np.abs(dividend), np.abs(np.asarray(divisor, dtype=np.int64))
    safe = np.where(bottom == 0, 1, bottom)
    whole, rest = np.divmod(top, safe)
    rounded = whole + (rest >= safe - rest)
    sign = np.sign(dividend) * np.sign(np.asarray(divisor, dtype=np.int64))
    result: Elements = np.where(bottom == 0, 0, rounded * sign).astype(np.int64)
    return result


def proportion(amounts: Elements, by: Any, over: Any) -> Elements:
    """Return amounts x by / over rounded HALF_UP, in whole numbers of any size; 0 where `over` is 0.

    What does not fit into the arrays is MISSING.
    """
    top = amounts.astype(object) * np.asarray(by).astype(object)
    bottom = np.asarray(over).astype(object) + 0 * top
    safe = np.where(bottom == 0, 1, bottom)
    rounded = (2 * np.abs(top) + np.abs(safe)) // (2 * np.abs(safe))
    signed = np.where((top < 0) == (safe < 0), rounded, -rounded)
    kept = np.where(np.abs(signed) > _LARGEST, MISSING, np.where(bottom == 0, 0, signed))
    result: Elements = kept.astype(np.int64)
    return result


def shared_out(amounts: Elements, weights: Elements) -> Elements:
    """Return amounts (c,) shared out by weights (c, n), in whole numbers that add up to each amount exactly.

    What rounding leaves over goes to those whose share was cut most, of equals to the earlier. Where weights add up to
    nothing, so do the shares.
    """
    weights = np.where(weights.sum(axis=1, keepdims=True) < 0, -weights, weights)
    total = weights.sum(axis=1, keepdims=True).astype(object)
    safe = np.where(total == 0, 1, total)
    exact = amounts[:, None].astype(object) * weights.astype(object)
    whole = exact // safe
    rest = exact - whole * safe
    left = np.where(total[:, 0] == 0, 0, amounts.astype(object) - whole.sum(axis=1)).astype(np.int64)
    order = np.argsort(-(rest / safe).astype(np.float64), axis=1, kind="stable")
    extra = np.zeros(weights.shape, dtype=np.int64)
    np.put_along_axis(extra, order, (np.arange(weights.shape[1])[None, :] < left[:, None]).astype(np.int64), axis=1)
    shares: Elements = np.where(total == 0, 0, whole).astype(np.int64) + extra
    return shares
