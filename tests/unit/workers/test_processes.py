"""Child processes are kept running, and none is left behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from mdus.workers.processes import Children

FOREVER = "import time\nwhile True: time.sleep(60)"
DEAF = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\n{FOREVER}"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


Start = Callable[..., Children]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Children] = []

    def begin(script: str, *, count: int = 1, ended: Callable[[int], None] = lambda _: None) -> Children:
        children = Children([sys.executable, "-c", script], count=count, environ=os.environ, ended=ended)
        started.append(children)
        children.start()
        return children

    yield begin
    for children in started:
        children.stop(seconds=0)


class TestChildren:
    def test_as_many_run_as_asked_for(self, start: Start) -> None:
        assert len(set(start(FOREVER, count=2).process_ids)) == 2

    def test_one_that_was_killed_is_started_again(self, start: Start) -> None:
        ended: list[int] = []
        children = start(FOREVER, count=2, ended=ended.append)
        first, other = children.process_ids
        os.kill(first, signal.SIGKILL)
        until(lambda: len(children.process_ids) == 2 and first not in children.process_ids)
        assert other in children.process_ids
        assert ended == [first]

    def test_one_that_ends_at_once_is_started_ever_more_seldom(self, start: Start) -> None:
        ended: list[float] = []
        start("pass", ended=lambda _: ended.append(time.monotonic()))
        until(lambda: len(ended) == 4)
        # 0.4, 0.8 and 1.6 seconds are the pauses between them; how long a start takes comes on top.
        assert ended[3] - ended[0] > 2.5

    def test_none_is_left_after_the_end(self, start: Start) -> None:
        children = start(FOREVER, count=2)
        children.stop(seconds=20)
        assert children.process_ids == []

    def test_one_that_does_not_listen_is_killed(self, start: Start, capfd: pytest.CaptureFixture[str]) -> None:
        children = start(DEAF)
        until(lambda: "deaf" in capfd.readouterr().out)
        children.ask_to_end()
        assert len(children.process_ids) == 1
        children.stop(seconds=0.2)
        assert children.process_ids == []

    def test_none_is_started_again_once_asked_to_end(self, start: Start) -> None:
        children = start(FOREVER)
        children.ask_to_end()
        until(lambda: children.process_ids == [])
        children.stop(seconds=20)
        assert children.process_ids == []
