"""How warm it was outside on a local day, as a weather station tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar

from mdus.domain.value import Value


@dataclass(frozen=True, kw_only=True, slots=True)
class DayTemperature(Value):
    """The mean outside temperature of a station's day, in degrees Celsius."""

    KEY: ClassVar[tuple[str, ...]] = ("station", "day")

    station: str
    day: date
    degrees: Decimal
