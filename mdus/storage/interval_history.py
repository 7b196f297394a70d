"""Everything that is kept of one channel's day: its versions, edits, rule set, who has got it, and its open case."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date

from sqlalchemy import Connection, or_, select

from mdus.domain.channel import Channel
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import VALUES_NOT_FIT, ExceptionCase
from mdus.domain.interval_block import IntervalBlock, Layer
from mdus.domain.register import Register
from mdus.domain.time_series import TimeSeriesAssignment
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.storage import rule_set
from mdus.storage.interval_block import CHANNEL, INTERVAL_BLOCK, block_of
from mdus.storage.interval_edit import edits_of
from mdus.storage.registry import END_DEVICE
from mdus.storage.session import UnitOfWork
from mdus.storage.time_series import TIME_SERIES_UPLOAD
from mdus.vee.explanation import EditTold, Known, set_of


def channels_named(
    connection: Connection, name: str, *, reading_type: str | None, systems: Collection[str] | None
) -> dict[int, Channel]:
    """Return the channels of a device, by the id of their row; the device is named by its id or serial number."""
    channel, device = CHANNEL.table, END_DEVICE.table
    by_serial = select(device.c.device_id).where(
        device.c.serial_id == name, device.c.sender_system == channel.c.sender_system
    )
    query = (
        select(channel.c.id, *(channel.c[each] for each in CHANNEL.names))
        .where(or_(channel.c.device_id == name, channel.c.device_id.in_(by_serial)))
        .order_by(channel.c.id)
    )
    if reading_type is not None:
        query = query.where(channel.c.reading_type == reading_type)
    if systems is not None:
        query = query.where(channel.c.sender_system.in_(sorted(systems)))
    return {channel_id: found for (channel_id,), found in CHANNEL.fetch_beside(connection, query)}


def known_of(uow: UnitOfWork, channel_id: int, channel: Channel, day: date) -> Known:
    """Return what there is of a channel's day; a few statements."""
    table = INTERVAL_BLOCK
    query = select(table).where(table.c.channel_id == channel_id, table.c.day == day).order_by(table.c.version)
    blocks = [block_of(row, channel) for row in uow.connection.execute(query)]
    final = [block for block in blocks if block.layer is Layer.FINAL]
    title = set_of(final)
    return Known(
        channel=channel,
        day=day,
        raw=[block for block in blocks if block.layer is Layer.RAW],
        final=final,
        qualities=uow.quality_sets(blocks),
        edits=[
            EditTold(version=each.version, is_undone=each.is_undone, edit=each.edit)
            for each in edits_of(uow.connection, channel_id, day)
        ],
        rules=None if title is None else _rules_of(uow.connection, title),
        handed_over=list(_handed_over(uow, channel, day, final)),
        case=_case(uow, channel, day),
    )


def _rules_of(connection: Connection, title: str) -> list[str] | None:
    """Return the names of the rules of a set's version, in their order."""
    name, _, version = title.partition("@")
    for each in rule_set.versions(connection, name):
        if str(each.version) == version:
            return [use.name for use in each.row.rules]
    return None


def _handed_over(uow: UnitOfWork, channel: Channel, day: date, final: Collection[IntervalBlock]) -> Iterator[str]:
    """Yield who has got values of the day."""
    used = [block.version for block in final if block.used]
    for profile in sorted(_profiles(uow, channel)):
        table = TIME_SERIES_UPLOAD.table
        query = select(table.c.number, table.c.operation, table.c.status, table.c.count, table.c.made_at).where(
            table.c.sender_system == channel.sender_system, table.c.time_series_id == profile, table.c.day == day
        )
        for row in uow.connection.execute(query.order_by(table.c.number)):
            yield (
                f"profile {profile}, upload {row.number} ({row.operation}): {row.count} values, {row.status},"
                f" made {row.made_at:%Y-%m-%d %H:%M} UTC"
            )
    if used:
        yield f"somebody has acted on version {', '.join(map(str, used))}: what comes later makes a new one"


def _profiles(uow: UnitOfWork, channel: Channel) -> set[str]:
    """Return the profiles that the channel feeds, or has fed."""
    policy = TimeSeriesPolicy.of(uow.settings)
    device = (channel.sender_system, channel.device_id)
    tasks = {
        (register.sender_system, register.measurement_task_id)
        for register in uow.load(Register, EndDevice.KEY, {device}, lock=False)
        if channel.reading_type in policy.interval_types(register)
    }
    key = ("sender_system", "measurement_task_id")
    return {each.time_series_id for each in uow.load(TimeSeriesAssignment, key, tasks, lock=False)}


def _case(uow: UnitOfWork, channel: Channel, day: date) -> str | None:
    key = f"{channel.sender_system}/{channel.device_id}/{channel.reading_type}/{day}"
    cases = uow.load(ExceptionCase, ExceptionCase.KEY, [(VALUES_NOT_FIT, key)], lock=False)
    return next((case.note for case in cases if case.closed_at is None), None)
