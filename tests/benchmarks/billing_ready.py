"""A day of interval values on its way to the bill: a CMEP file read, stored raw, validated, estimated, parted.

The store has 35 days of final values of every meter. The work is done by as many processes as MDUS has workers on this
database, all started cold, as a night's are: the first imports the file, then joins the others, which turn the
validation worker meanwhile, until nothing is due.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import text

from mdus.domain.channel import Channel
from mdus.domain.interval_block import Cause, Layer
from mdus.domain.reading import ReadingOrigin
from mdus.storage import validation
from mdus.storage.interval_block import INTERVAL_BLOCK, ensure_channels
from mdus.storage.reading import METER_READING
from mdus.storage.rows import insert_rows
from mdus.storage.session import Database
from tests.benchmarks.figure import Figure
from tests.benchmarks.landscape import Store, fill_registry
from tests.benchmarks.orders import HEAD_END, OBIS, SYSTEM, device_id, serial_id

INTERVALS: Final = "1-0:1.29.0*255"
ZONE: Final = "Europe/Berlin"
DAY: Final = date(2026, 2, 11)
HISTORY: Final = 35
_AT_ONCE: Final = 1000
_PAUSE: Final = 0.02
_START: Final = datetime.combine(DAY, datetime.min.time(), ZoneInfo(ZONE)).astimezone(UTC)
_QUARTER: Final = timedelta(minutes=15)

#: Aims of a whole chain, readings a second, and of what the process may grow for a file twice as large.
_LEAST: Final = 300_000
_MOST_GROWTH_MB: Final = 60

CONFIG: Final = f"""
[intervals]
decimals = 3

[[load_profiles]]
name = "import"
reading_type = "{OBIS}"
intervals = "{INTERVALS}"

[[head_ends]]
name = "{HEAD_END}"
kind = "file_drop"
time_zone = "{ZONE}"
"""


def billing_ready(store: Store, folder: Path, *, meters: int) -> Iterator[Figure]:
    """This will fill the store, write the file and time the process; half the meters first, for its memory."""
    config = folder / "config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "benchmark.toml").write_text(CONFIG)
    days = _days(meters)
    _fill(store, days)
    some, rest = folder / "some.cmep", folder / "rest.cmep"
    part = meters // 3
    _write(some, days, range(part))
    _write(rest, days, range(part, meters))
    first = _timed(store, some, config)
    second = _timed(store, rest, config)
    readings = (meters - part) * 96
    read = min(_polars(rest) for _ in range(3))
    rate = readings / second["seconds"]
    yield Figure(
        name=f"CMEP file of {meters - part:,} meters until determinants are ready, cold, {store.name}",
        value=rate,
        unit="readings/s",
        ratio_to="polars only reads the file (its time = 1)",
        ratio=second["seconds"] / read,
        aim=f"at least {_LEAST:,} readings/s",
        held=rate >= _LEAST,
    )
    for stage, name in (("start", "start and end"), ("import", "import"), ("validation", "validation after it")):
        yield Figure(
            name=f"  {name}: {second[stage]:.2f} s, {store.workers} processes, {store.name}",
            value=readings / second[stage],
            unit="readings/s",
            ratio_to="the whole",
            ratio=second[stage] / second["seconds"],
        )
    yield Figure(
        name=f"  memory for a file twice as large, {store.name}",
        value=second["peak_mb"] - first["peak_mb"],
        unit="MB growth",
        ratio_to=f"peak with the smaller file, {first['peak_mb']:.0f} MB",
        ratio=second["peak_mb"] / first["peak_mb"],
        aim=f"under {_MOST_GROWTH_MB} MB growth",
        held=second["peak_mb"] - first["peak_mb"] < _MOST_GROWTH_MB,
    )
    yield Figure(
        name=f"  days with estimates {second['estimated']}, days a person must see {second['issues']}, {store.name}",
        value=second["days"],
        unit="days final",
    )


def _days(meters: int) -> Any:
    """Return a day's quarter-hours of every meter in Wh (meters, 96)."""
    rng = np.random.default_rng(7)
    hours = np.arange(96) / 4
    shape = 60 + 160 * np.exp(-(((hours - 7.5) / 1.5) ** 2)) + 260 * np.exp(-(((hours - 19) / 2.5) ** 2))
    return np.rint(shape * rng.lognormal(0, 0.4, (meters, 1)) * rng.gamma(8, 1 / 8, (meters, 96))).astype(np.int64)


