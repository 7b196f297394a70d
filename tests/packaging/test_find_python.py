"""The search for a Python: takes the first that fits, and says what to install where none does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


def find(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(CHECKOUT / ".ci" / "find_python")],
        env={"PATH": str(folder), **environ},
        text=True,
        capture_output=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cat").symlink_to("/bin/cat")
    return tmp_path


def interpreter(folder: Path, name: str, *, version: str, venv: bool = True) -> Path:
    """Make a program that answers the two questions the search asks as a Python of `version` would."""
    file = folder / name
    file.write_text(f'#!/bin/sh\ncase "$2" in *ensurepip*) exit {int(not venv)} ;; esac\necho {version}\n')
    file.chmod(0o755)
    return file


class TestFindPython:
    @pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
    def test_takes_a_version_that_fits(self, folder: Path, version: str) -> None:
        python = interpreter(folder, "python3", version=version)
        assert find(folder).stdout.strip() == str(python)

    @pytest.mark.parametrize("version", ["3.10", "3.14"])
    def test_names_the_packages_where_no_version_fits(self, folder: Path, version: str) -> None:
        interpreter(folder, "python3", version=version)
        done = find(folder)
        assert done.returncode == 1
        assert f"python3 is {version}" in done.stderr
        assert "apt install python3.11 python3.11-venv" in done.stderr
        assert "dnf install python3.12" in done.stderr

    def test_names_the_package_that_brings_venv(self, folder: Path) -> None:
        interpreter(folder, "python3", version="3.11", venv=False)
        done = find(folder)
        assert done.returncode == 1
        assert "apt install python3.11-venv" in done.stderr

    def test_passes_over_one_without_venv_for_one_with_it(self, folder: Path) -> None:
        interpreter(folder, "python3.13", version="3.13", venv=False)
        python = interpreter(folder, "python3.12", version="3.12")
        assert find(folder).stdout.strip() == str(python)

    def test_takes_the_one_it_is_told(self, folder: Path) -> None:
        interpreter(folder, "python3.13", version="3.13")
        told = interpreter(folder, "mine", version="3.12")
        assert find(folder, MDUS_PYTHON=str(told)).stdout.strip() == str(told)
