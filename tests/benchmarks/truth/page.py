"""Writes docs/vee_accuracy.md from a judgement: the same seed gives the same page, to the letter."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from textwrap import fill

from tests.benchmarks.truth.faults import Fault
from tests.benchmarks.truth.judging import Error, Judgement
from tests.benchmarks.truth.scenario import Scenario

_HEAD = """# What validation and estimation are worth

Written by `make bench`; do not edit. Simulated meters know what they truly consumed. From a seed a city of
{meters} meters is made ({kinds}).
It lives through five weeks of history and {days} days from {first} on, and half of its meters have faults on two of
these days. What befalls them, and whether a rule has to find it, is fixed before MDUS sees a value; sizes are drawn
across each threshold of [config/vee.toml](../config/vee.toml), half of them below it. Registers count Wh and are read
at every local midnight, as is true. Seed {seed}; source: `tests/benchmarks/truth`.

## Aims

| Aim | Found | Held |
|---|---|---|
"""


def page(scenario: Scenario, found: Judgement) -> str:
    """This will return the page."""
    kinds = Counter(scenario.city.kinds)
    head = _HEAD.format(
        meters=scenario.city.meters,
        kinds=", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())),
        days=len(scenario.days),
        first=scenario.days[0].isoformat(),
        seed=scenario.seed,
    )
    parts = [head + "".join(f"{line}\n" for line in _aims(found)), *_faults(found), *_errors(found), *_rest(found)]
    return "\n".join(parts)


def _aims(found: Judgement) -> Iterator[str]:
    beyond = sum(each.beyond for each in found.kinds)
    for aim, told, held in (
        (
            "everything beyond a rule's threshold is flagged",
            f"{beyond - len(found.missed_beyond)} of {beyond}",
            not found.missed_beyond,
        ),
        (
            "false alarms on less than 0.5 % of the days of meters without faults",
            f"{len(found.false_alarms)} of {found.clean_days} days, {found.false_alarm_percent:.3f} %",
            found.false_alarm_percent < 0.5,
        ),
        (
            "the energy of every released period is what its register moved",
            f"{found.billed - len(found.off_register)} of {found.billed} periods",
            not found.off_register,
        ),
        (
            "bills are wrong by 0.5 % at most, all errors added up",
            f"{found.money.wrong} of {found.money.of}, {_percent(found.money)}; {len(found.held)} meters are held",
            found.money.percent <= Decimal("0.5"),
        ),
    ):
        yield f"| {aim} | {told} | {'yes' if held else '**no**'} |"
    if found.compared:
        both = found.compared - len(found.one_way)
        told = f"{both - len(found.differing)} of {both} bills that both ways make"
        held = "**no**" if found.differing else "yes"
        yield f"| bills by SOAP are those without XML, to the cent | {told} | {held} |"


def _faults(found: Judgement) -> Iterator[str]:
    yield "## Faults\n"
    yield (
        "*Own*: beyond the threshold of the rule that is there for it. *Beyond*: beyond that of any rule, as when a\n"
        "small spike makes the day differ from its register. *Flagged*: some version of the day's final values says\n"
        "what was found or estimated, or there is a case. What is told twice is nothing to be found.\n"
    )
    rows = [
        f"| {each.kind} | {len(each.faults)} | {each.own} | {each.beyond} | {each.flagged} "
        f"| {len(each.missed_beyond)} | {len(each.missed_below)} |"
        for each in found.kinds
    ]
    heading = (
        "| Kind | Injected | Own | Beyond | Flagged | Missed beyond | Missed below |\n|---|--:|--:|--:|--:|--:|--:|"
    )
    yield "\n".join([heading, *rows]) + "\n"
    yield "### False alarms\n"
    yield (
        f"Of {found.clean_days} days of meters without faults {len(found.false_alarms)} had a case or a replaced value "
        f"({_names(found.by_rule(found.false_alarms))}),\nof {found.beside_days} days without a fault of others "
        f"{len(found.beside)} ({_names(found.by_rule(found.beside))}).\n"
    )


def _errors(found: Judgement) -> Iterator[str]:
    yield "## Energy and money\n"
    yield (
        "By how much a month is wrong, in percent of what is true; errors of single meters are added up, not set off.\n"
        "Money is three bills of each meter: flat, time of use, demand. *With*: determinants that were released.\n"
        "*Without*: what was told, nothing where nothing was told. *Held*: meters whose determinants a gate holds for\n"
        "a human; they have no part in *with*.\n"
    )
    rows = [
        f"| {each.kind} | {each.meters} | {each.held} | {_percent(each.energy_without)} | {_percent(each.energy)} "
        f"| {_percent(each.money_without)} | {_percent(each.money)} |"
        for each in found.kinds
    ]
    heading = (
        "| Kind | Meters | Held | Energy without | Energy with | Money without | Money with |\n"
        "|---|--:|--:|--:|--:|--:|--:|"
    )
    last = f"| all meters | {found.billed + len(found.held)} | {len(found.held)} | | "
    last += f"| {_percent(found.money_without)} | {_percent(found.money)} |"
    yield "\n".join([heading, *rows, last]) + "\n"
    if found.held:
        reasons = Counter(_kind_of_reason(reason) for reason in found.held.values())
        yield (
            f"Of {found.billed + len(found.held)} meters {len(found.held)} are held, with true bills of "
            f"{found.held_amount}: "
            + "; ".join(f"{count}: {reason}" for reason, count in sorted(reasons.items()))
            + f".\nIf somebody released them unseen, all bills together would be wrong by "
            f"{_percent(found.money_as_it_stands)}.\n"
        )


def _rest(found: Judgement) -> Iterator[str]:
    if found.off_register:
        by_size = sorted(found.off_register.items(), key=lambda pair: -abs(pair[1]))
        yield "## Periods that are not what their register moved\n"
        yield (
            "\n".join(
                [
                    "| Meter | Kind | Wh |\n|--:|---|--:|",
                    *(f"| {meter} | {_kind(found, meter)} | {wrong:+d} |" for meter, wrong in by_size),
                ]
            )
            + "\n"
        )
    if found.compared:
        yield "## By SOAP and without XML\n"
        yield (
            "Meters that SAP created by SOAP, and that told their values through the door of a head end, are billed\n"
            "from the profile and the meter reading results that SAP received; without XML from determinants.\n"
        )
        yield ("\n".join(f"- {each}" for each in found.differing) or "No bill differs that both ways make.") + "\n"
        if found.one_way:
            yield (
                f"{len(found.one_way)} are made by one way only. A gate holds determinants of a period that is not\n"
                "what its register moved; profiles and meter reading results are sent day by day, and know no gate.\n"
            )
            yield "\n".join(f"- {each}" for each in found.one_way) + "\n"
    yield "## Misses below the thresholds\n"
    yield "Meter and day of each; what was told twice is left out.\n"
    for each in found.kinds:
        if each.missed_below and each.kind != "told twice":
            yield f"**{each.kind}**, {len(each.missed_below)}:\n{_listed(each.missed_below)}\n"


def _listed(faults: Sequence[Fault]) -> str:
    """Return faults by meter and day, in lines that can be read."""
    return fill(", ".join(f"{each.meter} on {each.day:%m-%d}" for each in faults), width=120)


def _kind(found: Judgement, meter: int) -> str:
    return next((each.kind for each in found.kinds if any(one.meter == meter for one in each.faults)), "none")


def _kind_of_reason(reason: str) -> str:
    """Return a reason without its figures."""
    return re.sub(r"\d+(\.\d+)?", "…", reason)


def _names(counted: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counted) or "none"


def _percent(error: Error) -> str:
    return f"{error.percent:.3f} %" if error.of else "–"
