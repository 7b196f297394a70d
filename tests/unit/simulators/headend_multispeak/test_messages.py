"""What the simulated head end of MultiSpeak reads and writes, without a socket."""

import argparse
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from lxml import etree

from simulators.fleet.deliveries import Push
from simulators.fleet.faults import SHARED
from simulators.fleet.process import arguments
from simulators.fleet.times import Times
from simulators.headend_multispeak import requests
from simulators.headend_multispeak.face import KIND, MultiSpeak
from simulators.headend_multispeak.faults import CALLED_BACK, FAULTS
from simulators.headend_multispeak.tellings import Tellings, as_ordered, failed_switches
from simulators.headend_multispeak.wire import NAMESPACES, NotUnderstood, Read, Version, element, read

NOW = datetime(2026, 3, 27, 10, 0, tzinfo=UTC)
AT = "2026-03-27T10:00:00Z"
V3 = Version(name="3.0", length=timedelta(hours=1))
V4 = Version(name="4.1", length=timedelta(hours=1))
VERSIONS = pytest.mark.parametrize("version", [V3, V4], ids=["3.0", "4.1"])


def message(text: str, version: Version = V3) -> Read:
    root = etree.fromstring(f'<r xmlns="{NAMESPACES[version.name]}">{text}</r>')
    return Read(root[0])


def told(version: Version, topic: str, body: dict[str, Any], *, formatted: bool = False) -> list[Read]:
    push = Push(delivery_id="d-1", topic=topic, to="http://x", body=body)
    made = Tellings(version, formatted=formatted).of(push)
    return [read(version.envelope(each.message, at=NOW))[1] for each in made]


def result(serial: str = "1", **changes: Any) -> dict[str, Any]:
    usual = {
        "serial": serial,
        "reference": serial,
        "status": "ok",
        "code": None,
        "text": None,
        "completed_at": AT,
        "readings": [],
        "blocks": [],
        "switch_state": None,
        "switched_at": None,
    }
    return usual | changes


def results(kind: str, *some: dict[str, Any]) -> dict[str, Any]:
    return {"token": "j", "correlation_id": "t-1", "kind": kind, "results": list(some), "more": False}


class TestRequests:
    def test_are_orders_to_meters(self) -> None:
        asked = message(
            "<InitiateMeterReadByMeterNumber><meterNos><string>1</string><string>2</string></meterNos>"
            "<responseURL>http://c/soap</responseURL><transactionID>t-1</transactionID>"
            "<expirationTime>0.5</expirationTime></InitiateMeterReadByMeterNumber>"
        )
        [submission] = requests.initiated(asked, V3, now=NOW)
        assert (submission.kind, submission.correlation_id) == ("read_on_demand", "t-1")
        assert [order.serial for order in submission.orders] == ["1", "2"]
        assert submission.callback_url == "http://c/soap"
        assert submission.expires_at == NOW + timedelta(minutes=30)

    def test_of_4_1_say_the_unit_of_their_expiration(self) -> None:
        asked = message(
            "<InitiateMeterReadingsByMeterID><meterIDs><meterID meterNo='1'>x</meterID></meterIDs>"
            "<expTime units='Minutes'>10</expTime></InitiateMeterReadingsByMeterID>",
            V4,
        )
        [submission] = requests.initiated(asked, V4, now=NOW)
        assert [order.serial for order in submission.orders] == ["1"]
        assert submission.expires_at == NOW + timedelta(minutes=10)

    def test_of_breakers_may_be_of_two_kinds(self) -> None:
        def event(serial: str, action: str, more: str = "") -> str:
            return (
                f"<connectDisconnectEvent><loadActionCode>{action}</loadActionCode>{more}"
                f"<meterNo>{serial}</meterNo></connectDisconnectEvent>"
            )

        limit = "<powerLimitationValue>3.5</powerLimitationValue><powerLimitationUnits>kW</powerLimitationUnits>"
        events = event("1", "Disconnect") + event("2", "InitiatePowerLimitation", limit) + event("3", "Enable")
        asked = message(f"<InitiateConnectDisconnect><cdEvents>{events}</cdEvents></InitiateConnectDisconnect>")
        switch, limits = requests.initiated(asked, V3, now=NOW)
        assert [(switch.kind, order.wish) for order in switch.orders] == [("switch", {"state": "disconnected"})]
        assert [order.wish for order in limits.orders] == [{"limit_kw": "3.5"}, {"limit_kw": None}]

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("<InitiateMeterReadByMeterNumber/>", id="no meter"),
            pytest.param(
                "<InitiateConnectDisconnect><cdEvents><connectDisconnectEvent><meterNo>1</meterNo>"
                "<loadActionCode>Explode</loadActionCode></connectDisconnectEvent></cdEvents></InitiateConnectDisconnect>",
                id="an action there is not",
            ),
            pytest.param(
                "<InitiateMeterReadByMeterNumber><meterNos><string>1</string></meterNos>"
                "<expirationTime>soon</expirationTime></InitiateMeterReadByMeterNumber>",
                id="no time",
            ),
        ],
    )
    def test_that_mean_nothing_are_refused(self, text: str) -> None:
        with pytest.raises(NotUnderstood):
            requests.initiated(message(text), V3, now=NOW)


