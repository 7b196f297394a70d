"""What MDUS meets at SAP's door: a real process, spyne inside."""

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import zeep

from simulators.sap_cis.business import Business
from simulators.sap_cis.contract import contract_folder
from simulators.sap_cis.receiving import Gate, interface_of
from tests.unit.simulators.sap_cis import mdus_messages as mdus
from tests.unit.simulators.sap_cis.conftest import METERS, Process, Recorder, make_cis, wait_for

REGISTERED = "UtilitiesDeviceERPSmartMeterRegisteredNotification_In"
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody answers there


def notification() -> bytes:
    """This will return a message any simulated SAP can read, though this one knows no such device."""
    return mdus.enveloped(mdus.registered(("000000000010000001",), bulk=False))


class TestPost:
    def test_is_answered_202_without_a_body(self, start: Callable[..., Process]) -> None:
        process = start(NOWHERE)
        answer = process.post(REGISTERED, notification())
        assert (answer.status_code, answer.content) == (202, b"")
        assert process.control("view")["defects"] == {"registered_unknown_device": 1}

    def test_is_answered_200_when_told(self, start: Callable[..., Process]) -> None:
        answer = start(NOWHERE, "--answer", "200").post(REGISTERED, notification())
        assert (answer.status_code, answer.content) == (200, b"")

    def test_is_refused_without_the_right_password(self, start: Callable[..., Process]) -> None:
        process = start(NOWHERE)
        assert process.post(REGISTERED, notification(), password="wrong").status_code == 401
        assert httpx.post(f"{process.url}/sap/{REGISTERED}", trust_env=False).status_code == 401
        assert process.control("view")["received"] == 0

    @pytest.mark.parametrize(
        ("body", "defect"),
        [
            pytest.param(b"<not-xml", "malformed_xml", id="malformed"),
            pytest.param(mdus.ENVELOPE.format("").encode(), "malformed_xml", id="empty_body"),
            pytest.param(b"<Body/>", "malformed_xml", id="no_envelope"),
            pytest.param(mdus.ENVELOPE.format("<Unknown/>").encode(), "unknown_root", id="unknown_root"),
            pytest.param(
                mdus.enveloped(mdus.registered(("1",))).replace(b"SAPGlobal20/", b"SAPGlobal/"),
                "unknown_root",
                id="other_namespace",
            ),
        ],
    )
    def test_of_what_is_no_message_is_a_defect(self, start: Callable[..., Process], body: bytes, defect: str) -> None:
        process = start(NOWHERE)
        answer = process.post(REGISTERED, body)
        assert answer.status_code == 500
        assert b"Fault" in answer.content
        assert process.control("view")["defects"] == {defect: 1}

    def test_of_the_same_message_twice_is_counted(self, start: Callable[..., Process]) -> None:
        process = start(NOWHERE)
        body = notification()
        for _ in range(3):
            assert process.post(REGISTERED, body).status_code == 202
        view = process.control("view")
        assert (view["received"], view["repeated"]) == (1, 2)

    def test_takes_what_zeep_makes_of_the_contract(self, start: Callable[..., Process]) -> None:
        process = start(NOWHERE)
        client = zeep.Client(str(contract_folder() / "wsdl" / f"{REGISTERED}.wsdl"))
        envelope = client.create_message(
            client.service,
            REGISTERED,
            MessageHeader={"UUID": "550e8400-e29b-41d4-a716-446655440000", "CreationDateTime": "2026-03-28T10:00:00Z",
                           "SenderBusinessSystemID": "MDUS"},
            UtilitiesDevice={"ID": "1", "SmartMeter": {"UtilitiesAdvancedMeteringSystemID": "AM01"}},
        )  # fmt: skip
        assert process.post(REGISTERED, zeep.wsdl.utils.etree_to_string(envelope)).status_code == 202
        assert process.control("view")["defects"] == {"registered_unknown_device": 1}

    def test_cut_off_in_the_middle_says_nothing(self) -> None:
        cis = make_cis()
        gate = Gate(cis, user="mdus", password="secret")
        scope = {
            "type": "http",
            "method": "POST",
            "path": f"/sap/{REGISTERED}",
            "headers": [(b"authorization", b"Basic " + base64.b64encode(b"mdus:secret"))],
        }
        arriving = [
            {"type": "http.request", "body": notification()[:100], "more_body": True},
            {"type": "http.disconnect"},
        ]
        answered: list[Any] = []

        async def receive() -> Any:
            return arriving.pop(0)

        async def send(message: Any) -> None:
            answered.append(message)

        asyncio.run(gate(scope, receive, send))

        assert answered == []
        assert cis.view.defects == []

    def test_takes_a_bulk_of_thousands(self, start: Callable[..., Process]) -> None:
        process = start(NOWHERE)
        body = mdus.enveloped(mdus.registered(tuple(f"{number:018d}" for number in range(5000))))
        interface = REGISTERED.replace("Registered", "RegisteredBulk")
        assert process.post(interface, body).status_code == 202
        assert process.control("view")["defects"] == {"registered_unknown_device": 5000}


