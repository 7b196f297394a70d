"""The head end that is a folder: requests are files it takes away, and what it takes depends on where they can lie."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mdus.domain.command import Command, CommandKind
from mdus.domain.head_end import Batch
from mdus.headends.file_drop.adapter import FileDropHeadEnd
from mdus.headends.file_drop.requests import REQUESTABLE
from mdus.messaging.retry import TransientError, UncertainError
from tests.unit.headends import samples
from tests.unit.headends.file_drop.cmep_files import file, mepmd01
from tests.unit.headends.file_drop.feeds import row

NOON = datetime(2026, 3, 27, 11, 0, tzinfo=UTC)


def command(number: int, kind: CommandKind, **changes: Any) -> Command:
    named = {"command_key": f"key-{number}", "device_id": f"D{number}", "serial_id": f"000{number}"}
    return samples.command(kind, at=NOON, **(named | changes))


def batch(kind: CommandKind = CommandKind.READ_ON_DEMAND, *, correlation: str = "c-1", count: int = 1) -> Batch:
    return samples.batch(*(command(number, kind) for number in range(1, count + 1)), correlation=correlation)


@pytest.fixture
def asked(tmp_path: Path) -> FileDropHeadEnd:
    """A head end that takes requests."""
    (tmp_path / "ask").mkdir()
    return FileDropHeadEnd(row(request_folder=tmp_path / "ask"))


def requests(folder: Path) -> list[dict[str, str]]:
    (path,) = [each for each in (folder / "ask").iterdir() if each.is_file()]
    return list(csv.DictReader(io.StringIO(path.read_text())))


class TestSubmit:
    def test_leaves_a_file_named_after_the_call(self, asked: FileDropHeadEnd, tmp_path: Path) -> None:
        taken = asked.submit(batch(CommandKind.READ_INTERVALS, count=2))

        assert (taken.token, taken.rejections) == ("c-1", ())
        assert [each.name for each in (tmp_path / "ask").iterdir()] == ["c-1.csv"]
        assert requests(tmp_path) == [
            {
                "reference": f"key-{number}",
                "serial": f"000{number}",
                "what": "read_intervals",
                "from": "2026-03-26T11:00:00Z",
                "to": "2026-03-27T11:00:00Z",
                "expires": "2026-03-27T12:00:00Z",
            }
            for number in (1, 2)
        ]

    def test_leaves_the_period_out_where_there_is_none(self, asked: FileDropHeadEnd, tmp_path: Path) -> None:
        asked.submit(batch())
        (found,) = requests(tmp_path)
        assert (found["what"], found["from"], found["to"]) == ("read_on_demand", "", "")

    @pytest.mark.parametrize("taken", [False, True], ids=["it lies there", "it was taken"])
    def test_again_is_the_same_request(self, asked: FileDropHeadEnd, tmp_path: Path, taken: bool) -> None:
        asked.submit(batch())
        if taken:
            (tmp_path / "ask" / "taken").mkdir()
            (tmp_path / "ask" / "c-1.csv").rename(tmp_path / "ask" / "taken" / "c-1.csv")
        assert asked.submit(batch(count=2)).token == "c-1"
        assert len(list((tmp_path / "ask").rglob("*.csv"))) == 1

    @pytest.mark.parametrize("kind", sorted(set(CommandKind) - REQUESTABLE))
    def test_takes_nothing_that_must_not_lie_about(
        self, asked: FileDropHeadEnd, tmp_path: Path, kind: CommandKind
    ) -> None:
        (rejection,) = asked.submit(batch(kind)).rejections
        assert (rejection.command_key, rejection.code) == ("key-1", "NOT_SUPPORTED")
        assert list((tmp_path / "ask").iterdir()) == []

    def test_takes_nothing_without_a_folder_for_it(self) -> None:
        (rejection,) = FileDropHeadEnd(row()).submit(batch()).rejections
        assert rejection.code == "NOT_SUPPORTED"

    def test_may_be_tried_again_where_nothing_was_left(self, asked: FileDropHeadEnd, tmp_path: Path) -> None:
        (tmp_path / "ask").rmdir()
        with pytest.raises(TransientError, match="no request can be written"):
            asked.submit(batch())

    def test_is_uncertain_where_it_may_have_been(self, asked: FileDropHeadEnd, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object) -> None:
            raise OSError("gone")

        monkeypatch.setattr(Path, "rename", broken)
        with pytest.raises(UncertainError, match="may have been left: gone"):
            asked.submit(batch())
        assert asked.find("c-1") is None


class TestFind:
    def test_finds_a_request_that_was_left_or_taken(self, asked: FileDropHeadEnd, tmp_path: Path) -> None:
        assert asked.find("c-1") is None
        asked.submit(batch())
        found = asked.find("c-1")
        assert found is not None
        assert found.token == "c-1"
        (tmp_path / "ask" / "taken").mkdir()
        (tmp_path / "ask" / "c-1.csv").rename(tmp_path / "ask" / "taken" / "c-1.csv")
        assert asked.find("c-1") is not None

    def test_does_not_find_one_that_is_half_written(self, asked: FileDropHeadEnd, tmp_path: Path) -> None:
        (tmp_path / "ask" / "c-1.csv.part").write_text("reference")
        assert asked.find("c-1") is None


class TestProbe:
    def test_says_what_it_takes(self, asked: FileDropHeadEnd) -> None:
        assert asked.probe().takes == REQUESTABLE
        assert FileDropHeadEnd(row()).probe().takes == frozenset()

    def test_looks_whether_the_folders_are_there(self, tmp_path: Path) -> None:
        head_end = FileDropHeadEnd(row(folder=tmp_path / "drop", request_folder=tmp_path / "ask"))
        for folder in ("drop", "ask"):
            with pytest.raises(TransientError, match=folder):
                head_end.probe()
            (tmp_path / folder).mkdir()
        assert str(tmp_path / "drop") in head_end.probe().text


class TestArrivals:
    def test_are_nothing_where_nothing_is_watched(self) -> None:
        assert list(FileDropHeadEnd(row()).arrivals()) == []

    def test_are_to_be_had_later_where_the_folder_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(TransientError, match="cannot be had"):
            list(FileDropHeadEnd(row(folder=tmp_path / "drop")).arrivals())

    def test_are_read_in_the_format_of_their_pattern(self, tmp_path: Path) -> None:
        head_end = FileDropHeadEnd(
            row(folder=tmp_path, settled_seconds=0, patterns={"UTIL_*.txt": "cmep", "*.txt": "csv"})
        )
        for name in ("util_1.TXT", "other.txt", "any.dat"):
            (tmp_path / name).write_bytes(file(mepmd01(["1"])))
        read: list[str] = []
        for arrival in head_end.arrivals():
            try:
                read += [each.topic for each in arrival.deliveries]
            except ValueError as error:
                arrival.failed(str(error))
            else:
                arrival.taken()
        assert read == ["cmep", "cmep"]
        assert (tmp_path / "failed" / "other.txt.reason").read_text().startswith("the file other.txt: the header")
        assert sorted(each.name for each in (tmp_path / "done").iterdir()) == ["any.dat", "util_1.TXT"]
