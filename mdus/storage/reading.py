"""Register readings as rows: raw values, newest version of an instant last."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, and_, select

from mdus.domain.command import Command
from mdus.domain.reading import MeterReading
from mdus.storage.keys import given
from mdus.storage.mapping import ValueTable

METER_READING = ValueTable(
    MeterReading, "meter_reading", keep=True, indexes=[("sender_system", "device_id", "measured_at")]
)


def readings_of(connection: Connection, commands: Collection[Command]) -> list[MeterReading]:
    """Return the readings of the devices of commands, taken since each was to be carried out, oldest row first."""
    if not commands:
        return []
    reading = METER_READING.table
    like = (reading.c.sender_system, reading.c.device_id, reading.c.measured_at)
    spans = [(each.sender_system, each.device_id, each.not_before.replace(microsecond=0)) for each in commands]
    sender_system, device_id, since = given(connection, like, spans)
    taken = and_(
        reading.c.sender_system == sender_system, reading.c.device_id == device_id, reading.c.measured_at >= since
    )
    columns = [reading.c[name] for name in METER_READING.names]
    return METER_READING.fetch(connection, select(*columns).where(taken).order_by(reading.c.id))
