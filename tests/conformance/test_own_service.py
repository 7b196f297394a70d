"""Our own service passes the conformance run: every message of the contract in every variant, and the page says so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from lxml import etree

from tests.conformance.own_service import CHECKOUT, own_service
from tests.conformance.page import page

#: Messages whose service is not there yet: their cells fail, or are not triggered. It shrinks to nothing.
NOT_YET = frozenset(
    {
        "UtilitiesTimeSeriesERPMeasurementTaskAssignmentChangeRequest",
        "UtilitiesTimeSeriesERPMeasurementTaskAssignmentChangeConfirmation",
        "UtilitiesSmartMeterEventERPBulkCreateRequest",
        "UtilitiesSmartMeterEventERPBulkCreateConfirmation",
        "UtilitiesTimeSeriesERPItemBulkCreateRequest",
        "UtilitiesTimeSeriesERPItemBulkCreateConfirmation",
        "UtilitiesTimeSeriesERPItemBulkChangeRequest",
        "UtilitiesTimeSeriesERPItemBulkChangeConfirmation",
        "UtilitiesTimeSeriesItemByIDQuery_sync",
        "UtilitiesTimeSeriesItemByIDResponse_sync",
    }
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run left."""

    code: int
    printed: str
    report: dict[str, Any]
    junit: etree._Element
    page: str


pytestmark = [pytest.mark.landscape, pytest.mark.xdist_group("conformance")]


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of the tester against our own service, from the command line."""
    folder = tmp_path_factory.mktemp("conformance")
    files = {name: folder / name for name in ("report.json", "junit.xml", "matrix.md")}
    with own_service(folder) as service:
        done = service.test(
            *("--report", str(files["report.json"]), "--junit", str(files["junit.xml"])),
            *("--markdown", str(files["matrix.md"])),
        )
    assert done.returncode in (0, 1), f"{done.stdout}{done.stderr}"
    return Run(
        code=done.returncode,
        printed=done.stdout,
        report=json.loads(files["report.json"].read_text()),
        junit=etree.parse(files["junit.xml"]).getroot(),
        page=page(files["matrix.md"].read_text()),
    )


def cells(tested: Run) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every cell: root, variant, what was said of it."""
    for row in tested.report["rows"]:
        for variant, cell in row["cells"].items():
            yield row["message"], variant, cell


@pytest.mark.timeout(400)
class TestOurOwnService:
    def test_conforms_in_every_cell(self, tested: Run) -> None:
        wrong = {
            f"{root}: {variant}": cell.get("findings") or cell.get("reason")
            for root, variant, cell in cells(tested)
            if cell["state"] not in ("passed", "n/a") and root not in NOT_YET
        }
        assert wrong == {}

    def test_has_every_message_of_the_contract_in_the_matrix(self, tested: Run) -> None:
        assert len(tested.report["rows"]) == 51
        assert tested.report["counts"]["passed"] > 150

    def test_is_not_said_to_lack_what_it_has(self, tested: Run) -> None:
        passes = {row["message"] for row in tested.report["rows"]}
        passes -= {root for root, _, cell in cells(tested) if cell["state"] in ("failed", "not triggered")}
        assert NOT_YET & passes == set()

    def test_ends_with_the_exit_code_of_what_it_found(self, tested: Run) -> None:
        counts = tested.report["counts"]
        passed = not counts["failed"] and not counts["not triggered"]
        assert (tested.code == 0) is passed is tested.report["passed"] is ("Conforms." in tested.printed)

    def test_is_told_where_to_send_its_answers(self, tested: Run) -> None:
        assert "The tested MDUS must send its messages to http://127.0.0.1:" in tested.printed

    def test_counts_the_same_in_junit(self, tested: Run) -> None:
        counts = tested.report["counts"]
        for name, state in (("failures", "failed"), ("errors", "not triggered"), ("skipped", "n/a")):
            assert sum(int(suite.get(name, "")) for suite in tested.junit) == counts[state]
        assert len(tested.junit.findall("testsuite/testcase")) == sum(counts.values())

    def test_is_shown_on_the_page(self, tested: Run) -> None:
        assert (CHECKOUT / "docs" / "conformance.md").read_text() == tested.page, "make conformance writes it anew"

    def test_shows_what_passed_on_the_wire_where_it_fails(self, tested: Run) -> None:
        failed = [cell for _, _, cell in cells(tested) if cell["state"] == "failed"]
        assert all(cell["findings"] and cell["exchange"] for cell in failed)
