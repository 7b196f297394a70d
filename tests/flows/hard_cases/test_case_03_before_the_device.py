"""Case 3. Registers, orders, location and point of delivery arrive before their device.

They are parked and tried again when it comes; where SAP awaits an answer it gets a negative one at a deadline.
"""

from __future__ import annotations

import pytest

from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation, UsagePoint
from mdus.messaging.status import ItemStatus
from mdus.storage.message import ITEM
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.sap_messages import (
    CHANGE,
    CHANGED,
    CREATE,
    LATE,
    LOCATION,
    POINT_OF_DELIVERY,
    READ,
    READ_ACCEPTED,
    READ_BULK,
    READ_BULK_ACCEPTED,
    REGISTERS,
    REGISTERS_CREATED,
    SWITCH,
    SWITCHED,
    assignment,
    device,
    device_ends,
    locations,
    place,
    points_of_delivery,
    reading,
    register,
    registers,
    switch,
)
from tests.flows.hard_cases.steps import START, answers, carry_out, cases, late_failures, switches

#: What SAP may send of a device, and the confirmation it awaits of it.
EARLY: dict[str, tuple[str, str, str | None]] = {
    "registers": (REGISTERS, registers(register(LATE), device_id=LATE), REGISTERS_CREATED),
    "change": (CHANGE, device_ends(LATE, ends="9999-12-31"), CHANGED),
    "reading order": (READ, reading(device_id=LATE), READ_ACCEPTED),
    "connection order": (SWITCH, switch(LATE, planned_at=START, category="2"), SWITCHED),
    "location": (LOCATION, locations(place(), device_id=LATE), None),
    "point of delivery": (POINT_OF_DELIVERY, points_of_delivery(assignment(), task=LATE, device_id=LATE), None),
}
CONFIRMED = [name for name, (_, _, confirmation) in EARLY.items() if confirmation]
NOTIFIED = [name for name, (_, _, confirmation) in EARLY.items() if not confirmation]


class TestWhatCameBeforeItsDevice:
    @pytest.mark.parametrize("name", CONFIRMED)
    def test_waits_half_an_hour_then_is_refused_once_for_all(self, empty_sides_on_sqlite: BothSides, name: str) -> None:
        sides = empty_sides_on_sqlite
        root, body, confirmation = EARLY[name]
        assert confirmation is not None
        sides.tell(root, body)
        sides.rest()
        sides.clock.move(minutes=29, seconds=59)
        sides.rest()
        assert sides.sap.messages(confirmation) == []

        sides.clock.move(seconds=1)
        sides.rest()
        assert answers(sides, confirmation) == [("5", ["110(MDUS)"])]

        sides.tell(CREATE, device(LATE))
        sides.clock.move(days=2)
        sides.rest()
        assert len(sides.sap.messages(confirmation)) == 1
        assert switches(sides) == []

    @pytest.mark.parametrize("name", NOTIFIED)
    def test_waits_a_day_where_nobody_awaits_an_answer(self, empty_sides_on_sqlite: BothSides, name: str) -> None:
        sides = empty_sides_on_sqlite
        root, body, _ = EARLY[name]
        sides.tell(root, body)
        sides.rest()
        sides.clock.move(hours=23, minutes=59)
        sides.rest()
        assert late_failures(sides) == []

        sides.clock.move(minutes=1)
        sides.rest()
        assert late_failures(sides) == ["location_failed" if name == "location" else "message_failed"]

    def test_is_done_in_the_minute_its_device_comes_last_of_all(self, empty_sides: BothSides) -> None:
        sides = empty_sides
        for root, body, _ in reversed(EARLY.values()):
            sides.tell(root, body)
            sides.rest()
        assert [row.status for row in sides.mdus.rows(ITEM)] == [ItemStatus.PARKED] * len(EARLY)

        sides.clock.move(minutes=29)
        sides.tell(CREATE, device(LATE))
        carry_out(sides, "connected")

        for name in CONFIRMED:
            _, _, confirmation = EARLY[name]
            assert answers(sides, confirmation or "") == [("3", [])], name
        assert switches(sides) == ["connected"]
        kept = [(kind, len(sides.all(kind))) for kind in (Register, DeviceLocation, UsagePoint)]
        assert kept == [(Register, 1), (DeviceLocation, 1), (UsagePoint, 1)]
        assert (cases(sides), late_failures(sides)) == ([], [])

    def test_in_a_bulk_keeps_no_neighbour_waiting(self, sides: BothSides) -> None:
        sides.tell(READ_BULK, reading("1"), reading("2", device_id=LATE), reading("3"))
        sides.rest()
        [now] = sides.sap.messages(READ_BULK_ACCEPTED)
        assert texts(now, f"{READ_ACCEPTED}Message/MeterReadingDocument/ID") == ["1", "3"]

        sides.clock.move(minutes=30)
        sides.rest()
        _, later = sides.sap.messages(READ_BULK_ACCEPTED)
        assert texts(later, f"{READ_ACCEPTED}Message/MeterReadingDocument/ID") == ["2"]
        assert texts(later, f"{READ_ACCEPTED}Message/Log/Item/TypeID") == ["110(MDUS)"]
