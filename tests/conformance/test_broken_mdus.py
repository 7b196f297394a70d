"""The tester catches what is wrong: a small MDUS passes without a defect, and with each fails in the cell it is in."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from simulators.conformance.contract import SERVICES, Contract, Form, contract_folder
from simulators.conformance.running import Options, Outcome, Run
from simulators.conformance.subjects import World
from simulators.conformance.verdicts import State, Variant
from simulators.landscape.processes import free_ports
from tests.conformance.broken_mdus import DEFECTS, BrokenMdus

CONTRACT = Contract(contract_folder())

#: What the small MDUS can do.
ABLE = (
    "device_create",
    "register_create",
    "registered",
    "measurement_task_assignment",
    "reading_order",
    "reading_result",
    "connection_order",
    "event",
    "time_series_create",
    "time_series_change",
    "time_series_query",
)

REQUEST, CONFIRMATION = "requests", "confirmations"

#: Defect -> where it must show: service, form, row, column.
WHERE = {
    "confirms_without_reference": ("device_create", Form.SINGLE, CONFIRMATION, Variant.OK),
    "confirms_twice": ("device_create", Form.SINGLE, CONFIRMATION, Variant.OK),
    "confirms_never": ("device_create", Form.SINGLE, CONFIRMATION, Variant.OK),
    "qualifies_children": ("device_create", Form.BULK, CONFIRMATION, Variant.OK),
    "faults_on_business_errors": ("device_create", Form.SINGLE, REQUEST, Variant.BUSINESS_ERROR),
    "executes_duplicates": ("device_create", Form.SINGLE, CONFIRMATION, Variant.DUPLICATE),
    "accepts_changed_duplicates": ("device_create", Form.BULK, REQUEST, Variant.CHANGED_DUPLICATE),
    "accepts_malformed": ("device_create", Form.SINGLE, REQUEST, Variant.MALFORMED),
    "answers_with_body": ("device_create", Form.SINGLE, REQUEST, Variant.OK),
    "miscounts_bulks": ("device_create", Form.BULK, CONFIRMATION, Variant.BUSINESS_ERROR),
    "drops_bulk_item": ("device_create", Form.BULK, CONFIRMATION, Variant.OK),
    "fails_whole_bulk": ("device_create", Form.BULK, CONFIRMATION, Variant.BUSINESS_ERROR),
    "names_other_key": ("device_create", Form.SINGLE, CONFIRMATION, Variant.OK),
    "succeeds_on_failure": ("device_create", Form.SINGLE, CONFIRMATION, Variant.BUSINESS_ERROR),
    "ends_a_day_early": ("reading_order", Form.SINGLE, CONFIRMATION, Variant.OK),
    "omits_zone": ("device_create", Form.SINGLE, CONFIRMATION, Variant.OK),
    "loses_zeros": ("device_create", Form.SINGLE, CONFIRMATION, Variant.OK),
    "refuses_too_early": ("register_create", Form.SINGLE, CONFIRMATION, Variant.REORDERED),
    "takes_pages_for_receipts": ("registered", Form.BULK, REQUEST, Variant.MALFORMED),
    "registers_twice": ("registered", Form.BULK, REQUEST, Variant.OK),
    "reports_too_early": ("registered", Form.BULK, REQUEST, Variant.REORDERED),
    "repeats_results": ("reading_result", Form.BULK, REQUEST, Variant.OK),
    "lets_corrections_overtake": ("time_series_change", Form.BULK, REQUEST, Variant.REORDERED),
    "uploads_corrections_as_creates": ("time_series_change", Form.BULK, REQUEST, Variant.OK),
    "faults_on_unknown_profiles": ("time_series_query", Form.SINGLE, REQUEST, Variant.BUSINESS_ERROR),
}


def outcome(only: tuple[str, ...], *, defect: str | None, trigger: bool = True) -> Outcome:
    """Put a small MDUS with a defect through the tester."""
    (port,) = free_ports(1)
    with BrokenMdus(f"http://127.0.0.1:{port}/{{interface}}", defect=defect) as mdus:
        field = f"{sys.executable} {Path(__file__).with_name('broken_field.py')} {mdus.field_url}"
        options = Options(
            url=mdus.url,
            host="127.0.0.1",
            port=port,
            system="SAP",
            world=World(ams="AM01", zone=ZoneInfo("Europe/Berlin"), zone_code="CET", recurrence="15", role="1"),
            seconds=5.0 if defect else 30.0,
            settle=0.4,
            pause=0.3,
            material="M",
            seed=1,
            trigger=field if trigger else None,
            only=frozenset(only),
        )
        return asyncio.run(Run(options, CONTRACT).run(listening=lambda _: None, progress=lambda *_: None))


def failed(found: Outcome) -> list[str]:
    """What failed, in words."""
    return [
        f"{root}: {variant}: expected {finding.expected}, came {finding.came}"
        for (root, variant), verdict in found.cells.items()
        for finding in verdict.findings
        if verdict.state is State.FAILED
    ]


class TestWithoutADefect:
    def test_everything_it_can_do_passes(self) -> None:
        found = outcome(ABLE, defect=None)
        assert failed(found) == []
        # It sends notifications and results in bulk, whatever the order was.
        untriggered = {root for (root, _), said in found.cells.items() if said.state is State.NOT_TRIGGERED}
        assert untriggered == {
            *(SERVICES["registered"].requests[Form.SINGLE],),
            *(SERVICES["reading_result"].requests[Form.SINGLE],),
            *(SERVICES["reading_result"].confirmations[Form.SINGLE],),
        }
        assert found.count(State.PASSED) > 100

    def test_what_it_starts_is_not_triggered_without_a_trigger(self) -> None:
        found = outcome(("device_create", "register_create", "registered"), defect=None, trigger=False)
        assert failed(found) == []
        cells = [found.cells[SERVICES["registered"].requests[Form.BULK], variant] for variant in Variant]
        assert {said.state for said in cells} == {State.NOT_TRIGGERED, State.NOT_APPLICABLE}
        assert "--trigger CMD" in cells[0].reason


class TestWithADefect:
    def test_every_defect_has_its_cell(self) -> None:
        assert WHERE.keys() == DEFECTS.keys()
        assert len(DEFECTS) >= 15

    @pytest.mark.parametrize("defect", DEFECTS)
    def test_fails_in_its_cell(self, defect: str) -> None:
        service, form, row, variant = WHERE[defect]
        root = getattr(SERVICES[service], row)[form]
        found = outcome((service,), defect=defect)
        said = found.cells[root, variant]
        assert said.state is State.FAILED, failed(found)
        assert any(finding.expected != "what the cell needs first" for finding in said.findings), failed(found)
        # Whoever reads of it sees what passed on the wire.
        assert said.postings or said.received
