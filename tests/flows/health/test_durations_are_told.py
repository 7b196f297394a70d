"""How long an order takes is measured on its way: decided, given to the head end, answered, confirmed to SAP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mdus.telemetry.metrics import REGISTRY
from tests.flows.both_sides import BothSides
from tests.flows.orders import (
    READING,
    RESULT,
    RESULT_CONFIRMED,
    SWITCH,
    SWITCHED,
    carry_out,
    read_now,
    reading,
    result_confirmed,
    switch,
)

NOW = datetime(2026, 3, 28, 10, tzinfo=UTC)


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    sides = BothSides(database_url, tmp_path, now=NOW)
    yield sides
    sides.close()


def measured(name: str, **labels: str) -> tuple[float, float]:
    """Return how often, and how many seconds in all, have been noted so far."""
    count, total = (REGISTRY.get_sample_value(f"{name}_{part}", labels) or 0.0 for part in ("count", "sum"))
    return count, total


def test_a_switch_is_measured_from_its_arrival_to_its_confirmation(sides: BothSides) -> None:
    sides.meter("1")
    interface = "SmartMeterUtilitiesConnectionStatusChangeRequestERPCreateConfirmation_In"
    asked = {
        "decided": ("mdus_decided_seconds", {"service": SWITCH}),
        "confirmed": ("mdus_confirmed_seconds", {"service": SWITCH}),
        "delivered": ("mdus_delivered_seconds", {"interface": interface}),
        "switched": ("mdus_head_end_answer_seconds", {"head_end": "city", "kind": "switch"}),
        "read back": ("mdus_head_end_answer_seconds", {"head_end": "city", "kind": "switch_state"}),
    }
    before = {what: measured(name, **labels) for what, (name, labels) in asked.items()}
    sides.tell(SWITCH, switch("1", "1", at=NOW))
    carry_out(sides, "disconnected")
    assert len(sides.sap.messages(SWITCHED)) == 1
    after = {what: measured(name, **labels) for what, (name, labels) in asked.items()}
    noted = {what: (after[what][0] - before[what][0], after[what][1] - before[what][1]) for what in asked}
    assert noted == {
        "decided": (1, 40),
        "confirmed": (1, 40),
        "delivered": (1, 0),
        "switched": (1, 20),
        "read back": (1, 20),
    }


def test_saps_answer_to_a_result_is_measured_from_its_delivery(sides: BothSides) -> None:
    sides.meter("1")
    sides.tell(READING, reading("1", "1", reason="10", on="2026-03-28", source="1"))
    read_now(sides, "42.00")
    before = measured("mdus_answered_seconds", service=RESULT)
    sides.clock.move(seconds=90)
    sides.tell(RESULT_CONFIRMED, result_confirmed("1"))
    sides.rest()
    after = measured("mdus_answered_seconds", service=RESULT)
    assert (after[0] - before[0], after[1] - before[1]) == (1, 90)
