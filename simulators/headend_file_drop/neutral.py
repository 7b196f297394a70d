"""The neutral CSVs of docs/head_ends/file_drop.md: interval values, events, results."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

from simulators.clock import instant, stamp

#: Names under which events are told; one without a name is told by its code.
NAMES = {"3.26.0.85": "Primary Power Down", "3.26.0.216": "Primary Power Up"}

_INTERVALS = ("meter", "reading_type", "unit", "interval_minutes", "start", "value", "quality")
_EVENTS = (
    "transaction",
    "device",
    "event",
    "event_at",
    "device_type",
    "service_location",
    "module_serial",
    "category",
    "severity",
    "status",
    "status_at",
)
_RESULTS = (
    "reference",
    "serial",
    "status",
    "code",
    "text",
    "completed_at",
    "reading_type",
    "measured_at",
    "value",
    "unit",
    "interval_minutes",
    "quality",
    "request",
)


def intervals(blocks: Sequence[dict[str, Any]]) -> list[str]:
    """This will write interval values, a row each."""
    return _rows(
        _INTERVALS,
        (
            (block["serial"], block["obis"], block["unit"], block["interval_minutes"], start, value or "", code or "")
            for block in blocks
            for start, value, code in _values(block)
        ),
    )


def events(told: Sequence[dict[str, Any]], *, transaction: str) -> list[str]:
    """This will write events, a row each."""
    return _rows(
        _EVENTS,
        (
            (
                transaction,
                each["serial"],
                NAMES.get(each["code"], each["code"]),
                each["at"],
                "Meter",
                "",
                "",
                "",
                "Alert" if each["code"] in NAMES else "Information",
                "",
                "",
            )
            for each in told
        ),
    )


def results(told: Iterable[dict[str, Any]], *, request: str) -> list[str]:
    """This will write results: a row for each value, one row for a result without any."""
    return _rows(_RESULTS, (row for result in told for row in _result(result, request)))


def _result(result: dict[str, Any], request: str) -> Iterator[tuple[Any, ...]]:
    head = (
        result["reference"],
        result["serial"],
        result["status"],
        result.get("code") or "",
        result.get("text") or "",
        result.get("completed_at") or "",
    )
    values: list[tuple[Any, ...]] = [
        (each["obis"], each["at"], each["value"], each["unit"], "", "") for each in result.get("readings", ())
    ]
    values += [
        (block["obis"], start, value or "", block["unit"], block["interval_minutes"], code or "")
        for block in result.get("blocks", ())
        for start, value, code in _values(block)
    ]
    for value in values or [("",) * 6]:
        yield (*head, *value, request)


def _values(block: dict[str, Any]) -> Iterator[tuple[str, str | None, str | None]]:
    begin, length = instant(block["start"]), timedelta(minutes=block["interval_minutes"])
    quality = block.get("quality") or [None] * len(block["values"])
    for place, (value, code) in enumerate(zip(block["values"], quality, strict=True)):
        yield stamp(begin + place * length), value, code


def _rows(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().splitlines()
