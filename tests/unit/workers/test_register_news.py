"""What follows when readings of registers come in: days are looked at again; on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import event, select

from mdus.domain.channel import Channel
from mdus.domain.interval_block import Layer, empty_block
from mdus.domain.reading import MeterReading
from mdus.storage import validation
from mdus.storage.interval_block import VALIDATION_LOOK, ensure_channels, write_blocks
from mdus.storage.session import Database
from mdus.workers.register_news import look_again

NOW = datetime(2026, 2, 14, 9, 0, tzinfo=UTC)
DAY = date(2026, 2, 11)
CHANNEL = Channel(
    sender_system="P11",
    device_id="42",
    reading_type="1-0:1.29.0*255",
    interval_minutes=15,
    time_zone="Europe/Berlin",
    unit="KWH",
    decimals=3,
)
MIDNIGHT = CHANNEL.day(DAY).end


def final(database: Database, *days: date, channel: Channel = CHANNEL) -> None:
    """Store final versions of days that nobody is to look at."""
    with database.begin() as uow:
        ensure_channels(uow.connection, [channel])
        blocks = [replace(empty_block(channel, day, at=NOW, by="vee"), layer=Layer.FINAL) for day in days]
        write_blocks(uow.connection, blocks)


def reading(at: datetime = MIDNIGHT, device: str = "42") -> MeterReading:
    return MeterReading(
        sender_system="P11",
        device_id=device,
        reading_type="1-0:1.8.0*255",
        measured_at=at,
        value=Decimal(1),
        received_at=NOW,
    )


def looked_at(database: Database, *readings: MeterReading) -> list[date]:
    """Let readings come in; returns the days that are due then."""
    with database.begin() as uow:
        look_again(uow, readings, now=NOW)
        return list(uow.connection.scalars(select(VALIDATION_LOOK.c.day).order_by(VALIDATION_LOOK.c.day)))


class TestLookAgain:
    def test_makes_the_days_due_that_end_and_begin_with_a_reading(self, database: Database) -> None:
        final(database, DAY - timedelta(days=1), DAY, DAY + timedelta(days=1), DAY + timedelta(days=2))
        assert looked_at(database, reading()) == [DAY, DAY + timedelta(days=1)]

    def test_leaves_days_alone_that_have_no_final_values(self, database: Database) -> None:
        final(database, DAY)
        assert looked_at(database, reading()) == [DAY]

    @pytest.mark.parametrize(
        "at",
        [
            pytest.param(MIDNIGHT + timedelta(minutes=15), id="within_the_day"),
            pytest.param(MIDNIGHT + timedelta(seconds=1), id="beside_the_quarter"),
            pytest.param(MIDNIGHT + timedelta(hours=1), id="midnight_elsewhere"),
        ],
    )
    def test_minds_readings_at_midnight_only(self, database: Database, at: datetime) -> None:
        final(database, DAY, DAY + timedelta(days=1))
        assert looked_at(database, reading(at)) == []

    def test_minds_channels_of_the_device_only(self, database: Database) -> None:
        final(database, DAY)
        assert looked_at(database, reading(device="43")) == []

    def test_keeps_a_look_that_is_due_sooner(self, database: Database) -> None:
        final(database, DAY)
        sooner = NOW - timedelta(hours=1)
        with database.begin() as uow:
            [channel_id] = validation.channels_of(uow.connection, [("P11", "42")])
            validation.look_by(uow.connection, [(channel_id, DAY, sooner)])
        looked_at(database, reading())
        with database.read() as uow:
            assert validation.next_due(uow.connection) == sooner

    def test_takes_as_many_statements_for_few_as_for_many(self, database: Database) -> None:
        def statements(count: int) -> int:
            devices = [f"{count}-{number}" for number in range(count)]
            for device in devices:
                final(database, DAY, channel=replace(CHANNEL, device_id=device))
            seen: list[str] = []

            def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
                seen.append(statement)

            event.listen(database.engine, "before_cursor_execute", note)
            looked_at(database, *(reading(device=device) for device in devices))
            event.remove(database.engine, "before_cursor_execute", note)
            return len(seen)

        assert statements(3) == statements(30)
