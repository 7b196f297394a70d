"""docs/adding_a_head_end.md is whole: with its files where it says, the shared suite is green for its head end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "adding_a_head_end.md").read_text()

#: Python reads this in every process that has the folder on its path: the packages then have a second place.
SITE = """
import mdus.headends
import simulators

mdus.headends.__path__.append({headends!r})
simulators.__path__.append({simulators!r})
"""


@pytest.fixture
def second_place(tmp_path: Path) -> dict[str, str]:
    """The files of the page in a folder of their own; returns the environment in which they are found."""
    files = re.findall(r"^```python file=(\S+)\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
    for name, text in files:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert {name.split("/")[1] for name, _ in files} == {"headends", "headend_lines"}, "one folder, one simulator"
    site = SITE.format(headends=str(tmp_path / "mdus" / "headends"), simulators=str(tmp_path / "simulators"))
    (tmp_path / "usercustomize.py").write_text("")
    (tmp_path / "sitecustomize.py").write_text(site)
    path = os.pathsep.join(part for part in (str(tmp_path), str(PROJECT), os.environ.get("PYTHONPATH")) if part)
    return {**os.environ, "PYTHONPATH": path}


def suite(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests/head_ends/test_every_kind.py",
        "tests/head_ends/test_invariants.py",
    ]
    return subprocess.run(
        [*command, "-n", "0", "-q", "-k", "lines", "-p", "no:cacheprovider", *arguments],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_the_shared_suite_is_green_for_the_head_end_of_the_page(second_place: dict[str, str]) -> None:
    ran = suite(second_place)

    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed is not None, ran.stdout
    assert int(passed[1]) >= 6
    assert "skipped" not in ran.stdout


def test_the_shared_suite_is_red_when_the_head_end_is_wrong(second_place: dict[str, str], tmp_path: Path) -> None:
    kind = tmp_path / "mdus" / "headends" / "lines" / "__init__.py"
    kind.write_text(kind.read_text().replace("value=Decimal(value)", "value=Decimal(value) + 1"))

    ran = suite(second_place, "-x")

    assert ran.returncode == 1, ran.stdout[-4000:] + ran.stderr[-2000:]
