"""`mdus registered`: tells SAP once more which meters it can use."""

from __future__ import annotations

import getpass
import os
from typing import Annotated

import typer

from mdus.cli.asking import ReasonOption, reason_of
from mdus.cli.output import AsJson, print_result

app = typer.Typer(help="The notification that a meter is registered in its metering system.", no_args_is_help=True)


@app.callback()
def registered() -> None:
    """Keep `resend` a command of its own: an app with one command would be that command."""


@app.command()
def resend(
    reason: ReasonOption = None,
    device: Annotated[str | None, typer.Option(help="The device, by SAP's id; with --system.")] = None,
    system: Annotated[str | None, typer.Option(help="The sender system; alone: all its devices.")] = None,
    head_end: Annotated[str | None, typer.Option(help="All devices of a head end, by its name.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All devices.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell SAP again that meters are registered, each in a new message under a new UUID.

    Only of meters it has been told of before: the first notification goes by itself. Exit code 1 when there is none.
    """
    from mdus.bootstrap.operating import opened, order_registered_again

    if device is not None and system is None:
        raise typer.BadParameter("say of which sender system the device is", param_hint="--system")
    named = {"device_id": device, "sender_system": system, "head_end": head_end}
    which = {name: value for name, value in named.items() if value is not None}
    if bool(which) is everything:
        raise typer.BadParameter("say which devices: --device with --system, --system, --head-end, or --all")
    why = reason_of(reason)
    with opened(os.environ) as database:
        count = order_registered_again(database, which, reason=why, ordered_by=getpass.getuser())
    told = f"SAP will be told again of {count} registered {'device' if count == 1 else 'devices'}"
    if count == 0:
        told = "nothing to tell again: no such device is registered, or it is ordered already"
    print_result({"count": count, "outcome": told}, told, as_json=as_json)
    raise typer.Exit(0 if count else 1)
