"""Bills of a month by arithmetic of their own: of what was truly consumed, and of what was told, as if nobody looked.

Loads are whole Wh by day, (meters, quarter-hours). The tariffs are those of the simulated SAP; nothing of how it adds
up, or of how MDUS does, is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulators.sap_cis.billing import TARIFFS
from tests.benchmarks.truth.city import ZONE, Loads, midnight, quarters

#: What each meter is billed by, once each.
NAMES: Final = ("flat", "time_of_use", "demand")
_QUARTER: Final = timedelta(minutes=15)
_CENT: Final = Decimal("0.01")

#: Amounts by meter, then by tariff.
Bills = dict[int, dict[str, Decimal]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantities:
    """What meters consumed, (meters,) each: Wh in all, Wh in the hours of the high tariff, the most Wh of a quarter."""

    total: Loads
    high: Loads
    most: Loads


def quantities(loads: Mapping[date, Loads]) -> Quantities:
    """This will add up days."""
    high = [each[:, is_high(day)].sum(axis=1) for day, each in loads.items()]
    return Quantities(
        total=np.sum([each.sum(axis=1) for each in loads.values()], axis=0),
        high=np.sum(high, axis=0),
        most=np.max([each.max(axis=1) for each in loads.values()], axis=0),
    )


def is_high(day: date) -> NDArray[np.bool_]:
    """This will return in which quarter-hours of a day the high tariff counts: workdays, 6 to 22 by the clock."""
    hours = [(midnight(day) + place * _QUARTER).astimezone(ZONE).hour for place in range(quarters(day))]
    workday = day.weekday() < 5 and day not in TARIFFS["time_of_use"].holidays
    return np.array([workday and 6 <= hour < 22 for hour in hours], dtype=np.bool_)


def bills(found: Quantities, meters: Sequence[int]) -> Bills:
    """This will bill quantities of some meters."""
    return {meter: _bill(*(int(each[meter]) for each in (found.total, found.high, found.most))) for meter in meters}


def _bill(total: int, high: int, most: int) -> dict[str, Decimal]:
    flat, by_time, demand = (TARIFFS[name] for name in NAMES)
    return {
        "flat": flat.standing + _amount(total, flat.steps[0].price),
        "time_of_use": by_time.standing
        + _amount(high, by_time.zones["high"])
        + _amount(total - high, by_time.zones["low"]),
        "demand": demand.standing
        + _amount(total, demand.steps[0].price)
        + _amount(4 * most, demand.demand or Decimal(0)),
    }


def _amount(milli: int, price: Decimal) -> Decimal:
    """Return what thousandths of a unit cost, to the cent, half up."""
    return (Decimal(milli) * price / 1000).quantize(_CENT, rounding=ROUND_HALF_UP)
