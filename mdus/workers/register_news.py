"""What follows when readings of registers come in, beside the orders they answer.

A reading at the beginning or the end of a local day is what the values of that day are held against: where the day has
its final values already it is looked at again. A reading that contradicts an estimate SAP was told becomes an event and
a case.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from mdus.domain.channel import Channel
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.local_time import local_day
from mdus.domain.reading import MeterReading
from mdus.domain.reading_contradiction import Tolerance, contradictions
from mdus.domain.value import Value
from mdus.storage import meter_reading_document as documents
from mdus.storage import validation
from mdus.storage.session import UnitOfWork

_A_DAY: Final = timedelta(days=1)

#: Everywhere on earth days begin at a whole quarter of an hour: other readings need not be looked at.
_QUARTER_MINUTES: Final = 15
_LAST_YEAR: Final = 9999


def look_again(uow: UnitOfWork, readings: Sequence[MeterReading], *, now: datetime) -> None:
    """Make days due that end or begin with a reading and have final values; three statements at most."""
    instants: dict[tuple[str, str], set[datetime]] = defaultdict(set)
    for reading in readings:
        at = reading.measured_at
        if 1 < at.year < _LAST_YEAR and at.minute % _QUARTER_MINUTES == 0 and at.second == 0 and at.microsecond == 0:
            instants[reading.sender_system, reading.device_id].add(at)
    if not instants:
        return
    channels = validation.channels_of(uow.connection, instants)
    days = {
        (channel_id, day)
        for channel_id, channel in channels.items()
        for at in instants[channel.sender_system, channel.device_id]
        for day in _days_at(channel, at)
    }
    validation.look_at_final(uow.connection, days, due_at=now)


def _days_at(channel: Channel, at: datetime) -> Iterator[date]:
    """Yield the local days of a channel that end and begin at an instant."""
    day = local_day(at, zone=channel.time_zone)
    if channel.day(day).start == at:
        yield day - _A_DAY
        yield day


def contradicted(uow: UnitOfWork, readings: Sequence[MeterReading], *, now: datetime) -> list[Value]:
    """Return what is to be told of readings that contradict estimates and is not told yet; no outcome changes."""
    devices = {(reading.sender_system, reading.device_id) for reading in readings}
    estimated = documents.estimated_for(uow.connection, devices)
    if not estimated:
        return []
    found = list(contradictions(estimated, readings, tolerance=Tolerance.of(uow.settings), now=now))
    cases = [each for each in found if isinstance(each, ExceptionCase)]
    known = uow.load(ExceptionCase, ExceptionCase.KEY, {case.key for case in cases}, lock=False)
    told = {(case.case_key, case.note) for case in known}
    # The same reading may come again after somebody has closed the case.
    return [each for each in found if not isinstance(each, ExceptionCase) or (each.case_key, each.note) not in told]
