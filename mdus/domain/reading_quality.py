"""Qualities of values by IEC 61968-9: codes `system.category.index`, of which a value may have several."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_CODE: Final = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,4}")

#: Known to be missing, told by the metering system.
KNOWN_MISSING: Final = "2.5.259"

#: Of a value that our validation suspects, estimates, that a person has set.
SUSPECT: Final = "3.5.258"
ESTIMATED: Final = "3.8.0"
EDITED: Final = "3.7.0"

#: Of a value that a person has given an interval without one, has found right; of a gap whose estimate was found wrong.
ADDED: Final = "3.7.1"
ACCEPTED: Final = "3.10.1"
REJECTED: Final = "3.7.3"


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

    @property
    def is_estimated(self) -> bool:
        """Tell whether the value was estimated, by whomever (category 8)."""
        return any(code.split(".")[1] == "8" for code in self.codes)

    @property
    def is_edited(self) -> bool:
        """Tell whether a person has set or accepted the value (category 7, or accepted: 10.1)."""
        return any(code.split(".")[1] == "7" or code.endswith(".10.1") for code in self.codes)

    @property
    def is_set(self) -> bool:
        """Tell whether one of our staff has set the value."""
        return EDITED in self.codes or ADDED in self.codes

    @property
    def is_accepted(self) -> bool:
        """Tell whether one of our staff has found the value right."""
        return ACCEPTED in self.codes

    @property
    def is_rejected(self) -> bool:
        """Tell whether one of our staff has found an estimate worse than none."""
        return REJECTED in self.codes

    @property
    def is_made(self) -> bool:
        """Tell whether the value did not come from the meter as it is."""
        return self.is_estimated or self.is_edited

    @property
    def is_suspect(self) -> bool:
        """Tell whether a validation rule holds the value for wrong (5.258)."""
        return SUSPECT in self.codes

    def __str__(self) -> str:
        """Return the codes as they are stored."""
        return " ".join(self.codes)
