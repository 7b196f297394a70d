"""Determinant sets: which determinants a point of delivery has, by reading type, and the gates that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from mdus.billing.calendar import CalendarRow, Calendars
from mdus.billing.plan import Plan
from mdus.billing.schedule import Demand, DemandKind, Recipe, Schedule
from mdus.domain.channel import Channel
from mdus.domain.holidays import HolidayRow
from mdus.domain.meter_reading_selection import reason_number
from mdus.domain.unit import Units
from mdus.domain.value import Value
from mdus.settings import Section, Settings

_FIRST_DAY: Final = date.min
_WINDOWS: Final = (1, 2, 3, 5, 6, 10, 12, 15, 20, 30, 60)

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,29}$")]
Unit = Annotated[str, Field(min_length=1, max_length=3)]


class Kind(StrEnum):
    """A kind of determinant; the last two are one for each bucket of the calendar."""

    TOTAL = "total"
    DEMAND = "demand"
    TIME_OF_USE = "time_of_use"
    TIME_OF_USE_DEMAND = "time_of_use_demand"


_OF_DEMAND: Final = frozenset({Kind.DEMAND, Kind.TIME_OF_USE_DEMAND})
_OF_CALENDAR: Final = frozenset({Kind.TIME_OF_USE, Kind.TIME_OF_USE_DEMAND})
#: The one bucket of a row without calendar.
ALL: Final = "all"


def _kinds(value: object) -> object:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


class DeterminantSetRow(Section):
    """A row of `determinant_sets`: what a set asks of one reading type from a local day on, and when it is held."""

    name: str
    set: Name
    reading_type: Annotated[str, Field(min_length=1)]
    valid_from: date = _FIRST_DAY
    determinants: Annotated[tuple[Kind, ...], BeforeValidator(_kinds), Field(min_length=1)]
    calendar: str | None = None
    demand: DemandKind = DemandKind.FIXED
    demand_minutes: int | None = None
    unit: Unit
    demand_unit: Unit | None = None
    decimals: Annotated[int, Field(ge=0, le=9)] = 6
    most_estimated_percent: Annotated[float, Field(ge=0, le=100)] = 100
    most_missing: Annotated[int, Field(ge=0)] = 0
    most_suspect: Annotated[int, Field(ge=0)] = 0
    oldest_estimate_days: Annotated[int, Field(ge=1)] | None = None
    most_off_register_percent: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _is_sound(self) -> DeterminantSetRow:
        wanted = set(self.determinants)
        if wanted & _OF_CALENDAR and self.calendar is None:
            raise ValueError("determinants by time of use need a calendar")
        if wanted & _OF_DEMAND and (self.demand_minutes is None or self.demand_unit is None):
            raise ValueError("demand needs demand_minutes and demand_unit")
        if self.demand_minutes is not None and self.demand_minutes not in _WINDOWS:
            raise ValueError("demand_minutes part an hour")
        return self

    @property
    def window(self) -> Demand | None:
        """Return the windows that demand is averaged over, None where no demand is asked for."""
        if self.demand_minutes is None or not _OF_DEMAND & set(self.determinants):
            return None
        return Demand(self.demand, self.demand_minutes)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeterminantSetAssignment(Value):
    """A point of delivery has another determinant set than the usual from a local day on, until the next begins."""

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "point_of_delivery_id", "valid_from")

    sender_system: str
    point_of_delivery_id: str
    valid_from: date
    set_name: str
    assigned_at: datetime
    assigned_by: str


@dataclass(frozen=True, kw_only=True)
class BillingPolicy:
    """What the settings say of billing: the tables of config/billing.toml, and the section `billing`.

    `reasons` are the numbers of the reading reasons that end a period, `settling` is how long after its end a period is
    first determined, `reach` how far back corrections are made.
    """

    rows: tuple[DeterminantSetRow, ...] = ()
    calendars: Calendars = field(default_factory=Calendars)
    units: Units = field(default_factory=Units)
    usual_set: str = "standard"
    reasons: frozenset[str] = frozenset()
    settling: timedelta = timedelta(hours=24)
    reach: timedelta = timedelta(days=400)

    @classmethod
    def of(cls, settings: Settings) -> BillingPolicy:
        """Return the policy that the settings say."""
        billing = settings.billing
        return cls(
            rows=settings.rows("determinant_sets", DeterminantSetRow),
            calendars=Calendars(
                rows=settings.rows("billing_calendars", CalendarRow),
                holidays=settings.rows("billing_holidays", HolidayRow),
            ),
            units=Units.of(settings),
            usual_set=billing.determinant_set,
            reasons=frozenset(map(reason_number, billing.period_reasons)),
            settling=timedelta(hours=billing.settle_hours),
            reach=timedelta(days=billing.correction_days),
        )

    @cached_property
    def sets(self) -> frozenset[str]:
        """Return the names of all sets."""
        return frozenset(row.set for row in self.rows)

    def set_on(self, day: date, assignments: Sequence[DeterminantSetAssignment]) -> str:
        """Return the name of the set of a point of delivery on a local day: the one assigned last, else the usual."""
        begun = [each for each in assignments if each.valid_from <= day]
        return max(begun, key=lambda each: each.valid_from).set_name if begun else self.usual_set

    def rows_of(self, set_name: str, day: date) -> tuple[DeterminantSetRow, ...]:
        """Return what a set asks of each reading type on a local day."""
        return tuple(row for row in self._valid(day) if row.set == set_name)

    def recipe(self, channel: Channel, day: date) -> Recipe | None:
        """Return how the values of a channel are parted on a day, None where no set asks for its reading type."""
        key = (channel.reading_type, channel.interval_minutes, channel.time_zone, day)
        if key not in self._recipes:
            of_type = [row for row in self._valid(day) if row.reading_type == channel.reading_type]
            schedules = tuple(dict.fromkeys(self.schedule(row, channel, day) for row in of_type))
            self._recipes[key] = self._alike(Recipe.of(schedules)) if schedules else None
        return self._recipes[key]

    def schedule(self, row: DeterminantSetRow, channel: Channel, day: date) -> Schedule:
        """Return how a row that is valid on a day parts the values of a channel; it stands in the channel's recipe."""
        grid = channel.day(day)
        calendar = None if row.calendar is None else self.calendars.on(row.calendar, day)
        if calendar is None:
            buckets: tuple[str, ...] = (ALL,)
            places = np.zeros(grid.count, dtype=np.uint8)
        else:
            buckets = calendar.buckets
            places = self.calendars.places(calendar, grid, channel.time_zone)
        made = Schedule.of(grid, channel.time_zone, buckets=buckets, places=places, demand=row.window)
        # Those that are alike are one, and stand in a recipe once.
        alike = (buckets, made.demand, made.width, made.starts.tobytes(), places.tobytes())
        return self._schedules.setdefault(alike, made)

    def plan(self, row: DeterminantSetRow, channel: Channel, first: date, last: date) -> Plan:
        """Return where in the parts of a channel's days, those of both bounds included, the row finds its numbers.

        On days on which another row of the set counts, what that one finds.
        """
        key = (row.name, channel.reading_type, channel.interval_minutes, channel.time_zone, first, last)
        if key not in self._plans:
            days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
            self._plans[key] = Plan.of([self._planned(row, channel, day) for day in days])
        return self._plans[key]

    def ratio(self, row: DeterminantSetRow, channel: Channel) -> Fraction | None:
        """Return what the channel's values are times in the row's unit, None where the two measure different things."""
        return self.units.ratio(told=channel.unit, wanted=row.unit)

    def per_hour(self, row: DeterminantSetRow) -> Fraction:
        """Return what a quantity in the row's unit, consumed in an hour, is times in its unit of demand."""
        factors = {each.code: Fraction(each.factor) for each in reversed(self.units.rows)}
        return factors[row.unit] / factors[row.demand_unit or row.unit]

    def _planned(self, row: DeterminantSetRow, channel: Channel, day: date) -> tuple[Recipe, Schedule]:
        counts = [each for each in self.rows_of(row.set, day) if each.reading_type == row.reading_type]
        recipe = self.recipe(channel, day)
        if recipe is None or not counts:
            schedule = self.schedule(row, channel, day)
            return self._alike(Recipe.of((schedule,))), schedule
        return recipe, self.schedule(counts[0], channel, day)

    def _alike(self, recipe: Recipe) -> Recipe:
        """Return the one recipe of those with the same number, so that days of it are parted together."""
        return self._by_number.setdefault(recipe.number, recipe)

    def _valid(self, day: date) -> list[DeterminantSetRow]:
        """Return of each set and reading type the row that began last."""
        newest: dict[tuple[str, str], DeterminantSetRow] = {}
        for row in self.rows:
            known = newest.get((row.set, row.reading_type))
            if row.valid_from <= day and (known is None or known.valid_from < row.valid_from):
                newest[row.set, row.reading_type] = row
        return list(newest.values())

    # What days are parted by is asked for each of thousands of channels, and is the same for most.

    @cached_property
    def _recipes(self) -> dict[tuple[str, int, str, date], Recipe | None]:
        return {}

    @cached_property
    def _by_number(self) -> dict[int, Recipe]:
        return {}

    @cached_property
    def _schedules(self) -> dict[tuple[Any, ...], Schedule]:
        return {}

    @cached_property
    def _plans(self) -> dict[tuple[Any, ...], Plan]:
        return {}
