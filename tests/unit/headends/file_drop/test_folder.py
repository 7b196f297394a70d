"""A watched folder: files are taken when they are whole, by one process, and moved on when all of them is durable."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from mdus.headends.file_drop import folder as folders
from mdus.headends.file_drop.folder import DropFolder
from mdus.messaging.retry import TransientError


class Drop:
    """A folder that processes watch, and the time on their clocks."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "drop"
        self.folder.mkdir()
        self.done, self.failed = root / "done", root / "failed"
        self.seconds = 0.0
        self.process = self.new_process()

    def new_process(self) -> DropFolder:
        """Return the folder as another process has it."""
        return DropFolder(
            self.folder, done=self.done, failed=self.failed, settled_seconds=10, monotonic=lambda: self.seconds
        )

    def put(self, name: str, body: bytes = b"body") -> Path:
        """Let a file lie in the folder."""
        path = self.folder / name
        path.write_bytes(body)
        return path

    def settle(self, process: DropFolder | None = None) -> None:
        """Let a process see what there is, and let that be for long enough."""
        (process or self.process)._look()
        self.seconds += 10

    def taken(self, process: DropFolder | None = None) -> list[tuple[str, bytes]]:
        """Take all that is whole in; returns the names and contents."""
        found = []
        for claim in (process or self.process).claims():
            with claim:
                found.append((claim.name, claim.file.read()))
                claim.done()
        return found

    def names(self, folder: Path) -> list[str]:
        """Return the names of the files in a folder."""
        return sorted(each.name for each in folder.iterdir() if each.is_file()) if folder.exists() else []

    def working(self) -> list[str]:
        """Return the names of files being worked on, without their numbers."""
        return [name.partition(".")[2] for name in self.names(self.folder / ".working")]


@pytest.fixture
def drop(tmp_path: Path) -> Drop:
    """An empty folder."""
    return Drop(tmp_path)


