"""Who leads: a lease is held until it runs out or is given back, and free from that very instant."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from mdus.storage.job import release_lease, take_lease
from mdus.storage.session import Database


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    database = Database(database_url)
    with database.begin() as uow:
        yield uow.connection
    database.close()


def take(connection: Connection, holder: str, *, seconds: float = 60) -> bool:
    return take_lease(connection, "leader", holder=holder, seconds=seconds)


def test_is_held_by_one(connection: Connection) -> None:
    assert take(connection, "one")
    assert not take(connection, "two")
    assert take(connection, "one")


def test_is_free_as_soon_as_it_was_given_back(connection: Connection) -> None:
    """So often that it is taken within the same tick of the clock, too."""
    for number in range(200):
        assert take(connection, f"{number}"), number
        release_lease(connection, "leader", holder=f"{number}")


def test_is_free_as_soon_as_it_has_run_out(connection: Connection) -> None:
    for number in range(200):
        assert take(connection, f"{number}", seconds=0), number


def test_is_given_back_by_its_holder_only(connection: Connection) -> None:
    assert take(connection, "one")
    release_lease(connection, "leader", holder="two")
    assert not take(connection, "two")
