"""Holds what MDUS made of a month against what was injected, what registers show, and what the bills should be."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import select

from mdus.domain.interval_block import Layer
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.interval_block import CHANNEL, INTERVAL_BLOCK
from mdus.storage.session import Database
from mdus.workers.validation import NOT_FIT
from simulators.sap_cis.billing import TARIFFS, CannotBill, bill_determinants
from tests.benchmarks.truth.bills import NAMES, Bills, bills, quantities
from tests.benchmarks.truth.city import TURN
from tests.benchmarks.truth.faults import KINDS, Fault
from tests.benchmarks.truth.scenario import INTERVALS, Scenario
from tests.benchmarks.truth.straight import Straight, device_id, point_id

MeterDay = tuple[int, date]

_CASE: Final = re.compile(r"[^/]+/(?P<device>\d+)/.+/(?P<day>[-\d]{10})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What became of meter-days: what was found of each, in any version, and which needed somebody or were replaced."""

    found: Mapping[MeterDay, frozenset[str]]  # names of rules and methods
    alarming: Mapping[MeterDay, frozenset[str]]  # of issues and estimates only


@dataclass(frozen=True, kw_only=True, slots=True)
class Billed:
    """What meters are billed, in whole or not at all, and what was determined of them in Wh.

    `as_they_stand` is what those would be billed that are held, if somebody released them unseen.
    """

    amounts: Bills
    held: Mapping[int, str]
    as_they_stand: Bills
    totals: Mapping[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Error:
    """By how much quantities or amounts are wrong: the sum of the single errors, of so much in all."""

    wrong: Decimal
    of: Decimal

    @property
    def percent(self) -> Decimal:
        """This will return the share in percent."""
        return Decimal(0) if not self.of else 100 * self.wrong / self.of


@dataclass(frozen=True, kw_only=True, slots=True)
class OfKind:
    """What became of the faults of one kind, and of the bills of the meters that had them.

    Errors with VEE are those of the meters that are billed, those without are of all.
    """

    kind: str
    faults: Sequence[Fault]
    own: int
    beyond: int
    flagged: int
    missed_beyond: Sequence[Fault]
    missed_below: Sequence[Fault]
    meters: int
    held: int
    energy: Error  # in kWh
    energy_without: Error
    money: Error
    money_without: Error


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """All figures of a run."""

    kinds: Sequence[OfKind]
    clean_days: int
    false_alarms: Mapping[MeterDay, frozenset[str]]
    beside_days: int  # of meters with faults, but on other days
    beside: Mapping[MeterDay, frozenset[str]]
    billed: int
    held: Mapping[int, str]
    held_amount: Decimal
    money: Error
    money_as_it_stands: Error  # with those that are held
    money_without: Error
    clean_money: Error
    off_register: Mapping[int, int]  # Wh by which a released period is not what its register moved
    differing: Sequence[str] = field(default=())  # bills that are not the same by both ways
    one_way: Sequence[str] = field(default=())  # bills that are made by one of both ways only
    compared: int = 0

    @property
    def false_alarm_percent(self) -> float:
        """This will return the share of the clean meters' days that gave an alarm."""
        return 100 * len(self.false_alarms) / self.clean_days if self.clean_days else 0.0

    @property
    def missed_beyond(self) -> list[Fault]:
        """This will return the faults that some rule had to find and none did."""
        return [each for kind in self.kinds for each in kind.missed_beyond]

    def by_rule(self, alarms: Mapping[MeterDay, frozenset[str]]) -> list[tuple[str, int]]:
        """This will return on how many days each rule or method gave an alarm, the most first."""
        counted = Counter(name for names in alarms.values() for name in names)
        return sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))


def judged(run: Straight) -> Judgement:
    """This will judge what a run has left in its database."""
    scenario = run.scenario
    seen = _seen(run.database, scenario)
    made = billed(run)
    true = bills(quantities(scenario.true), run.meters)
    told = bills(quantities(scenario.as_told), run.meters)
    faulty = scenario.kind_of
    clean = [meter for meter in run.meters if meter not in faulty]
    beside = [(meter, day) for meter in faulty for day in scenario.days if (meter, day) not in scenario.by_place]
    money = [meter for meter in run.meters if meter not in made.held]
    return Judgement(
        kinds=[_of_kind(kind, scenario, seen, made, true, told) for kind in KINDS],
        clean_days=len(clean) * len(scenario.days),
        false_alarms=_those(seen.alarming, ((meter, day) for meter in clean for day in scenario.days)),
        beside_days=len(beside),
        beside=_those(seen.alarming, beside),
        billed=len(money),
        held=made.held,
        held_amount=sum((amount for meter in made.held for amount in true[meter].values()), Decimal(0)),
        money=_money(money, made.amounts, true),
        money_as_it_stands=_money(run.meters, {**made.as_they_stand, **made.amounts}, true),
        money_without=_money(run.meters, told, true),
        clean_money=_money([meter for meter in clean if meter not in made.held], made.amounts, true),
        off_register=_off_register(scenario, made),
    )


def _those(alarms: Mapping[MeterDay, frozenset[str]], days: Iterable[MeterDay]) -> dict[MeterDay, frozenset[str]]:
    return {day: alarms[day] for day in days if day in alarms}


