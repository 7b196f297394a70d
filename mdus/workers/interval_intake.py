"""Takes interval values that head ends tell into the channels' days, a whole batch of deliveries at once.

Order and repetition do no harm: what is known already changes nothing, what differs makes a new version. What cannot be
placed (an unknown meter, an instant between two intervals) is told back, and its delivery stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from mdus.domain.channel import Channel
from mdus.domain.end_device import EndDevice
from mdus.domain.head_end import FieldIntervals
from mdus.domain.interval_block import IntervalBlock, ToldValues, empty_block, merged
from mdus.domain.reading_quality import QualitySet
from mdus.domain.usage_point import DeviceLocation
from mdus.settings import Settings
from mdus.storage.interval_block import current_blocks, ensure_channels, quality_marks, write_blocks
from mdus.storage.session import UnitOfWork
from mdus.workers.told import DeviceKey, Taken, Told

#: Grids that a day can be parted into.
_MINUTES = frozenset({1, 2, 3, 5, 6, 10, 12, 15, 20, 30, 60, 1440})


class _Values(NamedTuple):
    """Values that a delivery told of one meter, and the device they are of."""

    delivery_id: int
    device: EndDevice
    intervals: FieldIntervals


class _ChannelName(NamedTuple):
    """What tells one channel from another before its zone is known."""

    device: DeviceKey
    reading_type: str
    minutes: int
    unit: str


class _Piece(NamedTuple):
    """Some of the told values: those of one day."""

    told: _Values
    channel: Channel
    day: date
    position: int
    first: int
    length: int


def take_intervals(
    uow: UnitOfWork, told: Sequence[Told], devices: Mapping[tuple[str, str], EndDevice], *, now: datetime
) -> Taken:
    """Store the interval values among these events, pushed, fetched or read by a command, in the order they were told.

    `devices` are those named, by (head end, serial number). The number of statements does not depend on the number of
    values. Returns which meters were heard, and what has no place and why.
    """
    taken = Taken()
    values = list(_of_known_meters(told, devices, taken))
    if not values:
        return taken
    channels = _channels(uow, values)
    pieces: list[_Piece] = []
    sets = {QualitySet()}
    for each in values:
        try:
            said = {QualitySet.of((code,)) for code in each.intervals.qualities if code}
            found = list(_pieces(each, channels[_named(each)]))
        except ValueError as error:
            taken.note_unplaced(each.delivery_id, str(error))
            continue
        sets |= said
        pieces += found
        measured_until = _measured_until(each.intervals)
        if measured_until is not None:
            taken.note_heard(_key(each.device), min(measured_until, now))
    marks = quality_marks(uow.connection, sets)
    ensure_channels(uow.connection, {piece.channel for piece in pieces})
    before = current_blocks(uow.connection, {(piece.channel, piece.day) for piece in pieces}, lock=True)
    blocks = dict(before)
    for piece in pieces:
        key, by = (piece.channel, piece.day), f"delivery/{piece.told.delivery_id}"
        block = blocks.get(key) or empty_block(piece.channel, piece.day, at=now, by=by)
        blocks[key] = merged(block, _values(piece, marks), at=now, by=by)
    write_blocks(uow.connection, _versions(before, blocks))
    return taken


def _of_known_meters(
    told: Sequence[Told], devices: Mapping[tuple[str, str], EndDevice], taken: Taken
) -> Iterator[_Values]:
    for each in told:
        for block in each.events:
            if not isinstance(block, FieldIntervals):
                continue
            device = devices.get((each.head_end, block.serial_id))
            if device is None:
                taken.note_unplaced(each.delivery_id, f"no device with serial number {block.serial_id}")
            else:
                yield _Values(each.delivery_id, device, block)


def _measured_until(block: FieldIntervals) -> datetime | None:
    """Return the end of the last interval with a value: the meter has communicated since."""
    measured = [place for place, value in enumerate(block.values, start=1) if value is not None]
    return block.start_at + measured[-1] * timedelta(minutes=block.interval_minutes) if measured else None


def _versions(
    before: Mapping[tuple[Channel, date], IntervalBlock], after: Mapping[tuple[Channel, date], IntervalBlock]
) -> list[IntervalBlock]:
    """Return the blocks that changed; in one order everywhere, so that two workers never hold each other's next row."""
    changed = [block for key, block in after.items() if before.get(key) is not block]
    return sorted(changed, key=lambda block: (block.channel.key, block.day))


