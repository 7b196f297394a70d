"""Device registered: what SAP is told of a device, and that nothing else is."""

from __future__ import annotations

from datetime import date

from mdus.domain.registration import Registration
from mdus.services.device_registered import Content, build
from tests.unit.services.device_initialization import DEVICE, SENDER

TODAY = date(2026, 3, 28)


def test_the_content_is_the_registrations() -> None:
    subject = Registration(sender_system=SENDER, device_id=DEVICE, ams_id="AM01", start_on=TODAY)
    assert build(subject) == Content(device_id=DEVICE, ams_id="AM01", start_on=TODAY)
