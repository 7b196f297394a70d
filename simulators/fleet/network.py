"""What lies between head end and meter: how long an answer takes and how often none comes, by kind of network.

Figures are engineering choices, calibrated to what operators publish; all follow from the seed. Times are simulated
seconds. Failures come in bursts: a quarter of an hour is good or bad for all meters behind a concentrator.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from statistics import NormalDist

from simulators.fleet.meters import Meter, fraction

_TIME_OUT_FACTOR = 10  # a meter is given up after so many median latencies
_MOST_HOPS = 4
_BAD = 10  # times as many failures in a bad quarter of an hour as in a good one
_QUARTER = 900  # seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """How orders travel: latency lognormal by `median` and `sigma`, and shares of failures."""

    name: str
    median: float  # seconds until a meter answers
    sigma: float = 0.6
    hop: float = 0.0  # seconds more for each hop a meter is away
    relay_factor: float = 1.0  # how much longer a breaker takes
    never: float = 0.0  # share of meters that never answer
    transient: float = 0.0  # share of orders without an answer
    incomplete: float = 0.0  # share of daily collections with something wrong on the first day
    has_concentrators: bool = False
    under_way: int | None = None  # orders a concentrator should have under way at once
    is_serial: bool = False  # a concentrator carries out one order after the other
    batch: int | None = None  # device orders in one submit

    def seconds(self, meter: Meter, *, seed: int, attempt: int, kind: str) -> float:
        """This will draw how long a meter takes to answer its order number `attempt`."""
        draw = min(max(fraction(seed, meter.serial, attempt, "latency"), 1e-6), 1 - 1e-6)
        seconds = self.median * math.exp(self.sigma * NormalDist().inv_cdf(draw))
        seconds += self.hop * int(fraction(seed, meter.serial, "hops") * _MOST_HOPS)
        return seconds * (self.relay_factor if kind == "switch" else 1.0)

    @property
    def time_out(self) -> float:
        """After how long a meter that does not answer is given up."""
        return self.median * _TIME_OUT_FACTOR

    def answers(self, meter: Meter, *, seed: int, attempt: int, at: datetime) -> bool:
        """This will draw whether a meter answers its order number `attempt`."""
        if self.never and fraction(seed, meter.serial, "never") < self.never:
            return False
        return fraction(seed, meter.serial, attempt, "answer") >= self._failing(meter, seed=seed, at=at)

    def _failing(self, meter: Meter, *, seed: int, at: datetime) -> float:
        # One tenth of all quarters is bad, so the mean over time is `transient`.
        if not self.has_concentrators or not self.transient:
            return self.transient
        is_bad = fraction(seed, meter.concentrator, int(at.timestamp()) // _QUARTER, "burst") < 0.1
        good = self.transient / (0.9 + 0.1 * _BAD)
        return good * (_BAD if is_bad else 1)


NETWORKS = {
    network.name: network
    for network in (
        Network(
            name="rf_mesh",
            median=12.0,
            sigma=0.8,
            hop=2.0,
            relay_factor=1.5,
            never=0.003,
            transient=0.03,
            incomplete=0.015,
            has_concentrators=True,
            under_way=15,
            batch=500,
        ),
        Network(
            name="p2mp",
            median=8.0,
            relay_factor=1.5,
            never=0.005,
            transient=0.02,
            incomplete=0.015,
            has_concentrators=True,
            under_way=50,
            batch=250,
        ),
        Network(
            name="plc",
            median=90.0,
            sigma=0.7,
            relay_factor=2.0,
            never=0.005,
            transient=0.04,
            incomplete=0.02,
            has_concentrators=True,
            under_way=3,
            is_serial=True,
            batch=100,
        ),
        Network(
            name="cellular",
            median=3.0,
            sigma=0.9,
            relay_factor=1.5,
            never=0.002,
            transient=0.01,
            incomplete=0.005,
        ),
    )
}
