"""Takes interval values that head ends tell into the channels' days, a whole batch of deliveries at once.

Order and repetition do no harm: what is known already changes nothing, what differs makes a new version. What cannot be
placed (an unknown meter, an instant between two intervals) is told back, and its delivery stays. When that is read
again it sets nothing back that was told since: an estimate of the morning is no news once the day was measured.

Meters of a batch are much alike: they tell the same day in the same decimals. So days are found once per span of time,
and values are brought to the scale of their channels as one array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

import numpy as np

from mdus.domain.channel import Channel, DayGrid
from mdus.domain.end_device import EndDevice
from mdus.domain.head_end import FieldIntervals
from mdus.domain.interval_block import IntervalBlock, Marks, ToldValues, first_block, lacking, merged
from mdus.domain.quantities import Elements, Quantities, rescaled
from mdus.domain.reading_quality import QualitySet
from mdus.domain.usage_point import DeviceLocation
from mdus.settings import Settings
from mdus.storage.interval_block import channels_of, current_blocks, ensure_channels, quality_marks, write_blocks
from mdus.storage.registry import KnownDevice
from mdus.storage.session import UnitOfWork
from mdus.workers.told import DeviceKey, Taken, Told

#: Grids that a day can be parted into.
_MINUTES: Final = frozenset({1, 2, 3, 5, 6, 10, 12, 15, 20, 30, 60, 1440})

_A_DAY: Final = 1440
_HOUR: Final = timedelta(hours=1)

#: What `written_by` of a raw block begins with, before the number of the delivery.
_DELIVERY: Final = "delivery/"


class _ChannelName(NamedTuple):
    """What tells one channel from another before its zone is known."""

    sender_system: str
    device_id: str
    reading_type: str
    minutes: int
    unit: str


class _Values(NamedTuple):
    """Values that a delivery told of one meter, and the device and channel they are of."""

    device: DeviceKey
    head_end: str | None
    name: _ChannelName
    intervals: FieldIntervals
    told: Told


class _Span(NamedTuple):
    """Some of the told values: those of one day."""

    day: date
    position: int
    first: int
    length: int


class _Piece(NamedTuple):
    """The values of one day, by what delivery told them."""

    channel: Channel
    day: date
    told: ToldValues
    whole: Told


def take_intervals(
    uow: UnitOfWork, told: Sequence[Told], devices: Mapping[tuple[str, str], KnownDevice], *, now: datetime
) -> Taken:
    """Store the interval values among these events, pushed, fetched or read by a command, in the order they were told.

    `devices` are those named, by (head end, serial number). The number of statements does not depend on the number of
    values. Returns which meters were heard, and what has no place and why.
    """
    taken = Taken()
    values = list(_of_known_meters(told, devices, taken))
    if not values:
        return taken
    channels, ids = _channels(uow, values)
    placed: list[tuple[_Values, Channel, Sequence[_Span]]] = []
    spans: dict[tuple[object, ...], Sequence[_Span]] = {}
    for each in values:
        channel = channels[each.name]
        try:
            placed.append((each, channel, _spans(each.intervals, channel, spans)))
        except ValueError as error:
            taken.note_unplaced(each.told.delivery_id, str(error))
            continue
        length = each.intervals.values.told
        if length:
            measured_until = each.intervals.start_at + length * timedelta(minutes=each.name.minutes)
            taken.note_heard(each.device, min(measured_until, now))
    new = {channel for _, channel, _ in placed if channel not in ids}
    ids |= ensure_channels(uow.connection, sorted(new, key=lambda channel: channel.key))
    pieces = list(_pieces(uow, placed))
    days = {(piece.channel, piece.day): None for piece in pieces}
    before = current_blocks(uow.connection, days, lock=True, ids=ids)
    blocks = dict(before)
    for piece in pieces:
        key, by = (piece.channel, piece.day), f"{_DELIVERY}{piece.whole.delivery_id}"
        block = blocks.get(key)
        if block is None:
            blocks[key] = first_block(*key, piece.told, at=now, by=by)
        else:
            is_outdated = piece.whole.is_again and _teller(block) > piece.whole.delivery_id
            told_now = lacking(block, piece.told, explained=piece.whole.is_explained) if is_outdated else piece.told
            blocks[key] = merged(block, told_now, at=now, by=by)
    # In one order everywhere, like new channels: two workers never hold each other's next row.
    changed = sorted(
        (block for key, block in blocks.items() if before.get(key) is not block),
        key=lambda block: (ids[block.channel], block.day),
    )
    write_blocks(uow.connection, changed, ids=ids, before=before)
    return taken


def _teller(block: IntervalBlock) -> int:
    """Return the number of the delivery that a block was written by last."""
    return int(block.written_by.removeprefix(_DELIVERY))


def _of_known_meters(
    told: Sequence[Told], devices: Mapping[tuple[str, str], KnownDevice], taken: Taken
) -> Iterator[_Values]:
    for each in told:
        for block in each.events:
            if not isinstance(block, FieldIntervals):
                continue
            device = devices.get((each.head_end, block.serial_id))
            if device is None:
                taken.note_unplaced(each.delivery_id, f"no device with serial number {block.serial_id}")
                continue
            key = (device.sender_system, device.device_id)
            name = _ChannelName(*key, block.reading_type, block.interval_minutes, (block.unit or "").upper())
            yield _Values(key, device.head_end, name, block, each)


def _channels(uow: UnitOfWork, told: Sequence[_Values]) -> tuple[dict[_ChannelName, Channel], dict[Channel, int]]:
    """Return the channel of everything told: the one there is, else a new one in the zone of the meter's place.

    With it the rows of the channels there are.
    """
    devices = {each.device: each.head_end for each in told}
    ids = channels_of(uow.connection, devices)
    channels = {
        _ChannelName(
            channel.sender_system, channel.device_id, channel.reading_type, channel.interval_minutes, channel.unit
        ): channel
        for channel in ids
    }
    unknown = sorted({each.name for each in told} - channels.keys())
    if unknown:
        keys = {(name.sender_system, name.device_id) for name in unknown}
        zones = _zones(uow, {key: devices[key] for key in keys})
        for name in unknown:
            channels[name] = Channel(
                sender_system=name.sender_system,
                device_id=name.device_id,
                reading_type=name.reading_type,
                interval_minutes=name.minutes,
                time_zone=zones[name.sender_system, name.device_id],
                unit=name.unit,
                decimals=uow.settings.intervals.decimals,
            )
    return channels, ids


def _zones(uow: UnitOfWork, devices: Mapping[DeviceKey, str | None]) -> dict[DeviceKey, str]:
    """Return the zone of each device: of its newest location that names one, else of its head end."""
    settings = uow.settings
    of_head_ends = {head_end: zone_of(settings, head_end) for head_end in devices.values()}
    zones = {device: of_head_ends[head_end] for device, head_end in devices.items()}
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


def _spans(
    intervals: FieldIntervals, channel: Channel, known: dict[tuple[object, ...], Sequence[_Span]]
) -> Sequence[_Span]:
    """Return what was told by day. Raises ValueError where it fits into no grid.

    `known` keeps what was found for meters that told the same span of time.
    """
    if intervals.interval_minutes not in _MINUTES:
        raise ValueError(f"intervals of {intervals.interval_minutes} minutes")
    count, said = len(intervals.values.elements), len(intervals.qualities.places)
    if said not in (0, count):
        raise ValueError(f"{said} qualities for {count} values")
    for code in intervals.qualities.codes:
        QualitySet.of((code,))
    key = (intervals.start_at, count, channel.interval_minutes, channel.time_zone)
    found = known.get(key)
    if found is None:
        place: Callable[[FieldIntervals, Channel], Iterator[_Span]]
        place = _days if channel.interval_minutes == _A_DAY else _parts_of_days
        try:
            found = known[key] = list(place(intervals, channel))
        except ValueError as error:
            raise ValueError(f"{intervals.reading_type}: {error}") from None
    return found


def _parts_of_days(intervals: FieldIntervals, channel: Channel) -> Iterator[_Span]:
    step, first = timedelta(minutes=channel.interval_minutes), 0
    while first < len(intervals.values):
        start = intervals.start_at + first * step
        grid = channel.day_of(start)
        position = grid.position(start)
        if position is None:
            raise ValueError(f"{start:%Y-%m-%dT%H:%M:%SZ} is between two intervals")
        count = min(grid.count - position, len(intervals.values) - first)
        if count <= 0:
            raise ValueError(f"{start:%Y-%m-%dT%H:%M:%SZ} begins no interval of its day")
        yield _Span(grid.on, position, first, count)
        first += count


def _days(intervals: FieldIntervals, channel: Channel) -> Iterator[_Span]:
    """Yield a day for each daily value: the one its 24 hours cover, when the day itself has 23 or 25 too."""
    for place in range(len(intervals.values)):
        start = intervals.start_at + timedelta(days=place)
        grid: DayGrid = channel.day_of(start + timedelta(hours=12))
        if abs(start - grid.start) > _HOUR:
            raise ValueError(f"{start:%Y-%m-%dT%H:%M:%SZ} is between two intervals")
        yield _Span(grid.on, 0, place, 1)


def _pieces(uow: UnitOfWork, placed: Sequence[tuple[_Values, Channel, Sequence[_Span]]]) -> Iterator[_Piece]:
    """Yield the values by channel and day, in the scale of the channel and with the marks of their qualities."""
    codes = {code for each, _, _ in placed for code in each.intervals.qualities.codes}
    marks = quality_marks(uow.connection, {QualitySet(), *(QualitySet.of((code,)) for code in codes)})
    by_code = {code: marks[QualitySet.of((code,))] for code in codes}
    longest = max((len(each.intervals.values.elements) for each, _, _ in placed), default=0)
    nothing = np.zeros(longest, dtype=np.uint16)
    nothing.flags.writeable = False
    for (each, channel, spans), (elements, unfit) in zip(placed, _in_scale(placed), strict=True):
        qualities = each.intervals.qualities
        said: Marks = nothing
        if qualities.codes:
            said = np.array([0, *(by_code[code] for code in qualities.codes)], dtype=np.uint16)[qualities.places]
        for day, position, first, length in spans:
            last = first + length
            told = ToldValues(
                position=position,
                values=elements[first:last],
                qualities=said[first:last],
                unfit={position + at - first: text for at, text in unfit.items() if first <= at < last},
            )
            yield _Piece(channel, day, told, each.told)


def _in_scale(
    placed: Sequence[tuple[_Values, Channel, Sequence[_Span]]],
) -> list[tuple[Elements, Mapping[int, str]]]:
    """Return all values in the scales of their channels, and the texts of those that do not fit, by place."""
    alike: dict[tuple[int, int], list[int]] = {}
    for number, (each, channel, _) in enumerate(placed):
        alike.setdefault((each.intervals.values.decimals, channel.decimals), []).append(number)
    found: dict[int, tuple[Elements, Mapping[int, str]]] = {}
    for (before, after), numbers in alike.items():
        several = [placed[number][0].intervals.values for number in numbers]
        together, lost = rescaled(np.concatenate([one.elements for one in several]), before, after)
        first = 0
        for number, one in zip(numbers, several, strict=True):
            last = first + len(one.elements)
            if one.unfit or (lost and any(first <= place < last for place in lost)):
                scaled: Quantities = one.scaled(after)
                found[number] = (scaled.elements, scaled.unfit)
            else:
                found[number] = (together[first:last], {})
            first = last
    return [found[number] for number in range(len(placed))]
