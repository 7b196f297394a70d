"""Rule sets: what is wrong with one, what comes of it, which fits a channel."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mdus.bootstrap.discovery import discover
from mdus.vee.days import Fact
from mdus.vee.rule import Severity
from mdus.vee.rule_set import NO_RULES, RuleSetRow, Tools, fitting


@pytest.fixture(scope="module")
def tools() -> Tools:
    return discover().tools


def row(**stated: Any) -> RuleSetRow:
    return RuleSetRow.model_validate({"name": "test", "reading_types": ["1-*"], **stated})


class TestRow:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"reading_types": []},
            {"estimated_share": 1.1},
            {"rules": [{"name": "spike", "severity": "grave"}]},
            {"colour": "red"},
        ],
    )
    def test_refuses_what_is_no_rule_set(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            row(**wrong)

    @pytest.mark.parametrize(
        ("patterns", "reading_type", "weight"),
        [(["1-*"], "1-0:1.29.0*255", 3), (["*", "1-0:1.*"], "1-0:1.29.0*255", 7), (["1-*"], "7-0:3.0.0*255", None)],
    )
    def test_weighs_how_closely_it_fits(self, patterns: list[str], reading_type: str, weight: int | None) -> None:
        found = row(reading_types=patterns).weight(reading_type)
        assert found == (None if weight is None else (weight, False))


class TestProblems:
    @pytest.mark.parametrize(
        ("stated", "words"),
        [
            ({"rules": [{"name": "spikes"}]}, "there is no rule 'spikes'"),
            ({"methods": [{"name": "guess"}]}, "there is no method 'guess'"),
            ({"rules": [{"name": "spike", "tolerances": 2}]}, "rules.0.tolerances: the rule spike has no parameter"),
            ({"rules": [{"name": "spike", "tolerance": 0}]}, "rules.0.tolerance: spike does not take 0"),
            ({"methods": [{"name": "linear", "max_minutes": 0}]}, "methods.0.max_minutes: linear does not take 0"),
            ({"rules": [{"name": "spike"}, {"name": "spike"}]}, "the rule spike stands there twice"),
        ],
        ids=["rule", "method", "limit", "value", "value_of_method", "twice"],
    )
    def test_says_what_is_wrong(self, tools: Tools, stated: dict[str, Any], words: str) -> None:
        problems = list(tools.problems(row(**stated)))
        assert len(problems) == 1
        assert words in str(problems[0])
        with pytest.raises(ValueError, match="rule set test"):
            tools.rule_set(row(**stated))

    @pytest.mark.parametrize(
        ("severity", "replaces", "refused"),
        [
            ("informational", True, True),
            ("informational", False, False),
            ("issue", True, False),
            ("terminate", True, False),
        ],
    )
    def test_says_that_what_is_only_noted_replaces_nothing(
        self, tools: Tools, severity: str, *, replaces: bool, refused: bool
    ) -> None:
        stated = row(rules=[{"name": "dials"}, {"name": "spike", "severity": severity, "replaces": replaces}])
        found = [str(each) for each in tools.problems(stated)]
        assert len(found) == refused
        assert all(each.startswith("rules.1.replaces: what spike finds is only noted") for each in found)
        assert not list(tools.unusable(stated))
        assert len(tools.rule_set(stated).steps) == 2  # one that is stored is used as ever

    def test_says_nothing_of_what_is_right(self, tools: Tools) -> None:
        assert not list(tools.problems(row(rules=[{"name": "spike", "tolerance": 2}], methods=[{"name": "linear"}])))


class TestRuleSet:
    def test_has_its_rules_in_order_with_limits_of_its_own(self, tools: Tools) -> None:
        made = tools.rule_set(
            row(
                rules=[
                    {"name": "spike", "tolerance": 2.5, "replaces": True},
                    {"name": "sum_check", "severity": "informational"},
                ],
                methods=[{"name": "linear"}],
            ),
            version=3,
        )
        assert made.title == "test@3"
        spike, sum_check = made.steps
        assert (spike.rule.name, spike.replaces, spike.severity) == ("spike", True, Severity.ISSUE)
        assert spike.parameters.model_dump()["tolerance"] == 2.5
        assert (sum_check.severity, sum_check.replaces) == (Severity.INFORMATIONAL, False)
        assert made.needs == {Fact.PAST_PEAK, Fact.ADVANCE, Fact.REGISTER_STEP}
        assert {Fact.LAST_VALUE, Fact.NEXT_VALUE} <= made.methods_need

    def test_without_rules_needs_nothing(self) -> None:
        assert NO_RULES.needs == NO_RULES.methods_need == frozenset()


class TestFitting:
    def test_takes_the_longest_pattern(self) -> None:
        rows = [row(name="all", reading_types=["*"]), row(name="in", reading_types=["1-0:2.*"]), row(name="power")]
        assert [
            found.name
            for each in ("1-0:2.29.0*255", "1-0:1.29.0*255", "8-0:1.0.0*255")
            if (found := fitting(rows, each))
        ] == ["in", "power", "all"]

    def test_finds_none_where_none_fits(self) -> None:
        assert fitting([row()], "8-0:1.0.0*255") is None
