"""`mdus unmapped`: what head ends tell under codes that no table explains, and the rows that would."""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from mdus.cli.asking import ReasonOption, reason_of
from mdus.cli.completing import UNMAPPED, one_of
from mdus.cli.output import AsJson, print_json, print_out, print_result

if TYPE_CHECKING:
    from mdus.storage.unmapped import WhichCodes

app = typer.Typer(help="What head ends tell under codes that no table explains.", invoke_without_command=True)

HeadEndOption = Annotated[str | None, typer.Option("--head-end", help="Only of this head end.")]
SourceOption = Annotated[
    str | None,
    typer.Option(
        "--source", help="Only codes of this: channel, event, unit, quality.", autocompletion=one_of(UNMAPPED)
    ),
]
CodeOption = Annotated[str | None, typer.Option("--code", help="Only this code, as it is listed.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")]

_SHOWN = 1000


@app.callback()
def unmapped(
    context: typer.Context,
    head_end: HeadEndOption = None,
    source: SourceOption = None,
    code: CodeOption = None,
    as_json: AsJson = False,
) -> None:
    """List the codes no table explains: how many values and meters, since when (UTC), and what row to add."""
    if context.invoked_subcommand is not None:
        return
    rows = _codes(_which(head_end, source, code))
    if as_json:
        print_json(rows)
        return
    table = Table(box=SIMPLE)
    for name in ("head end", "of", "code", "values", "meters", "since", "row to add"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(
            *(escape(row[name]) for name in ("head_end", "source", "code")),
            *(str(row[name]) for name in ("count", "meters")),
            f"{row['first_at']:%Y-%m-%d %H:%M:%S}",
            escape(row["row"]),
        )
    print_out(table if rows else "tables explain all that head ends tell")


@app.command()
def retry(
    reason: ReasonOption = None,
    head_end: HeadEndOption = None,
    source: SourceOption = None,
    code: CodeOption = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Read again, by the tables as they are now, the deliveries that tell something under such codes."""
    from mdus.bootstrap import mending

    _do(mending.read_again, "deliveries are read again", _which(head_end, source, code), reason, dry_run, as_json)


@app.command()
def leave(
    reason: ReasonOption = None,
    head_end: HeadEndOption = None,
    source: SourceOption = None,
    code: CodeOption = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Keep what was told so far no longer, and close its cases: no row is to explain it."""
    from mdus.bootstrap import mending

    _do(mending.leave_unmapped, "values are left", _which(head_end, source, code), reason, dry_run, as_json)


def _do(deed: Any, done: str, which: WhichCodes, reason: str | None, dry_run: bool, as_json: bool) -> None:
    from mdus.bootstrap.operating import opened
    from mdus.storage.audit import Deed

    if dry_run:
        rows = _codes(which)
        count, told = len(rows), f"{sum(row['count'] for row in rows)} values of {len(rows)} codes would be meant"
    else:
        doing = Deed(who=getpass.getuser(), reason=reason_of(reason))
        with opened(os.environ) as database:
            count = deed(database, which, doing)
        told = f"{count} {done}"
    print_result({"count": count, "outcome": told, "dry_run": dry_run}, told, as_json=as_json)
    if count == 0:
        raise typer.Exit(1)


def _codes(which: WhichCodes) -> list[dict[str, Any]]:
    from mdus.bootstrap.mending import unmapped_codes
    from mdus.bootstrap.operating import opened

    with opened(os.environ) as database:
        return unmapped_codes(database, which, limit=_SHOWN)


def _which(head_end: str | None, source: str | None, code: str | None) -> WhichCodes:
    from mdus.domain.unmapped import UnmappedSource
    from mdus.storage.unmapped import WhichCodes

    if source is not None and source not in set(UnmappedSource):
        raise typer.BadParameter(f"one of {', '.join(UnmappedSource)}", param_hint="--source")
    return WhichCodes(head_end=head_end, source=UnmappedSource(source) if source is not None else None, code=code)
