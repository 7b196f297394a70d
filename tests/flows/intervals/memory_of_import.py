"""Imports two files of interval values, one four times the other, and prints what each took: `FOLDER URL`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from mdus.bootstrap.importing_intervals import import_intervals
from mdus.domain.end_device import EndDevice
from mdus.storage.session import Database

FEW, MANY = 3_000, 12_000
START = datetime(2026, 3, 28, 0, 0, tzinfo=UTC)


def peak_megabytes() -> float:
    """Return the most memory the process has had, since it began: getrusage tells that of whoever started it, too."""
    [told] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(told.split()[1]) / 1024


def records(count: int, on: date) -> Iterator[str]:
    start = datetime(on.year, on.month, on.day, tzinfo=UTC)
    ends = [f"{start + place * timedelta(minutes=15):%Y%m%d%H%M}" for place in range(1, 97)]
    for number in range(count):
        values = ",".join(f"{end},R,{number % 7}.{place:03}" for place, end in enumerate(ends))
        yield f"MEPMD01,19970819,UTIL,,MDUS,,202603300100,{number:010},OK,E,KWH,1,00000015,96,{values}\r\n"


def load(folder: Path, count: int, on: date) -> float:
    """Import a file of so many meters; returns the megabytes it has."""
    file = folder / f"{count}.cmep"
    with file.open("w", newline="") as out:
        out.writelines(records(count, on))
    imported = import_intervals(os.environ, file, head_end="files", told=None, progress=lambda *_: None)
    assert (imported.values, imported.is_in_order) == (96 * count, True)
    return file.stat().st_size / 1024**2


def main(folder: str, url: str) -> None:
    os.environ |= {"MDUS_DATABASE__URL": url, "MDUS_HEAD_ENDS__FILES__KIND": "file_drop", "MDUS_TIME_ZONE": "UTC"}
    database = Database(url)
    with database.begin() as uow:
        uow.save(
            [
                EndDevice(
                    sender_system="P11",
                    device_id=f"{number:018}",
                    serial_id=f"{number:010}",
                    material_id="LX100",
                    valid_from=date(2026, 1, 1),
                    head_end="files",
                )
                for number in range(MANY)
            ]
        )
    database.close()
    before = peak_megabytes()
    small = load(Path(folder), FEW, date(2026, 3, 27))
    between = peak_megabytes()
    large = load(Path(folder), MANY, date(2026, 3, 28))
    grown = [round(each, 1) for each in (between - before, peak_megabytes() - between)]
    print(json.dumps({"megabytes": [round(small, 1), round(large, 1)], "grown": grown}))


main(*sys.argv[1:])
