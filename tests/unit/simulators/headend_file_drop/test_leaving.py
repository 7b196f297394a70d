"""How the simulated head end leaves files, and what each of its faults makes of that."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simulators.headend_file_drop.faults import FAULTS, FILE, FURTHER_RECORDS, SEVERAL_RECORDS
from simulators.headend_file_drop.leaving import Draft, Leaving, Rows

CREATED = datetime(2026, 3, 28, 8, 0, tzinfo=UTC)
BODY = b"header 2026\na\nb\nc\n"
SETTLED = 0.05


def draft(name: str = "day.txt", *, before: Rows = ()) -> Draft:
    def write(rows: Rows, created: datetime) -> list[str]:
        return [f"header {created:%Y}", *(row["text"] for row in rows)]

    return Draft(name=name, rows=[{"text": text} for text in "abc"], created=CREATED, write=write, before=before)


class Watched:
    """A folder with somebody who takes files away as soon as they have not changed for a while."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.taken: list[tuple[str, bytes]] = []
        self.seen: list[tuple[str, int]] = []  # each look of a file that lay there under a final name

    async def watch(self) -> None:
        """Look, and take away what has settled."""
        sizes: dict[str, tuple[int, float]] = {}
        loop = asyncio.get_running_loop()
        while True:
            for path in sorted(self.folder.iterdir()):
                if path.suffix == ".part":
                    continue
                size, now = path.stat().st_size, loop.time()
                known = sizes.get(path.name)
                if known is None or known[0] != size:
                    self.seen.append((path.name, size))
                    sizes[path.name] = (size, now)
                elif now - known[1] >= SETTLED:
                    self.taken.append((path.name, path.read_bytes()))
                    path.unlink()
                    del sizes[path.name]
            await asyncio.sleep(0.002)

    def during(self, doing: Coroutine[Any, Any, bool]) -> bool:
        """Let something happen while the folder is watched, and until it is empty."""

        async def play() -> bool:
            watching = asyncio.create_task(self.watch())
            done = await doing
            async with asyncio.timeout(10):
                while any(self.folder.iterdir()):
                    await asyncio.sleep(0.01)
            watching.cancel()
            return done

        return asyncio.run(play())


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """A folder that is watched."""
    return Watched(tmp_path)


def leave(watched: Watched, fault: str | None, **of: Any) -> list[tuple[str, bytes]]:
    assert watched.during(Leaving(watched.folder, settled=SETTLED).leave(draft(**of), fault))
    return watched.taken


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "files"),
        [
            (None, [("day.txt", BODY)]),
            ("duplicate_name", [("day.txt", b"header 2026\na\nb\n"), ("day.txt", b"header 2026\nc\n")]),
            ("duplicate_file", [("copy_of_day.txt", BODY), ("day.txt", BODY)]),
            ("zero_byte", [("day.txt", BODY), ("empty_day.txt", b"")]),
            ("bom", [("day.txt", b"\xef\xbb\xbf" + BODY)]),
            ("crlf", [("day.txt", BODY.replace(b"\n", b"\r\n"))]),
            ("bad_record", [("day.txt", BODY.replace(b"2026\n", b"2026\nthis is no record\n"))]),
            ("late_file", [("day.txt", BODY)]),
            ("clock_off_header", [("day.txt", BODY.replace(b"2026", b"1970"))]),
        ],
    )
    def test_leave_these_files(self, watched: Watched, fault: str | None, files: list[tuple[str, bytes]]) -> None:
        assert leave(watched, fault) == files

    @pytest.mark.parametrize("fault", ["half_written", "renamed_while_writing"])
    def test_let_a_file_have_its_name_before_it_is_whole(self, watched: Watched, fault: str) -> None:
        assert leave(watched, fault) == [("day.txt", BODY)]
        sizes = [size for name, size in watched.seen if name == "day.txt"]
        assert len(sizes) > 1
        assert sizes == sorted(sizes)

    def test_compress_under_the_same_name(self, watched: Watched) -> None:
        ((name, body),) = leave(watched, "gz")
        assert (name, gzip.decompress(body)) == ("day.txt", BODY)

    def test_cut_a_compressed_file_off_and_leave_it_again(self, watched: Watched) -> None:
        (first, second) = leave(watched, "truncated_gz")
        assert (first[0], second[0]) == ("day.txt.gz", "day.txt.gz")
        assert gzip.decompress(second[1]) == BODY
        assert second[1].startswith(first[1])
        with pytest.raises(EOFError):
            gzip.decompress(first[1])

    def test_repeat_what_the_file_before_told(self, watched: Watched) -> None:
        ((_, body),) = leave(watched, "catch_up_rows", before=[{"text": "z"}])
        assert body == b"header 2026\nz\na\nb\nc\n"

    def test_date_a_file_back(self, tmp_path: Path) -> None:
        asyncio.run(Leaving(tmp_path, settled=SETTLED).leave(draft(), "clock_off_header"))
        assert (tmp_path / "day.txt").stat().st_mtime == 0

    def test_are_all_known(self) -> None:
        own = {name for name, fault in FAULTS.items() if set(fault.kinds) & {FILE, FURTHER_RECORDS, SEVERAL_RECORDS}}
        assert own == {
            "half_written",
            "renamed_while_writing",
            "truncated_gz",
            "duplicate_name",
            "duplicate_file",
            "zero_byte",
            "bom",
            "crlf",
            "gz",
            "bad_record",
            "late_file",
            "catch_up_rows",
            "clock_off_header",
        }

    def test_make_a_channel_of_a_document_bad(self) -> None:
        def write(rows: Rows, _: datetime) -> list[str]:
            return ["<Channels>", *(row["text"] for row in rows), "</Channels>"]

        made = Draft(name="d.xml", rows=[{"text": "x"}], created=CREATED, write=write).body(bad=True).splitlines()
        assert made[0] == b"<Channels>"
        assert b'NumberOfReadings="2"' in made[1]


class TestLeaving:
    def test_again_what_still_lies_there_is_the_same_file(self, tmp_path: Path) -> None:
        leaving = Leaving(tmp_path, settled=SETTLED)
        assert asyncio.run(leaving.leave(draft(), None))
        assert asyncio.run(leaving.leave(draft(), None))
        assert [each.name for each in tmp_path.iterdir()] == ["day.txt"]

    @pytest.mark.parametrize("fault", [None, "half_written", "gz"])
    def test_never_overwrites_another_file(self, tmp_path: Path, fault: str | None) -> None:
        (tmp_path / "day.txt").write_bytes(b"another")
        assert not asyncio.run(Leaving(tmp_path, settled=SETTLED).leave(draft(), fault))
        assert (tmp_path / "day.txt").read_bytes() == b"another"

    @pytest.mark.parametrize(
        ("fault", "done", "left"),
        [
            pytest.param("truncated_gz", True, BODY, id="the copy replaces what was cut off"),
            pytest.param("duplicate_name", False, b"header 2026\na\nb\n", id="the second file is left another time"),
        ],
    )
    def test_does_not_wait_for_ever_for_somebody_to_take_files_away(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, done: bool, left: bytes
    ) -> None:
        monkeypatch.setattr("simulators.headend_file_drop.leaving._PATIENCE", 0.1)
        assert asyncio.run(Leaving(tmp_path, settled=SETTLED).leave(draft(), fault)) is done
        (path,) = tmp_path.iterdir()
        body = path.read_bytes()
        assert (gzip.decompress(body) if done else body) == left
