"""CMEP as a vendor of radio networks writes it: at most 48 values to a record, statuses behind the flags.

Times are in UTC, at the ends of intervals, and values in units, where the sender's manner is no other.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from simulators.clock import instant
from simulators.headend_file_drop.manners import PULSE, Manner

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

#: Counted in pulses by a sender that does: it has one word for them, so no channel of the other direction.
PULSES = {"1-0:1.29.0*255": "PULSE", "7-0:3.29.0*255": "PULSE", "8-0:1.29.0*255": "PULSE"}

_MOST = 48  # values in a record
_USUAL = Manner()
_ESTIMATED = "2.8.0"


def intervals(blocks: Sequence[dict[str, Any]], *, created: datetime, manner: Manner = _USUAL) -> list[str]:
    """This will write interval values; times are left out where they follow."""
    records = []
    for block in blocks:
        length = timedelta(minutes=block["interval_minutes"])
        begin = instant(block["start"])
        quality = block.get("quality") or [None] * len(block["values"])
        for first in range(0, len(block["values"]), _MOST):
            values = block["values"][first : first + _MOST]
            flags = [_flag(value, code) for value, code in zip(values, quality[first : first + _MOST], strict=True)]
            time = _time(begin + (first + (0 if manner.at_start else 1)) * length, manner)
            commodity, unit, _ = UNITS[block["obis"]]
            constant = "1.0"
            counts = manner if block["obis"] in PULSES else _USUAL
            if counts.pulses:
                unit, constant = PULSES[block["obis"]], PULSE
            triplets = [
                part
                for place, (flag, value) in enumerate(zip(flags, values, strict=True))
                for part in ("" if place else time, flag, counts.value(value))
            ]
            head = _head("MEPMD01", block["serial"], commodity, unit, created, manner)
            records.append(",".join([*head, constant, _length(length), str(len(values)), *triplets]))
    return records


def registers(readings: Sequence[dict[str, Any]], *, created: datetime, manner: Manner = _USUAL) -> list[str]:
    """This will write what registers showed: MEPMD01, and MEPMD02 for a time of use."""
    records = []
    for reading in readings:
        commodity, unit, label = UNITS[reading["obis"]]
        at = _time(instant(reading["at"]), manner)
        if label:
            head = _head("MEPMD02", reading["serial"], commodity, unit, created, manner)
            records.append(",".join([*head, "", "1.0", at, at, "1", label, "R0", reading["value"]]))
        else:
            head = _head("MEPMD01", reading["serial"], commodity, unit, created, manner)
            records.append(",".join([*head, "1.0", "00000000", "1", at, "R0", reading["value"]]))
    return records


def _head(record: str, serial: str, commodity: str, unit: str, created: datetime, manner: Manner) -> list[str]:
    sender = ["20080501", "SIMULATED", "UT:1", "90000001", ""]
    return [record, *sender, _time(created, manner), serial, "OK", commodity, unit]


def _flag(value: str | None, code: str | None) -> str:
    if value is None:
        return "N0"
    return "E0" if code == _ESTIMATED else "R0"


def _time(at: datetime, manner: Manner) -> str:
    return f"{manner.at(at):%Y%m%d%H%M}"


def _length(length: timedelta) -> str:
    hours, minutes = divmod(int(length.total_seconds()) // 60, 60)
    return f"0000{hours:02d}{minutes:02d}"
