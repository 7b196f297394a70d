"""What concentrators tell of meters, out of its JSON: register readings, blocks of interval values, events."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mdus.domain.head_end import FieldAlarm, FieldIntervals, FieldReading
from mdus.domain.quantities import NOTHING_SAID, Qualities
from mdus.headends import _members as members

_QUALITY = re.compile(r"\d+\.\d+\.\d+", re.ASCII)
_EVENT_TYPE = re.compile(r"\d+\.\d+\.\d+\.\d+", re.ASCII)


def readings(content: Mapping[str, Any], serial: str) -> Iterator[FieldReading]:
    """Read the register readings of a message; of a register that had no value nothing is told."""
    for at, row in enumerate(members.optional_list(content, "reads", "")):
        where = f"reads[{at}]"
        value = members.optional_quantity(members.of_row(row, where), "value", where)
        if value is not None:
            yield FieldReading(
                serial_id=serial,
                reading_type=members.text(row, "obis", where),
                measured_at=members.instant(row, "ts", where),
                value=value,
                unit=members.optional_text(row, "unit", where),
            )


def intervals(content: Mapping[str, Any], serial: str) -> Iterator[FieldIntervals]:
    """Read the blocks of interval values of a message."""
    for at, row in enumerate(members.optional_list(content, "blocks", "")):
        where = f"blocks[{at}]"
        values = members.quantities(row, "values", where)
        if not len(values):
            raise ValueError(f"{where}.values is empty")
        yield FieldIntervals(
            serial_id=serial,
            reading_type=members.text(row, "obis", where),
            unit=members.optional_text(row, "unit", where),
            interval_minutes=members.minutes(row, "minutes", where),
            start_at=members.instant(row, "start", where),
            values=values,
            qualities=_qualities(row, where, count=len(values)),
        )


def alarms(content: Mapping[str, Any], serial: str) -> Iterator[FieldAlarm]:
    """Read the events of a message."""
    for at, row in enumerate(members.whole_list(content, "events", "")):
        where = f"events[{at}]"
        code = members.text(row, "code", where)
        if not _EVENT_TYPE.fullmatch(code):
            raise ValueError(f"{where}.code is {code!r}, not a code d.d.d.d")
        yield FieldAlarm(
            serial_id=serial,
            event_type=code,
            at=members.instant(row, "ts", where),
            source_id=members.optional_text(row, "id", where),
            text=members.optional_text(row, "text", where),
            properties=_properties(row, where),
        )


def _qualities(row: Any, where: str, *, count: int) -> Qualities:
    codes = members.optional_list(row, "q", where)
    if codes and len(codes) != count:
        raise ValueError(f"{where}.q has {len(codes)} codes for {count} values")
    for at, code in enumerate(codes):
        if code is not None and not (isinstance(code, str) and _QUALITY.fullmatch(code)):
            raise ValueError(f"{where}.q[{at}] is {code!r}, not a code system.category.index")
    return Qualities.of(codes) if any(codes) else NOTHING_SAID


def _properties(row: Any, where: str) -> tuple[tuple[str, str], ...]:
    properties = members.member(row, "props", where)
    if properties is None:
        return ()
    inside = members.path("props", where)
    return tuple(
        (name, members.optional_text(properties, name, inside) or "") for name in members.of_row(properties, inside)
    )
