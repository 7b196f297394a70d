"""Starts the head end: `python -m simulators.headend_rest --help`."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from simulators.clock import Clock
from simulators.headend_rest.api import Api, Problem, problem_response
from simulators.headend_rest.control import Control
from simulators.headend_rest.core import Behaviour
from simulators.headend_rest.deliveries import Deliveries
from simulators.headend_rest.faults import FAULTS, FaultPlan, UnknownFault, parse
from simulators.headend_rest.headend import HeadEnd
from simulators.headend_rest.journal import Journal, JournalDamaged
from simulators.headend_rest.meters import population
from simulators.headend_rest.state import StateMismatch

_PASSWORD = "HEADEND_REST_PASSWORD"
_CALLBACK_PASSWORD = "HEADEND_REST_CALLBACK_PASSWORD"


class CuttableProtocol(HttpToolsProtocol):
    """This will let an application cut the connection without a byte of an answer."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # The type of the scope knows only the extensions of the ASGI specification.
        self.scope["extensions"] = {"simulator.cut": self.transport.abort}  # type: ignore[dict-item]


def arguments() -> argparse.ArgumentParser:
    """This will describe the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m simulators.headend_rest",
        description="A simulated head end with a JSON API (docs/head_ends/rest.md) and the meters behind it.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    add("--port", type=int, default=9100, help="port to listen on, 0 for a free one (default %(default)s)")
    add("--seed", type=int, default=1, help="makes the meters, their load and their failures (default %(default)s)")
    add("--meters", type=int, default=100, help="how many meters (default %(default)s)")
    add("--faults", default="", metavar="NAME[=TIMES],...|all", help="how to misbehave; see --list-faults")
    add("--list-faults", action="store_true", help="print the faults as JSON and end")
    add(
        "--state",
        type=Path,
        metavar="FILE",
        help="keep commands, switch states and open pushes here (default: nowhere)",
    )
    add(
        "--clock",
        metavar="URL|FILE",
        help="where {anchor, epoch, speed} of the simulated clock is (default: real time)",
    )
    add("--callback-url", metavar="URL", help="base of all pushes, but of results whose job names another")
    add("--user", default="mdus", help="who may use the API (default %(default)s)")
    add("--password", help=f"and with which password (default: ${_PASSWORD})")
    add("--callback-user", default="headend", help="as whom to push (default %(default)s)")
    add("--callback-password", help=f"and with which password (default: ${_CALLBACK_PASSWORD})")
    add("--time-zone", default="Europe/Berlin", help="IANA zone of the daily snapshots (default %(default)s)")
    add("--latency", type=float, default=3.0, metavar="SECONDS", help="median time of a meter to answer (default 3)")
    add(
        "--hear-delay",
        type=float,
        default=180.0,
        metavar="SECONDS",
        help="from provisioning to first heard (default 180)",
    )
    add(
        "--answer-delay",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="real time to acknowledge a job it has taken: who dies in between does not know of it (default 0)",
    )
    add(
        "--failure-rate",
        type=float,
        default=0.01,
        metavar="SHARE",
        help="reads and collections that fail (default 0.01)",
    )
    add(
        "--event-rate",
        type=float,
        default=0.002,
        metavar="SHARE",
        help="events that happen by themselves, per meter and day (default 0.002)",
    )
    add(
        "--profiles",
        choices=("model", "daily"),
        default="model",
        help="how often meters deliver interval values: as their model does, or all daily (default %(default)s)",
    )
    add("--max-outstanding", type=int, default=200_000, metavar="N", help="device orders until 503 (default 200000)")
    return parser


def build(options: argparse.Namespace, *, password: str, callback_password: str) -> Starlette:
    """This will wire a head end from the command line; ValueError and the errors of its parts where that is wrong."""
    behaviour = Behaviour(
        seed=options.seed,
        zone=ZoneInfo(options.time_zone),
        callback_url=None if options.callback_url is None else options.callback_url.rstrip("/"),
        latency=options.latency,
        hear_delay=options.hear_delay,
        answer_delay=options.answer_delay,
        failure_rate=options.failure_rate,
        event_rate=options.event_rate,
        daily_profiles=options.profiles == "daily",
        most_outstanding=options.max_outstanding,
    )
    faults = FaultPlan(parse(options.faults), seed=options.seed)
    clock = Clock(options.clock)
    journal = Journal(options.state)
    deliveries = Deliveries(journal, user=options.callback_user, password=callback_password)
    head_end = HeadEnd(
        population(seed=options.seed, size=options.meters),
        behaviour=behaviour,
        clock=clock,
        journal=journal,
        deliveries=deliveries,
        faults=faults,
    )
    head_end.restore()

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        head_end.start()
        yield
        await head_end.stop()
        clock.close()

    return Starlette(
        routes=[*Api(head_end, user=options.user, password=password).routes(), *Control(head_end).routes()],
        exception_handlers={Problem: problem_response, HTTPException: problem_response},
        lifespan=lifespan,
    )


async def serve(app: Starlette, *, host: str, port: int) -> None:
    """This will listen until SIGTERM or SIGINT, and say on standard output where."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=CuttableProtocol,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    # The protocol is named, because asyncio turns Nagle's algorithm off only then: otherwise each answer waits 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)  # who is told the address may connect at once, and waits until it is served
        print(json.dumps({"listening": f"http://{host}:{listening.getsockname()[1]}"}), flush=True)
        await server.serve(sockets=[listening])


def main(argv: list[str] | None = None) -> int:
    """This will run the simulator; 2 when it is set up wrongly."""
    options = arguments().parse_args(argv)
    if options.list_faults:
        table = [
            {"name": fault.name, "description": fault.description, "process": fault.process}
            for fault in FAULTS.values()
        ]
        print(json.dumps(table, indent=2))
        return 0
    password = options.password or os.environ.get(_PASSWORD, "")
    callback_password = options.callback_password or os.environ.get(_CALLBACK_PASSWORD, "")
    if not password:
        print(f"no password: give --password or ${_PASSWORD}", file=sys.stderr)
        return 2
    try:
        app = build(options, password=password, callback_password=callback_password)
    except (ValueError, ZoneInfoNotFoundError, UnknownFault, StateMismatch, JournalDamaged) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 2
    try:
        asyncio.run(serve(app, host=options.host, port=options.port))
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        print(f"cannot listen on {options.host}:{options.port}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(main())
