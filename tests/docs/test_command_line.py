"""docs/operations/command_line.md has every command there is, and says what the document of each has in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from mdus.cli import app

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "operations" / "command_line.md").read_text()
ROWS = re.findall(r"^\| `mdus ([a-z ]+)` \| (.+?) \| (.+?) \|$", PAGE, flags=re.MULTILINE)


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command that does something by itself, by its words."""
    for name, command in group.commands.items():
        below = getattr(command, "commands", None)
        if below is None or (command.invoke_without_command and not command.no_args_is_help):
            yield f"{path}{name}", command
        if below is not None:
            yield from commands(command, f"{path}{name} ")


FOUND = dict(commands(typer.main.get_command(app)))


class TestThePage:
    def test_has_every_command_once(self) -> None:
        assert sorted(name for name, _, _ in ROWS) == sorted(FOUND)

    def test_stands_them_where_the_help_does(self) -> None:
        for section in PAGE.split("\n## ")[1:]:
            title, _, text = section.partition("\n")
            for name in re.findall(r"^\| `mdus ([a-z]+)", text, flags=re.MULTILINE):
                command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
                assert command.rich_help_panel == title

    def test_says_of_every_document_what_is_in_it(self) -> None:
        for name, _, document in ROWS:
            has_one = any("--json" in parameter.opts for parameter in FOUND[name].params)
            assert has_one is bool(re.search(r"`[a-z_]+`", document)), name

    def test_names_options_that_are_there(self) -> None:
        known = {option for command in FOUND.values() for parameter in command.params for option in parameter.opts}
        known |= {option for parameter in typer.main.get_command(app).params for option in parameter.opts}
        known |= {"--help", "--report"}  # the second is the demonstration's
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
        assert len(named) >= 8
        assert named - known == set()
