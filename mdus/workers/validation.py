"""The validation worker: makes raw interval values fit to bill.

```
raw version written -> look due -> claim a batch -> facts -> rules, methods (pure) -> final versions, cases
                         ^                                                                 |
                         +-- again: when the day is over for good, when its register's readings should be there
```

A turn is one claim and one transaction: what is written is made from what is held. The final version of a day is
extended as values come in; gaps are filled once no values are expected any more. What differs from a version that
somebody has acted on makes a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

import numpy as np
import structlog

from mdus.domain.channel import MISSING, Channel
from mdus.domain.clock import Clock
from mdus.domain.exception_case import VALUES_NOT_FIT, ExceptionCase
from mdus.domain.interval_block import Cause, IntervalBlock, Layer
from mdus.domain.reading_quality import ESTIMATED, KNOWN_MISSING, SUSPECT, QualitySet
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.settings import Settings
from mdus.storage import validation
from mdus.storage.billing_parts import store_parts
from mdus.storage.exception_case import close_rare
from mdus.storage.interval_block import quality_marks, unfit_of, write_blocks
from mdus.storage.session import Database, UnitOfWork, is_collision
from mdus.storage.validation import Look
from mdus.vee.days import Days, Elements, Fact, Mask
from mdus.vee.explaining import basis_of
from mdus.vee.pipeline import NONE, Result, State
from mdus.vee.rule_set import RuleSet
from mdus.workers.judgement import Batch, Patience, batches
from mdus.workers.rule_sets import RuleSets
from mdus.workers.validation_registers import Target

log = structlog.get_logger(__name__)

#: The kinds of cases of a day that a human must see, and of one that could not be looked at.
NOT_FIT: Final = VALUES_NOT_FIT
LOOK_FAILED: Final = "validation_failed"

#: Days looked at in one transaction, and intervals at once: what is known of them is held as arrays.
_AT_ONCE: Final = 2000
_INTERVALS_AT_ONCE: Final = 200_000
_AGAIN_AFTER: Final = timedelta(days=1)


@dataclass(kw_only=True, slots=True)
class Done:
    """What a batch of looks led to."""

    blocks: list[IntervalBlock] = field(default_factory=list)
    again: list[tuple[int, date, datetime]] = field(default_factory=list)
    issues: dict[str, str] = field(default_factory=dict)  # case key -> note
    sound: set[str] = field(default_factory=set)  # case keys


class ValidationWorker:
    """Looks at days that are due; `turn` returns how many, 0 when there was nothing to do."""

    def __init__(
        self, *, database: Database, settings: Settings, clock: Clock, rule_sets: Callable[[UnitOfWork], RuleSets]
    ) -> None:
        self._database = database
        self._clock = clock
        self._rule_sets = rule_sets
        self._policy = TimeSeriesPolicy.of(settings)
        self._patience = Patience.of(settings)

    def turn(self) -> int:
        """Look at the days that are longest due; returns how many."""
        now = self._clock.now()
        with self._database.read() as uow:
            due_at = validation.next_due(uow.connection)
        if due_at is None or due_at > now:
            return 0
        with self._database.begin() as uow:
            looks = validation.due(uow.connection, now=now, limit=_AT_ONCE)
            for some in _parted(looks):
                self._look(uow, some, now=now)
        return len(looks)

    def _look(self, uow: UnitOfWork, looks: Sequence[Look], *, now: datetime) -> None:
        """Look at a batch of days; when that fails, halve it until the day at fault stands alone."""
        if not looks:
            return
        savepoint = uow.connection.begin_nested()
        try:
            validated(
                uow,
                looks,
                rule_sets=self._rule_sets(uow),
                policy=self._policy,
                patience=self._patience,
                now=now,
            )
        except Exception as error:  # the worker loop: the other days go on
            if is_collision(error):
                raise  # no day is at fault: the turn is taken again
            savepoint.rollback()
            if len(looks) > 1:
                middle = len(looks) // 2
                self._look(uow, looks[:middle], now=now)
                self._look(uow, looks[middle:], now=now)
                return
            self._note_defect(uow, looks[0], error, now=now)
            return
        savepoint.commit()

    def _note_defect(self, uow: UnitOfWork, look: Look, error: Exception, *, now: datetime) -> None:
        key = case_key(look)
        log.exception("validation_failed", channel=key)
        note = f"{type(error).__name__}: {error}"[:500]
        uow.save([ExceptionCase(kind=LOOK_FAILED, case_key=key, opened_at=now, note=note)])
        validation.settle(uow.connection, [look], [(look.channel_id, look.day, now + _AGAIN_AFTER)])


def _parted(looks: Sequence[Look]) -> Iterator[Sequence[Look]]:
    """Yield looks in parts of so many intervals at most, or of one day."""
    first = intervals = 0
    for place, look in enumerate(looks):
        count = look.channel.day(look.day).count
        if place > first and intervals + count > _INTERVALS_AT_ONCE:
            yield looks[first:place]
            first, intervals = place, 0
        intervals += count
    yield looks[first:]


def case_key(look: Look) -> str:
    """Return the key of the cases of a channel's day."""
    channel = look.channel
    return f"{channel.sender_system}/{channel.device_id}/{channel.reading_type}/{look.day}"