class TestTellings:
    @VERSIONS
    def test_of_readings_have_decimals_beside_whole_numbers(self, version: Version) -> None:
        readings = [{"obis": "1-0:1.8.0*255", "at": AT, "value": "12.34", "unit": "kWh"}]
        [one] = told(version, "results", results("read_on_demand", result(readings=readings)))
        assert one.name == "ReadingChangedNotification"
        assert [each.text for each in one.below("value")] == ["12.34"]
        assert [each.text for each in one.below("posKWh")] == (["12"] if version is V3 else [])

    @VERSIONS
    def test_of_a_meter_that_failed_say_why(self, version: Version) -> None:
        failed = result("2", status="failed", code="NO_RESPONSE")
        [one] = told(version, "results", results("read_on_demand", failed))
        [read_of] = one.below("meterRead", "meterReading")
        assert read_of.attribute("errorString") == "No response from meter"

    def test_of_breakers_are_one_each_in_3_0_and_many_at_once_in_4_1(self) -> None:
        body = results("switch", result("1", switch_state="disconnected"), result("2", switch_state="disconnected"))
        assert [each.name for each in told(V3, "results", body)] == ["CDStateChangedNotification"] * 2
        [many] = told(V4, "results", body)
        assert many.name == "CDStatesChangedNotification"
        assert [each.text for each in many.below("stateChange")] == ["Opened", "Opened"]

    @VERSIONS
    def test_of_an_armed_meter_are_no_error(self, version: Version) -> None:
        armed = result(status="failed", code="ARMED", switch_state="disconnected")
        [one] = told(version, "results", results("switch", armed))
        assert "Armed" in [each.text for each in one.below("stateChange")]
        assert not [each for each in one.below("errorString") if each.text]

    @VERSIONS
    def test_of_a_breaker_that_is_said_to_have_stuck_say_where_and_why(self, version: Version) -> None:
        stuck = result(status="failed", code="RELAY_STUCK", switch_state="connected")
        [one] = told(version, "results", results("switch", stuck))
        assert "Closed" in [each.text for each in one.below("stateChange")]
        said = [each.attribute("errorString") for each in one.below("stateChange")]
        assert "Relay stuck" in [*said, one.said("errorString")]

    @VERSIONS
    def test_of_a_silent_meter_are_no_outage(self, version: Version) -> None:
        [one] = told(version, "results", results("ping", result(status="failed", code="NO_RESPONSE")))
        assert [each.text for each in one.below("outageEventType")] == ["NoResponse"]

    def test_of_what_was_answered_at_once_are_none(self) -> None:
        assert told(V3, "results", results("provision", result())) == []

    def test_of_snapshots_are_formatted_blocks_with_positions(self) -> None:
        rows = [
            {"serial": "1", "obis": "1-0:1.8.0*255", "at": AT, "value": "12.34", "unit": "kWh"},
            {"serial": "1", "obis": "1-0:1.8.1*255", "at": AT, "value": "5", "unit": "kWh"},
        ]
        [one] = told(V3, "readings", {"readings": rows}, formatted=True)
        positions = {each.said("fieldName"): int(each.said("position") or 0) for each in one.below("syntaxItem")}
        [line] = [each.text.split("|") for each in one.below("val")]
        assert line[positions["meterNo"] - 1] == "1"
        assert line[positions["posKWh"] - 1] == "12.34"
        assert line[positions["1.0.1.8.1.255"] - 1] == "5"

    @VERSIONS
    def test_of_intervals_mark_what_is_wrong_with_values(self, version: Version) -> None:
        block = {
            "serial": "1",
            "obis": "1-0:1.29.0*255",
            "unit": "kWh",
            "interval_minutes": 15,
            "start": AT,
            "values": ["1.5", None],
            "quality": [None, "2.5.259"],
        }
        [one] = told(version, "intervals", {"blocks": [block]})
        assert [each.text for each in one.below("d")] == ["1.5,|missing"]
        assert [each.text for each in one.below("intervalLength")] == ["15.0"]

    def test_of_events_go_by_what_happened(self) -> None:
        def row(code: str) -> dict[str, Any]:
            return {"serial": "1", "event_id": f"e-{code}", "code": code, "at": AT, "text": "it", "properties": {}}

        body = {"events": [row("3.26.0.85"), row("3.31.0.68"), row("3.12.29.39")]}
        names = [each.name for each in told(V3, "events", body)]
        assert names == ["ODEventNotification", "CDStateChangedNotification", "HistoryLogChangedNotification"]
        assert told(V4, "events", body)[-1].name == "MeterEventNotification"

    def test_of_breakers_say_when_they_moved_however_late_they_come(self) -> None:
        row = {"serial": "1", "event_id": "e-1", "code": "3.31.0.68", "at": AT, "text": "it", "properties": {}}
        push = Push(delivery_id="d-1", topic="events", to="http://x", body={"events": [row]})
        [one] = Tellings(V3, formatted=False).of(push)
        assert one.at == AT
        [one] = Tellings(V4, formatted=False).of(push)
        [stamped] = Read(etree.fromstring(V4.envelope(one.message, at=NOW))).below("timestamp")
        assert stamped.text == AT

    @pytest.mark.parametrize("name", ["3.0", "4.1"])
    @pytest.mark.parametrize("formatted", [True, False], ids=["formatted", "readings"])
    def test_by_a_clock_of_a_zone_never_say_it(self, name: str, formatted: bool) -> None:
        berlin = Times(zone=ZoneInfo("Europe/Berlin"))
        version = Version(name=name, length=timedelta(hours=1), times=berlin)
        row = {"serial": "1", "at": AT, "text": "it", "properties": {}}
        reading = row | {"obis": "1-0:1.8.0*255", "value": "12.34", "unit": "kWh"}
        block = {"serial": "1", "obis": "1-0:1.29.0*255", "interval_minutes": 15, "start": AT, "values": ["1.5"]}
        codes = ("3.26.0.85", "3.31.0.68", "3.12.29.39")
        bodies = {
            "results": results("read_on_demand", result(readings=[reading])),
            "readings": {"readings": [reading]},
            "intervals": {"blocks": [block]},
            "events": {"events": [row | {"event_id": f"e-{code}", "code": code} for code in codes]},
            "heard": {"meters": [row | {"first": True}]},
        }
        for topic, body in bodies.items():
            push = Push(delivery_id="d-1", topic=topic, to="http://x", body=body)
            for each in Tellings(version, formatted=formatted).of(push):
                text = version.envelope(each.message, at=NOW).decode()
                assert "2026-03-27T11:00:00" in text, topic  # in Berlin
                assert "2026-03-27T11:00:00Z" not in text
                assert "10:00:00" not in text, topic

    def test_of_first_communications_only_are_log_entries(self) -> None:
        meters = [{"serial": "1", "first": True, "at": AT}, {"serial": "2", "first": False, "at": AT}]
        [one] = told(V3, "heard", {"meters": meters})
        assert [each.text for each in one.below("meterID")] == ["1"]
        assert told(V3, "heard", {"meters": meters[1:]}) == []


