"""`mdus switching`: the kill switch. Stops every disconnection at once; reconnections go on."""

from __future__ import annotations

import getpass
import os
from typing import Annotated

import typer

from mdus.cli.output import print_out

app = typer.Typer(help="Stop and start disconnections: the kill switch.", no_args_is_help=True)

Reason = Annotated[str, typer.Option(help="Why; kept in the audit and told to SAP.", prompt="Reason")]


@app.command()
def stop(reason: Reason) -> None:
    """Let no disconnection leave from now on; reconnections go on."""
    _order(stopped=True, reason=reason)


@app.command()
def start(reason: Reason) -> None:
    """Let disconnections leave again."""
    _order(stopped=False, reason=reason)


@app.command()
def state() -> None:
    """Tell whether disconnections are stopped, and why."""
    from mdus.bootstrap.operating import opened, switching_stopped

    with opened(os.environ) as database:
        reason = switching_stopped(database)
    print_out("disconnections may leave" if reason is None else f"disconnections are stopped: {reason}")


def _order(*, stopped: bool, reason: str) -> None:
    from mdus.bootstrap.operating import opened, order_switching

    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    with opened(os.environ) as database:
        order_switching(database, stopped=stopped, reason=reason.strip(), ordered_by=getpass.getuser())
    print_out("disconnections are stopped" if stopped else "disconnections may leave again")
