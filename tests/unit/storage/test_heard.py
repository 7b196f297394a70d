"""What is stored of meters that communicated: the first instant and the last, in whatever order they are told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from mdus.domain.end_device import EndDeviceStatus, SwitchState
from mdus.storage.registry import END_DEVICE_STATUS, note_heard
from mdus.storage.session import Database, UnitOfWork

METER = ("P11", "0042")


def at(hour: int) -> datetime:
    """Return an instant of the day."""
    return datetime(2026, 3, 29, hour, tzinfo=UTC)


@pytest.fixture
def uow(database_url: str) -> Iterator[UnitOfWork]:
    """A writing transaction on an empty database."""
    database = Database(database_url)
    with database.begin() as uow:
        yield uow
    database.close()


def told(uow: UnitOfWork) -> list[tuple[datetime | None, datetime | None]]:
    """Return the instants stored."""
    stored = END_DEVICE_STATUS.fetch(uow.connection, END_DEVICE_STATUS.select())
    return [(status.first_heard_at, status.last_heard_at) for status in stored]


class TestNoteHeard:
    def test_a_meter_never_heard_gets_a_status(self, uow: UnitOfWork) -> None:
        note_heard(uow.connection, {METER: (at(3), at(4))})
        assert told(uow) == [(at(3), at(4))]

    def test_an_empty_instant_gives_way(self, uow: UnitOfWork) -> None:
        uow.save([EndDeviceStatus(sender_system="P11", device_id="0042")])
        note_heard(uow.connection, {METER: (at(3), at(4))})
        assert told(uow) == [(at(3), at(4))]

    @pytest.mark.parametrize(
        ("heard", "stored"),
        [
            pytest.param((at(1), at(2)), (at(1), at(4)), id="older news move the first instant back"),
            pytest.param((at(5), at(6)), (at(3), at(6)), id="newer news move the last instant on"),
            pytest.param((at(3), at(4)), (at(3), at(4)), id="the same news change nothing"),
        ],
    )
    def test_widens_what_is_stored(
        self, uow: UnitOfWork, heard: tuple[datetime, datetime], stored: tuple[datetime, datetime]
    ) -> None:
        note_heard(uow.connection, {METER: (at(3), at(4))})
        note_heard(uow.connection, {METER: heard})
        assert told(uow) == [stored]

    def test_leaves_the_breaker_as_it_is(self, uow: UnitOfWork) -> None:
        known = EndDeviceStatus(
            sender_system="P11", device_id="0042", has_breaker=True, switch_state=SwitchState.DISCONNECTED
        )
        uow.save([known])
        note_heard(uow.connection, {METER: (at(3), at(4))})
        [status] = END_DEVICE_STATUS.fetch(uow.connection, END_DEVICE_STATUS.select())
        assert (status.has_breaker, status.switch_state) == (True, SwitchState.DISCONNECTED)

    def test_nothing_heard_changes_nothing(self, uow: UnitOfWork) -> None:
        note_heard(uow.connection, {})
        assert told(uow) == []
