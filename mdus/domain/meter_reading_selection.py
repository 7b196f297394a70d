"""Which value answers a reading order: a policy per reading reason, and the choice among the values there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
from mdus.domain.value import Value
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


def choose(
    readings: Iterable[MeterReading],
    *,
    register: Register,
    window: Window,
    choice: Choice,
    on_demand: bool,
    units: Units,
    turns_over: bool = False,
) -> Chosen | None:
    """Return the value that answers an order, or None when none of the readings does.

    `readings` are of the register's channel, oldest row first: of two rows for one instant the newer counts. A value on
    either bound of the window is inside. A stored order takes any reading by the policy's choice; one on demand takes
    the first that was read for a command, else the first there is.
    """
    fitting: dict[datetime, tuple[MeterReading, Decimal]] = {}
    for reading in readings:
        if window.starts_at <= reading.measured_at <= window.ends_at:
            value = _shown(reading, register=register, units=units, turns_over=turns_over)
            if not isinstance(value, str):
                fitting[reading.measured_at] = (reading, value)
    if not fitting:
        return None
    if on_demand:
        read = [at for at, (reading, _) in fitting.items() if reading.origin is ReadingOrigin.ON_DEMAND]
        best = min(read or fitting)
        is_certain = bool(read)
    else:
        best = _best(fitting, window=window, choice=choice)
        is_certain = best == window.complete_at(choice)
    return Chosen(value=fitting[best][1], unit=register.unit, measured_at=best, is_certain=is_certain)


def misfit(readings: Iterable[MeterReading], *, register: Register, units: Units) -> str | None:
    """Return why a value that came for a register is none of it, None where each could be."""
    found = (_shown(reading, register=register, units=units, turns_over=False) for reading in readings)
    return next((reason for reason in found if isinstance(reason, str)), None)


def _shown(reading: MeterReading, *, register: Register, units: Units, turns_over: bool) -> Decimal | str:
    """Return what the register shows of a reading, or why the reading is none of this register."""
    value = units.converted(reading.value, told=reading.unit, wanted=register.unit)
    if value is None:
        return f"The value {reading.value} is in {reading.unit}, the register in {register.unit}"
    if turns_over:
        value = register.turned_over(value)
    shown = register.as_shown(value)
    if not register.has_digits_for(shown):
        return f"The value {shown} has more digits than the register"
    return shown


def _best(instants: Iterable[datetime], *, window: Window, choice: Choice) -> datetime:
    match choice:
        case Choice.EARLIEST:
            return min(instants)
        case Choice.LATEST:
            return max(instants)
        case Choice.NEAREST:
            return min(sorted(instants, reverse=True), key=lambda at: abs(at - window.target_at))
