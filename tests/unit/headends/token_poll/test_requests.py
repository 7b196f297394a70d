"""Commands as bodies of requests."""

from __future__ import annotations

from datetime import timedelta

import pytest
from lxml import etree

from mdus.domain.command import CommandKind
from mdus.domain.end_device import SwitchState
from mdus.domain.head_end import Batch
from mdus.domain.unit import Units
from mdus.headends.token_poll import requests
from mdus.headends.token_poll.actions import Operation, Options
from mdus.settings import load_settings
from tests.unit.headends.samples import AT, CORRELATION, KEY, batch, command, provisioning, register
from tests.unit.headends.token_poll.messages import METER

UNITS = Units.of(load_settings({}))


def texts(root: etree._Element, name: str) -> list[str | None]:
    return [each.text for each in root.iterfind(f".//{{*}}{name}")]


def asked(operation: Operation, whole: Batch) -> etree._Element:
    return requests.request(
        whole.commands,
        whole,
        operation=operation,
        options=Options(),
        callback_url="http://mdus/head-ends/city",
        unit_of=UNITS.text_of,
    )


class TestRequest:
    def test_names_call_callback_and_meters(self) -> None:
        body = asked(Operation.PING, batch(command(CommandKind.PING), command(CommandKind.PING, serial_id="00007")))

        assert body.tag == f"{{{Options().namespace(Operation.PING)}}}PingByEndpoints"
        assert texts(body, "CallerReference") == [CORRELATION]
        assert texts(body, "StatusAddress") == ["http://mdus/head-ends/city/status"]
        assert texts(body, "DataAddress") == ["http://mdus/head-ends/city/data"]
        assert texts(body, "ElectronicSerialNumber") == [METER, "2.16.840.1.114416.0.00007"]

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            pytest.param(CommandKind.SWITCH, "2026-03-29T02:00:04Z", id="a switch with the first"),
            pytest.param(CommandKind.PING, "2026-03-29T03:00:04Z", id="anything else with the last"),
        ],
    )
    def test_expires(self, kind: CommandKind, expected: str) -> None:
        wanted = SwitchState.DISCONNECTED if kind is CommandKind.SWITCH else None
        both = [command(kind, wanted_state=wanted, expires_at=AT + timedelta(hours=hours)) for hours in (2, 1)]

        assert texts(asked(Operation.DISCONNECT, batch(*both)), "ExpiresWhen") == [expected]

    @pytest.mark.parametrize(
        ("kind", "data_set"), [(CommandKind.READ_REGISTERS, "Registers"), (CommandKind.READ_INTERVALS, "Intervals")]
    )
    def test_names_the_period_of_stored_values(self, kind: CommandKind, data_set: str) -> None:
        read = command(kind, period_from=AT - timedelta(days=1), period_to=AT)
        body = asked(Operation.INTERROGATE, batch(read))

        assert texts(body, "DataSet") == [data_set]
        assert (texts(body, "StartTime"), texts(body, "EndTime")) == (
            ["2026-03-28T01:00:04Z"],
            ["2026-03-29T01:00:04Z"],
        )

    def test_defines_a_meter_with_its_registers(self) -> None:
        body = asked(Operation.ADD_METERS, provisioning(register()))

        assert (texts(body, "DeviceID"), texts(body, "MarketType")) == ([KEY[1]], ["Electric"])
        told = {name: texts(body, name) for name in ("Quantity", "Unit", "NumberOfDials", "Decimals", "Multiplier")}
        assert told == {
            "Quantity": ["1-0:1.8.0*255"],
            "Unit": ["kWh"],
            "NumberOfDials": ["6"],
            "Decimals": ["2"],
            "Multiplier": ["1"],
        }


class TestCanProvision:
    @pytest.mark.parametrize(
        ("reading_types", "reason"),
        [
            pytest.param((), "no register", id="none"),
            pytest.param(("1-0:1.8.0*255", "7-0:3.0.0*255"), "no single market", id="two markets"),
            pytest.param(("6-0:1.0.0*255",), "no single market", id="heat"),
        ],
    )
    def test_refuses_registers_of_no_one_market(self, reading_types: tuple[str, ...], reason: str) -> None:
        found = requests.can_provision([register(reading_type=each) for each in reading_types])

        assert found is not None
        assert reason in found

    def test_takes_registers_of_one(self) -> None:
        assert requests.can_provision([register(), register(reading_type="1-0:2.8.0*255")]) is None
