"""The process of a simulated head end of any kind: the common command line, the wiring, and serving.

The first line on standard output is `{"listening": URL, "head_end": {...}}`: where the control API (and the protocol,
where that is HTTP) is, and the row of config/head_ends.toml that MDUS needs.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from simulators import starter
from simulators.clock import Clock
from simulators.fleet.control import Control
from simulators.fleet.core import Behaviour
from simulators.fleet.face import Kind
from simulators.fleet.faults import ROLLOVER, FaultPlan, UnknownFault, parse
from simulators.fleet.headend import HeadEnd
from simulators.fleet.journal import Journal, JournalDamaged
from simulators.fleet.meters import population
from simulators.fleet.network import NETWORKS, Network
from simulators.fleet.problem import Problem, problem_response
from simulators.fleet.state import StateMismatch

if TYPE_CHECKING:
    from simulators.fleet.tls import Front

_LATENCY = 3.0  # of meters in no particular network, seconds
_FAILURE_RATE = 0.01


class CuttableProtocol(HttpToolsProtocol):
    """This will let an application cut the connection without a byte of an answer."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # The type of the scope knows only the extensions of the ASGI specification.
        self.scope["extensions"] = {"simulator.cut": self.transport.abort}  # type: ignore[dict-item]


async def cut(request: Request) -> Response:
    """This will cut the connection of a request: without a byte of an answer, the client cannot know what happened."""
    request.scope["extensions"]["simulator.cut"]()
    while (await request.receive())["type"] != "http.disconnect":
        await asyncio.sleep(0)
    return Response(status_code=500)


def arguments(kind: Kind) -> argparse.ArgumentParser:
    """This will describe the command line of a kind."""
    password, callback_password = _variables(kind)
    parser = argparse.ArgumentParser(prog=f"python -m simulators.headend_{kind.name}", description=kind.description)
    parser.set_defaults(kind=kind.name)
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    add("--port", type=int, default=kind.port, help="port to listen on, 0 for a free one (default %(default)s)")
    add("--seed", type=int, default=1, help="makes the meters, their load and their failures (default %(default)s)")
    add("--meters", type=int, default=100, help="how many meters (default %(default)s)")
    add(
        "--first",
        type=int,
        default=0,
        metavar="N",
        help="where its meters begin among all of the seed: head ends that share it have others (default %(default)s)",
    )
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
    add("--password", help=f"and with which password (default: ${password})")
    add("--callback-user", default="headend", help="as whom to push (default %(default)s)")
    add("--callback-password", help=f"and with which password (default: ${callback_password})")
    add("--time-zone", default="Europe/Berlin", help="IANA zone of the daily snapshots (default %(default)s)")
    add(
        "--profile",
        choices=(*NETWORKS, "none"),
        default="none",
        help="the network to the meters: how long they take, how often they do not answer (default %(default)s)",
    )
    add(
        "--latency",
        type=float,
        metavar="SECONDS",
        help=f"median time of a meter to answer (default {_LATENCY:g}, or the profile's)",
    )
    add(
        "--failure-rate",
        type=float,
        metavar="SHARE",
        help=f"reads and collections that fail (default {_FAILURE_RATE:g}, or the profile's)",
    )
    add(
        "--concentrators",
        type=int,
        metavar="N",
        help="concentrators the meters are spread over (default 1 where the profile has them, else none)",
    )
    add(
        "--concentrator-limit",
        type=int,
        metavar="N",
        help="orders a concentrator should have under way at once (default: the profile's)",
    )
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
    if kind.speaks_http:
        add(
            "--tls",
            type=Path,
            metavar="FOLDER",
            help="speak TLS too, to this machine: clients trust FOLDER/ca.pem, which is made when it is not there",
        )
        add("--tls-port", type=int, default=0, help="port to speak TLS on, 0 for a free one (default %(default)s)")
    starter.add_option(parser)
    kind.add_options(parser)
    return parser


