"""`mdus trace`: where is my message? Everything that happened to a subject, and what is missing since when."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from mdus.cli.output import AsJson, note, print_json, print_out

if TYPE_CHECKING:
    from mdus.messaging.trace import Step, Trace

_COLOURS = {"came": "green", "due": "cyan", "missing": "bold red", "failed": "red"}


def trace(
    name: Annotated[
        str, typer.Argument(help="UUID or id of a message or order, device, serial number or point of delivery.")
    ],
    limit: Annotated[int, typer.Option(help="Most rows of each kind, the newest.")] = 200,
    payloads: Annotated[bool, typer.Option(help="With what each item says.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what happened to a message, an order or a meter, and which expected step is missing since when.

    Exit code 1 when the name stands for nothing.
    """
    from mdus.bootstrap.operating import opened
    from mdus.bootstrap.operating import trace as trace_of

    with opened(os.environ) as database:
        found = trace_of(database, name.strip(), limit=limit, payloads=payloads)
    if found is None:
        told = f"nothing is known of {name}: it is no message, item, command, order, device or serial number"
        if as_json:
            print_json(None)
            note(told)
        else:
            print_out(escape(told))
        raise typer.Exit(1)
    if as_json:
        print_json({**asdict(found), "missing": found.missing})
        return
    _show(found)


def _show(found: Trace) -> None:
    lines = Table(title="What happened (UTC)", box=SIMPLE)
    for name in ("at", "what", "of", "status", "s", "note"):
        lines.add_column(name, overflow="fold", no_wrap=name == "at")
    for one in found.happenings:
        seconds = "" if one.seconds is None else f"{one.seconds:.1f}"
        note = "\n".join(filter(None, (one.note, one.payload)))
        lines.add_row(f"{one.at:%Y-%m-%d %H:%M:%S}", *map(escape, (one.what, one.of, one.status, seconds, note)))
    print_out(lines)
    steps = Table(title="Steps", box=SIMPLE)
    for name in ("step", "of", "", "when", "note"):
        steps.add_column(name, overflow="fold")
    for step in found.steps:
        colour = _COLOURS[step.state]
        steps.add_row(
            escape(step.step), escape(step.of), f"[{colour}]{step.state}[/]", _when(step), escape(step.note or "")
        )
    print_out(steps)
    if found.is_cut:
        print_out("There is more than is shown: ask for a message or an order of it, or raise --limit.")
    told = [step for step in found.steps if step.state in ("missing", "failed")]
    for step in told:
        note = f": {step.note}" if step.note else ""
        line = escape(f"{step.step}, {step.of}, {_when(step)}{note}")
        print_out(f"[{_COLOURS[step.state]}]{step.state}[/] {line}")
    if not told:
        print_out("[green]Nothing is missing.[/]")


def _when(step: Step) -> str:
    if step.at is not None:
        return f"{step.at:%Y-%m-%d %H:%M:%S}"
    since = f"since {step.since:%Y-%m-%d %H:%M:%S}" if step.since else ""
    until = f", may come until {step.until:%Y-%m-%d %H:%M:%S}" if step.until and step.state == "due" else ""
    return since + until
