"""Tries a changed rule set on past days: the worker's own judgement, by the set in force and by the changed one.

Nothing is written, and no row is held: each few hundred channel-days are read in a transaction of their own.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from mdus.domain.channel import Channel
from mdus.domain.interval_block import Layer
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.settings import Settings
from mdus.storage import rule_set, validation
from mdus.storage.mapping import chunks
from mdus.storage.session import Database, UnitOfWork
from mdus.storage.validation import Look
from mdus.vee.comparing import Comparison, Progress, Tried
from mdus.vee.rule_set import NO_RULES, Judges, RuleSet, RuleSetRow, Tools
from mdus.workers.judgement import Patience, batches
from mdus.workers.rule_sets import DatedRuleSets

#: Channel-days read and judged at once.
_AT_ONCE: Final = 500


class Previews:
    """Runs previews; thread-safe, for it keeps nothing."""

    def __init__(self, database: Database, settings: Settings, tools: Tools) -> None:
        self._database = database
        self._tools = tools
        self._policy = TimeSeriesPolicy.of(settings)
        self._patience = Patience.of(settings)

    def __call__(
        self, changed: RuleSetRow, tried: Tried, *, now: datetime, progress: Progress = lambda *_: None
    ) -> Comparison:
        """Return what `changed`, in the place of the set of its name, would make of past days."""
        ends = time.monotonic() + tried.seconds
        found = Comparison(name=changed.name)
        if changed.judges is not Judges.INTERVALS:
            found.left_out.append("readings of registers: only sets that judge values of intervals are tried")
            return found
        with self._database.read() as uow:
            versions = rule_set.versions(uow.connection)
            known = validation.channels(uow.connection, systems=tried.systems, devices=tried.devices)
        pair = _Pair(
            old=DatedRuleSets(versions, self._tools),
            new=DatedRuleSets(versions, self._tools, changed=changed),
            name=changed.name,
        )
        days = [tried.first + timedelta(days=number) for number in range((tried.before - tried.first).days)]
        about = {
            reading_type: of_type
            for reading_type in {channel.reading_type for channel in known.values()}
            if not tried.reading_types or reading_type in tried.reading_types
            if (of_type := [day for day in days if pair.concerns(reading_type, day)])
        }
        concerned = [number for number, channel in known.items() if channel.reading_type in about]
        taken = _spread(concerned, max(1, tried.limit // max(1, len(days))))
        if len(taken) < len(concerned):
            found.left_out.append(
                f"{len(concerned) - len(taken)} of {len(concerned)} channels: the limit of {tried.limit} channel-days"
            )
        keys = [(number, day) for number in taken for day in about[known[number].reading_type]]
        if len(keys) > tried.limit:
            found.left_out.append(
                f"{len(keys) - tried.limit} of {len(keys)} channel-days: the limit of {tried.limit} channel-days"
            )
            keys = keys[: tried.limit]
        done = 0
        for some in chunks(keys, _AT_ONCE):
            if time.monotonic() > ends:
                left = len(keys) - done
                found.left_out.append(f"{left} of {len(keys)} channel-days: the time of {tried.seconds:g} seconds")
                break
            with self._database.read() as uow:
                self._judge(uow.looking(), some, known, pair, found, now=now, shown=tried.examples)
            done += len(some)
            progress(done, len(keys))
        found.channels = len({number for number, _ in keys[:done]})
        return found

    def _judge(
        self,
        uow: UnitOfWork,
        keys: Sequence[tuple[int, date]],
        channels: Mapping[int, Channel],
        pair: _Pair,
        found: Comparison,
        *,
        now: datetime,
        shown: int,
    ) -> None:
        told = validation.days_told(uow.connection, keys, layer=Layer.RAW)
        groups: dict[tuple[str, str], list[Look]] = defaultdict(list)
        for number, day in keys:
            if (number, day) in told:
                old, new = pair.of(channels[number].reading_type, day)
                groups[old.title, new.title].append(Look(number, channels[number], day))
        for looks in groups.values():
            _, new = pair.of(looks[0].channel.reading_type, looks[0].day)
            for batch in batches(
                uow,
                looks,
                rule_sets=pair.old,
                policy=self._policy,
                patience=self._patience,
                now=now,
                needs=new.needs,
                anew=True,
            ):
                targets = [(target.look.channel, target.look.day) for target in batch.targets]
                found.add(targets, batch.days, batch.judged(batch.rule_set), batch.judged(new), shown=shown)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pair:
    """The rule sets as they are, and as they would be."""

    old: DatedRuleSets
    new: DatedRuleSets
    name: str

    def of(self, reading_type: str, day: date) -> tuple[RuleSet, RuleSet]:
        """Return the set of a day now, and the one it would have."""
        return self.old(reading_type, day), self.new(reading_type, day)

    def concerns(self, reading_type: str, day: date) -> bool:
        """Tell whether the change is about a day: its set is the one that changes, or would be."""
        return any(each is not NO_RULES and each.name == self.name for each in self.of(reading_type, day))


def _spread(numbers: Sequence[int], most: int) -> list[int]:
    """Return at most so many of the numbers, evenly spread."""
    if len(numbers) <= most:
        return list(numbers)
    return [numbers[place * len(numbers) // most] for place in range(most)]
