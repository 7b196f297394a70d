"""Why something is done: given, or asked for on standard error, where no result goes."""

from __future__ import annotations

from typing import Annotated

import typer

ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="Why; kept in the audit. Asked for when it is not given.")
]


def reason_of(reason: str | None) -> str:
    """Return why; raises BadParameter for nothing but blanks."""
    given = typer.prompt("Reason", err=True) if reason is None else reason
    if not given.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    return str(given).strip()
