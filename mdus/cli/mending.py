"""`mdus dead`, `mdus resend`, `mdus replay`: what was given up, and messages sent or taken in once more."""

from __future__ import annotations

import getpass
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from mdus.cli.output import print_out

if TYPE_CHECKING:
    from mdus.storage.audit import Deed
    from mdus.storage.mending import Which

app = typer.Typer(help="What MDUS has given up: list it, try it again, or leave it for good.", no_args_is_help=True)

KindOption = Annotated[str, typer.Option("--kind", help="message (to SAP), item (of SAP's), or delivery (head end).")]
IdOption = Annotated[list[int] | None, typer.Option("--id", help="Only this one; may be repeated.")]
SystemOption = Annotated[str | None, typer.Option("--system", help="Only of this sender system.")]
ServiceOption = Annotated[str | None, typer.Option("--service", help="Only of this service.")]
HeadEndOption = Annotated[str | None, typer.Option("--head-end", help="Only of this head end.")]
BeforeOption = Annotated[datetime | None, typer.Option("--before", help="Only what was stored before (UTC).")]
ReasonOption = Annotated[str, typer.Option(help="Why; kept in the audit.", prompt="Reason")]
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
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List what is given up, the oldest first."""
    rows = _given_up(_which(kind, ids, system, service, head_end, before))
    if as_json:
        print(json.dumps([dict(row._mapping) for row in rows], default=str))
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
    reason: ReasonOption,
    kind: KindOption = "message",
    ids: IdOption = None,
    system: SystemOption = None,
    service: ServiceOption = None,
    head_end: HeadEndOption = None,
    before: BeforeOption = None,
    dry_run: DryRun = False,
) -> None:
    """Try what is given up again, at once: a message under its own UUID, an item by deciding it anew."""
    from mdus.bootstrap import mending

    which = _which(kind, ids, system, service, head_end, before)
    _do(which, reason, dry_run=dry_run, deed=mending.try_again, done="tried again")


@app.command()
def leave(
    reason: ReasonOption,
    kind: KindOption = "message",
    ids: IdOption = None,
    system: SystemOption = None,
    service: ServiceOption = None,
    head_end: HeadEndOption = None,
    before: BeforeOption = None,
    dry_run: DryRun = False,
) -> None:
    """Leave what is given up for good and close its cases: SAP gets no message, an item no confirmation."""
    from mdus.bootstrap import mending

    which = _which(kind, ids, system, service, head_end, before)
    _do(which, reason, dry_run=dry_run, deed=mending.leave, done="left")


def resend(message: Annotated[int, typer.Argument(help="The message's number.")], reason: ReasonOption) -> None:
    """Send a message to SAP once more: the same bytes under its own UUID, as for SAP that has lost it."""
    from mdus.bootstrap import mending
    from mdus.bootstrap.operating import opened

    deed = _deed(reason)
    with opened(os.environ) as database:
        mending.send_once_more(database, message, deed)
    print_out(f"message {message} goes out once more")


def replay(
    message: Annotated[int, typer.Argument(help="The message's number.")], reason: ReasonOption, dry_run: DryRun = False
) -> None:
    """Take a message of SAP's in once more. Nothing is decided twice; what was refused is judged anew."""
    from mdus.bootstrap import mending

    print_out(escape(mending.replay(os.environ, message, _deed(reason), dry_run=dry_run)))


def _do(which: Which, reason: str, *, dry_run: bool, deed: Any, done: str) -> None:
    from mdus.bootstrap.operating import opened

    if dry_run:
        rows = _given_up(which)
        more = " or more" if len(rows) == _SHOWN else ""
        print_out(f"{len(rows)}{more} would be {done}")
        return
    doing = _deed(reason)
    with opened(os.environ) as database:
        count = deed(database, which, doing)
    print_out(f"{count} {done}")
    if count == 0:
        raise typer.Exit(1)


def _deed(reason: str) -> Deed:
    from mdus.storage.audit import Deed

    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    return Deed(who=getpass.getuser(), reason=reason.strip())


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
