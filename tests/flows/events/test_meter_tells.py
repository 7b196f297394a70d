"""What meters tell, from the head end's push to SAP and back; on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from mdus.bootstrap.discovery import discover
from mdus.domain.command import CommandKind
from mdus.domain.end_device import EndDeviceStatus, SwitchState
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.workers import confirmation_watch
from tests.flows.both_sides import SENDER, BothSides
from tests.flows.events.scene import (
    DISCONNECTED,
    EVENTS,
    METER,
    POWER_FAILED,
    POWER_RESTORED,
    REGISTERED,
    START,
    alarm,
    cases,
    confirm,
    item,
    meter,
    playing,
    push,
    register_from,
    states,
    told,
)


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    with playing(database_url, tmp_path) as made:
        yield made


class TestAnEvent:
    def test_reaches_sap_as_the_table_says(self, sides: BothSides) -> None:
        meter(sides)
        push(sides, alarm(text="Primary power down", properties={"phase": "L2"}))
        sides.rest()

        [message] = sides.sap.messages(EVENTS)
        event = item(message)
        assert {child.tag: child.text for child in event if child.tag not in ("ID", "Property")} == {
            "UtilitiesDeviceID": METER,
            "DateTime": "2026-03-28T09:58:00Z",
            "CategoryCode": "0002",
            "TypeCode": "0100",
            "SeverityCode": "3",
            "OriginTypeCode": "01",
        }
        assert len(event.findtext("ID") or "") == 22
        assert event.findtext("Property/Code") == "TEXT"
        assert event.findtext("Property/ObjectPropertyValue/Text") == "Primary power down"
        assert states(sides) == ["sent"]

    def test_is_sent_once_however_often_it_is_told(self, sides: BothSides) -> None:
        meter(sides)
        push(sides, alarm())
        sides.rest()
        push(sides, alarm(), delivery="d-2")  # the poll fetches what was pushed
        push(sides, alarm(event_id="another"), delivery="d-3")
        sides.rest()

        assert len(told(sides)) == 1

    def test_is_a_sign_of_life(self, sides: BothSides) -> None:
        meter(sides, registered=False)
        push(sides, alarm())
        sides.rest()
        [status] = sides.all(EndDeviceStatus)
        assert status.first_heard_at == START - timedelta(minutes=2)

    def test_goes_with_all_that_are_due_in_one_message(self, sides: BothSides) -> None:
        numbers = [f"{number:018d}" for number in range(1, 4)]
        for number in numbers:
            meter(sides, number)
        push(sides, *(alarm(number) for number in numbers))
        sides.rest()

        assert len(sides.sap.messages(EVENTS)) == 1
        assert told(sides, "UtilitiesDeviceID") == numbers

    def test_that_nobody_mapped_is_stored_and_shown_and_not_sent(self, sides: BothSides) -> None:
        meter(sides)
        push(sides, alarm(code="3.1.0.1", text="modem reset", properties={"phase": "L2"}))
        sides.rest()

        assert told(sides) == []
        assert states(sides) == ["withheld: unmapped"]
        listed = sides.mdus.get("/api/v1/events", params={"reason": "unmapped"}).json()["items"]
        assert [(row["device_id"], row["text"], row["properties"]) for row in listed] == [
            (METER, "modem reset", {"phase": "L2"})
        ]
        assert sides.mdus.get("/api/v1/events", params={"state": "sent"}).json()["items"] == []

    def test_of_a_meter_not_known_yet_waits_for_it(self, sides: BothSides) -> None:
        push(sides, alarm())
        sides.readings.turn()
        assert states(sides) == []

        meter(sides)
        sides.rest()
        assert told(sides, "UtilitiesDeviceID") == [METER]


class TestBeforeTheMeterIsRegistered:
    def test_an_event_follows_the_registered_notification(self, sides: BothSides) -> None:
        meter(sides, registered=False)
        push(sides, alarm())
        sides.sap.closed = True
        sides.readings.turn()
        sides.events.turn()
        sides.outbox.turn()  # the alarm is a sign of life: the notification is on its way
        sides.events.turn()
        assert states(sides) == ["held"]

        sides.sap.closed = False
        sides.rest()
        roots = [message.tag.rpartition("}")[2] for message in sides.sap.received]
        assert roots == [REGISTERED, EVENTS]

    def test_an_event_is_held_as_long_as_the_meter_has_no_register(self, sides: BothSides) -> None:
        meter(sides)
        register_from(sides, date(2026, 3, 29))
        push(sides, alarm())
        sides.rest()
        assert states(sides) == ["held"]

        register_from(sides, date(2026, 3, 28))
        sides.rest()
        assert len(told(sides)) == 1

    def test_no_register_is_needed_where_the_setting_says_so(self, database_url: str, tmp_path: Path) -> None:
        with playing(database_url, tmp_path, settings="needs_register = false") as sides:
            meter(sides)
            register_from(sides, date(2026, 3, 29))
            push(sides, alarm())
            sides.rest()
            assert len(told(sides)) == 1

    def test_an_event_held_too_long_is_kept_and_never_sent(self, sides: BothSides) -> None:
        meter(sides)
        register_from(sides, date(2026, 3, 29))
        push(sides, alarm())
        sides.rest()
        sides.clock.move(days=30)
        sides.rest()
        assert states(sides) == ["withheld: expired"]


class TestARepeatedEvent:
    def test_is_sent_once_within_the_time_set(self, sides: BothSides) -> None:
        meter(sides)
        for minute in (40, 45, 54, 55):
            push(sides, alarm(at=f"2026-03-28T09:{minute}:00Z"), delivery=f"d-{minute}")
        sides.rest()
        assert told(sides, "DateTime") == ["2026-03-28T09:40:00Z", "2026-03-28T09:55:00Z"]

    def test_is_told_again_once_things_were_otherwise(self, sides: BothSides) -> None:
        meter(sides)
        for minute, code in ((50, POWER_FAILED), (51, POWER_RESTORED), (52, POWER_FAILED)):
            push(sides, alarm(code=code, at=f"2026-03-28T09:{minute}:00Z"), delivery=f"d-{minute}")
        sides.rest()
        assert told(sides, "TypeCode") == ["0100", "0101", "0100"]


class TestAStorm:
    def test_is_cut_off_and_told_by_one_event_and_one_case(self, database_url: str, tmp_path: Path) -> None:
        with playing(database_url, tmp_path, settings="storm_limit = 5") as sides:
            numbers = [f"{number:018d}" for number in range(1, 31)]
            for number in numbers:
                meter(sides, number)
            for some in (numbers[:10], numbers[10:20], numbers[20:]):
                push(sides, *(alarm(number) for number in some), delivery=some[0])
            sides.rest()

            assert told(sides, "UtilitiesDeviceID") == numbers[:5]
            assert told(sides, "TypeCode") == ["0100"] * 5 + ["1006"]
            assert states(sides).count("suppressed: storm") == 25
            assert cases(sides) == [("event_storm", True)]
            [case] = sides.mdus.get("/api/v1/exceptions").json()["items"]
            assert case["note"].startswith(f"25 events {POWER_FAILED} of city not sent to {SENDER}")

            sides.clock.move(hours=3)
            sides.rest()
            assert cases(sides) == [("event_storm", False)]

    def test_of_one_concentrator_silences_no_other(self, database_url: str, tmp_path: Path) -> None:
        with playing(database_url, tmp_path, settings="storm_limit = 1") as sides:
            for number, concentrator in (("1", "DC-1"), ("2", "DC-1"), ("3", "DC-2")):
                meter(sides, number)
                push(sides, alarm(number, properties={"concentrator": concentrator}), delivery=number)
            sides.rest()
            assert told(sides, "UtilitiesDeviceID") == ["1", "3"]


class TestABreakersAlarm:
    def test_changes_nothing_until_the_position_is_read_back(self, sides: BothSides) -> None:
        meter(sides)
        push(sides, alarm(code=DISCONNECTED))
        sides.rest()

        assert told(sides, "TypeCode") == ["0401"]
        assert sides.all(EndDeviceStatus)[0].switch_state is SwitchState.UNKNOWN
        assert [one["serial"] for one in sides.submitted(CommandKind.SWITCH_STATE)] == [f"S{METER}"]

        sides.answer(CommandKind.SWITCH_STATE, switch_state="disconnected")
        sides.rest()
        assert sides.all(EndDeviceStatus)[0].switch_state is SwitchState.DISCONNECTED

    def test_that_was_wrong_leaves_the_position_as_it_is(self, sides: BothSides) -> None:
        meter(sides)
        push(sides, alarm(code=DISCONNECTED))
        sides.rest()
        sides.answer(CommandKind.SWITCH_STATE, switch_state="connected")
        sides.rest()
        assert sides.all(EndDeviceStatus)[0].switch_state is SwitchState.CONNECTED
        assert sides.submitted(CommandKind.SWITCH) == []


class TestSapsConfirmation:
    @pytest.fixture
    def event_id(self, sides: BothSides) -> str:
        meter(sides)
        push(sides, alarm())
        sides.rest()
        [event_id] = told(sides)
        return event_id

    def watch(self, sides: BothSides) -> None:
        """Look for what SAP has left unanswered."""
        confirmation_watch.run(
            sides.database,
            services=discover().services,
            settings=sides.mdus.runtime.settings,
            now=sides.clock.now(),
        )

    def test_settles_the_event(self, sides: BothSides, event_id: str) -> None:
        confirm(sides, "3", event_id)
        assert states(sides) == ["answered"]
        assert cases(sides) == []

    def test_that_comes_late_settles_it_as_well(self, sides: BothSides, event_id: str) -> None:
        sides.clock.move(days=3)
        self.watch(sides)
        confirm(sides, "3", event_id)
        assert (states(sides), cases(sides)) == (["answered"], [])

    def test_that_never_comes_is_no_fault(self, sides: BothSides, event_id: str) -> None:
        sides.clock.move(days=400)
        self.watch(sides)
        sides.rest()
        assert (states(sides), cases(sides)) == (["sent"], [])
        push(sides, alarm(at="2027-04-01T10:00:00Z"), delivery="d-2")
        sides.rest()
        assert len(told(sides)) == 2

    def test_of_code_5_is_a_refusal_for_a_human(self, sides: BothSides, event_id: str) -> None:
        confirm(sides, "5", event_id)
        assert (states(sides), cases(sides)) == (["refused"], [("event_refused", True)])
        [row] = sides.mdus.get("/api/v1/events", params={"state": "refused"}).json()["items"]
        assert row["note"] == "Event type not customized"

        confirm(sides, "3", event_id)
        assert (states(sides), cases(sides)) == (["answered"], [("event_refused", False)])

    def test_of_an_event_never_sent_opens_a_case(self, sides: BothSides, event_id: str) -> None:
        confirm(sides, "3", "X" * 22)
        assert (states(sides), cases(sides)) == (["sent"], [("confirmation_unmatched", True)])
        assert [one.note for one in sides.all(EndDeviceEvent)] == [None]
