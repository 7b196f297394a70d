"""`mdus vee`: why values are what they are, what a changed rule set would do, and values set by hand."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from mdus.cli.asking import ReasonOption, reason_of
from mdus.cli.output import AsJson, Bar, print_json, print_out, print_result

if TYPE_CHECKING:
    from mdus.vee.comparing import Comparison
    from mdus.vee.explanation import Explanation, IntervalRun

app = typer.Typer(help="Validation: why values are what they are, trying rule sets, editing.", no_args_is_help=True)

_DAY = ["%Y-%m-%d"]
_COLOURS = {"actual": "green", "accepted": "green", "edited": "cyan", "estimated": "yellow"}

DeviceArgument = Annotated[str, typer.Argument(metavar="DEVICE", help="SAP's id of the device, or its serial number.")]
DayArgument = Annotated[datetime, typer.Argument(formats=_DAY, help="The day, local where the meter is.")]
TypeOption = Annotated[str | None, typer.Option("--type", help="The reading type, where there are several channels.")]
SystemOption = Annotated[str | None, typer.Option("--system", help="Only of this sender system.")]
IntervalsOption = Annotated[
    str | None,
    typer.Option("--intervals", help="Which: 40, or 40-43 as `mdus vee explain` numbers them.  [default: all]"),
]
SeenOption = Annotated[int | None, typer.Option("--version", help="Only if the day is still in this version.")]


@app.command()
def explain(
    device: DeviceArgument,
    day: DayArgument,
    reading_type: TypeOption = None,
    system: SystemOption = None,
    as_json: AsJson = False,
) -> None:
    """Tell why each value of a channel's day is what it is."""
    from mdus.bootstrap.operating import opened
    from mdus.bootstrap.validating import explain as explain_here

    with opened(os.environ) as database:
        found = explain_here(database, device, day.date(), reading_type=reading_type, system=system)
    if as_json:
        from mdus.endpoints.rest.interval_edits import explanation_shown

        print_json(explanation_shown(found).model_dump(mode="json"))
        return
    _show(found)