# -- what was found ---------------------------------------------------------------------------------------------------


def _seen(database: Database, scenario: Scenario) -> Seen:
    """Return what any version of a final day says, and any case of it, open or closed."""
    found: dict[MeterDay, set[str]] = defaultdict(set)
    alarming: dict[MeterDay, set[str]] = defaultdict(set)
    block, channel, case = INTERVAL_BLOCK, CHANNEL.table, EXCEPTION_CASE.table
    bases = (
        select(channel.c.device_id, block.c.day, block.c.basis)
        .join(channel, channel.c.id == block.c.channel_id)
        .where(block.c.layer == Layer.FINAL, block.c.basis.is_not(None), block.c.day >= scenario.days[0])
    )
    with database.read() as uow:
        for device, day, basis in uow.connection.execute(bases):
            place = (_meter(device), day)
            told = json.loads(basis)
            for each in told.get("found", ()):
                found[place].add(each["rule"])
                if each["severity"] != "informational":
                    alarming[place].add(each["rule"])
            if "estimates" in told:
                found[place].add("estimated")
                alarming[place].add("estimated")
        for key in uow.connection.scalars(select(case.c.case_key).where(case.c.kind == NOT_FIT)):
            named = _CASE.fullmatch(key)
            if named is not None and date.fromisoformat(named["day"]) >= scenario.days[0]:
                place = (_meter(named["device"]), date.fromisoformat(named["day"]))
                found[place].add("case")
                alarming[place].add("case")
    return Seen(
        found={place: frozenset(names) for place, names in found.items()},
        alarming={place: frozenset(names) for place, names in alarming.items()},
    )


def _meter(device: str) -> int:
    return int(device) - int(device_id(0))


# -- what is billed ---------------------------------------------------------------------------------------------------


def billed(run: Straight) -> Billed:
    """This will bill all meters by each tariff from what was determined; one of which anything is held not at all."""
    determined = run.determined()
    amounts: Bills = {}
    as_they_stand: Bills = {}
    held: dict[int, str] = {}
    totals: dict[int, int] = {}
    for meter in run.meters:
        rows: Sequence[Mapping[str, Any]] = determined.get(point_id(meter), ())
        try:
            amounts[meter] = {name: _amount(rows, name, meter) for name in NAMES}
        except CannotBill as error:
            reason = next((row["gate_reason"] for row in rows if row["gate_reason"]), str(error))
            held[meter] = str(reason)
            released = [{**row, "status": "released"} for row in rows]
            as_they_stand[meter] = {name: _amount(released, name, meter) for name in NAMES}
            continue
        (total,) = (row["quantity"] for row in rows if row["name"] == "total")
        totals[meter] = int(total * 1000)
    return Billed(amounts=amounts, held=held, as_they_stand=as_they_stand, totals=totals)


def _amount(rows: Sequence[Mapping[str, Any]], tariff: str, meter: int) -> Decimal:
    of = point_id(meter)
    made = bill_determinants(rows, TARIFFS[tariff], of=of, reading_type=INTERVALS)
    if len(made) != 1:
        raise CannotBill(f"{of} has {len(made)} periods")
    return made[0].total


def _off_register(scenario: Scenario, billed: Billed) -> dict[int, int]:
    shown = scenario.city.shown
    found = {}
    for meter, total in billed.totals.items():
        moved = int(shown[scenario.end][meter] - shown[scenario.days[0]][meter]) % TURN
        if total != moved:
            found[meter] = total - moved
    return found


# -- by kind ----------------------------------------------------------------------------------------------------------


def _of_kind(kind: str, scenario: Scenario, seen: Seen, billed: Billed, true: Bills, told: Bills) -> OfKind:
    faults = [each for each in scenario.faults if each.kind == kind]
    missed = [each for each in faults if (each.meter, each.day) not in seen.found]
    meters = sorted({each.meter for each in faults})
    paid = [meter for meter in meters if meter not in billed.held]
    consumed = quantities(scenario.true).total
    as_told = quantities(scenario.as_told).total
    return OfKind(
        kind=kind,
        faults=faults,
        own=sum(each.own for each in faults),
        beyond=sum(each.beyond for each in faults),
        flagged=len(faults) - len(missed),
        missed_beyond=[each for each in missed if each.beyond],
        missed_below=[each for each in missed if not each.beyond],
        meters=len(meters),
        held=len(meters) - len(paid),
        energy=_energy({meter: (billed.totals[meter], int(consumed[meter])) for meter in paid}),
        energy_without=_energy({meter: (int(as_told[meter]), int(consumed[meter])) for meter in meters}),
        money=_money(paid, billed.amounts, true),
        money_without=_money(meters, told, true),
    )


def _energy(pairs: Mapping[int, tuple[int, int]]) -> Error:
    wrong = sum(abs(found - true) for found, true in pairs.values())
    return Error(wrong=Decimal(wrong) / 1000, of=Decimal(sum(true for _, true in pairs.values())) / 1000)


def _money(meters: Iterable[int], found: Bills, true: Bills) -> Error:
    pairs = [(found[meter][name], true[meter][name]) for meter in meters for name in NAMES]
    return Error(
        wrong=sum((abs(one - other) for one, other in pairs), Decimal(0)),
        of=sum((other for _, other in pairs), Decimal(0)),
    )
