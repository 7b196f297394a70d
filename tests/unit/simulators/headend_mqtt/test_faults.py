"""The faults of concentrators: the broker answers the client, so none of them spoils an answer."""

from __future__ import annotations

from simulators.fleet.faults import Answer
from simulators.headend_mqtt.faults import FAULTS


def test_spoil_no_answer() -> None:
    assert [name for name, fault in FAULTS.items() if fault.answer is not Answer.USUAL] == []
