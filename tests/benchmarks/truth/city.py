"""The meters of a city and what they truly consume: made from a seed, in whole watt-hours.

Seven kinds of customers: households, households that are away for a while, with a flow heater, with a car that is new
on one of the days; shops, workshops with two shifts, heat pumps.
Nothing here knows a rule of MDUS; loads are drawn from what such customers do, not from what passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Loads = NDArray[np.int64]

ZONE: Final = ZoneInfo("Europe/Berlin")
KINDS: Final = ("household", "away", "flow heater", "car", "shop", "workshop", "heat pump")
_SHARES: Final = (0.50, 0.10, 0.08, 0.06, 0.11, 0.04, 0.11)
_QUARTER: Final = timedelta(minutes=15)

#: The share of days on which a car is charged.
_CHARGES: Final = 0.4

#: Registers have five digits before the point and three behind it: after this many Wh they begin at zero.
TURN: Final = 100_000_000
#: The share of registers that run over in the days there are.
_RUN_OVER: Final = 0.02


def midnight(day: date) -> datetime:
    """This will return the instant at which a local day begins."""
    return datetime.combine(day, time(), ZONE).astimezone(UTC)


def quarters(day: date) -> int:
    """This will return how many quarter-hours a local day has."""
    return int((midnight(day + timedelta(days=1)) - midnight(day)) / _QUARTER)


@dataclass(frozen=True, kw_only=True, slots=True)
class City:
    """Meters, each of a kind, with what they consumed: by day an array (meters, quarter-hours) of Wh."""

    kinds: tuple[str, ...]
    loads: dict[date, Loads]
    shown: dict[date, Loads]  # by day what each register shows when it begins, in Wh: it runs over at TURN

    @property
    def meters(self) -> int:
        """This will return how many meters there are."""
        return len(self.kinds)


def city(*, meters: int, first: date, days: int, seed: int) -> City:
    """This will make a city of so many meters over so many days."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(KINDS, size=meters, p=_SHARES)
    size = rng.lognormal(0.0, 0.35, meters)
    away_from = rng.integers(0, days, meters)
    away_for = rng.integers(4, 16, meters)
    loads: dict[date, Loads] = {}
    for number in range(days):
        day = first + timedelta(days=number)
        hours = np.array(
            [
                local.hour + local.minute / 60
                for local in ((midnight(day) + place * _QUARTER).astimezone(ZONE) for place in range(quarters(day)))
            ]
        )
        watts = np.zeros((meters, len(hours)))
        weekend = day.weekday() >= 5
        for kind in KINDS:
            rows = np.flatnonzero(kinds == kind)
            if len(rows):
                watts[rows] = _watts(kind, hours, len(rows), weekend=weekend, rng=rng) * size[rows, None]
        gone = (kinds == "away") & (number >= away_from) & (number < away_from + away_for)
        charging = (kinds == "car") & (number >= away_from) & (rng.random(meters) < _CHARGES)
        for row in np.flatnonzero(charging).tolist():
            begun = int(rng.integers(len(hours) - 20))
            watts[row, begun : begun + int(rng.integers(6, 20))] += 11_000
        standby = 35 + 25 * (np.sin(np.arange(len(hours)) * 0.9)[None, :] > 0)
        watts[gone] = standby * size[gone, None]
        # A meter counts what has passed: what is not a whole watt-hour yet stays for the next quarter.
        loads[day] = np.diff(np.floor(np.cumsum(watts / 4, axis=1)), axis=1, prepend=0).astype(np.int64)
    start = rng.integers(0, TURN // 2, meters)
    # Some registers run over in these days: they began so much below the turn.
    over = rng.random(meters) < _RUN_OVER
    start[over] = TURN - rng.integers(1, 1 + sum(each.sum(axis=1) for each in loads.values())[over])
    shown = {first: start}
    for day, each in loads.items():
        shown[day + timedelta(days=1)] = (shown[day] + each.sum(axis=1)) % TURN
    return City(kinds=tuple(kinds.tolist()), loads=loads, shown=shown)


def _watts(
    kind: str, hours: NDArray[np.float64], count: int, *, weekend: bool, rng: np.random.Generator
) -> NDArray[np.float64]:
    """This will return the mean power of each quarter-hour of some customers of a kind, in W."""
    noise = rng.gamma(6.0, 1 / 6.0, (count, len(hours)))
    if kind in ("household", "away", "flow heater", "car"):
        morning = np.exp(-(((hours - (9 if weekend else 7)) / 1.3) ** 2))
        evening = np.exp(-(((hours - 19.3) / 2.4) ** 2))
        base = 110 + 70 * (np.sin(np.arange(len(hours)) * 0.8) > 0)  # the refrigerator
        watts = (base + (480 * morning + 820 * evening)) * noise
        if kind == "flow heater":  # up to 24 kW, for a part of a quarter of an hour
            _with_runs(watts, rng, per_day=1.8, power=(2000, 12_000), length=(1, 2), hours=hours, between=(6, 23))
        return _with_runs(watts, rng, per_day=2.2, power=(900, 2600), length=(1, 7), hours=hours, between=(6.5, 22.5))
    if kind == "shop":
        opened = ((hours >= 8) & (hours < (14 if weekend else 19.5))).astype(float)
        return (420 + 2900 * opened) * noise
    if kind == "workshop":
        shift = 0.15 if weekend else ((hours >= 6) & (hours < 22)).astype(float)
        return (900 + 9500 * shift) * rng.gamma(30.0, 1 / 30.0, (count, len(hours)))
    cycling = (np.sin(np.arange(len(hours)) * 0.55 + rng.uniform(0, 6.28, (count, 1))) > -0.2).astype(float)
    return (160 + 1900 * cycling) * noise


def _with_runs(
    watts: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    per_day: float,
    power: tuple[int, int],
    length: tuple[int, int],
    hours: NDArray[np.float64],
    between: tuple[float, float],
) -> NDArray[np.float64]:
    """This will add ovens, dryers and the like: each so long, at so much power, at an hour of the day."""
    awake = np.flatnonzero((hours >= between[0]) & (hours < between[1]))
    for row, number in enumerate(rng.poisson(per_day, len(watts)).tolist()):
        for _ in range(number):
            start = int(rng.choice(awake))
            watts[row, start : start + int(rng.integers(*length))] += rng.uniform(*power)
    return watts