def behaviour(options: argparse.Namespace) -> Behaviour:
    """This will read how the head end is set up from the command line."""
    network = NETWORKS.get(options.profile, Network(name="none", median=_LATENCY))
    changes: dict[str, float] = {}
    if options.latency is not None:
        changes["median"] = options.latency
    failure_rate = _FAILURE_RATE if network.name == "none" else None
    failure_rate = options.failure_rate if options.failure_rate is not None else failure_rate
    if failure_rate is not None:
        changes |= {"transient": failure_rate, "incomplete": failure_rate, "never": 0.0}
    network = replace(network, **changes)  # type: ignore[arg-type]
    if options.concentrators is not None and options.concentrators < 0:
        raise ValueError("--concentrators is below 0")
    return Behaviour(
        seed=options.seed,
        zone=ZoneInfo(options.time_zone),
        callback_url=None if options.callback_url is None else options.callback_url.rstrip("/"),
        network=network,
        concentrators=int(network.has_concentrators) if options.concentrators is None else options.concentrators,
        concentrator_limit=network.under_way if options.concentrator_limit is None else options.concentrator_limit,
        hear_delay=options.hear_delay,
        answer_delay=options.answer_delay,
        event_rate=options.event_rate,
        daily_profiles=options.profiles == "daily",
        most_outstanding=options.max_outstanding,
    )


def build(kind: Kind, options: argparse.Namespace) -> Starlette:
    """This will wire a head end from the command line; ValueError and the errors of its parts where that is wrong."""
    speaks_tls = getattr(options, "tls", None) is not None
    table = kind.faults_with(options) | ({ROLLOVER.name: ROLLOVER} if speaks_tls else {})
    faults = FaultPlan(parse(options.faults, table), table=table, seed=options.seed)
    clock = Clock(options.clock)
    head_end = HeadEnd(
        population(seed=options.seed, size=options.meters, first=options.first),
        behaviour=behaviour(options),
        clock=clock,
        journal=Journal(options.state),
        faults=faults,
        face=kind.face(options),
    )
    head_end.restore()
    front = _front(head_end, options) if speaks_tls else None

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await head_end.start()
        if app.state.url is not None:
            if front is None:
                row = head_end.face.row(app.state.url)
            else:
                row = head_end.face.row(front.start(app.state.url)) | {"ca_file": str(front.ca_file)}
            print(json.dumps({"listening": app.state.url, "head_end": row}), flush=True)
        yield
        if front is not None:
            await front.stop()
        await head_end.stop()
        clock.close()

    app = Starlette(
        routes=[*head_end.face.routes(), *Control(head_end).routes()],
        exception_handlers={Problem: problem_response, HTTPException: problem_response},
        lifespan=lifespan,
    )
    app.state.head_end = head_end
    app.state.url = None  # where it listens: said on standard output once the face has begun
    return app


def _front(head_end: HeadEnd, options: argparse.Namespace) -> "Front":
    try:
        from simulators.fleet.tls import Front
    except ImportError as error:
        raise ValueError("--tls needs the package trustme, of the extra demo") from error

    return Front(head_end, folder=options.tls, port=options.tls_port)


async def serve(app: Starlette, *, host: str, port: int) -> None:
    """This will listen until SIGTERM or SIGINT, and say on standard output where."""
    config = uvicorn.Config(
        app,
        http=CuttableProtocol,
        lifespan="on",  # a face that cannot begin ends the process
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
        app.state.url = f"http://{host}:{listening.getsockname()[1]}"
        await server.serve(sockets=[listening])


def main(kind: Kind, argv: list[str] | None = None) -> int:
    """This will run the simulator; 2 when it is set up wrongly."""
    options = arguments(kind).parse_args(argv)
    if options.list_faults:
        table = [
            {"name": fault.name, "description": fault.description, "process": fault.process}
            for fault in (*kind.faults_with(options).values(), *([ROLLOVER] if kind.speaks_http else []))
        ]
        print(json.dumps(table, indent=2))
        return 0
    password, callback_password = _variables(kind)
    options.password = options.password or os.environ.get(password, "")
    options.callback_password = options.callback_password or os.environ.get(callback_password, "")
    if kind.needs_password and not options.password:
        print(f"no password: give --password or ${password}", file=sys.stderr)
        return 2
    try:
        app = build(kind, options)
    except (ValueError, ZoneInfoNotFoundError, UnknownFault, StateMismatch, JournalDamaged) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 2
    starter.end_with(options.parent)
    try:
        asyncio.run(serve(app, host=options.host, port=options.port))
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        print(f"cannot listen on {options.host}:{options.port}: {error}", file=sys.stderr)
        return 2
    return 0


def run(kind: Kind) -> None:
    """This will be the `__main__` of a kind."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(main(kind))


def _variables(kind: Kind) -> tuple[str, str]:
    name = f"HEADEND_{kind.name.upper()}"
    return f"{name}_PASSWORD", f"{name}_CALLBACK_PASSWORD"
