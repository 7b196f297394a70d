"""`mdus import temperatures`: takes a file of day temperatures of weather stations in, all of it or nothing."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from mdus.bootstrap.composition import compose
from mdus.bootstrap.database import prepare
from mdus.bootstrap.errors import CannotStart
from mdus.domain.temperature import DayTemperature

_COLUMNS: Final = ("station", "day", "degrees")

#: No outside temperature is beyond: what is, is of another unit.
_COLDEST, _WARMEST = Decimal(-70), Decimal(60)


def import_temperatures(environ: Mapping[str, str], file: Path) -> int:
    """Store the temperatures of a CSV file with the columns station, day and degrees; returns how many.

    A temperature that is there already is replaced. Raises CannotStart where a row cannot be read: nothing is
    stored then.
    """
    parts = compose(environ, simulated_clock=True)
    try:
        prepare(parts.runtime.database, simulated_clock=True)
        told = list(_told(file))
        with parts.runtime.database.begin() as uow:
            uow.save(told)
        return len(told)
    finally:
        parts.close()


def _told(file: Path) -> Iterator[DayTemperature]:
    mend = f"a CSV file with the columns {', '.join(_COLUMNS)}, such as 10384,2026-02-11,-3.4"
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = list(csv.DictReader(opened))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CannotStart.because(str(error), where=str(file), mend=mend) from error
    for line, row in enumerate(rows, start=2):
        station, day, degrees = (str(row.get(name) or "").strip() for name in _COLUMNS)
        try:
            told = DayTemperature(station=station, day=date.fromisoformat(day), degrees=Decimal(degrees))
        except (ValueError, InvalidOperation):
            what = f"line {line}: {station},{day},{degrees} is no day temperature"
            raise CannotStart.because(what, where=str(file), mend=mend) from None
        if not station or not told.degrees.is_finite() or not _COLDEST <= told.degrees <= _WARMEST:
            what = f"line {line}: a station and degrees Celsius are expected, found {station!r} and {degrees}"
            raise CannotStart.because(what, where=str(file), mend=mend)
        yield told
