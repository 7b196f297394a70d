"""The wheel is whole: what a customer installs from it works outside this checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(900)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Installation:
    """An empty environment with `mdus[demo]` from the wheel, and a folder to work in that is not the checkout."""

    bin: Path
    folder: Path

    def run(self, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, with nothing of this one's but the way to the network."""
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("MDUS_", "PYTHON", "VIRTUAL_"))
        }
        environ["PATH"] = f"{self.bin}{os.pathsep}{environ['PATH']}"
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=self.folder,
            env=environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )


def pip(*arguments: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, CHECKOUT)
    (built,) = folder.glob("mdus-*.whl")
    return built


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    environment, folder = tmp_path_factory.mktemp("environment"), tmp_path_factory.mktemp("elsewhere")
    venv.create(environment, symlinks=True)
    # The versions of the lock, so that a release of a dependency today changes no result.
    locked = re.sub(r"\s*\\\n\s*--hash=\S+", "", (CHECKOUT / "requirements.lock").read_text(encoding="utf-8"))
    constraints = folder / "constraints.txt"
    constraints.write_text(locked, encoding="utf-8")
    python = environment / "bin" / "python"
    pip("--python", python, "install", "--quiet", "--constraint", constraints, f"mdus[demo] @ {wheel.as_uri()}")
    return Installation(bin=environment / "bin", folder=folder)


def names_below(folder: str, suffixes: Sequence[str]) -> list[str]:
    """Return the files of a folder of the checkout that git would keep, as paths relative to it."""
    top = CHECKOUT / folder
    return sorted(
        file.relative_to(top).as_posix()
        for file in top.rglob("*")
        if file.suffix in suffixes and "__pycache__" not in file.parts
    )


class TestWheel:
    @pytest.mark.parametrize(
        ("folder", "inside", "suffixes"),
        [
            pytest.param("wsdl", "mdus/_data/wsdl", [".wsdl"], id="wsdl"),
            pytest.param("xsd", "mdus/_data/xsd", [".xsd", ".toml"], id="xsd"),
            pytest.param("config", "mdus/_data/config", [".toml"], id="config"),
            pytest.param("migrations", "mdus/_data/migrations", [".py", ".mako"], id="migrations"),
            pytest.param("mdus", "mdus", [".py"], id="mdus"),
            pytest.param("simulators", "simulators", [".py"], id="simulators"),
        ],
    )
    def test_carries_every_file_of(self, wheel: Path, folder: str, inside: str, suffixes: Sequence[str]) -> None:
        with zipfile.ZipFile(wheel) as archive:
            carried = set(archive.namelist())
        expected = names_below(folder, suffixes)
        assert expected
        assert [name for name in expected if f"{inside}/{name}" not in carried] == []

    def test_carries_nothing_else_beside_the_packages(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            tops = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" not in name}
        assert tops == {"mdus", "simulators"}


class TestInstallation:
    def test_finds_its_folders_inside_the_package(self, installation: Installation) -> None:
        script = (
            "from mdus.settings import data_folder; print(*map(data_folder, ['wsdl', 'xsd', 'migrations', 'config']))"
        )
        done = installation.run("python", "-c", script)
        assert done.returncode == 0, done.stdout
        assert len(re.findall(r"/site-packages/mdus/_data/(?:wsdl|xsd|migrations|config)", done.stdout)) == 4

    def test_explains_its_commands(self, installation: Installation) -> None:
        done = installation.run("mdus", "--help")
        assert done.returncode == 0, done.stdout
        assert "serve" in done.stdout
        assert "demo" in done.stdout

    @pytest.mark.parametrize("simulator", ["sap_cis", "headend_rest"])
    def test_has_the_simulators_and_what_they_need(self, installation: Installation, simulator: str) -> None:
        done = installation.run("python", "-m", f"simulators.{simulator}", "--help")
        assert done.returncode == 0, done.stdout
        assert "--state" in done.stdout

    def test_runs_the_landscape_with_ten_meters(self, installation: Installation) -> None:
        done = installation.run("mdus", "demo", "--meters", "10", timeout=600)
        assert done.returncode == 0, done.stdout
