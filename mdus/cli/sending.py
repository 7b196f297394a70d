"""`mdus send`: posts a captured message to an MDUS, as SAP would."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from mdus.cli.output import AsJson, print_problems, print_result
from mdus.settings import Problem


def send(
    file: Annotated[Path, typer.Argument(help="A SOAP envelope, or the message alone; - reads standard input.")],
    url: Annotated[str, typer.Option(help="Where to: /sap of an MDUS, with or without an interface.")] = (
        "http://127.0.0.1:8080/sap"
    ),
    user: Annotated[str | None, typer.Option(help="Our user there.  [default: auth.user]")] = None,
    password: Annotated[
        str | None,
        typer.Option(envvar="MDUS_SEND_PASSWORD", help="Its password; asked for when needed.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Post a captured message to an MDUS and print its answer; exit code 1 unless it was accepted."""
    from mdus.cis.posting import Answer, CannotPost, post_captured
    from mdus.settings import load_settings

    if user is None:
        auth = load_settings(os.environ).auth
        user = auth.user
        password = password or (auth.password.get_secret_value() if auth.password else None)
    elif password is None:
        password = typer.prompt("Password", hide_input=True, err=True)
    try:
        body = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        answer: Answer = post_captured(body, url=url, user=user, password=password)
    except (OSError, CannotPost) as error:
        print_problems(
            [
                Problem(
                    what=str(error),
                    where=f"{file} to {url}",
                    mend=getattr(error, "mend", "name a file that can be read"),
                )
            ]
        )
        raise typer.Exit(1) from error
    result = {"status": answer.status, "accepted": answer.accepted, "text": answer.text}
    print_result(result, escape(f"{answer.status} {answer.text}".rstrip()), as_json=as_json)
    raise typer.Exit(0 if answer.accepted else 1)
