"""Other implementations of SOAP, zeep and suds, speak with our MultiSpeak sides as their WSDLs say.

They call MDUS's callbacks as a head end would, and the simulated head end as a client would; what MDUS does there with
messages of theirs is what it does with the simulated head end's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest
import zeep
from sqlalchemy import select
from zeep.helpers import serialize_object

from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.end_device import SwitchState
from mdus.domain.reading import MeterReading
from mdus.storage.command import COMMAND
from tests.head_ends.city import City
from tests.head_ends.field import SERIAL
from tests.head_ends.kinds import CALLBACK, variants
from tests.head_ends.test_every_kind import MIDNIGHT

NAMESPACES = {
    "3.0": "http://www.multispeak.org/Version_3.0",
    "4.1": "http://www.multispeak.org/Version_4.1_Release",
}


class Fault(Exception):
    """The other side answered by a fault."""


class Peer(Protocol):
    """A client of a SOAP service that knows it by its WSDL alone."""

    def __call__(self, method: str, /, **arguments: Any) -> Any:
        """Call a method; attributes are named with an underscore before them, a text beside them `#`."""
        ...


def header_of(version: str, user: tuple[str, str]) -> dict[str, str]:
    told = {"UserID": user[0], "Pwd": user[1], "AppName": "peer"}
    return told | ({"Version": "3.0"} if version == "3.0" else {"BuildString": "Release"})


class ZeepPeer:
    """zeep, in this process."""

    def __init__(self, wsdl: str, service: str, version: str, user: tuple[str, str]) -> None:
        self._client = zeep.Client(wsdl)
        self._service = self._client.bind(service, service)
        element = self._client.get_element(f"{{{NAMESPACES[version]}}}MultiSpeakMsgHeader")
        self._header = element(**header_of(version, user))

    def __call__(self, method: str, /, **arguments: Any) -> Any:
        try:
            answer = getattr(self._service, method)(_soapheaders=[self._header], **_for_zeep(arguments))
        except zeep.exceptions.Error as error:
            raise Fault(str(error)) from error
        found = serialize_object(answer, dict)
        # A response with a header is an object with both.
        return found.get("body", found) if isinstance(found, dict) and "header" in found else found


class SudsPeer:
    """suds, in a process for each call."""

    def __init__(self, wsdl: str, service: str, version: str, user: tuple[str, str]) -> None:
        self._asked = {
            "wsdl": wsdl,
            "service": service,
            "namespace": NAMESPACES[version],
            "header": header_of(version, user),
        }

    def __call__(self, method: str, /, **arguments: Any) -> Any:
        asked = json.dumps({**self._asked, "method": method, "arguments": arguments})
        ran = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("suds_client.py"))],
            input=asked,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.returncode == 0, ran.stderr
        told = json.loads(ran.stdout)
        if "fault" in told:
            raise Fault(told["fault"])
        return told["answer"]


def _for_zeep(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_ZEEP.get(name, name.removeprefix("_")): _for_zeep(each) for name, each in value.items()}
    return [_for_zeep(each) for each in value] if isinstance(value, list) else value


#: What zeep calls the text of an element that has attributes.
_ZEEP = {"#": "_value_1"}


def texts(value: Any) -> list[str]:
    """Return all texts anywhere in what a peer has read."""
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [str(value)] if value not in (None, "") else []


@pytest.fixture(params=[variant for variant in variants() if variant.kind == "multispeak"], ids=str)
def multispeak(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[City]:
    """A simulated head end of each version, and MDUS's side of it."""
    city = City(request.param, database_url, tmp_path)
    yield city
    city.close()


@pytest.fixture(params=[ZeepPeer, SudsPeer], ids=["zeep", "suds"])
def peer(request: pytest.FixtureRequest) -> Any:
    return request.param


def version_of(city: City) -> str:
    return city.variant.name


def caller(city: City, peer: Any, user: tuple[str, str] = CALLBACK) -> Peer:
    """Return a peer that calls MDUS, as its WSDL says."""
    service = f"MultiSpeak_{version_of(city).replace('.', '_')}"
    called: Peer = peer(f"{city.row.callback_url}/soap?wsdl", service, version_of(city), user)
    return called


