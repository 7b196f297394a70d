"""What the simulated head end makes of a message: orders to meters, and until when they may be begun."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from lxml import etree

from simulators.fleet.jobs import Submission
from simulators.headend_cim.envelopes import take_apart
from simulators.headend_cim.orders import Refused, read

BASE = "http://iec.ch/TC57/2011"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"


def controls(*ends: str | None, code: str = "3.31.0.23") -> Submission:
    """Return what is submitted by a message of a control per end."""
    told = "".join(
        f'<EndDeviceControl><EndDeviceControlType ref="{code}"/><EndDevices><mRID>{number}</mRID></EndDevices>'
        + ("" if end is None else f"<primaryDeviceTiming><interval><end>{end}</end></interval></primaryDeviceTiming>")
        + "</EndDeviceControl>"
        for number, end in enumerate(ends)
    )
    body = (
        f'<s:Envelope xmlns:s="{SOAP}"><s:Body><RequestMessage xmlns="{BASE}/schema/message">'
        "<Header><Verb>create</Verb><Noun>EndDeviceControls</Noun><CorrelationID>call-1</CorrelationID></Header>"
        f"<Payload><EndDeviceControls>{told}</EndDeviceControls></Payload></RequestMessage></s:Body></s:Envelope>"
    )
    found = read(take_apart(etree.tostring(etree.fromstring(body))), {})
    assert isinstance(found, Submission)
    return found


class TestControls:
    @pytest.mark.parametrize("code", ["3.31.0.23", "3.31.139.22"], ids=["switch", "limit"])
    def test_expire_at_the_earliest_end(self, code: str) -> None:
        found = controls("2026-03-27T12:00:00Z", "2026-03-27T11:30:00Z", None, code=code)

        assert found.expires_at == datetime(2026, 3, 27, 11, 30, tzinfo=UTC)

    def test_without_an_end_do_not_expire(self) -> None:
        assert controls(None).expires_at is None

    def test_of_another_kind_do_not_expire(self) -> None:
        assert controls("2026-03-27T12:00:00Z", code="3.36.116.13").expires_at is None

    def test_with_an_end_that_is_none_are_refused(self) -> None:
        with pytest.raises(Refused, match="no instant"):
            controls("tomorrow")
