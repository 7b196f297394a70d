"""How warm it was where meters hang, on their day and before: the stations of areas are in config/neighbours.toml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdus.storage import temperature
from mdus.storage.session import UnitOfWork
from mdus.vee.days import Fact, unknown
from mdus.vee.neighbours import Neighbours
from mdus.workers.validation_neighbours import areas_of
from mdus.workers.validation_registers import Target


def temperatures(uow: UnitOfWork, targets: Sequence[Target], *, back: int) -> Mapping[Fact, NDArray[Any]]:
    """Load the temperature of each day and of as many before; two statements, none where no station is configured."""
    own, before = (unknown(fact, len(targets), 0) for fact in (Fact.TEMPERATURE, Fact.HISTORY_TEMPERATURE))
    facts = {Fact.TEMPERATURE: own, Fact.HISTORY_TEMPERATURE: before}
    policy = uow.settings.made(Neighbours)
    if not policy.stations or not targets:
        return facts
    stations = [policy.station_of(area) for area in areas_of(uow, targets, column=policy.area)]
    days = [target.look.day for target in targets]
    told = temperature.between(
        uow.connection,
        {station for station in stations if station is not None},
        first=min(days) - timedelta(days=back),
        last=max(days),
    )
    degrees = {(each.station, each.day): float(each.degrees) for each in told}
    for row, (station, day) in enumerate(zip(stations, days, strict=True)):
        if station is None:
            continue
        found = [degrees.get((station, day - timedelta(days=ago)), np.nan) for ago in range(back + 1)]
        own[row], before[row] = found[0], found[1:]
    return facts
