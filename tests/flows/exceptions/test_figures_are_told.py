"""Figures of the work list are among the metrics; the course of each day's is read by REST."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mdus.workers import kpi_rollup
from tests.flows.exceptions.scene import START, Scene
from tests.unit.workers.test_kpi_rollup import ordered


def metrics(scene: Scene) -> list[str]:
    response = scene.mdus.get("/metrics")
    assert response.status_code == 200
    return [
        line for line in response.text.splitlines() if (line.startswith("mdus_") and "case" in line) or "storm" in line
    ]


def roll_up(scene: Scene) -> str:
    now = scene.clock.now()
    return kpi_rollup.run(scene.database, settings=scene.mdus.runtime.settings, now=now, day=now.date())


def test_metrics_tell_of_the_work_list(scene: Scene) -> None:
    scene.meters(range(1, 101))
    scene.fall_silent(range(1, 61))
    scene.fall_silent([70], kind="switch_state_differs")
    scene.turn(minutes=10)
    told = metrics(scene)
    assert 'mdus_cases{age_class="0-1",team="field"} 1.0' in told  # the storm is one line
    assert 'mdus_cases{age_class="0-1",team="switching"} 1.0' in told
    assert 'mdus_oldest_case_seconds{team="switching"} 600.0' in told
    assert 'mdus_storms{head_end="city"} 1.0' in told
    assert not [line for line in told if line.startswith("mdus_cases_overdue{")]


def test_metrics_tell_what_is_overdue(scene: Scene) -> None:
    scene.meters([1])
    scene.fall_silent([1])
    scene.turn()
    scene.clock.move(days=20)
    assert 'mdus_cases_overdue{severity="normal",team="field"} 1.0' in metrics(scene)


def test_the_course_of_a_figure_is_told(scene: Scene) -> None:
    scene.meters(range(1, 4))
    for number in (1, 2, 3):
        scene.fall_silent([number])
        scene.turn()
        scene.clock.move(days=1)
        roll_up(scene)
    opened = scene.ask("GET", "/kpis/days?name=cases_opened")
    assert [(one["day"], one["value"]) for one in opened] == [
        ("2026-03-23", 1.0),
        ("2026-03-24", 1.0),
        ("2026-03-25", 1.0),
    ]
    lines = scene.ask("GET", "/kpis/days?name=open_cases")
    assert [one["value"] for one in lines if one["labels"]["kind"] == "device_silent"] == [1, 2, 3]
    since = (START + timedelta(days=1)).date()
    assert len(scene.ask("GET", f"/kpis/days?name=cases_opened&since={since}&until={since}")) == 1


def test_readings_that_were_estimated_are_told_as_a_figure_of_their_own(scene: Scene) -> None:
    ordered(scene.database, 4, closes=scene.clock.now() - timedelta(days=2), estimated=1)
    ordered(scene.database, 4, first=10, closes=scene.clock.now())
    on = scene.clock.now().date()
    scene.clock.move(days=1)
    roll_up(scene)

    def told(name: str) -> list[tuple[str, float]]:
        found = scene.ask("GET", f"/kpis/days?name={name}")
        assert all(one["labels"] == {"head_end": "", "sender_system": "P11"} for one in found)
        return [(one["day"], one["value"]) for one in found]

    assert told("estimated_reads") == [(str(on - timedelta(days=2)), 0.25), (str(on), 0.0)]
    assert told("estimated_reads_settled") == [(str(on), 0.125)]
    assert 'mdus_estimated_reads{head_end="",sender_system="P11"} 0.125' in scene.mdus.get("/metrics").text


@pytest.mark.parametrize("wrong", ["name=colour", "until=tomorrow", "limit=0"])
def test_the_course_of_nothing_is_refused(scene: Scene, wrong: str) -> None:
    scene.ask("GET", f"/kpis/days?{wrong}", status=422)
