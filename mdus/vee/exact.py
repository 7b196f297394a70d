"""Comparisons at a limit, exactly: a limit is the decimal number somebody wrote, a quantity a whole number.

0.29 x 100 is 28.999999999999996 in floating point, and a value of exactly 29 % would be found above 29 %. So nothing is
compared in floating point here: both sides are multiplied to whole numbers, beyond int64 as Python's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdus.vee.days import Days, Elements, Figures, Mask

MINUTES_OF_DAY: Final = 24 * 60
_LARGEST: Final = 2**63 - 1


@lru_cache(maxsize=1024)
def written(number: float) -> Fraction:
    """Return a number as it was written: 0.1 is one tenth."""
    return Fraction(str(number))


def product(*factors: Elements | int) -> NDArray[Any]:
    """Return the exact product of whole numbers; as int64 where that holds it, else as Python's own."""
    largest = 1
    for factor in factors:
        largest *= abs(factor) if isinstance(factor, int) else _largest(factor)
    kind = np.int64 if largest <= _LARGEST else object
    result: NDArray[Any] = np.asarray(1, dtype=kind)
    for factor in factors:
        result = result * np.asarray(factor, dtype=kind)
    return result


def exceeds(left: Sequence[Elements | int], ratio: float, right: Sequence[Elements | int]) -> Mask:
    """Return where the product of what is left is greater than `ratio` x the product of what is right."""
    number = written(ratio)
    return np.asarray(product(*left, number.denominator) > product(*right, number.numerator), dtype=np.bool_)


def falls_short(left: Sequence[Elements | int], ratio: float, right: Sequence[Elements | int]) -> Mask:
    """Return where the product of what is left is less than `ratio` x the product of what is right."""
    number = written(ratio)
    return np.asarray(product(*left, number.denominator) < product(*right, number.numerator), dtype=np.bool_)


def most(ratio: float, amounts: Elements) -> Elements:
    """Return the greatest whole numbers not above `ratio` x each amount; what int64 cannot hold is its largest."""
    number = written(ratio)
    whole: Elements = np.clip(product(amounts, number.numerator) // number.denominator, -_LARGEST, _LARGEST)
    return whole.astype(np.int64)


def floor(quantity: float, days: Days, *, per_hour: bool = False) -> int:
    """Return the greatest element not above a quantity in the unit of the values, or in that unit per hour."""
    return max(-_LARGEST, min(_LARGEST, _elements(quantity, days, per_hour=per_hour).__floor__()))


def ceiling(quantity: float, days: Days, *, per_hour: bool = False) -> int:
    """Return the least element not below a quantity in the unit of the values, or in that unit per hour."""
    return max(-_LARGEST, min(_LARGEST, _elements(quantity, days, per_hour=per_hour).__ceil__()))


def minutes_of(days: Figures) -> Elements:
    """Return spans of days as whole minutes, 0 where nobody knows how long."""
    whole: Elements = np.rint(np.where(np.isfinite(days), days, 0.0) * MINUTES_OF_DAY).astype(np.int64)
    return whole


def _elements(quantity: float, days: Days, *, per_hour: bool) -> Fraction:
    elements = written(quantity) * Fraction(10**days.decimals)
    return elements * Fraction(days.minutes, 60) if per_hour else elements


def _largest(amounts: Elements) -> int:
    return max(abs(int(amounts.max(initial=0))), abs(int(amounts.min(initial=0))))
