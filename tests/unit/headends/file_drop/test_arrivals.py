"""Files in a folder, from there into the database: none is lost, none counts twice, whoever is killed at any moment."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import shutil
import signal
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from mdus.bootstrap.discovery import discover
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import ExceptionCase
from mdus.headends.file_drop import HEAD_END, folder, parting
from mdus.headends.file_drop.formats import Format
from mdus.messaging.retry import RetryPolicy
from mdus.settings import load_settings
from mdus.storage import delivery
from mdus.storage.command import HEAD_END_DELIVERY
from mdus.storage.session import TABLES, Database
from mdus.workers.head_end_watch import HeadEndWatch
from mdus.workers.readings import ReadingsWorker
from tests.head_ends.field import StandingClock
from tests.unit.headends.file_drop.cmep_files import file, mepmd01
from tests.unit.headends.file_drop.feeds import row

RETRY = RetryPolicy(base=timedelta(0), cap=timedelta(0), attempts=3)
DAY = [mepmd01(["1", "2"], meter=number) for number in "123"]


class Feed:
    """A head end that leaves files in a folder, the process that watches it, and what is in the database."""

    def __init__(self, url: str, root: Path) -> None:
        self.url, self.root = url, root
        self.settings = load_settings({}, tables=discover().tables)
        self.clock = StandingClock()
        self.row = row(folder=root, settled_seconds=0)

    def put(self, name: str, body: bytes) -> None:
        """Leave a file."""
        (self.root / name).write_bytes(body)

    def install(self) -> None:
        """Make the meters known."""
        with self.database() as database, database.begin() as uow:
            uow.save(
                EndDevice(
                    sender_system="P11",
                    device_id=number,
                    serial_id=number,
                    material_id="LX100",
                    valid_from=date(2026, 1, 1),
                    head_end="files",
                )
                for number in "123"
            )

    def watch(self) -> int:
        """Look into the folder once, as a process that has just started; returns how many deliveries are new."""
        with self.database() as database:
            watch = HeadEndWatch(
                HEAD_END.connect(self.settings, self.row),
                database=database,
                clock=self.clock,
                retry=RETRY,
                takes=HEAD_END.capabilities,
                limit_to=lambda _: None,
                listens=True,
                holder="this",
            )
            return watch.turn()

    def take_in(self) -> None:
        """Let the readings worker do all it can."""
        with self.database() as database:
            decoders = {"files": HEAD_END.decoder(self.settings, self.row)}
            worker = ReadingsWorker(database=database, clock=self.clock, decoders=decoders, retry=RETRY)
            while worker.turn():
                pass

    def database(self) -> closing[Database]:
        """Return a connection to the database, for a while."""
        return closing(Database(self.url, settings=self.settings))

    def stored(self) -> list[bytes]:
        """Return the bodies of all deliveries, in the order of their content."""
        with self.database() as database, database.read() as uow:
            return sorted(zlib.decompress(data) for data in uow.connection.scalars(select(HEAD_END_DELIVERY.c.data)))

    def forget(self) -> None:
        """Forget all deliveries."""
        with self.database() as database, database.begin() as uow:
            uow.connection.execute(delete(HEAD_END_DELIVERY))

    def statuses(self) -> list[str]:
        """Return the states of all deliveries."""
        with self.database() as database, database.read() as uow:
            return list(uow.connection.scalars(select(HEAD_END_DELIVERY.c.status).order_by(HEAD_END_DELIVERY.c.id)))

    def cases(self) -> list[tuple[str, str]]:
        """Return the kind and note of all cases."""
        with self.database() as database, database.read() as uow:
            table = TABLES[ExceptionCase]
            return [(each.kind, each.note or "") for each in table.fetch(uow.connection, table.select())]

    def places(self) -> dict[str, list[str]]:
        """Return where files are, but for reasons."""
        found: dict[str, list[str]] = {}
        for name in (".", ".working", "done", "failed"):
            where = self.root / name
            names = sorted(each.name for each in where.iterdir() if each.is_file()) if where.exists() else []
            found[name] = [each for each in names if not each.endswith(".reason")]
        return found


@pytest.fixture
def feed(database_url: str, tmp_path: Path) -> Feed:
    """An empty folder and an empty database."""
    (tmp_path / "drop").mkdir()
    return Feed(database_url, tmp_path / "drop")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of three records is of two parts."""
    monkeypatch.setattr(parting, "_LINES", dict.fromkeys(Format, 2))


