"""The first rule that matches gives team, severity and due date; an overdue case is raised."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Any

import pytest
from pydantic import ValidationError

from mdus.bootstrap.discovery import discover
from mdus.domain.exception_grouping import GroupingRules, Place, whole_head_ends, worth_counting
from mdus.domain.exception_routing import RoutingRule, RuleSet, Severity, Subject, age_class, kinds_like
from mdus.domain.exception_subject import Named, named_in
from mdus.domain.working_time import WorkingCalendar
from mdus.settings import load_settings

#: A Wednesday, 10:00.
NOW = datetime(2026, 4, 15, 10, 0, tzinfo=UTC)
CALENDAR = WorkingCalendar(zone="UTC", begins=time(8), ends=time(17))
SUBJECT = Subject(
    kind="reading_missing",
    sender_system="P11",
    device_id="000042",
    head_end="city",
    area="10115",
    commodity="02",
    reading_reason="03",
)


def rule(**stated: Any) -> RoutingRule:
    return RoutingRule.model_validate({"name": "one", "team": "metering", "due_days": 1, **stated})


def rules(*some: RoutingRule) -> RuleSet:
    return RuleSet(rules=some)


class TestMatching:
    @pytest.mark.parametrize(
        ("stated", "matches"),
        [
            ({}, True),
            ({"kind": "reading_*"}, True),
            ({"kind": "device_*"}, False),
            ({"head_end": "city"}, True),
            ({"head_end": "village"}, False),
            ({"area": "101??"}, True),
            ({"area": "102??"}, False),
            ({"commodity": "02"}, True),
            ({"commodity": "01"}, False),
            ({"reading_reason": "0[36]"}, True),
            ({"reading_reason": "01"}, False),
            ({"device": "0000*"}, True),
            ({"device": "1*"}, False),
            ({"of_severity": "normal"}, True),
            ({"of_severity": "high"}, False),
            ({"kind": "reading_*", "commodity": "01"}, False),
        ],
        ids=str,
    )
    def test_holds_every_condition(self, stated: dict[str, str], *, matches: bool) -> None:
        assert rule(**stated).matches(SUBJECT) is matches

    def test_takes_no_unknown_for_a_match(self) -> None:
        assert not rule(head_end="*").matches(replace(SUBJECT, head_end=None))


class TestRoute:
    def test_is_that_of_the_first_rule_that_matches(self) -> None:
        made = rules(rule(kind="x"), rule(name="two", team="b"), rule(name="three", team="c"))
        assert made.route(SUBJECT, opened_at=NOW, calendar=CALENDAR).team == "b"

    def test_asks_rules_by_their_place(self) -> None:
        made = rules(rule(name="two", team="b", place=200), rule(name="three", team="c"))
        assert made.route(SUBJECT, opened_at=NOW, calendar=CALENDAR).team == "c"

    def test_counts_due_hours_and_days(self) -> None:
        hours = rules(rule(due_days=None, due_hours=8)).route(SUBJECT, opened_at=NOW, calendar=CALENDAR)
        days = rules(rule(due_days=3)).route(SUBJECT, opened_at=NOW, calendar=CALENDAR)
        assert (hours.due_at, days.due_at) == (
            datetime(2026, 4, 16, 9, tzinfo=UTC),
            datetime(2026, 4, 20, 17, tzinfo=UTC),
        )

    def test_leaves_no_case_to_nobody(self) -> None:
        route = rules(rule(kind="x")).route(SUBJECT, opened_at=NOW, calendar=CALENDAR)
        assert (route.rule, route.team, route.severity) == (None, "operations", Severity.NORMAL)


class TestEscalation:
    def escalated(self, made: RuleSet, *, severity: Severity = Severity.NORMAL) -> tuple[str, Severity]:
        route = made.escalated(
            replace(SUBJECT, severity=severity, team="metering"), rule="one", now=NOW, calendar=CALENDAR
        )
        assert route.due_at > NOW
        return route.team, route.severity

    def test_raises_the_severity_by_one(self) -> None:
        assert self.escalated(rules(rule())) == ("metering", Severity.HIGH)

    def test_stops_at_the_highest(self) -> None:
        assert self.escalated(rules(rule()), severity=Severity.CRITICAL) == ("metering", Severity.CRITICAL)

    def test_goes_to_the_team_its_rule_names(self) -> None:
        assert self.escalated(rules(rule(escalate_to="boss"))) == ("boss", Severity.HIGH)

    def test_goes_by_a_rule_for_the_raised_severity(self) -> None:
        special = rule(name="two", of_severity="high", team="night", severity="critical")
        assert self.escalated(rules(rule(), special)) == ("night", Severity.CRITICAL)


class TestRuleSet:
    @pytest.mark.parametrize(
        "stated", [{"due_days": None}, {"due_hours": 3}, {"team": "A B"}, {"x": 1}, {"severity": "low!"}], ids=str
    )
    def test_refuses_a_rule_that_cannot_be(self, stated: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            rule(**stated)

    def test_refuses_a_name_twice(self) -> None:
        with pytest.raises(ValidationError, match="name of its own"):
            rules(rule(), rule())

    def test_of_the_configuration_is_one(self) -> None:
        rows = load_settings({}, tables=discover().tables).rows("exception_routing", RoutingRule)
        made = RuleSet(rules=rows)
        assert made.route(SUBJECT, opened_at=NOW, calendar=CALENDAR).rule == "reading_for_customer"
        other = replace(SUBJECT, kind="unheard_of")
        assert made.route(other, opened_at=NOW, calendar=CALENDAR).rule == "all_else"


@pytest.mark.parametrize(
    ("days", "name"), [(0, "0-1"), (1, "0-1"), (2, "2-3"), (3, "2-3"), (4, "4-5"), (5, "4-5"), (6, "over_5")]
)
def test_classes_of_age(days: int, name: str) -> None:
    assert age_class(days, (1, 3, 5)) == name


def test_kinds_by_pattern() -> None:
    assert kinds_like(["a_missing", "b", "vee_missing_x"], ["*_missing", "vee_missing*"]) == [
        "a_missing",
        "vee_missing_x",
    ]


class TestSubject:
    @pytest.mark.parametrize(
        ("kind", "key", "named"),
        [
            ("device_silent", "P11/0042", Named(sender_system="P11", device_id="0042", document_id="0042")),
            ("vee_anything", "P11/0042/x/2026", Named(sender_system="P11", device_id="0042", document_id="0042")),
            ("reading_missing", "P11/D/1", Named(sender_system="P11", document_id="D/1")),
            ("profile_values_missing", "P11/TS/1/2026-03-28", Named(sender_system="P11", time_series_id="TS/1")),
            ("switch_contradiction", "P11/R1/1/0042", Named(sender_system="P11", device_id="0042")),
            ("dead_item", "17", Named(item_id=17)),
            ("dead_item", "x", Named()),
            ("delivery_unmatched", "city/17", Named(head_end="city")),
            ("channel_unmapped", "city/mrid: 0.0.0.1/x", Named(head_end="city")),
            ("event_unmapped", "city/exception: 4711", Named(head_end="city")),
            ("unit_unmapped", "city/furlong", Named(head_end="city")),
            ("quality_unmapped", "city/R7", Named(head_end="city")),
            ("event_refused", "P11/ABC", Named(sender_system="P11", event_id="ABC")),
            ("event_storm", "P11/city/3.26.0.85", Named(sender_system="P11", head_end="city")),
            ("sap_silent", "P11/Service", Named(sender_system="P11")),
            ("job_failed", "reconcile", Named()),
            ("dead_message", "0e3f5a52", Named()),
            ("unheard_of", "more", Named()),
        ],
    )
    def test_is_named_by_the_key(self, kind: str, key: str, named: Named) -> None:
        assert named_in(kind, key) == named


class TestGrouping:
    RULES = GroupingRules(group_members=10, group_share=0.3, storm_members=50, storm_share=0.5, storm_over_share=0.2)

    @pytest.mark.parametrize(("affected", "of", "one"), [(10, 33, True), (9, 9, False), (10, 34, False)])
    def test_takes_members_and_share(self, affected: int, of: int, *, one: bool) -> None:
        assert self.RULES.is_one_cause(affected, of=of) is one

    @pytest.mark.parametrize(("affected", "of", "storm"), [(50, 100, True), (49, 49, False), (50, 101, False)])
    def test_takes_more_for_a_storm(self, affected: int, of: int, *, storm: bool) -> None:
        assert self.RULES.is_storm(affected, of=of) is storm

    @pytest.mark.parametrize(("affected", "of", "over"), [(20, 100, False), (19, 100, True), (0, 0, True)])
    def test_ends_a_storm_when_enough_report(self, affected: int, of: int, *, over: bool) -> None:
        assert self.RULES.is_over(affected, of=of) is over

    def test_looks_at_head_ends_before_areas(self) -> None:
        counted = whole_head_ends({Place(head_end="b", area="1"): 12, Place(head_end="b", area=""): 3})
        assert counted == {Place(head_end="b", area="1"): 12, Place(head_end="b"): 15}
        assert list(worth_counting(counted, least=12)) == [Place(head_end="b"), Place(head_end="b", area="1")]
        assert list(worth_counting(counted, least=13)) == [Place(head_end="b")]

    def test_covers_areas_by_their_head_end(self) -> None:
        city, area = Place(head_end="city"), Place(head_end="city", area="1")
        assert city.covers(area)
        assert area.covers(area)
        assert not area.covers(city)
        assert not city.covers(Place(head_end="village", area="1"))
