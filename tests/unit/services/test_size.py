"""The folder of services stays readable: every file is one service, none is long, all of them fit a day's reading."""

from __future__ import annotations

import ast
import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import mdus.services
from mdus.bootstrap.discovery import Found, contract_problems, discover
from mdus.contracts.catalog import catalog
from mdus.messaging.patterns import ClientRequest

FILES = sorted(Path(mdus.services.__file__).parent.rglob("*.py"))
SERVICES = [file for file in FILES if not file.name.startswith("_")]

MOST_LINES = 4000
MOST_LINES_OF_A_FILE = 500


def lines(file: Path) -> int:
    return len(file.read_text().splitlines())


def is_of_clients(file: Path) -> bool:
    """Whether the file is a service without a wire, for REST clients only."""
    module = importlib.import_module(f"mdus.services.{file.stem}")
    return isinstance(getattr(module, "SERVICE", None), ClientRequest)


class TestTheFolder:
    def test_stays_below_four_thousand_lines_for_what_sap_has_services_for(self) -> None:
        of_sap = [file for file in FILES if not is_of_clients(file)]
        assert sum(map(lines, of_sap)) < MOST_LINES

    def test_has_a_file_for_each_service(self) -> None:
        assert len(SERVICES) >= 18


class TestAFile:
    @pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
    def test_is_no_longer_than_five_hundred_lines(self, file: Path) -> None:
        assert lines(file) <= MOST_LINES_OF_A_FILE

    @pytest.mark.parametrize("file", SERVICES, ids=lambda file: file.name)
    def test_exposes_its_service(self, file: Path) -> None:
        module = importlib.import_module(f"mdus.services.{file.stem}")
        assert module.SERVICE.name


def named_elsewhere() -> set[str]:
    """The services that another module of MDUS names, such as the job that hands over to one."""
    root = Path(mdus.services.__file__).parents[1]
    found: set[str] = set()
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "mdus.services":
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mdus.services."):
                found.add(str(node.module).split(".")[2])
    return found


ALONE = [file for file in SERVICES if file.stem not in named_elsewhere()]


class TestTheLastService:
    """Whichever is written last: MDUS runs without it, and with its file it is there, no other module edited."""

    @pytest.fixture
    def package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        folder = tmp_path / "services_but_one"
        shutil.copytree(Path(mdus.services.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
        monkeypatch.syspath_prepend(tmp_path)
        yield folder
        self.forget()

    def forget(self) -> None:
        for module in [module for module in sys.modules if module.partition(".")[0] == "services_but_one"]:
            del sys.modules[module]
        importlib.invalidate_caches()

    def found(self) -> Found:
        self.forget()
        package: ModuleType = importlib.import_module("services_but_one")
        found = discover(services=package)
        assert [*found.problems, *contract_problems(found.services, catalog())] == []
        return found

    def test_may_be_most_of_them(self) -> None:
        assert len(ALONE) >= 10

    @pytest.mark.parametrize("file", ALONE, ids=lambda file: file.stem)
    def test_is_added_by_its_file_alone(self, package: Path, file: Path) -> None:
        (package / file.name).unlink()
        others = self.found().services
        shutil.copy(file, package)
        everything = self.found().services
        assert len(everything) == len(others) + 1
        assert set(others) < set(everything)
