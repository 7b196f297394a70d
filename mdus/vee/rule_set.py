"""Rule sets: which rules look at which channels, how severely, with which limits, and how gaps are filled."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mdus.domain.register import plain_code
from mdus.settings import Section, Texts
from mdus.vee.days import Fact
from mdus.vee.method import Method
from mdus.vee.rule import Parameters, Rule, Severity

_OWN: Final = frozenset({"name", "severity", "replaces"})


class Judges(StrEnum):
    """What a rule set judges."""

    INTERVALS = "intervals"  # a day of interval values
    REGISTERS = "registers"  # one reading of a register: a day of one value, what was used since the reading before


class RuleUse(BaseModel):
    """How a rule set uses a rule: its severity, whether values it suspects are replaced, and limits of its own."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    severity: Severity = Severity.ISSUE
    replaces: bool = False

    @property
    def limits(self) -> Mapping[str, Any]:
        """Return the parameters that the rule set states."""
        return {name: value for name, value in (self.model_extra or {}).items() if name not in _OWN}


class MethodUse(BaseModel):
    """How a rule set uses a method of estimation: limits of its own."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str

    @property
    def limits(self) -> Mapping[str, Any]:
        """Return the parameters that the rule set states."""
        return self.model_extra or {}


class RuleSetRow(Section):
    """A row of `rule_sets`: what is done with the interval values, or the register readings, of some reading types.

    `reading_types` are patterns (`1-0:*`); of several sets that fit a channel the one with the longest pattern counts,
    of those as long one that names the division. Rules look in the order given, methods fill in theirs. At most
    `estimated_share` of a day is estimated; a day that would need more stays with its gaps, as an exception.
    """

    name: str
    judges: Judges = Judges.INTERVALS
    reading_types: Annotated[tuple[str, ...], Field(min_length=1)]
    divisions: Texts = ()
    rules: tuple[RuleUse, ...] = ()
    methods: tuple[MethodUse, ...] = ()
    estimated_share: Annotated[float, Field(ge=0, le=1)] = 1.0

    def weight(self, reading_type: str, division: str | None = None) -> tuple[int, bool] | None:
        """Return how closely the set fits a reading type and a division, None where it does not."""
        if self.divisions and plain_code(division or "") not in {plain_code(code) for code in self.divisions}:
            return None
        fits = [len(pattern) for pattern in self.reading_types if fnmatchcase(reading_type, pattern)]
        return (max(fits), bool(self.divisions)) if fits else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A rule with what a set makes of it."""

    rule: Rule
    severity: Severity
    replaces: bool
    parameters: Parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class Filling:
    """A method of estimation with the parameters a set gives it."""

    method: Method
    parameters: Parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleSet:
    """A rule set ready to be used; `version` tells its changes apart."""

    name: str
    version: int = 1
    reading_types: tuple[str, ...]
    steps: tuple[Step, ...]
    fillings: tuple[Filling, ...]
    estimated_share: float = 1.0

    @property
    def title(self) -> str:
        """Return its name and version, as values carry it that it has made."""
        return f"{self.name}@{self.version}"

    @property
    def needs(self) -> frozenset[Fact]:
        """Return what its rules need to know of every day; what its methods need is loaded for days with gaps only."""
        return frozenset().union(*(step.rule.needs for step in self.steps))

    @property
    def methods_need(self) -> frozenset[Fact]:
        """Return what its methods need to know of days with gaps."""
        return frozenset().union(*(filling.method.needs for filling in self.fillings))


class Misfit(NamedTuple):
    """What is wrong with a rule set: where in it (`rules.1.tolerance`), what, and how to mend it."""

    at: str
    what: str
    mend: str

    def __str__(self) -> str:
        """Return it as a sentence."""
        return f"{self.at}: {self.what}: {self.mend}"


