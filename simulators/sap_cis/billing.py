"""What SAP bills: flat and tiered from meter reading results, time of use and demand from profiles or determinants.

Pure: it is given what SAP has, and returns bills. Every line is its quantity times its price, rounded half up to cents.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

_CENT = Decimal("0.01")
_HOUR = 60


class CannotBill(ValueError):
    """What there is does not make a bill: the text says what lacks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A part of a consumption: what is beyond the steps before, up to `up_to` (None: all the rest), and its price."""

    up_to: Decimal | None
    price: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Tariff:
    """How consumption is priced: by `steps` whenever it was, or by `zones` of time; `demand` is the price of a kW.

    With zones it is `high` on workdays that are no holiday from the hour `high_from` to `high_to` of the local clock,
    else `low`. `standing` is charged once a bill.
    """

    name: str
    standing: Decimal = Decimal(0)
    steps: tuple[Step, ...] = ()
    zones: Mapping[str, Decimal] = field(default_factory=dict)
    high_from: int = 6
    high_to: int = 22
    holidays: frozenset[date] = frozenset()
    demand: Decimal | None = None

    def zone_at(self, local: datetime) -> str:
        """This will return the zone of an interval that begins at a local instant."""
        workday = local.weekday() < 5 and local.date() not in self.holidays
        return "high" if workday and self.high_from <= local.hour < self.high_to else "low"


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of a bill: what, how much of it, at which price, and the amount."""

    what: str
    quantity: Decimal
    unit: str
    price: Decimal
    amount: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class Bill:
    """A bill of local days, the last one included; `source` is what it was made from."""

    of: str
    start_on: str
    end_on: str
    tariff: str
    source: str
    lines: tuple[Line, ...]
    total: Decimal


#: A step of a flat price.
_ALL = None

