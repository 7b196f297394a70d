"""The command `mdus`: parses arguments, nothing else. What is needed is imported when a command runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mdus import __version__
from mdus.cli.checking import check
from mdus.cli.importing import app as importing
from mdus.cli.jobs import app as jobs
from mdus.cli.mending import app as dead
from mdus.cli.mending import replay, resend
from mdus.cli.output import explained, print_out
from mdus.cli.processes import conformance, demo, migrate, serve, work
from mdus.cli.registered import app as registered
from mdus.cli.sending import send
from mdus.cli.switching import app as switching
from mdus.cli.tokens import app as token
from mdus.cli.tracing import trace
from mdus.cli.unmapped import app as unmapped
from mdus.cli.validating import app as vee

app = typer.Typer(
    name="mdus",
    help="Meter Data Unification & Synchronization between SAP for Utilities and advanced metering systems.",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
_RUN, _LOOK, _DO, _TRY = "Run it", "Look into it", "Mend and order", "Try it"
app.command("serve", rich_help_panel=_RUN)(serve)
app.command("work", rich_help_panel=_RUN)(work)
app.command("migrate", rich_help_panel=_RUN)(migrate)
# Everything behind these belongs to the program that takes over, --help too.
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
app.command("demo", rich_help_panel=_TRY, context_settings=_PASSED_ON)(demo)
app.command("conformance", rich_help_panel=_TRY, context_settings=_PASSED_ON)(conformance)
app.command("check", rich_help_panel=_LOOK)(check)
app.add_typer(importing, name="import", rich_help_panel=_DO)
app.command("send", rich_help_panel=_TRY)(send)
app.command("resend", rich_help_panel=_DO)(resend)
app.command("replay", rich_help_panel=_DO)(replay)
app.command("trace", rich_help_panel=_LOOK)(trace)
app.add_typer(dead, name="dead", rich_help_panel=_DO)
app.add_typer(unmapped, name="unmapped", rich_help_panel=_DO)
app.add_typer(jobs, name="jobs", rich_help_panel=_LOOK)
app.add_typer(registered, name="registered", rich_help_panel=_DO)
app.add_typer(switching, name="switching", rich_help_panel=_DO)
app.add_typer(vee, name="vee", rich_help_panel=_LOOK)
app.add_typer(token, name="token", rich_help_panel=_RUN)

_WELCOME = """\
[bold]MDUS[/bold] stands between SAP for Utilities and the advanced metering systems of a utility.

  [bold]mdus demo[/bold]    see it all: a simulated SAP, MDUS, a head end and its meters, in a few minutes
  [bold]mdus serve[/bold]   start it here: http://127.0.0.1:8080, in a file mdus.db
  [bold]mdus check[/bold]   everything that is wrong with the configuration, and how to mend it

mdus --help lists all commands."""


@app.callback(invoke_without_command=True)
def _without_command(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        print_out(f"mdus {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print_out(_WELCOME)


def main() -> None:
    """Run the command given on the command line; what goes wrong is told without a traceback, with how to mend it."""
    with explained():
        app(prog_name="mdus")
    sys.exit(0)