def validated(
    uow: UnitOfWork,
    looks: Sequence[Look],
    *,
    rule_sets: RuleSets,
    policy: TimeSeriesPolicy,
    patience: Patience,
    now: datetime,
) -> None:
    """Validate days that are held, and store their final versions; a bounded number of statements per kind of day."""
    done = Done()
    ids = {look.channel: look.channel_id for look in looks}
    before: dict[tuple[Channel, date], IntervalBlock] = {}
    for batch in batches(uow, looks, rule_sets=rule_sets, policy=policy, patience=patience, now=now):
        before.update({(block.channel, block.day): block for block in batch.before if block is not None})
        _gather(uow, batch, batch.judged(batch.rule_set), done, patience=patience, now=now)
    write_blocks(
        uow.connection,
        sorted(done.blocks, key=lambda block: (ids[block.channel], block.day)),
        ids=ids,
        before=before,
    )
    store_parts(uow, done.blocks, ids=ids)
    validation.settle(uow.connection, looks, done.again)
    _note_cases(uow, done, now=now)
    close_rare(uow, LOOK_FAILED, map(case_key, looks), now)


def _gather(uow: UnitOfWork, batch: Batch, result: Result, done: Done, *, patience: Patience, now: datetime) -> None:
    """Add the final versions and cases that the result of a batch leads to."""
    targets, before = batch.targets, batch.before
    made = _marks(uow, batch, result)
    plain = result.is_plain.tolist()
    counts = {
        kind: (result.state == kind).sum(axis=1).tolist() for kind in (State.ESTIMATED, State.EDITED, State.SUSPECT)
    }
    for row, target in enumerate(targets):
        block = IntervalBlock(
            channel=target.look.channel,
            day=target.look.day,
            layer=Layer.FINAL,
            values=result.values[row],
            qualities=made[row],
            unfit=_unfit(target, result.values[row]),
            written_at=now,
            written_by=f"vee/{result.rule_set.title}",
            cause=Cause.VALIDATED,
            estimated=counts[State.ESTIMATED][row],
            edited=counts[State.EDITED][row],
            suspect=counts[State.SUSPECT][row],
            basis=None if plain[row] else basis_of(result, row),
        )
        version = _version(block, before[row])
        if version is not None:
            done.blocks.append(version)
    for row in np.flatnonzero(result.at_issue).tolist():
        done.issues[case_key(targets[row].look)] = _note(result, row, batch.days)
    for row in np.flatnonzero(~result.at_issue).tolist():
        former = before[row]
        if former is not None and former.basis is not None:  # there may be a case of it
            done.sound.add(case_key(targets[row].look))
    done.again += _again(targets, batch.days, batch.facts.awaits(batch.days), patience=patience, now=now)


def _unfit(target: Target, values: Elements) -> Mapping[int, str]:
    """Return what the field told that the arrays cannot hold, of intervals without a value: it is no less a value."""
    if target.told is None or target.told.unfit is None:
        return {}
    return {place: text for place, text in unfit_of(target.told.unfit).items() if values[place] == MISSING}


