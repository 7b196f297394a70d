"""docs/vee_accuracy.md is what the benchmark wrote: every kind of fault, every aim."""

from __future__ import annotations

import re
from pathlib import Path

from tests.benchmarks.truth.faults import KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "vee_accuracy.md").read_text()
ROW = r"^\| ([a-z ]+) \|" + 6 * r" ([\d]+) \|" + "$"
ROWS = {row[0]: [int(each) for each in row[1:]] for row in re.findall(ROW, PAGE, flags=re.MULTILINE)}


class TestThePage:
    def test_has_every_kind_of_fault_in_both_tables(self) -> None:
        assert list(ROWS) == list(KINDS)
        assert all(len(re.findall(rf"^\| {kind} \|", PAGE, flags=re.MULTILINE)) == 2 for kind in KINDS)

    def test_counts_what_was_injected(self) -> None:
        for injected, own, beyond, flagged, missed_beyond, missed_below in ROWS.values():
            assert own <= beyond <= injected
            assert flagged + missed_beyond + missed_below == injected

    def test_says_that_all_aims_are_held(self) -> None:
        aims = PAGE.split("## Aims")[1].split("\n## ")[0]
        assert len(re.findall(r"\| yes \|$", aims, flags=re.MULTILINE)) == 5
        assert "**no**" not in aims
