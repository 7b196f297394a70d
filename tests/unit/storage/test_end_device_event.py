"""Events as they are stored: once each, found again when they are near, released when their device may be spoken of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from mdus.domain.end_device import EndDeviceStatus
from mdus.domain.end_device_event import EndDeviceEvent, EventReason, EventState, EventWindow
from mdus.domain.register import Register
from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.storage import end_device_event as events
from mdus.storage.end_device_event import END_DEVICE_EVENT
from mdus.storage.message import ITEM, MESSAGE
from mdus.storage.session import Database, UnitOfWork

NOON = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
REGISTERED = "UtilitiesDeviceERPSmartMeterRegisteredNotification"
DAY = date(2026, 3, 28)


@pytest.fixture
def uow(database_url: str) -> Iterator[UnitOfWork]:
    """A writing transaction on an empty database."""
    database = Database(database_url)
    with database.begin() as uow:
        yield uow
    database.close()


def event(number: int = 1, **facts: Any) -> EndDeviceEvent:
    told: dict[str, Any] = {
        "event_id": f"{number:022d}",
        "sender_system": "P11",
        "device_id": "42",
        "event_type": "3.26.0.85",
        "at": NOON,
        "source": "city",
        "area": "city",
        "told_at": NOON,
        "happened_on": DAY,
        **facts,
    }
    return EndDeviceEvent(**told)


def stored(uow: UnitOfWork) -> list[EndDeviceEvent]:
    table = END_DEVICE_EVENT.table
    return END_DEVICE_EVENT.fetch(uow.connection, END_DEVICE_EVENT.select().order_by(table.c.id))


class TestStore:
    def test_gives_back_what_was_stored(self, uow: UnitOfWork) -> None:
        told = event(text="down", properties=(("phase", "L2"), ("ä", "ü")), case_key="7")
        uow.save([told])
        assert stored(uow) == [told]

    def test_leaves_what_has_come_further_when_it_is_told_again(self, uow: UnitOfWork) -> None:
        sent = event(state=EventState.SENT, sent_at=NOON)
        uow.save([event()])
        uow.save([sent])
        uow.save([event(text="told otherwise"), event(2)])
        assert stored(uow) == [sent, event(2)]

    def test_keeps_the_systems_apart(self, uow: UnitOfWork) -> None:
        uow.save([event(), event(sender_system="P12")])
        assert len(stored(uow)) == 2


class TestNear:
    @pytest.mark.parametrize(
        ("facts", "found"),
        [
            pytest.param({"at": NOON + 15 * MINUTE}, True, id="at the end of the span"),
            pytest.param({"at": NOON + 15 * MINUTE + timedelta(microseconds=1)}, False, id="after it"),
            pytest.param({"at": NOON - 15 * MINUTE}, True, id="at its beginning"),
            pytest.param({"at": NOON - 15 * MINUTE - timedelta(microseconds=1)}, False, id="before it"),
            pytest.param({"device_id": "43"}, False, id="another device"),
            pytest.param({"sender_system": "P12"}, False, id="another system"),
            pytest.param({"event_type": "3.1.1.1", "state": EventState.WITHHELD}, True, id="not sent"),
            pytest.param(
                {"state": EventState.SUPPRESSED, "reason": EventReason.STORM}, True, id="suppressed in a storm"
            ),
            pytest.param(
                {"state": EventState.SUPPRESSED, "reason": EventReason.REPEATED}, False, id="a repetition itself"
            ),
            pytest.param({"state": EventState.TOLD}, False, id="not sorted yet"),
        ],
    )
    def test_finds_the_news_of_the_devices_about_that_time(
        self, uow: UnitOfWork, facts: dict[str, Any], found: bool
    ) -> None:
        other = event(2, **{"state": EventState.SENT, **facts})
        uow.save([event(), other])
        near = events.near(uow.connection, [event()], within=15 * MINUTE)
        assert near == ([other] if found else [])

    def test_finds_nothing_for_events_of_no_device(self, uow: UnitOfWork) -> None:
        assert events.near(uow.connection, [event(device_id=None)], within=MINUTE) == []


class TestRelease:
    def _device(self, uow: UnitOfWork, *, registered: bool = True, **register: Any) -> None:
        uow.save(
            [
                EndDeviceStatus(sender_system="P11", device_id="42", registered_at=NOON if registered else None),
                Register(
                    sender_system="P11",
                    device_id="42",
                    measurement_task_id="1",
                    reading_type="1-0:1.8.0*255",
                    unit="KWH",
                    **{"valid_from": date(2026, 1, 1), **register},
                ),
            ]
        )

    def _notify(self, uow: UnitOfWork, status: MessageStatus, *, service: str = REGISTERED) -> None:
        shared = {"direction": "out", "sender_system": "P11", "service": service, "stored_at": NOON}
        message = uow.connection.execute(
            insert(MESSAGE)
            .values(**shared, root=service, bulk=False, status=status, created_at=NOON)
            .returning(MESSAGE.c.id)
        ).scalar_one()
        uow.connection.execute(
            insert(ITEM).values(
                **shared,
                message_id=message,
                position=1,
                status=ItemStatus.SENT,
                ordering_key="P11/42",
                key="42/1",
                content="{}",
                shape_version="1",
            )
        )

    def _released(self, uow: UnitOfWork, *, needs_register: bool = True, **options: Any) -> bool:
        uow.save([event(state=EventState.HELD)])
        found = events.releasable(
            uow.connection, registered_service=REGISTERED, needs_register=needs_register, limit=10, **options
        )
        moved = events.release(uow.connection, found)
        assert [one.state for one in stored(uow)] == [EventState.DUE if moved else EventState.HELD]
        return bool(moved)

    def test_lets_events_of_registered_devices_go(self, uow: UnitOfWork) -> None:
        self._device(uow)
        assert self._released(uow)

    def test_holds_events_of_others(self, uow: UnitOfWork) -> None:
        self._device(uow, registered=False)
        assert not self._released(uow)

    def test_holds_events_of_devices_nobody_knows(self, uow: UnitOfWork) -> None:
        assert not self._released(uow)

    @pytest.mark.parametrize(
        ("status", "released"),
        [
            pytest.param(MessageStatus.READY, False, id="waiting"),
            pytest.param(MessageStatus.SENDING, False, id="on its way"),
            pytest.param(MessageStatus.DEAD, False, id="given up"),
            pytest.param(MessageStatus.DELIVERED, True, id="delivered"),
        ],
    )
    def test_waits_until_sap_has_the_notification(self, uow: UnitOfWork, status: MessageStatus, released: bool) -> None:
        self._device(uow)
        self._notify(uow, status)
        assert self._released(uow) is released

    def test_waits_for_no_other_message(self, uow: UnitOfWork) -> None:
        self._device(uow)
        self._notify(uow, MessageStatus.READY, service="Another")
        assert self._released(uow)

    @pytest.mark.parametrize(
        ("register", "released"),
        [
            pytest.param({"valid_from": DAY}, True, id="begins that day"),
            pytest.param({"valid_from": DAY + timedelta(days=1)}, False, id="begins later"),
            pytest.param({"valid_to": DAY + timedelta(days=1)}, True, id="ends after that day"),
            pytest.param({"valid_to": DAY}, False, id="ended before it"),
        ],
    )
    def test_asks_for_a_register_of_that_day_where_it_is_needed(
        self, uow: UnitOfWork, register: dict[str, Any], released: bool
    ) -> None:
        self._device(uow, **register)
        assert self._released(uow) is released
        assert self._released(uow, needs_register=False)

    def test_looks_only_at_the_devices_asked_for(self, uow: UnitOfWork) -> None:
        self._device(uow)
        assert not self._released(uow, devices={("P11", "43"), ("P12", "42")})
        assert self._released(uow, devices={("P11", "42")})

    def test_leaves_what_was_moved_meanwhile(self, uow: UnitOfWork) -> None:
        self._device(uow)
        uow.save([event(state=EventState.HELD)])
        found = events.releasable(uow.connection, registered_service=REGISTERED, needs_register=True, limit=10)
        uow.save([event(state=EventState.SENT, sent_at=NOON)])
        assert events.release(uow.connection, found) == 0
        assert events.withhold(uow.connection, found, EventReason.EXPIRED) == 0

    def test_lets_so_many_go_at_once(self, uow: UnitOfWork) -> None:
        self._device(uow)
        uow.save([event(number, state=EventState.HELD) for number in (1, 2, 3)])
        found = events.releasable(uow.connection, registered_service=REGISTERED, needs_register=True, limit=2)
        assert events.release(uow.connection, found) == 2
        assert [one.state for one in stored(uow)] == [EventState.DUE, EventState.DUE, EventState.HELD]


class TestUntold:
    @pytest.mark.parametrize(
        ("status", "taken_at", "fate"),
        [
            pytest.param(MessageStatus.DEAD, None, "", id="SAP takes nothing"),
            pytest.param(MessageStatus.DEAD, NOON, "", id="SAP took something before"),
            pytest.param(MessageStatus.DEAD, NOON + MINUTE, "ready", id="SAP takes other messages"),
            pytest.param(MessageStatus.READY, NOON + MINUTE, "moot", id="tried again"),
            pytest.param(MessageStatus.DELIVERED, None, "moot", id="delivered after all"),
        ],
    )
    def test_waits_until_sap_takes_messages_again(
        self, uow: UnitOfWork, status: MessageStatus, taken_at: datetime | None, fate: str
    ) -> None:
        def message(status: MessageStatus, uuid: str, ended_at: datetime | None, system: str = "P11") -> None:
            uow.connection.execute(
                insert(MESSAGE).values(
                    direction="out",
                    sender_system=system,
                    service="S",
                    root="S",
                    bulk=False,
                    status=status,
                    uuid=uuid,
                    created_at=NOON,
                    stored_at=NOON,
                    ended_at=ended_at,
                )
            )

        message(status, "given-up", NOON if status is MessageStatus.DELIVERED else None)
        message(MessageStatus.DELIVERED, "elsewhere", NOON + MINUTE, system="P12")
        if taken_at is not None:
            message(MessageStatus.DELIVERED, "other", taken_at)
        untold = event(device_id=None, event_type="confirmation_untold", case_key="given-up", state=EventState.HELD)
        uow.save([untold, event(2, state=EventState.HELD)])
        ready, moot = events.untold(uow.connection, limit=10)
        assert (len(ready), len(moot)) == (int(fate == "ready"), int(fate == "moot"))


class TestWithhold:
    def test_gives_up_what_was_held_too_long(self, uow: UnitOfWork) -> None:
        late, fresh = event(1, state=EventState.HELD), event(2, state=EventState.HELD, told_at=NOON + MINUTE)
        uow.save([late, fresh])
        found = events.expired(uow.connection, told_before=NOON, limit=10)
        assert events.withhold(uow.connection, found, EventReason.EXPIRED) == 1
        assert stored(uow) == [replace(late, state=EventState.WITHHELD, reason=EventReason.EXPIRED), fresh]

    def test_gives_up_due_events_of_types_nobody_sends(self, uow: UnitOfWork) -> None:
        rows = [event(1), event(2, event_type="3.1.1.1"), event(3, event_type="3.1.1.1", sender_system="P12")]
        uow.save([replace(one, state=EventState.DUE) for one in rows])
        assert set(events.types_due(uow.connection)) == {
            ("P11", "3.26.0.85"),
            ("P11", "3.1.1.1"),
            ("P12", "3.1.1.1"),
        }
        assert events.withhold_due(uow.connection, [("P11", "3.1.1.1")]) == 1
        assert [one.state for one in stored(uow)] == [EventState.DUE, EventState.WITHHELD, EventState.DUE]


class TestWindows:
    def test_of_storms_are_found_and_old_ones_forgotten(self, uow: UnitOfWork) -> None:
        def window(hours: int, suppressed: int) -> EventWindow:
            return EventWindow(
                sender_system="P11",
                area="city",
                event_type="3.26.0.85",
                window_from=NOON + timedelta(hours=hours),
                passed=1,
                suppressed=suppressed,
            )

        uow.save([window(0, 5), window(1, 0), window(2, 7)])
        assert events.storms(uow.connection, since=NOON) == [window(0, 5), window(2, 7)]
        events.forget_windows(uow.connection, before=NOON + timedelta(hours=2))
        assert uow.load(EventWindow, ("sender_system",), {("P11",)}) == [window(2, 7)]
