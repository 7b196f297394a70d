"""Faults that befall what meters tell: chosen, and judged, before MDUS has seen a value.

Each fault knows whether it is beyond a threshold of the rule set in use, by the words of the rules' descriptions and
the figures of that set, worked out here anew. Sizes are drawn across the threshold of the fault's own rule: half of
them stay below. Beyond is also what is below that but further from the register than the sum check allows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, NamedTuple

import numpy as np

from tests.benchmarks.truth.city import City, Loads

#: Of an interval without a value.
NOTHING: Final = -(2**63)
_HISTORY: Final = 35


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The figures of the rule set in use that faults are held against."""

    spike_ratio: float  # above the third highest
    spike_above: float  # Wh of a quarter-hour
    spike_past: float  # times the highest value of the 35 days before
    frozen_values: int
    frozen_least: float  # Wh: a value that is not small, of a meter that counts single Wh
    zero_least: int  # quarter-hours: longer than this
    sum_steps: float
    sum_percent: float
    step: int  # Wh: the least the register can move


@dataclass(kw_only=True, slots=True)
class Told:
    """What a meter tells of a day instead of the truth: values, and by place the quality it gives them.

    `first`, where given, is what it tells at first: the values come days late, or are corrected.
    """

    values: Loads
    codes: dict[int, str] = field(default_factory=dict)
    first: Loads | None = None
    twice: bool = False

    @property
    def at_first(self) -> Loads:
        """This will return what is told when the day is over."""
        return self.values if self.first is None else self.first


class Befallen(NamedTuple):
    """What is told, and whether it is beyond the threshold of the fault's own rule, and of any."""

    told: Told
    own: bool
    beyond: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One fault of one meter on one day; `beyond` tells whether some rule has to find it, `own` its own."""

    kind: str
    meter: int
    day: date
    own: bool
    beyond: bool
    told: Told


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What a fault is made from: the true values of the day, the highest of the 35 days before, and the limits.

    The highest is of what was true or told: what a spike has to exceed to be one in any case.
    """

    true: Loads
    peak: int
    limits: Limits
    rng: np.random.Generator

    @property
    def allowed(self) -> float:
        """This will return how far the values may be from the register by the sum check, in Wh."""
        return max(self.limits.sum_steps * self.limits.step, int(self.true.sum()) * self.limits.sum_percent / 100)

    def differs(self, told: Loads) -> bool:
        """This will tell whether values are further from the register than that."""
        return abs(int(told.sum()) - int(self.true.sum())) > self.allowed

    def across(self, limit: float) -> float:
        """This will return a size around a limit, as often below as beyond it."""
        return float(self.rng.uniform(0.4, 1.6)) * limit

    def place(self, length: int = 1) -> int:
        """This will return where something of so many quarter-hours begins."""
        return int(self.rng.integers(1, len(self.true) - length - 1))


def _gap(scene: Scene) -> Befallen:
    length = int(scene.rng.integers(1, 17))  # up to two hours a line bridges them
    start, told = scene.place(length), scene.true.copy()
    told[start : start + length] = NOTHING
    return Befallen(Told(values=told), own=True, beyond=True)


def _missing_day(scene: Scene) -> Befallen:
    return Befallen(Told(values=np.full_like(scene.true, NOTHING)), own=True, beyond=True)


def _spike(scene: Scene) -> Befallen:
    limits, told = scene.limits, scene.true.copy()
    place = scene.place()
    others = np.sort(np.delete(told, place))
    third = int(others[-2])  # the spike will be the highest
    limit = max(third * (1 + limits.spike_ratio), limits.spike_above, limits.spike_past * scene.peak)
    told[place] = max(int(scene.across(limit)), int(others[-1]) + 1)
    own = bool(told[place] > limit and third > 0)
    return Befallen(Told(values=told), own=own, beyond=own or scene.differs(told))


def _overflow(scene: Scene) -> Befallen:
    told, place = scene.true.copy(), scene.place()
    told[place] = int(scene.rng.integers(0, 60_000))
    return Befallen(Told(values=told, codes={place: "1.4.1"}), own=True, beyond=True)


