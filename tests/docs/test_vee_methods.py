"""docs/vee.md has every method of estimation, with its number, its parameters and their defaults, and what it needs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from mdus.bootstrap.discovery import discover
from mdus.vee.method import Method
from mdus.vee.output import aemo_flag, qualities
from mdus.vee.pipeline import State

PAGE = (Path(__file__).parents[2] / "docs" / "vee.md").read_text()
SECTION = PAGE.split("\n## Methods of estimation\n")[1].split("\n## ")[0]
ROWS: Mapping[str, list[str]] = {
    cells[1].strip("`"): cells
    for line in SECTION.splitlines()
    if re.match(r"\| E\d+b? \|", line)
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
}
METHODS = discover().tools.methods


def shown(given: FieldInfo) -> str:
    """Return a default as TOML has it."""
    if given.is_required():
        return "required"
    default: Any = given.get_default(call_default_factory=True)
    if isinstance(default, float):
        return f"{default:g}"
    return json.dumps(default if isinstance(default, bool | int | str | dict | tuple) else float(default)).removesuffix(
        ".0"
    )


def test_the_table_has_every_method_once_in_order() -> None:
    assert set(ROWS) == set(METHODS)
    numbers = re.findall(r"^\| (E\d+b?) \|", SECTION, flags=re.MULTILINE)
    assert numbers == sorted(numbers, key=lambda number: (int(number.strip("Eb")), number))
    assert len(numbers) == len(METHODS)


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
class TestARow:
    def test_has_the_number(self, method: Method) -> None:
        assert ROWS[method.name][0] == method.number

    def test_has_the_parameters_with_their_defaults(self, method: Method) -> None:
        told = re.findall(r"`(\w+) = ([^`]+)`", ROWS[method.name][3])
        assert told == [(name, shown(field)) for name, field in method.parameters.model_fields.items()]

    def test_has_the_facts_needed(self, method: Method) -> None:
        assert set(re.findall(r"\w+", ROWS[method.name][4])) == {fact.value for fact in method.needs}

    def test_has_the_number_of_aemo(self, method: Method) -> None:
        assert ROWS[method.name][6] == ("–" if method.aemo is None else str(method.aemo))

    def test_says_formula_and_source(self, method: Method) -> None:
        assert all(ROWS[method.name][column] for column in (2, 5))


def test_the_codes_are_those_of_the_code() -> None:
    codes = PAGE.split("\n## What final values are called outside\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in codes.splitlines() if line.startswith("|")
    ]
    for state in State:
        (row, *_) = [row for row in rows if row[0].startswith(state.name.lower())]
        quality = aemo_flag(state).quality.value
        assert any(f"`{quality}`" in row[1] for row in rows if row[0].startswith(state.name.lower()))
        assert set(qualities(state).codes) <= set(re.findall(r"[\d.]+\d", row[2]))
