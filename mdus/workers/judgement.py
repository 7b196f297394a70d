"""Days of channels as rule sets judge them: loaded in batches, nothing written.

```
looks --> batches: days of one rule set in one grid, with what is known of them --> Result (pure)
```

The validation worker writes what comes of it; a preview runs two rule sets over one batch and compares.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from mdus.domain.channel import MISSING
from mdus.domain.interval_block import IntervalBlock, Layer, Marks
from mdus.domain.reading_quality import QualitySet
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.settings import Settings
from mdus.storage import validation
from mdus.storage.interval_block import elements_of, marks_of, qualities_of
from mdus.storage.session import UnitOfWork
from mdus.storage.validation import Look
from mdus.vee.days import Days, Elements, Fact, Mask, flags_of
from mdus.vee.pipeline import Kept, Result, State, run
from mdus.vee.rule_set import RuleSet
from mdus.workers.rule_sets import RuleSets
from mdus.workers.validation_facts import Facts
from mdus.workers.validation_registers import Target


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long after the end of a day values are waited for, and readings of its register."""

    values: timedelta = timedelta(hours=20)
    readings: timedelta = timedelta(hours=6)

    @classmethod
    def of(cls, settings: Settings) -> Patience:
        """Return what the section `vee` says."""
        return cls(
            values=timedelta(minutes=settings.vee.estimate_after_minutes),
            readings=timedelta(minutes=settings.vee.readings_after_minutes),
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Batch:
    """Days that one rule set looks at, all in one grid, with what is known of them; rows as in `targets`.

    `before` are their final versions, `marks` those of the raw values, `qualities` the sets that marks of both name.
    """

    targets: Sequence[Target]
    rule_set: RuleSet
    before: Sequence[IntervalBlock | None]
    marks: Marks
    qualities: Mapping[int, QualitySet]
    days: Days
    kept: Kept | None
    facts: Facts

    def judged(self, rule_set: RuleSet) -> Result:
        """Return what a rule set makes of the days; it needs no fact but those that were loaded."""
        return run(self.days, rule_set, kept=self.kept, load=self.facts.added)

    def stays(self, result: Result) -> Mask:
        """Return which values keep what a person has said of them in the version before (c, n)."""
        if self.kept is None:
            return np.zeros(result.values.shape, dtype=np.bool_)
        said: Mask = (result.state == State.EDITED) | (self.kept.estimated & (result.state == State.ESTIMATED))
        if self.kept.rejected is not None:
            said |= self.kept.rejected & (result.state == State.MISSING)
        return said


def batches(
    uow: UnitOfWork,
    looks: Sequence[Look],
    *,
    rule_sets: RuleSets,
    policy: TimeSeriesPolicy,
    patience: Patience,
    now: datetime,
    needs: frozenset[Fact] = frozenset(),
    anew: bool = False,
) -> Iterator[Batch]:
    """Yield days in batches; a bounded number of statements for all of them and for each batch.

    `needs` are facts to be loaded beside those of the batch's rule set. The days are held until the transaction ends,
    unless they are judged `anew`: as if nobody had acted on an estimate yet, by somebody who only looks.
    """
    channels = {look.channel_id: look.channel for look in looks}
    keys = [(look.channel_id, look.day) for look in looks]
    raw = validation.told_days(uow.connection, keys, lock=not anew)
    final = validation.blocks_of(uow.connection, keys, channels, layer=Layer.FINAL, lock=not anew)
    said = [marks_of([told.qualities for told in raw.values()]), *(block.qualities for block in final.values())]
    qualities = qualities_of(uow.connection, np.unique(np.concatenate(said)).tolist())
    groups: dict[Any, list[Target]] = defaultdict(list)
    for look in looks:
        channel = look.channel
        target = Target(look=look, grid=channel.day(look.day), told=raw.get((look.channel_id, look.day)))
        rule_set = rule_sets(channel.reading_type, look.day)
        groups[rule_set.title, channel.interval_minutes, channel.decimals, target.grid.count].append(target)
    for targets in groups.values():
        channel, first = targets[0].look.channel, targets[0].look
        rule_set = rule_sets(channel.reading_type, first.day)
        values, marks = _told(targets)
        before = [final.get((target.look.channel_id, target.look.day)) for target in targets]
        facts = Facts(uow, targets, policy=policy)
        yield Batch(
            targets=targets,
            rule_set=rule_set,
            before=before,
            marks=marks,
            qualities=qualities,
            days=Days(
                minutes=channel.interval_minutes,
                decimals=channel.decimals,
                values=values,
                flags=_flags(marks, qualities),
                is_over=np.array([now >= target.grid.end + patience.values for target in targets]),
                facts=facts.of(rule_set.needs | needs),
                expected=facts.expected(values != MISSING),
            ),
            kept=_kept(values, before, qualities, keeps_estimates=not anew),
            facts=facts,
        )


def _told(targets: Sequence[Target]) -> tuple[Elements, Marks]:
    """Return the raw values of days with their marks."""
    width = targets[0].grid.count
    values = np.full((len(targets), width), MISSING, dtype=np.int64)
    marks = np.zeros(values.shape, dtype=np.uint16)
    told = [(row, target.told) for row, target in enumerate(targets) if target.told is not None]
    rows = [row for row, _ in told]
    values[rows] = elements_of([each.values for _, each in told]).reshape(len(rows), width)
    marks[rows] = marks_of([each.qualities for _, each in told]).reshape(len(rows), width)
    return values, marks


def _flags(marks: Any, qualities: Mapping[int, QualitySet]) -> Any:
    """Return the flags of values by their marks."""
    if not marks.any():
        return np.zeros(marks.shape, dtype=np.uint32)
    meant = np.zeros(int(marks.max()) + 1, dtype=np.uint32)
    for mark in np.unique(marks).tolist():
        meant[mark] = flags_of(qualities[mark].codes)
    flags: Any = meant[marks]
    return flags


def _kept(
    values: Elements,
    before: Sequence[IntervalBlock | None],
    qualities: Mapping[int, QualitySet],
    *,
    keeps_estimates: bool,
) -> Kept | None:
    """Return what stays of the versions before: what a person has said, and estimates that somebody has acted on.

    A value that was set stays whatever comes; one that was accepted until the meter tells another; an estimate that was
    accepted or acted on until the meter tells one at all.
    """
    sets = [mark for mark, some in qualities.items() if some.is_set]
    accepted = [mark for mark, some in qualities.items() if some.is_accepted and not some.is_set]
    rejected = [mark for mark, some in qualities.items() if some.is_rejected]
    estimates = [mark for mark, some in qualities.items() if some.is_estimated]
    if not sets and not accepted and not rejected and not estimates:
        return None
    kept = np.full_like(values, MISSING)
    edited, estimated, gaps = (np.zeros(values.shape, dtype=np.bool_) for _ in range(3))
    for row, block in enumerate(before):
        if block is None or not block.qualities.any():
            continue
        kept[row] = block.values
        said, is_estimate = np.isin(block.qualities, accepted), np.isin(block.qualities, estimates)
        edited[row] = np.isin(block.qualities, sets) & block.present
        edited[row] |= said & ~is_estimate & block.present & (block.values == values[row])
        stays = np.full_like(said, True) if block.used and keeps_estimates else said
        estimated[row] = is_estimate & stays & block.present & ~edited[row]
        gaps[row] = np.isin(block.qualities, rejected) & ~block.present
    return Kept(values=kept, edited=edited, estimated=estimated, rejected=gaps)
