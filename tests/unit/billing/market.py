"""A market to test billing with: its tables, and a channel with values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from mdus.billing.calendar import CalendarRow, Calendars
from mdus.billing.day_parts import DayParts, day_parts
from mdus.billing.determinant_set import BillingPolicy, DeterminantSetRow
from mdus.billing.tally import StoredParts
from mdus.domain.channel import Channel
from mdus.domain.holidays import HolidayRow
from mdus.domain.unit import UnitRow, Units

BERLIN = "Europe/Berlin"
KWH = "1-0:1.29.0*255"

#: A day of 92, of 96 and of 100 quarters of an hour.
SPRING, USUAL, AUTUMN = date(2026, 3, 29), date(2026, 6, 10), date(2026, 10, 25)

HOLIDAYS = (
    HolidayRow(name="easter_monday", lists=("land",), easter_days=1),
    HolidayRow(name="christmas", lists=("land",), month_day="12-25"),
    HolidayRow(name="jubilee", lists=("town",), dates=(date(2026, 6, 11),)),
    HolidayRow(name="unity", lists=("land",), month_day="10-03", from_year=1990, to_year=2030),
)


def calendar(*windows: Mapping[str, Any], **changes: Any) -> CalendarRow:
    given = {"name": "c", "calendar": "c", "otherwise": "low", "holidays": "land", "windows": windows}
    return CalendarRow.model_validate(given | changes)


WORKDAYS = calendar({"bucket": "high", "days": ["workday"], "from": "06:00", "to": "22:00"})


def row(**changes: Any) -> DeterminantSetRow:
    given = {
        "name": "r",
        "set": "standard",
        "reading_type": KWH,
        "determinants": ["total", "time_of_use", "demand", "time_of_use_demand"],
        "calendar": "c",
        "demand": "fixed",
        "demand_minutes": 30,
        "unit": "KWH",
        "demand_unit": "KW",
    }
    return DeterminantSetRow.model_validate(given | changes)


UNITS = Units(
    rows=(
        UnitRow(name="wh", code="WH", texts=("Wh",), quantity="active_energy"),
        UnitRow(name="kwh", code="KWH", texts=("kWh",), quantity="active_energy", factor="1000"),  # type: ignore[arg-type]
        UnitRow(name="w", code="W", texts=("W",), quantity="active_power"),
        UnitRow(name="kw", code="KW", texts=("kW",), quantity="active_power", factor="1000"),  # type: ignore[arg-type]
        UnitRow(name="m3", code="M3", texts=("m3",), quantity="volume"),
    )
)


def policy(*rows: DeterminantSetRow, calendars: Sequence[CalendarRow] = (WORKDAYS,), **changes: Any) -> BillingPolicy:
    return BillingPolicy(
        rows=rows or (row(),), calendars=Calendars(rows=tuple(calendars), holidays=HOLIDAYS), units=UNITS, **changes
    )


def channel(device: str = "42", **changes: Any) -> Channel:
    given = {
        "sender_system": "P11",
        "device_id": device,
        "reading_type": KWH,
        "interval_minutes": 15,
        "time_zone": BERLIN,
        "unit": "KWH",
        "decimals": 3,
    }
    return Channel(**(given | changes))


def parted(made: BillingPolicy, of: Channel, day: date, values: Sequence[int], **marks: Sequence[int]) -> DayParts:
    """Return the parts of one day; `marks` are the places that are estimated, suspect or not expected."""
    recipe = made.recipe(of, day)
    assert recipe is not None
    array = np.array([values], dtype=np.int64)
    masks = {name: np.zeros(array.shape, dtype=np.bool_) for name in ("estimated", "suspect")}
    for name, mask in masks.items():
        mask[0, list(marks.get(name, ()))] = True
    expected = np.ones(array.shape, dtype=np.bool_)
    expected[0, list(marks.get("unexpected", ()))] = False
    return day_parts(array, recipe, expected=expected, **masks)


def stored(made: BillingPolicy, days: Mapping[tuple[Channel, date], DayParts]) -> StoredParts:
    """Return parts of days as storage would."""
    keys = sorted(days, key=lambda key: (key[0].key, key[1]))
    spans: dict[Channel, slice] = {}
    for place, (of, _) in enumerate(keys):
        spans[of] = slice(spans[of].start if of in spans else place, place + 1)
    width = max((days[key].numbers.shape[1] for key in keys), default=0)
    numbers = np.zeros((len(keys), width), dtype=np.int64)
    for place, key in enumerate(keys):
        numbers[place, : days[key].numbers.shape[1]] = days[key].numbers[0]

    def count(name: str) -> Any:
        return np.array([int(getattr(days[key], name)[0]) for key in keys], dtype=np.int64)

    return StoredParts(
        spans=spans,
        days=np.array([day.toordinal() for _, day in keys], dtype=np.int64),
        recipes=np.array([_number(made, *key) for key in keys], dtype=np.int64),
        numbers=numbers,
        missing=count("missing"),
        estimated=count("estimated"),
        suspect=count("suspect"),
    )


def _number(made: BillingPolicy, of: Channel, day: date) -> int:
    recipe = made.recipe(of, day)
    assert recipe is not None
    return recipe.number


def days(start: date, count: int) -> list[date]:
    return [start + timedelta(days=number) for number in range(count)]


def instant(day: date, hour: int = 0, minute: int = 0) -> datetime:
    """Return a UTC instant of a local time in Berlin."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)
