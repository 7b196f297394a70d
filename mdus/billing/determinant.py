"""Determinants: quantities of a billing period, held or released, of which there are versions.

```
none            -> version 1, released or held
as it was       -> nothing
otherwise       -> a version that replaces the newest        (corrected)
released by a person -> a version with the same quantity     (released_by_hand)
its period is another now -> a version that takes it back    (withdrawn)
```
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from mdus.billing.determinant_set import DeterminantSetRow, Kind
from mdus.billing.period import Period
from mdus.billing.tally import Tally

#: By how many of its steps a register and what the values come to may be apart.
_STEPS: Final = 2

#: The kind of exception case of a period whose determinants are held.
DETERMINANTS_HELD: Final = "determinants_held"


class DeterminantStatus(StrEnum):
    """Whether a determinant is fit to bill."""

    HELD = "held"  # a gate has closed: `gate_reason` says which and why
    RELEASED = "released"
    WITHDRAWN = "withdrawn"  # nothing is to be billed by it: its period is no period any more


class Gate(StrEnum):
    """What closes before determinants are released."""

    UNIT = "unit"  # the values are of another quantity
    UNMEASURED = "unmeasured"  # there is not one interval
    MISSING = "missing"
    SUSPECT = "suspect"
    ESTIMATED = "estimated"
    OLD_ESTIMATE = "old_estimate"
    REGISTER = "register"  # the register moved otherwise


#: What every reason of a gate says, and no other's: held versions are counted by it.
GATE_WORDS: Final[Mapping[Gate, str]] = {
    Gate.UNIT: "are none in",
    Gate.UNMEASURED: "nothing was measured",
    Gate.MISSING: "intervals have no value",
    Gate.SUSPECT: "values are suspect",
    Gate.ESTIMATED: "of the values are estimated",
    Gate.OLD_ESTIMATE: "days before the end",
    Gate.REGISTER: "the register moved",
}


class VersionCause(StrEnum):
    """Why there is a version."""

    FIRST = "first"
    CORRECTED = "corrected"  # values, gates or sets have changed
    RELEASED_BY_HAND = "released_by_hand"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, kw_only=True, slots=True)
class Determinant:
    """One version of one quantity of a billing period of a point of delivery.

    `period_from` and `period_to` are local days, half-open. `peak_at` is when the window of the highest average began.
    Of the period's `intervals` some lack, are estimated. `replaces` is the id of the version before, `id` its own: both
    are given when it is stored.
    """

    sender_system: str
    point_of_delivery_id: str
    period_from: date
    period_to: date
    reason: str
    reading_type: str
    name: str
    version: int = 1
    quantity: Decimal
    unit: str
    peak_at: datetime | None = None
    intervals: int
    missing: int
    estimated: int
    status: DeterminantStatus
    gate_reason: str | None = None
    cause: VersionCause = VersionCause.FIRST
    made_at: datetime
    made_by: str
    replaces: int | None = None
    id: int | None = None

    @property
    def key(self) -> tuple[str, str, date, date, str, str]:
        """Return what its versions have in common."""
        return (
            self.sender_system,
            self.point_of_delivery_id,
            self.period_from,
            self.period_to,
            self.reading_type,
            self.name,
        )

    def says_the_same(self, other: Determinant) -> bool:
        """Tell whether another version says the same; what a person has released stays so while its quantity does."""
        same = (self.quantity, self.unit, self.reason, self.peak_at) == (
            other.quantity,
            other.unit,
            other.reason,
            other.peak_at,
        )
        counted = (self.missing, self.estimated) == (other.missing, other.estimated)
        if other.cause is VersionCause.RELEASED_BY_HAND:
            return same and counted
        return same and (self.status, self.gate_reason) == (other.status, other.gate_reason)


def determinants_of(
    found: Tally,
    row: DeterminantSetRow,
    period: Period,
    *,
    sender_system: str,
    point_of_delivery_id: str,
    now: datetime,
    by: str,
) -> list[Determinant]:
    """Return the determinants a row asks for, each as a first version, held where a gate closes."""
    closed = gate(found, row, period)

    def made(name: str, quantity: Decimal, unit: str, at: datetime | None = None) -> Determinant:
        return Determinant(
            sender_system=sender_system,
            point_of_delivery_id=point_of_delivery_id,
            period_from=period.start,
            period_to=period.end,
            reason=period.reason,
            reading_type=row.reading_type,
            name=name,
            quantity=quantity,
            unit=unit,
            peak_at=at,
            intervals=found.intervals,
            missing=found.missing,
            estimated=found.estimated,
            status=DeterminantStatus.RELEASED if closed is None else DeterminantStatus.HELD,
            gate_reason=closed,
            made_at=now,
            made_by=by,
        )

    return list(_quantities(found, row, made))


def _quantities(found: Tally, row: DeterminantSetRow, made: Callable[..., Determinant]) -> Iterator[Determinant]:
    wanted = set(row.determinants)
    total, parts = spread(found.sums, row.decimals)
    if Kind.TOTAL in wanted:
        yield made("total", total, row.unit)
    if Kind.TIME_OF_USE in wanted:
        for bucket, quantity in parts.items():
            yield made(f"total.{bucket}", quantity, row.unit)
    if Kind.DEMAND in wanted and found.peaks:
        highest = max(found.peaks.values(), key=lambda peak: (peak.height, -peak.at.timestamp()))
        yield made("demand", rounded(highest.height, row.decimals), row.demand_unit, highest.at)
    if Kind.TIME_OF_USE_DEMAND in wanted:
        for bucket in parts:
            if bucket in found.peaks:
                peak = found.peaks[bucket]
                yield made(f"demand.{bucket}", rounded(peak.height, row.decimals), row.demand_unit, peak.at)


def rounded(value: Fraction, decimals: int) -> Decimal:
    """Return a number with so many decimals at most, half up (away from zero), without needless zeros."""
    scaled = value * 10**decimals
    whole, rest = divmod(abs(scaled.numerator), scaled.denominator)
    whole += 2 * rest >= scaled.denominator
    while decimals and whole % 10 == 0:
        whole, decimals = whole // 10, decimals - 1
    return Decimal(whole if scaled >= 0 else -whole).scaleb(-decimals)


def spread(sums: Mapping[str, Fraction], decimals: int) -> tuple[Decimal, dict[str, Decimal]]:
    """Return the total and its parts, rounded half up; what rounding leaves over goes to the largest part.

    So the parts add up to the total, exactly.
    """
    total = rounded(sum(sums.values(), Fraction(0)), decimals)
    parts = {name: rounded(value, decimals) for name, value in sums.items()}
    over = total - sum(parts.values(), Decimal(0))
    if over:
        parts[max(sums, key=lambda name: abs(sums[name]))] += over
    return total, parts


def gate(found: Tally, row: DeterminantSetRow, period: Period) -> str | None:
    """Return why the determinants of a period are held, None where they are released."""
    if found.misfit is not None:
        return found.misfit
    if found.intervals == 0:
        return "nothing was measured"
    if found.missing > row.most_missing:
        return f"{found.missing} of {found.intervals} intervals have no value, {row.most_missing} may lack"
    if found.suspect > row.most_suspect:
        return f"{found.suspect} values are suspect, {row.most_suspect} may be"
    share = Fraction(100 * found.estimated, found.intervals)
    if share > Fraction(str(row.most_estimated_percent)):
        percent = rounded(share, 2)
        return f"{percent} % of the values are estimated, {row.most_estimated_percent:g} % may be"
    if row.oldest_estimate_days is not None and found.first_estimated is not None:
        age = (period.end - found.first_estimated).days
        if age > row.oldest_estimate_days:
            return f"{found.first_estimated} is estimated, {age} days before the end; {row.oldest_estimate_days} may be"
    return _off_register(found, row)


def _off_register(found: Tally, row: DeterminantSetRow) -> str | None:
    """Return that the values do not come to what their registers moved, None where they do, or nobody can say.

    Registers and intervals are cut off at different digits: two steps of the register are always allowed.
    """
    if row.most_off_register_percent is None or found.advance is None:
        return None
    total, (moved, step) = sum(found.sums.values(), Fraction(0)), found.advance
    allowed = max(_STEPS * step, abs(moved) * Fraction(str(row.most_off_register_percent)) / 100)
    if abs(total - moved) <= allowed:
        return None
    figures = (rounded(each, row.decimals) for each in (total, moved, allowed))
    values, register, apart = (f"{each:f} {row.unit}" for each in figures)
    return f"the values come to {values}, the register moved {register}; {apart} may be between"


def new_versions(
    found: Iterable[Determinant],
    stored: Collection[Determinant],
    ended: Sequence[Period],
    *,
    looked_at: Collection[tuple[date, date]],
    now: datetime,
) -> list[Determinant]:
    """Return the versions that what was found makes of what is stored of one point of delivery, its newest versions.

    `ended` are its periods now, `looked_at` (from, to) those that were determined anew. What is stored of no period any
    more, or is asked for no longer, is withdrawn.
    """
    newest = {each.key: each for each in stored}
    versions = []
    kept = set()
    for one in found:
        before = newest.get(one.key)
        kept.add(one.key)
        if before is None:
            versions.append(one)
        elif before.status is DeterminantStatus.WITHDRAWN or not one.says_the_same(before):
            versions.append(replace(one, version=before.version + 1, replaces=before.id, cause=VersionCause.CORRECTED))
    spans = {(period.start, period.end): period for period in ended}
    for key, before in newest.items():
        span = (before.period_from, before.period_to)
        gone = span not in spans and any(p.start < span[1] and span[0] < p.end for p in ended)
        unasked = span in looked_at and key not in kept
        if (gone or unasked) and before.status is not DeterminantStatus.WITHDRAWN:
            why = "its period is another now" if gone else "its set does not ask for it any more"
            versions.append(_next(before, DeterminantStatus.WITHDRAWN, VersionCause.WITHDRAWN, why, now=now))
    return versions


def released_by_hand(held: Determinant, *, by: str, reason: str, now: datetime) -> Determinant:
    """Return the version that a person releases, whatever the gates say; the reason is kept with it."""
    why = f"released by {by}: {reason}"
    return replace(_next(held, DeterminantStatus.RELEASED, VersionCause.RELEASED_BY_HAND, why, now=now), made_by=by)


def case_key(sender_system: str, point_of_delivery_id: str, period_to: date) -> str:
    """Return the key of the case of a period whose determinants are held."""
    return f"{sender_system}/{point_of_delivery_id}/{period_to - timedelta(days=1)}"


def _next(
    before: Determinant, status: DeterminantStatus, cause: VersionCause, why: str, *, now: datetime
) -> Determinant:
    return replace(
        before,
        version=before.version + 1,
        status=status,
        gate_reason=why,
        cause=cause,
        made_at=now,
        replaces=before.id,
        id=None,
    )
