"""Which value answers a reading order: a policy per reading reason, and the choice among the values there are."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field

from mdus.domain.local_time import day_start
from mdus.domain.reading import MeterReading, ReadingOrigin
from mdus.domain.register import Register
from mdus.domain.unit import Units
from mdus.domain.value import Value, type_key
from mdus.settings import Section, Settings


class Anchor(StrEnum):
    """Which end of the scheduled day an order means; SAP gives a date only."""

    START_OF_DAY = "start_of_day"
    END_OF_DAY = "end_of_day"  # the first instant of the day after: what a register shows when the day is over


class Choice(StrEnum):
    """Which value of the window counts."""

    EARLIEST = "earliest"
    LATEST = "latest"
    NEAREST = "nearest"  # to the anchor; of two as near the later


class Instead(StrEnum):
    """What becomes of an order for which no valid value is there."""

    WAIT = "wait"  # read again until attempts and window are used up, then an event
    ESTIMATE = "estimate"  # the same, then an estimate, marked as one; an event where none can be made
    EVENT = "event"  # an event at once: a suspect value is not read again, a missing one asked for once


class ReadingReason(Section):
    """A row of config/reading_reasons.toml: how orders of one MeterReadingReasonCode are read.

    The window reaches from `days_back` local days before the anchor to `days_forward` after it. What a row leaves out
    (`attempts`, `attempt_interval_minutes`) it has from the section `reading`.
    """

    name: str
    code: Annotated[str, Field(pattern=r"^[0-9]{1,3}$")]
    anchor: Anchor = Anchor.END_OF_DAY
    choice: Choice = Choice.NEAREST
    days_back: Annotated[int, Field(ge=0, le=366)] = 0
    days_forward: Annotated[int, Field(ge=0, le=366)] = 0
    on_demand: bool = False
    removal: bool = False
    if_suspect: Instead = Instead.WAIT
    if_missing: Instead = Instead.WAIT
    attempts: Annotated[int, Field(ge=1)] | None = None
    attempt_interval_minutes: Annotated[int, Field(ge=1)] | None = None


class OutOfReach(ValueError):
    """A window that lies beyond the calendar."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingPolicy:
    """How one reason is read, with what its row left to the settings filled in."""

    anchor: Anchor = Anchor.END_OF_DAY
    choice: Choice = Choice.NEAREST
    days_back: int = 0
    days_forward: int = 0
    on_demand: bool = False
    removal: bool = False
    if_suspect: Instead = Instead.WAIT
    if_missing: Instead = Instead.WAIT
    attempts: int = 3
    attempt_interval: timedelta = timedelta(days=1)

    def window(self, scheduled_on: date, *, zone: str) -> Window:
        """Return the window of an order for a local date; days of 23 and 25 hours count as days.

        Raises OutOfReach for dates whose window the calendar does not hold, such as SAP's 9999-12-31.
        """
        try:
            anchor_on = scheduled_on + timedelta(days=1 if self.anchor is Anchor.END_OF_DAY else 0)
            first_on = anchor_on - timedelta(days=self.days_back)
            last_on = anchor_on + timedelta(days=self.days_forward)
        except OverflowError as error:
            raise OutOfReach(f"A reading scheduled for {scheduled_on} lies beyond the calendar") from error
        return Window(
            starts_at=day_start(first_on, zone=zone),
            target_at=day_start(anchor_on, zone=zone),
            ends_at=day_start(last_on, zone=zone),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """The instants between which a value counts, both included, and the one that is meant."""

    starts_at: datetime
    target_at: datetime
    ends_at: datetime

    def within(self, starts_at: datetime | None, ends_at: datetime | None) -> Window:
        """Return the part between two instants, both included; None is no bound. What is meant is then inside, too.

        Without an instant in common the part is empty: it ends before it starts.
        """
        starts_at = self.starts_at if starts_at is None else max(starts_at, self.starts_at)
        ends_at = self.ends_at if ends_at is None else min(ends_at, self.ends_at)
        return Window(starts_at=starts_at, target_at=min(max(self.target_at, starts_at), ends_at), ends_at=ends_at)

    def includes(self, at: datetime) -> bool:
        """Tell whether an instant is inside."""
        return self.starts_at <= at <= self.ends_at

    def complete_at(self, choice: Choice) -> datetime:
        """Return the instant from which the best value may be there: the latest is known only when all is over."""
        return {
            Choice.EARLIEST: self.starts_at,
            Choice.NEAREST: self.target_at,
            Choice.LATEST: self.ends_at,
        }[choice]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingPolicies(Value):
    """The policies of all reasons, and what holds for every reading: patience, units, whether registers turn over."""

    KEY: ClassVar[tuple[str, ...]] = ()

    by_reason: Mapping[str, ReadingPolicy]
    collection_delay: timedelta = timedelta(hours=1)
    on_demand_timeout: timedelta = timedelta(hours=1)
    on_demand_interval: timedelta = timedelta(minutes=15)
    units: Units = field(default_factory=Units)
    turns_over: bool = False  # what has more digits than its register is what the register shows; else it is no value
    estimate_type_code: str = "02"  # MeterReadingTypeCode of an estimate

    @classmethod
    def of(cls, settings: Settings) -> ReadingPolicies:
        """Return the policies that config/reading_reasons.toml says. Raises ValueError when two rows have one code."""
        reading = settings.reading
        by_reason: dict[str, ReadingPolicy] = {}
        for row in settings.rows("reading_reasons", ReadingReason):
            number = reason_number(row.code)
            if number in by_reason:
                raise ValueError(f"reading_reasons: the code {row.code} of {row.name} stands in several rows")
            given: dict[str, Any] = row.model_dump(exclude={"name", "code", "attempts", "attempt_interval_minutes"})
            by_reason[number] = ReadingPolicy(
                **given,
                attempts=row.attempts or reading.attempts,
                attempt_interval=timedelta(minutes=row.attempt_interval_minutes or reading.attempt_interval_minutes),
            )
        return cls(
            by_reason=by_reason,
            collection_delay=timedelta(minutes=reading.collection_delay_minutes),
            on_demand_timeout=timedelta(minutes=reading.on_demand_timeout_minutes),
            on_demand_interval=timedelta(minutes=reading.on_demand_interval_minutes),
            units=Units.of(settings),
            turns_over=reading.beyond_digits == "turn_over",
            estimate_type_code=reading.estimate_type_code,
        )

    def for_reason(self, code: str) -> ReadingPolicy | None:
        """Return the policy of a reason code, compared as a number (`1` is `01`), or None."""
        return self.by_reason.get(reason_number(code))


def reason_number(code: str) -> str:
    """Return a code without the leading zeros that senders drop and add."""
    return code.strip().lstrip("0") or "0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """A value for a reading order: as shown on the register, cut to its decimals, in its unit."""

    value: Decimal
    unit: str
    measured_at: datetime
    is_certain: bool  # no value still to come could be better


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A reading that may answer an order, and what the register shows of it."""

    reading: MeterReading
    value: Decimal
    has_digits: bool  # the register has the digits for it


def best(
    ranked: Iterable[Candidate],
    *,
    register: Register,
    window: Window,
    choice: Choice,
    on_demand: bool,
    held: Container[type_key] = frozenset(),
) -> Chosen | None:
    """Return the value that answers an order, or None when none of its `candidates` does.

    It is the best that the register has the digits for and that is not held as suspect; `held` are the keys of those
    that are.
    """
    first = next((each for each in ranked if each.has_digits and each.reading.key not in held), None)
    if first is None:
        return None
    reading = first.reading
    is_read = reading.origin is ReadingOrigin.ON_DEMAND
    return Chosen(
        value=first.value,
        unit=register.unit,
        measured_at=reading.measured_at,
        is_certain=is_read if on_demand else reading.measured_at == window.complete_at(choice),
    )


def candidates(
    readings: Iterable[MeterReading],
    *,
    register: Register,
    window: Window,
    choice: Choice,
    on_demand: bool,
    units: Units,
    turns_over: bool = False,
) -> list[Candidate]:
    """Return the readings that may answer an order, the best first.

    `readings` are of the register's channel, oldest row first: of two rows for one instant the newer counts. A value on
    either bound of the window is inside. A stored order takes any reading by the policy's choice; one on demand takes
    the first that was read for a command, else the first there is.
    """
    fitting: dict[datetime, Candidate] = {}
    for reading in readings:
        if not window.includes(reading.measured_at):
            continue
        value = shown(reading, register=register, units=units, turns_over=turns_over)
        if value is None:
            continue
        found = Candidate(reading=reading, value=value, has_digits=register.has_digits_for(value))
        if found.has_digits or reading.measured_at not in fitting:
            fitting[reading.measured_at] = found
    if on_demand:
        return [
            fitting[at]
            for at in sorted(fitting, key=lambda at: (fitting[at].reading.origin is not ReadingOrigin.ON_DEMAND, at))
        ]
    return [fitting[at] for at in _ranked(fitting, window=window, choice=choice)]


def misfit(readings: Iterable[MeterReading], *, register: Register, units: Units) -> str | None:
    """Return why a value that came for a register is none of it, None where each could be."""
    for reading in readings:
        value = shown(reading, register=register, units=units)
        if value is None:
            return f"The value {reading.value} is in {reading.unit}, the register in {register.unit}"
        if not register.has_digits_for(value):
            return f"The value {value} has more digits than the register"
    return None


def shown(reading: MeterReading, *, register: Register, units: Units, turns_over: bool = False) -> Decimal | None:
    """Return what the register shows of a reading, None where its unit is of another quantity; digits are not minded.

    With `turns_over` a count goes on where the register begins anew.
    """
    value = units.converted(reading.value, told=reading.unit, wanted=register.unit)
    if value is None:
        return None
    return register.as_shown(register.turned_over(value) if turns_over else value)


def _ranked(instants: Iterable[datetime], *, window: Window, choice: Choice) -> list[datetime]:
    """Return instants, the best first."""
    latest_first = sorted(instants, reverse=True)
    match choice:
        case Choice.EARLIEST:
            return latest_first[::-1]
        case Choice.LATEST:
            return latest_first
        case Choice.NEAREST:
            return sorted(latest_first, key=lambda at: abs(at - window.target_at))
