"""docs/operations/getting_started.md names settings, commands, metrics and cases that are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import typer.main

import mdus
from mdus.bootstrap.discovery import discover, settings_problems
from mdus.cli import app
from mdus.domain.end_device_event import LateFailure
from mdus.settings import load_settings
from mdus.telemetry.metrics import exposition

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "operations" / "getting_started.md").read_text()
MODULES = [ast.parse(file.read_text()) for file in sorted(Path(mdus.__file__).parent.rglob("*.py"))]

#: Sections of the settings that the page mentions keys of.
SECTIONS = "auth|cis|database|http|retry|workers"


def case_kinds_of_the_source() -> Iterator[str]:
    """Every kind of exception case that a module names where it opens the case."""
    constants = {
        target.id: node.value.value
        for module in MODULES
        for node in module.body
        if isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node.value, ast.Constant)
        for target in ([node.target] if isinstance(node, ast.AnnAssign) else node.targets)
        if isinstance(target, ast.Name)
    }
    for node in (node for module in MODULES for node in ast.walk(module)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "ExceptionCase":
            (kind,) = [keyword.value for keyword in node.keywords if keyword.arg == "kind"]
            if isinstance(kind, ast.Constant):
                yield str(kind.value)
            elif isinstance(kind, ast.Name) and kind.id in constants:
                yield str(constants[kind.id])
    # The kinds of late failures are also those of their cases; an undelivered confirmation has the message's.
    yield from (failure.value for failure in LateFailure if failure is not LateFailure.CONFIRMATION_UNTOLD)


def case_kinds_of_the_page() -> set[str]:
    """The kinds in the table of chapter 6."""
    table = PAGE.partition("## 6.")[2].partition("## 7.")[0]
    rows = re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE)
    return {kind for row in rows for kind in re.findall(r"`(\w+)`", row)}


class TestThePage:
    def test_shows_settings_that_are_accepted(self, tmp_path: Path) -> None:
        (block,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
        for secret in re.findall(r'"/run/secrets/(\w+)"', block):
            (tmp_path / secret).write_text("secret\n")
        (tmp_path / "mdus.toml").write_text(block.replace("/run/secrets/", ""))
        found = discover()
        settings = load_settings({"MDUS_CONFIG": str(tmp_path)}, tables=found.tables)
        assert list(settings_problems(found, settings)) == []
        assert settings.head_ends[0].callback_password is not None

    def test_names_settings_that_are_there(self) -> None:
        known = {shown.key for shown in load_settings({}).shown()}
        named = set(re.findall(rf"`((?:{SECTIONS})\.\w+)`", PAGE))
        assert len(named) >= 6
        assert named <= known

    def test_names_commands_that_are_there(self) -> None:
        root = typer.main.get_command(app)
        lines = re.findall(r"(?:^|`)mdus ([a-z]+)(?: ([a-z]+))?", PAGE, flags=re.MULTILINE)
        assert ("switching", "stop") in lines
        for name, below in lines:
            command = root.commands[name]  # type: ignore[attr-defined]
            assert not below or below in command.commands

    def test_names_metrics_that_are_there(self) -> None:
        told = exposition().decode()
        named = set(re.findall(r"`(mdus_\w+)`", PAGE))
        assert len(named) >= 3
        assert [name for name in sorted(named) if name.removesuffix("_total") not in told] == []

    def test_explains_every_kind_of_case(self) -> None:
        kinds = set(case_kinds_of_the_source())
        assert len(kinds) >= 10
        assert kinds - case_kinds_of_the_page() == set()

    def test_explains_no_kind_of_case_that_nothing_opens(self) -> None:
        literals = {node.value for module in MODULES for node in ast.walk(module) if isinstance(node, ast.Constant)}
        assert case_kinds_of_the_page() - literals == set()
