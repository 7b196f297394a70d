"""Commands that start something: the server, a worker, a migration, the demonstration, the conformance tester."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Annotated, NoReturn

import typer
from rich.markup import escape

from mdus.cli.output import AsJson, Bar, print_problems, print_result
from mdus.settings import Problem
from mdus.telemetry.shared_counts import shared_counts

SimulatedClock = Annotated[
    bool,
    typer.Option(
        "--simulated-clock", help="Go by the clock of a landscape, which is steered at /clock. Never for real."
    ),
]


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: http.host]")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 takes any free one.  [default: http.port]")
    ] = None,
    no_workers: Annotated[
        bool, typer.Option("--no-workers", help="Start no worker processes; they run apart.")
    ] = False,
    simulated_clock: SimulatedClock = False,
) -> None:
    """Serve SOAP, REST and the head ends' callbacks, with the workers and the scheduler.

    A fresh SQLite file is made as needed. Ends in good order at SIGTERM or Ctrl-C.
    """
    with shared_counts():
        from mdus.bootstrap.serving import serve as serve_here

        code = serve_here(os.environ, host=host, port=port, workers=not no_workers, simulated_clock=simulated_clock)
    raise typer.Exit(code)


def work(
    simulated_clock: SimulatedClock = False,
    child_of: Annotated[int | None, typer.Option("--child-of", hidden=True)] = None,
) -> None:
    """Run one worker process: decides, commands head ends, delivers to SAP, schedules.

    Several share one PostgreSQL database; a SQLite file has one. Ends after the present turn at SIGTERM.
    """
    from mdus.bootstrap.working import work as work_here

    raise typer.Exit(work_here(os.environ, simulated_clock=simulated_clock, parent=child_of))


def migrate(as_json: AsJson = False) -> None:
    """Bring the database to the schema this version needs; an empty one gets all tables."""
    from mdus.bootstrap.database import migrate_named

    with Bar() as bar:
        done = migrate_named(os.environ, progress=lambda applied, total: bar.show("migrations", applied, total))
    result = {"database": done.database, "was": done.was, "applied": done.applied}
    print_result(result, escape(str(done)), as_json=as_json)


def demo(context: typer.Context) -> None:
    """Play three days of a utility on this machine: simulated SAP, MDUS, head end and meters.

    All that follows goes to the landscape: mdus demo --help.
    """
    missing = [name for name in ("simulators.landscape", "spyne", "zeep") if not _is_there(name)]
    if missing:
        what = f"the demonstration needs what is not installed: {', '.join(missing)}"
        print_problems([Problem(what=what, where=sys.prefix, mend="pip install 'mdus[demo]'")])
        raise typer.Exit(1)
    _become("simulators.landscape", context.args)


def conformance(context: typer.Context) -> None:
    """Test any MDUS, this one or another's, as SAP sees it: every message of the contract, right and wrong.

    All that follows goes to the tester: mdus conformance --help.
    """
    _become("simulators.conformance", context.args)


def _become(module: str, arguments: list[str]) -> NoReturn:
    """Let a simulator take this process over: its exit code, its signals and its terminal are its own."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
