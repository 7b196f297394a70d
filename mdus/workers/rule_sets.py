"""Which rule set looks at a channel on a day, which at a reading of a register: the version in force that fits best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from mdus.domain.register import Register
from mdus.storage import rule_set
from mdus.storage.rule_set import Mark, RuleSetVersion, in_force
from mdus.storage.session import UnitOfWork
from mdus.vee.rule_set import NO_RULES, Judges, RuleSet, RuleSetRow, Tools, fitting

#: Returns the rule set of a reading type on a day.
RuleSets = Callable[[str, date], RuleSet]

#: Returns the rule set of a register's readings on a day.
RegisterRuleSets = Callable[[Register, date], RuleSet]

_Kind = tuple[str, Judges, str | None]  # reading type, what is judged, division


class DatedRuleSets:
    """The rule sets there are, with which of them is in force on a day; `changed` takes the place of one of them."""

    def __init__(self, versions: Sequence[RuleSetVersion], tools: Tools, *, changed: RuleSetRow | None = None) -> None:
        self._versions = versions
        self._tools = tools
        self._changed = changed
        self._rows: dict[date, Mapping[str, tuple[RuleSetRow, int]]] = {}
        self._ready: dict[tuple[str, int], RuleSet] = {}
        self._found: dict[tuple[_Kind, date], RuleSet] = {}

    def __call__(self, reading_type: str, day: date) -> RuleSet:
        """Return the set of a reading type on a day; raises ValueError for one that names what is not there."""
        return self._of((reading_type, Judges.INTERVALS, None), day)

    def of_register(self, register: Register, day: date) -> RuleSet:
        """Return the set of a register's readings on a day; raises as above."""
        return self._of((register.reading_type, Judges.REGISTERS, register.division), day)

    def _of(self, kind: _Kind, day: date) -> RuleSet:
        found = self._found.get((kind, day))
        if found is None:
            found = self._found[kind, day] = self._made(kind, day)
        return found

    def _made(self, kind: _Kind, day: date) -> RuleSet:
        rows = self._rows.get(day)
        if rows is None:
            rows = self._rows[day] = self._on(day)
        reading_type, judges, division = kind
        row = fitting([row for row, _ in rows.values()], reading_type, judges=judges, division=division)
        if row is None:
            return NO_RULES
        key = row.name, rows[row.name][1]
        if key not in self._ready:
            self._ready[key] = self._tools.rule_set(row, version=key[1])
        return self._ready[key]

    def _on(self, day: date) -> Mapping[str, tuple[RuleSetRow, int]]:
        rows = {name: (each.row, each.version) for name, each in in_force(self._versions, day).items()}
        if self._changed is not None:
            rows[self._changed.name] = self._changed, _next_version(self._versions, self._changed.name)
        return rows


def stored(tools: Tools) -> Callable[[UnitOfWork], DatedRuleSets]:
    """Return what finds the rule sets of the database: read once, and again only when one of them has changed."""
    read: tuple[Mark, DatedRuleSets] | None = None

    def of(uow: UnitOfWork) -> DatedRuleSets:
        nonlocal read
        mark = rule_set.mark(uow.connection)
        if read is None or read[0] != mark:
            read = mark, DatedRuleSets(rule_set.versions(uow.connection), tools)
        return read[1]

    return of


def stored_for_registers(tools: Tools) -> Callable[[UnitOfWork], RegisterRuleSets]:
    """Return what finds the rule sets of the database that judge readings of registers."""
    of = stored(tools)
    return lambda uow: of(uow).of_register


def unjudged(_: UnitOfWork) -> RegisterRuleSets:
    """Return what finds no rule set: every reading is taken as it came."""
    return lambda _, __: NO_RULES


def _next_version(versions: Sequence[RuleSetVersion], name: str) -> int:
    return max((each.version for each in versions if each.name == name), default=0) + 1
