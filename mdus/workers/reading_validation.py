"""Judges the readings that are about to answer reading orders, and estimates those that nothing answers.

```
documents --best reading of each--> known verdict? --no--> rule set (pure) --> verdict, stored
              ^                                                                   |
              +--------------------- the next best, twice at most <--suspect-----+
```
Whole batches at once: a bounded number of statements whatever the number of documents.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final

import numpy as np

from mdus.domain.channel import MISSING
from mdus.domain.meter_reading_collection import Collection, EstimatedReading
from mdus.domain.meter_reading_selection import Candidate, ReadingPolicies
from mdus.domain.reading import ReadingOrigin
from mdus.domain.reading_verdict import Judgement, ReadingVerdict, verdict_on
from mdus.domain.register import Register
from mdus.domain.value import changed, type_key
from mdus.storage.session import UnitOfWork
from mdus.vee.days import Days, Fact, Mask
from mdus.vee.explaining import basis_of
from mdus.vee.pipeline import Result, State, run
from mdus.vee.rule import Severity
from mdus.vee.rule_set import RuleSet
from mdus.workers.register_facts import RegisterFacts, Subject
from mdus.workers.rule_sets import RegisterRuleSets

#: How many of the readings that may answer an order are judged at one look, the best first.
_CANDIDATES: Final = 3


def judged(
    uow: UnitOfWork,
    dues: Sequence[Collection],
    *,
    rule_sets: RegisterRuleSets,
    policies: ReadingPolicies,
    now: datetime,
) -> list[Collection]:
    """Return the documents with the verdicts on the readings that may answer them but are held; stores new verdicts."""
    ranked = [due.candidates(policies) for due in dues]
    open_ones = [place for place, some in enumerate(ranked) if some]
    if not open_ones:
        return list(dues)
    judging = _Judging(uow, rule_sets=rule_sets, policies=policies, now=now)
    judging.load(dues, ranked)
    for turn in range(_CANDIDATES):
        open_ones = [place for place in open_ones if turn < len(ranked[place])]
        some = {place: ranked[place][turn] for place in open_ones}
        judging.look(dues, some)
        open_ones = [place for place, each in some.items() if judging.is_suspect(each)]
    judging.store()
    return [
        changed(due, ranked=some, suspect=judging.held(some)) if some else due
        for due, some in zip(dues, ranked, strict=True)
    ]


class _Judging:
    """The verdicts of one batch, each reading judged once."""

    def __init__(
        self, uow: UnitOfWork, *, rule_sets: RegisterRuleSets, policies: ReadingPolicies, now: datetime
    ) -> None:
        self._uow = uow
        self._rule_sets = rule_sets
        self._policies = policies
        self._now = now
        self._stored: dict[type_key, ReadingVerdict] = {}
        self._verdicts: dict[type_key, ReadingVerdict] = {}  # of the readings looked at
        self._new: dict[type_key, ReadingVerdict] = {}

    def load(self, dues: Sequence[Collection], ranked: Sequence[Sequence[Candidate]]) -> None:
        """Load the verdicts there are on readings that may be looked at: one statement, however many looks follow."""
        keys = {
            each.reading.key
            for due, some in zip(dues, ranked, strict=True)
            if due.register is not None
            for each in some[:_CANDIDATES]
            if each.reading.origin is not ReadingOrigin.MANUAL
        }
        stored = self._uow.load(ReadingVerdict, ReadingVerdict.KEY, keys, lock=False)
        self._stored = {each.key: each for each in stored}

    def look(self, dues: Sequence[Collection], some: Mapping[int, Candidate]) -> None:
        """Judge readings, one of each of some documents, that have no verdict that stands."""
        todo: dict[type_key, tuple[Candidate, Register, RuleSet]] = {}
        for place, candidate in some.items():
            register, key = dues[place].register, candidate.reading.key
            if register is None or key in self._verdicts or candidate.reading.origin is ReadingOrigin.MANUAL:
                continue  # SAP has found plausible what a person read
            known = self._stored.get(key)
            if known is not None:
                self._verdicts[key] = known
            rule_set = self._rule_sets(register, dues[place].document.scheduled_on)
            if rule_set.steps and (known is None or not known.stands(rule_set.title)):
                todo[key] = (candidate, register, rule_set)
        if todo:
            self._judge(list(todo.values()))

    def _judge(self, todo: Sequence[tuple[Candidate, Register, RuleSet]]) -> None:
        subjects = [
            Subject(register=register, at=candidate.reading.measured_at, value=candidate.value)
            for candidate, register, _ in todo
        ]
        needs = _needs({rule_set.title: rule_set for _, _, rule_set in todo}.values())
        facts = RegisterFacts(self._uow, subjects, policies=self._policies, needs=needs)
        for rule_set, decimals, places in _groups([(register, rule_set) for _, register, rule_set in todo]):
            result = run(facts.judged(places, decimals=decimals), replace(rule_set, fillings=()))
            suspect = _suspected(result)
            for row, place in enumerate(places):
                verdict = verdict_on(
                    todo[place][0].reading,
                    Judgement.SUSPECT if suspect[row] else Judgement.VALID,
                    rule_set=rule_set.title,
                    basis=basis_of(result, row),
                    judged_at=self._now,
                )
                self._verdicts[verdict.key] = verdict
                known = self._stored.get(verdict.key)
                if known is None or replace(known, judged_at=self._now) != verdict:
                    self._new[verdict.key] = verdict

    def is_suspect(self, candidate: Candidate) -> bool:
        """Tell whether a reading is held."""
        verdict = self._verdicts.get(candidate.reading.key)
        return verdict is not None and verdict.is_suspect

    def held(self, some: Sequence[Candidate]) -> dict[type_key, ReadingVerdict]:
        """Return the verdicts on those of some readings that are held, in their order."""
        return {each.reading.key: self._verdicts[each.reading.key] for each in some if self.is_suspect(each)}

    def store(self) -> None:
        """Keep the verdicts that are new or have changed."""
        self._uow.save(list(self._new.values()))


def estimated(
    uow: UnitOfWork, dues: Sequence[Collection], *, rule_sets: RegisterRuleSets, policies: ReadingPolicies
) -> list[Collection]:
    """Return those of the documents whose value can be estimated, with the estimate."""
    known = [(due, due.register) for due in dues if due.register is not None]
    subjects = [Subject(register=register, at=due.window().target_at) for due, register in known]
    sets = [(register, rule_sets(register, due.document.scheduled_on)) for due, register in known]
    needs = _needs({rule_set.title: rule_set for _, rule_set in sets}.values(), methods=True)
    facts = RegisterFacts(uow, subjects, policies=policies, needs=needs)
    found: list[Collection] = []
    for rule_set, decimals, places in _groups(sets):
        days = facts.to_be_estimated(places, decimals=decimals)
        result = run(days, replace(rule_set, steps=()))
        for row, place in enumerate(places):
            due, register = known[place]
            value = _estimate(result, row, days)
            if value is None or not register.has_digits_for(value):
                continue
            estimate = EstimatedReading(
                value=register.as_shown(value), usage=facts.usage(place, value), basis=basis_of(result, row) or "{}"
            )
            found.append(replace(due, estimate=estimate))
    return found


def _needs(rule_sets: Iterable[RuleSet], *, methods: bool = False) -> frozenset[Fact]:
    """Return what the rules, or the methods, of some sets need to know."""
    return frozenset().union(*(each.methods_need if methods else each.needs for each in rule_sets))


def _groups(sets: Sequence[tuple[Register, RuleSet]]) -> list[tuple[RuleSet, int, list[int]]]:
    """Return rule sets with the places of those they look at, of registers with as many decimals."""
    by_kind: dict[tuple[str, int], list[int]] = defaultdict(list)
    for place, (register, rule_set) in enumerate(sets):
        by_kind[rule_set.title, register.fraction_digits].append(place)
    return [(sets[places[0]][1], decimals, places) for (_, decimals), places in by_kind.items()]


def _suspected(result: Result) -> Mask:
    """Return which readings a rule flags (c,) that does more than note it."""
    suspect: Mask = np.zeros(len(result.values), dtype=np.bool_)
    for step, finding, looked in zip(result.rule_set.steps, result.findings, result.looked, strict=True):
        if finding is not None and step.severity is not Severity.INFORMATIONAL:
            suspect |= finding.flagged & looked
    return suspect


def _estimate(result: Result, row: int, days: Days) -> Decimal | None:
    element = int(result.values[row, 0])
    if element == MISSING or result.state[row, 0] != State.ESTIMATED:
        return None
    return Decimal(element).scaleb(-days.decimals)