def _fill(store: Store, days: Any) -> None:
    """Store devices, registers with readings at both ends of the day, channels and 35 final days of each."""
    meters = len(days)
    fill_registry(store, meters)
    database = Database(store.url)
    written_at = _START - timedelta(hours=1)
    marks = np.zeros(96, dtype="<u2").tobytes()
    rng = np.random.default_rng(11)
    columns = ("channel_id", "day", "layer", "version", "is_current", "values", "qualities", "present", "used")
    more = ("written_at", "written_by", "cause", "total", "peak")
    for begin in range(0, meters, _AT_ONCE):
        numbers = range(begin, min(begin + _AT_ONCE, meters))
        with database.begin() as uow:
            ids = ensure_channels(uow.connection, [_channel(number + 1) for number in numbers])
            rows = []
            for number, channel_id in zip(numbers, sorted(ids.values()), strict=True):
                past = days[number][None, :] * rng.gamma(20, 1 / 20, (HISTORY, 96))
                for back, values in enumerate(np.rint(past).astype("<i8"), start=1):
                    head = (channel_id, DAY - timedelta(days=back), Layer.FINAL, 1, True, values.tobytes(), marks)
                    sums = (int(values.sum()), int(values.max()))
                    rows.append((*head, 96, True, written_at, "benchmark", Cause.VALIDATED, *sums))
            insert_rows(uow.connection, INTERVAL_BLOCK, (*columns, *more), rows)
            readings = []
            for number in numbers:
                shown = 10_000 + number
                for at, value in (
                    (_START, shown * 1000),
                    (_START + timedelta(days=1), shown * 1000 + days[number].sum()),
                ):
                    text_of = f"{int(value) // 10 / 100:.2f}"
                    readings.append(
                        (SYSTEM, device_id(number + 1), OBIS, at, text_of, "KWH", ReadingOrigin.SNAPSHOT, at)
                    )
            names = (
                "sender_system",
                "device_id",
                "reading_type",
                "measured_at",
                "value",
                "unit",
                "origin",
                "received_at",
            )
            insert_rows(uow.connection, METER_READING.table, names, _exact(readings))
    if not database.is_sqlite:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    database.close()


