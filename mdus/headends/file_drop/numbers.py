"""Numbers as files write them, one by one: for the text that is not plain."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

#: Fortran's exponents, which CMEP allows, among them; exponents no quantity has are no number.
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([EeDd][+-]?\d{1,2})?", re.ASCII)

#: More digits than this no meter has.
_LONGEST: Final = 64


def number(text: str) -> Decimal | None:
    """Return the number that a text is, None when it is none."""
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        return None
    return Decimal(text.upper().replace("D", "E"))
