"""`mdus jobs`: what is scheduled, what the last runs did, and running one by hand."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mdus.cli.completing import JOBS, one_of
from mdus.cli.output import AsJson, print_json, print_out, print_result

app = typer.Typer(help="Scheduled jobs: last run, result, next run.", invoke_without_command=True)


@app.callback()
def jobs(
    context: typer.Context,
    as_json: AsJson = False,
) -> None:
    """List the scheduled jobs: last run, its result, next run. Times are UTC."""
    if context.invoked_subcommand is not None:
        return
    from mdus.bootstrap.jobs import list_jobs

    listed = list_jobs(os.environ)
    if as_json:
        rows = [
            {
                "job": job.name,
                "due": job.due,
                "what": job.what,
                "last": job.last
                and {
                    "slot": job.last.slot,
                    "status": job.last.status.value,
                    "attempts": job.last.attempts,
                    "started_at": _iso(job.last.started_at),
                    "ended_at": _iso(job.last.ended_at),
                    "outcome": job.last.outcome,
                },
                "next_at": _iso(job.next_at),
            }
            for job in listed
        ]
        print_json(rows)
        return
    table = Table()
    for column in ("job", "due", "last slot", "status", "result", "next"):
        table.add_column(column, no_wrap=column in ("job", "last slot"), overflow="fold")
    for job in listed:
        last = job.last
        table.add_row(
            job.name,
            job.due,
            last.slot if last else "never",
            last.status.value if last else "",
            escape(last.outcome or "") if last else "",
            f"{job.next_at:%Y-%m-%d %H:%M}",
        )
    print_out(table)


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="The job.", autocompletion=one_of(JOBS))],
    date: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Its business date.  [default: its newest slot]"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run one job now, also one that has run before, and print what it did; exit code 1 when it failed."""
    from mdus.bootstrap.jobs import run_job

    ended = run_job(os.environ, name, day=date.date() if date else None)
    told = escape(f"{ended.job} {ended.slot} {ended.status.value}: {ended.outcome}")
    result = {"job": ended.job, "slot": ended.slot, "status": ended.status.value, "outcome": ended.outcome}
    print_result(result, told, as_json=as_json)
    raise typer.Exit(0 if ended.status.value == "done" else 1)


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