def _marks(uow: UnitOfWork, batch: Batch, result: Result) -> Any:
    """Return the marks of final values: what the field said, and what we say of those that are not plainly valid."""
    raw, qualities = batch.marks, batch.qualities
    made = np.where(result.state == State.ACTUAL, raw, 0).astype(np.uint16)
    said = batch.stays(result)
    rows, columns = np.nonzero((result.state != State.ACTUAL) | (result.rule != NONE) | said)
    if not len(rows):
        return made
    by_hand = said[rows, columns]
    for row, column in zip(rows[by_hand].tolist(), columns[by_hand].tolist(), strict=True):
        block = batch.before[row]
        made[row, column] = 0 if block is None else block.qualities[column]
    rows, columns = rows[~by_hand], columns[~by_hand]
    kinds = np.stack([raw[rows, columns], result.state[rows, columns], result.rule[rows, columns]], axis=1)
    unique, inverse = np.unique(kinds, axis=0, return_inverse=True)
    sets = [_quality(result.rule_set, *kind, qualities=qualities) for kind in unique.tolist()]
    numbers = quality_marks(uow.connection, sets)
    made[rows, columns] = np.array([numbers[each] for each in sets], dtype=np.uint16)[inverse.ravel()]
    return made


def _quality(rule_set: RuleSet, mark: int, state: int, rule: int, *, qualities: Mapping[int, QualitySet]) -> QualitySet:
    codes = list(qualities[mark].codes)
    if rule != NONE:
        codes.append(rule_set.steps[rule].rule.quality)
    if state == State.SUSPECT:
        codes.append(SUSPECT)
    elif state == State.ESTIMATED:
        codes.append(ESTIMATED)
        codes = [code for code in codes if code != KNOWN_MISSING]
    return QualitySet.of(codes)


def _version(made: IntervalBlock, before: IntervalBlock | None) -> IntervalBlock | None:
    """Return the final version to be written, None where the one before says the same."""
    if before is None:
        return made
    differs = (before.values != made.values) | (before.qualities != made.qualities)
    if not differs.any() and (before.basis, before.unfit) == (made.basis, made.unfit):
        return None
    if differs.any() and (before.used or (differs & before.present).any()):
        return replace(made, version=before.version + 1, cause=Cause.REVISED)
    return replace(made, version=before.version, used=before.used, cause=before.cause, note=before.note)


def _again(
    targets: Sequence[Target], days: Days, awaits: Mask, *, patience: Patience, now: datetime
) -> Iterator[tuple[int, date, datetime]]:
    """Yield the days to be looked at once more: those that lack values, or await those beside or register readings."""
    lacks = (~days.present.all(axis=1) & ~days.is_over) | awaits
    advance = days.facts.get(Fact.ADVANCE)
    unread: Mask = np.zeros(days.count, dtype=np.bool_) if advance is None else advance == MISSING
    for row in np.flatnonzero(lacks | unread).tolist():
        look, end = targets[row].look, targets[row].grid.end
        dues = [end + patience.values] if lacks[row] else []
        if unread[row]:
            dues.append(end + patience.readings)
        due_at = min((due for due in dues if due > now), default=None)
        if due_at is not None:
            yield look.channel_id, look.day, due_at


# -- cases ------------------------------------------------------------------------------------------------------------


def _note(result: Result, row: int, days: Days) -> str:
    """Return what a human is to know of a day."""
    says = []
    for step, finding, looked in zip(result.rule_set.steps, result.findings, result.looked, strict=True):
        if finding is not None and looked[row] and finding.flagged[row]:
            words = step.rule.words.format(figure=finding.figure[row], limit=finding.limit[row])
            says.append(f"{step.rule.name}: {words}")
    open_ones = int((days.missing[row] & (result.values[row] == MISSING)).sum())
    if open_ones:
        says.append(f"{open_ones} of {result.values.shape[1]} values are missing and could not be estimated")
    return "; ".join(says)[:1000]


def _note_cases(uow: UnitOfWork, done: Done, *, now: datetime) -> None:
    """Open the cases of days that a human must see, and close those of days that are sound again."""
    known = _open_cases(uow, [*done.issues, *done.sound])
    changes = []
    for key, note in done.issues.items():
        case = known.get(key)
        if case is None or case.note != note:
            opened_at = now if case is None else case.opened_at
            changes.append(ExceptionCase(kind=NOT_FIT, case_key=key, opened_at=opened_at, note=note))
    changes += [replace(known[key], closed_at=now) for key in sorted(done.sound) if key in known]
    uow.save(changes)


def _open_cases(uow: UnitOfWork, keys: Collection[str]) -> dict[str, ExceptionCase]:
    cases = uow.load(ExceptionCase, ExceptionCase.KEY, [(NOT_FIT, key) for key in keys])
    return {case.case_key: case for case in cases if case.closed_at is None}
