"""What a benchmark tells: a value, what it is compared with, and whether its aim was held."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One line of the table and one object of bench.json.

    `ratio` is the value compared with what `ratio_to` names, measured in the same run; a figure without an aim is told
    for its own sake.
    """

    name: str
    value: float
    unit: str
    ratio_to: str | None = None
    ratio: float | None = None
    aim: str | None = None
    held: bool | None = None


def show(figures: Sequence[Figure], *, console: Console) -> None:
    """This will print the figures as a table."""
    table = Table(title="MDUS benchmarks", title_justify="left")
    for heading in ("benchmark", "compared with", "aim"):
        table.add_column(heading, overflow="fold")
    for heading in ("value", "ratio", "held"):
        table.add_column(heading, justify="right")
    for figure in figures:
        table.add_row(
            figure.name,
            figure.ratio_to or "",
            figure.aim or "",
            f"{figure.value:,.4g} {figure.unit}",
            "" if figure.ratio is None else f"{figure.ratio:.2f}",
            {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[figure.held],
        )
    console.print(table)


def write(figures: Sequence[Figure], file: Path) -> None:
    """This will write the figures as JSON: a list of objects with the fields of `Figure`."""
    file.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n", encoding="utf-8")
