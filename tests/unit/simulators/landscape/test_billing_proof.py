"""The landscape's judgement of what is billed by intervals: true, held with a reason, or lost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from simulators.landscape.billing import BillingProof
from tests.unit.simulators.landscape.test_proofs import Side, scenario

OBIS = "1-0:1.29.0*255"
DEVICE: dict[str, Any] = {
    "id": "D1",
    "serial": "S1",
    "point_of_delivery": "DE1",
    "replaces": None,
    "registers": [{"obis": "1-0:1.8.0*255", "factor": "1"}, {"obis": OBIS, "factor": "20"}],
}
RELEASED: dict[str, Any] = {
    "id": 7,
    "sender_system": "S4HANA",
    "point_of_delivery_id": "DE1",
    "period_from": "2027-03-28",
    "period_to": "2027-03-29",
    "reading_type": OBIS,
    "name": "total",
    "quantity": "250.66",
    "intervals": 92,
    "estimated": 0,
    "status": "released",
    "gate_reason": None,
}
HELD = {**RELEASED, "status": "held", "gate_reason": "4 of 92 intervals have no value, 0 may lack"}
CASE = {"kind": "determinants_held", "case_key": "S4HANA/DE1/2027-03-28"}


class Pages(Side):
    """MDUS, which tells determinants after an id."""

    def get(self, path: str, **asked: Any) -> Any:
        items = [each for each in self.answers[path] if each["id"] > asked["after"]]
        return {"items": items, "last": max((each["id"] for each in items), default=asked["after"])}


def proof(*versions: dict[str, Any], cases: tuple[dict[str, Any], ...] = (), passed: str = "12.533") -> BillingProof:
    """This will stand for one billed meter with a factor of 20, of which so much passed on each day."""
    clients: Any = SimpleNamespace(
        mdus=Pages({"/api/v1/determinants": list(versions), "/api/v1/exceptions": list(cases)}),
        head_end=Side({"/control/intervals": {"channels": [{"obis": OBIS, "sum": passed}]}}),
    )
    return BillingProof(clients, scenario(profiles=SimpleNamespace(billed=["D1"])), {"D1": DEVICE})


@pytest.mark.parametrize(
    ("versions", "cases", "counts", "held"),
    [
        pytest.param([RELEASED], (), (1, 0, 0), True, id="true"),
        pytest.param([{**RELEASED, "quantity": "12.533"}], (), (0, 0, 1), False, id="factor_never"),
        pytest.param([{**RELEASED, "estimated": 3}], (), (1, 0, 0), True, id="true_with_estimates"),
        pytest.param([{**RELEASED, "estimated": 3, "quantity": "250.7"}], (), (0, 1, 0), True, id="estimated"),
        pytest.param([HELD], (CASE,), (0, 1, 0), False, id="held"),
        pytest.param([HELD], (), (0, 0, 1), False, id="held_and_nobody_sees_it"),
        pytest.param([{**HELD, "gate_reason": None}], (CASE,), (0, 0, 1), False, id="held_without_a_reason"),
        pytest.param([{**RELEASED, "name": "total.high"}], (), (0, 0, 1), False, id="no_total"),
        pytest.param([{**RELEASED, "period_to": "2027-03-30"}], (), (0, 0, 1), False, id="of_another_period"),
        pytest.param([], (), (0, 0, 1), False, id="none"),
    ],
)
def test_what_is_billed_is_what_was_used(
    versions: list[dict[str, Any]], cases: tuple[dict[str, Any], ...], counts: tuple[int, int, int], *, held: bool
) -> None:
    judged = proof(*versions, cases=cases)
    row = judged.row()
    assert (row.confirmed, row.failed, row.lost) == counts
    [check] = judged.checks()
    assert check.held is held


@pytest.mark.parametrize(("quantity", "held"), [("501.32", True), ("250.66", False)])
def test_released_periods_of_other_days_are_compared_too(quantity: str, *, held: bool) -> None:
    longer = {**RELEASED, "id": 8, "period_to": "2027-03-30", "quantity": quantity}
    [check] = proof(RELEASED, longer).checks()
    assert check.held is held
    assert check.seen.startswith("2 released")


def test_a_held_period_beside_true_ones_needs_its_reason() -> None:
    other = {**HELD, "id": 8, "period_from": "2027-03-27", "period_to": "2027-03-28"}
    case = {**CASE, "case_key": "S4HANA/DE1/2027-03-27"}
    assert next(proof(RELEASED, other, cases=(case,)).checks()).held
    assert not next(proof(RELEASED, other).checks()).held


def test_nothing_is_said_where_nothing_is_billed() -> None:
    judged = proof()
    judged._scenario.profiles.billed = []
    assert list(judged.checks()) == []
    assert judged.row().held
