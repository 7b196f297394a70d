"""docs/vee.md: its table of rules is that of the code, its vectors hold, what it says is missing is missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from mdus.bootstrap.discovery import discover
from mdus.settings import load_settings
from mdus.vee.days import Fact
from mdus.vee.method import Method
from mdus.vee.rule import Rule
from mdus.vee.rule_set import RuleSetRow
from mdus.workers.register_facts import LOADED
from mdus.workers.validation_facts import Facts
from tests.unit.vee.channel_days import days_of, found

PROJECT: Final = Path(__file__).parents[2]
PAGE: Final = (PROJECT / "docs" / "vee.md").read_text(encoding="utf-8")
RULES: Final[Mapping[str, Rule]] = discover().tools.rules
METHODS: Final[Mapping[str, Method]] = discover().tools.methods
#: The rules that judge a single reading as well.
READING_RULES: Final = ("V4", "V5", "V7", "V10", "V11", "V12", "V14", "V15", "V16", "V17", "V18", "V23", "V24", "V29")
ROWS: Final = {
    cells[0]: cells
    for line in re.findall(r"^\| (V\d+ \|.*) \|$", PAGE, flags=re.MULTILINE)
    if (cells := [cell.strip() for cell in line.split(" |")])
}


def written(default: Any) -> str:
    """A default as the page writes it."""
    match default:
        case None:
            return "none"
        case bool():
            return str(default).lower()
        case tuple():
            return "[" + ", ".join(f'"{each}"' for each in default) + "]"
        case _:
            return f"{default:g}"


class TestTheTable:
    def test_has_every_rule_and_no_other(self) -> None:
        named = {number: cells[1].strip("`") for number, cells in ROWS.items()}
        assert {number: name for number, name in named.items() if name != "–"} == {
            rule.number: rule.name for rule in RULES.values()
        }
        assert [number for number, name in named.items() if name == "–"] == ["V3"]
        assert list(ROWS) == [f"V{number}" for number in range(1, 32)]

    @pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
    def test_states_parameters_defaults_and_facts(self, rule: Rule) -> None:
        _, _, words, parameters, _, needs, source = ROWS[rule.number]
        fields = rule.parameters.model_fields
        stated = [] if parameters == "–" else [part.strip("`") for part in parameters.split("<br>")]
        assert stated == [f"{name} = {written(field.default)}" for name, field in fields.items()]
        assert needs == (", ".join(sorted(fact.value for fact in rule.needs)) or "–")
        assert words
        assert source

    @pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
    def test_states_what_the_default_set_makes_of_a_rule(self, rule: Rule) -> None:
        (electricity,) = [row for row in load_settings({}).rows("rule_sets", RuleSetRow) if row.name == "electricity"]
        made = {use.name: use.severity.value + ", replaces" * use.replaces for use in electricity.rules}
        assert ROWS[rule.number][4] == made.get(rule.name, "–")


class TestTheRest:
    @pytest.mark.parametrize(
        ("given", "intervals", "then"),
        [("exactly 2 h", 8, "passes"), ("2 h 15 min", 9, "flagged"), ("exactly 1 day", 96, "passes")],
    )
    def test_states_vectors_that_hold(self, given: str, intervals: int, then: str) -> None:
        assert f"| T8 | `consecutive_zeros` | zeros for {given} | {then} |" in PAGE
        rest = [7] if intervals < 96 else []
        finding = found(RULES["consecutive_zeros"], days_of([*[0] * intervals, *rest * (96 - intervals)]))
        assert finding.flagged[0] == (then == "flagged")

    def test_names_the_rules_that_judge_value_by_value(self) -> None:
        (sentence,) = re.findall(r"still coming in only the rules(.*?);", PAGE, flags=re.DOTALL)
        assert set(re.findall(r"V\d+", sentence)) == {rule.number for rule in RULES.values() if rule.partial}

    def test_says_where_every_fact_comes_from(self) -> None:
        (section,) = re.findall(r"\n## What is known, and from where\n(.*?)\n### ", PAGE, flags=re.DOTALL)
        told = [
            name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
        ]
        assert sorted(told) == sorted(fact.value for fact in Facts._LOADERS)

    def test_names_the_facts_that_are_not_loaded(self) -> None:
        """`_LOADERS` and `LOADED` are the places that know; whatever a rule or method asks for stands on one side."""
        (section,) = re.findall(r"\n### Facts without a loader\n(.*?)\n## ", PAGE, flags=re.DOTALL)
        rows = re.findall(r"^\| (days of interval values|single readings) \| (.+?) \|", section, re.MULTILINE)
        told: dict[str, list[str]] = {}
        for of, facts in rows:
            told.setdefault(of, []).extend(re.findall(r"`(\w+)`", facts))
        of_readings = [rule.needs for rule in RULES.values() if rule.number in READING_RULES]
        of_readings += [method.needs for method in METHODS.values() if method.of_register]
        needed = frozenset().union(*of_readings)
        assert sorted(told["single readings"]) == sorted(fact.value for fact in needed - LOADED)
        assert sorted(told["days of interval values"]) == sorted(
            fact.value for fact in Fact if fact not in Facts._LOADERS
        )

    def test_no_rule_or_method_for_intervals_lacks_a_loader(self) -> None:
        asked = [rule.needs for rule in RULES.values()]
        asked += [method.needs for method in METHODS.values() if not method.of_register]
        assert frozenset().union(*asked) <= set(Facts._LOADERS)

    @pytest.mark.parametrize("number", READING_RULES)
    def test_names_the_rules_that_judge_register_readings(self, number: str) -> None:
        (sentence,) = re.findall(r"### Register readings\n\n(.*?) judge", PAGE, flags=re.DOTALL)
        assert number in re.findall(r"V\d+", sentence)