class TestFiles:
    @pytest.mark.parametrize(
        "written",
        [
            pytest.param(lambda body: body, id="as it is"),
            pytest.param(gzip.compress, id="compressed"),
            pytest.param(lambda body: b"\xef\xbb\xbf" + body, id="with a byte order mark"),
            pytest.param(lambda body: body.replace(b"\r\n", b"\n"), id="with ends of lines of its own"),
        ],
    )
    def test_are_taken_in_however_they_are_written(
        self, feed: Feed, small_parts: None, written: Callable[[bytes], bytes]
    ) -> None:
        feed.install()
        feed.put("day.dat", written(file(*DAY)))
        assert feed.watch() == 2
        feed.take_in()
        assert (feed.statuses(), feed.cases()) == (["done", "done"], [])
        assert feed.places() == {".": [], ".working": [], "done": ["day.dat"], "failed": []}

    def test_with_a_bad_record_are_taken_in_but_for_that(self, feed: Feed) -> None:
        feed.install()
        feed.put("day.cmep", file(DAY[0], "garbage", DAY[1]))
        feed.watch()
        feed.take_in()
        ((kind, note),) = feed.cases()
        assert kind == "delivery_lines_unreadable"
        assert "line 2: MEPMD01 or MEPMD02 is expected, found 'garbage'" in note
        assert feed.places()["done"] == ["day.cmep"]

    def test_of_the_same_content_count_once_whatever_they_are_called(self, feed: Feed) -> None:
        feed.put("day.cmep", file(*DAY))
        assert feed.watch() == 1
        feed.put("day.cmep", file(*DAY))
        feed.put("again.cmep", file(*DAY))
        feed.put("again.cmep.gz", gzip.compress(file(*DAY)))
        assert feed.watch() == 0
        assert feed.places()["done"] == ["again.cmep", "again.cmep.gz", "day.cmep", "day.cmep.2"]

    def test_of_one_name_count_each_for_itself(self, feed: Feed) -> None:
        for number, record in enumerate(DAY, start=1):
            feed.put("day.cmep", file(record))
            assert feed.watch() == 1
            assert len(feed.stored()) == number

    @pytest.mark.parametrize(
        ("name", "body", "reason"),
        [
            pytest.param("day.xls", b"\xd0\xcf\x11\xe0", "neither a record of CMEP", id="of no known format"),
            pytest.param("day.cmep", b"", "the file is empty", id="of no byte"),
            pytest.param("day.gz", gzip.compress(file(*DAY) * 99)[:100], "is damaged", id="cut off"),
        ],
    )
    def test_that_cannot_be_read_are_set_aside_and_shown(self, feed: Feed, name: str, body: bytes, reason: str) -> None:
        feed.put(name, body)
        feed.put("good.cmep", file(*DAY))
        assert feed.watch() == 1
        assert (feed.places()["failed"], feed.places()["done"]) == ([name], ["good.cmep"])
        ((kind, note),) = feed.cases()
        assert kind == "delivery_unreadable"
        assert f"the file {name}: " in note
        assert reason in note

    @pytest.mark.parametrize(("larger", "place"), [(0, "done"), (1, "failed")], ids=["just", "too large"])
    def test_that_grow_larger_than_they_may_are_set_aside_and_shown(self, feed: Feed, larger: int, place: str) -> None:
        body = file(*DAY)
        feed.row = row(folder=feed.root, settled_seconds=0, max_file_bytes=len(body) - larger)
        feed.put("day.gz", gzip.compress(body))
        feed.watch()
        assert feed.places()[place] == ["day.gz"]
        if larger:
            reason = (feed.root / "failed" / "day.gz.reason").read_text()
            assert f"more than {len(body) - 1} bytes" in reason
            assert "(head_ends.files.options.max_file_bytes)" in reason
            assert [kind for kind, _ in feed.cases()] == ["delivery_unreadable"]

    def test_that_cannot_be_read_are_each_shown(self, feed: Feed) -> None:
        feed.put("a.xls", b"x")
        feed.put("b.xls", b"y")
        feed.watch()
        assert sorted(note.partition(": ")[2].partition(":")[0] for _, note in feed.cases()) == [
            "the file a.xls",
            "the file b.xls",
        ]

    def test_with_a_header_and_nothing_else_tell_nothing(self, feed: Feed) -> None:
        feed.put("events.csv", b"device,event,event_at\r\n")
        assert feed.watch() == 1
        feed.take_in()
        assert (feed.statuses(), feed.cases()) == (["done"], [])


