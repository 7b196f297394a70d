"""Which rule set looks at a channel on a day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import lru_cache

from mdus.settings import Settings
from mdus.storage.session import UnitOfWork
from mdus.vee.rule_set import NO_RULES, RuleSet, RuleSetRow, Tools, fitting

#: Returns the rule set of a reading type on a day.
RuleSets = Callable[[str, date], RuleSet]


def seeded(settings: Settings, tools: Tools) -> Callable[[UnitOfWork], RuleSets]:
    """Return what finds the rule sets that config/vee.toml says."""
    rows = settings.rows("rule_sets", RuleSetRow)
    ready = {row.name: tools.rule_set(row) for row in rows}

    @lru_cache(maxsize=1024)
    def of(reading_type: str) -> RuleSet:
        row = fitting(rows, reading_type)
        return NO_RULES if row is None else ready[row.name]

    return lambda _: lambda reading_type, _: of(reading_type)
