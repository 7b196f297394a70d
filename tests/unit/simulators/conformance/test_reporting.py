"""What a run found, as it is told: exit or not, terminal, JSON, JUnit, Markdown."""

from __future__ import annotations

import io
import json

import pytest
from lxml import etree
from rich.console import Console

from simulators.conformance import reporting
from simulators.conformance.ledger import Answer, Ledger
from simulators.conformance.running import Outcome
from simulators.conformance.verdicts import Finding, State, Variant, Verdict, not_applicable, verdict
from tests.unit.simulators.conformance.parts import CONTRACT, device, header, log, posted, received

ROWS = [row for row in CONTRACT.rows if row.service.name == "device_create"]
REQUEST, CONFIRMATION = ROWS[0].root, ROWS[1].root
KEY = "000000000000000001"


def outcome(state: State) -> Outcome:
    """A run in which one cell ended so, and all others passed."""
    ledger = Ledger(CONTRACT)
    posting = posted(ledger, KEY)
    posting.body = b"<sent/>"
    posting.answers = [Answer(status=202, at=0.1), Answer(status=500, body=b"\x00\x08 what?", at=0.2)]
    posting.began = 0.0
    came = received(ledger, CONFIRMATION, header("") + device(KEY) + log("3"))
    came.at = 0.3
    made = Outcome(rows=ROWS, seconds=1.5)
    for row in ROWS:
        for variant in Variant:
            reason = not_applicable(row, variant)
            passed = Verdict(state=State.NOT_APPLICABLE, reason=reason) if reason else verdict([])
            made.cells[row.root, variant] = passed
    if state is State.FAILED:
        wrong = verdict([Finding(expected="a <UUID>", came="none\x08")], postings=[posting], received=[came])
        made.cells[CONFIRMATION, Variant.OK] = wrong
    elif state is State.NOT_TRIGGERED:
        made.cells[CONFIRMATION, Variant.OK] = verdict([], untriggered="no [meter]")
    return made


class TestHeld:
    @pytest.mark.parametrize(
        ("state", "strictly", "leniently"),
        [
            pytest.param(State.PASSED, True, True, id="passed"),
            pytest.param(State.NOT_TRIGGERED, False, True, id="not triggered"),
            pytest.param(State.FAILED, False, False, id="failed"),
        ],
    )
    def test_only_when_nothing_failed_and_nothing_was_left_out(
        self, state: State, strictly: bool, leniently: bool
    ) -> None:
        made = outcome(state)
        assert reporting.held(made, untriggered_passes=False) is strictly
        assert reporting.held(made, untriggered_passes=True) is leniently


class TestTerminal:
    def test_says_what_was_expected_what_came_and_what_was_exchanged(self) -> None:
        out = io.StringIO()
        reporting.show(outcome(State.FAILED), Console(file=out, width=160))
        printed = out.getvalue()
        for said in (
            "FAILED",
            f"FAILED {CONFIRMATION}: ok",
            "expected a <UUID>",
            "came     none",
            "<sent/>",
            "500 with",
        ):
            assert said in printed
        assert "1 failed" in printed

    def test_says_why_something_was_not_triggered(self) -> None:
        out = io.StringIO()
        reporting.show(outcome(State.NOT_TRIGGERED), Console(file=out, width=160))
        assert f"not triggered no [meter]: {CONFIRMATION} (ok)" in out.getvalue()


class TestJson:
    def test_has_every_cell_and_the_exchange_of_those_that_failed(self) -> None:
        made = outcome(State.FAILED)
        told = json.loads(json.dumps(reporting.as_json(made, about={"url": "x"}, untriggered_passes=False)))
        assert (told["passed"], told["url"], told["counts"]["failed"]) == (False, "x", 1)
        assert [row["message"] for row in told["rows"]] == [row.root for row in ROWS]
        cell = told["rows"][1]["cells"]["ok"]
        assert cell["findings"] == [{"expected": "a <UUID>", "came": "none\x08"}]
        assert [one["direction"] for one in cell["exchange"]] == ["SAP -> MDUS", "MDUS -> SAP", "MDUS -> SAP"]
        assert told["rows"][0]["cells"]["reordered"]["reason"] == "no message comes before a device's first"


class TestJUnit:
    @pytest.mark.parametrize(
        ("state", "lenient", "tag"),
        [
            pytest.param(State.FAILED, False, "failure", id="failed"),
            pytest.param(State.NOT_TRIGGERED, False, "error", id="not triggered"),
            pytest.param(State.NOT_TRIGGERED, True, "skipped", id="not triggered and allowed"),
        ],
    )
    def test_has_a_case_per_cell(self, state: State, lenient: bool, tag: str) -> None:
        suites = etree.fromstring(reporting.as_junit(outcome(state), untriggered_passes=lenient))
        assert len(suites.findall("testsuite/testcase")) == len(ROWS) * len(Variant)
        (suite,) = suites.findall(f"testsuite[@name='{CONFIRMATION}']")
        case = suite.find("testcase[@name='ok']")
        assert case is not None
        assert [child.tag for child in case] == [tag]
        counted = {"failure": "failures", "error": "errors", "skipped": "skipped"}[tag]
        assert int(suite.get(counted, "")) == (1 if tag != "skipped" else 2)


class TestMarkdown:
    def test_is_a_table_per_service_and_the_reasons(self) -> None:
        page = reporting.as_markdown(outcome(State.FAILED))
        assert f"| `{CONFIRMATION}` | MDUS | **failed** | ok | ok | ok | ok | n/a |" in page
        assert f"| `{REQUEST}` | SAP | ok | ok | ok | ok | ok | n/a |" in page
        assert "| no message comes before a device's first | device create: reordered |" in page


class TestMerging:
    def test_keeps_the_worse_state_and_all_findings(self) -> None:
        good, bad = verdict([]), verdict([Finding(expected="a", came="b")])
        unknown = verdict([], untriggered="why")
        assert good.merged(bad).state is bad.merged(good).state is State.FAILED
        assert (good.merged(unknown).state, good.merged(unknown).reason) == (State.NOT_TRIGGERED, "why")
        assert len(bad.merged(bad).findings) == 2
