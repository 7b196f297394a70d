"""The further head ends of the utility, one of each kind: a few meters each, beside the one that has most of them.

Which there are is said here and nowhere else; a kind without a simulator is left out.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NONE = "none"

#: Of all meters, as many more are at each further head end, and no fewer than of one model each.
_SHARE, _LEAST = 0.03, 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Further:
    """A head end as the landscape runs it: kind and name as in config/head_ends.toml, further options of its simulator.

    Where it does not answer to orders it is neither asked on demand nor does it take a switch.
    """

    kind: str
    name: str
    ams_id: str
    options: tuple[str, ...] = ()
    takes_orders: bool = True


FURTHER = (
    Further(kind="multispeak", name="orchard", ams_id="AM02", options=("--version", "4.1")),
    Further(kind="cim", name="quarry", ams_id="AM03", options=("--style", "typed")),
    Further(kind="token_poll", name="harbour", ams_id="AM04", options=("--completion", "ready")),
    # Of the brokers the one that needs nothing but Python.
    Further(kind="mqtt", name="ridge", ams_id="AM05", options=("--broker", "amqtt", "--version", "3.1.1")),
    Further(kind="file_drop", name="island", ams_id="AM06", options=("--format", "cmep"), takes_orders=False),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A further head end with the meters it has: where they begin among all of the landscape's seed, and how many."""

    head_end: Further
    first: int
    meters: int
    port: int

    @property
    def url(self) -> str:
        """The base URL of its control API."""
        return f"http://127.0.0.1:{self.port}"


def chosen(names: str) -> tuple[Further, ...]:
    """This will return the head ends of the kinds named, `none`, or all where nothing is; ValueError for others."""
    asked = [name.strip() for name in names.split(",") if name.strip()]
    known = {each.kind: each for each in FURTHER}
    if unknown := [name for name in asked if name not in (*known, NONE)]:
        raise ValueError(f"unknown head end {', '.join(unknown)}; known are {', '.join(known)}, or {NONE}")
    if asked == [NONE]:
        return ()
    return tuple(each for kind, each in known.items() if not asked or kind in asked)


def simulated(head_ends: Iterable[Further]) -> tuple[Further, ...]:
    """This will return those of which there is a simulator."""
    return tuple(each for each in head_ends if importlib.util.find_spec(f"simulators.headend_{each.kind}"))


def shares(head_ends: Iterable[Further], *, meters: int, begin: int, ports: Iterable[int]) -> tuple[Share, ...]:
    """This will give each head end meters of its own, in the row of all from `begin` on.

    The first that takes orders has one more before its own: the meter at `begin`, which is to move there.
    """
    size = max(_LEAST, round(meters * _SHARE))
    found: list[Share] = []
    ordered = sorted(head_ends, key=lambda each: not each.takes_orders)
    for number, (head_end, port) in enumerate(zip(ordered, ports, strict=False)):
        coming = number == 0 and head_end.takes_orders
        first = begin if coming else begin + 1 + number * size
        found.append(Share(head_end=head_end, first=first, meters=size + coming, port=port))
    return tuple(found)


def has_mover(some: Sequence[Share]) -> bool:
    """This will tell whether one of the meters of the head end that has most is to move to the first of these."""
    return bool(some) and some[0].head_end.takes_orders