def meaningless(row: RuleSetRow) -> Iterator[Misfit]:
    """Yield what a rule set states that means nothing: no new set may, one that was stored before goes on."""
    for place, rule in enumerate(row.rules):
        if rule.severity is Severity.INFORMATIONAL and rule.replaces:
            says = f"what {rule.name} finds is only noted, so replaces = true means nothing"
            yield Misfit(f"rules.{place}.replaces", says, 'leave it out, or give the rule severity = "issue"')


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """The rules and methods there are, by name."""

    rules: Mapping[str, Rule]
    methods: Mapping[str, Method]

    def problems(self, row: RuleSetRow) -> Iterator[Misfit]:
        """Yield what is wrong with a rule set: with what it names, and what it states that means nothing."""
        yield from self.unusable(row)
        yield from meaningless(row)

    def unusable(self, row: RuleSetRow) -> Iterator[Misfit]:
        """Yield why a rule set cannot be used: rules that are not there, limits they do not have."""
        for place, rule in enumerate(row.rules):
            yield from _misfits(f"rules.{place}", "rule", rule.name, rule.limits, self.rules)
        for place, method in enumerate(row.methods):
            yield from _misfits(f"methods.{place}", "method", method.name, method.limits, self.methods)
            tool = self.methods.get(method.name)
            if tool is not None and tool.of_register is not (row.judges is Judges.REGISTERS):
                what = ("readings of registers", "values of intervals")
                says = "{} estimates {}, no {}".format(method.name, *(what if tool.of_register else what[::-1]))
                yield Misfit(f"methods.{place}.name", says, "leave it out, or put it into a set that judges those")
        if row.divisions and row.judges is Judges.INTERVALS:
            says = "only sets that judge registers are chosen by division: interval values have none"
            yield Misfit("divisions", says, "leave it out")
        names = [use.name for use in row.rules]
        for place, name in enumerate(names):
            if name in names[:place]:
                yield Misfit(f"rules.{place}.name", f"the rule {name} stands there twice", "leave it there once")

    def rule_set(self, row: RuleSetRow, *, version: int = 1) -> RuleSet:
        """Return a rule set ready to be used. Raises ValueError with all why it cannot be.

        What means nothing does no harm: a set that was stored before that was refused goes on.
        """
        problems = list(self.unusable(row))
        if problems:
            raise ValueError(f"rule set {row.name}: {'; '.join(map(str, problems))}")
        return RuleSet(
            name=row.name,
            version=version,
            reading_types=row.reading_types,
            steps=tuple(
                Step(
                    rule=self.rules[use.name],
                    severity=use.severity,
                    replaces=use.replaces,
                    parameters=self.rules[use.name].parameters.model_validate(dict(use.limits)),
                )
                for use in row.rules
            ),
            fillings=tuple(
                Filling(
                    method=self.methods[use.name],
                    parameters=self.methods[use.name].parameters.model_validate(dict(use.limits)),
                )
                for use in row.methods
            ),
            estimated_share=row.estimated_share,
        )


def _misfits(
    at: str, kind: str, name: str, limits: Mapping[str, Any], known: Mapping[str, Rule] | Mapping[str, Method]
) -> Iterator[Misfit]:
    """Yield what is wrong with the use of one rule or method."""
    tool = known.get(name)
    if tool is None:
        nearest = difflib.get_close_matches(name, known, n=1)
        mend = f"did you mean {nearest[0]}?" if nearest else f"name one of {', '.join(sorted(known))}"
        yield Misfit(f"{at}.name", f"there is no {kind} {name!r}", mend)
        return
    parameters = tool.parameters.model_fields
    try:
        tool.parameters.model_validate(dict(limits))
    except ValidationError as error:
        for each in error.errors():
            where, limit = ".".join([at, *map(str, each["loc"])]), str(each["loc"][0]) if each["loc"] else ""
            if each["type"] == "extra_forbidden":
                nearest = difflib.get_close_matches(limit, parameters, n=1)
                takes = f"it takes {', '.join(parameters)}" if parameters else "it takes none"
                mend = f"did you mean {nearest[0]}?" if nearest else f"leave it out; {takes}"
                yield Misfit(where, f"the {kind} {name} has no parameter {limit!r}", mend)
                continue
            if each["type"] == "missing":
                yield Misfit(where, f"the {kind} {name} needs {limit}", "state it")
                continue
            known_limit = parameters.get(limit)
            default = "" if known_limit is None else f"; without it {limit} is {known_limit.default!r}"
            what = f"{name} does not take {each['input']!r}: {each['msg'][:1].lower()}{each['msg'][1:]}"
            yield Misfit(where, what, f"give it a value in that range, or leave it out{default}")


#: What is done with channels that no set fits: their values are taken as they are.
NO_RULES: Final = RuleSet(name="none", reading_types=("*",), steps=(), fillings=())


def fitting(
    rows: Sequence[RuleSetRow], reading_type: str, *, judges: Judges = Judges.INTERVALS, division: str | None = None
) -> RuleSetRow | None:
    """Return the set for a reading type: the one with the longest pattern that fits, None without any."""
    weighed = [
        (weight, row)
        for row in rows
        if row.judges is judges and (weight := row.weight(reading_type, division)) is not None
    ]
    return max(weighed, key=lambda pair: pair[0])[1] if weighed else None
