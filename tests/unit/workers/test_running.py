"""Loops: each turns until told to stop, wakes the others, and outlives the errors of its turns."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from sqlalchemy.exc import OperationalError

from mdus.workers.running import Loop, Loops


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


class Turns:
    """Counts its turns; moves something while there is some left."""

    def __init__(self, *, left: int = 0, fails: list[Exception] | None = None) -> None:
        self.count = 0
        self.left = left
        self._fails = fails or []

    def __call__(self) -> int:
        self.count += 1
        if self._fails:
            raise self._fails.pop()
        if self.left:
            self.left -= 1
            return 1
        return 0


def run(*loops: Loop, poll_seconds: float = 30.0) -> Loops:
    running = Loops(loops, poll_seconds=poll_seconds)
    running.start()
    return running


def end(running: Loops) -> None:
    running.stop()
    running.join()


class TestLoops:
    def test_turn_again_at_once_while_there_is_work(self) -> None:
        turns = Turns(left=500)
        running = run(Loop("busy", turns))
        until(lambda: turns.left == 0)
        end(running)

    def test_look_again_without_being_woken(self) -> None:
        turns = Turns()
        running = run(Loop("idle", turns), poll_seconds=0.01)
        until(lambda: turns.count > 5)
        end(running)

    def test_wake_the_others_when_something_moved(self) -> None:
        idle, busy, begin = Turns(), Turns(), threading.Event()
        running = run(Loop("idle", idle), Loop("busy", lambda: (begin.wait(20) and busy()) or 0))
        until(lambda: idle.count > 8)  # its pauses have grown to five seconds
        before, busy.left = idle.count, 1
        woken_at = time.monotonic()
        begin.set()
        until(lambda: idle.count > before)
        assert time.monotonic() - woken_at < 4.0
        end(running)

    def test_do_not_wake_those_that_take_nothing(self) -> None:
        busy, woken = Turns(left=50), Loop("scheduler", Turns(), wakeful=False)
        running = run(Loop("busy", busy), woken)
        until(lambda: busy.left == 0)
        assert not woken.woken.is_set()
        end(running)

    @pytest.mark.parametrize(
        "error",
        [OperationalError("SELECT 1", {}, Exception("gone")), ZeroDivisionError("a defect")],
        ids=["db", "defect"],
    )
    def test_go_on_after_an_error(self, error: Exception) -> None:
        turns = Turns(left=3, fails=[error])
        running = run(Loop("stumbling", turns))
        until(lambda: turns.left == 0)
        assert running.wait(0)
        end(running)

    def test_end_after_the_present_turn(self) -> None:
        inside, leave, ended = threading.Event(), threading.Event(), []

        def turn() -> int:
            inside.set()
            leave.wait(20)
            ended.append("turn")
            return 1

        running = run(Loop("slow", turn, close=lambda: ended.append("close")))
        inside.wait(20)
        running.stop()
        assert ended == []
        leave.set()
        running.join()
        assert ended == ["turn", "close"]

    def test_close_all_although_one_does_not_close(self) -> None:
        closed: list[str] = []

        def fail() -> None:
            raise ZeroDivisionError

        running = run(Loop("one", Turns(), close=fail), Loop("two", Turns(), close=lambda: closed.append("two")))
        end(running)
        assert closed == ["two"]

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_notice_a_loop_that_ended_by_itself(self) -> None:
        def die() -> int:
            raise SystemExit

        running = run(Loop("dying", die), Loop("living", Turns()))
        until(lambda: not running.wait(0.01))
        end(running)

    def test_wake_a_helper_only_for_the_work_of_its_crew(self) -> None:
        busy, leader = Turns(left=50), Turns()
        helper = Loop("head end 2", Turns(), crew="head end 1")
        running = run(Loop("outbox", busy), Loop("head end 1", leader), helper)
        until(lambda: busy.left == 0)
        was_woken = helper.woken.is_set()
        end(running)
        assert not was_woken

    def test_wake_a_helper_when_its_leader_finds_work(self) -> None:
        helper, leader, begin = Turns(), Turns(), threading.Event()
        running = run(
            Loop("head end 2", helper, crew="head end 1"),
            Loop("head end 1", lambda: (begin.wait(20) and leader()) or 0),
        )
        until(lambda: helper.count > 8)  # its pauses have grown to five seconds
        before, leader.left = helper.count, 1
        woken_at = time.monotonic()
        begin.set()
        until(lambda: helper.count > before)
        assert time.monotonic() - woken_at < 4.0
        end(running)

    def test_wake_all_when_business_time_has_jumped(self) -> None:
        idle, helper = Turns(), Turns()
        running = run(Loop("idle", idle), Loop("helper", helper, crew="idle"), Loop("jobs", Turns(), wakeful=False))
        until(lambda: idle.count > 8 and helper.count > 8)
        before = idle.count, helper.count
        running.wake()
        woken_at = time.monotonic()
        until(lambda: idle.count > before[0] and helper.count > before[1])
        assert time.monotonic() - woken_at < 4.0
        end(running)
