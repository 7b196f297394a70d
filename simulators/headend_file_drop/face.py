"""The face of this kind: a folder in which files are left, and one in which requests lie until they are taken."""

import argparse
import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

from simulators.fleet.callbacks import Completion
from simulators.fleet.deliveries import Push
from simulators.fleet.face import Face, Kind
from simulators.fleet.headend import Misanswered, Overloaded, TooLarge
from simulators.fleet.jobs import Order, Submission
from simulators.fleet.meters import Meter
from simulators.fleet.resources import own_channels, own_registers
from simulators.fleet.tasks import ends_all
from simulators.fleet.times import add_times, zone_of
from simulators.headend_file_drop import cmep, documents, neutral, register_reads, requests
from simulators.headend_file_drop.faults import FAULTS, FILE, FURTHER_RECORDS, SEVERAL_RECORDS
from simulators.headend_file_drop.leaving import Draft, Leaving, Rows
from simulators.headend_file_drop.manners import Manner

_LOOKS_EVERY = 0.05  # seconds
_OWN = "own-"  # begins the correlation ids of what nobody asked for
_OWN_AT_ONCE = 100

#: Topics told in files, with the list in their bodies.
_MEMBERS = {"intervals": "blocks", "readings": "readings", "events": "events", "results": "results"}


