"""Who waits for a SQLite file is let in before whoever comes later, however busy the file is."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mdus.storage.turnstile import Turnstile

PATIENCE = 20.0


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for a condition of another thread."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def is_locked(path: Path) -> bool:
    """Tell whether somebody holds the lock on a file."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database file; turnstiles know its name only."""
    return tmp_path / "mdus.db"


class TestTurnstile:
    def test_lets_who_waits_in_before_who_has_just_been_in(self, database: Path) -> None:
        busy, waiting = (Turnstile(database, patience=PATIENCE) for _ in range(2))
        entered: list[str] = []

        def wait() -> None:
            with waiting.turn():
                entered.append("waiting")

        thread = threading.Thread(target=wait)
        with busy.turn():
            entered.append("busy")
            thread.start()
            wait_until(lambda: is_locked(Path(f"{database}.next")))
        with busy.turn():
            entered.append("busy again")
        thread.join()

        assert entered == ["busy", "waiting", "busy again"]

    def test_lets_one_in_at_a_time(self, database: Path) -> None:
        inside: list[int] = []
        most: list[int] = []

        def write(number: int) -> None:
            turnstile = Turnstile(database, patience=PATIENCE)
            for _ in range(20):
                with turnstile.turn():
                    inside.append(number)
                    most.append(len(inside))
                    inside.remove(number)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(most) == 80
        assert set(most) == {1}

    def test_goes_on_without_a_turn_when_patience_ends(self, database: Path) -> None:
        holder, impatient = Turnstile(database, patience=PATIENCE), Turnstile(database, patience=0.01)
        entered = False
        with holder.turn(), impatient.turn():
            entered = True
        assert entered
        with holder.turn():  # what the impatient one had not, it has not given back either
            assert is_locked(Path(f"{database}.writer"))

    def test_opens_its_files_again_after_it_was_closed(self, database: Path) -> None:
        turnstile = Turnstile(database, patience=PATIENCE)
        for _ in range(2):
            with turnstile.turn():
                assert is_locked(Path(f"{database}.writer"))
            turnstile.close()
            assert not is_locked(Path(f"{database}.writer"))

    def test_of_a_database_in_memory_makes_no_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with Turnstile(None, patience=PATIENCE).turn():
            pass
        assert list(tmp_path.iterdir()) == []
