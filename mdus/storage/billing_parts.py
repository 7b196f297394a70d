"""Parts the final values of days into what determinants are added up from, in the transaction that writes them.

```
final blocks -> by reading type, grid and day -> day_parts (pure, all channels of a day at once) -> one narrow row each
```

Four statements at most, however many blocks there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from mdus.billing.day_parts import day_parts
from mdus.billing.determinant_set import BillingPolicy
from mdus.billing.schedule import Recipe
from mdus.billing.tally import Flags
from mdus.domain.channel import Channel
from mdus.domain.interval_block import IntervalBlock, Layer
from mdus.storage.billing_part import write_parts
from mdus.storage.interval_block import qualities_of
from mdus.storage.rows import Values
from mdus.storage.session import UnitOfWork


def store_parts(uow: UnitOfWork, blocks: Sequence[IntervalBlock], *, ids: Mapping[Channel, int] | None = None) -> None:
    """Store the parts of days whose final versions these are; the blocks of other layers are passed over.

    Days of channels that no determinant set asks for have none. A caller that knows the rows of the channels (`ids`)
    saves a statement by saying so.
    """
    policy = uow.settings.made(BillingPolicy)
    groups: dict[Recipe, list[IntervalBlock]] = defaultdict(list)
    for block in blocks:
        recipe = policy.recipe(block.channel, block.day) if block.layer is Layer.FINAL else None
        if recipe is not None:
            groups[recipe].append(block)
    if not groups:
        return
    flags = flags_of(uow, [block for some in groups.values() for block in some])
    rows = [row for recipe, some in groups.items() for row in _rows(recipe, some, flags)]
    write_parts(uow.connection, rows, ids=ids)


def flags_of(uow: UnitOfWork, blocks: Collection[IntervalBlock]) -> Flags:
    """Return what the marks of values in blocks say that billing asks for."""
    marks = np.unique(np.concatenate([block.qualities for block in blocks])) if blocks else np.zeros(0, np.uint16)
    estimated = np.zeros(int(marks.max(initial=0)) + 1, dtype=np.bool_)
    suspect = np.zeros_like(estimated)
    said = qualities_of(uow.connection, marks.tolist()) if marks.any() else {}
    for mark, qualities in said.items():
        estimated[mark], suspect[mark] = qualities.is_estimated, qualities.is_suspect
    return Flags(estimated=estimated, suspect=suspect)


def _rows(recipe: Recipe, blocks: Sequence[IntervalBlock], flags: Flags) -> list[tuple[Channel, Values]]:
    values = np.stack([block.values for block in blocks])
    marks = np.stack([block.qualities for block in blocks])
    parts = day_parts(
        values,
        recipe,
        estimated=flags.estimated[marks],
        suspect=flags.suspect[marks],
        expected=np.ones(values.shape, dtype=np.bool_),
    )
    counts = zip(parts.missing.tolist(), parts.estimated.tolist(), parts.suspect.tolist(), strict=True)
    numbers = parts.numbers.astype("<i8", copy=False)
    return [
        (
            block.channel,
            (block.day, block.version, recipe.number, *counted, row.tobytes(), block.written_at),
        )
        for block, counted, row in zip(blocks, counts, numbers, strict=True)
    ]
