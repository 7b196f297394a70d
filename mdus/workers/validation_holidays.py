"""What channels measured on the holidays before, for days that are holidays themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdus.domain.channel import MISSING
from mdus.domain.holidays import Holidays
from mdus.domain.interval_block import Layer
from mdus.storage import validation
from mdus.storage.session import UnitOfWork
from mdus.vee.days import Fact, unknown
from mdus.vee.resampling import as_wide
from mdus.workers.validation_registers import Target

#: How far back a holiday may be.
_LONG_AGO: Final = timedelta(days=800)


def holiday_history(uow: UnitOfWork, targets: Sequence[Target], holidays: Holidays) -> Mapping[Fact, NDArray[Any]]:
    """Load the actual values of the holidays before each holiday; two statements, none where no day is one."""
    width = targets[0].grid.count if targets else 0
    values, ages = (unknown(fact, len(targets), width) for fact in (Fact.HOLIDAY_HISTORY, Fact.HOLIDAY_AGE))
    most = ages.shape[1]
    before = {
        row: holidays.before(target.look.day, most=most, since=target.look.day - _LONG_AGO)
        for row, target in enumerate(targets)
        if target.look.day in holidays
    }
    channels = {targets[row].look.channel_id: targets[row].look.channel for row in before}
    keys = {(targets[row].look.channel_id, day) for row, days in before.items() for day in days}
    blocks = validation.blocks_of(uow.connection, keys, channels, layer=Layer.FINAL, lock=False)
    sets = uow.quality_sets(list(blocks.values())) if blocks else {}
    made = [mark for mark, said in sets.items() if said.is_made or said.is_suspect]
    for row, days in before.items():
        look = targets[row].look
        there = ((day, blocks.get((look.channel_id, day))) for day in days)
        for place, (day, block) in enumerate((day, block) for day, block in there if block is not None):
            ages[row, place] = (look.day - day).days
            actual = np.where(np.isin(block.qualities, made), MISSING, block.values)
            values[row, place] = as_wide(actual[None, :], width)[0]
    return {Fact.HOLIDAY_HISTORY: values, Fact.HOLIDAY_AGE: ages}
