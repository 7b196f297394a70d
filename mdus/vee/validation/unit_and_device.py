"""V18 Unit and device: the values are of another unit's kind, or of another device, than the registry says.

Formula: the channel's unit is of the kind of its register's, and the device that the values name is the one installed.
Unit: none. Source: Oracle's unit of measure check, the meter identification checks of California and IESO. The number
of channels cannot be wrong here: a channel exists from its first value on.

A register reading is judged as a day of one value.
"""

from __future__ import annotations

from typing import Final

from mdus.vee.days import Days, Fact
from mdus.vee.rule import Finding, Parameters, Rule


def check(days: Days, limits: Parameters) -> Finding:
    """Return the days whose unit or device does not fit."""
    del limits
    unit, device = ~days[Fact.UNIT_FITS], ~days[Fact.DEVICE_FITS]
    return Finding.of_days(unit | device, days=days, figure=unit.astype(float) + device, limit=0)


RULE: Final = Rule(
    name="unit_and_device",
    number="V18",
    quality="3.6.0",
    words="the values' unit or device is not that of the registry",
    check=check,
    needs=frozenset({Fact.UNIT_FITS, Fact.DEVICE_FITS}),
    partial=True,
)
