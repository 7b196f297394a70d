"""The landscape's own judgement, and that it ends what it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import psutil
import pytest

from simulators.landscape.__main__ import _wanted, main
from simulators.landscape.faults import FIELD_FAULTS
from simulators.landscape.report import Check, Report, Row
from simulators.landscape.scenario import days_with_change
from simulators.sap_cis.faults import FAULTS as SAP_FAULTS

REPOSITORY = Path(__file__).resolve().parents[4]
PATIENCE_SECONDS = 90.0


class TestDaysWithChange:
    @pytest.mark.parametrize(
        ("zone", "after", "change"),
        [
            pytest.param("Europe/Berlin", datetime(2026, 11, 22, tzinfo=UTC), date(2027, 3, 28), id="spring_23_hours"),
            pytest.param("Europe/Berlin", datetime(2026, 6, 1, tzinfo=UTC), date(2026, 10, 25), id="autumn_25_hours"),
            pytest.param("Asia/Kolkata", datetime(2026, 6, 1, tzinfo=UTC), date(2026, 6, 4), id="no_change"),
        ],
    )
    def test_the_second_day_is_the_next_day_of_a_change(self, zone: str, after: datetime, change: date) -> None:
        before, day, following = days_with_change(ZoneInfo(zone), after=after)
        assert day == change
        assert (day - before).days == (following - day).days == 1


class TestRow:
    @pytest.mark.parametrize(
        ("row", "held"),
        [
            pytest.param(Row(process="p", sent=3, confirmed=3), True, id="all_confirmed"),
            pytest.param(Row(process="p", sent=4, confirmed=1, refused=1, cancelled=1, failed=1), True, id="explained"),
            pytest.param(Row(process="p", sent=3, confirmed=2, lost=1), False, id="one_lost"),
            pytest.param(Row(process="p", sent=3, confirmed=2), False, id="one_not_counted"),
        ],
    )
    def test_holds_only_when_every_object_has_its_end(self, row: Row, held: bool) -> None:
        assert row.held is held

    @pytest.mark.parametrize("held", [True, False], ids=["check_held", "check_broken"])
    def test_a_report_holds_only_with_all_its_checks(self, held: bool) -> None:
        report = Report(
            meters=1,
            seed=1,
            seconds=1.0,
            days=["2027-03-27"],
            rows=[Row(process="p")],
            checks=[Check(name="c", held=held, seen="")],
            faults=[],
        )
        assert report.held is held
        assert report.as_json()["held"] is held


def test_an_unknown_fault_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--faults", "earthquake"]) == 2
    said = capsys.readouterr().out
    assert "earthquake" in said
    assert "stuck_relay" in said


def test_all_faults_of_both_sides_can_be_asked_for() -> None:
    wanted = _wanted("all")
    assert wanted["head end"] == list(FIELD_FAULTS)
    assert wanted["sap"] == list(SAP_FAULTS)
    assert {"interval_gap", "duplicate_block", "event_storm"} <= set(wanted["head end"])
    assert _wanted("event_storm, answers_503") == {"sap": ["answers_503"], "head end": ["event_storm"]}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl_c", "sigterm"])
def test_a_stopped_demo_leaves_no_process_behind(tmp_path: Path, how: signal.Signals) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "simulators.landscape", "--meters", "3"],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        started = _wait_for_children(demo, at_least=4)  # MDUS with its worker, SAP, the head end
        demo.send_signal(how)
        said, _ = demo.communicate(timeout=PATIENCE_SECONDS)
    finally:
        demo.kill()
    assert demo.returncode == 130
    assert b"all processes of the landscape have ended" in said
    _, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []
    assert list(tmp_path.glob("mdus-demo-*")) == []


def _wait_for_children(demo: subprocess.Popen[bytes], *, at_least: int) -> list[psutil.Process]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    watched = psutil.Process(demo.pid)
    while time.monotonic() < deadline:
        assert demo.poll() is None, demo.stdout and demo.stdout.read()
        children = watched.children(recursive=True)
        if len(children) >= at_least:
            return children
        time.sleep(0.05)
    raise AssertionError("the landscape did not start its processes")
