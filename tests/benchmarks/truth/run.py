"""Plays a scenario both ways and judges it; as a benchmark it tells the figures and writes docs/vee_accuracy.md."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from mdus.storage.session import migrate
from tests.benchmarks.figure import Figure
from tests.benchmarks.truth.judging import Judgement, billed, judged
from tests.benchmarks.truth.page import page
from tests.benchmarks.truth.scenario import Scenario, scenario
from tests.benchmarks.truth.straight import Straight
from tests.benchmarks.truth.through_sap import ThroughSap, compared

PAGE: Final = Path(__file__).parents[3] / "docs" / "vee_accuracy.md"

_MOST_FALSE_ALARMS: Final = 0.5
_MOST_BILL_ERROR: Final = 0.5


def truth(folder: Path, *, meters: int, through_sap: int) -> Iterator[Figure]:
    """This will play a month of so many meters and write the page."""
    played = scenario(meters=meters, through_sap=through_sap)
    found = outcome(played, folder)
    PAGE.write_text(page(played, found), encoding="utf-8")
    yield from figures(found)


def outcome(played: Scenario, folder: Path) -> Judgement:
    """This will play a scenario without XML, some of its meters by SOAP as well, and judge all of it."""
    folder.mkdir(parents=True, exist_ok=True)
    before = structlog.get_config()
    # Thousands of messages are told of one by one otherwise.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        straight = Straight(_database(folder, "straight"), folder / "straight", played, range(played.city.meters))
        try:
            straight.play()
            found = judged(straight)
            without = billed(straight)
        finally:
            straight.close()
        if not played.through_sap:
            return found
        whole_way = ThroughSap(_database(folder, "through_sap"), folder / "through_sap", played)
        try:
            whole_way.play()
            by_soap = whole_way.bills()
        finally:
            whole_way.close()
    finally:
        structlog.configure(**before)
    differing, one_way = compared(played, by_soap, without)
    return replace(found, differing=differing, one_way=one_way, compared=len(by_soap))


def figures(found: Judgement) -> Iterator[Figure]:
    """This will tell what was found, with the aims."""
    beyond = sum(each.beyond for each in found.kinds)
    yield Figure(
        name="truth: faults beyond a threshold that are flagged",
        value=beyond - len(found.missed_beyond),
        unit="faults",
        ratio_to="those injected beyond one",
        ratio=(beyond - len(found.missed_beyond)) / beyond if beyond else None,
        aim="all of them",
        held=not found.missed_beyond,
    )
    yield Figure(
        name="truth: false alarms",
        value=found.false_alarm_percent,
        unit="% of the days of meters without faults",
        aim="less than 0.5 %",
        held=found.false_alarm_percent < _MOST_FALSE_ALARMS,
    )
    yield Figure(
        name="truth: released periods that are not what their register moved",
        value=len(found.off_register),
        unit=f"of {found.billed}",
        aim="none",
        held=not found.off_register,
    )
    yield Figure(
        name="truth: error of all bills",
        value=float(found.money.percent),
        unit="%",
        ratio_to="bills of what was told, as if nobody looked",
        ratio=float(found.money.percent / found.money_without.percent) if found.money_without.percent else None,
        aim="at most 0.5 %",
        held=float(found.money.percent) <= _MOST_BILL_ERROR,
    )
    yield Figure(name="truth: meters held for a human", value=len(found.held), unit="meters")
    if found.compared:
        yield Figure(
            name="truth: bills by SOAP that differ from those without XML",
            value=len(found.differing),
            unit=f"of {found.compared}",
            aim="none",
            held=not found.differing,
        )


def _database(folder: Path, name: str) -> str:
    url = f"sqlite:///{folder / name}.db"
    migrate(url)
    return url
