"""Readings of registers that do not stand at the ends of days: those within a day, and the last one there is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdus.domain.channel import MISSING
from mdus.domain.end_device import EndDevice
from mdus.domain.register import Register
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.storage.reading_verdict import Stretch, newest_in, oldest_in
from mdus.storage.session import UnitOfWork
from mdus.vee.days import UNKNOWN, Fact, unknown
from mdus.workers.validation_registers import DeviceKey, Target, main_registers

_EVER: Final = datetime(1970, 1, 2, tzinfo=UTC)
_INSTANT: Final = timedelta(microseconds=1)
_A_DAY: Final = timedelta(days=1)


def reference_days(uow: UnitOfWork, targets: Sequence[Target], policy: TimeSeriesPolicy) -> Mapping[Fact, NDArray[Any]]:
    """Load how many days before the end of each day its register was last read; two statements.

    Infinite for one that was never read; not known where the registry has no register for the channel.
    """
    registers: dict[DeviceKey, list[Register]] = defaultdict(list)
    for register in uow.load(Register, EndDevice.KEY, {target.device for target in targets}, lock=False):
        registers[register.sender_system, register.device_id].append(register)
    days = np.full(len(targets), UNKNOWN)
    rows: list[int] = []
    stretches: list[Stretch] = []
    for row, target in enumerate(targets):
        look = target.look
        for register in registers.get(target.device, ()):
            if register.is_valid_on(look.day) and look.channel.reading_type in policy.interval_types(register):
                rows.append(row)
                stretches.append(Stretch(*target.device, register.reading_type, _EVER, target.grid.end + _INSTANT))
                days[row] = np.inf
    for place, reading in newest_in(uow.connection, stretches).items():
        row = rows[place]
        days[row] = min(days[row], (targets[row].grid.end - reading.measured_at) / _A_DAY)
    return {Fact.REFERENCE_DAYS: days}


def readings_within(
    uow: UnitOfWork, targets: Sequence[Target], policy: TimeSeriesPolicy
) -> Mapping[Fact, NDArray[Any]]:
    """Load when each register was first and last read within its day, and what it moved between; three statements."""
    advance, since, until = (
        unknown(fact, len(targets), 0) for fact in (Fact.SPAN_ADVANCE, Fact.SPAN_FROM, Fact.SPAN_TO)
    )
    found = enumerate(main_registers(uow, targets, policy))
    read = [(row, register) for row, register in found if register is not None]
    stretches = [
        Stretch(*targets[row].device, register.reading_type, targets[row].grid.start, targets[row].grid.end + _INSTANT)
        for row, register in read
    ]
    first, last = oldest_in(uow.connection, stretches), newest_in(uow.connection, stretches)
    for place in first.keys() & last.keys():
        row, register = read[place]
        start = targets[row].grid.start
        if first[place].measured_at == last[place].measured_at:
            continue
        advance[row] = register.moved(first[place], last[place], policy)
        if advance[row] != MISSING:
            since[row] = (first[place].measured_at - start).total_seconds()
            until[row] = (last[place].measured_at - start).total_seconds()
    return {Fact.SPAN_ADVANCE: advance, Fact.SPAN_FROM: since, Fact.SPAN_TO: until}
