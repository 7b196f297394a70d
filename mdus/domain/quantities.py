"""Quantities as the field tells them, many at once: one int64 array and its decimals, and quality codes by place.

Exact: what the array cannot hold stays beside it as text. Nothing is rounded, nothing wraps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdus.domain.channel import MISSING

Elements = NDArray[np.int64]

_LARGEST: Final = 2**63 - 1

#: Digits of which an int64 holds every number, and the powers of ten it holds.
_DIGITS: Final = 18
_POWERS: Final[Elements] = np.array([10**exponent for exponent in range(_DIGITS + 1)], dtype=np.int64)

#: Digits that Python's decimal arithmetic keeps; of more it would round.
_EXACT: Final = 28

#: Digits of a product of two numbers that were read.
_MOST_DIGITS: Final = 200

#: The longest text of a plain number: its digits, a sign and a point.
_WIDTH: Final = _DIGITS + 2

_ZERO, _POINT, _MINUS, _COMMA = b"0.-,"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Quantities:
    """Values told for consecutive intervals; a sequence of Decimals for whoever looks at them one by one.

    `elements[i]` is the i-th quantity times 10**`decimals`, MISSING where none was told and where `unfit` has its text.
    Equal are those that say the same, in however many decimals.
    """

    elements: Elements
    decimals: int
    unfit: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Iterable[Decimal | int | None]) -> Quantities:
        """Return these values, None for one that was not told; the slow way, for any number there is."""
        exact = [value if value is None else Decimal(value) for value in values]
        decimals = max((_decimals(value) for value in exact if value is not None), default=0)
        elements = np.full(len(exact), MISSING, dtype=np.int64)
        unfit: dict[int, str] = {}
        for place, value in enumerate(exact):
            if value is None:
                continue
            whole = _whole(value, decimals)
            if whole is None:
                unfit[place] = str(value)
            else:
                elements[place] = whole
        return cls(elements=elements, decimals=decimals, unfit=unfit)

    def __len__(self) -> int:
        """Return how many intervals they are for."""
        return len(self.elements)

    def __iter__(self) -> Iterator[Decimal | None]:
        """Yield the quantities, None where none was told."""
        for place, element in enumerate(self.elements.tolist()):
            if element != MISSING:
                yield Decimal(element).scaleb(-self.decimals)
            else:
                text = self.unfit.get(place)
                yield None if text is None else Decimal(text)

    def __eq__(self, other: object) -> bool:
        """Tell whether the other says the same."""
        return list(self) == list(other) if isinstance(other, Quantities) else NotImplemented

    def __hash__(self) -> int:
        """Return a hash that equal ones share."""
        return hash(len(self))

    @property
    def told(self) -> int:
        """Return how many intervals there are up to the last one with a value."""
        if len(self.elements) and self.elements[-1] != MISSING:
            return len(self.elements)
        fits = np.flatnonzero(self.elements != MISSING)
        return max(int(fits[-1]) + 1 if len(fits) else 0, *(place + 1 for place in self.unfit), 0)

    def scaled(self, decimals: int) -> Quantities:
        """Return the same with another number of decimals; what does not fit then is text."""
        elements, lost = rescaled(self.elements, self.decimals, decimals)
        unfit = dict(self.unfit)
        for place in lost:
            unfit[place] = str(Decimal(int(self.elements[place])).scaleb(-self.decimals))
        for place, text in self.unfit.items():
            whole = _whole(Decimal(text), decimals)
            if whole is not None:
                elements[place] = whole
                del unfit[place]
        return Quantities(elements=elements, decimals=decimals, unfit=unfit)

    def times(self, factor: Decimal) -> Quantities:
        """Return the quantities times a factor, exact."""
        exponent = factor.as_tuple().exponent
        decimals = -exponent if isinstance(exponent, int) and exponent < 0 else 0
        whole = _whole(factor, decimals)
        there = self.elements[self.elements != MISSING]
        if whole and not self.unfit and self.decimals + decimals <= _DIGITS:
            limit = _LARGEST // abs(whole)
            if not len(there) or (int(there.max()) <= limit and int(there.min()) >= -limit):
                elements = np.where(self.elements == MISSING, MISSING, self.elements * whole)
                return Quantities(elements=elements, decimals=self.decimals + decimals)
        with localcontext(prec=_MOST_DIGITS):
            return Quantities.of([None if value is None else value * factor for value in self])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Qualities:
    """What is said of values, by place: 0 is nothing, n the n-th of `codes` (IEC 61968-9); none at all says nothing."""

    codes: tuple[str, ...] = ()
    places: NDArray[np.uint16] = field(default_factory=lambda: np.zeros(0, dtype=np.uint16))

    @classmethod
    def of(cls, codes: Sequence[str | None]) -> Qualities:
        """Return the codes of values, None or an empty one for nothing to say."""
        different = {code: None for code in codes if code}
        if not different:
            return NOTHING_SAID if not codes else cls(places=np.zeros(len(codes), dtype=np.uint16))
        numbers = {code: number for number, code in enumerate(different, start=1)}
        places = np.array([numbers.get(code, 0) if code else 0 for code in codes], dtype=np.uint16)
        return cls(codes=tuple(different), places=places)

    def __len__(self) -> int:
        """Return for how many values something may be said."""
        return len(self.places)

    def __iter__(self) -> Iterator[str | None]:
        """Yield the code of each value."""
        names = (None, *self.codes)
        return (names[place] for place in self.places.tolist())

    def __eq__(self, other: object) -> bool:
        """Tell whether the other says the same."""
        return list(self) == list(other) if isinstance(other, Qualities) else NotImplemented

    def __hash__(self) -> int:
        """Return a hash that equal ones share."""
        return hash(len(self))


NOTHING_SAID: Final = Qualities()


class PlainNumbers(NamedTuple):
    """Texts read as numbers: each is `elements` x 10**-`decimals`. Those that are `odd` are not read."""

    elements: Elements
    decimals: Elements
    odd: NDArray[np.bool_]


def plain_numbers(texts: bytes, count: int) -> PlainNumbers:
    """Read `count` texts, each ended by a comma, all at once.

    Plain is `-?\\d+(\\.\\d+)?` of up to 18 digits. An empty text is MISSING; every other is `odd`, to be read one by
    one. So are all when the commas are not as many as the texts.
    """
    chars = np.frombuffer(texts, dtype=np.uint8)
    ends = np.flatnonzero(chars == _COMMA)
    if len(ends) != count or not count:
        nothing = np.zeros(count, dtype=np.int64)
        return PlainNumbers(nothing, nothing, np.ones(count, dtype=np.bool_))
    starts = np.empty_like(ends)
    starts[0], starts[1:] = 0, ends[:-1] + 1
    lengths = ends - starts
    is_negative = chars[starts] == _MINUS
    digits = chars - np.uint8(_ZERO)  # below zero it wraps, and is no digit
    empty = lengths == 0
    odd = (lengths > _WIDTH) | ~((digits[ends - 1] < 10) & (digits[starts + is_negative] < 10))
    elements = np.zeros(count, dtype=np.int64)
    decimals = np.zeros(count, dtype=np.int64)
    power = np.ones(count, dtype=np.int64)
    points = np.zeros(count, dtype=np.uint8)
    # From the last character to the first: a digit counts its power of ten, a point says how many stand behind it.
    for back in range(1, min(int(lengths.max()), _WIDTH) + 1):
        inside = lengths >= back
        at = np.maximum(ends - back, 0)
        digit = digits[at]
        is_digit = inside & (digit < 10)
        elements += np.where(is_digit, digit, 0) * power
        if is_digit.all():
            power *= 10
            continue
        power = np.where(is_digit, power * 10, power)
        other = inside & ~is_digit
        is_point = other & (chars[at] == _POINT)
        points += is_point
        decimals[is_point] = back - 1
        odd |= other & ~is_point & ~(is_negative & (lengths == back))
    odd |= (points > 1) | (lengths - points - is_negative > _DIGITS)
    elements[is_negative] *= -1
    elements[empty] = MISSING
    decimals[odd | empty] = 0
    return PlainNumbers(elements, decimals, odd & ~empty)


def rescaled(elements: Elements, before: int, after: int) -> tuple[Elements, list[int]]:
    """Return fixed-point numbers with other decimals, and the places of those that do not fit: these are MISSING."""
    if before == after:
        return elements.copy(), []
    there = elements != MISSING
    if abs(after - before) > _DIGITS:
        fits = elements == 0
        changed = np.zeros_like(elements)
    elif after > before:
        factor = int(_POWERS[after - before])
        fits = (elements <= _LARGEST // factor) & (elements >= -(_LARGEST // factor))
        changed = np.where(fits, elements, 0) * factor
    else:
        changed, rest = np.divmod(elements, _POWERS[before - after])
        fits = rest == 0
    changed[~(fits & there)] = MISSING
    return changed, np.flatnonzero(there & ~fits).tolist()


def records(numbers: PlainNumbers, counts: Sequence[int]) -> list[Quantities]:
    """Return numbers read at once as the quantities of each record, with the most decimals one of its numbers has.

    `counts` are the numbers of each record, none 0. What is odd is MISSING: the caller reads those.
    """
    elements, decimals = numbers.elements, numbers.decimals
    starts = np.zeros(len(counts), dtype=np.int64)
    np.cumsum(np.asarray(counts[:-1], dtype=np.int64), out=starts[1:])
    most = np.maximum.reduceat(decimals, starts)
    lacking = np.repeat(most, counts) - decimals
    lacking[(elements == MISSING) | numbers.odd] = 0
    if lacking.any():
        # 18 digits at most, and all behind the point: only a number with both could not be brought to that scale.
        limit = _LARGEST // _POWERS[lacking]
        beyond = (elements > limit) | (elements < -limit)
        beyond &= elements != MISSING
        elements = np.where(beyond, elements, np.where(elements == MISSING, 1, elements) * _POWERS[lacking])
        elements[numbers.elements == MISSING] = MISSING
    else:
        beyond = np.zeros(len(elements), dtype=np.bool_)
    elements[numbers.odd] = MISSING
    bounds = [*starts.tolist(), len(elements)]
    found = [
        Quantities(elements=elements[first:last], decimals=scale)
        for first, last, scale in zip(bounds, bounds[1:], most.tolist(), strict=False)
    ]
    for number in {*(np.searchsorted(starts, np.flatnonzero(beyond), side="right") - 1).tolist()}:
        span = slice(bounds[number], bounds[number + 1])
        each = zip(numbers.elements[span].tolist(), decimals[span].tolist(), numbers.odd[span].tolist(), strict=True)
        found[number] = Quantities.of(
            [None if odd or one == MISSING else Decimal(one).scaleb(-scale) for one, scale, odd in each]
        )
    return found


def _decimals(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    # What has more than an array can hold is kept as text, and does not cost the others their place.
    return -exponent if isinstance(exponent, int) and -_DIGITS <= exponent < 0 else 0


def _whole(value: Decimal, decimals: int) -> int | None:
    if len(value.as_tuple().digits) > _EXACT:
        return None
    try:
        scaled = value.scaleb(decimals)
        whole = int(scaled)
    except (ArithmeticError, ValueError):
        return None
    return whole if whole == scaled and MISSING < whole <= _LARGEST else None