class TestInterfaceOf:
    def test_is_the_end_of_the_path_or_what_the_query_names(self) -> None:
        assert interface_of({"PATH_INFO": "/sap/X_In"}) == "X_In"
        query = "senderParty=&senderService=AMI&interface=Y_In&interfaceNamespace=http%3A%2F%2Fsap.com"
        assert interface_of({"PATH_INFO": "/XISOAPAdapter/MessageServlet", "QUERY_STRING": query}) == "Y_In"


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "status", "kept"),
        [
            pytest.param("answers_503", 503, 0, id="answers_503"),
            pytest.param("answers_html_200", 200, 0, id="answers_html_200"),
            pytest.param("answers_soap_fault", 500, 0, id="answers_soap_fault"),
            pytest.param("cuts_connection", None, 1, id="cuts_connection"),
        ],
    )
    def test_spoil_the_first_delivery_and_let_the_second_pass(
        self, start: Callable[..., Process], fault: str, status: int | None, kept: int
    ) -> None:
        process = start(NOWHERE, "--faults", f"{fault}=1")
        body = notification()
        if status is None:
            with pytest.raises(httpx.RemoteProtocolError):
                process.post(REGISTERED, body)
        else:
            answer = process.post(REGISTERED, body)
            assert (answer.status_code, bool(answer.content)) == (status, True)
        assert process.control("view")["received"] == kept
        assert process.post(REGISTERED, body).status_code == 202
        view = process.control("view")
        assert (view["received"], view["repeated"]) == (1, kept)
        assert process.control("faults")["faults"][fault]["count"] == 1

    def test_late_confirmation_waits_45_minutes(self) -> None:
        cis = make_cis(faults="late_confirmation=1")
        Business(cis).initialize_devices(METERS[:1])
        (order, _) = Business(cis).order_readings("all", reason="01", scheduled_on="2026-03-27")
        interface = "MeterReadingDocumentERPResultBulkCreateRequest_In"
        for _ in range(2):
            cis.receive(mdus.results((order,)), interface=interface)
        late, soon = (sent.due for sent in cis.view.waiting.values() if sent.process == "result_confirmation")
        assert late is not None
        assert soon is not None
        assert (late - cis.clock.now()).total_seconds() == 45 * 60
        assert (soon - cis.clock.now()).total_seconds() <= 10


class TestKill:
    def test_leaves_the_view_whole(self, start: Callable[..., Process], recorder: Recorder, tmp_path: Any) -> None:
        state = ("--state", str(tmp_path / "cis.jsonl"), "--faults", "answers_503=1")
        process = start(recorder.url, *state)
        devices = [device["id"] for device in process.control("devices", {"meters": METERS})["devices"]]
        process.control("reading_orders", {"devices": "all", "reason": "01", "scheduled_on": "2026-03-27"})
        process.control("connection_orders", {"device": devices[0], "category": 1})
        wait_for(lambda: process.control("activity")["in_flight"] == 0)
        body = mdus.enveloped(mdus.registered(tuple(devices)))
        interface = REGISTERED.replace("Registered", "RegisteredBulk")
        assert process.post(interface, body).status_code == 503
        assert process.post(interface, body).status_code == 202
        looks = ("view", "devices", "orders", "documents", "messages", "defects", "faults")
        before = {look: process.control(look) for look in looks}
        process.kill()
        posted = len(recorder.posted)
        again = start(recorder.url, *state)
        assert {look: again.control(look) for look in looks} == before
        assert again.post(interface, body).status_code == 202
        assert again.control("view")["repeated"] == 1
        assert len(recorder.posted) == posted
