"""Numbers as files write them: one by one for the text that is not plain, else many at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from mdus.domain.quantities import Quantities, plain_numbers, records

#: Fortran's exponents, which CMEP allows, among them; exponents no quantity has are no number.
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([EeDd][+-]?\d{1,2})?", re.ASCII)

#: More digits than this no meter has.
_LONGEST: Final = 64

#: Greater and smaller powers of ten no quantity has.
_GREATEST_EXPONENT: Final = 60

#: Digits of a product of two such numbers.
MOST_DIGITS: Final = 200


def number(text: str) -> Decimal | None:
    """Return the number that a text is, None when it is none."""
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        return None
    read = Decimal(text.upper().replace("D", "E"))
    return None if abs(read.adjusted()) > _GREATEST_EXPONENT else read


def quantities(texts: Sequence[str]) -> Quantities:
    """Return texts that are numbers, or empty where there is none."""
    if texts:
        numbers = plain_numbers("".join([f"{text}," for text in texts]).encode(), len(texts))
        if not numbers.odd.any():
            return records(numbers, [len(texts)])[0]
    return Quantities.of([number(text) if text else None for text in texts])
