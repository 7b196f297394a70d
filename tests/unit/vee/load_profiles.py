"""Plausible load profiles, seeded: what a rule set should let pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mdus.domain.channel import MISSING
from mdus.vee.days import Days, Elements, Fact, unknown

#: Days before the first that is judged: the past of all others.
BEFORE: Final = 35
DAYS: Final = BEFORE + 365

Power = NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """A kind of channel: its power in kW (gas, water: m3/h) by day and interval."""

    power: Callable[[np.random.Generator, int], Power]
    feeds_in: bool = False
    minutes: int = 15


def days_of_year(kind: Kind, rng: np.random.Generator, *, quantum: int, step: int) -> Days:
    """Return a year of a channel's days, counted in quanta (Wh, litres), with a register of its own steps."""
    width = 24 * 60 // kind.minutes
    used = np.maximum(kind.power(rng, width), 0).reshape(-1) * kind.minutes / 60 * 1000
    counter = np.floor(np.concatenate([[0.0], np.cumsum(used)]) / quantum).astype(np.int64) * quantum
    values = np.diff(counter).reshape(DAYS, width)
    shown = counter[::width] // step * step + 1_000_000
    usage, peaks = values.sum(axis=1), values.max(axis=1)
    count = DAYS - BEFORE
    facts: dict[Fact, Any] = {fact: unknown(fact, count, width) for fact in Fact}
    facts |= {
        Fact.ADVANCE: np.diff(shown)[BEFORE:],
        Fact.REGISTER_STEP: np.full(count, step),
        Fact.REGISTER_BEFORE: shown[BEFORE:-1],
        Fact.REGISTER_AFTER: shown[BEFORE + 1 :],
        Fact.PAST_TOTAL: _before(usage).sum(axis=1),
        Fact.PAST_DAYS: np.full(count, float(BEFORE)),
        Fact.PAST_MOST: _before(usage).max(axis=1),
        Fact.PAST_PEAK: _before(peaks).max(axis=1),
        Fact.LAST_VALUE: values[BEFORE - 1 : -1, -1],
        Fact.NEXT_VALUE: np.append(values[BEFORE + 1 :, 0], MISSING),
        Fact.ESTIMATED_DAYS: np.ones(count),
        Fact.CLOCK_DRIFT: rng.normal(0, 20, count),
        Fact.FEEDS_IN: np.full(count, kind.feeds_in),
    }
    return Days(
        minutes=kind.minutes,
        decimals=3,
        values=values[BEFORE:],
        flags=np.zeros((count, width), dtype=np.uint32),
        is_over=np.ones(count, dtype=np.bool_),
        facts=facts,
    )


def together(some: list[Days]) -> Days:
    """Return days of several channels as one grid."""
    return Days(
        minutes=some[0].minutes,
        decimals=some[0].decimals,
        values=np.concatenate([each.values for each in some]),
        flags=np.concatenate([each.flags for each in some]),
        is_over=np.concatenate([each.is_over for each in some]),
        facts={fact: np.concatenate([each.facts[fact] for each in some]) for fact in some[0].facts},
    )


def _before(daily: Elements) -> Elements:
    """Return the figures of the days before each judged day (c, BEFORE)."""
    return sliding_window_view(daily, BEFORE)[:-1]


def _season() -> Power:
    """Return how cold the days are, from 0 in July to 1 in January, with weather."""
    return 0.5 + 0.5 * np.cos(2 * np.pi * (np.arange(DAYS) - BEFORE) / 365)


