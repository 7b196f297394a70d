"""Takes in one file in this process and prints by how much its peak memory grew: `URL FILE plain|gzip`."""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import sys
import tempfile
from collections.abc import AsyncIterator
from typing import BinaryIO

from sqlalchemy import func, select

from mdus.storage.message import ITEM
from mdus.telemetry.logs import configure
from tests.flows.intake.installation import XML, Installation
from tests.flows.intake.messages import reading_orders


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    """Yield a body as a socket would, so that the sender's copy is not counted."""
    while piece := file.read(65536):
        yield piece


def main(url: str, path: str, form: str) -> None:
    configure(form="json", level="error")
    mdus = Installation(url)
    # What any first message needs (schemas, plans, pools) is not the large one's.
    assert mdus.post(reading_orders(100)).status_code == 202
    with open(path, "rb") as plain, tempfile.TemporaryFile() as packed:  # noqa: PTH123
        body, headers = plain, XML
        if form == "gzip":
            with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as writer:
                while piece := plain.read(1 << 20):
                    writer.write(piece)
            packed.seek(0)
            body, headers = packed, {**XML, "Content-Encoding": "gzip"}
        before = peak_megabytes()
        assert asyncio.run(
            mdus.answer("POST", "/sap", "127.0.0.1", {"content": pieces(body), "headers": headers})
        ).is_success
    with mdus.database.read() as uow:
        items = uow.connection.execute(select(func.count()).select_from(ITEM)).scalar_one() - 100
    print(json.dumps({"items": items, "growth_megabytes": round(peak_megabytes() - before, 1)}))


main(*sys.argv[1:])
