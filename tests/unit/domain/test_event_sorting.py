"""Which events go to SAP: decided without a database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from mdus.domain.command import Command, CommandKind, OwnerKind
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.end_device_event import (
    EndDeviceEvent,
    EventReason,
    EventState,
    EventWindow,
    LateFailure,
    event_id,
    late_failure,
)
from mdus.domain.event_sorting import EventRules, Sorted, Surroundings, sort_events
from mdus.domain.event_types import EventType, EventTypes

NOON = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FAILED, RESTORED, OPENED, SAG, BREAKER = "3.26.0.85", "3.26.0.216", "3.12.29.39", "3.26.79.223", "3.31.0.68"
RULES = EventRules(repeat_within=15 * MINUTE, storm_limit=2, storm_window=60 * MINUTE, read_back_lasts=15 * MINUTE)
CALM = replace(RULES, storm_limit=1000)
TYPES = EventTypes(
    [
        EventType(name="failed", event=FAILED, type="1", severity="1"),
        EventType(name="restored", event=RESTORED, type="2", severity="1"),
        EventType(name="opened", event=OPENED, type="3", severity="1"),
        EventType(name="sag", event=SAG, send=False),
        EventType(name="breaker", event=BREAKER, type="4", severity="1", read_back=True),
        EventType(name="reading", event="reading_missing", type="5", severity="1"),
        EventType(name="untold", event="confirmation_untold", type="6", severity="1"),
    ]
)
METER = EndDevice(
    sender_system="P11",
    device_id="42",
    serial_id="S42",
    material_id="LX100",
    valid_from=date(2026, 1, 1),
    head_end="city",
)


def event(minute: float = 0, event_type: str = FAILED, **facts: Any) -> EndDeviceEvent:
    """Return an event told at noon that happened so many minutes after it, under the id of its facts."""
    told: dict[str, Any] = {
        "sender_system": "P11",
        "device_id": "42",
        "event_type": event_type,
        "at": NOON + minute * MINUTE,
        "source": "city",
        "area": "city",
        "told_at": NOON,
        **facts,
    }
    name = f"{told['sender_system']}/{told['device_id']}"
    told["event_id"] = event_id(device=name, event_type=event_type, at=told["at"], source=told["source"])
    return EndDeviceEvent(**told)


def sort(
    *told: EndDeviceEvent,
    near: Iterable[EndDeviceEvent] = (),
    windows: Iterable[EventWindow] = (),
    rules: EventRules = CALM,
    devices: Iterable[EndDevice] = (METER,),
    statuses: Iterable[EndDeviceStatus] = (),
) -> Sorted:
    around = Surroundings(
        types=TYPES,
        rules=rules,
        zone_of=lambda _: "Europe/Berlin",
        near=near,
        windows=windows,
        devices={device.key: device for device in devices},
        statuses={status.key: status for status in statuses},
    )
    return sort_events(told, around, now=NOON + MINUTE)


def fates(done: Sorted) -> list[str]:
    """Return the state of each event, with the reason where it is not sent."""
    return [f"{one.state}" if one.reason is None else f"{one.state}: {one.reason}" for one in done.events]


class TestMapping:
    @pytest.mark.parametrize(
        ("event_type", "fate"),
        [
            pytest.param(FAILED, "held", id="in the table"),
            pytest.param("3.1.0.1", "withheld: unmapped", id="not in the table"),
            pytest.param(SAG, "withheld: unwanted", id="not to be sent"),
        ],
    )
    def test_sends_what_the_table_says(self, event_type: str, fate: str) -> None:
        assert fates(sort(event(event_type=event_type))) == [fate]

    def test_notes_the_local_day_registers_are_looked_up_by(self) -> None:
        late = event(at=datetime(2026, 3, 28, 23, 30, tzinfo=UTC))
        assert sort(late).events[0].happened_on == date(2026, 3, 29)

    def test_counts_nothing_that_is_not_sent(self) -> None:
        assert sort(event(event_type=SAG), event(event_type="3.1.0.1")).windows == {}


class TestRepetition:
    @pytest.mark.parametrize(
        ("minutes", "fate"),
        [
            pytest.param(14.9, "suppressed: repeated", id="just inside"),
            pytest.param(15, "held", id="just outside"),
            pytest.param(-14.9, "suppressed: repeated", id="earlier, told later"),
            pytest.param(-15, "held", id="long before, told later"),
        ],
    )
    def test_is_sent_once(self, minutes: float, fate: str) -> None:
        assert fates(sort(event(0), event(minutes))) == ["held", fate]
        assert fates(sort(event(minutes), near=[replace(event(0), state=EventState.SENT)])) == [fate]

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param({"device_id": "43"}, id="of another meter"),
            pytest.param({"event_type": OPENED}, id="of another kind"),
            pytest.param({"sender_system": "P12"}, id="of a meter of another system"),
        ],
    )
    def test_is_not_found_in_what_is(self, other: dict[str, Any]) -> None:
        assert fates(sort(event(0), event(1, **other))) == ["held", "held"]

    def test_ends_with_other_news_of_the_same_subject(self) -> None:
        news = [event(0), event(1, RESTORED), event(2), event(3, RESTORED), event(4, RESTORED)]
        assert fates(sort(*news)) == ["held", "held", "held", "held", "suppressed: repeated"]

    def test_does_not_end_with_news_of_another_subject(self) -> None:
        assert fates(sort(event(0), event(1, OPENED), event(2))) == ["held", "held", "suppressed: repeated"]

    def test_ends_with_news_that_is_not_sent_itself(self) -> None:
        suppressed = replace(event(1, RESTORED), state=EventState.SUPPRESSED, reason=EventReason.STORM)
        sent = replace(event(0), state=EventState.SENT)
        assert fates(sort(event(2), near=[sent, suppressed])) == ["held"]

    def test_lasts_from_the_one_that_was_sent(self) -> None:
        assert fates(sort(*(event(minute) for minute in (0, 10, 20)))) == ["held", "suppressed: repeated", "held"]

    def test_is_sent_where_the_setting_says_so(self) -> None:
        rules = replace(RULES, repeat_within=timedelta(0), storm_limit=9)
        assert fates(sort(event(0), event(0.001), rules=rules)) == ["held", "held"]


class TestStorm:
    def _meters(self, count: int, **facts: Any) -> list[EndDeviceEvent]:
        return [event(device_id=str(number), **facts) for number in range(count)]

    def test_suppresses_beyond_the_limit_and_tells_once(self) -> None:
        done = sort(*self._meters(4), rules=RULES)

        assert fates(done) == ["held", "held", "suppressed: storm", "suppressed: storm"]
        [window] = done.windows.values()
        assert (window.passed, window.suppressed, done.storms) == (2, 2, 2)
        [summary] = done.also
        assert isinstance(summary, EndDeviceEvent)
        assert (summary.event_type, summary.device_id, summary.state) == ("event_storm", None, EventState.TOLD)
        assert "More than 2 events 3.26.0.85 of city" in (summary.text or "")

    def test_goes_on_in_the_window_it_was_counted_in(self) -> None:
        first = sort(*self._meters(3), rules=RULES)
        again = sort(event(device_id="9"), windows=first.windows.values(), rules=RULES)

        assert fates(again) == ["suppressed: storm"]
        [window] = again.windows.values()
        assert (window.passed, window.suppressed) == (2, 2)
        assert again.also == []

    def test_ends_the_same_in_one_batch_and_in_many(self) -> None:
        meters = self._meters(5)
        together = sort(*meters, rules=RULES)
        alone: list[EndDeviceEvent] = []
        windows: list[EventWindow] = []
        for one in meters:
            done = sort(one, windows=windows, near=alone, rules=RULES)
            alone, windows = [*alone, *done.events], list(done.windows.values())

        assert alone == together.events
        assert windows == list(together.windows.values())

    @pytest.mark.parametrize(
        "apart",
        [
            pytest.param({"area": "DC-7"}, id="area"),
            pytest.param({"event_type": RESTORED}, id="type"),
            pytest.param({"sender_system": "P12"}, id="sender system"),
            pytest.param({"told_at": NOON + 60 * MINUTE}, id="window"),
        ],
    )
    def test_is_counted_apart_by(self, apart: dict[str, Any]) -> None:
        done = sort(*self._meters(2), event(device_id="9", **apart), rules=RULES)
        assert fates(done) == ["held", "held", "held"]

    def test_is_counted_by_when_events_were_told(self) -> None:
        yesterdays = [event(minute, device_id=str(minute)) for minute in (-1440, -2880, -4320)]
        assert fates(sort(*yesterdays, rules=RULES))[-1] == "suppressed: storm"

    def test_does_not_count_repetitions(self) -> None:
        done = sort(event(0), event(1), event(2, device_id="9"), rules=RULES)
        assert fates(done) == ["held", "suppressed: repeated", "held"]

    def test_never_suppresses_what_mdus_has_to_tell(self) -> None:
        failures = [
            late_failure(
                LateFailure.READING_MISSING,
                sender_system="P11",
                device_id="42",
                at=NOON,
                told_at=NOON,
                about=f"document/{number}",
                note="nothing there",
            )
            for number in range(5)
        ]
        assert fates(sort(*failures, rules=RULES)) == ["due"] * 5
        assert len({one.event_id for one in failures}) == 5

    def test_holds_that_a_confirmation_is_untold_for_sap_may_be_away(self) -> None:
        failure = late_failure(
            LateFailure.CONFIRMATION_UNTOLD,
            sender_system="P11",
            device_id=None,
            at=NOON,
            told_at=NOON,
            about="x",
            note="x",
        )
        assert fates(sort(failure)) == ["held"]

    def test_withholds_what_mdus_has_to_tell_where_the_table_has_no_row(self) -> None:
        failure = late_failure(
            LateFailure.MESSAGE_FAILED, sender_system="P11", device_id="42", at=NOON, told_at=NOON, about="x", note="x"
        )
        assert fates(sort(failure)) == ["withheld: unmapped"]


class TestReadBack:
    def test_asks_where_the_breaker_stands(self) -> None:
        [command] = sort(event(event_type=BREAKER)).also

        assert isinstance(command, Command)
        assert (command.kind, command.owner_kind) == (CommandKind.SWITCH_STATE, OwnerKind.REGISTRY)
        assert (command.device_id, command.serial_id, command.head_end) == ("42", "S42", "city")
        assert (command.not_before, command.expires_at) == (NOON + MINUTE, NOON + 16 * MINUTE)
        assert (command.control_key, command.wanted_state) == (None, None)

    @pytest.mark.parametrize(
        ("read_at", "asked"),
        [
            pytest.param(NOON - MINUTE, 1, id="before the event"),
            pytest.param(NOON, 0, id="when it happened"),
            pytest.param(None, 1, id="never"),
        ],
    )
    def test_asks_only_if_the_position_was_not_read_since(self, read_at: datetime | None, asked: int) -> None:
        status = EndDeviceStatus(sender_system="P11", device_id="42", switch_state_at=read_at)
        assert len(sort(event(event_type=BREAKER), statuses=[status]).also) == asked

    @pytest.mark.parametrize(
        "done",
        [
            pytest.param(sort(event(event_type=FAILED)), id="another event"),
            pytest.param(sort(event(event_type=BREAKER), devices=()), id="an unknown device"),
            pytest.param(sort(event(event_type=BREAKER), devices=[replace(METER, head_end=None)]), id="no head end"),
            pytest.param(
                sort(event(1, BREAKER), near=[replace(event(0, BREAKER), state=EventState.SENT)]), id="a repetition"
            ),
        ],
    )
    def test_asks_nothing_for(self, done: Sorted) -> None:
        assert done.also == []
