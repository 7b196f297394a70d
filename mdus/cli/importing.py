"""`mdus import`: loads devices, registers, locations and points of delivery from a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from mdus.cli.output import print_out


def import_file(
    file: Annotated[Path, typer.Argument(help="CSV, a JSON array, or JSON lines.")],
    system: Annotated[str, typer.Option(help="The sender system whose devices they are (SenderBusinessSystemID).")],
    kind: Annotated[
        str | None,
        typer.Option(help="The kind of all rows, where the file has no column `kind`."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge every row; store and decide nothing.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(help="Where what is wrong is listed: .csv or .json.  [default: FILE with .report.csv]"),
    ] = None,
) -> None:
    """Load devices, registers, locations and points of delivery, each row taken in and decided like SAP's message.

    Nothing is answered to SAP. Importing a file again changes nothing, a corrected one repairs; exit code 1 if anything
    is wrong with a row.
    """
    from mdus.bootstrap.importing import import_file as import_here
    from mdus.endpoints.initial_load.kinds import KINDS

    if kind is not None and kind not in KINDS:
        raise typer.BadParameter(f"name one of {', '.join(KINDS)}", param_hint="--kind")
    where = report or file.with_suffix(".report.csv")
    with _Bar() as bar:
        imported = import_here(
            os.environ, file, system=system, kind=kind, dry_run=dry_run, report=where, progress=bar.show
        )
    table = Table("kind", "rows", "in order" if dry_run else "taken", "wrong")
    for name, counted in imported.kinds.items():
        table.add_row(name or "unknown", str(counted.rows), str(counted.rows - counted.wrong), str(counted.wrong))
    print_out(table)
    if imported.findings:
        print_out(
            escape(f"{imported.wrong} of {imported.rows} rows are wrong: {imported.findings} findings in {where}")
        )
        raise typer.Exit(1)
    print_out(
        "[green]all rows are in order; nothing was stored[/green]" if dry_run else "[green]all rows are taken[/green]"
    )


class _Bar:
    """A bar on standard error for each stage, where that is a terminal."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage is."""
        task = self._tasks.get(stage)
        if task is None:
            task = self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(task, completed=done, total=total)
