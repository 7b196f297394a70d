"""Case 26. The registered notification goes out exactly once.

Not while the device has no register, but with one that is only to begin, which its StartDate then says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mdus.messaging.status import MessageStatus
from mdus.storage.message import MESSAGE
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.conftest import Open
from tests.flows.hard_cases.sap_messages import CREATE, METER, REGISTERED, REGISTERS, device, register, registers
from tests.flows.hard_cases.steps import START

ITEM = "UtilitiesDeviceERPSmartMeterRegisteredNotificationMessage"
STARTS = f"{ITEM}/UtilitiesDevice/SmartMeter/StartDate"


def hear(sides: BothSides) -> None:
    """Let the meter communicate."""
    sides.push("heard", {"meters": [{"serial": f"S{METER}", "at": sides.clock.now().isoformat()}]})
    sides.rest()


def notified(sides: BothSides) -> list[list[str]]:
    """Return the StartDate in each notification."""
    return [texts(found, STARTS) for found in sides.sap.messages(REGISTERED)]


class TestTheNotification:
    def test_goes_out_once_however_often_anything_comes_again(
        self, empty_sides: BothSides, open_sides: Open, database_url: str
    ) -> None:
        sides = empty_sides
        sides.tell(CREATE, device())
        sides.tell(REGISTERS, registers(register()))
        for _ in range(3):
            hear(sides)
            sides.tell(CREATE, device())
            sides.tell(REGISTERS, registers(register()))
            sides.clock.move(days=1)
            sides.rest()
        restarted = open_sides(database_url)
        hear(restarted)

        assert notified(sides) == [["2026-01-01"]]
        assert notified(restarted) == []

    def test_is_sent_again_under_its_uuid_when_sap_did_not_take_it(self, empty_sides: BothSides) -> None:
        sides = empty_sides
        sides.tell(CREATE, device())
        sides.tell(REGISTERS, registers(register()))
        sides.rest()
        sides.sap.closed = True
        sides.push("heard", {"meters": [{"serial": f"S{METER}", "at": START.isoformat()}]})
        sides.readings.turn()
        sides.outbox.turn()
        assert self.outgoing(sides) == [(MessageStatus.READY, 1)]

        sides.sap.closed = False
        sides.rest()
        assert self.outgoing(sides) == [(MessageStatus.DELIVERED, 2)]
        assert notified(sides) == [["2026-01-01"]]

    def outgoing(self, sides: BothSides) -> list[tuple[Any, int]]:
        rows = sides.mdus.rows(MESSAGE)
        return [(row.status, row.attempts) for row in rows if row.direction == "out" and row.root == REGISTERED]


class TestADeviceThatIsHeard:
    @pytest.mark.parametrize(
        ("told", "starts"),
        [
            pytest.param([], [], id="without a register: not yet"),
            pytest.param([register(ends="2026-03-27")], [], id="whose register has ended: not yet"),
            pytest.param([register(ends="2026-03-28")], [["2026-01-01"]], id="whose register ends today"),
            pytest.param([register(starts="2026-06-01")], [["2026-06-01"]], id="whose register begins in June"),
            pytest.param(
                [register(ends="2026-03-27"), register("7", starts="2026-05-01", obis="1-0:2.8.0")],
                [["2026-05-01"]],
                id="with one that ended and one to begin",
            ),
        ],
    )
    def test_is_told_with_the_start_of_its_first_register_that_lasts(
        self, empty_sides_on_sqlite: BothSides, told: list[str], starts: list[list[str]]
    ) -> None:
        sides = empty_sides_on_sqlite
        sides.tell(CREATE, device())
        if told:
            sides.tell(REGISTERS, registers(*told))
        sides.rest()
        hear(sides)

        assert notified(sides) == starts

    def test_is_told_when_its_first_register_comes(self, empty_sides: BothSides) -> None:
        sides = empty_sides
        sides.tell(CREATE, device())
        hear(sides)
        assert notified(sides) == []

        sides.tell(REGISTERS, registers(register()))
        sides.rest()
        assert notified(sides) == [["2026-01-01"]]

    def test_without_a_register_is_told_at_once_by_setting(
        self, open_sides: Open, sqlite_url: str, tmp_path: Path
    ) -> None:
        (tmp_path / "mdus.toml").write_text('registered_when = "seen"\n')
        sides = open_sides(sqlite_url)
        sides.tell(CREATE, device())
        sides.rest()
        hear(sides)

        assert notified(sides) == [[]]
        assert len(sides.sap.messages(REGISTERED)) == 1

    def test_only_by_its_register_is_not_heard(self, empty_sides_on_sqlite: BothSides) -> None:
        sides = empty_sides_on_sqlite
        sides.tell(CREATE, device())
        sides.tell(REGISTERS, registers(register()))
        sides.rest()

        assert notified(sides) == []