@app.command()
def preview(
    name: Annotated[str, typer.Argument(help="The rule set.")],
    file: Annotated[Path, typer.Option(help="TOML that says it as it would be, as config/vee.toml does.")],
    first: Annotated[datetime, typer.Option("--from", formats=_DAY, help="The first day.")],
    last: Annotated[datetime, typer.Option("--to", formats=_DAY, help="The last day.")],
    reading_types: Annotated[list[str] | None, typer.Option("--type", help="Only channels of this type.")] = None,
    devices: Annotated[list[str] | None, typer.Option("--device", help="Only this device; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most channel-days.")] = 20_000,
    seconds: Annotated[int, typer.Option(min=1, help="How long at most.")] = 600,
    examples: Annotated[int, typer.Option(min=0, help="Days told in words.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Try a changed rule set on the raw values of past days: what would differ. Nothing is written."""
    from mdus.bootstrap.validating import preview as preview_here
    from mdus.vee.comparing import Tried

    if last < first:
        raise typer.BadParameter("a day from --from on", param_hint="--to")
    tried = Tried(
        first=first.date(),
        before=last.date() + timedelta(days=1),
        reading_types=frozenset(reading_types or ()),
        devices=frozenset(devices or ()),
        limit=limit,
        seconds=seconds,
        examples=examples,
    )
    with Bar() as bar:
        found = preview_here(
            os.environ, name, file, tried, progress=lambda done, total: bar.show("channel-days", done, total)
        )
    if as_json:
        from mdus.endpoints.rest.rule_sets import preview_shown

        print_json(preview_shown(found).model_dump(mode="json"))
        return
    _show_preview(found)


@app.command()
def edit(
    device: DeviceArgument,
    day: DayArgument,
    values: Annotated[list[str], typer.Option("--value", help="Of each interval in order; `-` leaves one as it is.")],
    intervals: IntervalsOption = None,
    reason: ReasonOption = None,
    reading_type: TypeOption = None,
    system: SystemOption = None,
    seen: SeenOption = None,
    as_json: AsJson = False,
) -> None:
    """Set values of a day by hand; rules judge the day as it is then."""
    given = [_quantity(value) for value in values]
    _edit("set", device, day, intervals, reason, reading_type, system, seen, as_json=as_json, values=given)


def _without_values(action: str) -> Callable[..., None]:
    """Return the command of an action that needs no values."""

    def command(
        device: DeviceArgument,
        day: DayArgument,
        intervals: IntervalsOption = None,
        reason: ReasonOption = None,
        reading_type: TypeOption = None,
        system: SystemOption = None,
        seen: SeenOption = None,
        as_json: AsJson = False,
    ) -> None:
        _edit(action, device, day, intervals, reason, reading_type, system, seen, as_json=as_json)

    return command


for _action, _help in {
    "accept": "Take suspect values and estimates of a day for right.",
    "reject": "Take estimates of a day away: they are worse than none, and are not made again.",
    "undo": "Take back the last edit of each interval of a day: what was before is there again, and rules decide anew.",
}.items():
    app.command(_action, help=_help)(_without_values(_action))


def _edit(
    action: str,
    device: str,
    day: datetime,
    intervals: str | None,
    reason: str | None,
    reading_type: str | None,
    system: str | None,
    seen: int | None,
    *,
    as_json: bool,
    values: list[Decimal | None] | None = None,
) -> None:
    from mdus.bootstrap.operating import opened
    from mdus.bootstrap.validating import edit as edit_here
    from mdus.endpoints.interval_edits import Action
    from mdus.storage.audit import Deed

    span = _span(intervals)
    deed = Deed(who=getpass.getuser(), reason=reason_of(reason))
    with opened(os.environ) as database:
        done = edit_here(
            database,
            device,
            day.date(),
            Action(action),
            deed,
            reading_type=reading_type,
            system=system,
            intervals=span,
            values=values or (),
            seen=seen,
        )
    count = len(done.positions)
    told = f"{count} {'interval' if count == 1 else 'intervals'} of {done.day}: version {done.version}"
    document = {"day": done.day, "version": done.version, "intervals": list(done.positions), "outcome": told}
    print_result(document, told, as_json=as_json)


def _span(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, last = text.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal() or int(last or first) < int(first):
        raise typer.BadParameter("one number, or two such as 40-43", param_hint="--intervals")
    return int(first), int(last or first)


def _quantity(text: str) -> Decimal | None:
    if text == "-":
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is no number", param_hint="--value") from None


# -- showing ----------------------------------------------------------------------------------------------------------


def _show(found: Explanation) -> None:
    channel = found.channel
    head = f"{channel.device_id} of {channel.sender_system}, {channel.reading_type}, {found.day} ({channel.time_zone})"
    print_out(f"[bold]{escape(head)}[/bold]")
    version = "not validated yet" if found.version is None else f"version {found.version}"
    looked = "" if found.rule_set is None else f"; looked at by {found.rule_set}: {', '.join(found.rules) or 'no rule'}"
    total = "" if found.total is None else f"; {found.total:f} {channel.unit}"
    print_out(escape(f"{version}{looked}{total}"))
    if found.case is not None:
        print_out(f"[bold red]a human must see it:[/] {escape(found.case)}")
    for line in found.found:
        print_out(f"found: {escape(line)}")
    table = Table(box=SIMPLE)
    for name in ("intervals", "from (UTC)", "to", "values", "state", "why"):
        table.add_column(name, overflow="fold", no_wrap=name in ("intervals", "from (UTC)", "to"))
    for run in found.runs:
        colour = _COLOURS.get(run.state, "red")
        table.add_row(
            str(run.first) if run.first == run.last else f"{run.first}-{run.last}",
            f"{run.start:%m-%d %H:%M}",
            f"{run.end:%H:%M}",
            _values(run),
            f"[{colour}]{run.state}[/]",
            escape("\n".join((*run.says, *run.qualities))),
        )
    print_out(table)
    history = Table(title="Versions (UTC)", box=SIMPLE)
    for name in ("at", "whose", "version", "by", "why", "values"):
        history.add_column(name, overflow="fold", no_wrap=name == "at")
    for each in found.history:
        counts = [f"{each.values} values"]
        counts += [
            f"{getattr(each, kind)} {kind}" for kind in ("estimated", "edited", "suspect") if getattr(each, kind)
        ]
        counts += ["acted on"] if each.used else []
        history.add_row(
            f"{each.written_at:%Y-%m-%d %H:%M:%S}",
            each.layer,
            f"{each.version}{' (current)' if each.is_current else ''}",
            escape(each.written_by),
            escape(each.cause + (f": {each.note}" if each.note else "")),
            ", ".join(counts),
        )
    print_out(history)
    for title, lines in (("Edits", found.edits), ("Handed over", found.handed_over)):
        if lines:
            print_out(f"[bold]{title}[/bold]")
            for line in lines:
                print_out(escape(f"  {line}"))
    if not found.handed_over:
        print_out("nothing of it is handed over yet")


def _values(run: IntervalRun) -> str:
    told = ["-" if value is None else f"{value:f}" for value in run.values]
    if len(set(told)) == 1:
        return told[0]
    return " ".join(told) if len(told) <= 4 else f"{told[0]} {told[1]} ... {told[-1]}"


def _show_preview(found: Comparison) -> None:
    print_out(
        f"[bold]{escape(found.name)}[/bold] on {found.days} days of {found.channels} channels:"
        f" {found.different} come out otherwise"
    )
    table = Table("", "now", "changed", box=SIMPLE)
    for rule in dict.fromkeys([*found.flagged_before, *found.flagged_after]):
        table.add_row(escape(rule), str(found.flagged_before[rule]), str(found.flagged_after[rule]))
    table.add_row("days a human must see", *map(str, found.issues))
    table.add_row("values estimated", str(found.values_before), str(found.values_after))
    for unit in sorted({*found.estimated_before, *found.estimated_after}):
        amounts = (known.get(unit, Decimal(0)) for known in (found.estimated_before, found.estimated_after))
        table.add_row(f"{escape(unit)} estimated", *(f"{amount:f}" for amount in amounts))
    print_out(table)
    for each in found.examples:
        channel = each.channel
        print_out(f"[bold]{escape(f'{channel.device_id} {channel.reading_type} {each.day}')}[/bold]")
        print_out(escape(f"  now:     {each.before}"))
        print_out(escape(f"  changed: {each.after}"))
    for line in found.left_out:
        print_out(f"[yellow]left out:[/] {escape(line)}")
