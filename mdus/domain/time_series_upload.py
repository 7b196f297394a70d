"""What SAP has been told of a profile: per day the values it has, and each handing-over of values with its outcome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import groupby
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdus.domain.channel import MISSING, DayGrid, day_grid
from mdus.domain.interval_block import Elements
from mdus.domain.time_series import Mask, Places
from mdus.domain.value import Value

#: The array element of a value that SAP has and that is no value of the profile any more: other unit, or too fine.
OTHERWISE: Final = MISSING + 1

#: Kinds of exception cases: SAP refused values for good, has not answered, or values are missing.
VALUES_REFUSED: Final = "profile_values_refused"
VALUES_UNCONFIRMED: Final = "profile_values_unconfirmed"
VALUES_MISSING: Final = "profile_values_missing"

_MINUTE: Final = timedelta(minutes=1)


class Operation(StrEnum):
    """How values go to SAP."""

    CREATE = "create"  # SAP has none for these intervals
    CHANGE = "change"  # SAP has others


class UploadStatus(StrEnum):
    """What became of a handing-over."""

    DUE = "due"  # to be put into a message
    SENT = "sent"  # in a message, not answered
    CONFIRMED = "confirmed"  # SAP took the values
    REFUSED = "refused"  # SAP did not take them: it has what it had before
    UNANSWERED = "unanswered"  # a human must look; an answer that still comes counts


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Values of consecutive intervals of one length and status, in the decimals of their upload."""

    start: datetime
    minutes: int
    status: str
    values: tuple[int, ...]

    def __str__(self) -> str:
        """Return the run as it is stored."""
        return " ".join((f"{self.start:%Y-%m-%dT%H:%MZ}", str(self.minutes), self.status, *map(str, self.values)))

    @classmethod
    def parse(cls, text: str) -> Run:
        """Return the run that a text stands for."""
        start, minutes, status, *values = text.split(" ")
        return cls(
            start=datetime.strptime(start, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC),
            minutes=int(minutes),
            status=status,
            values=tuple(map(int, values)),
        )


def runs_of(text: str) -> Iterator[Run]:
    """Yield the runs of a stored text, one per line."""
    return map(Run.parse, text.splitlines())


def stored(runs: Iterable[Run]) -> str:
    """Return runs as they are stored."""
    return "\n".join(map(str, runs))


