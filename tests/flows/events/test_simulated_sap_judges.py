"""What MDUS sends of events is judged by a SAP that has read the contract by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree

from simulators.sap_cis.business import Business
from simulators.sap_cis.cis import Cis
from tests.flows.both_sides import SENDER, BothSides
from tests.flows.events.scene import (
    DISCONNECTED,
    POWER_FAILED,
    POWER_RESTORED,
    REGISTERED,
    START,
    alarm,
    meter,
    playing,
    push,
)
from tests.flows.events.test_failure_is_told_late import LOCATION, location
from tests.unit.simulators.sap_cis import mdus_messages
from tests.unit.simulators.sap_cis.conftest import METERS, make_cis


@pytest.fixture
def sides(sqlite_url: str, tmp_path: Path) -> Iterator[BothSides]:
    with playing(sqlite_url, tmp_path, settings="storm_limit = 3") as made:
        yield made


@pytest.fixture
def cis() -> Cis:
    """A SAP at the same instant that has created three devices."""
    cis = make_cis(own_system=SENDER)
    Business(cis).initialize_devices(METERS)
    for sent in list(cis.view.sent.values()):
        if sent.process in ("device_create", "register_create"):
            answer = etree.tostring(mdus_messages.confirmation(sent, cis.view)).replace(b"S4HANA", SENDER.encode())
            message = etree.fromstring(answer)
            cis.receive(message, interface=f"{etree.QName(message).localname}_In")
    assert cis.clock.now() == START
    assert cis.view.defects == []
    return cis


def test_events_of_every_kind_are_in_order(sides: BothSides, cis: Cis) -> None:
    devices = list(cis.view.devices)
    for device_id in devices:
        meter(sides, device_id, registered=False)
    codes = (POWER_FAILED, POWER_RESTORED, DISCONNECTED, "3.12.0.257", "3.12.29.39", "0.2.22.150", "3.7.0.24")
    for number, code in enumerate(codes):
        push(sides, *(alarm(device, code, text=f"{code} told") for device in devices), delivery=str(number))
    sides.rest()
    push(sides, *(alarm(devices[0], POWER_FAILED, at=f"2026-03-28T0{hour}:00:00Z") for hour in range(1, 6)))
    sides.rest()
    sides.tell(LOCATION, location(devices[1]).replace("AM01", "AM02"))
    sides.rest()

    for message in sides.sap.received:
        cis.receive(message, interface=f"{etree.QName(message).localname}_In")

    assert cis.view.defects == []
    assert etree.QName(sides.sap.received[0]).localname == REGISTERED
    told = {event.type for event in cis.view.events.values()}
    assert told == {"0100", "0101", "0401", "0200", "0201", "0300", "1006", "1000"}


def test_an_event_before_its_notification_would_be_noticed(sides: BothSides, cis: Cis) -> None:
    device_id = next(iter(cis.view.devices))
    meter(sides, device_id)  # SAP was never told so
    push(sides, alarm(device_id))
    sides.rest()
    for message in sides.sap.received:
        cis.receive(message, interface=f"{etree.QName(message).localname}_In")
    assert {defect["name"] for defect in cis.view.defects} == {"event_before_registration"}
    assert sides.clock.now() - START < timedelta(minutes=1)
