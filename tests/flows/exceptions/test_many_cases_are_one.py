"""A dead concentrator is one exception, not 400; an area that drops is a storm until enough of it reports again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from mdus.domain.access import Role
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.news import NEWS, Topic
from tests.flows.exceptions.scene import SILENT, START, SYSTEM, Scene, device_id

#: No storm, however many.
QUIET = {"MDUS_EXCEPTIONS__STORM_MEMBERS": "1000000"}


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.fixture
def scene(database_url: str) -> Iterator[Scene]:
    made = Scene(database_url, environ=QUIET)
    yield made
    made.close()


class TestDeadConcentrator:
    def test_is_one_exception_not_400(self, scene: Scene) -> None:
        scene.meters(range(1, 421))
        scene.meters(range(1000, 2200), area="20095")
        scene.fall_silent(range(1, 401))
        scene.turn()
        [row] = scene.listed()
        assert (row["kind"], row["members"], row["head_end"], row["area"]) == ("root_cause", 400, "city", "10115")
        assert (row["team"], row["severity"]) == ("field", "high")
        assert "400 of 420 meters of city, 10115" in row["note"]
        assert len(scene.listed(f"&group={row['id']}")) == 400

        # A meter more joins it; those that report leave it.
        scene.clock.move(hours=1)
        scene.fall_silent([401])
        scene.turn()
        assert [one["members"] for one in scene.listed()] == [401]
        scene.clock.move(hours=1)
        scene.report(range(1, 400))
        scene.turn()
        assert [one["members"] for one in scene.listed()] == [2]

        # It ends with its last member.
        scene.clock.move(hours=1)
        scene.report([400, 401])
        scene.turn()
        assert scene.listed() == []
        [closed] = scene.listed("&open=false")
        assert (closed["kind"], instant(closed["closed_at"])) == ("root_cause", START + timedelta(hours=3))

    def test_is_closed_with_all_its_members(self, scene: Scene) -> None:
        scene.meters(range(1, 31))
        scene.fall_silent(range(1, 21))
        scene.turn()
        [row] = scene.listed()
        scene.ask("PATCH", f"/exceptions/root_cause/{row['case_key']}", {"state": "closed", "reason": "replaced"})
        scene.turn()
        assert scene.listed() == []
        assert {one.closed_at for one in scene.mdus.rows(select(EXCEPTION_CASE.table))} == {START}

    def test_is_one_statement_whatever_the_number(self, scene: Scene) -> None:
        counts = []
        for first, last in ((1, 20), (100, 400)):
            scene.meters(range(first, last + 1), area=f"{first}")
            scene.fall_silent(range(first, last + 1))
            while scene.router._route():
                pass
            with statements(scene) as told:
                scene.router._look()
            counts.append(len(told))
        assert counts[1] <= counts[0] + 2

    @pytest.mark.parametrize(("silent", "lines"), [(9, 9), (10, 1)], ids=["too few", "just enough"])
    def test_takes_enough_members(self, scene: Scene, silent: int, lines: int) -> None:
        scene.meters(range(1, 21))
        scene.fall_silent(range(1, silent + 1))
        scene.turn()
        assert len(scene.listed()) == lines

    @pytest.mark.parametrize(("meters", "lines"), [(100, 1), (101, 30)], ids=["just enough", "too small a share"])
    def test_takes_a_share_of_the_place(self, scene: Scene, meters: int, lines: int) -> None:
        scene.meters(range(1, meters + 1))
        scene.fall_silent(range(1, 31))
        scene.turn()
        assert len(scene.listed()) == lines

    def test_is_the_head_end_where_it_is_everywhere(self, scene: Scene) -> None:
        for area in range(4):
            numbers = range(100 * area + 1, 100 * area + 13)
            scene.meters(numbers, area=f"1000{area}")
            scene.fall_silent(numbers)
        scene.turn()
        [row] = scene.listed()
        assert (row["area"], row["members"]) == (None, 48)

    def test_takes_cases_of_one_time(self, scene: Scene) -> None:
        scene.meters(range(1, 21))
        scene.fall_silent(range(1, 6))
        scene.turn()
        scene.clock.move(days=1, seconds=1)
        scene.fall_silent(range(6, 11))
        scene.turn()
        assert len(scene.listed()) == 10

    def test_leaves_alone_what_somebody_works_on(self, scene: Scene) -> None:
        scene.meters(range(1, 21))
        scene.fall_silent([1])
        scene.turn()
        scene.ask("PATCH", f"/exceptions/{SILENT}/{SYSTEM}/{device_id(1)}", {"assignee": "me", "reason": "mine"})
        scene.fall_silent(range(2, 21))
        scene.turn()
        assert {(row["kind"], row["members"]) for row in scene.listed()} == {(SILENT, None), ("root_cause", 19)}

    def test_is_about_missing_data_only(self, scene: Scene) -> None:
        scene.meters(range(1, 21))
        scene.fall_silent(range(1, 21), kind="switch_state_differs")
        scene.turn()
        assert len(scene.listed()) == 20


class statements:  # noqa: N801 - reads as what it counts
    """The statements that go to the database meanwhile."""

    def __init__(self, scene: Scene) -> None:
        self._engine = scene.database.engine
        self._told: list[str] = []

    def __enter__(self) -> list[str]:
        from sqlalchemy import event

        event.listen(self._engine, "before_cursor_execute", self._hear)
        return self._told

    def __exit__(self, *_: object) -> None:
        from sqlalchemy import event

        event.remove(self._engine, "before_cursor_execute", self._hear)

    def _hear(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self._told.append(statement)


class TestStorm:
    @pytest.fixture
    def scene(self, database_url: str) -> Iterator[Scene]:
        made = Scene(database_url)
        yield made
        made.close()

    def test_an_area_drops(self, scene: Scene) -> None:
        scene.meters(range(1, 101))
        scene.meters(range(1000, 1400), area="20095")
        scene.fall_silent([1])
        scene.turn()
        [single] = scene.listed()
        scene.clock.move(hours=1)
        scene.fall_silent(range(2, 81))
        scene.turn()

        # One line; the due dates of its members stand still.
        [row] = scene.listed()
        assert (row["kind"], row["members"], row["area"], row["severity"]) == ("storm", 80, "10115", "critical")
        [storm] = scene.ask("GET", "/exception-storms")["items"]
        assert (storm["affected"], storm["meters"], storm["started_by"]) == (80, 100, "mdus")
        assert {one["paused_at"] for one in scene.listed(f"&group={row['id']}")} == {"2026-03-23T10:00:00Z"}

        # What comes meanwhile joins it.
        scene.clock.move(minutes=30)
        scene.fall_silent([81])
        scene.turn()
        assert [one["members"] for one in scene.listed()] == [81]

        # 20 of 100 still silent: just not over. One fewer: over.
        scene.clock.move(minutes=30)
        scene.report(range(21, 82))
        scene.turn()
        assert [one["kind"] for one in scene.listed()] == ["storm"]
        scene.clock.move(hours=1)
        scene.report([20])
        scene.turn()
        assert scene.ask("GET", "/exception-storms")["items"] == []
        [over] = scene.ask("GET", "/exception-storms?state=all")["items"]
        assert (over["ended_by"], over["most_affected"]) == ("mdus", 81)
        members = scene.listed(f"&device_id={device_id(1)}") or scene.listed(f"&group={scene.listed()[0]['id']}")
        mine = next(one for one in members if one["device_id"] == device_id(1))
        assert mine["paused_at"] is None
        assert instant(mine["due_at"]) == instant(single["due_at"]) + timedelta(hours=2)

        # Clients are told of both.
        news = scene.mdus.rows(select(NEWS).where(NEWS.c.topic == Topic.EXCEPTIONS).order_by(NEWS.c.id))
        assert ['"state": "started"' in one.content for one in news] == [True, False]
        assert [one.sender_system for one in news] == [SYSTEM, SYSTEM]

    @pytest.mark.parametrize(("silent", "kind"), [(49, "root_cause"), (50, "storm")], ids=["too few", "just enough"])
    def test_takes_enough_meters(self, scene: Scene, silent: int, kind: str) -> None:
        scene.meters(range(1, 61))
        scene.fall_silent(range(1, silent + 1))
        scene.turn()
        assert [row["kind"] for row in scene.listed()] == [kind]

    @pytest.mark.parametrize(("meters", "kind"), [(120, "storm"), (121, "root_cause")], ids=["half", "less than half"])
    def test_takes_a_share(self, scene: Scene, meters: int, kind: str) -> None:
        scene.meters(range(1, meters + 1))
        scene.fall_silent(range(1, 61))
        scene.turn()
        assert [row["kind"] for row in scene.listed()] == [kind]

    def test_swallows_the_group_it_grew_from(self, scene: Scene) -> None:
        scene.meters(range(1, 101))
        scene.fall_silent(range(1, 41))
        scene.turn()
        assert [row["kind"] for row in scene.listed()] == ["root_cause"]
        scene.fall_silent(range(41, 61))
        scene.turn()
        assert [(row["kind"], row["members"]) for row in scene.listed()] == [("storm", 60)]

    def test_pauses_due_dates(self, scene: Scene) -> None:
        scene.meters(range(1, 101))
        scene.fall_silent(range(1, 61))
        scene.turn()
        outcome = scene.age(days=60)
        # The storm's own line is late, not its members.
        assert "1 overdue" in outcome

    def test_is_begun_and_ended_by_hand(self, scene: Scene) -> None:
        scene.meters(range(1, 11))
        scene.fall_silent([1])
        scene.turn()
        place = {"head_end": "city", "area": "10115"}
        storm = scene.ask("POST", "/exception-storms", {**place, "reason": "substation burnt down"}, status=201)
        assert (storm["affected"], storm["meters"], storm["started_by"]) == (1, 10, "rest:admin")
        scene.ask("POST", "/exception-storms", {**place, "reason": "once more"}, status=409)
        scene.ask("POST", "/exception-storms", {"head_end": "village", "reason": "no meters"}, status=409)
        scene.turn()
        assert [(row["kind"], row["members"]) for row in scene.listed()] == [("storm", 1)]

        # Nothing but a hand ends it, and that of somebody who acts for all its meters.
        [row] = scene.listed()
        scene.ask("PATCH", f"/exceptions/storm/{row['case_key']}", {"state": "closed", "reason": "not so"}, status=409)
        close_all = {"cases": {"head_end": "city"}, "state": "closed", "reason": "all of it"}
        assert scene.ask("PATCH", "/exceptions", close_all)["count"] == 0
        over = {"reason": "not mine"}
        other = {"role": Role.OPERATOR, "systems": ("P99",)}
        scene.ask("POST", f"/exception-storms/{storm['id']}/end", over, status=403, **other)
        scene.clock.move(hours=1)
        scene.report([1])
        scene.turn()
        assert len(scene.ask("GET", "/exception-storms")["items"]) == 1
        ended = scene.ask("POST", f"/exception-storms/{storm['id']}/end", {"reason": "power is back"})
        assert (ended["ended_by"], ended["end_reason"]) == ("rest:admin", "power is back")
        scene.ask("POST", f"/exception-storms/{storm['id']}/end", {"reason": "twice"}, status=409)
        assert scene.listed() == []
        deeds = scene.ask("GET", "/audit")["items"]
        assert [deed["action"] for deed in deeds] == ["storm ended", "exception closed", "storm started"]
