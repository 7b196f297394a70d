"""The page of the hard cases, the tests of each, and the settings it names belong together."""

from __future__ import annotations

import re
from pathlib import Path

from mdus.settings import data_folder, load_settings

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "hard_cases.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
CASES = {cells[0]: cells for cells in ROWS if cells[0].isdecimal()}
FOLDER = PROJECT / "tests" / "flows" / "hard_cases"


def test_every_case_has_its_row_and_its_tests() -> None:
    assert list(CASES) == [str(number) for number in range(1, 30)]
    for number in CASES:
        found = list(FOLDER.glob(f"test_case_{int(number):02}_*.py"))
        assert len(found) == 1, f"case {number}"
        assert found[0].read_text().startswith(f'"""Case {number}. ')


def test_every_setting_it_names_is_there() -> None:
    settings = load_settings({})
    for cells in CASES.values():
        for name in re.findall(r"`([^`]+)`", cells[3]):
            if name.endswith(".toml"):
                assert (data_folder("config") / name).exists(), name
            elif name.startswith("["):
                assert hasattr(settings, name.strip("[]")), name
            else:
                assert _is_set(name), name


def _is_set(name: str) -> bool:
    section, _, setting = name.rpartition(".")
    texts = "\n".join(file.read_text() for file in sorted(data_folder("config").glob("*.toml")))
    present = re.search(rf"^(#\s*)?(\[+)?{re.escape(setting)}(\]+$|\s*=)", texts, re.MULTILINE)
    return present is not None and (not section or f"[{section}]" in texts or f"[[{section}]]" in texts)