class TestAsOrdered:
    def test_is_told_of_breakers_that_failed_to_move_only(self) -> None:
        stuck = result("1", status="failed", code="RELAY_STUCK", switch_state="connected")
        armed = result("2", status="failed", code="ARMED", switch_state="disconnected")
        moved = result("3", switch_state="disconnected")
        silent = result("4", status="failed", code="NO_RESPONSE")
        body = results("switch", stuck, armed, moved, silent)
        push = Push(delivery_id="d-1", topic="results", to="http://x", body=body)
        assert failed_switches(push) == ["1"]
        states = [one["switch_state"] for one in as_ordered(push).body["results"]]
        assert states == ["disconnected", "disconnected", "disconnected", None]
        assert push.body["results"][0]["switch_state"] == "connected"

    @pytest.mark.parametrize("topic", ["readings", "results"])
    def test_is_nothing_else(self, topic: str) -> None:
        body = results("switch_state", result(status="failed", code="NO_RESPONSE", switch_state="connected"))
        assert failed_switches(Push(delivery_id="d-1", topic=topic, to="http://x", body=body)) == []


class TestOutOfOrder:
    def test_keeps_texts_and_attributes(self) -> None:
        one = element("a", element("b", "1", x="y"), element("c", element("d", "2"), element("e", "3"))).backwards()
        assert [child.name for child in one.children] == ["c", "b"]
        assert [child.text for child in one.children[0].children] == ["3", "2"]
        assert one.children[1].attributes == {"x": "y"}


