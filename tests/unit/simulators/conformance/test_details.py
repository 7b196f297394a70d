"""What an item must say beyond its log: right passes, each wrong thing is found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lxml import etree

from simulators.conformance import bodies, details
from simulators.conformance.subjects import Subject
from simulators.conformance.verdicts import Finding
from simulators.conformance.writing import stamp
from tests.unit.simulators.conformance.parts import WORLD, log, now, subject

ONE: Subject = subject()
START = datetime(2026, 3, 28, 23, tzinfo=UTC)
END = START + timedelta(hours=1)


def item(content: str) -> etree._Element:
    return etree.fromstring(f"<Item>{content}</Item>")


def words(findings: Any) -> list[str]:
    return [finding.expected for finding in findings]


def switched(
    *, category: str = "2", device: str | None = ONE.device, result: str = "1", code: str = "3", at: str | None = None
) -> list[Finding]:
    """Judge the confirmation of a connection order for one device."""
    status = (
        ""
        if device is None
        else (
            f"<DeviceConnectionStatus><ProcessingDateTime>{at or now()}</ProcessingDateTime>"
            f"<UtilitiesDeviceConnectionStatusProcessingResultCode>{result}"
            "</UtilitiesDeviceConnectionStatusProcessingResultCode>"
            f"<UtilitiesDeviceID>{device}</UtilitiesDeviceID></DeviceConnectionStatus>"
        )
    )
    root = "UtilitiesConnectionStatusChangeRequest"
    said = item(f"<{root}><ID>1</ID><CategoryCode>{category}</CategoryCode>{status}</{root}>{log(code)}")
    return list(details.switched(said, bodies.connection_order(ONE, WORLD)))


class TestAConnectionConfirmation:
    def test_that_is_right_passes(self) -> None:
        assert switched() == []
        assert switched(result="2", code="5") == []
        assert switched(device=None, code="5") == []

    @pytest.mark.parametrize(
        ("wrong", "expected"),
        [
            pytest.param({"category": "1"}, "CategoryCode 2", id="category"),
            pytest.param({"device": ONE.device.lstrip("0")}, "the devices", id="device without zeros"),
            pytest.param({"device": None}, "the devices", id="no device"),
            pytest.param({"result": "3"}, "1 or 2 per device", id="result"),
            pytest.param({"result": "2"}, "result code 5 over devices", id="overall"),
            pytest.param({"at": "2099-01-01T00:00:00Z"}, "ProcessingDateTime not in the future", id="future"),
            pytest.param({"at": "2001-01-01T00:00:00Z"}, "switched at", id="before it was planned"),
        ],
    )
    def test_that_is_wrong_is_found(self, wrong: dict[str, Any], expected: str) -> None:
        assert any(said.startswith(expected) for said in words(switched(**wrong)))


def read(**wrong: str) -> list[Finding]:
    """Judge a result of an order for today."""
    order = bodies.reading_order(ONE, WORLD, on=WORLD.today(), reason=bodies.CONTROL)
    at = WORLD.local(datetime.now(UTC) - timedelta(minutes=5))
    said = {
        "scheduled": str(WORLD.today()),
        "reason": "10",
        "task": ONE.task,
        "device": ONE.device,
        "on": f"{at:%Y-%m-%d}",
        "at": f"{at:%H:%M:%S}",
        "value": "123456.78",
    } | wrong
    content = (
        f"<MeterReadingDocument><ID>{ONE.document}</ID><MeterReadingReasonCode>{said['reason']}</MeterReadingReasonCode>"
        f"<ScheduledMeterReadingDate>{said['scheduled']}</ScheduledMeterReadingDate><UtiltiesMeasurementTask>"
        f"<UtilitiesMeasurementTaskID>{said['task']}</UtilitiesMeasurementTaskID><UtiltiesDevice><UtilitiesDeviceID>"
        f"{said['device']}</UtilitiesDeviceID></UtiltiesDevice></UtiltiesMeasurementTask><Result>"
        f"<ActualMeterReadingDate>{said['on']}</ActualMeterReadingDate>"
        f"<ActualMeterReadingTime>{said['at']}</ActualMeterReadingTime>"
        f"<MeterReadingResultValue>{said['value']}</MeterReadingResultValue></Result></MeterReadingDocument>"
    )
    return list(details.read(item(content), ONE, WORLD, order))


class TestAResult:
    def test_that_is_right_passes(self) -> None:
        assert read() == []
        assert read(reason="010") == []

    @pytest.mark.parametrize(
        ("wrong", "expected"),
        [
            pytest.param({"scheduled": "2020-01-01"}, "date ", id="scheduled date"),
            pytest.param({"reason": "01"}, "reason 10", id="reason"),
            pytest.param({"task": ONE.task.lstrip("0")}, "the register's number", id="number without zeros"),
            pytest.param({"device": ONE.device.lstrip("0")}, "the device", id="device without zeros"),
            pytest.param({"on": "2099-01-01"}, "a reading taken before it is sent", id="future"),
            pytest.param({"on": "2026-03-29", "at": "02:30:00"}, "a local time that exists", id="time that is not"),
            pytest.param({"value": "-1"}, "a value of up to 6 digits", id="negative"),
            pytest.param({"value": "1000000"}, "a value of up to 6 digits", id="digits"),
            pytest.param({"value": "1.234"}, "a value with up to 2 decimals", id="decimals"),
        ],
    )
    def test_that_is_wrong_is_found(self, wrong: dict[str, str], expected: str) -> None:
        assert any(said.startswith(expected) for said in words(read(**wrong)))


class TestARegisteredNotification:
    @pytest.mark.parametrize(("ams", "right"), [("AM01", True), ("AM02", False)])
    def test_names_the_metering_system(self, ams: str, right: bool) -> None:
        meter = f"<UtilitiesAdvancedMeteringSystemID>{ams}</UtilitiesAdvancedMeteringSystemID>"
        said = item(f"<UtilitiesDevice><SmartMeter>{meter}</SmartMeter></UtilitiesDevice>")
        assert (words(details.registered(said, WORLD)) == []) is right


class TestAnEvent:
    @pytest.mark.parametrize(
        ("at", "right"),
        [
            pytest.param("2026-01-01T00:00:00Z", True, id="past"),
            pytest.param("2026-01-01T00:00:00", False, id="no zone"),
            pytest.param("2099-01-01T00:00:00Z", False, id="future"),
        ],
    )
    def test_has_happened(self, at: str, right: bool) -> None:
        said = item(f"<UtilitiesSmartMeterEvent><DateTime>{at}</DateTime></UtilitiesSmartMeterEvent>")
        assert (words(details.reported(said)) == []) is right


def interval(start: datetime, end: datetime, *, statuses: int = 1, zone: str = "Z") -> str:
    begins, ends = (stamp(instant).replace("Z", zone) for instant in (start, end))
    return (
        f"<Item><UTCValidityStartDateTime>{begins}</UTCValidityStartDateTime>"
        f"<UTCValidityEndDateTime>{ends}</UTCValidityEndDateTime>{'<ItemStatus/>' * statuses}</Item>"
    )


QUARTER = timedelta(minutes=15)
FIRST, SECOND = interval(START, START + QUARTER), interval(START + QUARTER, START + 2 * QUARTER)


class TestIntervals:
    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(FIRST + SECOND, id="in order"),
            pytest.param(interval(START, START + QUARTER, zone=""), id="without zone"),
            pytest.param(interval(START, START + QUARTER, zone="+00:00"), id="with the offset of UTC"),
            pytest.param(interval(END - QUARTER, END), id="up to the end"),
        ],
    )
    def test_that_are_right_pass(self, content: str) -> None:
        series = item(f"<UtilitiesTimeSeries>{content}</UtilitiesTimeSeries>")
        assert words(details.uploaded([series], start=START, end=END)) == []
        assert words(details.answered(series[0], start=START, end=END)) == []

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            pytest.param("", "at least one interval", id="none"),
            pytest.param(SECOND + FIRST, "intervals in order", id="disordered"),
            pytest.param(FIRST + FIRST, "intervals in order", id="twice"),
            pytest.param(interval(START, START), "intervals that end after they begin", id="empty"),
            pytest.param(interval(START - QUARTER, START), "intervals between", id="before"),
            pytest.param(interval(END, END + QUARTER), "intervals between", id="after"),
            pytest.param(interval(START, START + QUARTER, zone="+01:00"), "validity times in UTC", id="other zone"),
            pytest.param(interval(START, START + QUARTER, statuses=2), "one status per interval", id="two statuses"),
        ],
    )
    def test_that_are_wrong_are_found(self, content: str, expected: str) -> None:
        series = item(f"<UtilitiesTimeSeries>{content}</UtilitiesTimeSeries>")
        found = words(details.uploaded([series], start=START, end=END))
        assert any(said.startswith(expected) for said in found), found
