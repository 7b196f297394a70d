"""Interval values in tables: versions stay, the current one is marked, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import func, select

from mdus.domain.channel import Channel
from mdus.domain.interval_block import Cause, IntervalBlock, Layer, ToldValues, empty_block, merged
from mdus.domain.quantities import Quantities
from mdus.domain.reading_quality import QualitySet
from mdus.storage.interval_block import (
    INTERVAL_BLOCK,
    current_blocks,
    ensure_channels,
    newest_blocks,
    note_used,
    qualities_of,
    quality_marks,
    write_blocks,
)
from mdus.storage.session import Database, UnitOfWork

AT = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
DAY = date(2026, 3, 29)


@pytest.fixture
def uow(database_url: str) -> Iterator[UnitOfWork]:
    """A writing transaction on an empty database."""
    database = Database(database_url)
    with database.begin() as found:
        yield found
    database.close()


def channel(device: str = "000000000000000042", **changes: object) -> Channel:
    given = {
        "sender_system": "P11",
        "device_id": device,
        "reading_type": "1-0:1.29.0*255",
        "interval_minutes": 15,
        "time_zone": "Europe/Berlin",
        "unit": "KWH",
        "decimals": 3,
    }
    return Channel(**(given | changes))  # type: ignore[arg-type]


def block(of: Channel, *values: str, day: date = DAY) -> IntervalBlock:
    told = ToldValues.of(of, 0, Quantities.of(Decimal(value) for value in values))
    return merged(empty_block(of, day, at=AT, by="test"), told, at=AT, by="test")


def stored(uow: UnitOfWork, *blocks: IntervalBlock) -> None:
    ensure_channels(uow.connection, {each.channel for each in blocks})
    write_blocks(uow.connection, blocks)


class TestBlocks:
    def test_come_back_as_they_were_stored(self, uow: UnitOfWork) -> None:
        told = replace(block(channel(), "0.1", "0.25"), unfit={7: "0.12345"}, note="why")
        stored(uow, told)

        [found] = current_blocks(uow.connection, [(channel(), DAY)]).values()

        assert (found.values == told.values).all()
        assert (found.qualities == told.qualities).all()
        assert (found.channel, found.day, found.layer, found.version) == (channel(), DAY, Layer.RAW, 1)
        assert (found.unfit, found.note, found.used, found.cause) == ({7: "0.12345"}, "why", False, Cause.RECEIVED)
        assert (found.written_at, found.written_by) == (AT, "test")
        assert not found.values.flags.writeable

    def test_are_those_asked_for(self, uow: UnitOfWork) -> None:
        other, next_day = channel("000000000000000043"), date(2026, 3, 30)
        stored(uow, block(channel(), "1"), block(channel(), "2", day=next_day), block(other, "3"))

        found = current_blocks(uow.connection, [(channel(), next_day), (other, DAY), (other, next_day)])

        assert {key: each.quantities()[0] for key, each in found.items()} == {
            (channel(), next_day): Decimal(2),
            (other, DAY): Decimal(3),
        }

    def test_of_a_new_version_leave_the_old_one(self, uow: UnitOfWork) -> None:
        first = block(channel(), "1")
        stored(uow, first)
        second = merged(first, ToldValues.of(channel(), 0, Quantities.of([2])), at=AT, by="again")
        stored(uow, second)

        [found] = current_blocks(uow.connection, [(channel(), DAY)]).values()
        assert (found.version, found.cause, found.quantities()[0]) == (2, Cause.REVISED, Decimal(2))
        rows = uow.connection.execute(
            select(INTERVAL_BLOCK.c.version, INTERVAL_BLOCK.c.is_current).order_by(INTERVAL_BLOCK.c.version)
        )
        assert [tuple(row) for row in rows] == [(1, False), (2, True)]

    def test_of_a_version_that_grew_take_its_place(self, uow: UnitOfWork) -> None:
        first = block(channel(), "1")
        stored(uow, first)
        stored(uow, merged(first, ToldValues.of(channel(), 1, Quantities.of([2])), at=AT, by="again"))

        [found] = current_blocks(uow.connection, [(channel(), DAY)]).values()
        assert (found.version, found.quantities()[:2]) == (1, [Decimal(1), Decimal(2)])
        assert uow.connection.execute(select(func.count()).select_from(INTERVAL_BLOCK)).scalar_one() == 1

    def test_count_as_final_where_there_is_a_final_one(self, uow: UnitOfWork) -> None:
        other = channel("000000000000000043")
        stored(uow, block(channel(), "1"), replace(block(channel(), "2"), layer=Layer.FINAL), block(other, "3"))

        found = newest_blocks(uow.connection, [(channel(), DAY), (other, DAY)])

        assert {key[0]: (each.layer, each.quantities()[0]) for key, each in found.items()} == {
            channel(): (Layer.FINAL, Decimal(2)),
            other: (Layer.RAW, Decimal(3)),
        }

    def test_are_noted_as_used_by_version(self, uow: UnitOfWork) -> None:
        other = block(channel("000000000000000043"), "1")
        stored(uow, block(channel(), "1"), other)
        note_used(uow.connection, [other])
        found = current_blocks(uow.connection, [(channel(), DAY), (other.channel, DAY)])
        assert {key[0].device_id[-2:]: each.used for key, each in found.items()} == {"42": False, "43": True}

    def test_of_other_grids_zones_and_units_are_other_channels(self, uow: UnitOfWork) -> None:
        kinds = [
            channel(),
            channel(interval_minutes=60),
            channel(time_zone="Europe/London"),
            channel(unit="WH"),
            channel(sender_system="P12"),
        ]
        stored(uow, *(block(each, str(number)) for number, each in enumerate(kinds)))
        found = current_blocks(uow.connection, [(each, DAY) for each in kinds])
        assert [found[each, DAY].quantities()[0] for each in kinds] == [Decimal(number) for number in range(5)]


class TestQualities:
    def test_are_the_same_element_whenever_they_are_asked_for(self, uow: UnitOfWork) -> None:
        valid, one, two = QualitySet.of(["1.0.0"]), QualitySet.of(["2.5.259"]), QualitySet.of(["2.5.259", "1.2.32"])
        first = quality_marks(uow.connection, [one, valid])
        second = quality_marks(uow.connection, [two, one])

        assert first[valid] == 0
        assert second[one] == first[one] != second[two]
        assert qualities_of(uow.connection, [0, *second.values()]) == {
            0: QualitySet(),
            second[one]: one,
            second[two]: QualitySet(("1.2.32", "2.5.259")),
        }

    def test_refuse_what_is_no_code(self) -> None:
        with pytest.raises(ValueError, match="no reading quality"):
            QualitySet.of(["good"])
