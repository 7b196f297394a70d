"""Routing rules are data: read, tried on the cases there are, put in force with a reason, each set a version."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from mdus.domain.access import Role
from mdus.storage.audit import AUDIT
from tests.flows.exceptions.scene import SILENT, START, SYSTEM, Scene, device_id

GAS = {"name": "gas", "commodity": "02", "team": "gas", "due_days": 1}
CITY = {"name": "city", "head_end": "ci*", "kind": "device_*", "team": "city", "severity": "high", "due_hours": 4}
ALL = {"name": "all", "team": "operations", "due_days": 3}


@pytest.fixture
def cases(scene: Scene) -> Scene:
    scene.meters([1, 2])
    scene.meters([3], head_end="village")
    scene.fall_silent([1, 2, 3])
    scene.turn()
    return scene


class TestRules:
    def test_are_those_of_the_configuration_until_changed(self, scene: Scene) -> None:
        told = scene.ask("GET", "/exception-rules", role=Role.VIEWER)
        assert (told["version"], told["made_by"]) == (0, "config")
        assert told["rules"][-1]["name"] == "all_else"

    def test_are_put_in_force_as_versions(self, cases: Scene) -> None:
        made = cases.ask("PUT", "/exception-rules", {"rules": [CITY, ALL], "reason": "city has a team"})
        assert (made["version"], made["made_by"], made["reason"]) == (1, "rest:admin", "city has a team")
        assert [row["team"] for row in cases.listed()] == ["field"] * 3  # routed before
        cases.fall_silent([1, 3], kind="device_lost")
        cases.turn()
        assert {(row["head_end"], row["team"], row["rules_version"]) for row in cases.listed("&kind=device_lost")} == {
            ("city", "city", 1),
            ("village", "operations", 1),
        }
        [deed] = cases.mdus.rows(select(AUDIT))
        assert (deed.action, deed.count, deed.reason) == ("exception rules", 2, "city has a team")
        assert [one["version"] for one in cases.ask("GET", "/exception-rules/versions")] == [1, 0]

    def test_count_from_an_instant_to_come(self, cases: Scene) -> None:
        later = START + timedelta(days=1)
        cases.ask("PUT", "/exception-rules", {"rules": [ALL], "valid_from": later.isoformat(), "reason": "from then"})
        assert cases.ask("GET", "/exception-rules")["version"] == 0
        assert cases.ask("GET", f"/exception-rules?at={later:%Y-%m-%dT%H:%M:%SZ}")["version"] == 1
        cases.clock.instant = later
        assert cases.ask("GET", "/exception-rules")["version"] == 1

    def test_route_again_what_nobody_has_taken_up(self, cases: Scene) -> None:
        cases.ask("PATCH", f"/exceptions/{SILENT}/{SYSTEM}/{device_id(1)}", {"assignee": "me", "reason": "mine"})
        cases.ask("PUT", "/exception-rules", {"rules": [CITY, ALL], "route_again": True, "reason": "city has a team"})
        cases.turn()
        assert sorted(row["team"] for row in cases.listed()) == ["city", "field", "operations"]

    @pytest.mark.parametrize(
        ("wrong", "status"),
        [
            pytest.param({"rules": []}, 422, id="no rule"),
            pytest.param({"rules": [{"name": "x", "due_days": 1}]}, 422, id="no team"),
            pytest.param({"rules": [{"name": "x", "team": "t"}]}, 409, id="no due date"),
            pytest.param({"rules": [{"name": "x", "team": "t", "due_days": 1, "due_hours": 1}]}, 409, id="two of them"),
            pytest.param({"rules": [{**ALL, "colour": "red"}]}, 422, id="unknown member"),
            pytest.param({"rules": [ALL, ALL]}, 409, id="same name"),
            pytest.param({"rules": [{**ALL, "due_days": "3"}]}, 422, id="text for a number"),
            pytest.param({"rules": [ALL], "valid_from": "2026-03-01T00:00:00Z"}, 409, id="for the past"),
            pytest.param({"rules": [ALL], "valid_from": "9999-12-31T23:59:59-12:00"}, 409, id="beyond time"),
            pytest.param(
                {"rules": [ALL], "valid_from": "2026-04-01T00:00:00Z", "route_again": True}, 409, id="again later"
            ),
        ],
    )
    def test_are_refused_with_what_is_wrong(self, scene: Scene, wrong: dict[str, Any], status: int) -> None:
        told = scene.ask("PUT", "/exception-rules", {**wrong, "reason": "just so"}, status=status)
        assert told["detail"]
        assert scene.ask("GET", "/exception-rules")["version"] == 0

    def test_take_the_role_and_a_reason(self, scene: Scene) -> None:
        scene.ask("PUT", "/exception-rules", {"rules": [ALL], "reason": "just so"}, role=Role.OPERATOR, status=403)
        scene.ask("PUT", "/exception-rules", {"rules": [ALL]}, status=422)
        mine = {"rules": [ALL], "reason": "for all"}
        scene.ask("PUT", "/exception-rules", mine, role=Role.APPROVER, systems=(SYSTEM,), status=403)


class TestPreview:
    def test_tells_what_a_set_would_do_and_does_nothing(self, cases: Scene) -> None:
        told = cases.ask("POST", "/exception-rules/preview", {"rules": [GAS, CITY, ALL]}, role=Role.VIEWER)
        assert (told["cases"], told["changed"], told["unmatched"]) == (3, 3, 0)
        assert told["rules"] == {"gas": 0, "city": 2, "all": 1}
        assert told["teams"] == [
            {"team": "city", "count": 2, "count_now": 0},
            {"team": "field", "count": 0, "count_now": 3},
            {"team": "operations", "count": 1, "count_now": 0},
        ]
        assert {(one["team"], one["team_now"]) for one in told["examples"]} == {
            ("city", "field"),
            ("operations", "field"),
        }
        assert [row["team"] for row in cases.listed()] == ["field"] * 3

    def test_looks_back_where_asked(self, cases: Scene) -> None:
        cases.ask("PATCH", f"/exceptions/{SILENT}/{SYSTEM}/{device_id(1)}", {"state": "closed", "reason": "done"})
        cases.clock.move(days=2)
        for days, count in ((0, 2), (1, 2), (2, 3)):
            told = cases.ask("POST", "/exception-rules/preview", {"rules": [ALL], "days": days})
            assert told["cases"] == count, days

    def test_counts_what_no_rule_is_for(self, cases: Scene) -> None:
        assert cases.ask("POST", "/exception-rules/preview", {"rules": [GAS]})["unmatched"] == 3
