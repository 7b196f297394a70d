"""`mdus check`: every problem of the configuration at once."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mdus.cli.output import AsJson, print_json, print_out, print_problems


def check(
    connect: Annotated[bool, typer.Option("--connect", help="Also try the database, SAP and every head end.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Print every setting with its origin, secrets masked.")] = False,
    types: Annotated[bool, typer.Option("--types", help="Print every TypeID that SAP may read in a log.")] = False,
    as_json: AsJson = False,
) -> None:
    """Report everything that is wrong with the configuration, each with how to mend it; exit code 1 if anything is."""
    from mdus.bootstrap.checking import check as check_here

    report = check_here(os.environ, connect=connect)
    if as_json:
        print_json(
            {
                "in_order": not report.problems,
                "problems": report.problems,
                "notes": report.notes,
                "open_cases": report.open_cases,
                **({"settings": report.shown} if show else {}),
                **({"types": report.types} if types else {}),
            }
        )
        raise typer.Exit(1 if report.problems else 0)
    if show:
        table = Table("setting", "value", "origin")
        for shown in report.shown:
            table.add_row(shown.key, escape(shown.value), escape(shown.origin))
        print_out(table)
    if types:
        table = Table("TypeID", "category", "meaning")
        for told in report.types:
            table.add_row(escape(told.type_id), escape(told.category), escape(told.meaning))
        print_out(table)
    for note in report.notes:
        print_out(escape(note))
    if report.open_cases is not None:
        total = sum(report.open_cases.values())
        kinds = ", ".join(f"{count} {kind}" for kind, count in report.open_cases.items())
        print_out(escape(f"{total} open cases: {kinds}") if total else "no open cases")
    print_problems(report.problems)
    if report.problems:
        raise typer.Exit(1)
    print_out("[green]the configuration is in order[/green]")
