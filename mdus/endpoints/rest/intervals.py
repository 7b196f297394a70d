"""GET /api/v1/intervals: the interval values of some devices on some days, in JSON, CSV, Arrow or Parquet.

Devices are read a few at a time, each time in a transaction of its own, while the values of those before are already on
their way: neither memory nor a connection is held for the whole of a feeder.
"""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the dependencies are local names.

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import chain
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mdus.domain.access import Caller
from mdus.domain.channel import MISSING, Channel
from mdus.domain.end_device import EndDevice
from mdus.domain.interval_block import IntervalBlock
from mdus.domain.reading_quality import QualitySet
from mdus.endpoints.rest import columnar
from mdus.endpoints.rest.access import Access
from mdus.endpoints.rest.negotiation import ARROW, CSV, JSON, PARQUET, form_of_answer
from mdus.endpoints.rest.paging import YEARS, Day
from mdus.endpoints.rest.problems import described
from mdus.endpoints.rest.shapes import Interval
from mdus.endpoints.runtime import Runtime
from mdus.storage.interval_block import newest_blocks
from mdus.storage.mapping import chunks
from mdus.storage.session import Database

_COLUMNS: Final = ("device_id", "reading_type", "start", "end", "value", "unit", "qualities")
_FORMS: Final = (JSON, CSV, ARROW, PARQUET)

#: Devices of one request, and of those how many are read at once: their values as rows weigh more than as columns.
MOST_DEVICES: Final = 500
_AS_ROWS: Final = 1
_AS_COLUMNS: Final = 10

_ROWS: Final = TypeAdapter(list[Interval])

#: Blocks in the order they are told, with the quality sets that their values name.
_Piece = tuple[list[IntervalBlock], Mapping[int, QualitySet]]

DeviceIds = Annotated[
    list[Annotated[str, Query(min_length=1)]],
    Query(
        min_length=1,
        max_length=MOST_DEVICES,
        description="The devices, by SAP's ids with their zeros; repeated for each.",
    ),
]


def add_intervals(router: APIRouter, runtime: Runtime, access: Access) -> None:
    """Add the route to a router."""
    who = Depends(access)

    @router.get(
        "/intervals",
        tags=["metering"],
        response_model=list[Interval],
        responses={
            200: {
                "content": {
                    CSV: {"schema": {"type": "string"}},
                    ARROW: {"schema": {"type": "string", "format": "binary"}},
                    PARQUET: {"schema": {"type": "string", "format": "binary"}},
                }
            },
            **described(406),
        },
    )
    def intervals(
        request: Request,
        caller: Annotated[Caller, who],
        sender_system: Annotated[str, Query(description="The sender system whose devices they are.")],
        device_id: DeviceIds,
        on: Annotated[Day, Query(description="The first day, local where the meter is.")],
        days: Annotated[int, Query(ge=1, le=31, description="How many days.")] = 1,
        reading_type: Annotated[str | None, Query(description="Only of this channel: an OBIS code.")] = None,
    ) -> Any:
        """Return the interval values of devices' channels, device by device and oldest first, in the form of `Accept`.

        What counts of each day: validated values where there are some, else those of the meter. A gap has no row. JSON
        without `Accept`; text/csv; application/vnd.apache.arrow.stream; application/vnd.apache.parquet.
        """
        if not caller.may_see(sender_system):
            raise HTTPException(404, f"There is no sender system {sender_system}: /kpis lists those there are")
        form = form_of_answer(request, _FORMS, missing=columnar.missing_forms())
        devices = [(sender_system, each) for each in dict.fromkeys(device_id)]

        def pieces(at_once: int) -> Iterator[_Piece]:
            for some in chunks(devices, at_once):
                yield _piece(runtime.database, some, on, days, reading_type)

        if form == JSON:
            parts = _json(pieces(_AS_ROWS))
        elif form == CSV:
            parts = _csv(pieces(_AS_ROWS))
        else:
            schema = columnar.interval_schema(sender_system)
            batches = (columnar.interval_batch(schema, *piece) for piece in pieces(_AS_COLUMNS))
            parts = columnar.written(form, schema, batches)
        return streamed(parts, form)


def streamed(parts: Iterator[bytes], form: str) -> Response:
    """Return an answer in parts; one that is made in two is sent whole, and so has an ETag.

    Both are made before the answer begins: what goes wrong with them is still told.
    """
    begun = [part for _, part in zip(range(3), parts, strict=False)]
    if len(begun) < 3:
        return Response(b"".join(begun), media_type=form)
    return StreamingResponse(chain(begun, parts), media_type=form)


def _piece(
    database: Database, devices: Sequence[tuple[str, str]], on: date, count: int, reading_type: str | None
) -> _Piece:
    """Return what counts of some days of devices, by device, reading type and day."""
    if on.year not in YEARS:
        return [], {}
    with database.read() as uow:
        days = {
            (channel, on + timedelta(days=number))
            for channel in uow.load(Channel, EndDevice.KEY, set(devices), lock=False)
            if reading_type in (None, channel.reading_type)
            for number in range(count)
        }
        blocks = newest_blocks(uow.connection, days)
        qualities = uow.quality_sets(blocks.values())
    order: Callable[[IntervalBlock], Any] = lambda block: (  # noqa: E731 - a key
        block.channel.device_id,
        block.channel.reading_type,
        block.day,
    )
    return sorted(blocks.values(), key=order), qualities


def _json(pieces: Iterator[_Piece]) -> Iterator[bytes]:
    before = b"["
    for blocks, qualities in pieces:
        rows = _ROWS.dump_json([row for block in blocks for row in _values(block, qualities)])[1:-1]
        if rows:
            yield before + rows
            before = b","
    yield b"[]" if before == b"[" else b"]"


def _csv(pieces: Iterator[_Piece]) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for blocks, qualities in pieces:
        writer.writerows(
            (
                row.device_id,
                row.reading_type,
                row.start.isoformat(),
                row.end.isoformat(),
                row.value,
                row.unit,
                " ".join(row.qualities),
            )
            for block in blocks
            for row in _values(block, qualities)
        )
        if text.tell():
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def _values(block: IntervalBlock, qualities: Mapping[int, QualitySet]) -> Iterator[Interval]:
    channel, grid = block.channel, block.channel.day(block.day)
    for place, element in enumerate(block.values.tolist()):
        told = block.unfit.get(place) if element == MISSING else channel.quantity(element)
        if told is None:
            continue
        yield Interval(
            device_id=channel.device_id,
            reading_type=channel.reading_type,
            start=grid.starts_at(place),
            end=grid.ends_at(place),
            value=str(told),
            unit=channel.unit,
            qualities=list(qualities[int(block.qualities[place])].codes),
        )
