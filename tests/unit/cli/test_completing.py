"""The shell completes names that are there, without MDUS being loaded for it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mdus.cli import completing
from mdus.domain.access import Role
from mdus.domain.unmapped import UnmappedSource
from mdus.endpoints.initial_load.kinds import KINDS
from mdus.headends.file_drop.formats import Format
from mdus.storage.mending import Kind
from mdus.workers.clock import JOBS


@pytest.mark.parametrize(
    ("offered", "there"),
    [
        pytest.param(completing.JOBS, JOBS, id="jobs"),
        pytest.param(completing.GIVEN_UP, Kind, id="given up"),
        pytest.param(completing.UNMAPPED, UnmappedSource, id="unmapped"),
        pytest.param(completing.IMPORTED, KINDS, id="imported"),
        pytest.param(completing.FORMATS, Format, id="formats"),
        pytest.param(completing.ROLES, Role, id="roles"),
    ],
)
def test_what_is_offered_is_there(offered: tuple[str, ...], there: object) -> None:
    assert list(offered) == [str(name) for name in there]  # type: ignore[attr-defined]


def completed(line: str) -> list[str]:
    """Return what bash is told for the last word of a line."""
    environ = {
        **os.environ,
        "_MDUS_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
    }
    script = "from mdus.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("mdus jobs run re", ["registry_sync", "retention", "reconcile"]),
        ("mdus dead list --kind d", ["delivery"]),
        ("mdus token create portal --role a", ["approver", "admin"]),
        ("mdus sw", ["switching"]),
    ],
)
def test_bash_is_told(line: str, offered: list[str]) -> None:
    assert completed(line) == offered