def _events(rng: np.random.Generator, width: int, *, a_day: float, hours: tuple[float, float], kw: float) -> Power:
    """Return appliances that run from a quarter of an hour to two hours, some times a day, between two hours."""
    power = np.zeros((DAYS, width))
    number = rng.poisson(a_day * DAYS)
    days = rng.integers(0, DAYS, number)
    firsts = (rng.uniform(*hours, number) * width / 24).astype(int)
    lengths = rng.integers(1, 1 + max(1, width // 12), number)
    levels = kw * rng.uniform(0.4, 1.0, number)
    for day, first, length, level in zip(days, firsts, lengths, levels, strict=True):
        power[day, first : first + length] += level
    return power


def _idle(rng: np.random.Generator, width: int) -> Power:
    """Return what a household draws by itself: devices on standby, a refrigerator that comes and goes and defrosts."""
    base = rng.uniform(0.02, 0.15)
    phase = rng.uniform(0, 1, (DAYS, 1))
    fridge = 0.09 * ((np.arange(width) / width * rng.uniform(16, 30) + phase) % 1 < 0.4)
    defrost = 0.25 * (rng.uniform(0, 1, (DAYS, width)) < 1.5 / width)
    return base * (1 + 0.03 * rng.standard_normal((DAYS, width))) + fridge + defrost


def household(rng: np.random.Generator, width: int) -> Power:
    """Return a household: idle at night, cooking, washing, evenings; away for some weeks."""
    power = _events(rng, width, a_day=rng.uniform(1, 3), hours=(11, 20), kw=2.5)
    power += _events(rng, width, a_day=0.5, hours=(8, 20), kw=2.2)
    power += _events(rng, width, a_day=rng.uniform(3, 6), hours=(6, 23), kw=0.4)
    for _ in range(rng.integers(1, 4)):
        first = rng.integers(0, DAYS)
        power[first : first + rng.integers(2, 22)] = 0
    return power + _idle(rng, width)


def flow_heater(rng: np.random.Generator, width: int) -> Power:
    """Return a household whose water is heated as it flows: 21 kW for minutes."""
    power = household(rng, width)
    number = rng.poisson(2 * DAYS)
    power[rng.integers(0, DAYS, number), (rng.uniform(6, 22, number) * width / 24).astype(int)] += rng.uniform(
        3, 12, number
    )
    return power


def electric_car(rng: np.random.Generator, width: int) -> Power:
    """Return a household that charges a car with 11 kW, every few days."""
    power = household(rng, width)
    for day in np.flatnonzero(rng.uniform(0, 1, DAYS) < 0.3):
        first = int(rng.uniform(17, 20) * width / 24)
        part = power[day, first : first + rng.integers(4, 16)]
        part += 11 * (1 + 0.003 * rng.standard_normal(part.shape))
    return power


def vacant(rng: np.random.Generator, width: int) -> Power:
    """Return a flat where nobody lives for months at a time."""
    power = household(rng, width)
    first = rng.integers(0, DAYS - 150)
    power[first : first + 150] = _idle(rng, width)[first : first + 150]
    return power


def shop(rng: np.random.Generator, width: int) -> Power:
    """Return a shop: refrigeration all day, light and machines from eight to seven, closed on Sundays."""
    hours = np.arange(width) * 24 / width
    is_open = ((hours >= 8) & (hours < 19))[None, :] & (np.arange(DAYS) % 7 != 6)[:, None]
    noise = 1 + 0.05 * rng.standard_normal((DAYS, width))
    return (rng.uniform(0.3, 1.2) + rng.uniform(1.5, 6) * is_open) * noise


def heat_pump(rng: np.random.Generator, width: int) -> Power:
    """Return a heat pump: long runs in winter, hot water in summer, a rod on the coldest days."""
    cold = np.clip(_season() + 0.12 * rng.standard_normal(DAYS), 0.05, 1.2)[:, None]
    cycle = (np.arange(width) / width * rng.uniform(10, 24) + rng.uniform(0, 1, (DAYS, 1))) % 1
    runs = cycle < cold
    rod = 6.0 * (cold > 1.05) * (rng.uniform(0, 1, (DAYS, width)) < 0.2)
    return 0.02 + runs * (1.2 + 1.3 * cold) * (1 + 0.04 * rng.standard_normal((DAYS, width))) + rod


def photovoltaics(rng: np.random.Generator, width: int) -> Power:
    """Return what photovoltaics feed in: nothing at night, much under the sun, little under clouds or snow."""
    hours = np.arange(width)[None, :] * 24 / width
    length = (16 - 8 * _season())[:, None]
    sun = np.clip(np.cos((hours - 12.5) / length * np.pi), 0, None) * (np.abs(hours - 12.5) < length / 2)
    clear = rng.beta(1.2, 1.0, (DAYS, 1))
    clouds = np.clip(clear + 0.25 * (1 - clear) * rng.standard_normal((DAYS, width)), 0.02, 1)
    snow = rng.uniform(0, 1, (DAYS, 1)) < 0.03 * _season()[:, None]
    return rng.uniform(4, 12) * sun * clouds * ~snow


def beside_photovoltaics(rng: np.random.Generator, width: int) -> Power:
    """Return what a household with photovoltaics still draws: nothing while the sun covers it."""
    return household(rng, width) - photovoltaics(rng, width)


ELECTRICITY: Final[Mapping[str, Kind]] = {
    "household": Kind(household),
    "flow_heater": Kind(flow_heater),
    "electric_car": Kind(electric_car),
    "vacant": Kind(vacant),
    "shop": Kind(shop),
    "heat_pump": Kind(heat_pump),
    "photovoltaics": Kind(photovoltaics, feeds_in=True),
    "beside_photovoltaics": Kind(beside_photovoltaics, feeds_in=True),
}


def boiler(rng: np.random.Generator, width: int) -> Power:
    """Return gas of a house in m3/h: heating in winter, hot water all year, nothing while nobody is there."""
    cold = np.clip(_season() * 1.6 - 0.6 + 0.15 * rng.standard_normal(DAYS), 0, 1.2)[:, None]
    heating = 1.6 * cold * rng.uniform(0.6, 1.2, (DAYS, width)) * (rng.uniform(0, 1, (DAYS, width)) < 0.3 + 0.7 * cold)
    water = _events(rng, width, a_day=3, hours=(6, 22), kw=0.6)
    first = rng.integers(0, DAYS)
    power: Power = heating + water
    power[first : first + 14] = 0
    return power


def taps(rng: np.random.Generator, width: int) -> Power:
    """Return water of a house in m3/h: most hours without, showers and machines, a garden in summer."""
    power = _events(rng, width, a_day=8, hours=(6, 23), kw=0.12)
    for day in np.flatnonzero((_season() < 0.3) & (rng.uniform(0, 1, DAYS) < 0.25)):
        power[day, int(width * 0.8) : int(width * 0.8) + max(1, width // 16)] += rng.uniform(0.4, 1.2)
    first = rng.integers(0, DAYS)
    power[first : first + 14] = 0
    return power


def _heat(rng: np.random.Generator, width: int) -> Power:
    return boiler(rng, width) * 10


GAS: Final[Mapping[str, Kind]] = {"hourly": Kind(boiler, minutes=60), "daily": Kind(boiler, minutes=1440)}
WATER: Final[Mapping[str, Kind]] = {"hourly": Kind(taps, minutes=60), "daily": Kind(taps, minutes=1440)}
HEAT: Final[Mapping[str, Kind]] = {"hourly": Kind(_heat, minutes=60), "daily": Kind(_heat, minutes=1440)}