class TestFaults:
    def test_of_callbacks_hit_only_what_is_called_back(self) -> None:
        for name in ("duplicate_callback", "accepts_then_silence", "late_result", "wrong_meter_in_callback"):
            assert set(FAULTS[name].kinds) <= set(CALLED_BACK)
            assert FAULTS[name].kinds

    def test_are_all_that_head_ends_share(self) -> None:
        assert SHARED.keys() - FAULTS.keys() == set()

    def test_lose_the_answer_to_a_switch_under_one_name(self) -> None:
        losing = {name for name in ("ambiguous_submit", "sync_timeout_after_acceptance") if _hits_switches(name)}
        assert losing == {"ambiguous_submit"}


def _hits_switches(name: str) -> bool:
    return "switch" in FAULTS[name].kinds


class TestRow:
    @pytest.mark.parametrize("version", ["3.0", "4.1"])
    def test_says_what_mdus_has_to_know(self, version: str) -> None:
        options: argparse.Namespace = arguments(KIND).parse_args(["--version", version, "--password", "x"])
        options.callback_password = "y"
        row = MultiSpeak(options).row("http://h")
        assert (row["kind"], row["url"], row["options"]["version"]) == ("multispeak", "http://h", version)
        assert row["options"]["paths"]["cd"] == "/CD_Server.asmx"
        assert "zone_of_local_times" not in row["options"]

    @pytest.mark.parametrize(("times", "zone"), [("local", "Europe/Berlin"), ("standard", "Etc/GMT-1")])
    def test_says_by_which_clock_its_times_are(self, times: str, zone: str) -> None:
        options = arguments(KIND).parse_args(["--times", times, "--password", "x"])
        options.callback_password = "y"
        assert MultiSpeak(options).row("http://h")["options"]["zone_of_local_times"] == zone
