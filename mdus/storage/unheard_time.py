"""Times in which what head ends told went nowhere, and which of their meters' snapshots have come all the same."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from mdus.domain.end_device import EndDevice
from mdus.domain.reading import ReadingOrigin
from mdus.domain.unheard_time import UnheardTime
from mdus.storage.keys import among
from mdus.storage.mapping import ValueTable
from mdus.storage.reading import METER_READING
from mdus.storage.registry import END_DEVICE

UNHEARD_TIME = ValueTable(UnheardTime, "unheard_time")


def times_due(connection: Connection, *, now: datetime) -> list[UnheardTime]:
    """Return the times of which it is to be looked now who has not told."""
    table = UNHEARD_TIME.table
    return UNHEARD_TIME.fetch(
        connection, UNHEARD_TIME.select().where(table.c.look_at <= now).order_by(table.c.head_end)
    )


def devices_served(connection: Connection, head_end: str, *, after: str, limit: int) -> list[EndDevice]:
    """Return the next devices a head end serves, by serial number."""
    table = END_DEVICE.table
    query = END_DEVICE.select().where(table.c.head_end == head_end, table.c.serial_id > after)
    return END_DEVICE.fetch(connection, query.order_by(table.c.serial_id).limit(limit))


def snapshots_told(
    connection: Connection, devices: Collection[EndDevice], midnights: Sequence[datetime]
) -> set[tuple[str, str, datetime]]:
    """Return of which devices the snapshot of which midnights is here: (sender system, device id, midnight)."""
    table = METER_READING.table
    columns = [table.c.sender_system, table.c.device_id, table.c.measured_at]
    wanted = [(each.sender_system, each.device_id, at) for each in devices for at in midnights]
    if not wanted:
        return set()
    is_snapshot = table.c.origin == ReadingOrigin.SNAPSHOT
    query = select(*columns).where(among(connection, columns, wanted), is_snapshot).distinct()
    return {(row[0], row[1], row[2]) for row in connection.execute(query).all()}
