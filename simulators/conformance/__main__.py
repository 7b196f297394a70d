"""Runs the conformance tester: `python -m simulators.conformance --help`, also behind `mdus conformance`."""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from simulators.conformance import reporting
from simulators.conformance.contract import ROOTS, SERVICES, Contract, contract_folder
from simulators.conformance.running import Options, Outcome, Run
from simulators.conformance.subjects import World
from simulators.conformance.triggering import STIMULI

_PASSWORD = "CONFORMANCE_PASSWORD"
_OWN_PASSWORD = "CONFORMANCE_OWN_PASSWORD"

#: IANA zone -> SAP's code, as far as this tester knows them.
_ZONE_CODES = {"Europe/Berlin": "CET", "Europe/London": "GMTUK", "Asia/Kolkata": "INDIA", "UTC": "UTC"}


def arguments() -> argparse.ArgumentParser:
    """This will describe the command line."""
    parser = argparse.ArgumentParser(
        prog="mdus conformance",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Plays SAP against any MDUS and says, message by message, what it does right: each message of the\n"
        "contract is put through ok, business error, duplicate, changed duplicate, malformed and reordered.",
        epilog="exit codes: 0 nothing failed, nothing was left untriggered; 1 something was; 2 it could not be run\n\n"
        + _stimuli(),
    )
    add = parser.add_argument
    add("--url", required=True, help="where the tested MDUS takes messages; {interface} in it is replaced, or appended")
    add("--listen", required=True, metavar="HOST:PORT", help="where its answers arrive; port 0 takes a free one")
    add("--system", required=True, metavar="SENDER", help="the SAP system to play: SenderBusinessSystemID")
    add("--single-system", metavar="SENDER", help="a second one, to which the MDUS sends single messages, not bulks")
    add(
        "--timeout",
        type=float,
        default=30.0,
        metavar="S",
        help="how long the MDUS has for anything (default %(default)g)",
    )
    add("--settle", type=float, default=3.0, metavar="S", help="quiet before judging (default %(default)g)")
    add(
        "--trigger",
        metavar="CMD",
        help="stimulates the field; without it what an MDUS starts is not triggered, see below",
    )
    add("--allow-untriggered", action="store_true", help="exit with 0 although something was not triggered")
    add("--only", action="append", default=[], metavar="SERVICE", help="only this service or message; may be repeated")
    add("--list", action="store_true", help="print the services with their messages and end")
    add("--user", help="as whom to call the MDUS")
    add("--password", help=f"and with which password (default: ${_PASSWORD})")
    add("--own-user", help="whom the MDUS must say it is (default: anybody may)")
    add("--own-password", help=f"and with which password (default: ${_OWN_PASSWORD})")
    add("--ams", default="AM01", metavar="ID", help="the advanced metering system of all devices (default %(default)s)")
    add("--material", default="LX100-SW", help="material of devices without a meter of the field (default %(default)s)")
    add("--time-zone", default="Europe/Berlin", help="IANA zone of SAP's dates (default %(default)s)")
    add("--time-zone-code", help="SAP's code of that zone (default: known for a few)")
    add("--recurrence", default="15", metavar="CODE", help="code of 15-minute values (default %(default)s)")
    add("--role", default="1", metavar="CODE", help="role of a register in a profile (default %(default)s)")
    add("--seed", type=int, help="tells this run's ids from another's (default: by the clock)")
    add("--report", type=Path, metavar="FILE", help="write the whole result as JSON")
    add("--junit", type=Path, metavar="FILE", help="write it as JUnit XML")
    add("--markdown", type=Path, metavar="FILE", help="write the matrix as Markdown")
    return parser


def main(argv: list[str] | None = None) -> int:
    """This will run the tester and return its exit code; 130 after Ctrl-C."""
    argv = sys.argv[1:] if argv is None else argv
    # Into a file or a pipe: wide enough that no name is folded.
    console = Console() if sys.stdout.isatty() else Console(width=160)
    if "--list" in argv:
        _list(console)
        return 0
    parser = arguments()
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    for told_to_end in (signal.SIGINT, signal.SIGTERM):
        signal.signal(told_to_end, signal.default_int_handler)
    try:
        options = _options(given)
        outcome = _run(options, console)
    except (ValueError, ZoneInfoNotFoundError) as error:
        parser.error(str(error))
    except OSError as error:
        console.print(f"[red]cannot listen on {given.listen}:[/] {error}", highlight=False)
        return 2
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    reporting.show(outcome, console)
    _write(outcome, given, options)
    passed = reporting.held(outcome, untriggered_passes=given.allow_untriggered)
    console.print("[bold green]Conforms.[/]" if passed else "[bold red]Does not conform.[/]")
    return 0 if passed else 1


