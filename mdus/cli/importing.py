"""`mdus import`: loads the registry (devices, registers, locations, points of delivery) or values from a file.

`mdus import FILE` is `mdus import registry FILE`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from mdus.cli.completing import FORMATS, IMPORTED, one_of
from mdus.cli.output import AsJson, Bar, print_json, print_out


class _RegistryUnlessNamed(TyperGroup):
    """The commands of `mdus import`: what names none of them is about the registry."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in where it was left out."""
        is_named = bool(args) and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if is_named else ["registry", *args])


app = typer.Typer(cls=_RegistryUnlessNamed, help="Load what is there already, or what a head end told, from a file.")


@app.command("intervals")
def import_intervals(
    file: Annotated[Path, typer.Argument(help="In a format of docs/head_ends/file_drop.md, compressed or not.")],
    head_end: Annotated[str, typer.Option(help="The head end, of kind file_drop, whose meters' values they are.")],
    told: Annotated[
        str | None,
        typer.Option(
            "--format", help=f"One of {', '.join(FORMATS)}.  [default: as it looks]", autocompletion=one_of(FORMATS)
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take interval values, or what else files tell, in as a head end's deliveries, a part of the file after the other.

    Told again, a file changes nothing: an interrupted import goes on where it was. Exit code 1 if a line cannot be read
    or a value has no place yet; both stay visible, and nothing is lost.
    """
    from mdus.bootstrap.importing_intervals import import_intervals as import_here

    if told is not None and told not in FORMATS:
        raise typer.BadParameter(f"name one of {', '.join(FORMATS)}", param_hint="--format")
    with Bar() as bar:
        imported = import_here(os.environ, file, head_end=head_end, told=told, progress=bar.show)
    if as_json:
        print_json(
            {
                "deliveries": imported.deliveries,
                "known": imported.known,
                "values": imported.values,
                "unmapped": imported.unmapped,
                "unreadable_lines": imported.unreadable_lines,
                "unreadable": imported.unreadable,
                "unplaced_parts": imported.unplaced_parts,
                "unplaced": imported.unplaced,
            }
        )
        raise typer.Exit(0 if imported.is_in_order else 1)
    known = f", {imported.known} of them known before" if imported.known else ""
    print_out(f"{imported.values} values in {imported.deliveries} deliveries{known}")
    if imported.unreadable_lines:
        print_out(
            f"[red]{imported.unreadable_lines} lines cannot be read wholly[/red]; the delivery keeps them, a case tells"
        )
        for each in imported.unreadable:
            print_out(f"  line {each.line}: {escape(each.reason)}")
    if imported.unmapped:
        print_out(f"[yellow]{imported.unmapped} values are under codes no table explains[/yellow]: see mdus unmapped")
    if imported.unplaced_parts:
        print_out(f"[yellow]{imported.unplaced_parts} deliveries wait for a place for some values[/yellow]")
        for reason in imported.unplaced:
            print_out(f"  {escape(reason)}")
    raise typer.Exit(0 if imported.is_in_order else 1)


@app.command("temperatures")
def import_temperatures(
    file: Annotated[Path, typer.Argument(help="CSV with the columns station, day and degrees (Celsius).")],
    as_json: AsJson = False,
) -> None:
    """Store the day temperatures of weather stations, which proxy days are found by; one that is there is replaced.

    All of the file is stored, or nothing where a line cannot be read.
    """
    from mdus.bootstrap.importing_temperatures import import_temperatures as import_here

    stored = import_here(os.environ, file)
    if as_json:
        print_json({"temperatures": stored})
    else:
        print_out(f"{stored} temperatures")


@app.command("registry")
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
