"""docs/adding_a_service.md says what is so: its excerpts stand in the source, its errors are those of a start."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from mdus.bootstrap.discovery import contract_problems, discover
from mdus.contracts.catalog import catalog
from mdus.messaging import patterns
from mdus.services import device_change

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "adding_a_service.md").read_text()
SOURCE = Path(device_change.__file__).read_text()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """Makes a package of services from the text of its modules."""
    monkeypatch.syspath_prepend(tmp_path)
    name = "services_of_a_test"

    def make(**modules: str) -> ModuleType:
        folder = tmp_path / name
        folder.mkdir()
        for module, text in {"__init__": "", **modules}.items():
            (folder / f"{module}.py").write_text(text)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield make
    for module in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[module]


def problems(package: ModuleType) -> list[str]:
    """What a start with this package of services reports."""
    found = discover(services=package)
    return [str(problem) for problem in (*found.problems, *contract_problems(found.services, catalog()))]


def replaced(**changes: str) -> str:
    """The service with one expression replaced by another, each found exactly once."""
    text = SOURCE
    for change in changes.values():
        old, new = change.split(" -> ")
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


class TestThePage:
    def test_quotes_lines_that_stand_in_the_service(self) -> None:
        blocks = re.findall(r"^```diff\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
        lines = [line.removeprefix("+") for block in blocks for line in block.splitlines()]
        assert len(lines) > 40
        assert [line for line in lines if line not in SOURCE.splitlines()] == []

    def test_names_every_pattern(self) -> None:
        wanted = {kind.__name__ for kind in patterns.Service.__args__}
        assert wanted <= set(re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE))

    def test_names_files_that_are_there(self) -> None:
        named = set(re.findall(r"`((?:mdus|tests|docs)/[\w/.]+)`", PAGE))
        assert "mdus/messaging/patterns.py" in named
        assert [path for path in sorted(named) if not (PROJECT / path).exists()] == []

    def test_shows_what_a_start_says_of_a_shape_that_does_not_fit(self, package: Callable[..., ModuleType]) -> None:
        text = replaced(
            path='"UtilitiesDevice/SerialID" -> "UtilitiesDevice/SerialNo"',
            type="manufacturer_id: str | None -> manufacturer_id: str",
            root='"UtilitiesDeviceERPSmartMeterChangeConfirmation" -> "UtilitiesDeviceERPSmartMeterChangeConfirm"',
        )
        said = problems(package(device_change=text))
        assert len(said) == 3
        assert "\n".join(("```", *said, "```")) in PAGE


class TestADiscoveredPackage:
    def test_without_a_fault_has_no_problem(self, package: Callable[..., ModuleType]) -> None:
        made = package(device_change=SOURCE, _table="ROWS = 1")
        assert problems(made) == []
        assert list(discover(services=made).services) == ["UtilitiesDeviceERPSmartMeterChangeRequest"]

    def test_says_which_module_has_no_service(self, package: Callable[..., ModuleType]) -> None:
        (problem,) = problems(package(device_change=SOURCE, nothing="SERVICE = None"))
        assert problem.startswith("the module exposes no SERVICE\n    where: services_of_a_test.nothing\n")

    def test_says_which_root_two_services_claim(self, package: Callable[..., ModuleType]) -> None:
        second = replaced(
            request='"UtilitiesDeviceERPSmartMeterChangeRequest" -> "UtilitiesDeviceERPSmartMeterCreateRequest"'
        )
        said = [line for problem in problems(package(a=SOURCE, b=second)) for line in problem.splitlines()[:1]]
        assert (
            "UtilitiesDeviceERPSmartMeterChangeConfirmation is served by UtilitiesDeviceERPSmartMeterChangeRequest too"
        ) in said

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            pytest.param(
                '"UtilitiesDeviceERPSmartMeterChangeRequest" -> "UtilitiesDeviceERPSmartMeterRegisteredNotification"',
                "UtilitiesDeviceERPSmartMeterRegisteredNotification is sent by MDUS, not received",
                id="the wrong way round",
            ),
            pytest.param(
                '"UtilitiesDeviceERPSmartMeterChangeRequest" -> "UtilitiesDeviceERPSmartMeterBulkCreateRequest"',
                "UtilitiesDeviceERPSmartMeterBulkCreateRequest is a bulk in the contract",
                id="a bulk for a single",
            ),
        ],
    )
    def test_says_what_the_contract_has_instead(
        self, package: Callable[..., ModuleType], change: str, said: str
    ) -> None:
        assert said in [problem.splitlines()[0] for problem in problems(package(device_change=replaced(root=change)))]
