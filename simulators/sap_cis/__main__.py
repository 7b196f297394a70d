"""Starts the simulated SAP: `python -m simulators.sap_cis --help`."""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from simulators import starter
from simulators.clock import Clock
from simulators.sap_cis.business import Business
from simulators.sap_cis.cis import Cis, Options
from simulators.sap_cis.contract import Contract, contract_folder
from simulators.sap_cis.control import Control
from simulators.sap_cis.events import chosen_types
from simulators.sap_cis.faults import FAULTS, RECEIVING_FAULTS, Faults, chosen
from simulators.sap_cis.journal import Journal
from simulators.sap_cis.receiving import Gate
from simulators.sap_cis.sending import Sender, Wire
from simulators.sap_cis.truth import Truth, truth_urls

_PASSWORD = "SAP_CIS_PASSWORD"
_OWN_PASSWORD = "SAP_CIS_OWN_PASSWORD"

#: IANA zone -> SAP's own code, as far as this system knows them.
_TIME_ZONE_CODES = {"Europe/Berlin": "CET", "Europe/London": "GMTUK", "Asia/Kolkata": "INDIA", "UTC": "UTC"}


class CuttableProtocol(HttpToolsProtocol):
    """This will let an application cut the connection without a byte of an answer."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"simulator.cut": self.transport.abort}


def arguments() -> argparse.ArgumentParser:
    """This will describe the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m simulators.sap_cis",
        description="A simulated SAP for Utilities: POST /sap/<interface> is SAP's side, /control plays the business.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    add("--port", type=int, default=9000, help="port to listen on, 0 for a free one (default %(default)s)")
    add("--seed", type=int, default=1, help="decides order, delays and faults (default %(default)s)")
    add("--meters", type=int, default=0, help="most devices taken from one list of meters (default 0: all)")
    add("--faults", default="", metavar="NAME[=TIMES],...|all", help="how to misbehave; see --list-faults")
    add("--list-faults", action="store_true", help="print the faults as JSON and end")
    add("--state", type=Path, metavar="FILE", help="keep the view here, it survives a kill (default: nowhere)")
    add("--clock", metavar="URL|FILE", help="where {anchor, epoch, speed} of the clock is (default: real time)")
    add("--mdus-url", default="http://127.0.0.1:8000", help="where MDUS serves /sap (default %(default)s)")
    add("--user", default="sap", help="as whom to call MDUS (default %(default)s)")
    add("--password", help=f"and with which password (default: ${_PASSWORD})")
    add("--own-user", default="mdus", help="whom MDUS must say it is (default %(default)s)")
    add("--own-password", help=f"and with which password (default: ${_OWN_PASSWORD})")
    add("--sender", default="S4HANA", metavar="SYSTEM", help="this system's id (default %(default)s)")
    add("--mdus-system", metavar="SYSTEM", help="the only id MDUS may send from (default: any but this system's)")
    add("--system", default="AM01", metavar="AMS", help="advanced metering system of devices (default %(default)s)")
    add("--time-zone", default="Europe/Berlin", help="IANA zone of dates and times (default %(default)s)")
    add("--time-zone-code", help="SAP's code of that zone (default: known for a few, else none is sent)")
    add(
        "--truth-url",
        action="append",
        default=[],
        metavar="[AMS=]URL",
        help="base of a head end's control API to compare values with: of one metering system's devices, or of all "
        "others'; may be said several times",
    )
    add("--bulk-size", type=int, default=500, help="items in a bulk (default %(default)s)")
    add("--concurrency", type=int, default=4, help="messages under way at once (default %(default)s)")
    add("--answer", type=int, choices=(200, 202), default=202, help="status of a message taken (default %(default)s)")
    add(
        "--confirm-events",
        default="",
        metavar="TYPE,...|all",
        help="types of smart meter events that are confirmed (default: none)",
    )
    add(
        "--window",
        default="3,4",
        metavar="BEFORE,AFTER",
        help="days a reading may lie before and after its scheduled date (default %(default)s)",
    )
    starter.add_option(parser)
    return parser


@dataclass(frozen=True, kw_only=True)
class Simulator:
    """The wired parts: the HTTP application, and the object behind it for a test to look at."""

    app: Starlette
    cis: Cis


def build(options: argparse.Namespace, *, password: str, own_password: str) -> Simulator:
    """This will wire a simulated SAP from the command line; ValueError and its like where that is wrong."""
    before, _, after = options.window.partition(",")
    clock = Clock(options.clock)
    cis = Cis(
        options=Options(
            own_system=options.sender,
            mdus_system=options.mdus_system,
            zone=ZoneInfo(options.time_zone),
            time_zone_code=options.time_zone_code or _TIME_ZONE_CODES.get(options.time_zone),
            system=options.system,
            bulk_size=options.bulk_size,
            window=(int(before), int(after)),
            verifies=bool(options.truth_url),
            confirmed_events=chosen_types(options.confirm_events),
        ),
        contract=Contract(contract_folder()),
        journal=Journal(options.state),
        clock=clock,
        faults=Faults(chosen(options.faults), seed=options.seed),
        seed=options.seed,
    )
    wire = Wire(url=options.mdus_url, user=options.user, password=password, connections=options.concurrency + 2)
    sender = Sender(cis, wire, concurrency=options.concurrency)
    truth = Truth(cis, truth_urls(options.truth_url)) if options.truth_url else None
    control = Control(cis, Business(cis, seed=options.seed), sender, meters=options.meters)
    gate = Gate(cis, user=options.own_user, password=own_password, answer=options.answer)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        sender.start()
        if truth is not None:
            truth.start()
        yield
        await asyncio.to_thread(sender.stop)
        if truth is not None:
            await asyncio.to_thread(truth.stop)
        clock.close()

    # PI's own address carries the interface in the query.
    routes = [*control.routes(), Mount("/sap", app=gate), Mount("/XISOAPAdapter", app=gate)]
    return Simulator(app=Starlette(routes=routes, lifespan=lifespan), cis=cis)


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
    listening = config.bind_socket()
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.listen(128)  # who is told the address may connect at once, and waits until it is served
    print(json.dumps({"listening": f"http://{host}:{listening.getsockname()[1]}"}), flush=True)
    await uvicorn.Server(config).serve(sockets=[listening])


def main(argv: list[str] | None = None) -> int:
    """This will run the simulator; 2 when it is set up wrongly."""
    options = arguments().parse_args(argv)
    if options.list_faults:
        table = [
            {"name": name, "description": text, "process": "mdus -> sap" if name in RECEIVING_FAULTS else "sap -> mdus"}
            for name, text in FAULTS.items()
        ]
        print(json.dumps(table, indent=2))
        return 0
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    password = options.password or os.environ.get(_PASSWORD, "")
    own_password = options.own_password or os.environ.get(_OWN_PASSWORD, "")
    if not password or not own_password:
        print(f"set --password and --own-password, or {_PASSWORD} and {_OWN_PASSWORD}", file=sys.stderr)
        return 2
    try:
        simulator = build(options, password=password, own_password=own_password)
    except (ValueError, ZoneInfoNotFoundError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    starter.end_with(options.parent)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(simulator.app, host=options.host, port=options.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
