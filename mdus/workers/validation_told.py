"""What head ends tell of their meters in their own registries: how far clocks are off, multipliers, whose meter it is.

The job `registry_sync` notes it nightly. It is held against days for which it says something: a clock is compared with
the head end's now, a multiplier with that of the register that was valid when it was told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mdus.domain.end_device import EndDevice
from mdus.domain.register import Register
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.storage import validation
from mdus.storage.session import UnitOfWork
from mdus.storage.validation import FieldStatus
from mdus.vee.days import UNKNOWN, Fact, unknown
from mdus.workers.validation_registers import DeviceKey, Target

#: How long before a day begins a clock may have been compared, and how long after it ends what is told may be of it.
_HOLDS: Final = timedelta(days=2)


def told_facts(
    uow: UnitOfWork, targets: Sequence[Target], statuses: Mapping[int, FieldStatus], policy: TimeSeriesPolicy
) -> Mapping[Fact, NDArray[Any]]:
    """Return what head ends told of the meters of days, by what is known of these from the field (by row).

    One statement, and none where no head end has another multiplier than we.
    """
    drift, factors = (np.full(len(targets), UNKNOWN) for _ in range(2))
    fits = unknown(Fact.DEVICE_FITS, len(targets), 0)
    for row, status in statuses.items():
        grid = targets[row].grid
        if status.told_at is None:
            continue
        is_recent = status.told_at < grid.end + _HOLDS
        fits[row] = not (status.is_another and _is_news(status) and is_recent)
        held = grid.start - _HOLDS <= status.told_at
        if status.clock_offset_seconds is not None and held and is_recent:
            drift[row] = float(status.clock_offset_seconds)
    differing = {row: status for row, status in statuses.items() if status.factors and _is_news(status)}
    for row, factor in _factors(uow, targets, differing, policy).items():
        factors[row] = factor
    return {Fact.CLOCK_DRIFT: drift, Fact.DEVICE_FITS: fits, Fact.FACTOR_TOLD: factors}


def look_again_at_others(uow: UnitOfWork, ours: Collection[DeviceKey], *, now: datetime) -> None:
    """Make days due that were held against another device, before it is noted that head ends have no others there."""
    if ours:
        empty = max(_HOLDS, timedelta(days=uow.settings.intervals.backfill_days))
        validation.look_at_others(uow.connection, ours, holds=_HOLDS, empty=empty, due_at=now)


def _factors(
    uow: UnitOfWork, targets: Sequence[Target], statuses: Mapping[int, FieldStatus], policy: TimeSeriesPolicy
) -> dict[int, float]:
    """Return the multipliers that were told for the channels, or for the registers that count them.

    Of a channel with a register of its own, the interval register, only what was told of that, as it is billed by it.
    """
    registers: dict[DeviceKey, list[Register]] = defaultdict(list)
    for register in uow.load(Register, EndDevice.KEY, {targets[row].device for row in statuses}, lock=False):
        registers[register.sender_system, register.device_id].append(register)
    found = {}
    for row, status in statuses.items():
        look, told = targets[row].look, dict(status.factors or ())
        reading_type = look.channel.reading_type
        feeding = [
            register
            for register in registers.get(targets[row].device, ())
            if reading_type in policy.interval_types(register) and register.is_valid_on(look.day)
        ]
        own = [register for register in feeding if register.reading_type == reading_type]
        for register in own or feeding:
            factor = told.get(reading_type, told.get(register.reading_type))
            if factor is not None and _was_valid(register, _told_on(status, look.channel.time_zone)):
                found[row] = float(factor)
                break
    return found


def _is_news(status: FieldStatus) -> bool:
    """Tell whether the head end told its record of a meter after it was last provisioned: it has another one since."""
    if status.told_at is None:
        return False
    return status.provisioned_at is None or status.provisioned_at <= status.told_at


def _told_on(status: FieldStatus, zone: str) -> date:
    return date.min if status.told_at is None else status.told_at.astimezone(ZoneInfo(zone)).date()


def _was_valid(register: Register, told_on: date) -> bool:
    """Tell whether what was told on a day is of this span of a register: not on its first, when it was changing."""
    return register.valid_from < told_on and register.is_valid_on(told_on)
