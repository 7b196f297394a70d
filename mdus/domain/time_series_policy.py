"""What the settings say of profiles: what feeds them, when their values go to SAP, in which unit, with which status."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, model_validator

from mdus.domain.reading_quality import QualitySet
from mdus.domain.recurrence import PLAIN, Recurrences
from mdus.domain.register import Register, plain_code
from mdus.domain.unit import Units
from mdus.domain.value import Value
from mdus.settings import Section, Settings

_DAY_MINUTES: Final = 1440

Text = Annotated[str, Field(min_length=1)]


class Gaps(StrEnum):
    """What becomes of an interval without a value when the others go."""

    OMIT = "omit"
    ZERO = "zero"  # sent as 0 with the status for gaps; its value follows as a change


class LoadProfileRow(Section):
    """A row of `load_profiles`: the reading type under which the interval values of a register come."""

    name: str
    reading_type: Text
    intervals: Text
    factor_applied_by: Literal["mdus", "head_end"] = "mdus"


class IntervalExportRow(Section):
    """A row of `interval_exports`: when the values of some profiles go to SAP."""

    name: str
    sender_system: Text | None = None
    time_series: Text | None = None
    role: Text | None = None
    recurrence: Text | None = None
    cadence_minutes: Annotated[int, Field(ge=1, le=_DAY_MINUTES)] = _DAY_MINUTES
    cut_off_minutes: Annotated[int, Field(ge=0)] = 0
    complete_percent: Annotated[float, Field(gt=0, le=100)] = 100
    give_up_minutes: Annotated[int, Field(ge=0)] = _DAY_MINUTES
    gaps: Gaps = Gaps.OMIT

    @model_validator(mode="after")
    def _is_sound(self) -> IntervalExportRow:
        if 60 % self.cadence_minutes and self.cadence_minutes % 60:
            raise ValueError("cadence_minutes is a part of the hour or whole hours")
        if self.give_up_minutes < self.cut_off_minutes:
            raise ValueError("give_up_minutes comes before cut_off_minutes")
        return self

    def weight(self, sender_system: str, *, time_series: str, role: str, recurrence: str | None) -> int | None:
        """Return how many things the row states, None where one of them is not so."""
        stated = [
            self.sender_system is None or self.sender_system == sender_system,
            self.time_series is None or _matches(self.time_series, time_series),
            self.role is None or plain_code(self.role) == plain_code(role),
            self.recurrence is None or plain_code(self.recurrence) == plain_code(recurrence),
        ]
        said = (self.sender_system, self.time_series, self.role, self.recurrence)
        return sum(each is not None for each in said) if all(stated) else None


class ItemStatusRow(Section):
    """A row of `item_statuses`: SAP's code for values of a quality."""

    name: str
    quality: Text
    code: Annotated[str, Field(pattern=r"^\S{1,4}$")]


