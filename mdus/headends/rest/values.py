"""What meters tell, out of its JSON: readings, blocks of interval values, events, signs of life."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mdus.domain.head_end import FieldAlarm, FieldIntervals, FieldReading, Heard
from mdus.domain.quantities import NOTHING_SAID, Qualities
from mdus.headends import _members as members

_QUALITY = re.compile(r"\d+\.\d+\.\d+", re.ASCII)
_EVENT_TYPE = re.compile(r"\d+\.\d+\.\d+\.\d+", re.ASCII)


def reading(row: Any, where: str, *, serial: str | None = None) -> FieldReading:
    """Read a register reading; in a result it is of the result's meter."""
    return FieldReading(
        serial_id=members.text(row, "serial", where) if serial is None else serial,
        reading_type=members.text(row, "obis", where),
        measured_at=members.instant(row, "at", where),
        value=members.quantity(row, "value", where),
        unit=members.optional_text(row, "unit", where),
    )


def intervals(row: Any, where: str, *, serial: str | None = None) -> FieldIntervals:
    """Read a block of interval values; in a result it is of the result's meter."""
    values = members.quantities(row, "values", where)
    if not len(values):
        raise ValueError(f"{where}.values is empty")
    return FieldIntervals(
        serial_id=members.text(row, "serial", where) if serial is None else serial,
        reading_type=members.text(row, "obis", where),
        unit=members.optional_text(row, "unit", where),
        interval_minutes=members.minutes(row, "interval_minutes", where),
        start_at=members.instant(row, "start", where),
        values=values,
        qualities=_qualities(row, where, count=len(values)),
    )


def alarm(row: Any, where: str) -> FieldAlarm:
    """Read an event."""
    code = members.text(row, "code", where)
    if not _EVENT_TYPE.fullmatch(code):
        raise ValueError(f"{where}.code is {code!r}, not a code d.d.d.d")
    return FieldAlarm(
        serial_id=members.text(row, "serial", where),
        event_type=code,
        at=members.instant(row, "at", where),
        source_id=members.optional_text(row, "event_id", where),
        text=members.optional_text(row, "text", where),
        properties=_properties(row, where),
    )


def heard(row: Any, where: str) -> Heard:
    """Read a sign of life."""
    return Heard(serial_id=members.text(row, "serial", where), at=members.instant(row, "at", where))


def _qualities(row: Any, where: str, *, count: int) -> Qualities:
    codes = members.optional_list(row, "quality", where)
    if codes and len(codes) != count:
        raise ValueError(f"{where}.quality has {len(codes)} codes for {count} values")
    for at, code in enumerate(codes):
        if code is not None and not (isinstance(code, str) and _QUALITY.fullmatch(code)):
            raise ValueError(f"{where}.quality[{at}] is {code!r}, not a code system.category.index")
    return Qualities.of(codes) if any(codes) else NOTHING_SAID


def _properties(row: Any, where: str) -> tuple[tuple[str, str], ...]:
    properties = members.member(row, "properties", where)
    if properties is None:
        return ()
    if not isinstance(properties, Mapping):
        raise ValueError(f"{where}.properties is not an object")  # noqa: TRY004
    inside = members.path("properties", where)
    return tuple((name, members.optional_text(properties, name, inside) or "") for name in properties)
