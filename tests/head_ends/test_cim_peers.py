"""Two SOAP clients that know nothing of MDUS, zeep and suds, against its reply address and the simulated head end.

They build their messages from the WSDLs alone, and send them over HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import suds.client
import zeep
from lxml import etree
from suds.transport.http import HttpAuthenticated
from zeep.transports import Transport

from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.end_device import SwitchState
from mdus.domain.head_end import FieldAlarm, FieldIntervals
from mdus.domain.reading import MeterReading
from simulators.clock import stamp
from tests.head_ends.city import City
from tests.head_ends.field import NOON
from tests.head_ends.kinds import CALLBACK, variants

ENERGY = "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
QUARTERS = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
MR = "http://iec.ch/TC57/2011/MeterReadings#"


@pytest.fixture
def town(database_url: str, tmp_path: Path) -> Iterator[City]:
    """A running simulated head end of the typed variant, and MDUS."""
    variant = next(each for each in variants() if str(each) == "cim-typed")
    town = City(variant, database_url, tmp_path)
    yield town
    town.close()


def callback(town: City) -> str:
    return f"{town.row.callback_url}/cim"


def service(town: City) -> str:
    return f"{town.row.url}{town.row.options['path']}"


def of_zeep(address: str, login: tuple[str, str]) -> Any:
    session = requests.Session()
    session.auth = login
    session.trust_env = False
    return zeep.Client(
        f"{address}?wsdl", transport=Transport(session=session, timeout=30, operation_timeout=30)
    ).service


def of_suds(address: str, login: tuple[str, str]) -> suds.client.Client:
    transport = HttpAuthenticated(username=login[0], password=login[1], timeout=30)
    return suds.client.Client(f"{address}?wsdl", transport=transport, cache=None)


def header(verb: str, noun: str, **more: Any) -> dict[str, Any]:
    return {"Verb": verb, "Noun": noun, "Timestamp": NOON, "Source": "HES", "MessageID": "peer-1", **more}


def named(serial: str) -> dict[str, Any]:
    return {"Names": [{"name": serial, "NameType": {"name": "MeterNumber"}}]}


def reading_of(serial: str, *, ref: str = "ref") -> dict[str, Any]:
    """Return a reading of a meter; suds wants attributes with an underscore."""
    told = {"timeStamp": NOON, "value": "321.07", "ReadingType": {ref: ENERGY}}
    return {"MeterReading": [{"Meter": named(serial), "Readings": [told]}]}


class TestZeepTellsMdus:
    def test_readings_that_are_taken_in(self, town: City) -> None:
        device = town.install(town.meter())
        client = of_zeep(callback(town), CALLBACK)

        answer = client.CreatedMeterReadings(
            Header=header("created", "MeterReadings"), Payload={"MeterReadings": reading_of(device.serial_id)}
        )

        assert (answer.Reply.Result, answer.Header.Verb, answer.Header.CorrelationID) == ("OK", "reply", "peer-1")
        town.until(lambda: town.all(MeterReading), what="the reading")
        (reading,) = town.all(MeterReading)
        assert (reading.device_id, reading.reading_type) == (device.device_id, "1-0:1.8.0*255")
        assert (reading.value, reading.measured_at) == (Decimal("321.07"), NOON)

    def test_interval_values_at_their_end(self, town: City) -> None:
        device = town.install(town.meter(), channels=True)
        told = [{"timeStamp": NOON + number * timedelta(minutes=15), "value": str(number)} for number in range(1, 5)]
        block = {"IntervalReadings": told, "ReadingType": {"ref": QUARTERS}}
        payload = {"MeterReadings": {"MeterReading": [{"Meter": named(device.serial_id), "IntervalBlocks": [block]}]}}

        of_zeep(callback(town), CALLBACK).CreatedMeterReadings(
            Header=header("created", "MeterReadings"), Payload=payload
        )

        (found,) = town.told(FieldIntervals)
        assert (found.start_at, list(found.values)) == (NOON, [Decimal(number) for number in range(1, 5)])
        town.until(lambda: set(town.deliveries()) == {"done"}, what="a place for the values")

    def test_the_reply_to_a_control(self, town: City) -> None:
        device = town.install(town.meter())
        town.simulated.arm("accepts_then_silence")
        switch = town.switch_of(device)
        town.until(lambda: town.stored(switch).status is CommandStatus.ACCEPTED, what="the acceptance")
        control = {
            "mRID": switch.command_key,
            "EndDeviceControlType": {"ref": "3.31.0.23"},
            "EndDevices": [named(device.serial_id)],
        }

        answer = of_zeep(callback(town), CALLBACK).ReplyEndDeviceControls(
            Header=header("reply", "EndDeviceControls", CorrelationID=correlation_of(town)),
            Reply={"Result": "OK"},
            Payload={"EndDeviceControls": {"EndDeviceControl": [control]}},
        )

        assert answer.Reply.Result == "OK"
        assert town.settle(switch) == [CommandStatus.DONE]
        assert town.status(device).switch_state is SwitchState.DISCONNECTED

    def test_that_a_read_failed(self, town: City) -> None:
        device = town.install(town.meter())
        town.simulated.arm("accepts_then_silence")
        command = town.order(device, CommandKind.READ_ON_DEMAND)
        town.until(lambda: town.stored(command).status is CommandStatus.ACCEPTED, what="the acceptance")
        error = {"code": "4.1", "level": "FATAL", "reason": "no answer", "object": {"serialNumber": device.serial_id}}

        of_zeep(callback(town), CALLBACK).ReplyMeterReadings(
            Header=header("reply", "MeterReadings", CorrelationID=correlation_of(town)),
            Reply={"Result": "FAILED", "Error": [error]},
        )

        assert town.settle(command) == [CommandStatus.FAILED]
        assert town.stored(command).result_code == "NO_RESPONSE"

    def test_events(self, town: City) -> None:
        device = town.install(town.meter())
        event = {
            "mRID": "peer-event",
            "createdDateTime": NOON,
            "Assets": named(device.serial_id),
            "EndDeviceEventType": {"ref": "3.26.0.85"},
        }

        of_zeep(callback(town), CALLBACK).CreatedEndDeviceEvents(
            Header=header("created", "EndDeviceEvents"), Payload={"EndDeviceEvents": {"EndDeviceEvent": [event]}}
        )

        (alarm,) = town.told(FieldAlarm)
        assert (alarm.serial_id, alarm.event_type, alarm.source_id) == (device.serial_id, "3.26.0.85", "peer-event")

    def test_generic_messages(self, town: City) -> None:
        device = town.install(town.meter())
        told = etree.fromstring(
            f'<MeterReadings xmlns="{MR}"><MeterReading><Meter><serialNumber>{device.serial_id}</serialNumber></Meter>'
            f"<Readings><timeStamp>{stamp(NOON)}</timeStamp><value>5</value>"
            f'<ReadingType ref="{ENERGY}"/></Readings></MeterReading></MeterReadings>'
        )

        answer = of_zeep(callback(town), CALLBACK).PublishEvent(
            Header=header("created", "MeterReadings"), Payload={"_value_1": [told]}
        )

        assert answer.Reply.Result == "OK"
        town.until(lambda: town.all(MeterReading), what="the reading")

    def test_nothing_with_a_wrong_password(self, town: City) -> None:
        client = of_zeep(callback(town), (CALLBACK[0], "wrong"))

        with pytest.raises(zeep.exceptions.Fault, match="wrong"):
            client.CreatedMeterReadings(
                Header=header("created", "MeterReadings"), Payload={"MeterReadings": reading_of("1")}
            )

        assert town.deliveries() == []


class TestSudsTellsMdus:
    def test_readings_that_are_taken_in(self, town: City) -> None:
        device = town.install(town.meter())
        client = of_suds(callback(town), CALLBACK)

        answer = client.service.CreatedMeterReadings(
            header("created", "MeterReadings"), None, {"MeterReadings": reading_of(device.serial_id, ref="_ref")}
        )

        assert answer.Reply.Result == "OK"
        town.until(lambda: town.all(MeterReading), what="the reading")
        (reading,) = town.all(MeterReading)
        assert (reading.value, reading.measured_at) == (Decimal("321.07"), NOON)

    def test_the_reply_to_a_control(self, town: City) -> None:
        device = town.install(town.meter())
        town.simulated.arm("accepts_then_silence")
        switch = town.switch_of(device)
        town.until(lambda: town.stored(switch).status is CommandStatus.ACCEPTED, what="the acceptance")
        client = of_suds(callback(town), CALLBACK)
        control = {
            "mRID": switch.command_key,
            "EndDeviceControlType": {"_ref": "3.31.0.23"},
            "EndDevices": [named(device.serial_id)],
        }

        answer = client.service.ReplyEndDeviceControls(
            header("reply", "EndDeviceControls", CorrelationID=correlation_of(town)),
            {"Result": "OK"},
            {"EndDeviceControls": {"EndDeviceControl": [control]}},
        )

        assert answer.Reply.Result == "OK"
        assert town.settle(switch) == [CommandStatus.DONE]

    def test_nothing_with_a_wrong_password(self, town: City) -> None:
        client = of_suds(callback(town), (CALLBACK[0], "wrong"))

        with pytest.raises(Exception, match="401"):
            client.service.CreatedMeterReadings(header("created", "MeterReadings"), None, None)

        assert town.deliveries() == []


class TestPeersAskTheHeadEnd:
    LOGIN = ("mdus", "secret")

    def test_zeep_reads_a_meter(self, town: City) -> None:
        device = town.install(town.meter())

        answer = of_zeep(service(town), self.LOGIN).GetMeterReadings(
            Header=asked("get", "MeterReadings"),
            Request={"GetMeterReadings": {"EndDevice": [named(device.serial_id)]}},
        )

        assert (answer.Reply.Result, answer.Header.CorrelationID) == ("OK", "peer-call")
        (meter,) = answer.Payload.MeterReadings.MeterReading
        shown = town.simulated.true_value(device.serial_id, "1-0:1.8.0*255", town.clock.now())
        assert {each.ReadingType.ref: each.value for each in meter.Readings}[ENERGY] == shown

    def test_zeep_opens_a_breaker(self, town: City) -> None:
        device = town.install(town.meter())
        control = {
            "mRID": "11111111-2222-4333-8444-555555555555",
            "EndDeviceControlType": {"ref": "3.31.0.23"},
            "EndDevices": [named(device.serial_id)],
        }

        answer = of_zeep(service(town), self.LOGIN).CreateEndDeviceControls(
            Header=asked("create", "EndDeviceControls"),
            Payload={"EndDeviceControls": {"EndDeviceControl": [control]}},
        )

        assert answer.Reply.Result == "OK"
        assert town.simulated.breaker(device.serial_id) == "disconnected"

    def test_zeep_hears_of_a_meter_nobody_knows(self, town: City) -> None:
        answer = of_zeep(service(town), self.LOGIN).GetMeterReadings(
            Header=asked("get", "MeterReadings"), Request={"GetMeterReadings": {"EndDevice": [named("9999999999")]}}
        )

        (error,) = answer.Reply.Error
        assert (answer.Reply.Result, error.code, error.object.Name[0].name) == ("FAILED", "2.4", "9999999999")

    def test_suds_reads_a_meter(self, town: City) -> None:
        device = town.install(town.meter())

        answer = of_suds(service(town), self.LOGIN).service.GetMeterReadings(
            asked("get", "MeterReadings"), {"GetMeterReadings": {"EndDevice": [named(device.serial_id)]}}
        )

        shown = town.simulated.true_value(device.serial_id, "1-0:1.8.0*255", town.clock.now())
        (meter,) = answer.Payload.MeterReadings.MeterReading
        assert {each.ReadingType._ref: each.value for each in meter.Readings}[ENERGY] == shown

    def test_suds_opens_a_breaker(self, town: City) -> None:
        device = town.install(town.meter())
        client = of_suds(service(town), self.LOGIN)
        control = {
            "mRID": "11111111-2222-4333-8444-555555555555",
            "EndDeviceControlType": {"_ref": "3.31.0.23"},
            "EndDevices": [named(device.serial_id)],
        }

        answer = client.service.CreateEndDeviceControls(
            asked("create", "EndDeviceControls"), {"EndDeviceControls": {"EndDeviceControl": [control]}}
        )

        assert answer.Reply.Result == "OK"
        assert town.simulated.breaker(device.serial_id) == "disconnected"

    def test_nobody_is_let_in_without_the_password(self, town: City) -> None:
        refused = httpx.post(service(town), content=b"<a/>", auth=("mdus", "wrong"), trust_env=False)

        assert refused.status_code == 401
        assert b"7.1" in refused.content


def asked(verb: str, noun: str) -> dict[str, Any]:
    """Return the header of a call that waits for its results."""
    told = {"Verb": verb, "Noun": noun, "Source": "peer", "AsyncReplyFlag": False}
    return told | {"MessageID": "peer-1", "CorrelationID": "peer-call"}


def correlation_of(town: City) -> str:
    """Return the id of the newest call that the head end took."""
    return str(town.simulated.commands()[-1]["correlation_id"])