def client(city: City, peer: Any, service: str, user: tuple[str, str] = ("mdus", "secret")) -> Peer:
    """Return a peer that calls the simulated head end, as its WSDL says."""
    url = f"{city.row.url}/{service}_Server.asmx?wsdl"
    called: Peer = peer(url, f"{service}_Server", version_of(city), user)
    return called


def reading(version: str, serial: str, value: str) -> dict[str, Any]:
    """Return changedMeterReads of one meter."""
    at = "2026-03-27T10:59:00Z"
    if version == "3.0":
        one = {"units": "kWh", "value": value, "readingValueType": "Energy", "dateTime": at, "fieldName": "posKWh"}
        values = {"readingValue": [one]}
        return {"meterRead": [{"_objectID": serial, "meterNo": serial, "readingDate": at, "readingValues": values}]}
    values = {"readingValue": [{"units": "kWh", "value": value, "fieldName": "posKWh", "timeStamp": at}]}
    return {"meterReading": [{"_objectID": serial, "meterID": named(serial), "readingValues": values}]}


def named(serial: str) -> Any:
    """Return a meterID of 4.1: a text with an attribute."""
    return {"_meterNo": serial, "#": serial}


class TestCallbacks:
    def test_readings_of_a_peer_are_taken_in(self, multispeak: City, peer: Any) -> None:
        device = multispeak.device()
        call = caller(multispeak, peer)

        answer = call(
            "ReadingChangedNotification",
            changedMeterReads=reading(version_of(multispeak), SERIAL, "12345.678"),
            transactionID="",
        )

        assert texts(answer) == []  # no errors
        multispeak.until(lambda: multispeak.all(MeterReading), what="the reading")
        (taken,) = multispeak.all(MeterReading)
        assert (taken.device_id, taken.reading_type) == (device.device_id, "1-0:1.8.0*255")
        assert (taken.value, taken.unit) == (Decimal("12345.678"), "kWh")
        assert multispeak.deliveries() == ["done"]

    def test_results_of_a_peer_end_commands(self, multispeak: City, peer: Any) -> None:
        meter = multispeak.meter()
        device = multispeak.install(meter)
        multispeak.simulated.script(device.serial_id, "switch", "accepts_then_silence")
        switch = multispeak.switch_of(device)
        multispeak.until(lambda: multispeak.stored(switch).status is CommandStatus.ACCEPTED, what="the acceptance")
        transaction = f"{_correlation(multispeak)}/disconnect"
        call = caller(multispeak, peer)

        if version_of(multispeak) == "3.0":
            told: dict[str, Any] = {"meterNo": device.serial_id, "stateChange": "Open"}
        else:
            told = {"stateChange": {"meterID": named(device.serial_id), "stateChange": "Opened"}}
        call("CDStateChangedNotification", **told, transactionID=transaction)

        assert multispeak.settle(switch) == [CommandStatus.DONE]
        assert multispeak.stored(switch).result_state is SwitchState.DISCONNECTED

    def test_of_a_peer_with_another_password_are_refused(self, multispeak: City, peer: Any) -> None:
        call = caller(multispeak, peer, (CALLBACK[0], "wrong"))
        with pytest.raises(Fault):
            call("PingURL")
        assert multispeak.deliveries() == []

    def test_are_listed(self, multispeak: City, peer: Any) -> None:
        listed = texts(caller(multispeak, peer)("GetMethods"))
        assert "ODEventNotification" in listed
        assert ("MeterEventNotification" in listed) is (version_of(multispeak) == "4.1")


