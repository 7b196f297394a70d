"""zeep sends what is planned, at least once, from the WSDL it is served."""

from collections.abc import Iterator
from typing import Any

import pytest
from lxml import etree

from simulators.sap_cis.business import Business
from simulators.sap_cis.changing import changed
from simulators.sap_cis.cis import Cis
from simulators.sap_cis.contract import SENT, Contract, contract_folder
from simulators.sap_cis.envelope import envelope_message
from simulators.sap_cis.profiles import Profiling
from simulators.sap_cis.sending import Sender, Wire, answer_of
from simulators.sap_cis.technical import TechnicalWork
from tests.unit.simulators.sap_cis import mdus_messages as mdus
from tests.unit.simulators.sap_cis.conftest import CHANNEL, METERS, Recorder, make_cis, wait_for

FAULT = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode>'
    b"<faultstring>no</faultstring></s:Fault></s:Body></s:Envelope>"
)
EMPTY = b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/></s:Envelope>'


class TestAnswerOf:
    @pytest.mark.parametrize(
        ("status", "body", "outcome"),
        [
            pytest.param(202, b"", "delivered", id="202_empty"),
            pytest.param(200, b" \n", "delivered", id="200_blank"),
            pytest.param(200, EMPTY, "delivered", id="200_empty_soap_body"),
            pytest.param(200, b"<html></html>", "again", id="200_html"),
            pytest.param(200, FAULT, "again", id="200_fault"),
            pytest.param(500, FAULT, "refused", id="500_fault"),
            pytest.param(500, b"oops", "again", id="500_without_fault"),
            pytest.param(503, FAULT, "again", id="503_with_fault"),
            pytest.param(503, b"", "again", id="503"),
            pytest.param(401, b"", "refused", id="401"),
            pytest.param(413, b"", "refused", id="413"),
            pytest.param(429, b"", "again", id="429"),
        ],
    )
    def test_decides_what_becomes_of_a_message(self, status: int, body: bytes, outcome: str) -> None:
        assert answer_of(status, body).outcome == outcome


@pytest.fixture
def running(recorder: Recorder) -> Iterator[Any]:
    """Makes a simulated SAP that sends to the recorder: running(faults="...")."""
    senders: list[Sender] = []

    def launch(**options: Any) -> tuple[Cis, Business, Sender]:
        cis = make_cis(**options)
        sender = Sender(cis, Wire(url=recorder.url, user="sap", password="secret"))
        sender.start()
        senders.append(sender)
        return cis, Business(cis), sender

    yield launch
    for sender in senders:
        sender.stop()


def idle(sender: Sender) -> Any:
    """This will wait until nothing is under way."""
    return wait_for(lambda: sender.activity()[0] == 0)


def work_on_meters(cis: Cis, business: Business, devices: list[str], *, bulk: bool) -> None:
    """This will have technical work done at meters: one message of each kind."""
    work = TechnicalWork(cis, business)
    work.change_devices(devices[:1], part="B")
    work.change_tariffs(devices, tariff="02", since="2026-03-29", bulk=bulk)
    reading = {"obis": "1-0:1.8.0*255", "reason": "08", "on": "2026-03-28", "at": "10:00:00", "value": "1.5"}
    work.enter_readings([{**reading, "device": devices[0]}])


