"""`mdus import`: loads devices, registers, locations and points of delivery from a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mdus.cli.completing import IMPORTED, one_of
from mdus.cli.output import AsJson, Bar, print_json, print_out


def import_file(
    file: Annotated[Path, typer.Argument(help="CSV, a JSON array, or JSON lines.")],
    system: Annotated[str, typer.Option(help="The sender system whose devices they are (SenderBusinessSystemID).")],
    kind: Annotated[
        str | None,
        typer.Option(
            help="The kind of all rows, where the file has no column `kind`.", autocompletion=one_of(IMPORTED)
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge every row; store and decide nothing.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(help="Where what is wrong is listed: .csv or .json.  [default: FILE with .report.csv]"),
    ] = None,
    as_json: AsJson = False,
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
    with Bar() as bar:
        imported = import_here(
            os.environ, file, system=system, kind=kind, dry_run=dry_run, report=where, progress=bar.show
        )
    if as_json:
        kinds = {name or "unknown": of_kind for name, of_kind in imported.kinds.items()}
        told = where if imported.findings else None
        print_json({"kinds": kinds, "findings": imported.findings, "report": told, "stored": not dry_run})
        raise typer.Exit(1 if imported.findings else 0)
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
