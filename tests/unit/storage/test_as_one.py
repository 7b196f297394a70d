"""One transaction of several parts: all of it or nothing, and each part by itself where it fails alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from mdus.storage.job import JOB_RUN, enqueue
from mdus.storage.session import Database, UnitOfWork
from tests.flows.intake.installation import NOW
from tests.unit.workers.scripted import rows_of


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    yield made
    made.close()


@pytest.fixture
def others(database_url: str) -> Iterator[Database]:
    """The same database as everybody else sees it."""
    made = Database(database_url)
    yield made
    made.close()


class Broken(Exception):
    """Something went wrong."""


def write(database: Database, slot: str, *, breaks: bool = False) -> None:
    """Do something in a transaction, as code does that knows of no other."""
    with database.begin() as uow:
        enqueue(uow.connection, [("job", slot)], now=NOW)
        if breaks:
            raise Broken


def first(uow: UnitOfWork) -> None:
    enqueue(uow.connection, [("job", "first")], now=NOW)


def slots(database: Database) -> list[str]:
    return [row.slot for row in rows_of(database, JOB_RUN)]


def test_commits_its_parts_together_with_what_comes_first(database: Database, others: Database) -> None:
    with database.as_one(first):
        write(database, "one")
        write(database, "two")
        assert slots(database) == ["first", "one", "two"]
        assert slots(others) == []
    assert slots(others) == ["first", "one", "two"]


def test_that_fails_between_its_parts_leaves_nothing(database: Database) -> None:
    with suppress(Broken), database.as_one(first):
        write(database, "one")
        raise Broken
    assert slots(database) == []


def test_takes_back_a_part_that_fails_and_no_other(database: Database) -> None:
    with database.as_one(first):
        write(database, "one")
        with pytest.raises(Broken):
            write(database, "two", breaks=True)
        write(database, "three")
    assert slots(database) == ["first", "one", "three"]


def test_does_nothing_when_its_first_step_says_so(database: Database) -> None:
    def refuse(uow: UnitOfWork) -> None:
        first(uow)
        raise Broken

    with pytest.raises(Broken), database.as_one(refuse):
        write(database, "one")
    assert slots(database) == []


def test_that_has_no_part_opens_nothing(database: Database) -> None:
    with database.as_one(first) as whole:
        assert not whole.has_begun
    assert slots(database) == []


def test_ends_with_its_block(database: Database) -> None:
    with database.as_one(first):
        write(database, "one")
    with pytest.raises(Broken):
        write(database, "two", breaks=True)
    write(database, "three")
    assert slots(database) == ["first", "one", "three"]


def test_is_of_its_own_thread(database: Database) -> None:
    done = threading.Event()

    def other() -> None:
        write(database, "other")
        done.set()

    with database.as_one(first):
        thread = threading.Thread(target=other)
        thread.start()
        assert done.wait(60)
        assert slots(database) == ["other"]
        write(database, "one")
    thread.join()
    assert slots(database) == ["other", "first", "one"]
