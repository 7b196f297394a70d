"""A profile on a register with a quarter-hourly channel in Berlin, as plain values, for tests without a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from mdus.domain.channel import Channel
from mdus.domain.interval_block import IntervalBlock, ToldValues, empty_block, merged
from mdus.domain.quantities import Quantities
from mdus.domain.reading_quality import QualitySet
from mdus.domain.register import Register
from mdus.domain.time_series import Grid, ProfileDay, Sources, TimeSeriesAssignment, profile_day
from mdus.domain.time_series_policy import IntervalExportRow, LoadProfileRow, TimeSeriesPolicy
from mdus.domain.unit import UnitRow, Units

SENDER, PROFILE, TASK, DEVICE = "P11", "000000000000000815", "000000000000100042", "000000000000000042"
REGISTER, INTERVALS, ZONE = "1-0:1.8.0*255", "1-0:1.29.0*255", "Europe/Berlin"
DAY = date(2026, 3, 27)
MIDNIGHT = datetime(2026, 3, 26, 23, 0, tzinfo=UTC)  # its beginning in Berlin; it has 24 hours
QUARTER = timedelta(minutes=15)

ROWS = (LoadProfileRow(name="import", reading_type=REGISTER, intervals=INTERVALS),)
UNITS = Units(
    rows=(
        UnitRow(name="wh", code="WH", quantity="active_energy"),
        UnitRow(name="kwh", code="KWH", quantity="active_energy", factor=Decimal(1000)),
        UnitRow(name="m3", code="M3", quantity="volume"),
    )
)
DAILY = IntervalExportRow(name="daily", cut_off_minutes=120, give_up_minutes=1440)


def policy(**facts: Any) -> TimeSeriesPolicy:
    """What the settings say: a daily export, two hours after the day."""
    return TimeSeriesPolicy(**{"load_profiles": ROWS, "units": UNITS, "exports": (DAILY,), **facts})


def assignment(**facts: Any) -> TimeSeriesAssignment:
    """The profile on the register, from the beginning of the year on, in kWh with three decimals."""
    said: dict[str, Any] = {
        "sender_system": SENDER,
        "time_series_id": PROFILE,
        "valid_from": datetime(2025, 12, 31, 23, 0, tzinfo=UTC),
        "role_code": "01",
        "measurement_task_id": TASK,
        "interval_minutes": 15,
        "unit": "KWH",
        "fraction_digits": 3,
        "assigned_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return TimeSeriesAssignment(**{**said, **facts})


def register(**facts: Any) -> Register:
    """The register, from the beginning of the year on."""
    said: dict[str, Any] = {
        "sender_system": SENDER,
        "device_id": DEVICE,
        "measurement_task_id": TASK,
        "valid_from": date(2026, 1, 1),
        "reading_type": REGISTER,
        "unit": "KWH",
    }
    return Register(**{**said, **facts})


def channel(**facts: Any) -> Channel:
    """The channel of the device's interval values, in kWh with six decimals."""
    said: dict[str, Any] = {
        "sender_system": SENDER,
        "device_id": DEVICE,
        "reading_type": INTERVALS,
        "interval_minutes": 15,
        "time_zone": ZONE,
        "unit": "KWH",
        "decimals": 6,
    }
    return Channel(**{**said, **facts})


def sources(
    *,
    registers: Sequence[Register] = (register(),),
    channels: Sequence[Channel] = (channel(),),
    said: TimeSeriesPolicy | None = None,
    zone: str = ZONE,
) -> Sources:
    """What profiles are resolved with."""
    by_task: dict[str, list[Register]] = {}
    for one in registers:
        by_task.setdefault(one.measurement_task_id, []).append(one)
    by_device: dict[tuple[str, str], list[Channel]] = {}
    for each in channels:
        by_device.setdefault((each.sender_system, each.device_id), []).append(each)
    return Sources(registers=by_task, channels=by_device, policy=said or policy(), zone=zone)


def block(
    values: Sequence[str | None],
    *,
    of: Channel | None = None,
    day: date = DAY,
    first: int = 0,
    marks: Sequence[int] = (),
    on: IntervalBlock | None = None,
) -> IntervalBlock:
    """A day of a channel with these values from an interval on."""
    of = of or channel()
    told = ToldValues.of(
        of,
        first,
        Quantities.of(None if each is None else Decimal(each) for each in values),
        np.array(marks or [0] * len(values), dtype=np.uint16),
    )
    return merged(on or empty_block(of, day, at=MIDNIGHT, by="test"), told, at=MIDNIGHT, by="test")


def values_of(
    *blocks: IntervalBlock,
    assignments: Sequence[TimeSeriesAssignment] = (assignment(),),
    told: Sources | None = None,
    qualities: Mapping[int, QualitySet] | None = None,
    day: date = DAY,
    **facts: Any,
) -> ProfileDay:
    """A profile's day, of the blocks given."""
    found = told or sources()
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    around = found.segments(assignments, start=midnight - timedelta(days=1), end=midnight + timedelta(days=2))
    grid = Grid.of(around, zone=found.zone)
    length = grid.day(day)
    return profile_day(
        length,
        found.segments(assignments, start=length.start, end=length.end),
        {(each.channel, each.day): each for each in blocks},
        grid=grid,
        qualities=qualities or {0: QualitySet()},
        policy=found.policy,
        **facts,
    )


def numbers(day: ProfileDay) -> list[int | None]:
    """The values of a day in the profile's decimals."""
    return [value if present else None for value, present in zip(day.values.tolist(), day.present, strict=True)]
