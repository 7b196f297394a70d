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


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run left."""

    code: int
    printed: str
    report: dict[str, Any]
    junit: etree._Element
    page: str


pytestmark = [pytest.mark.landscape]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
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


def cells(finished: Run) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every cell: root, variant, what was said of it."""
    for row in finished.report["rows"]:
        for variant, cell in row["cells"].items():
            yield row["message"], variant, cell


@pytest.mark.timeout(400)
class TestOurOwnService:
    def test_conforms_in_every_cell(self, finished: Run) -> None:
        wrong = {
            f"{root}: {variant}": cell.get("findings") or cell.get("reason")
            for root, variant, cell in cells(finished)
            if cell["state"] not in ("passed", "n/a")
        }
        assert wrong == {}

    def test_has_every_message_of_the_contract_in_the_matrix(self, finished: Run) -> None:
        assert len(finished.report["rows"]) == 51
        assert finished.report["counts"]["n/a"] == 25

    def test_ends_with_exit_code_0(self, finished: Run) -> None:
        assert (finished.code, finished.report["passed"]) == (0, True), finished.printed
        assert "Conforms." in finished.printed

    def test_is_told_where_to_send_its_answers(self, finished: Run) -> None:
        assert "The tested MDUS must send its messages to http://127.0.0.1:" in finished.printed

    def test_counts_the_same_in_junit(self, finished: Run) -> None:
        counts = finished.report["counts"]
        for name, state in (("failures", "failed"), ("errors", "not triggered"), ("skipped", "n/a")):
            assert sum(int(suite.get(name, "")) for suite in finished.junit) == counts[state]
        assert len(finished.junit.findall("testsuite/testcase")) == sum(counts.values())

    def test_is_shown_on_the_page(self, finished: Run) -> None:
        assert (CHECKOUT / "docs" / "conformance.md").read_text() == finished.page, "make conformance writes it anew"
