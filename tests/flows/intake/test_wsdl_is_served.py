"""A customer's client needs nothing but the URL: it reads the WSDL from this server and calls what it says."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
import uvicorn
import zeep
from lxml import etree
from zeep.transports import Transport

from mdus.contracts.catalog import Direction, catalog
from mdus.messaging.status import MessageStatus
from mdus.storage.message import ITEM, MESSAGE
from tests.flows.intake.installation import XML, Installation
from tests.flows.intake.messages import CREATE_DEVICE, create_device, new_uuid

INTERFACES = sorted({root.interface for root in catalog().roots.values()})
INTERFACE = f"{CREATE_DEVICE}_Out"
CREDENTIALS = ("sap", "secret")


@pytest.fixture
def mdus(sqlite_url: str) -> Installation:
    return Installation(sqlite_url, environ={"MDUS_AUTH__USER": "sap", "MDUS_AUTH__PASSWORD": "secret"})


@pytest.fixture
def address(mdus: Installation) -> Iterator[str]:
    """The address of a real server on loopback."""
    server = uvicorn.Server(uvicorn.Config(mdus.app, host="127.0.0.1", port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def client_of(address: str, interface: str) -> zeep.Client:
    session = requests.Session()
    session.auth = CREDENTIALS
    return zeep.Client(f"{address}/sap/{interface}?wsdl", transport=Transport(session=session))


class TestServedWsdl:
    def test_loads_for_every_interface_and_carries_this_servers_address(self, address: str) -> None:
        for interface in INTERFACES:
            client = client_of(address, interface)
            [service] = client.wsdl.services.values()
            [port] = service.ports.values()
            assert port.binding_options["address"] == f"{address}/sap/{interface}"

    def test_is_enough_for_zeep_to_send_a_message(self, address: str, mdus: Installation) -> None:
        uuid = new_uuid()
        device: dict[str, Any] = {
            "ID": "000000000000000042",
            "StartDate": dt.date(2026, 1, 1),
            "EndDate": dt.date(9999, 12, 31),
            "SerialID": "0000001234",
            "MaterialID": "METER-E",
        }
        header = {"UUID": uuid, "CreationDateTime": "2026-03-28T10:00:00Z", "SenderBusinessSystemID": "P11"}
        client = client_of(address, INTERFACE)
        operation = getattr(client.service, INTERFACE)
        answer = operation(MessageHeader=header, UtilitiesDevice=device, _soapheaders=None)
        assert answer is None
        [message] = mdus.rows(MESSAGE)
        assert (message.status, message.key) == (MessageStatus.RECEIVED, uuid.lower())
        [item] = mdus.rows(ITEM)
        assert item.ordering_key == "P11/000000000000000042"

    def test_gives_zeep_a_fault_it_can_read(self, address: str) -> None:
        header = {"CreationDateTime": "2026-03-28T10:00:00Z"}
        device = {"ID": "1", "StartDate": "2026-01-01", "EndDate": "9999-12-31", "SerialID": "1", "MaterialID": "1"}
        with pytest.raises(zeep.exceptions.Fault, match="neither UUID nor ID"):
            getattr(client_of(address, INTERFACE).service, INTERFACE)(MessageHeader=header, UtilitiesDevice=device)

    def test_is_read_without_credentials_and_names_no_file(self, mdus: Installation) -> None:
        response = mdus.get(f"/sap/{INTERFACE}?WSDL")
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/xml")
        assert b"schemaLocation" not in response.content
        assert etree.fromstring(response.content).tag.endswith("definitions")

    def test_is_not_found_for_another_name(self, mdus: Installation) -> None:
        assert mdus.get("/sap/Utilities_Out?wsdl").status_code == 404

    def test_is_pointed_at_when_it_is_not_asked_for(self, mdus: Installation) -> None:
        assert mdus.get(f"/sap/{INTERFACE}").json()["wsdl"] == f"/sap/{INTERFACE}?wsdl"


class TestListOfInterfaces:
    @pytest.mark.parametrize("path", ["/sap", "/sap/"])
    def test_names_all_with_who_sends_what(self, mdus: Installation, path: str) -> None:
        listed = {entry["message"]: entry for entry in mdus.get(path).json()["interfaces"]}
        assert set(listed) == set(catalog().roots)
        for root in catalog().roots.values():
            received = root.direction is Direction.RECEIVED
            assert listed[root.name]["sent_by"] == ("SAP" if received else "MDUS")
        assert listed[CREATE_DEVICE]["supported"] is True
        assert listed["UtilitiesTimeSeriesItemByIDQuery_sync"]["supported"] is False


class TestOverASocket:
    @pytest.mark.parametrize(
        ("password", "status"),
        [pytest.param("secret", 413, id="too large"), pytest.param("wrong", 401, id="not authenticated")],
    )
    @pytest.mark.timeout(60)
    def test_body_without_end_is_cut_off(self, address: str, password: str, status: int) -> None:
        def endless() -> Iterator[bytes]:
            while True:
                yield b" " * 65536

        # The server closes while the client still writes: the answer may be lost with the connection.
        with contextlib.suppress(httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
            response = httpx.post(f"{address}/sap", content=endless(), headers=XML, auth=("sap", password), timeout=30)
            assert response.status_code == status
            assert response.headers["connection"] == "close"

    def test_body_of_a_refused_caller_does_not_hide_the_answer(self, address: str) -> None:
        content = create_device() + b" " * 900_000
        response = httpx.post(f"{address}/sap", content=content, headers=XML, auth=("sap", "wrong"))
        assert response.status_code == 401
        assert "connection" not in response.headers

    def test_connection_broken_off_in_the_body_stores_nothing(self, address: str, mdus: Installation) -> None:
        def broken() -> Iterator[bytes]:
            yield create_device()[:100]
            raise BrokenPipeError

        with pytest.raises(BrokenPipeError):
            httpx.post(f"{address}/sap", content=broken(), headers=XML, auth=CREDENTIALS)
        assert httpx.get(f"{address}/healthz").status_code == 200
        assert mdus.rows(MESSAGE) == []
