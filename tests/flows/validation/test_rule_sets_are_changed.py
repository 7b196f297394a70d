"""Staff change rule sets from a day on, after they have tried them on past days; nothing else changes by that."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

import pytest

from mdus.domain.access import Role
from mdus.domain.channel import MISSING
from mdus.storage.audit import deeds
from mdus.storage.paging import Page
from tests.flows.validation.installed import Installed
from tests.unit.workers.validating import CHANNEL, DAY, END, FULL

NEXT: Final = DAY + timedelta(days=1)
SPIKY: Final = [*FULL[:60], 900, *FULL[61:]]
GAP: Final = [*FULL[:50], MISSING, *FULL[51:]]
#: Spikes are left alone up to twenty times the third highest, and gaps are not filled.
LENIENT: Final = {
    "reading_types": ["1-*"],
    "rules": [{"name": "missing_intervals"}, {"name": "spike", "replaces": True, "tolerance": 20}],
    "methods": [],
}


def put(meter: Installed, name: str = "electricity", *, headers: dict[str, str] | None = None, **changes: Any) -> Any:
    body = {"content": LENIENT, "valid_from": str(NEXT), "reason": "too many false alarms", **changes}
    return meter.ask("PUT", f"/rule-sets/{name}", json=body, headers=headers)


class TestRuleSets:
    def test_are_seeded_from_the_configuration_and_told(self, meter: Installed) -> None:
        items = meter.ask("GET", "/rule-sets", role=Role.VIEWER).json()["items"]
        [listed] = [each for each in items if each["name"] == "electricity"]
        assert (listed["name"], listed["to_come"]) == ("electricity", [])
        version = listed["in_force"]
        assert (version["version"], version["valid_from"], version["written_by"]) == (1, "1970-01-01", "config")
        assert version["content"]["reading_types"] == ["1-*"]
        detail = meter.ask("GET", "/rule-sets/electricity").json()
        assert detail["versions"] == [version]
        assert meter.ask("GET", "/rule-sets/steam").status_code == 404

    def test_count_from_their_day_on(self, meter: Installed) -> None:
        made = put(meter).json()
        assert (made["version"], made["valid_from"], made["looked_at_again"]) == (2, str(NEXT), 0)
        for day in (DAY, NEXT):
            meter.tell(SPIKY, day=day)
        meter.work(at=END + timedelta(days=3))
        assert (meter.final(DAY).written_by, meter.final(NEXT).written_by) == ("vee/electricity@1", "vee/electricity@2")
        assert int(meter.final(DAY).values[60]) < 900
        assert int(meter.final(NEXT).values[60]) == 900

    def test_that_are_new_count_for_what_they_fit_best(self, meter: Installed) -> None:
        assert put(meter, "profile", content={**LENIENT, "reading_types": ["1-0:1.29*"]}).json()["version"] == 1
        for day in (DAY, NEXT):
            meter.tell(FULL, day=day)
        meter.work(at=END + timedelta(days=3))
        assert (meter.final(DAY).written_by, meter.final(NEXT).written_by) == ("vee/electricity@1", "vee/profile@1")

    def test_leave_validated_days_as_they_are_unless_asked(self, meter: Installed) -> None:
        meter.tell(SPIKY)
        meter.work(at=END + timedelta(days=3))
        put(meter, valid_from=str(DAY))
        meter.work()
        assert meter.final().written_by == "vee/electricity@1"
        made = put(meter, valid_from=str(DAY), revalidate=True).json()
        assert (made["version"], made["looked_at_again"]) == (3, 1)
        meter.work()
        assert (meter.final().written_by, int(meter.final().values[60])) == ("vee/electricity@3", 900)
        assert put(meter, valid_from=str(NEXT), revalidate=True).json()["looked_at_again"] == 0

    def test_are_changed_as_they_were_seen(self, meter: Installed) -> None:
        seen = meter.ask("GET", "/rule-sets/electricity").headers["etag"]
        assert put(meter, headers={"If-Match": seen}).status_code == 200
        stale = put(meter, headers={"If-Match": seen})
        assert stale.status_code == 412
        assert stale.json()["errors"][0]["at"] == "header.if-match"
        again = meter.ask("GET", "/rule-sets/electricity", headers={"If-None-Match": seen})
        assert again.status_code == 200
        tag = again.headers["etag"]
        assert meter.ask("GET", "/rule-sets/electricity", headers={"If-None-Match": tag}).status_code == 304
        assert put(meter, headers={"If-Match": tag}).status_code == 200

    def test_leave_in_the_audit_who_and_why(self, meter: Installed) -> None:
        put(meter)
        with meter.database.read() as uow:
            [deed] = deeds(uow.connection, Page(limit=1))
        assert (deed.who, deed.action, deed.reason) == ("rest:approver", "rule set written", "too many false alarms")
        assert deed.target == f"electricity@2 from {NEXT}"

    @pytest.mark.parametrize(
        ("change", "at", "told"),
        [
            pytest.param({"rules": [{"name": "spik"}]}, "rules.0.name", "did you mean spike?", id="no such rule"),
            pytest.param({"methods": [{"name": "magic"}]}, "methods.0.name", "name one of", id="no such method"),
            pytest.param(
                {"rules": [{"name": "spike", "tolerence": 2}]},
                "rules.0.tolerence",
                "did you mean tolerance?",
                id="no such parameter",
            ),
            pytest.param(
                {"rules": [{"name": "missing_intervals"}, {"name": "spike", "tolerance": -1}]},
                "rules.1.tolerance",
                "without it tolerance is 1.8",
                id="out of range",
            ),
            pytest.param(
                {"rules": [{"name": "spike"}, {"name": "spike"}]}, "rules.1.name", "leave it there once", id="twice"
            ),
            pytest.param(
                {"rules": [{"name": "spike", "severity": "informational", "replaces": True}]},
                "rules.0.replaces",
                "only noted",
                id="what means nothing",
            ),
            pytest.param(
                {"rules": [{"name": "spike", "severity": "loud"}]}, "rules.0.severity", "issue", id="no such severity"
            ),
        ],
    )
    def test_that_are_wrong_are_refused_with_where_and_how_to_mend(
        self, meter: Installed, change: dict[str, Any], at: str, told: str
    ) -> None:
        for response in (
            put(meter, content={**LENIENT, **change}),
            preview(meter, content={**LENIENT, **change}),
        ):
            assert response.status_code == 409, response.text
            [error] = response.json()["errors"]
            assert error["at"] == f"body.content.{at}"
            assert told in error["expected"] + error["what"]
        assert len(meter.ask("GET", "/rule-sets/electricity").json()["versions"]) == 1

    def test_are_not_for_everybody_to_change(self, meter: Installed) -> None:
        body = {"content": LENIENT, "valid_from": str(NEXT), "reason": "because"}
        assert meter.ask("PUT", "/rule-sets/electricity", json=body, role=Role.OPERATOR).status_code == 403
        path = "/rule-sets/electricity/versions/1?reason=because"
        assert meter.ask("DELETE", path, role=Role.OPERATOR).status_code == 403

    def test_that_have_not_begun_are_taken_back(self, meter: Installed) -> None:
        put(meter, valid_from="2026-03-01")
        gone = meter.ask("DELETE", "/rule-sets/electricity/versions/2?reason=a+mistake")
        assert (gone.status_code, gone.json()["retired"]) == (200, True)
        day = date(2026, 3, 2)
        meter.tell(SPIKY, day=day)
        meter.work(at=END + timedelta(days=60))
        assert meter.final(day).written_by == "vee/electricity@1"
        assert meter.ask("DELETE", "/rule-sets/electricity/versions/2?reason=again").status_code == 404
        assert meter.ask("DELETE", "/rule-sets/electricity/versions/1?reason=begun").status_code == 409
        assert put(meter).json()["version"] == 3

    def test_have_their_tools_described(self, meter: Installed) -> None:
        rules = {each["name"]: each for each in meter.ask("GET", "/vee/rules").json()["items"]}
        assert rules["spike"]["number"] == "V6"
        assert rules["spike"]["title"].startswith("V6 Spike")
        [tolerance] = [each for each in rules["spike"]["parameters"] if each["name"] == "tolerance"]
        assert tolerance["default"] == 1.8
        assert "exclusiveMinimum" in tolerance["type"]
        methods = {each["name"]: each for each in meter.ask("GET", "/vee/methods").json()["items"]}
        assert {each["name"]: each["default"] for each in methods["linear"]["parameters"]}["max_minutes"] == 120


def preview(meter: Installed, name: str = "electricity", **changes: Any) -> Any:
    body = {"content": LENIENT, "from": str(DAY), "to": str(DAY + timedelta(days=6)), **changes}
    return meter.ask("POST", f"/rule-sets/{name}/preview", json=body, role=Role.VIEWER)


class TestASetForRegisters:
    def test_stays_one(self, meter: Installed) -> None:
        detail = meter.ask("GET", "/rule-sets").json()["items"]
        [known] = [each for each in detail if each["in_force"]["content"]["judges"] == "registers"][:1]
        content = {**known["in_force"]["content"], "estimated_share": 0.5}
        made = put(meter, known["name"], content=content, revalidate=True)
        assert (made.status_code, made.json()["looked_at_again"]) == (200, 0), made.text
        assert made.json()["content"] == content

    def test_is_not_tried_on_days(self, meter: Installed) -> None:
        content = {"judges": "registers", "reading_types": ["1-*"], "divisions": ["01"]}
        found = preview(meter, content=content).json()
        assert (found["days"], "readings of registers" in found["left_out"][0]) == (0, True)
        refused = put(meter, content={**content, "judges": "intervals"})
        assert refused.json()["errors"][0]["at"] == "body.content.divisions"


class TestAPreview:
    @pytest.fixture
    def week(self, meter: Installed) -> Installed:
        for number, values in enumerate([FULL, SPIKY, GAP, FULL, [MISSING] * 96]):
            meter.tell(values, day=DAY + timedelta(days=number))
        meter.work(at=END + timedelta(days=10))
        return meter

    def test_says_what_would_differ(self, week: Installed) -> None:
        found = preview(week).json()
        assert (found["days"], found["channels"], found["different"], found["left_out"]) == (5, 1, 2, [])
        rules = {each["rule"]: (each["before"], each["after"]) for each in found["rules"]}
        assert (rules["spike"], rules["missing_intervals"]) == ((1, 0), (2, 2))
        assert rules["sum_check"] == (0, 0)
        assert found["estimated_values_before"] > found["estimated_values_after"] == 0
        [amount] = found["estimated"]
        assert (amount["unit"], float(amount["before"]) > 0, float(amount["after"])) == ("KWH", True, 0)
        spiky = found["examples"][0]
        assert (spiky["day"], spiky["device_id"]) == (str(NEXT), CHANNEL.device_id)
        assert "spike:" in spiky["before"]
        assert "1 estimated" in spiky["before"]
        assert "96 actual" in spiky["after"]
        gap = found["examples"][1]
        assert "a human must see it" in gap["after"]

    def test_writes_nothing(self, week: Installed) -> None:
        before = week.content()
        assert preview(week).status_code == 200
        after = week.content()
        assert {name for name in before if before[name] != after[name]} == {"access_token"}  # of the viewer who asks

    def test_of_the_set_as_it_is_finds_nothing(self, week: Installed) -> None:
        [version] = week.ask("GET", "/rule-sets/electricity").json()["versions"]
        found = preview(week, content=version["content"]).json()
        assert (found["days"], found["different"], found["examples"]) == (5, 0, [])
        assert all(each["before"] == each["after"] for each in found["rules"])

    def test_says_what_comes_out_as_the_worker_would_have_it(self, week: Installed) -> None:
        found = preview(week).json()
        put(week, valid_from=str(DAY), revalidate=True)
        week.work()
        days = [week.final(DAY + timedelta(days=number)) for number in range(5)]
        assert sum(block.estimated for block in days) == found["estimated_values_after"]

    def test_keeps_to_its_bounds_and_says_what_it_left_out(self, week: Installed) -> None:
        few = preview(week, limit=2).json()
        assert few["days"] == 2
        assert (few["different"], len(preview(week, examples=1).json()["examples"])) == (1, 1)
        assert "of 7 channel-days: the limit of 2" in few["left_out"][0]
        assert preview(week, device_ids=["000000000000000043"]).json()["days"] == 0
        assert preview(week, reading_types=["1-0:2.29.0*255"]).json()["days"] == 0
        assert preview(week, reading_types=[CHANNEL.reading_type]).json()["days"] == 5

    def test_is_of_the_days_that_the_change_is_about(self, week: Installed) -> None:
        assert preview(week, "other", content={**LENIENT, "reading_types": ["7-*"]}).json()["days"] == 0
        # The set loses its channels: they would have none.
        lost = preview(week, content={**LENIENT, "reading_types": ["7-*"]}).json()
        assert (lost["days"], lost["estimated_values_after"]) == (5, 0)

    def test_is_refused_for_no_span(self, week: Installed) -> None:
        assert preview(week, to=str(DAY - timedelta(days=1))).status_code == 409
        assert preview(week, to=str(DAY + timedelta(days=400))).status_code == 409
        assert preview(week, to="9999-12-31").status_code == 409
        assert preview(week, limit=0).status_code == 422
