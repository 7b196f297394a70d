"""The simulated SAP against a small MDUS that answers as the contract wants, and a real simulated head end."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from lxml import etree

from simulators.sap_cis.contract import SENT_ROOTS
from simulators.sap_cis.envelope import envelope_message
from simulators.sap_cis.view import Document, Order, Sent, View
from tests.unit.simulators.sap_cis import mdus_messages as mdus
from tests.unit.simulators.sap_cis.conftest import METERS, Process, Recorder, wait_for


class SmallMdus:
    """Confirms everything it is posted; which codes, `codes` says by key."""

    def __init__(self, recorder: Recorder) -> None:
        self.codes: dict[str, str] = {}
        self.process: Process | None = None
        self.view = View()
        self._seen: set[bytes] = set()
        recorder.on_post = self.posted

    def posted(self, interface: str, body: bytes) -> None:
        """This will answer a message of SAP the first time it comes."""
        if body in self._seen:
            return
        self._seen.add(body)
        message = envelope_message(body)
        process, form = SENT_ROOTS[etree.QName(message).localname]
        singles = [message] if form == "single" else message.findall(process.item or "")
        items = {}
        for single in singles:
            key = single.findtext(process.key) or ""
            items[key] = {"key": key, "uuid": single.findtext("MessageHeader/UUID")}
            if process.name.startswith("connection_order"):
                self._remember(single)
        if process.confirmation is None:
            return
        sent = Sent(
            uuid=message.findtext("MessageHeader/UUID") or "", process=process.name, form=form, items=items,
            due=None, after=None,
        )  # fmt: skip
        self.say(mdus.confirmation(sent, self.view, codes=self.codes))

    def _remember(self, single: etree._Element) -> None:
        request = single.find("UtilitiesConnectionStatusChangeRequest")
        assert request is not None
        key = request.findtext("ID") or ""
        self.view.documents[key] = Document(
            id=key,
            category=request.findtext("CategoryCode") or "",
            planned_at=request.findtext("PlannedProcessingDateTime") or "",
            devices={e.text or "": None for e in request.iterfind("DeviceConnectionStatus/UtilitiesDeviceID")},
        )

    def say(self, message: etree._Element) -> None:
        """This will post to SAP until it is taken."""
        assert self.process is not None
        interface = f"{etree.QName(message).localname}_In"
        for _ in range(10):
            try:
                answer = self.process.post(interface, mdus.enveloped(message))
            except httpx.TransportError:
                continue
            if answer.is_success and not answer.content:
                return
        raise AssertionError(f"{interface} is never taken")


@pytest.fixture
def small_mdus(recorder: Recorder) -> SmallMdus:
    """An MDUS behind the recorder."""
    return SmallMdus(recorder)


@pytest.fixture
def head_end() -> Iterator[str]:
    """The base URL of a simulated head end with three meters."""
    command = [sys.executable, "-m", "simulators.headend_rest", "--port", "0", "--meters", "3", "--password", "secret"]
    command += ["--parent", str(os.getpid())]
    popen = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert popen.stdout is not None
    yield json.loads(popen.stdout.readline())["listening"]
    popen.kill()
    popen.wait()


def idle(process: Process) -> bool:
    """This will tell whether SAP has nothing under way and has heard every answer."""
    rows = process.control("view")["processes"]
    return process.control("activity")["in_flight"] == 0 and all(
        row["open"] == 0 for name, row in rows.items() if name not in ("device_registered", "reading_result")
    )


class TestView:
    def test_counts_every_process_to_its_end(
        self, start: Callable[..., Process], recorder: Recorder, small_mdus: SmallMdus
    ) -> None:
        process = small_mdus.process = start(recorder.url, "--bulk-size", "2")
        small_mdus.codes = {"00000000000000000001": "5", "000000000002": "5"}
        devices = [device["id"] for device in process.control("devices", {"meters": METERS})["devices"]]
        wait_for(lambda: idle(process))
        orders = process.control(
            "reading_orders", {"devices": "all", "reason": "01", "scheduled_on": "2026-03-27", "data_source": "0"}
        )["orders"]
        process.control("connection_orders", {"devices": devices, "category": "1"})
        wait_for(lambda: idle(process))
        small_mdus.say(mdus.registered(tuple(devices)))
        process.control("cancel_readings", {"orders": orders[1:2]})
        wait_for(lambda: idle(process))
        process.control("reject_results", {"count": 1})
        known = {order["id"]: Order(**order) for order in process.control("orders")["orders"]}
        small_mdus.say(mdus.results(tuple(known[key] for key in orders[2:4])))
        small_mdus.say(mdus.events(*devices[:2]))
        view = process.control("view")
        assert view["defects"] == {}
        assert view["refusals"] == {"expected": 0, "unexpected": 0}
        assert view["orders"] == {"rejected": 1, "cancelled": 1, "result": 2, "accepted": 2}
        assert view["documents"] == {"executed": 2, "failed": 1}
        rows = {name: (row["sent"], row["confirmed"], row["failed"]) for name, row in view["processes"].items()}
        assert rows == {
            "device_create": (3, 3, 0),
            "register_create": (3, 3, 0),
            "location": (3, 3, 0),
            "point_of_delivery": (6, 6, 0),
            "device_registered": (3, 3, 0),
            "reading_order": (6, 5, 1),
            "reading_result": (5, 0, 0),
            "reading_cancellation": (1, 1, 0),
            "result_confirmation": (2, 0, 0),
            "smart_meter_event": (2, 2, 0),
            "event_confirmation": (0, 0, 0),
            "connection_order": (3, 2, 1),
            "connection_cancellation": (0, 0, 0),
            **dict.fromkeys(("device_change", "register_change", "manual_reading", "profile_assignment"), (0, 0, 0)),
            **dict.fromkeys(("values", "values_confirmation"), (0, 0, 0)),
            **dict.fromkeys(("values_change", "values_change_confirmation"), (0, 0, 0)),
        }
        assert view["processes"]["reading_result"]["cancelled"] == 1
        assert view["latencies"]["device_create"]["count"] == 3
        activity = process.control("activity")
        assert activity["in_flight"] == 0
        due = datetime.fromisoformat(activity["next_due"]) - datetime.fromisoformat(activity["now"])
        assert 2 <= due.total_seconds() <= 10
        sent = [message for message in process.control("messages")["sent"] if message["due"]]
        assert [message["process"] for message in sent] == ["result_confirmation"]

    def test_stays_clean_under_every_fault(
        self, start: Callable[..., Process], recorder: Recorder, small_mdus: SmallMdus
    ) -> None:
        faults = ",".join(
            f"{name}=2"
            for name in ("answers_503", "cuts_connection", "answers_html_200", "answers_soap_fault", "sends_duplicate")
        )
        process = small_mdus.process = start(recorder.url, "--faults", faults)
        process.control("devices", {"meters": METERS, "bulk": False, "order": "shuffled"})
        wait_for(lambda: idle(process))
        process.control(
            "reading_orders", {"devices": "all", "reason": "01", "scheduled_on": "2026-03-27", "bulk": False}
        )
        wait_for(lambda: idle(process))
        view = process.control("view")
        assert view["defects"] == {}
        assert {row["count"] for row in process.control("faults")["faults"].values()} == {2}
        assert view["repeated"] == 2

    @pytest.mark.parametrize(
        ("command", "body"),
        [
            pytest.param(
                "reading_orders", {"devices": ["1"], "reason": "01", "scheduled_on": "2026-03-27"}, id="unknown"
            ),
            pytest.param("reading_orders", {"devices": "all", "reason": "01"}, id="missing_member"),
            pytest.param("reading_orders", {"reason": "01", "scheduled_on": "soon"}, id="no_date"),
            pytest.param("resend", {"uuid": "1"}, id="never_sent"),
        ],
    )
    def test_is_untouched_by_a_command_that_cannot_be(
        self, start: Callable[..., Process], recorder: Recorder, command: str, body: dict[str, Any]
    ) -> None:
        process = start(recorder.url)
        answer = httpx.post(f"{process.url}/control/{command}", json=body, trust_env=False)
        assert answer.status_code == 422
        assert answer.json()["error"]
        assert process.control("orders") == {"orders": []}


class TestTruth:
    def test_compares_results_with_what_the_register_showed(
        self, start: Callable[..., Process], recorder: Recorder, small_mdus: SmallMdus, head_end: str
    ) -> None:
        process = small_mdus.process = start(recorder.url, "--truth-url", head_end)
        meters = httpx.get(f"{head_end}/control/meters", trust_env=False).json()["meters"]
        serials = {}
        for device in process.control("devices", {"meters": meters})["devices"]:
            serials[device["id"]] = device["serial"]
        wait_for(lambda: idle(process))
        process.control("reading_orders", {"devices": "all", "reason": "01", "scheduled_on": "2026-03-27"})
        wait_for(lambda: idle(process))
        right, wrong, *_ = (Order(**order) for order in process.control("orders")["orders"])
        for order, on in ((right, "2026-03-27T23:00:00Z"), (wrong, "2026-03-27T22:00:00Z")):
            query = {"serial": serials[order.device], "obis": order.obis, "at": on}
            shown = httpx.get(f"{head_end}/control/true", params=query, trust_env=False).json()["shown"]
            small_mdus.say(mdus.results((order,), value=shown, on="2026-03-28", at="00:00:00"))
        wait_for(lambda: process.control("view")["verified"] == 2)
        found = [(defect["name"], defect["key"]) for defect in process.control("defects")["defects"]]
        assert found == [("value_not_true", wrong.id)]
