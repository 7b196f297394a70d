"""Which rule set looks at a channel on a day, and which at a reading of a register."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import lru_cache

from mdus.domain.register import Register
from mdus.settings import Settings
from mdus.storage.session import UnitOfWork
from mdus.vee.rule_set import NO_RULES, Judges, RuleSet, RuleSetRow, Tools, fitting

#: Returns the rule set of a reading type on a day.
RuleSets = Callable[[str, date], RuleSet]

#: Returns the rule set of a register's readings on a day.
RegisterRuleSets = Callable[[Register, date], RuleSet]


def seeded(settings: Settings, tools: Tools) -> Callable[[UnitOfWork], RuleSets]:
    """Return what finds the rule sets for interval values that config/vee.toml says."""
    of = _finder(settings, tools, Judges.INTERVALS)
    return lambda _: lambda reading_type, _: of(reading_type, None)


def seeded_for_registers(settings: Settings, tools: Tools) -> Callable[[UnitOfWork], RegisterRuleSets]:
    """Return what finds the rule sets for register readings that config/vee.toml says."""
    of = _finder(settings, tools, Judges.REGISTERS)
    return lambda _: lambda register, _: of(register.reading_type, register.division)


def unjudged(_: UnitOfWork) -> RegisterRuleSets:
    """Return what finds no rule set: every reading is taken as it came."""
    return lambda _, __: NO_RULES


def _finder(settings: Settings, tools: Tools, judges: Judges) -> Callable[[str, str | None], RuleSet]:
    rows = settings.rows("rule_sets", RuleSetRow)
    ready = {row.name: tools.rule_set(row) for row in rows}

    @lru_cache(maxsize=1024)
    def of(reading_type: str, division: str | None) -> RuleSet:
        row = fitting(rows, reading_type, judges=judges, division=division)
        return NO_RULES if row is None else ready[row.name]

    return of
