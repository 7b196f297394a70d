"""`mdus switching`: the kill switch. Stops every disconnection, limit and load control at once; reconnections go on."""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mdus.cli.asking import reason_of
from mdus.cli.output import AsJson, note, print_result

if TYPE_CHECKING:
    from mdus.storage.session import Database

app = typer.Typer(help="Stop and start disconnections, limits and load control: the kill switch.", no_args_is_help=True)

Reason = Annotated[
    str | None,
    typer.Option("--reason", help="Why; kept in the audit and told to SAP. Asked for when it is not given."),
]


@app.command()
def stop(reason: Reason = None, as_json: AsJson = False) -> None:
    """Let no disconnection, limit or load control leave from now on; reconnections go on."""
    _order(stopped=True, reason=reason_of(reason), as_json=as_json)


@app.command()
def start(reason: Reason = None, as_json: AsJson = False) -> None:
    """Let them leave again."""
    _order(stopped=False, reason=reason_of(reason), as_json=as_json)


@app.command()
def state(as_json: AsJson = False) -> None:
    """Tell whether disconnections are stopped, and why."""
    from mdus.bootstrap.operating import opened, switching_stopped

    with opened(os.environ) as database:
        reason = switching_stopped(database)
        told = "disconnections may leave" if reason is None else f"disconnections are stopped: {reason}"
        _print(database, told, stopped=reason is not None, reason=reason, as_json=as_json)


def _order(*, stopped: bool, reason: str, as_json: bool) -> None:
    from mdus.bootstrap.operating import opened, order_switching

    with opened(os.environ) as database:
        order_switching(database, stopped=stopped, reason=reason, ordered_by=getpass.getuser())
        told = "disconnections are stopped" if stopped else "disconnections may leave again"
        _print(database, told, stopped=stopped, reason=reason, as_json=as_json)


def _print(database: Database, told: str, *, stopped: bool, reason: str | None, as_json: bool) -> None:
    """Print what holds, and for which database: a shell without the settings of the service names another."""
    from mdus.bootstrap.operating import is_worked_on, name_of

    name, worked_on = name_of(database), is_worked_on(database)
    document = {"stopped": stopped, "reason": reason, "database": name, "worked_on": worked_on}
    print_result(document, escape(f"{told}\ndatabase: {name}"), as_json=as_json)
    if not worked_on:
        note(
            "nobody works on this database now: is it the one of the service? database.url names it,"
            " MDUS_DATABASE__URL or the folder MDUS_CONFIG"
        )
