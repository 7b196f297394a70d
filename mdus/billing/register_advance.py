"""What registers moved in a period: what the interval values of the period should come to.

Each span of what measures a point of delivery begins and ends with a reading of its register. Where one of them was not
taken nobody can say, and nothing is held against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from mdus.billing.determinant_set import BillingPolicy, DeterminantSetRow
from mdus.billing.measured import Dial, Span
from mdus.billing.period import Period
from mdus.domain.reading import MeterReading

#: Sender system, device id, reading type, instant.
ReadingKey = tuple[str, str, str, datetime]


class Advance(NamedTuple):
    """What registers moved in the unit of a row, their factors applied, and the least they can move."""

    moved: Fraction
    step: Fraction


def keys_of(spans: Sequence[Span], period: Period) -> Iterator[ReadingKey]:
    """Yield which readings are needed."""
    for span in spans:
        if span.dial is not None:
            for at in _ends(span, period):
                yield _key(span, span.dial, at)


def advance(
    spans: Sequence[Span],
    period: Period,
    readings: Mapping[ReadingKey, MeterReading],
    row: DeterminantSetRow,
    policy: BillingPolicy,
) -> Advance | None:
    """Return what the registers of all spans moved, None where a reading lacks or means something else."""
    moved = step = Fraction(0)
    for span in spans:
        ratio = None if span.dial is None else policy.units.ratio(told=span.dial.unit, wanted=row.unit)
        if span.dial is None or ratio is None:
            return None
        before, after = (_shown(readings, span, span.dial, at, policy) for at in _ends(span, period))
        if before is None or after is None:
            return None
        scale = ratio * span.dial.factor
        moved += _moved(before, after, span.dial) * scale
        step += Fraction(1, 10**span.dial.fraction_digits) * scale
    return Advance(moved, step) if spans else None


def _shown(
    readings: Mapping[ReadingKey, MeterReading], span: Span, dial: Dial, at: datetime, policy: BillingPolicy
) -> Decimal | None:
    reading = readings.get(_key(span, dial, at))
    return None if reading is None else policy.units.converted(reading.value, told=reading.unit, wanted=dial.unit)


def _moved(before: Decimal, after: Decimal, dial: Dial) -> Fraction:
    """Return what a register moved; one that shows less has turned over if it then moved less than half its range."""
    moved = Fraction(after) - Fraction(before)
    if moved < 0 and dial.total_digits is not None:
        turn = Fraction(10) ** (dial.total_digits - dial.fraction_digits)
        if moved + turn < turn / 2:
            return moved + turn
    return moved


def _ends(span: Span, period: Period) -> tuple[datetime, datetime]:
    start, end = (span.channel.day(day).start for day in (period.start, period.end))
    return max(span.start, start), end if span.end is None else min(span.end, end)


def _key(span: Span, dial: Dial, at: datetime) -> ReadingKey:
    return span.channel.sender_system, span.channel.device_id, dial.reading_type, at
