"""What profiles are asked of the database: each question served by its index, each claim of one profile's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from mdus.domain.channel import Channel
from mdus.domain.interval_block import Cause, IntervalBlock, Layer, empty_block
from mdus.domain.time_series_upload import Operation, TimeSeriesLook, TimeSeriesUpload, UploadStatus
from mdus.messaging.status import MessageStatus
from mdus.storage import answered, outbox
from mdus.storage import time_series as profiles
from mdus.storage.answered import settle_answered
from mdus.storage.interval_block import ensure_channels, revised_days, write_blocks
from mdus.storage.message import ITEM, MESSAGE
from mdus.storage.outbox import OutboundItem, store_message
from mdus.storage.session import Database, UnitOfWork

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
DAY = date(2026, 3, 27)
SERVICE = "UtilitiesTimeSeriesERPItemBulkCreateRequest"
REVISED = (
    "interval_block.is_current AND (interval_block.version > 1"
    " OR interval_block.cause = 'late' OR interval_block.layer = 'final')"
)


@pytest.fixture
def uow(database_url: str) -> Iterator[UnitOfWork]:
    database = Database(database_url)
    with database.begin() as found:
        yield found
    database.close()


def look(profile: str, due_at: datetime = NOW, *, day: date = DAY, onward: bool = False) -> TimeSeriesLook:
    return TimeSeriesLook(sender_system="P11", time_series_id=profile, day=day, due_at=due_at, onward=onward)


def upload(profile: str, number: int = 1, **facts: Any) -> TimeSeriesUpload:
    said: dict[str, Any] = {
        "sender_system": "P11",
        "time_series_id": profile,
        "number": number,
        "day": DAY,
        "operation": Operation.CREATE,
        "unit": "KWH",
        "decimals": 3,
        "count": 1,
        "content": "2026-03-27T00:00Z 15 ACTL 1",
        "made_at": NOW,
    }
    return TimeSeriesUpload(**{**said, **facts})


def in_message(uow: UnitOfWork, *uploads: TimeSeriesUpload, at: datetime = NOW) -> str:
    """Store a message of these uploads that has been delivered; returns its key."""
    uow.save([replace(each, status=UploadStatus.SENT) for each in uploads])
    items = [
        OutboundItem(key=each.time_series_id, attempt=each.number, content="{}", reference_uuid=None, reference_id=None)
        for each in uploads
    ]
    facts: dict[str, Any] = {"root": SERVICE, "bulk": True, "shape_version": "1", "items": items, "now": NOW}
    store_message(uow.connection, sender_system="P11", service=SERVICE, **facts)
    made = outbox.message_uuid(SERVICE, f"P11/{items[0].key}", f"{len(items)}", items[0].attempt)
    delivered = {"status": MessageStatus.DELIVERED, "ended_at": at}
    uow.connection.execute(MESSAGE.update().where(MESSAGE.c.key == made).values(delivered))
    return made


class TestDueLooks:
    def test_are_the_longest_due_first(self, uow: UnitOfWork) -> None:
        uow.save([look("1"), look("2", NOW - timedelta(hours=1)), look("3", NOW + timedelta(seconds=1))])
        assert [each.time_series_id for each in profiles.due_looks(uow.connection, now=NOW, limit=9)] == ["2", "1"]
        assert profiles.next_look(uow.connection) == NOW - timedelta(hours=1)

    def test_may_become_due_earlier_but_not_later_and_stay_what_they_lead_to(self, uow: UnitOfWork) -> None:
        uow.save([look("1", onward=True), look("2", onward=True)])
        earlier, later = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
        profiles.look_by(uow.connection, [look("1", earlier), look("2", later), look("3", later)])
        found = {each.time_series_id: (each.due_at, each.onward) for each in _looks(uow)}
        assert found == {"1": (earlier, True), "2": (NOW, True), "3": (later, False)}


def _looks(uow: UnitOfWork) -> list[TimeSeriesLook]:
    return profiles.TIME_SERIES_LOOK.fetch(uow.connection, profiles.TIME_SERIES_LOOK.select())


class TestUploadsDue:
    def test_are_of_each_profile_the_oldest(self, uow: UnitOfWork) -> None:
        uow.save([upload("1"), upload("1", 2), upload("2", 7), replace(upload("2", 8), sender_system="P12")])
        found = profiles.uploads_due(uow.connection, Operation.CREATE, limit=9)
        assert [(each.sender_system, each.time_series_id, each.number) for each in found] == [
            ("P11", "1", 1),
            ("P11", "2", 7),
            ("P12", "2", 8),
        ]

    def test_are_of_one_operation_and_not_sent_yet(self, uow: UnitOfWork) -> None:
        change, done = replace(upload("1"), operation=Operation.CHANGE), upload("2", status=UploadStatus.SENT)
        uow.save([change, done])
        assert profiles.uploads_due(uow.connection, Operation.CREATE, limit=9) == []
        assert profiles.uploads_due(uow.connection, Operation.CHANGE, limit=9) == [change]


class TestDaysUnderWay:
    def test_are_those_without_an_outcome(self, uow: UnitOfWork) -> None:
        outcomes = list(UploadStatus)
        uow.save([upload(status.value, status=status) for status in outcomes])
        days = {("P11", status.value, DAY) for status in outcomes}
        found = profiles.days_under_way(uow.connection, days)
        assert {key[1] for key in found} == {"due", "sent"}
        assert profiles.days_under_way(uow.connection, {("P11", "due", date(2026, 3, 28))}) == set()


class TestNewestNumbers:
    def test_are_counted_by_profile(self, uow: UnitOfWork) -> None:
        uow.save([upload("1"), upload("1", 5), upload("2", 3), replace(upload("1", 9), sender_system="P12")])
        keys = [("P11", "1"), ("P11", "2"), ("P11", "3")]
        assert profiles.newest_numbers(uow.connection, keys) == {("P11", "1"): 5, ("P11", "2"): 3}


class TestSilentUploads:
    def silent(self, uow: UnitOfWork) -> list[tuple[str, bool]]:
        found = profiles.silent_uploads(
            uow.connection, services=[SERVICE], sent_before=NOW - timedelta(hours=1), limit=9
        )
        return [(one.upload.time_series_id, one.message_id is not None) for one in found]

    def test_are_those_sap_took_long_enough_ago(self, uow: UnitOfWork) -> None:
        in_message(uow, upload("1"), at=NOW - timedelta(hours=1))
        in_message(uow, upload("2"), at=NOW - timedelta(minutes=59))
        assert self.silent(uow) == [("1", True)]

    def test_are_not_those_that_are_answered(self, uow: UnitOfWork) -> None:
        in_message(uow, upload("1"), upload("2"), at=NOW - timedelta(hours=1))
        uow.save([upload("1", status=UploadStatus.CONFIRMED)])
        assert self.silent(uow) == [("2", True)]

    def test_of_an_answered_message_are_not_sent_again(self, uow: UnitOfWork) -> None:
        made = in_message(uow, upload("1"), at=NOW - timedelta(hours=1))
        uow.connection.execute(MESSAGE.update().where(MESSAGE.c.key == made).values(status=MessageStatus.CONFIRMED))
        assert self.silent(uow) == [("1", False)]

    def test_of_a_message_answered_in_part_are_not_sent_again(self, uow: UnitOfWork) -> None:
        """SAP has it, and takes the same bytes no second time: what it has answered would not be answered again."""
        made = in_message(uow, upload("1"), upload("2"), at=NOW - timedelta(hours=1))
        settle_answered(uow.connection, [(SERVICE, made, "1")], sender_system="P11", now=NOW)
        uow.save([upload("1", status=UploadStatus.CONFIRMED)])
        assert self.silent(uow) == [("2", False)]

    def test_are_told_from_the_items_of_other_services(self, uow: UnitOfWork) -> None:
        """A meter reading document may have the number of a profile."""
        in_message(uow, upload("1"), at=NOW - timedelta(hours=1))
        uow.connection.execute(ITEM.update().values(service="another"))
        assert self.silent(uow) == []


class TestAnAnswer:
    def test_is_of_the_item_in_the_message_it_names(self, uow: UnitOfWork) -> None:
        first, second = in_message(uow, upload("1", 1)), in_message(uow, upload("1", 2))
        [found] = answered.sent_items(uow.connection, [("P11", second, "1")])
        assert (found.message_key, found.about, found.attempt) == (second, "1", 2)
        assert answered.sent_items(uow.connection, [("P12", first, "1")]) == []
        assert answered.sent_items(uow.connection, [("P11", first, "2")]) == []

    def test_leaves_the_same_profile_in_another_message_unanswered(self, uow: UnitOfWork) -> None:
        first, second = in_message(uow, upload("1", 1)), in_message(uow, upload("1", 2))
        answered = [(SERVICE, first.upper(), "1")]
        for _ in range(2):  # also when it comes again
            settle_answered(uow.connection, answered, sender_system="P11", now=NOW)
            assert self.statuses(uow) == {first: "answered", second: "sent"}

    def test_without_a_message_we_know_is_of_all_of_them(self, uow: UnitOfWork) -> None:
        first, second = in_message(uow, upload("1", 1)), in_message(uow, upload("1", 2))
        settle_answered(uow.connection, [(SERVICE, None, "1")], sender_system="P11", now=NOW)
        assert self.statuses(uow) == {first: "answered", second: "answered"}

    def statuses(self, uow: UnitOfWork) -> dict[str, str]:
        query = "SELECT m.key, i.status FROM message_item i JOIN message m ON m.id = i.message_id"
        return {row[0]: row[1] for row in uow.connection.execute(text(query))}


class TestSendAgain:
    def test_makes_a_delivered_message_ready_and_no_other(self, uow: UnitOfWork) -> None:
        first, second = in_message(uow, upload("1")), in_message(uow, upload("2"))
        uow.connection.execute(MESSAGE.update().where(MESSAGE.c.key == second).values(status=MessageStatus.CONFIRMED))
        rows = {row.key: row.id for row in uow.connection.execute(MESSAGE.select())}
        outbox.send_again(uow.connection, list(rows.values()), note="SAP has not answered", now=NOW)
        found = {row.key: row.status for row in uow.connection.execute(MESSAGE.select())}
        assert found == {first: MessageStatus.READY, second: MessageStatus.CONFIRMED}


class TestRevisedDays:
    CHANNEL = Channel(
        sender_system="P11",
        device_id="1",
        reading_type="1-0:1.29.0*255",
        interval_minutes=60,
        time_zone="Europe/Berlin",
        unit="KWH",
        decimals=3,
    )

    def block(self, day: int, **facts: Any) -> IntervalBlock:
        first = empty_block(self.CHANNEL, date(2026, 3, day), at=NOW, by="test")
        return replace(first, **{"cause": Cause.RECEIVED, **facts})

    def days(self, uow: UnitOfWork, since: datetime = NOW) -> list[int]:
        return [day.day for _, _, day in revised_days(uow.connection, since=since, limit=9)]

    def test_are_those_written_after_somebody_may_have_acted(self, uow: UnitOfWork) -> None:
        ensure_channels(uow.connection, [self.CHANNEL])
        blocks = [
            self.block(1),
            self.block(2, version=2),
            self.block(3, cause=Cause.LATE),
            self.block(4, layer=Layer.FINAL),
        ]
        write_blocks(uow.connection, blocks)
        assert self.days(uow) == [2, 3, 4]
        assert self.days(uow, NOW + timedelta(seconds=1)) == []

    def test_come_in_pages(self, uow: UnitOfWork) -> None:
        ensure_channels(uow.connection, [self.CHANNEL])
        write_blocks(uow.connection, [self.block(day, version=2) for day in range(1, 6)])
        first = revised_days(uow.connection, since=NOW, limit=3)
        rest = revised_days(uow.connection, since=NOW, after=first[-1][0], limit=3)
        assert [day.day for _, _, day in (*first, *rest)] == [1, 2, 3, 4, 5]


class TestTheQuestions:
    @pytest.mark.parametrize(
        ("query", "index"),
        [
            ("SELECT id FROM time_series_look WHERE due_at <= 1 ORDER BY due_at LIMIT 9", "time_series_look_due_at"),
            (
                "SELECT id FROM time_series_upload WHERE time_series_upload.status = 'due' AND operation = 'create'",
                "time_series_upload_due",
            ),
            ("SELECT id FROM time_series_upload WHERE time_series_upload.status = 'sent'", "time_series_upload_sent"),
            (
                f"SELECT id FROM interval_block WHERE {REVISED} AND written_at >= 1",
                "interval_block_revised",
            ),
        ],
    )
    def test_are_served_by_an_index_on_sqlite(self, sqlite_url: str, query: str, index: str) -> None:
        database = Database(sqlite_url)
        with database.read() as uow:
            plan = [row[-1] for row in uow.connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))]
        database.close()
        assert any(index in step for step in plan), plan
