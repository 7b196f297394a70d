"""`mdus token`: who may use the REST side, in which role."""

from __future__ import annotations

import getpass
import os
from datetime import timedelta
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from mdus.cli.completing import ROLES, one_of
from mdus.cli.output import AsJson, print_json, print_out, print_result

app = typer.Typer(help="Tokens of REST clients: make, list and revoke them.", no_args_is_help=True)

_ROLES = "viewer, operator, approver or admin"


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The client, as the audit is to say it.")],
    role: Annotated[str, typer.Option(help=f"What it may do: {_ROLES}.", autocompletion=one_of(ROLES))] = "viewer",
    system: Annotated[list[str] | None, typer.Option(help="Only this sender system; may be repeated.")] = None,
    days: Annotated[int, typer.Option(min=0, help="How long it opens the door; 0: until it is revoked.")] = 365,
    as_json: AsJson = False,
) -> None:
    """Make a token and print it: the only time it is told. A client has one at a time."""
    from mdus.bootstrap.operating import make_token, opened
    from mdus.domain.access import Role

    if role not in set(Role):
        raise typer.BadParameter(f"one of {', '.join(Role)}", param_hint="--role")
    if not name.strip() or " " in name.strip():
        raise typer.BadParameter("a name without blanks", param_hint="NAME")
    lasts = timedelta(days=days) if days else None
    with opened(os.environ) as database:
        token = make_token(
            database, name.strip(), role=Role(role), systems=system, lasts=lasts, created_by=getpass.getuser()
        )
    if token is None:
        told = f"{name} has a token in force: revoke it first, with `mdus token revoke {name}`"
        print_result({"client": name, "token": None, "outcome": told}, escape(told), as_json=as_json)
        raise typer.Exit(1)
    print_result({"client": name.strip(), "token": token, "outcome": "made"}, escape(token), as_json=as_json)


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="The client.")], as_json: AsJson = False) -> None:
    """Let a client's token open nothing from now on."""
    from mdus.bootstrap.operating import opened, revoke_token

    with opened(os.environ) as database:
        done = revoke_token(database, name, revoked_by=getpass.getuser())
    told = f"the token of {name} is revoked" if done else f"{name} has no token in force"
    print_result({"client": name, "revoked": done, "outcome": told}, escape(told), as_json=as_json)
    if not done:
        raise typer.Exit(1)


@app.command("list")
def list_tokens(as_json: AsJson = False) -> None:
    """List the clients and what their tokens may; never the tokens."""
    from mdus.bootstrap.operating import opened, tokens

    with opened(os.environ) as database:
        rows = tokens(database)
    if as_json:
        print_json(rows)
        return
    table = Table(box=SIMPLE)
    for column in ("client", "role", "systems", "made", "by", "until (UTC)"):
        table.add_column(column, overflow="fold")
    for row in rows:
        until = (
            "revoked" if row.revoked_at else f"{row.expires_at:%Y-%m-%d %H:%M}" if row.expires_at else "revoked only"
        )
        made = f"{row.created_at:%Y-%m-%d}"
        table.add_row(*map(escape, (row.name, row.role, row.systems or "all", made, row.created_by, until)))
    print_out(table if rows else "no client has a token")
