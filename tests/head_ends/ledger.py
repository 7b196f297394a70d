"""What the meters of a simulated head end truly measured and told, beside what MDUS keeps of it.

What is kept otherwise than it was measured is excused by the name of the fault that made it so, and by nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from mdus.domain.channel import Channel
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.interval_block import IntervalBlock
from mdus.domain.reading_quality import QualitySet
from mdus.domain.unmapped import UnmappedSource
from mdus.storage.interval_block import INTERVAL_BLOCK, IS_CURRENT, current_blocks, qualities_of
from mdus.storage.unmapped import UNMAPPED_VALUE
from tests.head_ends.city import City
from tests.head_ends.field import NOON

#: The faults by which values of an interval are told one after the other that differ.
_TELL_TWO_VALUES = {"interval_revised", "interval_multiplied"}

_VALID = QualitySet()

_BERLIN = ZoneInfo("Europe/Berlin")
_DAY = timedelta(days=1)

#: The meters of the play, by device.
Serials = Mapping[str, str]


class Place(NamedTuple):
    """One interval of one channel of a meter."""

    serial: str
    reading_type: str
    start_at: datetime


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What truly passed in an interval, and how far the head end has told it.

    What was late or estimated at first is told again; what a command has read was told in its result.
    """

    quantity: Decimal
    is_told: bool
    is_told_again: bool
    is_read: bool = False


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What MDUS keeps of an interval."""

    quantity: Decimal
    qualities: QualitySet = _VALID


@dataclass(frozen=True, kw_only=True)
class Read:
    """A meter whose interval values of a period were read."""

    serial: str
    period_from: datetime
    period_to: datetime


def complaint(measured: Measured | None, kept: Kept | None, faults: Collection[str]) -> str | None:
    """Return what is wrong with what is kept of an interval, None where nothing is, or a fault of it explains it."""
    if measured is None:
        return None if kept is None else f"kept as {kept}, and nobody has measured it"
    if kept is None:
        if measured.is_read:
            return "read, and not kept"
        if not measured.is_told or "interval_gap" in faults:  # it was not collected: only the meter has it
            return None
        if "intervals_late" in faults and not measured.is_told_again:
            return None
        return "told, and not kept"
    if kept == Kept(quantity=measured.quantity):
        return None
    if "interval_multiplied" in faults and kept == Kept(quantity=measured.quantity * 10):
        return None
    if "interval_revised" in faults and not measured.is_told_again and kept.qualities.is_estimated:
        return None
    return f"{measured} is kept as {kept}"


class _Span(NamedTuple):
    """The time of which a fault has spoilt what a meter tells."""

    fault: str
    serial: str
    begin: datetime
    end: datetime


class Intervals:
    """The intervals of a city's meters as they were measured, at the instant at which this is made."""

    def __init__(self, city: City, serials: Serials, read: Sequence[Read]) -> None:
        self._city = city
        self._serials = serials
        self._spans = list(_spans(city.simulated.fired()))
        first, last = NOON.date() - 2 * _DAY, city.clock.now().astimezone(_BERLIN).date()
        self._days = [first + number * _DAY for number in range((last - first).days + 1)]
        self._measured = dict(self._truth(read))

    @property
    def told(self) -> Counter[str]:
        """Return how many intervals of each meter the head end has told by itself."""
        return Counter(place.serial for place, measured in self._measured.items() if measured.is_told)

    def complaints(self) -> list[tuple[Place, str]]:
        """Return what is wrong with what MDUS keeps by now."""
        blocks = self._blocks()
        kept = self._kept(blocks)
        found = [
            (place, wrong)
            for place in sorted(self._measured.keys() | kept.keys())
            if (wrong := complaint(self._measured.get(place), kept.get(place), self._faults(place))) is not None
        ]
        return found + list(self._changed_for_nothing(blocks))

    def _truth(self, read: Sequence[Read]) -> Iterator[tuple[Place, Measured]]:
        for serial in self._serials.values():
            read_of_it = [each for each in read if each.serial == serial]
            for day in self._days:
                for channel in self._city.simulated.interval_truth(serial, day):
                    start, length = _instant(channel["start"]), timedelta(minutes=channel["interval_minutes"])
                    told_from = channel["told_from"] and _instant(channel["told_from"])
                    told_until, told_again_until = (
                        _instant(channel[name]) for name in ("told_until", "told_again_until")
                    )
                    for number, value in enumerate(channel["values"]):
                        at = start + number * length
                        yield (
                            Place(serial, channel["obis"], at),
                            Measured(
                                quantity=Decimal(value),
                                is_told=told_from is not None and told_from <= at < told_until,
                                is_told_again=at < told_again_until,
                                is_read=any(
                                    each.period_from <= at and at + length <= each.period_to for each in read_of_it
                                ),
                            ),
                        )

    def _blocks(self) -> Mapping[tuple[Channel, date], IntervalBlock]:
        days = [(channel, day) for channel in self._city.all(Channel) for day in self._days]
        with self._city.database.read() as uow:
            blocks = current_blocks(uow.connection, days)
            stored = uow.connection.scalar(select(func.count()).select_from(INTERVAL_BLOCK).where(IS_CURRENT))
        assert stored == len(blocks), "values are kept of days outside the play"
        return blocks

    def _kept(self, blocks: Mapping[tuple[Channel, date], IntervalBlock]) -> dict[Place, Kept]:
        with self._city.database.read() as uow:
            marks = {mark for block in blocks.values() for mark in block.qualities.tolist()}
            sets = qualities_of(uow.connection, marks)
        kept: dict[Place, Kept] = {}
        for (channel, day), block in blocks.items():
            assert not block.unfit
            grid = channel.day(day)
            for number, (quantity, mark) in enumerate(zip(block.quantities(), block.qualities.tolist(), strict=True)):
                if quantity is not None:
                    place = Place(self._serials[channel.device_id], channel.reading_type, grid.starts_at(number))
                    assert place not in kept, f"{place} is kept twice"
                    kept[place] = Kept(quantity=quantity, qualities=sets[mark])
        return kept

    def _changed_for_nothing(self, blocks: Mapping[tuple[Channel, date], IntervalBlock]) -> Iterator[tuple[Place, str]]:
        """Yield days of which there are several versions though nothing different was told of them."""
        for (channel, day), block in blocks.items():
            grid = channel.day(day)
            place = Place(self._serials[channel.device_id], channel.reading_type, grid.start)
            is_changed = any(
                each.fault in _TELL_TWO_VALUES
                and each.serial == place.serial
                and each.begin < grid.end
                and grid.start < each.end
                for each in self._spans
            )
            if block.version > 1 and not is_changed:
                yield place, f"version {block.version} of {day} by {block.written_by}"

    def _faults(self, place: Place) -> set[str]:
        """Return the faults that an interval was hit by."""
        return {
            each.fault
            for each in self._spans
            if each.serial == place.serial and each.begin <= place.start_at < each.end
        }


