"""What MDUS has given up is tried again or left; messages go out or come in once more, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import select

from mdus.bootstrap import mending
from mdus.bootstrap.errors import CannotStart
from mdus.domain.command import CommandKind
from mdus.domain.exception_case import ExceptionCase
from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.services import meter_reading_document_create
from mdus.storage.audit import AUDIT, Deed, deeds
from mdus.storage.mending import Kind, Which
from mdus.storage.message import ITEM, MESSAGE
from mdus.storage.paging import Page
from tests.flows.both_sides import SENDER, BothSides
from tests.flows.connection_status_change.test_meter_is_switched import CARRIED_OUT, carry_out
from tests.flows.connection_status_change.test_meter_is_switched import ORDER as SWITCH
from tests.flows.connection_status_change.test_meter_is_switched import order as switch
from tests.flows.meter_reading.test_reading_is_ordered import ACCEPTED, ORDER, order

START = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
DEVICE = "000000000000000042"
DEED = Deed(who="operator", reason="SAP is back")
MESSAGES = Which(kind=Kind.MESSAGE)


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=START)
    made.meter(DEVICE)
    yield made
    made.close()


def column(sides: BothSides, of: Any, *conditions: Any) -> list[Any]:
    with sides.database.read() as uow:
        return list(uow.connection.scalars(select(of).where(*conditions)))


def open_cases(sides: BothSides) -> list[str]:
    return [case.kind for case in sides.all(ExceptionCase) if case.closed_at is None]


def replay(sides: BothSides, tmp_path: Path, message: int, *, dry_run: bool = False) -> str:
    environ = {
        "MDUS_CONFIG": str(tmp_path),
        "MDUS_DATABASE__URL": sides.database.url.render_as_string(hide_password=False),
    }
    return mending.replay(environ, message, DEED, dry_run=dry_run)


class TestAMessageThatDidNotReachSap:
    @pytest.fixture
    def dead(self, sides: BothSides) -> BothSides:
        sides.sap.closed = True
        sides.tell(ORDER, order(source="0", on="2026-03-29"))
        sides.rest()
        sides.sap.closed = False
        assert column(sides, MESSAGE.c.status, MESSAGE.c.direction == "out") == [MessageStatus.DEAD]
        assert open_cases(sides) == ["dead_message"]
        return sides

    def test_is_told_with_why(self, dead: BothSides) -> None:
        [row] = mending.given_up(dead.database, MESSAGES, limit=10)
        assert (row.of, row.what, row.why) == (SENDER, ACCEPTED, "closed")

    def test_goes_under_its_own_uuid_when_it_is_tried_again(self, dead: BothSides) -> None:
        [uuid] = column(dead, MESSAGE.c.uuid, MESSAGE.c.direction == "out")
        assert mending.try_again(dead.database, MESSAGES, DEED) == 1
        dead.rest()
        [accepted] = dead.sap.messages(ACCEPTED)
        assert accepted.findtext("MessageHeader/UUID") == uuid
        assert open_cases(dead) == []
        assert mending.try_again(dead.database, MESSAGES, DEED) == 0

    def test_never_goes_when_it_is_left(self, dead: BothSides) -> None:
        assert mending.leave(dead.database, MESSAGES, DEED) == 1
        dead.rest()
        assert dead.sap.received == []
        assert column(dead, MESSAGE.c.status, MESSAGE.c.direction == "out") == [MessageStatus.ABANDONED]
        assert open_cases(dead) == []

    @pytest.mark.parametrize(
        "which",
        [
            pytest.param(Which(kind=Kind.MESSAGE, sender_system="Q11"), id="another system"),
            pytest.param(Which(kind=Kind.MESSAGE, service="Other"), id="another service"),
            pytest.param(Which(kind=Kind.MESSAGE, ids=[4711]), id="another message"),
            pytest.param(Which(kind=Kind.MESSAGE, before=START), id="older ones"),
            pytest.param(Which(kind=Kind.MESSAGE, head_end="city"), id="what messages do not have"),
            pytest.param(Which(kind=Kind.ITEM), id="items"),
        ],
    )
    def test_is_left_alone_when_others_are_meant(self, dead: BothSides, which: Which) -> None:
        assert mending.given_up(dead.database, which, limit=10) == []
        assert mending.try_again(dead.database, which, DEED) == 0
        assert mending.leave(dead.database, which, DEED) == 0

    def test_leaves_who_what_and_why(self, dead: BothSides) -> None:
        mending.try_again(dead.database, Which(kind=Kind.MESSAGE, sender_system=SENDER), DEED)
        with dead.database.read() as uow:
            [deed] = deeds(uow.connection, Page(limit=10))
        assert (deed.who, deed.action, deed.target, deed.count, deed.reason) == (
            "operator",
            "retry",
            f"message sender_system={SENDER}",
            1,
            "SAP is back",
        )


class TestAnItemThatCouldNotBeDecided:
    @pytest.fixture
    def dead(self, sides: BothSides, monkeypatch: pytest.MonkeyPatch) -> BothSides:
        def broken(*_: Any, **__: Any) -> None:
            raise RuntimeError("a defect of ours")

        decide = meter_reading_document_create.SERVICE.decide
        object.__setattr__(meter_reading_document_create.SERVICE, "decide", broken)
        try:
            sides.tell(ORDER, order(source="0", on="2026-03-29"))
            sides.rest()
        finally:
            object.__setattr__(meter_reading_document_create.SERVICE, "decide", decide)
        assert column(sides, ITEM.c.status) == [ItemStatus.DEAD]
        assert "dead_item" in open_cases(sides)
        return sides

    def test_is_decided_and_confirmed_when_it_is_tried_again(self, dead: BothSides) -> None:
        assert mending.try_again(dead.database, Which(kind=Kind.ITEM), DEED) == 1
        dead.rest()
        assert len(dead.sap.messages(ACCEPTED)) == 1
        assert column(dead, MESSAGE.c.status, MESSAGE.c.direction == "in") == [MessageStatus.COMPLETED]
        assert "dead_item" not in open_cases(dead)

    def test_ends_its_message_when_it_is_left(self, dead: BothSides) -> None:
        assert mending.leave(dead.database, Which(kind=Kind.ITEM), DEED) == 1
        dead.rest()
        assert dead.sap.received == []
        assert column(dead, MESSAGE.c.status, MESSAGE.c.direction == "in") == [MessageStatus.COMPLETED]
        assert "dead_item" not in open_cases(dead)


class TestWhatAHeadEndTold:
    @pytest.fixture
    def dead(self, sides: BothSides) -> BothSides:
        sides.push("results", {"nonsense": True})
        sides.rest()
        assert open_cases(sides) == ["delivery_unreadable"]
        return sides

    def test_is_read_again(self, dead: BothSides) -> None:
        assert mending.try_again(dead.database, Which(kind=Kind.DELIVERY, head_end="city"), DEED) == 1
        assert open_cases(dead) == []
        dead.rest()  # it is as unreadable as before
        assert open_cases(dead) == ["delivery_unreadable"]

    def test_is_left(self, dead: BothSides) -> None:
        assert mending.leave(dead.database, Which(kind=Kind.DELIVERY), DEED) == 1
        dead.rest()
        assert open_cases(dead) == []


class TestAMessageToSap:
    def test_goes_once_more_in_the_same_bytes(self, sides: BothSides) -> None:
        sides.tell(ORDER, order(source="0", on="2026-03-29"))
        sides.rest()
        [number] = column(sides, MESSAGE.c.id, MESSAGE.c.direction == "out")
        mending.send_once_more(sides.database, number, DEED)
        sides.rest()
        first, second = map(etree.tostring, sides.sap.messages(ACCEPTED))
        assert first == second
        assert column(sides, AUDIT.c.action) == ["resend"]

    @pytest.mark.parametrize("number", [pytest.param(1, id="of SAP's"), pytest.param(4711, id="unknown")])
    def test_that_is_none_is_refused(self, sides: BothSides, number: int) -> None:
        sides.tell(ORDER, order(source="0", on="2026-03-29"))
        with pytest.raises(CannotStart):
            mending.send_once_more(sides.database, number, DEED)
        assert column(sides, AUDIT.c.action) == []


class TestAMessageOfSaps:
    def test_is_replayed_without_a_second_effect(self, sides: BothSides, tmp_path: Path) -> None:
        """A disconnection that was carried out: no second switch, and the confirmation as it was."""
        sides.tell(SWITCH, switch(DEVICE))
        carry_out(sides)
        [number] = column(sides, MESSAGE.c.id, MESSAGE.c.direction == "in")
        before = len(column(sides, MESSAGE.c.id))
        assert "nothing would be done twice" in replay(sides, tmp_path, number, dry_run=True)
        assert len(column(sides, MESSAGE.c.id)) == before

        assert "a duplicate" in replay(sides, tmp_path, number)
        sides.clock.move(hours=1)
        sides.rest()
        assert len(sides.submitted(CommandKind.SWITCH)) == 1
        first, second = map(etree.tostring, sides.sap.messages(CARRIED_OUT))
        assert first == second
        assert column(sides, AUDIT.c.action) == ["replay"]

    def test_that_was_refused_is_judged_anew(self, sides: BothSides, tmp_path: Path) -> None:
        with pytest.raises(AssertionError):
            sides.tell(ORDER, "<MeterReadingDocument/>")
        [number] = column(sides, MESSAGE.c.id)
        assert "judged anew" in replay(sides, tmp_path, number, dry_run=True)
        with pytest.raises(CannotStart, match="is refused"):
            replay(sides, tmp_path, number)

    def test_that_nobody_sent_is_refused(self, sides: BothSides, tmp_path: Path) -> None:
        with pytest.raises(CannotStart, match="is not known"):
            replay(sides, tmp_path, 4711)