#: The tables of config/ that say this.
TIME_SERIES_TABLES: Final[Mapping[str, type[Section]]] = {
    "load_profiles": LoadProfileRow,
    "interval_exports": IntervalExportRow,
    "item_statuses": ItemStatusRow,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """When the values of a profile go to SAP: in which windows of the day, how long after each, how complete."""

    cadence: timedelta = timedelta(days=1)
    cut_off: timedelta = timedelta()
    share: float = 1.0
    give_up: timedelta = timedelta(days=1)
    gaps: Gaps = Gaps.OMIT


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeSeriesPolicy(Value):
    """The tables of profiles, and what the section `intervals` says of sending them."""

    KEY: ClassVar[tuple[str, ...]] = ()

    load_profiles: tuple[LoadProfileRow, ...] = ()
    exports: tuple[IntervalExportRow, ...] = ()
    statuses: tuple[ItemStatusRow, ...] = ()
    recurrences: Recurrences = field(default_factory=Recurrences)
    units: Units = field(default_factory=Units)
    valid_status: str = "ACTL"
    missing_status: str = "INVL"
    skipped_roles: frozenset[str] = frozenset()  # plain codes
    values_per_message: int = 1500
    backfill: timedelta = timedelta(days=40)
    ask_again: timedelta | None = timedelta(hours=6)  # None: meters are not asked for values that have not come
    send_attempts: int = 3
    resend_interval: timedelta = timedelta(minutes=10)
    confirmation_timeout: timedelta = timedelta(hours=1)

    @classmethod
    def of(cls, settings: Settings) -> TimeSeriesPolicy:
        """Return the policy that the tables and the section `intervals` say."""
        intervals = settings.intervals
        return cls(
            load_profiles=settings.rows("load_profiles", LoadProfileRow),
            exports=settings.rows("interval_exports", IntervalExportRow),
            statuses=settings.rows("item_statuses", ItemStatusRow),
            recurrences=Recurrences.of(settings),
            units=Units.of(settings),
            valid_status=intervals.valid_status,
            missing_status=intervals.missing_status,
            skipped_roles=frozenset(map(plain_code, intervals.skipped_roles)),
            values_per_message=intervals.values_per_message,
            backfill=timedelta(days=intervals.backfill_days),
            ask_again=timedelta(minutes=intervals.ask_again_minutes) or None,
            send_attempts=intervals.send_attempts,
            resend_interval=timedelta(minutes=intervals.resend_interval_minutes),
            confirmation_timeout=timedelta(minutes=intervals.confirmation_timeout_minutes),
        )

    def is_skipped(self, role: str) -> bool:
        """Tell whether assignments in this role are passed over."""
        return plain_code(role) in self.skipped_roles

    def interval_types(self, register: Register) -> tuple[str, ...]:
        """Return the reading types under which the interval values of a register may come, the first first."""
        named = [row.intervals for row in self.load_profiles if row.reading_type == register.reading_type]
        own = any(row.intervals == register.reading_type for row in self.load_profiles)
        if own or self.recurrences.minutes_of(register.recurrence_code) not in (None, PLAIN):
            named.append(register.reading_type)
        return tuple(dict.fromkeys(named))

    def factor_of(self, register: Register, reading_type: str) -> Fraction:
        """Return what interval values of a register are still to be multiplied by: its factor, applied exactly once."""
        if register.factor is None or any(
            row.factor_applied_by == "head_end"
            for row in self.load_profiles
            if row.intervals == reading_type and register.reading_type in (row.reading_type, row.intervals)
        ):
            return Fraction(1)
        return Fraction(register.factor)

    def status_of(self, qualities: QualitySet) -> str:
        """Return SAP's code for a value with these qualities."""
        for row in self.statuses:
            if any(_matches(row.quality, code) for code in qualities.codes):
                return row.code
        return self.valid_status

    def name_of(self, status: str) -> str | None:
        """Return what a code of SAP's is called here, in up to 30 characters."""
        names = {
            self.missing_status: "missing",
            self.valid_status: "valid",
            **{row.code: row.name for row in self.statuses},
        }
        name = names.get(status)
        return None if name is None else name[:30]

    def schedule(self, sender_system: str, *, time_series: str, role: str, recurrence: str | None) -> Schedule:
        """Return when the values of a profile go to SAP: what the row that states most says, else the defaults."""
        weighed = [
            (weight, row)
            for row in self.exports
            if (weight := row.weight(sender_system, time_series=time_series, role=role, recurrence=recurrence))
            is not None
        ]
        if not weighed:
            return Schedule()
        _, row = max(weighed, key=lambda pair: pair[0])
        return Schedule(
            cadence=timedelta(minutes=row.cadence_minutes),
            cut_off=timedelta(minutes=row.cut_off_minutes),
            share=row.complete_percent / 100,
            give_up=timedelta(minutes=row.give_up_minutes),
            gaps=row.gaps,
        )


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)


def _matches(pattern: str, text: str) -> bool:
    return _pattern(pattern).fullmatch(text) is not None