class Dying:
    """Kills its process at the n-th step; steps are before and after each call that is watched."""

    def __init__(self, step: int) -> None:
        self._left = step

    def watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a call with a step before and after it."""

        def stepping(*arguments: Any, **named: Any) -> Any:
            self._step()
            found = call(*arguments, **named)
            self._step()
            return found

        return stepping

    def _step(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _watch_and_die(feed: Feed, step: int) -> None:
    dying = Dying(step)
    for where, name in (
        (Path, "rename"),
        (Path, "open"),
        (Path, "write_text"),
        (folder.fcntl, "flock"),
        (folder.os, "open"),
        (shutil, "move"),
        (delivery, "store"),
    ):
        setattr(where, name, dying.watched(getattr(where, name)))
    feed.watch()


def _deaths(feed: Feed) -> Iterator[int]:
    """Yield after each death, until a process lives through all of its steps."""
    context = multiprocessing.get_context("fork")
    for step in count(1):
        process = context.Process(target=_watch_and_die, args=(feed, step))
        process.start()
        process.join(60)
        if process.exitcode == 0:
            return
        assert process.exitcode == -signal.SIGKILL
        yield step


class TestKilled:
    @pytest.fixture
    def feed(self, sqlite_url: str, tmp_path: Path) -> Feed:
        """An empty folder; the processes share nothing with this one."""
        (tmp_path / "drop").mkdir()
        return Feed(sqlite_url, tmp_path / "drop")

    def test_at_any_moment_loses_no_file_and_counts_none_twice(self, feed: Feed, small_parts: None) -> None:
        expected = sorted([file(*DAY[:2]), file(*DAY[2:])])
        deaths = 0
        feed.put("day.cmep", file(*DAY))
        for step in _deaths(feed):
            deaths += 1
            assert sum(len(names) for place, names in feed.places().items() if place != "done") <= 1
            feed.watch()
            assert feed.stored() == expected, f"killed at step {step}"
            bodies = {(feed.root / "done" / name).read_bytes() for name in feed.places()["done"]}
            assert file(*DAY) in bodies
            assert bodies <= {file(*DAY), b""}  # a place that was taken and not filled
            assert (feed.places()["."], feed.places()[".working"]) == ([], [])
            feed.forget()
            shutil.rmtree(feed.root / "done")
            feed.put("day.cmep", file(*DAY))
        assert deaths > 10

    def test_at_any_moment_sets_what_cannot_be_read_aside_once(self, feed: Feed) -> None:
        deaths = 0
        feed.put("day.xls", b"x")
        for step in _deaths(feed):
            deaths += 1
            feed.watch()
            filled = [name for name in feed.places()["failed"] if (feed.root / "failed" / name).read_bytes() == b"x"]
            assert len(filled) == 1, f"killed at step {step}"
            assert any("the file day.xls" in note for _, note in feed.cases())
            assert (feed.places()["."], feed.places()[".working"]) == ([], [])
            shutil.rmtree(feed.root / "failed")
            feed.put("day.xls", b"x")
        assert deaths > 8