def _channels(uow: UnitOfWork, told: Sequence[_Values]) -> dict[_ChannelName, Channel]:
    """Return the channel of everything told: the one there is, else a new one in the zone of the meter's place."""
    devices = {_key(each.device): each.device for each in told}
    channels = {
        _ChannelName(
            (channel.sender_system, channel.device_id), channel.reading_type, channel.interval_minutes, channel.unit
        ): channel
        for channel in uow.load(Channel, EndDevice.KEY, devices.keys(), lock=False)
    }
    unknown = [name for name in sorted({_named(each) for each in told}) if name not in channels]
    if unknown:
        zones = _zones(uow, [devices[name.device] for name in unknown])
        for name in unknown:
            sender_system, device_id = name.device
            channels[name] = Channel(
                sender_system=sender_system,
                device_id=device_id,
                reading_type=name.reading_type,
                interval_minutes=name.minutes,
                time_zone=zones[name.device],
                unit=name.unit,
                decimals=uow.settings.intervals.decimals,
            )
    return channels


def _key(device: EndDevice) -> DeviceKey:
    return device.sender_system, device.device_id


def _named(told: _Values) -> _ChannelName:
    intervals = told.intervals
    unit = (intervals.unit or "").upper()
    return _ChannelName(_key(told.device), intervals.reading_type, intervals.interval_minutes, unit)


def _zones(uow: UnitOfWork, devices: Sequence[EndDevice]) -> dict[DeviceKey, str]:
    """Return the zone of each device: of its newest location that names one, else of its head end."""
    settings = uow.settings
    zones = {_key(device): zone_of(settings, device.head_end) for device in devices}
    locations = uow.load(DeviceLocation, EndDevice.KEY, zones.keys(), lock=False)
    for location in sorted(locations, key=lambda each: each.valid_from):
        named = settings.time_zones.get(location.time_zone_code or "")
        if named is not None:
            zones[location.sender_system, location.device_id] = named
    return zones


def zone_of(settings: Settings, head_end: str | None) -> str:
    """Return the IANA zone of a head end's meters, where their location says nothing."""
    named = next((row.time_zone for row in settings.head_ends if row.name == head_end), None)
    return named or settings.time_zone


def _pieces(told: _Values, channel: Channel) -> Iterator[_Piece]:
    """Yield what was told by day. Raises ValueError where it fits into no grid."""
    intervals = told.intervals
    if intervals.interval_minutes not in _MINUTES:
        raise ValueError(f"intervals of {intervals.interval_minutes} minutes")
    if intervals.qualities and len(intervals.qualities) != len(intervals.values):
        raise ValueError(f"{len(intervals.qualities)} qualities for {len(intervals.values)} values")
    first = 0
    while first < len(intervals.values):
        start = intervals.start_at + first * timedelta(minutes=intervals.interval_minutes)
        grid = channel.day_of(start)
        position = grid.position(start)
        if position is None:
            raise ValueError(f"{intervals.reading_type}: {start:%Y-%m-%dT%H:%M:%SZ} is between two intervals")
        count = min(grid.count - position, len(intervals.values) - first)
        if count <= 0:
            raise ValueError(f"{intervals.reading_type}: {start:%Y-%m-%dT%H:%M:%SZ} begins no interval of its day")
        yield _Piece(told, channel, grid.on, position, first, count)
        first += count


def _values(piece: _Piece, marks: Mapping[QualitySet, int]) -> ToldValues:
    intervals, span = piece.told.intervals, slice(piece.first, piece.first + piece.length)
    codes = intervals.qualities[span] if intervals.qualities else (None,) * piece.length
    return ToldValues.of(
        piece.channel,
        piece.position,
        intervals.values[span],
        [marks[QualitySet.of((code,))] if code else 0 for code in codes],
    )