class TestSettling:
    def test_takes_a_file_that_has_not_changed_for_long_enough(self, drop: Drop) -> None:
        drop.put("a.csv")
        assert drop.taken() == []
        drop.seconds = 9.9
        assert drop.taken() == []
        drop.seconds = 10
        assert drop.taken() == [("a.csv", b"body")]
        assert (drop.names(drop.folder), drop.working(), drop.names(drop.done)) == ([], [], ["a.csv"])

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda path: path.write_bytes(b"body and more"), id="grown"),
            pytest.param(lambda path: os.utime(path, (1, 1)), id="touched"),
            pytest.param(lambda path: (path.unlink(), path.write_bytes(b"BODY")), id="replaced"),
        ],
    )
    def test_begins_anew_with_each_change(self, drop: Drop, change: Callable[[Path], object]) -> None:
        path = drop.put("a.csv")
        drop.settle()
        change(path)
        assert drop.taken() == []
        drop.seconds += 9
        assert drop.taken() == []
        drop.seconds += 1
        assert [name for name, _ in drop.taken()] == ["a.csv"]

    @pytest.mark.parametrize("name", ["a.csv.part", "a.tmp", "a.csv.filepart", "A.PART", ".a.csv"])
    def test_leaves_what_is_named_as_unfinished(self, drop: Drop, name: str) -> None:
        path = drop.put(name)
        drop.settle()
        assert drop.taken() == []
        path.rename(drop.folder / "a.csv")
        drop.settle()
        assert drop.taken() == [("a.csv", b"body")]

    def test_takes_what_came_first_whatever_time_it_was_given(self, drop: Drop) -> None:
        for age, name in enumerate(("c", "a", "b")):
            os.utime(drop.put(name), (100 - age, 100 - age))
        drop.settle()
        assert [name for name, _ in drop.taken()] == ["c", "a", "b"]

    def test_takes_what_was_claimed_before_first_of_all(self, drop: Drop) -> None:
        drop.put("b")
        drop.settle()
        (claim,) = drop.process.claims()
        claim.file.close()
        drop.put("a")
        drop.settle()
        assert [name for name, _ in drop.taken()] == ["b", "a"]

    def test_passes_over_folders_and_links(self, drop: Drop) -> None:
        (drop.folder / "sub").mkdir()
        (drop.folder / "link").symlink_to("/etc/hostname")
        drop.settle()
        assert drop.taken() == []

    def test_waits_for_whoever_goes_on_writing(self, drop: Drop) -> None:
        with drop.put("a.csv", b"half").open("ab", buffering=0) as writer:
            for _ in range(3):
                drop.settle()
                writer.write(b" more")
                assert drop.taken() == []
        drop.seconds += 10
        assert drop.taken() == [("a.csv", b"half more more more")]

    def test_leaves_a_file_that_is_written_to_while_it_is_claimed(
        self, drop: Drop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        writer = drop.put("a.csv", b"half").open("ab", buffering=0)
        drop.settle()
        real = Path.rename

        def rename(path: Path, target: Path) -> Path:
            writer.write(b" and half")
            return real(path, target)

        monkeypatch.setattr(Path, "rename", rename)
        assert drop.taken() == []
        assert drop.working() == ["a.csv"]
        writer.write(b" and more")  # renamed or not, it is still being written
        writer.close()
        drop.settle()
        assert drop.taken() == [("a.csv", b"half and half and more")]


class TestClaiming:
    def test_gives_a_file_to_one_process(self, drop: Drop) -> None:
        drop.put("a.csv")
        other = drop.new_process()
        drop.settle()
        (claim,) = drop.process.claims()
        with claim:
            drop.settle(other)  # it sees the file among those being worked on
            assert list(other.claims()) == []
            claim.done()
        drop.seconds += 10
        assert list(other.claims()) == []
        assert drop.names(drop.done) == ["a.csv"]

    def test_goes_on_with_what_another_process_left_behind(self, drop: Drop) -> None:
        drop.put("a.csv")
        drop.settle()
        (claim,) = drop.process.claims()
        claim.file.close()  # as its end does
        assert (drop.names(drop.folder), drop.working()) == ([], ["a.csv"])

        other = drop.new_process()
        drop.settle(other)
        assert drop.taken(other) == [("a.csv", b"body")]

    def test_does_not_take_a_file_that_another_has_just_finished(
        self, drop: Drop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drop.put("a.csv")
        drop.settle()
        (left,) = drop.process.claims()
        left.file.close()
        other = drop.new_process()
        drop.settle(other)
        real = folders.fcntl.flock

        def late(*args: object) -> None:
            """Let the other process finish between the look and the lock."""
            monkeypatch.setattr(folders.fcntl, "flock", real)
            left.done()
            real(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(folders.fcntl, "flock", late)
        left = _reopened(left)
        assert drop.taken(other) == []
        assert drop.names(drop.done) == ["a.csv"]

    def test_keeps_files_of_one_name_apart(self, drop: Drop) -> None:
        for body in (b"one", b"two", b"three"):
            drop.put("a.csv", body)
            drop.settle()
            assert drop.taken() == [("a.csv", body)]
        assert drop.names(drop.done) == ["a.csv", "a.csv.2", "a.csv.3"]
        assert (drop.done / "a.csv.2").read_bytes() == b"two"

    def test_of_a_name_that_is_being_worked_on_loses_neither(self, drop: Drop) -> None:
        drop.put("a.csv", b"one")
        drop.settle()
        (claim,) = drop.process.claims()
        with claim:
            drop.put("a.csv", b"two")
            other = drop.new_process()
            drop.settle(other)
            assert drop.taken(other) == [("a.csv", b"two")]
            claim.done()
        assert drop.names(drop.done) == ["a.csv", "a.csv.2"]

    def test_of_one_file_that_cannot_be_had_costs_no_other(self, drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
        drop.put("bad"), drop.put("good")
        drop.settle()
        real = Path.rename

        def rename(path: Path, target: Path) -> Path:
            if path.name == "bad":
                raise PermissionError("no")
            return real(path, target)

        monkeypatch.setattr(Path, "rename", rename)
        assert [name for name, _ in drop.taken()] == ["good"]


class TestMovingOn:
    def test_leaves_a_file_that_grew_while_it_was_read(self, drop: Drop) -> None:
        path = drop.put("a.csv", b"one")
        writer = path.open("ab")
        drop.settle()
        (claim,) = drop.process.claims()
        with claim:
            writer.write(b" two")
            writer.close()
            claim.done()
        assert (drop.working(), drop.names(drop.done)) == (["a.csv"], [])
        drop.settle()
        assert drop.taken() == [("a.csv", b"one two")]

    def test_sets_what_cannot_be_read_aside_with_the_reason(self, drop: Drop) -> None:
        for body in (b"one", b"two"):
            drop.put("a.xls", body)
            drop.settle()
            (claim,) = drop.process.claims()
            with claim:
                claim.failed(f"no format: {body.decode()}")
        assert drop.names(drop.failed) == ["a.xls", "a.xls.2", "a.xls.2.reason", "a.xls.reason"]
        assert (drop.failed / "a.xls.2.reason").read_text() == "no format: two\n"

    def test_is_tried_again_where_it_is_not_possible_now(self, drop: Drop) -> None:
        drop.put("a.csv")
        drop.done.write_text("no folder")
        drop.settle()
        (claim,) = drop.process.claims()
        with claim, pytest.raises(TransientError, match=r"a\.csv cannot be moved"):
            claim.done()
        drop.done.unlink()
        drop.settle()
        assert drop.taken() == [("a.csv", b"body")]

    def test_keeps_the_permissions_of_a_file(self, drop: Drop) -> None:
        drop.put("a.csv").chmod(0o640)
        drop.settle()
        drop.taken()
        assert stat.S_IMODE((drop.done / "a.csv").stat().st_mode) == 0o640


def test_a_folder_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    missing = DropFolder(tmp_path / "no", done=tmp_path, failed=tmp_path, settled_seconds=0)
    with pytest.raises(OSError, match="no"):
        list(missing.claims())


def _reopened(claim: folders.Claim) -> folders.Claim:
    claim.file = claim._path.open("rb")
    return claim


def test_a_file_that_may_only_be_read_is_taken_too(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    drop.put("a.csv")
    drop.settle()
    real = Path.open

    def opened(path: Path, mode: str = "r") -> object:
        if "+" in mode:
            raise PermissionError(path)
        return real(path, mode)

    monkeypatch.setattr(Path, "open", opened)
    assert drop.taken() == [("a.csv", b"body")]
