"""The import rules refuse what they are there to refuse: each is shown one import against it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

# A file, an import that must not stand there, and the rule that must say so.
AGAINST_THE_RULES = [
    ("mdus/domain/planted.py", "import mdus.storage", "Imports point downwards"),
    ("mdus/unplaced/__init__.py", "", "Imports point downwards"),
    ("simulators/planted.py", "import mdus", "MDUS and the simulators share nothing"),
    ("mdus/services/planted.py", "import mdus.services.planted_sibling", "Services do not know each other"),
    (
        "mdus/services/planted_sibling.py",
        "import mdus.storage.message",
        "Services know the unit of work and nothing else",
    ),
    (
        "mdus/headends/planted/__init__.py",
        "import mdus.headends.planted_sibling",
        "Head-end kinds do not know each other",
    ),
    ("mdus/headends/planted_sibling.py", "import mdus.storage.session", "Head ends and the CIS client know no storage"),
    (
        "mdus/vee/validation/planted.py",
        "import mdus.vee.validation.other",
        "VEE rules and methods do not know each other",
    ),
    ("mdus/vee/validation/other.py", "import sqlalchemy", "The domain, VEE and billing do no input or output"),
    ("mdus/cis/planted.py", "import zeep", "spyne, zeep and amqtt belong to the simulators and tests"),
]


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What import-linter says of a copy of the code with all these imports planted."""
    copy = tmp_path_factory.mktemp("copy")
    for folder in ("mdus", "simulators"):
        shutil.copytree(CHECKOUT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "pyproject.toml", copy)
    for name, statement, _ in AGAINST_THE_RULES:
        file = copy / name
        for folder in (file.parent, file.parent.parent):
            folder.mkdir(parents=True, exist_ok=True)
            if folder != copy:
                (folder / "__init__.py").touch()
        file.write_text(f"{statement}\n", encoding="utf-8")
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [str(linter), "--no-cache"], cwd=copy, text=True, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 1, done.stdout
    return done.stdout


@pytest.mark.parametrize(
    ("statement", "rule"),
    [pytest.param(statement, rule, id=name) for name, statement, rule in AGAINST_THE_RULES],
)
def test_rule_is_broken_by_an_import_against_it(verdict: str, statement: str, rule: str) -> None:
    broken = [line for line in verdict.splitlines() if line.startswith(rule) and " BROKEN" in line]
    assert broken, f"{statement!r} passed: {verdict}"


def test_package_without_a_place_is_named(verdict: str) -> None:
    assert "mdus.unplaced" in verdict