class FileDrop(Face):
    """A head end that is never called."""

    completion = Completion.FILE
    needs_address: ClassVar[bool] = False

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self._is_temporary = options.folder is None and options.state is None
        self._folder = _folder(options)
        self._drop = self._folder / "drop"
        self._asked = self._folder / "requests"
        self._taken = self._asked / "taken"
        self._zone = zone_of(options.times, options.time_zone)
        if options.format == "csv" and (self._zone or options.pulses):
            raise ValueError("--format csv: its times say what they are, and its values are in units")
        if options.format != "cmep" and options.labels != "end":
            raise ValueError("--labels: only times of CMEP may be meant otherwise")
        at_start = options.labels == "start"
        self._manner = Manner(zone=self._zone or UTC, at_start=at_start, pulses=options.pulses)
        self._leaving = Leaving(self._drop, settled=options.settled)
        self._latest: dict[str, tuple[str, Rows]] = {}  # of each topic the last telling, and what it told
        self._looking: asyncio.Task[None] | None = None

    def row(self, url: str) -> dict[str, Any]:
        """This will give the folders, and what its files do not say of themselves."""
        settings: dict[str, Any] = {"folder": str(self._drop), "settled_seconds": self.options.settled}
        if not self.options.no_requests:
            settings["request_folder"] = str(self._asked)
        if self.options.format == "document":
            settings["document_qualities"] = documents.QUALITIES
        if self._zone is not None:
            settings[f"{self.options.format}_time_zone"] = self._zone.key
        if self._manner.at_start:
            settings["cmep_times"] = "start"
        return {"kind": "file_drop", "options": settings}

    async def start(self) -> None:
        """This will make the folders, and look for requests."""
        for folder in (self._drop, self._taken):
            folder.mkdir(parents=True, exist_ok=True)
        if self.options.serve == "all":
            await self.serve(list(self.head_end.state.meters))
        self._looking = asyncio.create_task(self._look())
        self._looking.add_done_callback(ends_all)

    async def stop(self) -> None:
        """This will end looking, and let go of a folder that was its own."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
        if self._is_temporary:
            shutil.rmtree(self._folder, ignore_errors=True)

    def under_way(self) -> int:
        """This will count the files that nobody has taken yet, and the requests to be looked at now."""
        lying = [path for folder in (self._drop, self._drop / ".working") for path in folder.glob("*")]
        left = sum(path.is_file() and path.suffix != ".part" for path in lying)
        return left if self._is_closed() else left + len(list(self._lying()))

    def _is_closed(self) -> bool:
        return self.head_end.is_closed(self.head_end.clock.now())

    # --- what is told -------------------------------------------------------------------------------------------------

    async def deliver(self, push: Push) -> bool:
        """This will leave a file; signs of life have none, and what nobody asked for has no result."""
        member = _MEMBERS.get(push.topic)
        if member is None or push.body.get("correlation_id", "").startswith(_OWN):
            return True
        rows = push.body[member]
        draft = self._draft(push.topic, rows, push.delivery_id, request=push.body.get("correlation_id", ""))
        self._latest[push.topic] = (push.delivery_id, rows)
        return await self._leaving.leave(draft, await self._fault(push.topic, draft))

    async def _fault(self, topic: str, draft: Draft) -> str | None:
        has_values = topic in ("intervals", "readings")
        places = {  # what few files can have goes first
            FURTHER_RECORDS: has_values and bool(draft.before),
            SEVERAL_RECORDS: has_values and len(draft.rows) > 1,
            FILE: True,
        }
        for place in (place for place, is_met in places.items() if is_met):
            found = await self.head_end.misfortune(place, file=draft.name)
            if found is not None:
                return found
        return None

    def _draft(self, topic: str, rows: Rows, delivery_id: str, *, request: str) -> Draft:
        created, zone, manner = self.head_end.clock.now(), self.head_end.behaviour.zone, self._manner
        number = delivery_id.removeprefix("d-")

        def write(some: Rows, at: datetime) -> list[str]:
            match topic, self.options.format:
                case "results", _:
                    return neutral.results(some, request=request)
                case "events", _:
                    return neutral.events(some, transaction=number)
                case "intervals", "cmep":
                    return cmep.intervals(some, created=at, manner=manner)
                case "intervals", "csv":
                    return neutral.intervals(some)
                case "intervals", _:
                    return documents.intervals(some, created=at, manner=manner)
                case _, "cmep":
                    return cmep.registers(some, created=at, manner=manner)
                case _, "csv":
                    return register_reads.registers(some, zone=zone)
                case _:
                    return documents.registers(some, created=at, manner=manner)

        words = {"intervals": "IntervalReport", "readings": "RegisterReport", "events": "Events", "results": "Results"}
        endings = {"cmep": "txt", "csv": "csv", "document": "xml"}
        ending = endings[self.options.format] if topic in ("intervals", "readings") else "csv"
        name = f"SIM_{words[topic]}_{created:%Y%m%d%H%M}_{number}.{ending}"
        latest, told = self._latest.get(topic, (delivery_id, ()))
        before = told if latest != delivery_id else ()  # a file that is tried again is not before itself
        return Draft(name=name, rows=rows, created=created, write=write, before=before)

    # --- what is asked ------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        while True:
            for path in self._lying():
                with self.head_end.answering():
                    await self._take(path)
            await asyncio.sleep(_LOOKS_EVERY)

    def _lying(self) -> Iterator[Path]:
        yield from sorted(path for path in self._asked.glob("*.csv") if path.is_file())

    async def _take(self, path: Path) -> None:
        """This will take a request: first into the journal, then out of the folder. One that is refused lies on."""
        try:
            asked = requests.read(path.stem, path.read_bytes())
        except requests.NotARequest as error:
            path.with_name(f"{path.name}.refused").write_text(f"{error}\n")
            path.rename(self._taken / path.name)
            return
        for submission in asked.submissions():
            known = self.head_end.state.by_correlation.get(submission.correlation_id.lower(), [])
            job = next((each for each in known if each.kind == submission.kind), None)
            if job is None:
                try:
                    job = await self.head_end.submit(submission)
                except (Overloaded, Misanswered):
                    return  # nothing was done: it is looked at again
                except TooLarge as error:
                    refused = [_refused(order, f"more than {error.most} orders") for order in submission.orders]
                    await self._refuse(submission, refused)
                    continue
            if job.rejected:
                await self._refuse(submission, [{**each, "status": "failed"} for each in job.rejected])
        path.rename(self._taken / path.name)

    async def _refuse(self, submission: Submission, refused: Rows) -> None:
        number = f"{submission.correlation_id}-{submission.kind}"
        await self._leaving.leave(self._draft("results", refused, number, request=submission.correlation_id), None)

    async def serve(self, serials: Sequence[str]) -> None:
        """This will serve meters, with all they have: as the utility sets it up, for there is no order for it."""
        named = (self.head_end.state.meters[serial] for serial in serials)
        meters = [meter for meter in named if meter.provisioned_at is None]
        most = min(self.head_end.behaviour.network.batch or _OWN_AT_ONCE, _OWN_AT_ONCE)
        for first in range(0, len(meters), most):
            orders = [_own_order(meter) for meter in meters[first : first + most]]
            own = Submission(correlation_id=f"{_OWN}{uuid4()}", kind="provision", orders=orders, is_asked=False)
            while True:
                with contextlib.suppress(Overloaded):
                    await self.head_end.submit(own)
                    break


def _own_order(meter: Meter) -> Order:
    wish = {
        "device_id": meter.serial,
        "commodity": meter.commodity,
        "registers": own_registers(meter) + own_channels(meter),
    }
    return Order(serial=meter.serial, reference=meter.serial, wish=wish)


def _refused(order: Order, text: str) -> dict[str, Any]:
    return {
        "serial": order.serial,
        "reference": order.reference,
        "status": "failed",
        "code": "TOO_MANY",
        "text": text,
    }


def _folder(options: argparse.Namespace) -> Path:
    if options.folder is not None:
        return Path(options.folder)
    if options.state is not None:  # whoever starts again finds what it left
        return Path(f"{options.state}.files")
    return Path(tempfile.mkdtemp(prefix="headend_file_drop-"))


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder",
        type=Path,
        help="files are left in its folder drop, requests lie in its folder requests (default: beside --state, or a "
        "temporary one)",
    )
    parser.add_argument(
        "--format",
        choices=("cmep", "csv", "document"),
        default="cmep",
        help="how interval values and registers are written (default %(default)s)",
    )
    parser.add_argument(
        "--serve",
        choices=("all", "heard"),
        default="all",
        help="the meters of which files are left: all, or those that POST /control/hear names (default %(default)s)",
    )
    add_times(parser, "what times without an offset are: UTC, local, or standard time the whole year")
    parser.add_argument(
        "--labels",
        choices=("end", "start"),
        default="end",
        help="where times of CMEP stand at their intervals (default %(default)s)",
    )
    parser.add_argument("--pulses", action="store_true", help="count interval values in pulses, as far as formats can")
    parser.add_argument("--no-requests", action="store_true", help="take no requests")
    parser.add_argument(
        "--settled",
        type=float,
        default=0.2,
        metavar="SECONDS",
        help="after how long without a change MDUS is told to take a file (default %(default)s)",
    )


KIND = Kind(
    name="file_drop",
    description="A simulated head end that leaves files (docs/head_ends/file_drop.md), and the meters behind it.",
    face=FileDrop,
    faults=FAULTS,
    add_options=_add_options,
    port=9140,
    needs_password=False,
)