class TestTheSimulatedHeadEnd:
    def test_lists_its_methods(self, multispeak: City, peer: Any) -> None:
        assert "InitiateConnectDisconnect" in texts(client(multispeak, peer, "CD")("GetMethods"))
        assert texts(client(multispeak, peer, "MR")("PingURL")) == []

    def test_refuses_strangers(self, multispeak: City, peer: Any) -> None:
        with pytest.raises(Fault, match="Invalid UserID or Pwd"):
            client(multispeak, peer, "OD", ("mdus", "wrong"))("GetMethods")

    def test_gives_stored_readings(self, multispeak: City, peer: Any) -> None:
        device = multispeak.install(multispeak.meter())
        multispeak.clock.advance(days=2)
        period = {"startDate": "2026-03-27T22:00:00Z", "endDate": "2026-03-28T00:00:00Z"}
        if version_of(multispeak) == "3.0":
            answer = client(multispeak, peer, "MR")("GetReadingsByMeterNo", meterNo=device.serial_id, **period)
        else:
            answer = client(multispeak, peer, "MR")("GetReadingsByMeterID", meterID=named(device.serial_id), **period)

        shown = multispeak.simulated.true_value(device.serial_id, "1-0:1.8.0*255", MIDNIGHT)
        assert shown in texts(answer)

    def test_rejects_by_meter(self, multispeak: City, peer: Any) -> None:
        if version_of(multispeak) == "3.0":
            method, meters = "InitiateMeterReadByMeterNumber", {"meterNos": {"string": ["4711"]}}
            expiration: dict[str, Any] = {"expirationTime": 1.0}
        else:
            method, meters = "InitiateMeterReadingsByMeterID", {"meterIDs": {"meterID": [named("4711")]}}
            expiration = {"expTime": {"_units": "Hours", "#": "1"}}
        call = client(multispeak, peer, "MR")
        answer = call(method, **meters, responseURL="http://127.0.0.1:1/soap", transactionID="t-1", **expiration)

        assert "Unknown meter" in texts(answer)
        assert "4711" in texts(answer)


class TestForms:
    def test_out_of_order_are_read_all_the_same(self, multispeak: City) -> None:
        device = multispeak.install(multispeak.meter())
        multispeak.simulated.arm("children_out_of_order")
        command = multispeak.order(device, CommandKind.READ_ON_DEMAND)

        assert multispeak.settle(command) == [CommandStatus.DONE]
        assert multispeak.simulated.fired()["children_out_of_order"]
        reading_type = multispeak.simulated.meters()[0]["registers"][0]["obis"]
        shown = multispeak.simulated.true_value(device.serial_id, reading_type, multispeak.clock.now())
        assert Decimal(shown) in {each.value for each in multispeak.all(MeterReading)}

    @pytest.mark.parametrize(
        ("fault", "executed"),
        [
            pytest.param("ambiguous_submit", 1, id="carried out, no answer"),
            pytest.param("empty_200", 1, id="carried out, an empty answer"),
            pytest.param("soap_fault", 0, id="a fault"),
            pytest.param("html_error_page", 0, id="a page"),
            pytest.param("html_error_page_after_acceptance", 1, id="carried out, a page"),
        ],
    )
    def test_that_leave_it_open_make_a_switch_uncertain(self, multispeak: City, fault: str, executed: int) -> None:
        device = multispeak.install(multispeak.meter())
        multispeak.simulated.arm(fault)
        switch = multispeak.switch_of(device)

        assert multispeak.settle(switch) == [CommandStatus.UNCERTAIN]
        assert multispeak.settle(multispeak.order(device, CommandKind.SWITCH_STATE)) == [CommandStatus.DONE]
        wanted = SwitchState.DISCONNECTED if executed else SwitchState.CONNECTED
        assert multispeak.status(device).switch_state is wanted
        assert sum(done for _, done in multispeak.simulated.switches()) == executed


class TestFailures:
    def test_told_where_the_breaker_was_ordered_to_leave_its_position_open(self, multispeak: City) -> None:
        device = multispeak.install(multispeak.meter())
        for fault in ("stuck_relay", "position_ordered_beside_error"):
            multispeak.simulated.arm(fault)
        switch = multispeak.switch_of(device)

        assert multispeak.settle(switch) == [CommandStatus.UNCERTAIN]
        assert multispeak.simulated.fired()["position_ordered_beside_error"]
        assert multispeak.status(device).switch_state is not SwitchState.DISCONNECTED
        assert multispeak.settle(multispeak.order(device, CommandKind.SWITCH_STATE)) == [CommandStatus.DONE]
        assert multispeak.status(device).switch_state is SwitchState.CONNECTED


def _correlation(city: City) -> str:
    """Return our id of the last call made."""
    with city.database.read() as uow:
        return str(uow.connection.scalars(select(COMMAND.table.c.correlation)).all()[-1])