def _test_mode(scene: Scene) -> Befallen:
    length = int(scene.rng.integers(1, 5))
    told, start = scene.true.copy(), scene.place(length)
    told[start : start + length] += scene.rng.integers(500, 3000, length)
    codes = dict.fromkeys(range(start, start + length), "1.4.5")
    return Befallen(Told(values=told, codes=codes), own=True, beyond=True)


def _negative(scene: Scene) -> Befallen:
    told, place = scene.true.copy(), scene.place()
    told[place] = -int(scene.rng.integers(1, 2000))
    return Befallen(Told(values=told), own=True, beyond=True)


def _frozen(scene: Scene) -> Befallen:
    limits, told = scene.limits, scene.true.copy()
    length = int(scene.rng.integers(limits.frozen_values // 2, limits.frozen_values * 3 // 2 + 1))
    start = scene.place(length)
    small = max(int(told[start]), 1)
    value = small if scene.rng.random() < 0.5 else int(limits.frozen_least) + small
    told[start : start + length] = value
    own = value >= limits.frozen_least and _longest(told == value) >= limits.frozen_values
    return Befallen(Told(values=told), own=own, beyond=own or scene.differs(told))


def _zeros(scene: Scene) -> Befallen:
    length = max(2, round(scene.across(scene.limits.zero_least)))
    told, start = scene.true.copy(), scene.place(length)
    told[start : start + length] = 0
    own = _longest(told == 0) > scene.limits.zero_least
    return Befallen(Told(values=told), own=own, beyond=own or scene.differs(told))


def _wrong_value(scene: Scene) -> Befallen:
    """This will lower one value until the day is as far from its register as the sum check just allows, or further."""
    told, place = scene.true.copy(), int(scene.true.argmax())
    told[place] = max(0, told[place] - max(1, round(scene.across(scene.allowed))))
    beyond = scene.differs(told)
    return Befallen(Told(values=told), own=beyond, beyond=beyond)


def _told_twice(scene: Scene) -> Befallen:
    return Befallen(Told(values=scene.true, twice=True), own=False, beyond=False)


def _late(scene: Scene) -> Befallen:
    return Befallen(Told(values=scene.true, first=np.full_like(scene.true, NOTHING)), own=True, beyond=True)


def _revised(scene: Scene) -> Befallen:
    wrong = scene.true.copy()
    wrong[scene.place()] += max(1, round(scene.across(scene.allowed)))
    beyond = scene.differs(wrong)
    return Befallen(Told(values=scene.true, first=wrong), own=beyond, beyond=beyond)


def _longest(which: np.ndarray) -> int:
    """Return the length of the longest run."""
    longest = run = 0
    for each in which.tolist():
        run = run + 1 if each else 0
        longest = max(longest, run)
    return longest


#: What befalls values, in the order of the page.
KINDS: Final[Mapping[str, Callable[[Scene], Befallen]]] = {
    "gap": _gap,
    "missing day": _missing_day,
    "spike": _spike,
    "overflow": _overflow,
    "test mode": _test_mode,
    "negative": _negative,
    "frozen": _frozen,
    "zeros": _zeros,
    "wrong value": _wrong_value,
    "told twice": _told_twice,
    "late": _late,
    "revised": _revised,
}


def injected(city: City, days: Sequence[date], *, meters: Sequence[int], limits: Limits, seed: int) -> list[Fault]:
    """This will choose for each of the meters two of the days; what befalls it is on both of one kind, in turn.

    So that what a bill is wrong by can be told by kind.
    """
    rng = np.random.default_rng(seed)
    names = list(KINDS)
    ordered = sorted(city.loads)
    faults: list[Fault] = []
    said: dict[int, dict[date, int]] = defaultdict(dict)  # the highest value told, of days with a fault
    for number, meter in enumerate(meters):
        kind = names[number % len(names)]
        for place in sorted(rng.choice(len(days), 2, replace=False).tolist()):
            day = days[place]
            before = ordered[max(0, ordered.index(day) - _HISTORY) : ordered.index(day)]
            peak = max(max(int(city.loads[on][meter].max()), said[meter].get(on, 0)) for on in before)
            scene = Scene(true=city.loads[day][meter], peak=peak, limits=limits, rng=rng)
            told, own, beyond = KINDS[kind](scene)
            said[meter][day] = int(told.values.max())
            faults.append(Fault(kind=kind, meter=meter, day=day, own=own, beyond=beyond, told=told))
    return faults
