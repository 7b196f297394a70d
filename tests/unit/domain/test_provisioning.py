"""Provisioning: one command for what the head end is told, another when that changes, none when there is nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.end_device import EndDevice
from mdus.domain.provisioning import PROVISIONING_LASTS, provision
from mdus.domain.register import Register

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
DEVICE = EndDevice(
    sender_system="P11",
    device_id="42",
    serial_id="0000001234",
    material_id="LX100",
    valid_from=date(2026, 1, 1),
    head_end="city",
)
REGISTER = Register(
    sender_system="P11",
    device_id="42",
    measurement_task_id="1",
    valid_from=date(2026, 1, 1),
    reading_type="1-0:1.8.0*255",
    unit="KWH",
)


def key(device: EndDevice = DEVICE, *registers: Register, now: datetime = NOW) -> str:
    command = provision(device, registers or (REGISTER,), now=now)
    assert command is not None
    return command.command_key


class TestTheCommand:
    def test_may_leave_at_once_and_for_thirty_days(self) -> None:
        command = provision(DEVICE, [REGISTER], now=NOW)
        assert command is not None
        assert (command.not_before, command.expires_at - NOW) == (NOW, PROVISIONING_LASTS)

    def test_has_the_same_key_for_the_same_content_in_any_order_at_any_time(self) -> None:
        other = replace(REGISTER, measurement_task_id="2", reading_type="1-0:2.8.0*255")
        assert key(DEVICE, REGISTER, other) == key(DEVICE, other, REGISTER, now=NOW + timedelta(days=1))

    def test_has_the_same_key_when_only_a_number_or_date_changes(self) -> None:
        assert key(DEVICE, replace(REGISTER, measurement_task_id="2", valid_to=date(2027, 1, 1))) == key()

    @pytest.mark.parametrize(
        "facts",
        [{"reading_type": "1-0:2.8.0*255"}, {"unit": "M3"}, {"total_digits": 8}, {"fraction_digits": 3}],
        ids=str,
    )
    def test_has_another_key_when_a_register_is_another(self, facts: dict[str, Any]) -> None:
        assert key(DEVICE, replace(REGISTER, **facts)) != key()

    @pytest.mark.parametrize("facts", [{"head_end": "north"}, {"serial_id": "1234"}], ids=str)
    def test_has_another_key_when_the_meter_is_another(self, facts: dict[str, Any]) -> None:
        assert key(replace(DEVICE, **facts)) != key()


class TestWhatWasToldBefore:
    THERE = replace(DEVICE, head_end="north")

    def told(self, device: EndDevice, *earlier: Command, **facts: Any) -> Command:
        command = provision(device, [replace(REGISTER, **facts)], earlier=earlier, now=NOW)
        assert command is not None
        return command

    def ended(self, command: Command, status: CommandStatus = CommandStatus.DONE) -> Command:
        return replace(command, status=status, ended_at=NOW)

    def test_is_not_told_again(self) -> None:
        first = self.told(DEVICE)
        assert first == provision(DEVICE, [REGISTER], now=NOW)
        for status in (CommandStatus.READY, CommandStatus.DONE, CommandStatus.FAILED):
            assert provision(DEVICE, [REGISTER], earlier=[replace(first, status=status)], now=NOW) is None

    def test_is_told_again_to_a_head_end_that_the_meter_comes_back_to(self) -> None:
        here = self.ended(self.told(DEVICE))
        there = self.ended(self.told(self.THERE, here))
        back = self.told(DEVICE, here, there)
        assert back.head_end == "city"
        assert back.command_key not in (here.command_key, there.command_key)
        assert provision(DEVICE, [REGISTER], earlier=[here, there, back], now=NOW) is None
        away = self.told(self.THERE, here, there, self.ended(back))
        assert len({each.command_key for each in (here, there, back, away)}) == 4

    def test_is_told_again_when_a_register_becomes_what_it_was(self) -> None:
        first = self.ended(self.told(DEVICE))
        other = self.ended(self.told(DEVICE, first, factor=Decimal(40)))
        assert self.told(DEVICE, first, other).command_key not in (first.command_key, other.command_key)

    def test_that_never_left_is_told(self) -> None:
        here = self.ended(self.told(DEVICE), CommandStatus.CANCELLED)
        there = self.ended(self.told(self.THERE, here), CommandStatus.CANCELLED)
        for earlier in ((here, there), (there, here), (here,)):
            assert self.told(DEVICE, *earlier).command_key != here.command_key

    def test_may_have_been_told_by_the_nightly_comparison(self) -> None:
        first = self.ended(self.told(DEVICE))
        nightly = replace(first, command_key="x", purpose=f"{first.purpose}/2026-03-27")
        assert provision(DEVICE, [REGISTER], earlier=[first, nightly], now=NOW) is None

    def test_is_nothing_else_that_was_asked(self) -> None:
        first = self.told(DEVICE)
        read = replace(first, kind=CommandKind.READ_ON_DEMAND)
        assert self.told(DEVICE, read) == first


@pytest.mark.parametrize(
    ("device", "registers"),
    [
        pytest.param(DEVICE, [], id="no register"),
        pytest.param(replace(DEVICE, head_end=None), [REGISTER], id="no head end"),
    ],
)
def test_there_is_none_without(device: EndDevice, registers: list[Register]) -> None:
    assert provision(device, registers, now=NOW) is None


@pytest.mark.parametrize(
    ("valid_to", "told"),
    [
        pytest.param(date(2026, 3, 27), False, id="ended before yesterday"),
        pytest.param(date(2026, 3, 28), True, id="ended with yesterday: its last value is of today"),
        pytest.param(date(2026, 3, 29), True, id="ends today"),
    ],
)
def test_a_register_is_told_until_its_last_value_is_there(valid_to: date, told: bool) -> None:
    ended = replace(REGISTER, measurement_task_id="2", reading_type="1-0:2.8.0*255", valid_to=valid_to)
    assert (key(DEVICE, REGISTER, ended) != key()) is told