def _run(options: Options, console: Console) -> Outcome:
    with _progress(console) as progress:
        bar = progress.add_task("listening", total=None)

        def listening(address: str) -> None:
            progress.console.print(
                f"The tested MDUS must send its messages to [bold]{address}[/], "
                "{interface} replaced by SAP's name of the interface.",
                highlight=False,
            )

        def moved(done: int, of: int) -> None:
            progress.update(bar, description=f"seed {options.seed}", completed=done, total=of)

        return asyncio.run(Run(options, Contract(contract_folder())).run(listening=listening, progress=moved))


def _options(given: argparse.Namespace) -> Options:
    host, _, port = given.listen.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"--listen {given.listen} is not HOST:PORT")
    zone = ZoneInfo(given.time_zone)
    zone_code = given.time_zone_code or _ZONE_CODES.get(given.time_zone)
    if zone_code is None:
        raise ValueError(f"SAP's code of {given.time_zone} is not known here: --time-zone-code")
    if not 1 <= len(given.ams) <= 4:
        raise ValueError("--ams has 1 to 4 characters")
    if given.timeout <= 0 or given.settle < 0:
        raise ValueError("--timeout and --settle are seconds")
    return Options(
        url=given.url,
        host=host.strip("[]"),
        port=int(port),
        system=given.system,
        single_system=given.single_system,
        world=World(ams=given.ams, zone=zone, zone_code=zone_code, recurrence=given.recurrence, role=given.role),
        seconds=given.timeout,
        settle=given.settle,
        material=given.material,
        seed=int(time.time()) if given.seed is None else given.seed,
        user=given.user,
        password=given.password or os.environ.get(_PASSWORD),
        own_user=given.own_user,
        own_password=given.own_password or os.environ.get(_OWN_PASSWORD),
        trigger=given.trigger,
        only=_only(given.only),
    )


def _only(wanted: list[str]) -> frozenset[str]:
    """Services by their own name, or by that of one of their messages or interfaces."""
    names = [name.strip() for one in wanted for name in one.split(",") if name.strip()]
    found = set()
    for name in names:
        root = name.removesuffix("_In").removesuffix("_Out")
        if name not in SERVICES and root not in ROOTS:
            raise ValueError(f"--only {name}: no such service; --list prints them")
        found.add(name if name in SERVICES else ROOTS[root][0].name)
    return frozenset(found or SERVICES)


def _write(outcome: Outcome, given: argparse.Namespace, options: Options) -> None:
    allowed = given.allow_untriggered
    if given.report:
        about = {"url": options.url, "system": options.system, "seed": options.seed}
        told = reporting.as_json(outcome, about=about, untriggered_passes=allowed)
        given.report.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if given.junit:
        given.junit.write_bytes(reporting.as_junit(outcome, untriggered_passes=allowed))
    if given.markdown:
        given.markdown.write_text(reporting.as_markdown(outcome), encoding="utf-8")


def _list(console: Console) -> None:
    for service in SERVICES.values():
        console.print(f"[bold]{service.name}[/]  {service.kind.value}", highlight=False)
        for root in service.roots:
            console.print(f"    {root}", highlight=False)


def _stimuli() -> str:
    lines = [
        "CMD is run as CMD STIMULUS name=value ..., the values also in the environment (CONFORMANCE_NAME); exit code"
    ]
    lines.append("0 says that it has happened, any other that it cannot, for the reason on standard error. Stimuli:")
    for name, (parameters, what) in STIMULI.items():
        lines.append(f"  {name} ({parameters})")
        lines.append(f"      {what}")
    return "\n".join(lines)


@contextlib.contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield progress


if __name__ == "__main__":
    sys.exit(main())