def _exact(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    from decimal import Decimal

    return [(*row[:4], Decimal(row[4]), *row[5:]) for row in rows]


def _channel(number: int) -> Channel:
    return Channel(
        sender_system=SYSTEM,
        device_id=device_id(number),
        reading_type=INTERVALS,
        interval_minutes=15,
        time_zone=ZONE,
        unit="KWH",
        decimals=3,
    )


def _write(file: Path, days: Any, numbers: range) -> None:
    """Write some meters' day as CMEP: one value in two hundred lacks, one meter in fifty has a gap of an hour."""
    ends = [f"{_START + (place + 1) * _QUARTER:%Y%m%d%H%M}" for place in range(96)]
    rng = np.random.default_rng(13)
    with file.open("w") as out:
        for number in numbers:
            flags = ["R"] * 96
            values = [f"{value / 1000:.3f}" for value in days[number].tolist()]
            if number % 50 == 0:
                start = int(rng.integers(4, 88))
                for place in range(start, start + 4):
                    flags[place], values[place] = "N", ""
            told = ",".join(f"{end},{flag},{value}" for end, flag, value in zip(ends, flags, values, strict=True))
            out.write(
                f"MEPMD01,19970819,UTIL,,MDUS,,202602120100,{serial_id(number + 1)},OK,E,KWH,1,00000015,96,{told}\r\n"
            )


def _polars(file: Path) -> float:
    import polars  # not in the process that is timed

    began = time.perf_counter()
    frame = polars.read_csv(file, has_header=False)
    seconds = time.perf_counter() - began
    if frame.width != 14 + 3 * 96:
        raise AssertionError(f"polars read {frame.width} columns")
    return seconds


def _timed(store: Store, file: Path, config: Path) -> dict[str, float]:
    """Return what the processes say of themselves, with their whole time as seen from outside."""
    environ = {**os.environ, "MDUS_DATABASE__URL": store.url, "MDUS_CONFIG": str(config), "MDUS_TIME_ZONE": ZONE}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed has its bytecode
    imported = file.with_suffix(".imported")
    imported.unlink(missing_ok=True)
    began = time.perf_counter()
    processes = [
        _started(environ, str(imported), *([str(file)] if number == 0 else ())) for number in range(store.workers)
    ]
    try:
        told, *others = [_ended(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
    seconds = time.perf_counter() - began
    return {
        **told,
        "seconds": seconds,
        "start": seconds - told["import"] - told["validation"],
        "peak_mb": sum(each["peak_mb"] for each in (told, *others)),
        **_counted(store),
    }


def _started(environ: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.benchmarks.billing_ready", *arguments]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _ended(process: subprocess.Popen[str]) -> dict[str, float]:
    """Return what a process says of itself when it ends."""
    out, error = process.communicate(timeout=900)
    if process.returncode:
        raise RuntimeError(error[-2000:])
    told: dict[str, float] = json.loads(out.splitlines()[-1])
    return told


def _counted(store: Store) -> dict[str, float]:
    """Return how many final days there are of the day, how many with estimates, and how many a person must see."""
    database = Database(store.url)
    try:
        with database.read() as uow:
            if validation.next_due(uow.connection) is not None:
                raise RuntimeError("days are still to be validated")
            days, estimated = uow.connection.execute(
                text(
                    "SELECT count(*), coalesce(sum(CASE WHEN estimated > 0 THEN 1 ELSE 0 END), 0) FROM interval_block"
                    " WHERE is_current AND layer = 'final' AND day = :day"
                ),
                {"day": DAY},
            ).one()
            issues = uow.connection.execute(text("SELECT count(*) FROM exception_case WHERE closed_at IS NULL"))
            return {"days": days, "estimated": estimated, "issues": issues.scalar_one()}
    finally:
        database.close()


def _peak_megabytes() -> float:
    [told] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(told.split()[1]) / 1024  # getrusage tells that of whoever started the process, too


def main(imported: Path, file: Path | None) -> None:
    """This will import a file, if one is named, validate until all of it is fit to bill and print how long each took.

    `imported` is the file that says to all processes that nothing more will become due.
    """
    from mdus.bootstrap.composition import compose, validation_worker
    from mdus.bootstrap.importing_intervals import import_intervals
    from mdus.bootstrap.working import collect_seldom

    began = time.perf_counter()
    if file is not None:
        told = import_intervals(os.environ, file, head_end=HEAD_END, told=None, progress=lambda *_: None)
        if not told.is_in_order:
            raise RuntimeError(f"{told.unreadable[:3]} {told.unplaced[:3]}")
        imported.touch()
    imported_at = time.perf_counter()
    parts = compose(os.environ)
    collect_seldom()
    worker = validation_worker(parts)
    has_all = moved = False
    while moved or not has_all:
        if not moved:
            time.sleep(_PAUSE)
        has_all = imported.exists()
        moved = bool(worker.turn())
    parts.close()
    took = {"import": imported_at - began, "validation": time.perf_counter() - imported_at}
    print(json.dumps({**took, "peak_mb": _peak_megabytes()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