class TestSender:
    @pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "single"])
    def test_sends_every_service_valid_by_its_schema(self, running: Any, recorder: Recorder, bulk: bool) -> None:
        cis, business, sender = running(confirmed_events=frozenset({"0100"}))
        measured = [{**meter, "channels": [CHANNEL]} for meter in METERS[:2]]
        devices = [device.id for device in business.initialize_devices(measured, bulk=bulk, profiles=True)]
        work_on_meters(cis, business, devices, bulk=bulk)
        profiles, _ = Profiling(cis, sender).assign(devices, start_on="2026-03-28")
        orders = business.order_readings("all", reason="01", scheduled_on="2026-03-27", data_source="0", bulk=bulk)
        documents = business.order_connections(devices, category="1", reason="01", immediate=True, bulk=bulk)
        business.cancel_readings([order.id for order in orders], bulk=bulk)
        business.cancel_connections(documents)
        cis.receive(mdus.results(tuple(orders[:1]), bulk=bulk), interface="")
        cis.receive(mdus.events(devices[0]), interface="")
        for how in ("Create", "Change"):
            cis.receive(mdus.values(profiles[0], mdus.value(), how=how), interface="")
        for sent in cis.view.sent.values():
            sent.due = None  # the clock stands still: let the confirmation of the result go at once
        idle(sender)
        assert {sent.state for sent in cis.view.sent.values()} == {"delivered"}
        contract = Contract(contract_folder())
        interfaces = set()
        for interface, body, action in recorder.posted:
            message = envelope_message(body)
            assert contract.violations(message) == []
            assert interface == f"{etree.QName(message).localname}_Out"
            assert action == '"http://sap.com/xi/WebService/soap1.1"'
            assert message.find("MessageHeader/ID") is None
            assert message.findtext("MessageHeader/SenderBusinessSystemID") == "S4HANA"
            interfaces.add(interface)
        assert interfaces == {f"{process.root(process.form(bulk=bulk))}_Out" for process in SENT.values()}

    @pytest.mark.parametrize(
        "trouble",
        ["cut", (503, b"busy"), (500, b"oops"), (200, b"<html/>")],
        ids=["cut_connection", "503", "500_without_fault", "html_page"],
    )
    def test_sends_the_same_bytes_again_until_they_are_taken(
        self, running: Any, recorder: Recorder, trouble: Any
    ) -> None:
        recorder.script = [trouble, trouble]
        cis, business, sender = running()
        business.initialize_devices(METERS[:1])
        idle(sender)
        creates = recorder.of("BulkCreateRequest")[:3]
        assert creates[0] == creates[1] == creates[2]
        assert {sent.state for sent in cis.view.sent.values()} == {"delivered"}

    def test_records_a_refusal_and_does_not_insist(self, running: Any, recorder: Recorder) -> None:
        recorder.script = [(500, FAULT)]
        cis, business, sender = running()
        business.order_readings([], reason="01", scheduled_on="2026-03-27")
        business.initialize_devices(METERS[:1])
        idle(sender)
        (refusal,) = cis.view.refusals
        assert (refusal["status"], refusal["expected"]) == (500, False)
        assert cis.view.counts()["device_create"] == {
            "sent": 1, "delivered": 0, "confirmed": 0, "partial": 0, "failed": 1, "cancelled": 0, "open": 0,
        }  # fmt: skip
        assert len(recorder.of("SmartMeterBulkCreateRequest")) == 1

    def test_sends_in_order_when_told(self, running: Any, recorder: Recorder) -> None:
        recorder.script = ["cut"]
        _, business, sender = running()
        business.initialize_devices(METERS, order="in_order")
        idle(sender)
        assert [interface for interface, _, _ in recorder.posted] == [
            "UtilitiesDeviceERPSmartMeterBulkCreateRequest_Out",
            "UtilitiesDeviceERPSmartMeterBulkCreateRequest_Out",
            "UtilitiesDeviceERPSmartMeterRegisterBulkCreateRequest_Out",
            "UtilitiesDeviceERPSmartMeterLocationBulkNotification_Out",
            "SmartMeterUtilitiesMeasurementTaskERPPointOfDeliveryBulkAssignedNotification_Out",
        ]

    def test_waits_for_the_simulated_instant_a_message_is_due(self, running: Any, recorder: Recorder) -> None:
        _, business, sender = running(faults="sends_early=1")
        business.initialize_devices(METERS)
        idle(sender)
        assert recorder.of("SmartMeterBulkCreateRequest") == []
        assert len(recorder.posted) == 3
        _, next_due = sender.activity()
        assert next_due is not None
        assert next_due.isoformat() == "2026-03-28T10:05:00+00:00"

    def test_sends_bulks_of_the_size_asked_for(self, running: Any, recorder: Recorder) -> None:
        _, business, sender = running()
        business.initialize_devices(METERS)
        business.order_readings("all", reason="01", scheduled_on="2026-03-27", size=4)
        idle(sender)
        sizes = [
            len(envelope_message(body)) - 1 for body in recorder.of("ERPBulkCreateRequest") if b"ReadingReason" in body
        ]
        assert sorted(sizes) == [2, 4]

    def test_shows_what_cannot_be_built_as_a_refusal(self, running: Any, recorder: Recorder) -> None:
        cis, _, sender = running()
        cis.record(*cis.planned("location", ["no such device"], bulk=False))
        idle(sender)
        assert recorder.posted == []
        assert [refusal["status"] for refusal in cis.view.refusals] == [0]


