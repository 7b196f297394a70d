"""Case 27. A flood of events, and events told again: stable ids, few messages, and no confirmation to wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mdus.messaging.status import MessageStatus
from mdus.storage.message import MESSAGE
from tests.flows.both_sides import BothSides
from tests.flows.events.scene import (
    EVENTS,
    POWER_FAILED,
    POWER_RESTORED,
    alarm,
    cases,
    confirm,
    meter,
    playing,
    push,
    states,
    told,
)

Play = Callable[[str], BothSides]
STREET = [f"{number:018}" for number in range(100, 160)]


@pytest.fixture
def play(sqlite_url: str, tmp_path: Path) -> Iterator[Play]:
    """What plays both sides under settings of [events]."""
    opened = []

    def make(settings: str = "") -> BothSides:
        opened.append(playing(sqlite_url, tmp_path, settings=settings))
        return opened[-1].__enter__()

    yield make
    for each in opened:
        each.__exit__(None, None, None)


class TestAFlood:
    def test_goes_to_sap_in_one_message(self, play: Play) -> None:
        sides = play()
        for device_id in STREET:
            meter(sides, device_id)
        push(sides, *(alarm(device_id) for device_id in STREET))
        sides.rest()

        assert len(sides.sap.messages(EVENTS)) == 1
        assert sorted(told(sides, "UtilitiesDeviceID")) == STREET
        assert len(set(told(sides))) == len(STREET)
        assert {len(event_id) for event_id in told(sides)} == {22}

    def test_beyond_the_limit_is_one_event_of_the_storm_and_none_is_lost(self, play: Play) -> None:
        sides = play("storm_limit = 10")
        for device_id in STREET:
            meter(sides, device_id)
        push(sides, *(alarm(device_id) for device_id in STREET))
        sides.rest()

        assert len(told(sides)) == 11
        counted = states(sides)
        assert counted.count("suppressed: storm") == len(STREET) - 10
        assert ("event_storm", True) in cases(sides)


class TestAnEventToldAgain:
    @pytest.mark.parametrize(
        "again",
        [
            pytest.param({}, id="to the letter"),
            pytest.param({"event_id": "another id of the head end"}, id="under another id of the head end"),
        ],
    )
    def test_is_sent_once_under_one_id(self, play: Play, again: dict[str, str]) -> None:
        sides = play()
        meter(sides)
        push(sides, alarm(text="power failed"), delivery="d-1")
        sides.rest()
        first = told(sides)
        for number in range(3):
            push(sides, {**alarm(text="power failed"), **again}, delivery=f"again-{number}")
            sides.clock.move(days=number)
            sides.rest()

        assert told(sides) == first
        assert len(first) == 1

    def test_that_flaps_is_told_when_things_were_otherwise(self, play: Play) -> None:
        sides = play()
        meter(sides)
        for minute, code in enumerate((POWER_FAILED, POWER_FAILED, POWER_RESTORED, POWER_FAILED)):
            push(sides, alarm(code=code, at=f"2026-03-28T09:0{minute}:00Z"), delivery=f"d-{minute}")
            sides.rest()

        assert states(sides).count("suppressed: repeated") == 1
        assert len(told(sides)) == 3


class TestTheConfirmation:
    def test_that_never_comes_is_no_fault_and_blocks_nothing(self, play: Play) -> None:
        sides = play()
        meter(sides)
        for day in range(3):
            push(sides, alarm(at=f"2026-03-2{day + 5}T09:58:00Z"), delivery=f"d-{day}")
            sides.rest()
            sides.clock.move(days=30)
            sides.rest()

        assert len(told(sides)) == 3
        assert cases(sides) == []
        sent = [row for row in sides.mdus.rows(MESSAGE) if row.direction == "out" and row.root == EVENTS]
        assert [(row.status, row.attempts) for row in sent] == [(MessageStatus.DELIVERED, 1)] * 3

    def test_that_comes_all_the_same_settles_the_event_late(self, play: Play) -> None:
        sides = play()
        meter(sides)
        push(sides, alarm())
        sides.rest()
        sides.clock.instant += timedelta(days=30)
        confirm(sides, "3", *told(sides))

        assert states(sides) == ["answered"]
