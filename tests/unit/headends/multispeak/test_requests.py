"""Commands as calls of MultiSpeak, in both versions, without a socket."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from lxml import etree

from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import SwitchState
from mdus.domain.head_end import Batch
from mdus.headends.multispeak import soap
from mdus.headends.multispeak.options import Options
from mdus.headends.multispeak.requests import Purpose, Request, Writer, asked, needed, transaction
from tests.unit.headends.multispeak.messages import OTHER, batch, command, register
from tests.unit.headends.samples import AT, CORRELATION, LOAD_EVENT, LOAD_EVENT_CANCELLED, SERIAL

CALLBACK = "https://mdus.example.com/head-ends/city"


def requests(given: Batch, *, states_from_record: bool = False, **options: Any) -> list[Request]:
    writer = Writer(Options(**options), callback_url=CALLBACK)
    return list(writer.requests(given, list(given.commands), states_from_record=states_from_record))


def written(request: Request, version: str = "3.0") -> etree._Element:
    return soap.received(soap.envelope(request.message, version=version, header={})).message


def one(given: Batch, version: str = "3.0", **options: Any) -> etree._Element:
    (request,) = requests(given, version=version, **options)
    return written(request, version)


def texts(message: etree._Element, name: str) -> list[str | None]:
    return [each.text for each in soap.everywhere(message, name)]


def names(element: etree._Element | None) -> list[str]:
    return [soap.local(each) for each in soap.children(element)]


class TestInitiate:
    def test_reads_many_meters_of_3_0_by_number(self) -> None:
        given = batch(
            CommandKind.READ_ON_DEMAND,
            command(CommandKind.READ_ON_DEMAND),
            command(CommandKind.READ_ON_DEMAND, OTHER),
        )
        message = one(given)
        assert message.tag == "{http://www.multispeak.org/Version_3.0}InitiateMeterReadByMeterNumber"
        assert names(message) == ["meterNos", "responseURL", "transactionID", "expirationTime"]
        assert texts(message, "string") == [SERIAL, OTHER]
        assert texts(message, "responseURL") == [f"{CALLBACK}/soap"]
        assert texts(message, "transactionID") == [CORRELATION]

    def test_reads_meters_of_4_1_by_meter_id(self) -> None:
        message = one(batch(CommandKind.READ_ON_DEMAND), "4.1")
        assert message.tag == "{http://www.multispeak.org/Version_4.1_Release}InitiateMeterReadingsByMeterID"
        (meter,) = soap.everywhere(message, "meterID")
        assert (meter.text, meter.get("meterNo")) == (SERIAL, SERIAL)

    @pytest.mark.parametrize(
        ("unit", "expected"),
        [
            pytest.param("hours", "0.166667", id="hours"),
            pytest.param("minutes", "10", id="minutes"),
            pytest.param("seconds", "600", id="seconds"),
        ],
    )
    def test_says_how_long_it_may_go_on(self, unit: str, expected: str) -> None:
        given = batch(CommandKind.READ_ON_DEMAND)
        assert texts(one(given, expiration_unit=unit), "expirationTime") == [expected]
        (of_4_1,) = soap.everywhere(one(given, "4.1", expiration_unit=unit), "expTime")
        assert (of_4_1.text, of_4_1.get("units")) == (expected, unit.capitalize())

    def test_never_says_longer_than_a_switch_is_good_for(self) -> None:
        def switch(serial: str, **left: float) -> Command:
            wanted = SwitchState.DISCONNECTED
            return command(CommandKind.SWITCH, serial, wanted_state=wanted, expires_at=AT + timedelta(**left))

        given = batch(CommandKind.SWITCH, switch(SERIAL, minutes=30), switch(OTHER, minutes=3))
        assert texts(one(given, expiration_unit="minutes"), "expirationTime") == ["3"]

        later = replace(given, at=AT + timedelta(minutes=2))
        assert texts(one(later, expiration_unit="minutes"), "expirationTime") == ["1"]

    def test_says_for_reads_what_the_longest_of_them_is_good_for(self) -> None:
        short = command(CommandKind.READ_ON_DEMAND, OTHER, expires_at=AT + timedelta(minutes=3))
        given = batch(CommandKind.READ_ON_DEMAND, command(CommandKind.READ_ON_DEMAND), short)
        assert texts(one(given, expiration_unit="minutes"), "expirationTime") == ["10"]

    def test_asks_for_outages_to_ping(self) -> None:
        message = one(batch(CommandKind.PING))
        assert soap.local(message) == "InitiateOutageDetectionEventRequest"
        assert names(message)[:2] == ["meterNos", "requestDate"]
        assert texts(message, "requestDate") == ["2026-03-29T01:00:04Z"]


class TestSwitches:
    def test_are_two_calls_where_some_go_on_and_some_off(self) -> None:
        off = command(CommandKind.SWITCH, wanted_state=SwitchState.DISCONNECTED)
        on = command(CommandKind.SWITCH, OTHER, wanted_state=SwitchState.CONNECTED)
        first, second = requests(batch(CommandKind.SWITCH, off, on))
        assert (first.commands, second.commands) == ((on,), (off,))
        assert texts(written(first), "loadActionCode") == ["Connect"]
        assert texts(written(second), "loadActionCode") == ["Disconnect"]
        assert texts(written(first), "transactionID") == [f"{CORRELATION}/connect"]
        assert texts(written(second), "transactionID") == [f"{CORRELATION}/disconnect"]

    @pytest.mark.parametrize(
        ("version", "children"),
        [
            pytest.param("3.0", ["loadActionCode", "meterNo"], id="3.0"),
            pytest.param("4.1", ["meterID", "loadActionCode"], id="4.1"),
        ],
    )
    def test_keep_the_order_of_their_version(self, version: str, children: list[str]) -> None:
        given = batch(CommandKind.SWITCH, command(CommandKind.SWITCH, wanted_state=SwitchState.CONNECTED))
        (event,) = soap.everywhere(one(given, version), "connectDisconnectEvent")
        assert names(event) == children
        assert event.get("objectID") == SERIAL

    def test_are_read_back_from_the_meter_or_the_record(self) -> None:
        given = batch(CommandKind.SWITCH_STATE)
        (of_meter,) = requests(given)
        (of_record,) = requests(given, states_from_record=True)
        assert (of_meter.method, of_meter.is_answered) == ("InitiateCDStateRequest", False)
        assert texts(written(of_meter), "transactionID") == [f"{CORRELATION}/state"]
        assert (of_record.method, of_record.is_answered) == ("GetCDMeterState", True)
        assert texts(written(of_record), "meterNo") == [SERIAL]


class TestDemandLimits:
    LIMIT = (("limit_kw", "3.5"),)

    def test_are_set_in_kilowatts(self) -> None:
        given = batch(CommandKind.LIMIT_DEMAND, command(CommandKind.LIMIT_DEMAND, parameters=self.LIMIT))
        of_3_0, of_4_1 = one(given), one(given, "4.1")
        assert texts(of_3_0, "loadActionCode") == ["InitiatePowerLimitation"]
        assert texts(of_3_0, "powerLimitationValue") + texts(of_3_0, "powerLimitationUnits") == ["3.5", "kW"]
        (value,) = soap.everywhere(of_4_1, "powerLimitationValue")
        assert (value.text, value.get("units")) == ("3.5", "kW")

    def test_are_taken_away_by_4_1_and_where_3_0_has_an_action_for_it(self) -> None:
        given = batch(CommandKind.LIMIT_DEMAND)
        assert texts(one(given, "4.1"), "loadActionCode") == ["CancelPowerLimitation"]
        assert texts(one(given, take_limit_away="Enable"), "loadActionCode") == ["Enable"]

    def test_are_not_taken_away_by_3_0_without_one(self) -> None:
        given = batch(CommandKind.LIMIT_DEMAND, command(CommandKind.LIMIT_DEMAND))
        (refused,) = Writer(Options(), callback_url=None).refused(given)
        assert (refused.command_key, refused.code) == (f"key-{SERIAL}", "NOT_OFFERED")
        assert not list(Writer(Options(version="4.1"), callback_url=None).refused(given))


class TestLoadEvents:
    def test_name_meter_start_duration_and_load_left(self) -> None:
        told = command(CommandKind.CONTROL_LOAD, parameters=tuple(LOAD_EVENT.items()))
        message = one(batch(CommandKind.CONTROL_LOAD, told))
        (event,) = soap.everywhere(message, "theLMEvent")
        assert (event.get("objectID"), event.get("verb")) == ("peak", "New")
        assert {soap.local(each): each.text for each in event} == {
            "controlEventType": "Initiate",
            "duration": "90",
            "pointID": SERIAL,
            "target": "40",
            "uom": "percent",
            "scheduleDateTime": "2026-03-29T16:00:00Z",
        }

    def test_end_by_restoring(self) -> None:
        told = command(CommandKind.CONTROL_LOAD, parameters=tuple(LOAD_EVENT_CANCELLED.items()))
        (event,) = soap.everywhere(one(batch(CommandKind.CONTROL_LOAD, told)), "theLMEvent")
        assert event.get("verb") == "Delete"
        assert {soap.local(each): each.text for each in event} == {"controlEventType": "Restore", "pointID": SERIAL}


class TestStoredReads:
    @pytest.mark.parametrize(
        ("kind", "version", "method", "meter"),
        [
            pytest.param(CommandKind.READ_REGISTERS, "3.0", "GetReadingsByMeterNo", "meterNo", id="readings 3.0"),
            pytest.param(CommandKind.READ_REGISTERS, "4.1", "GetReadingsByMeterID", "meterID", id="readings 4.1"),
            pytest.param(
                CommandKind.READ_INTERVALS,
                "3.0",
                "GetReadingByMeterIDAndFieldNameIntervalData",
                "meterNo",
                id="intervals 3.0",
            ),
            pytest.param(
                CommandKind.READ_INTERVALS,
                "4.1",
                "GetReadingsByMeterIDAndFieldNameIntervalData",
                "meterID",
                id="intervals 4.1",
            ),
        ],
    )
    def test_are_a_call_for_each_meter(self, kind: CommandKind, version: str, method: str, meter: str) -> None:
        made = requests(batch(kind, command(kind), command(kind, OTHER)), version=version)
        assert [(each.method, each.is_answered) for each in made] == [(method, True)] * 2
        message = written(made[0], version)
        assert texts(message, meter) == [SERIAL]
        assert texts(message, "startDate") + texts(message, "endDate") == [
            "2026-03-28T01:00:04Z",
            "2026-03-29T01:00:04Z",
        ]


class TestProvisioning:
    def test_tells_of_a_meter_with_its_device_and_registers(self) -> None:
        message = one(batch(CommandKind.PROVISION, command(CommandKind.PROVISION)))
        assert soap.local(message) == "MeterAddNotification"
        (meter,) = soap.everywhere(message, "meter")
        assert (meter.get("verb"), soap.text(meter, "meterNo")) == ("New", SERIAL)
        items = {
            soap.text(each, "extName"): soap.text(each, "extValue") for each in soap.everywhere(meter, "extensionsItem")
        }
        assert items == {"deviceID": f"10{SERIAL}", "registers": "1-0:1.8.0*255"}

    def test_keeps_meters_of_4_1_by_what_they_measure(self) -> None:
        given = batch(CommandKind.PROVISION, registers=(register(reading_type="7-0:3.0.0*255", unit="M3"),))
        message = one(given, "4.1")
        assert [soap.local(each) for each in soap.everywhere(message, "gasMeters", "gasMeter")] == [
            "gasMeters",
            "gasMeter",
        ]

    def test_changes_meters_where_all_are_known_from_the_beginning(self) -> None:
        message = one(batch(CommandKind.PROVISION), provision="changed")
        assert soap.local(message) == "MeterChangedNotification"
        (meter,) = soap.everywhere(message, "meter")
        assert meter.get("verb") == "Change"

    @pytest.mark.parametrize(
        "registers",
        [
            pytest.param((), id="none"),
            pytest.param((register(), register(reading_type="7-0:3.0.0*255")), id="of two media"),
            pytest.param((register(reading_type="heat"),), id="of no medium"),
        ],
    )
    def test_refuses_a_meter_whose_registers_are_of_no_one_medium(self, registers: tuple[Any, ...]) -> None:
        given = batch(CommandKind.PROVISION, registers=registers)
        (refused,) = Writer(Options(), callback_url=None).refused(given)
        assert refused.code == "NOT_PROVISIONABLE"


class TestTransactions:
    def test_are_ours_again(self) -> None:
        for purpose in (None, *Purpose):
            told = asked(transaction(CORRELATION, purpose))
            assert told is not None
            assert (told.correlation, told.purpose) == (CORRELATION, purpose)

    @pytest.mark.parametrize("text", ["", None, "tx-1", f"{CORRELATION}-2", f"a{CORRELATION}"])
    def test_of_others_are_not(self, text: str | None) -> None:
        assert asked(text) is None

    def test_of_a_purpose_we_never_had_are_ours_all_the_same(self) -> None:
        told = asked(f"{CORRELATION}/dance")
        assert told is not None
        assert told.purpose is None


class TestNeeded:
    @pytest.mark.parametrize("version", ["3.0", "4.1"])
    def test_names_the_methods_that_are_called(self, version: str) -> None:
        parameters = (("limit_kw", "1"),)
        for kind in frozenset(CommandKind) - {CommandKind.SET_TIME, CommandKind.SHOW_TEXT}:
            wanted = SwitchState.CONNECTED if kind is CommandKind.SWITCH else None
            given = batch(kind, command(kind, parameters=parameters, wanted_state=wanted))
            (request,) = requests(given, version=version)
            assert request.method in needed(kind, version=version)