#: Tariffs to be had by name; holidays are those of all of Germany in 2026.
TARIFFS = {
    tariff.name: tariff
    for tariff in (
        Tariff(name="flat", standing=Decimal("9.50"), steps=(Step(up_to=_ALL, price=Decimal("0.31")),)),
        Tariff(
            name="tiered",
            standing=Decimal("9.50"),
            steps=(
                Step(up_to=Decimal(100), price=Decimal("0.28")),
                Step(up_to=Decimal(300), price=Decimal("0.32")),
                Step(up_to=_ALL, price=Decimal("0.37")),
            ),
        ),
        Tariff(
            name="time_of_use",
            standing=Decimal("12.00"),
            zones={"high": Decimal("0.35"), "low": Decimal("0.22")},
            holidays=frozenset(
                date(2026, month, day)
                for month, day in [(1, 1), (4, 3), (4, 6), (5, 1), (5, 14), (5, 25), (10, 3), (12, 25), (12, 26)]
            ),
        ),
        Tariff(
            name="demand",
            standing=Decimal("25.00"),
            steps=(Step(up_to=_ALL, price=Decimal("0.19")),),
            demand=Decimal("8.40"),
        ),
    )
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What a register showed at the end of a local day."""

    on: date
    value: Decimal


def bill_readings(
    shown: Iterable[Shown], tariff: Tariff, *, of: str, unit: str, digits: int, factor: Decimal = Decimal(1)
) -> list[Bill]:
    """This will bill from each reading to the next. A register that shows less has run over once, `digits` before the
    point; it never does so twice. CannotBill for a tariff that needs more than a register says."""
    if tariff.zones or tariff.demand is not None:
        raise CannotBill(f"{tariff.name} takes a profile or determinants: a register does not say when")
    by_day = {each.on: each.value for each in shown}
    bills = []
    for start, end in pairwise(sorted(by_day)):
        consumed = by_day[end] - by_day[start]
        if consumed < 0:
            consumed += Decimal(10) ** digits
        lines = _by_steps(consumed * factor, unit, tariff)
        bills.append(_bill(of, start + timedelta(days=1), end, tariff, "readings", lines))
    return bills


def bill_profile(
    values: Mapping[str, str],
    tariff: Tariff,
    *,
    of: str,
    unit: str,
    minutes: int,
    start: date,
    end: date,
    zone: ZoneInfo,
) -> Bill:
    """This will bill local days from the values of a profile by the start of their interval (UTC). CannotBill where one
    lacks."""
    begin, until = (datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC) for day in (start, end))
    consumed: dict[str, Decimal] = defaultdict(Decimal)
    highest = Decimal(0)
    at = begin
    while at < until:
        written = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        if written not in values:
            raise CannotBill(f"{of} has no value at {written}")
        quantity = Decimal(values[written])
        consumed[tariff.zone_at(at.astimezone(zone))] += quantity
        highest = max(highest, quantity * _HOUR / minutes)
        at += timedelta(minutes=minutes)
    lines = (
        _by_zones(consumed, unit, tariff)
        if tariff.zones
        else _by_steps(sum(consumed.values(), Decimal(0)), unit, tariff)
    )
    lines += _demand(highest, tariff)
    return _bill(of, start, end - timedelta(days=1), tariff, "profile", lines)


def bill_determinants(rows: Sequence[Mapping[str, Any]], tariff: Tariff, *, of: str, reading_type: str) -> list[Bill]:
    """This will bill each period of the newest versions of determinants. CannotBill for one that is held."""
    periods: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for row in rows:
        if row["reading_type"] == reading_type and row["status"] != "withdrawn" and row["is_newest"]:
            periods[row["period_from"], row["period_to"]][row["name"]] = row
    bills = []
    for (start, end), named in sorted(periods.items()):
        wanted = [f"total.{zone}" for zone in tariff.zones] or ["total"]
        wanted += ["demand"] if tariff.demand is not None else []
        for name in wanted:
            if name not in named:
                raise CannotBill(f"{of} has no {name} from {start} to {end}")
            if named[name]["status"] != "released":
                raise CannotBill(f"{name} of {of} from {start} to {end} is held: {named[name]['gate_reason']}")
        quantities = {name: Decimal(named[name]["quantity"]) for name in wanted}
        unit = named[wanted[0]]["unit"]
        if tariff.zones:
            lines = _by_zones({zone: quantities[f"total.{zone}"] for zone in tariff.zones}, unit, tariff)
        else:
            lines = _by_steps(quantities["total"], unit, tariff)
        lines += _demand(quantities.get("demand", Decimal(0)), tariff)
        last = date.fromisoformat(end) - timedelta(days=1)
        bills.append(_bill(of, date.fromisoformat(start), last, tariff, "determinants", lines))
    return bills


def _by_steps(consumed: Decimal, unit: str, tariff: Tariff) -> list[Line]:
    lines, below = [], Decimal(0)
    for step in tariff.steps:
        above = consumed if step.up_to is None else min(consumed, step.up_to)
        if above > below:
            lines.append(_line("energy", above - below, unit, step.price))
            below = above
    return lines


def _by_zones(consumed: Mapping[str, Decimal], unit: str, tariff: Tariff) -> list[Line]:
    return [
        _line(f"energy, {zone}", consumed.get(zone, Decimal(0)), unit, price) for zone, price in tariff.zones.items()
    ]


def _demand(highest: Decimal, tariff: Tariff) -> list[Line]:
    return [] if tariff.demand is None else [_line("demand", highest, "KW", tariff.demand)]


def _line(what: str, quantity: Decimal, unit: str, price: Decimal) -> Line:
    return Line(what=what, quantity=quantity, unit=unit, price=price, amount=_cents(quantity * price))


def _bill(of: str, start: date, end: date, tariff: Tariff, source: str, lines: list[Line]) -> Bill:
    if tariff.standing:
        lines = [*lines, _line("standing charge", Decimal(1), "", tariff.standing)]
    total = sum((line.amount for line in lines), Decimal(0))
    return Bill(
        of=of,
        start_on=start.isoformat(),
        end_on=end.isoformat(),
        tariff=tariff.name,
        source=source,
        lines=tuple(lines),
        total=total,
    )


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, rounding=ROUND_HALF_UP)