class Event(NamedTuple):
    """What a meter told of itself; its code without the type of device, for 0 says nothing, and becomes the table's."""

    serial: str
    code: str
    at: datetime


#: What a kind of head end has no word for in its log, and the nearest it has.
_NEAREST = {"multispeak": {"26.79.223": "26.38.47"}}


def unlike(city: City, serials: Serials) -> list[tuple[str, Event]]:
    """Return the events that were told and are not kept, not even as they came, and those that are kept and were not.

    Each is told once here, however often and in whatever order the head end told it. One that is told by its code and
    fetched from a log that has only the nearest word for it is kept under both.
    """
    told, kept, unmapped = _told(city), _kept_events(city, serials), _unmapped(city)
    nearest = _NEAREST.get(city.variant.kind, {})
    also = Counter(each._replace(code=nearest[each.code]) for each in told if each.code in nearest)
    missing = [
        each for each in told - kept - unmapped if not kept[each._replace(code=nearest.get(each.code, each.code))]
    ]
    return [("missing", each) for each in missing] + [("extra", each) for each in kept - told - also]


def _told(city: City) -> Counter[Event]:
    return Counter(_event(each["serial"], each["code"], _instant(each["at"])) for each in city.simulated.events())


def _kept_events(city: City, serials: Serials) -> Counter[Event]:
    kept: Iterable[EndDeviceEvent] = city.all(EndDeviceEvent, source="city")
    return Counter(_event(serials[each.device_id or ""], each.event_type, each.at) for each in kept)


def _event(serial: str, code: str, at: datetime) -> Event:
    return Event(serial, code.partition(".")[2], at)


def _unmapped(city: City) -> Counter[Event]:
    """Return what MDUS keeps as it came, by scheme and code, for no table explains it."""
    table = UNMAPPED_VALUE
    query = select(table.c.serial_id, table.c.code, table.c.at).where(table.c.source == UnmappedSource.EVENT)
    with city.database.read() as uow:
        rows = uow.connection.execute(query).all()
    return Counter(_event(row.serial_id, row.code.rpartition(": ")[2], row.at) for row in rows)


def _spans(fired: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[_Span]:
    for name, hits in fired.items():
        for hit in hits:
            if "from" in hit:
                yield _Span(name, hit["serial"], _instant(hit["from"]), _instant(hit["to"]))


def _instant(text: Any) -> datetime:
    return datetime.fromisoformat(text)
