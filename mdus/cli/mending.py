"""`mdus dead`, `mdus resend`, `mdus replay`: what was given up, and messages sent or taken in once more."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from mdus.cli.asking import ReasonOption, reason_of
from mdus.cli.completing import GIVEN_UP, one_of
from mdus.cli.output import AsJson, Bar, print_json, print_out, print_result

if TYPE_CHECKING:
    from mdus.storage.audit import Deed
    from mdus.storage.mending import Which

app = typer.Typer(help="What MDUS has given up: list it, try it again, or leave it for good.", no_args_is_help=True)

KindOption = Annotated[
    str,
    typer.Option(
        "--kind",
        help="message (to SAP), item (of SAP's), or delivery (head end).",
        autocompletion=one_of(GIVEN_UP),
    ),
]
IdOption = Annotated[list[int] | None, typer.Option("--id", help="Only this one; may be repeated.")]
SystemOption = Annotated[str | None, typer.Option("--system", help="Only of this sender system.")]
ServiceOption = Annotated[str | None, typer.Option("--service", help="Only of this service.")]
HeadEndOption = Annotated[str | None, typer.Option("--head-end", help="Only of this head end.")]
BeforeOption = Annotated[datetime | None, typer.Option("--before", help="Only what was stored before (UTC).")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")]

_SHOWN = 1000


@app.command("list")
def list_given_up(
    kind: KindOption = "message",
    ids: IdOption = None,
    system: SystemOption = None,
    service: ServiceOption = None,
    head_end: HeadEndOption = None,
    before: BeforeOption = None,
    as_json: AsJson = False,
) -> None:
    """List what is given up, the oldest first."""
    rows = _given_up(_which(kind, ids, system, service, head_end, before))
    if as_json:
        print_json(rows)
        return
    table = Table(box=SIMPLE)
    for name in ("id", "of", "what", "since (UTC)", "why"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(
            str(row.id), escape(row.of), escape(row.what), f"{row.at:%Y-%m-%d %H:%M:%S}", escape(row.why or "")
        )
    print_out(table if rows else "nothing is given up")


@app.command()
def retry(
    reason: ReasonOption = None,
    kind: KindOption = "message",
    ids: IdOption = None,
    system: SystemOption = None,
    service: ServiceOption = None,
    head_end: HeadEndOption = None,
    before: BeforeOption = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Try what is given up again, at once: a message under its own UUID, an item by deciding it anew."""
    from mdus.bootstrap import mending

    which = _which(kind, ids, system, service, head_end, before)
    _do(which, reason, dry_run=dry_run, deed=mending.try_again, done="tried again", as_json=as_json)


@app.command()
def leave(
    reason: ReasonOption = None,
    kind: KindOption = "message",
    ids: IdOption = None,
    system: SystemOption = None,
    service: ServiceOption = None,
    head_end: HeadEndOption = None,
    before: BeforeOption = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Leave what is given up for good and close its cases: SAP gets no message, an item no confirmation."""
    from mdus.bootstrap import mending

    which = _which(kind, ids, system, service, head_end, before)
    _do(which, reason, dry_run=dry_run, deed=mending.leave, done="left", as_json=as_json)


def resend(
    message: Annotated[int, typer.Argument(help="The message's number.")],
    reason: ReasonOption = None,
    as_json: AsJson = False,
) -> None:
    """Send a message to SAP once more: the same bytes under its own UUID, as for SAP that has lost it."""
    from mdus.bootstrap import mending
    from mdus.bootstrap.operating import opened

    deed = _deed(reason)
    with opened(os.environ) as database:
        mending.send_once_more(database, message, deed)
    told = f"message {message} goes out once more"
    print_result({"message": message, "outcome": told}, told, as_json=as_json)


def replay(
    message: Annotated[int, typer.Argument(help="The message's number.")],
    reason: ReasonOption = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Take a message of SAP's in once more. Nothing is decided twice; what was refused is judged anew."""
    from mdus.bootstrap import mending

    outcome = mending.replay(os.environ, message, _deed(reason), dry_run=dry_run)
    print_result({"message": message, "dry_run": dry_run, "outcome": outcome}, escape(outcome), as_json=as_json)


def _do(which: Which, reason: str | None, *, dry_run: bool, deed: Any, done: str, as_json: bool) -> None:
    from mdus.bootstrap.operating import opened

    if dry_run:
        rows = _given_up(which)
        more = " or more" if len(rows) == _SHOWN else ""
        told = f"{len(rows)}{more} would be {done}"
        print_result({"count": len(rows), "outcome": told, "dry_run": True}, told, as_json=as_json)
        return
    doing = _deed(reason)
    with opened(os.environ) as database, Bar() as bar:
        bar.show(f"being {done}", 0, None)
        count = deed(database, which, doing)
    told = f"{count} {done}"
    print_result({"count": count, "outcome": told, "dry_run": False}, told, as_json=as_json)
    if count == 0:
        raise typer.Exit(1)


def _deed(reason: str | None) -> Deed:
    from mdus.storage.audit import Deed

    return Deed(who=getpass.getuser(), reason=reason_of(reason))


def _given_up(which: Which) -> Any:
    from mdus.bootstrap.mending import given_up
    from mdus.bootstrap.operating import opened

    with opened(os.environ) as database:
        return given_up(database, which, limit=_SHOWN)


def _which(
    kind: str,
    ids: list[int] | None,
    system: str | None,
    service: str | None,
    head_end: str | None,
    before: datetime | None,
) -> Which:
    from mdus.storage.mending import Kind, Which

    if kind not in set(Kind):
        raise typer.BadParameter(f"one of {', '.join(Kind)}", param_hint="--kind")
    return Which(
        kind=Kind(kind),
        ids=tuple(ids or ()),
        sender_system=system,
        service=service,
        head_end=head_end,
        before=before if before is None else before.replace(tzinfo=UTC),
    )
