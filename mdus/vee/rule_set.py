"""Rule sets: which rules look at which channels, how severely, with which limits, and how gaps are filled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """The rules and methods there are, by name."""

    rules: Mapping[str, Rule]
    methods: Mapping[str, Method]

    def problems(self, row: RuleSetRow) -> Iterator[str]:
        """Yield what is wrong with a rule set: rules that are not there, limits they do not have."""
        named: list[tuple[str, str, Mapping[str, Any]]] = [
            *(("rule", use.name, use.limits) for use in row.rules),
            *(("method", use.name, use.limits) for use in row.methods),
        ]
        for kind, name, limits in named:
            known: Mapping[str, Rule | Method] = self.rules if kind == "rule" else self.methods
            tool = known.get(name)
            if tool is None:
                yield f"there is no {kind} {name!r}; known are {', '.join(sorted(known))}"
                continue
            if isinstance(tool, Method) and tool.of_register is not (row.judges is Judges.REGISTERS):
                what = ("readings of registers", "values of intervals")
                yield "{} estimates {}, no {}".format(name, *(what if tool.of_register else what[::-1]))
            try:
                tool.parameters.model_validate(dict(limits))
            except ValidationError as error:
                for each in error.errors():
                    yield f"{name}: {'.'.join(map(str, each['loc']))}: {each['msg']}"
        if row.divisions and row.judges is Judges.INTERVALS:
            yield "only sets that judge registers are chosen by division: interval values have none"
        names = [use.name for use in row.rules]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"the rule {name} stands there twice"

    def rule_set(self, row: RuleSetRow, *, version: int = 1) -> RuleSet:
        """Return a rule set ready to be used. Raises ValueError with all that is wrong with it."""
        problems = list(self.problems(row))
        if problems:
            raise ValueError(f"rule set {row.name}: {'; '.join(problems)}")
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
