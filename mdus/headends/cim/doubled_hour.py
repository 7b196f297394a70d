"""Local times of the hour that is there twice, when summer time ends, told apart by the order of their block.

Such times follow each other in the first hour, then in the second. Where they begin anew is said by a time that is not
later than the one before it; else by the times around them, which stand at the distance of the others. A block may run
backwards. What neither says stays open: it is better told as a mistake than put over the value of the other hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from typing import Final

#: What a time may mean, earlier ones first: one instant, or two.
Choice = tuple[datetime, ...]

_HOUR: Final = timedelta(hours=1)
_NOTHING: Final = timedelta(0)


def resolved(choices: Sequence[Choice]) -> list[datetime | None]:
    """Return the instant of each time of a block, None of one that may be either of two."""
    if all(len(each) == 1 for each in choices):
        return [each[0] for each in choices]
    falling = [later[0] < earlier[0] for earlier, later in pairwise(choices)]
    is_backwards = sum(falling) * 2 > len(falling)
    if is_backwards:
        choices = choices[::-1]
    gaps = (_gap(earlier, later) for earlier, later in pairwise(choices))
    step = min((gap for gap in gaps if _NOTHING < gap <= _HOUR), default=None)
    found: list[datetime | None] = []
    for is_double, run in groupby(choices, key=lambda each: len(each) > 1):
        some = list(run)
        if not is_double:
            found += [each[0] for each in some]
            continue
        before = choices[len(found) - 1][0] if found else None
        end = len(found) + len(some)
        after = choices[end][0] if end < len(choices) else None
        found += _of_run(some, before=before, after=after, step=step)
    return found[::-1] if is_backwards else found


def _of_run(
    run: Sequence[Choice], *, before: datetime | None, after: datetime | None, step: timedelta | None
) -> Sequence[datetime | None]:
    """Return the instants of times that all are there twice: some of the first hour, then those of the second."""
    anew = [place for place, (one, next_) in enumerate(pairwise(run), start=1) if next_[0] <= one[0]]
    if len(anew) > 1:
        return [None] * len(run)
    best: list[list[datetime]] = []
    most = 0
    for firsts in anew or (0, len(run)):
        meant = [each[0] if place < firsts else each[1] for place, each in enumerate(run)]
        around = [each for each in (before, *meant, after) if each is not None]
        gaps = [later - earlier for earlier, later in pairwise(around)]
        if not all(gap > _NOTHING for gap in gaps):
            continue
        agreeing = sum(gap == step for gap in gaps)
        if agreeing > most or not best:
            best, most = [meant], agreeing
        elif agreeing == most:
            best.append(meant)
    if len(best) != 1:
        return [None] * len(run)
    return best[0]


def _gap(one: Choice, next_: Choice) -> timedelta:
    """Return the shortest time from one time to the next, whatever they mean; nothing where it is not later."""
    gaps = [later - earlier for earlier in one for later in next_ if later > earlier]
    return min(gaps, default=_NOTHING)
