"""Qualities of values by IEC 61968-9: codes `system.category.index`, of which a value may have several."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_CODE: Final = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,4}")

#: Known to be missing, told by the metering system.
KNOWN_MISSING: Final = "2.5.259"


@dataclass(frozen=True, slots=True)
class QualitySet:
    """The qualities of one value: codes in order, none twice; none at all says that it is valid."""

    codes: tuple[str, ...] = ()

    @classmethod
    def of(cls, codes: Iterable[str]) -> QualitySet:
        """Return the set of these codes. Raises ValueError for a text that is none; `x.0.0` (valid) says nothing."""
        given = set(codes)
        for code in given:
            if not _CODE.fullmatch(code):
                raise ValueError(f"{code!r} is no reading quality such as 2.5.259")
        return cls(tuple(sorted(code for code in given if not code.endswith(".0.0"))))

    def __str__(self) -> str:
        """Return the codes as they are stored."""
        return " ".join(self.codes)
