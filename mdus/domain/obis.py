"""OBIS codes (IEC 62056-61): what a register measures, in six value groups printed `A-B:C.D.E*F`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_PRINTED: Final = re.compile(r"(\d{1,3})-(\d{1,3}):(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:[*&](\d{1,3}))?", re.ASCII)
_CURRENT: Final = 255  # group F: not a past billing period


@dataclass(frozen=True, slots=True)
class Obis:
    """One OBIS code: medium, channel, quantity, processing, tariff and billing period, each 0 to 255."""

    medium: int
    channel: int
    quantity: int
    processing: int
    tariff: int
    period: int = _CURRENT

    @classmethod
    def parse(cls, text: str) -> Obis:
        """Return the code printed in `text`; group F may be left out and is 255 then. Raises ValueError."""
        found = _PRINTED.fullmatch(text)
        groups = [int(group) for group in found.groups(default=str(_CURRENT))] if found else []
        if not groups or max(groups) > 255:
            raise ValueError(f"{text!r} is no OBIS code such as 1-0:1.8.0*255")
        return cls(*groups)

    def __str__(self) -> str:
        """Print the code in full, as head ends and our tables have it."""
        return f"{self.medium}-{self.channel}:{self.quantity}.{self.processing}.{self.tariff}*{self.period}"


@lru_cache(maxsize=1024)
def printed(text: str) -> str:
    """Return an OBIS code as it is printed in full, however it was written; any other text stays as it is."""
    try:
        return str(Obis.parse(text))
    except ValueError:
        return text
