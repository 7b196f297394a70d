"""Results that cannot all be right: two of one meter in one delivery that contradict each other.

A call has no command for a meter twice. Where a head end names only the call and the meter, and tells of a meter twice,
one of the results is another meter's; nobody knows which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from mdus.domain.command import HARMS_WHEN_LATE, CommandKind
from mdus.domain.head_end import CommandResult
from mdus.domain.quantities import Quantities
from mdus.storage.submission import Claimed
from mdus.workers.told import Told

#: Kinds of which the outcome is what counts: whether the meter acted, and where its breaker stands.
_OF_OUTCOMES: Final = HARMS_WHEN_LATE | {CommandKind.SWITCH_STATE}


def doubted(
    results: Sequence[tuple[Told, CommandResult]], commands: Mapping[str, Claimed]
) -> frozenset[tuple[int, str]]:
    """Return the commands, each with the delivery, of which that delivery tells in ways that exclude each other.

    What was read excludes another value of the same instant; what became of a switch or a restraint, by one call,
    excludes another outcome.
    """
    told: dict[tuple[int, str], list[CommandResult]] = {}
    for each, result in results:
        if result.command_key is not None and result.command_key in commands:
            told.setdefault((each.delivery_id, result.command_key), []).append(result)
    return frozenset(
        (delivery_id, key)
        for (delivery_id, key), of_one in told.items()
        if _values_differ(of_one) or (_counts_by_outcome(commands[key]) and _outcomes_differ(of_one))
    )


def _counts_by_outcome(claimed: Claimed) -> bool:
    return claimed.command.kind in _OF_OUTCOMES


def _outcomes_differ(results: Sequence[CommandResult]) -> bool:
    """Tell whether a call has two outcomes: a command that was given again has one of each of its calls."""
    outcomes = {(each.correlation, each.token, each.succeeded, each.code, each.switch_state) for each in results}
    calls = {(each.correlation, each.token) for each in results}
    return len(outcomes) > len(calls)


def _values_differ(results: Sequence[CommandResult]) -> bool:
    """Tell whether an instant has two values: codecs may have put together what is told of one meter."""
    values: dict[tuple[str, datetime], Decimal] = {}
    for result in results:
        for reading in result.readings:
            if values.setdefault((reading.reading_type, reading.measured_at), reading.value) != reading.value:
                return True
    blocks: dict[tuple[str, datetime], Quantities] = {}
    for result in results:
        for block in result.intervals:
            if blocks.setdefault((block.reading_type, block.start_at), block.values) != block.values:
                return True
    return False