def runs(day: DayGrid, places: Sequence[int], values: Sequence[int], statuses: Sequence[str]) -> Iterator[Run]:
    """Yield the runs of some intervals of a day, given with their values and statuses in the order of time."""

    def alike(numbered: tuple[int, tuple[int, int, str]]) -> tuple[int, timedelta, str]:
        number, (place, _, status) = numbered
        # Places that follow each other all lie equally far from their number.
        return place - number, day.ends_at(place) - day.starts_at(place), status

    for (_, length, status), group in groupby(enumerate(zip(places, values, statuses, strict=True)), alike):
        some = [place_and_value for _, place_and_value in group]
        yield Run(
            start=day.starts_at(some[0][0]),
            minutes=length // _MINUTE,
            status=status,
            values=tuple(value for _, value, _ in some),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeSeriesUpload(Value):
    """Values of one profile and day on their way to SAP, as one item of a message, and what became of them.

    `number` counts the uploads of a profile. `content` holds runs of the values, in `unit` x 10**-`decimals`; `before`
    those SAP had instead. `attempts` counts how often the message was sent that SAP did not answer.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "time_series_id", "number")

    sender_system: str
    time_series_id: str
    number: int
    day: date
    operation: Operation
    status: UploadStatus = UploadStatus.DUE
    unit: str
    decimals: int
    count: int
    content: str
    before: str = ""
    attempts: int = 1
    made_at: datetime
    note: str | None = None

    def quantity(self, element: int) -> Decimal:
        """Return the quantity that a stored value stands for."""
        return Decimal(element).scaleb(-self.decimals)


class Marked(NamedTuple):
    """The values of a day, and of each the place of its status in a list of codes."""

    values: Elements
    statuses: Places

    @classmethod
    def nothing(cls, count: int) -> Marked:
        """Return a day without values."""
        return cls(np.full(count, MISSING, dtype=np.int64), np.zeros(count, dtype=np.uint8))

    def where(self, which: Mask, other: Marked) -> Marked:
        """Return these values where a mask says so, and elsewhere another's."""
        statuses = np.where(which, self.statuses, other.statuses).astype(np.uint8)
        return Marked(np.where(which, self.values, other.values), statuses)

    def at(self, places: Sequence[int], *, day: DayGrid, codes: Sequence[str]) -> Iterator[Run]:
        """Yield the runs of some intervals."""
        statuses = [codes[place] for place in self.statuses[places].tolist()]
        return runs(day, places, self.values[places].tolist(), statuses)


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeSeriesDay(Value):
    """What SAP has of a profile's day: its values in the grid of `time_zone` and `interval_minutes`.

    `told` and `statuses` are little-endian arrays of int64 (MISSING where SAP has nothing) and uint8, the place of the
    value's status in `codes`. `refusals` counts how often SAP refused values of this day since it took some.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "time_series_id", "day")

    sender_system: str
    time_series_id: str
    day: date
    time_zone: str
    interval_minutes: int
    unit: str
    decimals: int
    told: bytes
    statuses: bytes
    codes: str = ""
    refusals: int = 0

    @property
    def grid(self) -> DayGrid:
        """Return the intervals of the day."""
        return day_grid(self.day, self.interval_minutes, self.time_zone)

    def had_in(self, day: DayGrid, *, unit: str, decimals: int) -> Marked:
        """Return what SAP has in another grid, unit and decimals; OTHERWISE where it has what is no value there.

        Of another grid only intervals that begin together are the same.
        """
        told = np.frombuffer(self.told, dtype="<i8")
        if unit != self.unit:
            told = np.where(told == MISSING, MISSING, OTHERWISE)
        elif decimals != self.decimals:
            told = np.array([_rescaled(each, decimals - self.decimals) for each in told.tolist()], dtype=np.int64)
        statuses = np.frombuffer(self.statuses, dtype=np.uint8)
        return Marked(self._placed(told, day, MISSING), self._placed(statuses, day, 0))

    def _placed(self, elements: NDArray[Any], day: DayGrid, nothing: int) -> NDArray[Any]:
        mine = self.grid
        if (day.start, day.minutes, day.count) == (mine.start, mine.minutes, mine.count):
            return elements
        by_start = {mine.starts_at(place): element for place, element in enumerate(elements.tolist())}
        placed = [by_start.get(day.starts_at(place), nothing) for place in range(day.count)]
        return np.array(placed, dtype=elements.dtype)

    def taken_back(self, upload: TimeSeriesUpload) -> TimeSeriesDay:
        """Return the day as it is when SAP has not taken an upload: what it has since got by another stays."""
        if (upload.unit, upload.decimals) != (self.unit, self.decimals):
            return self
        told, statuses = np.frombuffer(self.told, dtype="<i8").copy(), np.frombuffer(self.statuses, np.uint8).copy()
        codes, grid = self.codes.split(), self.grid
        before = dict(_elements(runs_of(upload.before)))
        for start, (value, status) in _elements(runs_of(upload.content)):
            place = grid.position(start)
            if place is None or not 0 <= place < grid.count or (told[place], codes[statuses[place]]) != (value, status):
                continue
            if upload.operation is Operation.CREATE:
                told[place] = MISSING
            elif start in before:
                told[place], statuses[place] = before[start][0], codes.index(before[start][1])
        return replace(self, told=told.tobytes(), statuses=statuses.tobytes())


def _elements(some: Iterable[Run]) -> Iterator[tuple[datetime, tuple[int, str]]]:
    for run in some:
        for place, value in enumerate(run.values):
            yield run.start + place * run.minutes * _MINUTE, (value, run.status)


def _rescaled(element: int, places: int) -> int:
    if element in (MISSING, OTHERWISE):
        return element
    if places >= 0:
        grown = element * 10**places
        return grown if abs(grown) < -OTHERWISE else OTHERWISE
    whole, rest = divmod(element, 10**-places)
    return OTHERWISE if rest else whole


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeSeriesLook(Value):
    """A profile's day is to be looked at: whether there are values that SAP does not have.

    `onward` says that the look also makes the next day due: so a profile always has one day to come.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "time_series_id", "day")

    sender_system: str
    time_series_id: str
    day: date
    due_at: datetime
    onward: bool = False
