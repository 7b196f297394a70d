"""A case gets a team, a severity and a due date when it is opened; staff work on it, it is raised when it is late."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import select

from mdus.domain.access import Role
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_document import MeterReadingDocument
from mdus.storage.audit import AUDIT
from mdus.storage.exception_case import close_for
from tests.flows.exceptions.scene import SILENT, START, SYSTEM, Scene, device_id

KEY = f"{SYSTEM}/{device_id(1)}"
ONE = f"/exceptions/{SILENT}/{KEY}"


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.fixture
def case(scene: Scene) -> Scene:
    scene.meters([1])
    scene.fall_silent([1])
    scene.turn()
    return scene


class TestRouting:
    def test_gives_team_severity_and_due_date_by_the_configured_rules(self, case: Scene) -> None:
        [row] = case.listed()
        assert (row["team"], row["severity"], row["rule"], row["rules_version"]) == (
            "field",
            "normal",
            "silent_devices",
            0,
        )
        # Five working days after Monday: the end of the next Monday, by then in summer time.
        assert instant(row["due_at"]) == instant("2026-03-30T15:00:00Z")
        assert (row["state"], row["age_class"]) == ("open", "0-1")

    def test_tells_what_the_case_is_about(self, case: Scene) -> None:
        [row] = case.listed()
        about = ("sender_system", "device_id", "head_end", "area", "commodity")
        assert [row[name] for name in about] == [SYSTEM, device_id(1), "city", "10115", "01"]
        for query in ("&team=field", "&area=10115", "&head_end=city", f"&device_id={device_id(1)}", "&severity=normal"):
            assert len(case.listed(query)) == 1, query
        for query in ("&team=x", "&area=1", "&head_end=x", "&device_id=1", "&severity=high", "&overdue=true"):
            assert case.listed(query) == [], query

    def test_knows_the_device_and_reason_of_a_reading_order(self, scene: Scene) -> None:
        scene.meters([1])
        with scene.database.begin() as uow:
            uow.save(
                [
                    MeterReadingDocument(
                        sender_system=SYSTEM,
                        document_id="D1",
                        device_id=device_id(1),
                        measurement_task_id="T1",
                        obis_text="1-0:1.8.0",
                        reading_type="1-0:1.8.0*255",
                        reason_code="03",
                        scheduled_on=date(2026, 3, 20),
                        time_zone="Europe/Berlin",
                        due_at=START,
                        window_from=START,
                        window_until=START,
                        order_item_id=1,
                    ),
                    ExceptionCase(kind="reading_missing", case_key=f"{SYSTEM}/D1", opened_at=START, note="no value"),
                ]
            )
        scene.turn()
        [row] = scene.listed()
        assert (row["device_id"], row["reading_reason"], row["rule"]) == (device_id(1), "03", "reading_for_customer")

    def test_is_done_for_kinds_nobody_has_told_of(self, scene: Scene) -> None:
        with scene.database.begin() as uow:
            uow.save([ExceptionCase(kind="anything", case_key="x", opened_at=START, note="?")])
        scene.turn()
        [row] = scene.listed()
        assert (row["team"], row["rule"], row["device_id"]) == ("operations", "all_else", None)

    def test_begins_anew_for_a_case_that_is_opened_anew(self, case: Scene) -> None:
        case.ask("PATCH", ONE, {"state": "closed", "reason": "mended"})
        assert case.listed() == []
        case.clock.move(days=3)
        case.fall_silent([1])
        case.turn()
        [row] = case.listed()
        assert (row["state"], row["assignee"]) == ("open", None)
        assert instant(row["opened_at"]) == START + timedelta(days=3)

    def test_leaves_a_case_alone_that_is_told_again(self, case: Scene) -> None:
        case.ask("PATCH", ONE, {"assignee": "a.smith", "state": "waiting", "reason": "a part is ordered"})
        case.clock.move(hours=1)
        case.fall_silent([1])
        case.turn()
        [row] = case.listed()
        assert (row["state"], row["assignee"], instant(row["opened_at"])) == ("waiting", "a.smith", START)


class TestStaff:
    def test_change_a_case_with_a_reason_that_is_kept(self, case: Scene) -> None:
        changed = case.ask(
            "PATCH",
            ONE,
            {"state": "in_work", "assignee": "a.smith", "reason": "looked at it", "comment": "rings back"},
            role=Role.OPERATOR,
        )
        assert (changed["state"], changed["assignee"], changed["team"]) == ("in_work", "a.smith", "field")
        assert [(one["who"], one["action"], one["text"]) for one in changed["history"]] == [
            ("rest:operator", "changed", "state in_work, assignee a.smith: looked at it"),
            ("rest:operator", "comment", "rings back"),
        ]
        [deed] = case.mdus.rows(select(AUDIT))
        assert (deed.action, deed.count, deed.reason) == ("exception changed", 1, "looked at it")
        assert case.ask("GET", ONE) == changed

    def test_close_it_once(self, case: Scene) -> None:
        closed = case.ask("PATCH", ONE, {"state": "closed", "reason": "the meter was replaced"})
        assert (closed["state"], instant(closed["closed_at"])) == ("closed", START)
        assert case.listed() == []
        assert len(case.listed("&open=false")) == 1
        case.ask("PATCH", ONE, {"state": "open", "reason": "but no"}, status=409)

    def test_need_a_reason_and_the_role(self, case: Scene) -> None:
        case.ask("PATCH", ONE, {"state": "in_work"}, status=422)
        case.ask("PATCH", ONE, {"state": "in_work", "reason": "mine"}, role=Role.VIEWER, status=403)
        case.ask("PATCH", "/exceptions/device_silent/nobody", {"reason": "mine"}, status=404)

    def test_change_many_by_filter(self, scene: Scene) -> None:
        scene.meters([1, 2, 3])
        scene.meters([4], area="20095")
        scene.fall_silent([1, 2, 3, 4])
        scene.turn()
        change = {"cases": {"kind": SILENT, "area": "10115"}, "team": "north", "severity": "high", "reason": "flood"}
        assert scene.ask("PATCH", "/exceptions", {**change, "dry_run": True}) == {"count": 3, "dry_run": True}
        assert scene.listed("&team=north") == []
        assert scene.ask("PATCH", "/exceptions", change)["count"] == 3
        assert {row["area"] for row in scene.listed("&team=north&severity=high")} == {"10115"}
        assert len(scene.listed("&team=field")) == 1
        scene.ask("PATCH", "/exceptions", {"cases": {}, "team": "north", "reason": "all of it"}, status=409)
        beyond = {"due_at": "9999-12-31T23:59:59-12:00", "reason": "never"}
        scene.ask("PATCH", ONE, beyond, status=409)

    def test_need_not_close_what_real_data_ends(self, case: Scene) -> None:
        with case.database.begin() as uow:
            assert close_for(uow, SILENT, [KEY, "P11/other"], START) == 1
            assert close_for(uow, SILENT, [KEY], START) == 0
        assert case.listed() == []

    def test_see_a_silent_meter_closed_once_it_is_heard(self, case: Scene) -> None:
        case.report([1])  # at the very instant it was found silent: no news
        case.turn()
        assert len(case.listed()) == 1
        case.clock.move(minutes=1)
        case.report([1])
        case.turn()
        assert case.listed() == []


class TestViewers:
    def test_are_not_told_where_a_meter_hangs(self, case: Scene) -> None:
        [row] = case.ask("GET", "/exceptions", role=Role.VIEWER)["items"]
        assert (row["area"], row["head_end"]) == ("***", "city")
        assert case.ask("GET", ONE, role=Role.VIEWER)["area"] == "***"
        case.ask("GET", "/exceptions?area=10115", role=Role.VIEWER, status=403)
        case.ask("GET", "/exceptions?group=1", role=Role.VIEWER, status=403)

    def test_see_the_cases_of_their_sender_systems(self, case: Scene) -> None:
        with case.database.begin() as uow:
            uow.save([ExceptionCase(kind="job_failed", case_key="x", opened_at=START, note="of no system")])
        case.turn()
        for system, kinds in ((SYSTEM, ["job_failed", SILENT]), ("P99", ["job_failed"])):
            told = case.ask("GET", "/exceptions", role=Role.VIEWER, systems=(system,))["items"]
            assert [row["kind"] for row in told] == kinds
        case.ask("GET", ONE, role=Role.VIEWER, systems=("P99",), status=404)
        meant = {"cases": {"kind": SILENT}, "team": "x", "reason": "mine now"}
        told = case.ask("PATCH", "/exceptions", meant, role=Role.OPERATOR, systems=("P99",))
        assert told["count"] == 0


class TestAgeing:
    def test_counts_working_days(self, case: Scene) -> None:
        case.age(days=1)
        assert [row["age_class"] for row in case.listed()] == ["0-1"]
        case.age(days=1)
        assert [row["age_class"] for row in case.listed()] == ["2-3"]
        case.age(days=1)
        # Friday, Saturday and Sunday after the Monday: four working days.
        for _ in range(3):
            case.age(days=1)
            assert [row["age_class"] for row in case.listed("&age_class=4-5")] == ["4-5"]
        case.age(days=30)
        assert [row["age_class"] for row in case.listed()] == ["over_10"]

    def test_raises_what_is_overdue_once(self, case: Scene) -> None:
        [before] = case.listed()
        case.clock.instant = instant(before["due_at"]) - timedelta(seconds=1)
        assert "0 overdue" in case.age()
        assert "1 overdue and raised" in case.age(seconds=1)
        [row] = case.listed()
        assert (row["severity"], row["team"]) == ("high", "field")
        assert instant(row["due_at"]) > case.clock.now()
        case.clock.instant = instant(row["due_at"]) + timedelta(days=1)
        assert "0 overdue" in case.age()
        assert len(case.listed("&overdue=true")) == 1
        history = case.ask("GET", ONE)["history"]
        assert [(one["who"], one["action"]) for one in history] == [("mdus", "escalated")]

    def test_gives_an_overdue_case_to_the_team_its_rule_names(self, scene: Scene) -> None:
        scene.meters([1])
        scene.fall_silent([1], kind="switch_state_differs")
        scene.turn()
        assert [row["team"] for row in scene.listed()] == ["switching"]
        scene.age(days=2)
        assert [(row["team"], row["severity"]) for row in scene.listed()] == [("operations", "critical")]
