"""CMEP as a vendor of radio networks writes it: at most 48 values to a record, statuses behind the flags, UTC."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from simulators.clock import instant

#: Commodity, unit and time of use by OBIS code.
UNITS = {
    "1-0:1.29.0*255": ("E", "KWH", ""),
    "1-0:2.29.0*255": ("E", "GKWH", ""),
    "7-0:3.29.0*255": ("G", "M3", ""),
    "8-0:1.29.0*255": ("W", "M3", ""),
    "1-0:1.8.0*255": ("E", "KWHREG", ""),
    "1-0:1.8.1*255": ("E", "KWHREG", "ON-PEAK"),
    "1-0:1.8.2*255": ("E", "KWHREG", "OFF-PEAK"),
    "1-0:2.8.0*255": ("E", "GKWHREG", ""),
    "7-0:3.0.0*255": ("G", "M3REG", ""),
    "8-0:1.0.0*255": ("W", "M3REG", ""),
}

_MOST = 48  # values in a record
_ESTIMATED = "2.8.0"


def intervals(blocks: Sequence[dict[str, Any]], *, created: datetime) -> list[str]:
    """This will write interval values, times at the end of their intervals and left out where they follow."""
    records = []
    for block in blocks:
        length = timedelta(minutes=block["interval_minutes"])
        begin = instant(block["start"])
        quality = block.get("quality") or [None] * len(block["values"])
        for first in range(0, len(block["values"]), _MOST):
            values = block["values"][first : first + _MOST]
            flags = [_flag(value, code) for value, code in zip(values, quality[first : first + _MOST], strict=True)]
            end = begin + (first + 1) * length
            triplets = [
                part
                for place, (flag, value) in enumerate(zip(flags, values, strict=True))
                for part in ("" if place else _time(end), flag, value or "")
            ]
            commodity, unit, _ = UNITS[block["obis"]]
            head = _head("MEPMD01", block["serial"], commodity, unit, created)
            records.append(",".join([*head, "1.0", _length(length), str(len(values)), *triplets]))
    return records


def registers(readings: Sequence[dict[str, Any]], *, created: datetime) -> list[str]:
    """This will write what registers showed: MEPMD01, and MEPMD02 for a time of use."""
    records = []
    for reading in readings:
        commodity, unit, label = UNITS[reading["obis"]]
        at = _time(instant(reading["at"]))
        if label:
            head = _head("MEPMD02", reading["serial"], commodity, unit, created)
            records.append(",".join([*head, "", "1.0", at, at, "1", label, "R0", reading["value"]]))
        else:
            head = _head("MEPMD01", reading["serial"], commodity, unit, created)
            records.append(",".join([*head, "1.0", "00000000", "1", at, "R0", reading["value"]]))
    return records


def _head(record: str, serial: str, commodity: str, unit: str, created: datetime) -> list[str]:
    return [record, "20080501", "SIMULATED", "UT:1", "90000001", "", _time(created), serial, "OK", commodity, unit]


def _flag(value: str | None, code: str | None) -> str:
    if value is None:
        return "N0"
    return "E0" if code == _ESTIMATED else "R0"


def _time(at: datetime) -> str:
    return f"{at:%Y%m%d%H%M}"


def _length(length: timedelta) -> str:
    hours, minutes = divmod(int(length.total_seconds()) // 60, 60)
    return f"0000{hours:02d}{minutes:02d}"
