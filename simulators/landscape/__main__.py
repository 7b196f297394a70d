"""Starts and plays the landscape: `python -m simulators.landscape --help`; also behind `mdus demo`."""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from simulators.landscape.clients import Clients, ControlRefused
from simulators.landscape.faults import FIELD_FAULTS
from simulators.landscape.head_ends import FURTHER, Further, chosen, has_mover, simulated
from simulators.landscape.processes import (
    CannotStart,
    Layout,
    Process,
    further_process,
    head_end_process,
    mdus_process,
    new_layout,
    row_of,
    sap_process,
    start_all,
    write_head_ends,
)
from simulators.landscape.report import Check, Judge, Report, show
from simulators.landscape.scenario import FIRST_HOUR, Scenario, days_with_change
from simulators.landscape.steering import Stalled, Steering
from simulators.sap_cis.faults import FAULTS as SAP_FAULTS

#: Meters the head end has beside those asked for: they take the places of others.
SPARES = 10


def arguments() -> argparse.ArgumentParser:
    """This will describe the command line."""
    parser = argparse.ArgumentParser(
        prog="mdus demo",
        description="SAP, MDUS, a head end and its meters as real processes on one steered clock: three local days.",
    )
    add = parser.add_argument
    add("--meters", type=int, default=1000, help="how many meters (default %(default)s)")
    add("--seed", type=int, default=1, help="decides meters, choices and faults (default %(default)s)")
    add("--speed", type=float, default=60.0, help="upper bound of the clock's pace (default %(default)s)")
    add("--faults", default="", metavar="NAME,...|all", help="how SAP and the head end misbehave; see --list-faults")
    add("--list-faults", action="store_true", help="print every fault with a sentence and end")
    add(
        "--head-ends",
        default="",
        metavar="KIND,...|none",
        help=f"further head ends with some meters each: {', '.join(each.kind for each in FURTHER)} (default: all)",
    )
    add("--keep", action="store_true", help="keep database, journals and logs, and say where")
    add("--report", type=Path, metavar="FILE", help="write the whole report as JSON")
    add("--database-url", metavar="URL", help="an empty PostgreSQL database instead of a fresh SQLite file")
    add("--time-zone", default="Europe/Berlin", help="IANA zone of the landscape (default %(default)s)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """This will return 0 only if everything held; 1 if not, 2 if the landscape could not be run, 130 after Ctrl-C."""
    options = arguments().parse_args(argv)
    # Into a file or a pipe: wide enough that no table is cut.
    console = Console() if sys.stdout.isatty() else Console(width=100)
    if options.list_faults:
        for name, sentence in _descriptions().items():
            console.print(f"[bold]{name}[/]  {sentence}")
        return 0
    try:
        wanted = _wanted(options.faults)
        further = chosen(options.head_ends)
    except ValueError as error:
        console.print(f"[red]{error}[/]")
        return 2
    # Told to end, it ends like after Ctrl-C, also where a shell started it with Ctrl-C ignored: with all it started.
    for told_to_end in (signal.SIGINT, signal.SIGTERM):
        signal.signal(told_to_end, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="mdus-demo-"))
    held = False
    try:
        there = simulated(further)
        for each in further:
            if each not in there:
                console.print(f"left out: {each.kind}, of which there is no simulator")
        report = _run(options, wanted, there, folder, console)
        show(report, console)
        if options.report:
            options.report.write_text(json.dumps(report.as_json(), indent=2))
            console.print(f"report: {options.report}")
        held = report.held
        console.print("[bold green]Everything held.[/]" if held else "[bold red]Not everything held.[/]")
        return 0 if held else 1
    except KeyboardInterrupt:
        console.print("stopped: all processes of the landscape have ended")
        return 130
    except (CannotStart, Stalled, ControlRefused, httpx.HTTPError) as error:
        console.print(f"[red]{type(error).__name__}:[/] {error}", highlight=False)
        return 2
    finally:
        if options.keep:
            console.print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _run(
    options: argparse.Namespace,
    wanted: dict[str, list[str]],
    further: Sequence[Further],
    folder: Path,
    console: Console,
) -> Report:
    layout = new_layout(
        folder,
        database_url=options.database_url,
        further=further,
        meters=options.meters,
        begin=options.meters + SPARES,
    )
    zone = ZoneInfo(options.time_zone)
    began = time.monotonic()
    with _progress(console) as progress, contextlib.ExitStack() as stack:
        bar = progress.add_task("starting MDUS", total=None)
        # So small that a storm in the neighbourhood is one, whatever the size of the landscape.
        storm_limit = max(5, options.meters // 20)
        mdus = mdus_process(layout, environment={"MDUS_EVENTS__STORM_LIMIT": str(storm_limit)})
        _started(stack, mdus)
        clients = Clients(layout)
        stack.callback(clients.close)
        days = days_with_change(zone, after=datetime.now(UTC))
        morning = datetime.combine(days[0], FIRST_HOUR, zone).astimezone(UTC)
        clients.mdus.post("/clock", speed=1.0, jump_to=morning.isoformat())
        progress.update(bar, description="starting SAP and the head ends")
        spoiling = [name for name in wanted["head end"] if FIELD_FAULTS[name].kinds == ("intervals",)]
        field = head_end_process(
            layout,
            seed=options.seed,
            meters=options.meters + SPARES + has_mover(layout.shares),
            faults=",".join(name for name in wanted["head end"] if name not in spoiling),
            profiles="daily",
        )
        sap = sap_process(layout, seed=options.seed, faults=",".join(wanted["sap"]))
        others = [further_process(layout, share, seed=options.seed) for share in layout.shares]
        for process in (field, sap, *others):
            stack.callback(process.stop)
        start_all((field, sap, *others))
        if others:
            # What MDUS has to know of them they say themselves; but they began by its clock, and it reads this once.
            write_head_ends(layout, [row_of(layout, share) for share in layout.shares])
            mdus.stop()
            mdus.start()

        def watch() -> None:
            for process in (mdus, field, sap, *others):
                process.check()

        steering = Steering(clients, speed=options.speed, watch=watch)
        scenario = Scenario(
            clients,
            steering,
            zone=zone,
            days=days,
            seed=options.seed,
            operate=lambda *command: _operate(mdus, command),
            storm_limit=storm_limit,
            spares=SPARES,
            shares=layout.shares,
            progress=lambda done, of, what: progress.update(bar, description=what, completed=done, total=of),
        )
        scenario.profiles.faults = spoiling
        scenario.play()
        progress.update(bar, description="judging")
        judge = Judge(clients, scenario, wanted_faults=wanted)
        report = judge.report(meters=options.meters, seed=options.seed, seconds=time.monotonic() - began)
        never = [fault.name for fault in report.faults if not fault.fired]
        if report.faults:
            report.checks.append(
                Check(
                    name="every fault asked for has fired",
                    held=not never,
                    seen=f"never: {', '.join(never)}" if never else f"{len(report.faults)} of {len(report.faults)}",
                )
            )
    report.checks.append(_all_ended(layout))
    return report


def _started(stack: contextlib.ExitStack, process: Process) -> None:
    stack.callback(process.stop)
    process.start()


def _all_ended(layout: Layout) -> Check:
    """Look whether anything still listens where the landscape did."""
    left = []
    for url in (layout.mdus_url, layout.sap_url, layout.head_end_url, *(share.url for share in layout.shares)):
        with contextlib.suppress(httpx.HTTPError):
            httpx.get(url, timeout=1.0, trust_env=False)
            left.append(url)
    return Check(name="all processes have ended", held=not left, seen=", ".join(left) or "none listens any more")


def _operate(mdus: Process, command: Sequence[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mdus", *command],
        env=mdus.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise CannotStart(f"mdus {' '.join(command)}: {done.stdout}{done.stderr}")


def _wanted(names: str) -> dict[str, list[str]]:
    """Return the faults asked for by the process that plays them; ValueError names what is unknown."""
    asked = [name.strip() for name in names.split(",") if name.strip()]
    known = _descriptions()
    unknown = [name for name in asked if name not in (*known, "all")]
    if unknown:
        raise ValueError(f"unknown fault {', '.join(unknown)}; known are {', '.join(known)}")
    chosen = set(known) if "all" in asked else set(asked)
    return {
        "sap": [name for name in SAP_FAULTS if name in chosen],
        "head end": [name for name in FIELD_FAULTS if name in chosen],
    }


def _descriptions() -> dict[str, str]:
    return {**SAP_FAULTS, **{name: fault.description for name, fault in FIELD_FAULTS.items()}}


@contextlib.contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=not os.environ.get("CI")) as progress:
        yield progress


if __name__ == "__main__":
    sys.exit(main())