class TestResend:
    def test_repeats_the_bytes(self, running: Any, recorder: Recorder) -> None:
        cis, business, sender = running()
        business.initialize_devices(METERS[:1])
        idle(sender)
        uuid = next(iter(cis.view.sent))
        sender.resend(uuid)
        idle(sender)
        assert recorder.posted[-1] == recorder.posted[0]

    def test_expects_the_changed_twin_to_be_refused(self, running: Any, recorder: Recorder) -> None:
        cis, business, sender = running()
        business.initialize_devices(METERS[:1])
        idle(sender)
        recorder.script = [(500, FAULT)]
        sender.resend(next(iter(cis.view.sent)), change=True)
        idle(sender)
        assert [refusal["expected"] for refusal in cis.view.refusals] == [True]
        assert cis.view.defects == []
        assert cis.view.counts()["device_create"]["delivered"] == 1

    def test_finds_a_changed_twin_that_is_accepted(self, running: Any, recorder: Recorder) -> None:
        cis, business, sender = running()
        business.initialize_devices(METERS[:1])
        idle(sender)
        sender.resend(next(iter(cis.view.sent)), change=True)
        idle(sender)
        assert [defect["name"] for defect in cis.view.defects] == ["changed_duplicate_accepted"]

    def test_finds_a_repetition_that_is_refused(self, running: Any, recorder: Recorder) -> None:
        cis, business, sender = running()
        business.initialize_devices(METERS[:1])
        idle(sender)
        recorder.script = [(500, FAULT)]
        sender.resend(next(iter(cis.view.sent)))
        idle(sender)
        assert [defect["name"] for defect in cis.view.defects] == ["duplicate_refused"]

    def test_happens_by_itself_as_a_fault(self, running: Any, recorder: Recorder) -> None:
        cis, business, sender = running(faults="sends_duplicate=2")
        business.initialize_devices(METERS)
        idle(sender)
        assert len(recorder.posted) > 4
        assert len({body for _, body, _ in recorder.posted}) == 4
        assert cis.faults.fired()["sends_duplicate"]["count"] == len(recorder.posted) - 4

    def test_changes_the_twin_as_a_fault(self, running: Any, recorder: Recorder) -> None:
        cis, business, sender = running(faults="sends_changed_duplicate=1")
        business.initialize_devices(METERS)
        idle(sender)
        ((_, uuid),) = cis.view.faults
        first, second = (body for _, body, _ in recorder.posted if uuid.encode() in body)
        assert first != second
        assert [defect["name"] for defect in cis.view.defects] == ["changed_duplicate_accepted"]


class TestChanged:
    def test_differs_under_the_same_uuid_and_stays_valid(self, running: Any, recorder: Recorder) -> None:
        cis, business, sender = running()
        measured = [{**METERS[0], "channels": [CHANNEL]}]
        devices = [device.id for device in business.initialize_devices(measured, profiles=True)]
        work_on_meters(cis, business, devices, bulk=True)
        Profiling(cis, sender).assign(devices, start_on="2026-03-28")
        orders = business.order_readings("all", reason="01", scheduled_on="2026-03-27")
        documents = business.order_connections(devices, category="1")
        business.cancel_readings([order.id for order in orders])
        business.cancel_connections(documents)
        idle(sender)
        assert {sent.process for sent in cis.view.sent.values()} == SENT.keys() - {
            "result_confirmation",
            "event_confirmation",
            "values_confirmation",
            "values_change_confirmation",
        }
        for sent in cis.view.sent.values():
            assert sent.xml is not None
            twin = changed(sent.xml, sent.process)
            assert twin != sent.xml
            message = envelope_message(twin)
            assert message.findtext("MessageHeader/UUID") == sent.uuid
            assert Contract(contract_folder()).violations(message) == []


class TestRaw:
    def test_enters_the_view_so_that_its_confirmation_is_expected(self, running: Any, recorder: Recorder) -> None:
        cis, business, sender = running()
        business.initialize_devices(METERS[:1], bulk=False)
        idle(sender)
        captured = recorder.of("SmartMeterCreateRequest")[0].replace(
            next(iter(cis.view.sent)).encode(), b"00000000-0000-0000-0000-00000000000a"
        )
        answer = sender.post_raw("UtilitiesDeviceERPSmartMeterCreateRequest_Out", captured)
        assert answer.outcome == "delivered"
        assert recorder.posted[-1][1] == captured
        sent = cis.view.sent["00000000-0000-0000-0000-00000000000a"]
        cis.receive(mdus.confirmation(sent, cis.view), interface="UtilitiesDeviceERPSmartMeterCreateConfirmation_In")
        assert cis.view.defects == []

    def test_posts_what_is_no_message_at_all(self, running: Any, recorder: Recorder) -> None:
        _, _, sender = running()
        recorder.script = [(500, FAULT)]
        answer = sender.post_raw("UtilitiesDeviceERPSmartMeterCreateRequest_Out", b"<not-soap")
        assert answer.outcome == "refused"
        assert recorder.posted[-1][1] == b"<not-soap"


class TestStop:
    def test_leaves_what_is_undelivered_for_the_next_life(
        self, running: Any, recorder: Recorder, tmp_path: Any
    ) -> None:
        recorder.script = ["cut"] * 100
        cis, business, sender = running(state=tmp_path / "cis.jsonl")
        business.initialize_devices(METERS[:1])
        wait_for(lambda: recorder.posted)
        sender.stop()
        recorder.script = []
        again, _, second = running(state=tmp_path / "cis.jsonl")
        idle(second)
        assert recorder.posted[0][1] == recorder.of("SmartMeterBulkCreateRequest")[-1]
        assert {sent.state for sent in again.view.sent.values()} == {"delivered"}
        assert cis.view.sent.keys() == again.view.sent.keys()
