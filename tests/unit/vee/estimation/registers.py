"""A reading of a register to be estimated, as a day of one column."""

from __future__ import annotations

from typing import Any

from mdus.vee.days import Days
from tests.unit.vee.estimation.gaps import X, days


def reading(*, decimals: int = 3, **facts: Any) -> Days:
    """Return one reading that is missing, each fact given by itself; the multiplier is 1 unless one is given."""
    given = {name: [value] for name, value in {"factor_known": 1.0, **facts}.items()}
    return days([X], minutes=1440, decimals=decimals, **given)
