"""Intake: a bulk of reading orders is posted; the answer says that raw body, items and keys are durable."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from statistics import median

from tests.benchmarks import orders
from tests.benchmarks.figure import Figure
from tests.benchmarks.landscape import Store, cpu_seconds, running
from tests.benchmarks.parsing import NAME, parse_seconds

#: At most this many times what lxml alone takes; the next aim is 3.
_AIM = 4.0


def intake(store: Store, folder: Path, *, items: int, rounds: int = 7) -> Iterator[Figure]:
    """This will measure the median of several bulks, each with the parse of its own bytes right before it."""
    today = date.today()  # noqa: DTZ011 - any day will do: nothing is decided here
    bodies = [
        orders.bulk(
            range(turn * items + 1, (turn + 1) * items + 1),
            on=today + timedelta(days=1),
            on_demand=False,
            seed=turn,
            created_at=f"{today}T08:00:00Z",
        )
        for turn in range(rounds + 1)
    ]
    with running(store, folder, workers=False) as (mdus, _):
        mdus.post(bodies[0])  # schemas are compiled by the first message
        parse_seconds(bodies[0])
        parsed, posted, cpu = [], [], []
        for body in bodies[1:]:
            parsed.append(parse_seconds(body))
            before = cpu_seconds(mdus.main)
            posted.append(mdus.post(body))
            cpu.append(cpu_seconds(mdus.main) - before)
    ratio = median(posted) / median(parsed)
    yield Figure(
        name=f"intake of a bulk of {items:,} reading orders until durable, {store.name}",
        value=median(posted),
        unit="s",
        ratio_to=NAME,
        ratio=ratio,
        aim=f"ratio at most {_AIM:g}, then 3",
        held=ratio <= _AIM,
    )
    yield Figure(
        name=f"intake: MDUS's share of CPU, {store.name}",
        value=100 * sum(cpu) / sum(posted),
        unit="% of one core",
        ratio_to=NAME,
        ratio=median(cpu) / median(parsed),
    )
