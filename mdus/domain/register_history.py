"""What a logical register number means on a device, day by day, once SAP has listed some of it anew.

```
            an end inside a stored span        an end with a stored span      planned spans
            closes the number                  leaves what follows            are closed with it

stored      |---------- A ------------->       |--- A ---|---- B ---->        |--- A ---|  |-- B -->
listed              |-- A' --|                 |-- A' ---|                    |- A' -|
becomes     |-- A --|-- A' --|                 |-- A' ---|---- B ---->        |- A' -|
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from mdus.domain.register import Register, holder_elsewhere, taken
from mdus.domain.value import Remove


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One register as SAP lists it: its half-open span, and what it is in parts of it.

    A span without a day says that the number was not taken up on that day after all.
    """

    valid_from: date
    valid_to: date | None
    contents: tuple[Register, ...] = ()


class ContentMissing(ValueError):
    """Neither the listing nor what is stored says what the number is on a day; `day` is the first such."""

    def __init__(self, day: date) -> None:
        super().__init__(f"nothing says what it is from {day}")
        self.day = day


def listed_anew(stored: Sequence[Register], listed: Sequence[Listed]) -> tuple[Register, ...]:
    """Return the spans of one number on one device after `listed`: at least one, of which none overlaps another.

    - Within a listed span what is listed counts, on days it leaves out what is stored; raises ContentMissing for a day
      with neither.
    - Before the first listed day nothing changes. Between the listed spans the number does not exist.
    - After the last listed day stored spans stay, unless it cuts one short: then the number is closed, none follows.
    - Neighbours that are the same but for their dates are one.
    """
    first = min(each.valid_from for each in listed)
    last = _last_end(listed)
    contents = [part for each in listed for part in each.contents]
    spans = [part for span in stored if (part := span.within(None, first))]
    for each in listed:
        kept = [part for span in stored if (part := span.within(each.valid_from, each.valid_to))]
        inside = [*each.contents, *(part for span in kept for part in left_of(span, contents))]
        missing = _first_gap(each, inside)
        if missing is not None:
            raise ContentMissing(missing)
        spans += inside
    if last is not None and not any(_is_cut(span, first=first, last=last) for span in stored):
        spans += [span for span in stored if span.valid_from >= last]
    return _joined(spans)


def left_of(register: Register, others: Iterable[Register]) -> list[Register]:
    """Return the parts of a register's span that none of the others covers."""
    parts = [register]
    for other in others:
        before = [part.within(None, other.valid_from) for part in parts]
        after = [part.within(other.valid_to, None) for part in parts] if other.valid_to is not None else []
        parts = [part for part in (*before, *after) if part is not None]
    return parts


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """Why a register cannot have a span; of another device, its `holder` may still give the number up."""

    register: Register
    note: str
    holder: Register | None = None


def conflicts(
    becoming: Sequence[Register], *, stored: Sequence[Register], elsewhere: Callable[[str], Iterable[Register]]
) -> Iterator[Conflict]:
    """Yield what stands against the registers that are to be those of a device instead of the stored ones.

    In overlapping spans a number belongs to one register of one device, and a channel to one number. Only what is newly
    taken is looked at. `elsewhere` returns all registers with a number.
    """
    for register in becoming:
        number = register.measurement_task_id
        had = [old for old in stored if old.measurement_task_id == number and old.channel == register.channel]
        others = [other for other in becoming if other.measurement_task_id != number]
        for part in left_of(register, had):
            note = taken(part, others)
            if note is not None:
                yield Conflict(register=part, note=note)
            holder = holder_elsewhere(part, elsewhere(number))
            if holder is not None:
                note = f"Its number is in use on device {holder.device_id} from {holder.valid_from}"
                yield Conflict(register=part, note=note, holder=holder)


def difference(stored: Sequence[Register], becoming: Sequence[Register]) -> tuple[Register | Remove, ...]:
    """Return the changes that make the stored registers of a device the others."""
    kept = {register.key for register in becoming}
    gone = [Remove(Register, old.key, old.wakes) for old in stored if old.key not in kept]
    return (*gone, *(register for register in becoming if register not in stored))


def _last_end(listed: Iterable[Listed]) -> date | None:
    ends = [each.valid_to for each in listed]
    return None if None in ends else max(end for end in ends if end is not None)


def _is_cut(span: Register, *, first: date, last: date) -> bool:
    """Tell whether a span begins before the listed end and would go on after it."""
    # A number that was not taken up after all ends the span that begins on that very day.
    begins_before = span.valid_from < max(last, first + timedelta(days=1))
    return begins_before and (span.valid_to is None or span.valid_to > last)


def _first_gap(each: Listed, inside: Iterable[Register]) -> date | None:
    day = each.valid_from
    for part in sorted(inside, key=lambda part: part.valid_from):
        if part.valid_from > day or part.valid_to is None:
            return day if part.valid_from > day else None
        day = max(day, part.valid_to)
    return day if each.valid_to is None or day < each.valid_to else None


def _joined(spans: Iterable[Register]) -> tuple[Register, ...]:
    joined: list[Register] = []
    for span in sorted(spans, key=lambda span: span.valid_from):
        before = joined[-1] if joined else None
        if before is not None and before.valid_to == span.valid_from and _is_alike(before, span):
            joined[-1] = replace(before, valid_to=span.valid_to)
        else:
            joined.append(span)
    return tuple(joined)


def _is_alike(one: Register, other: Register) -> bool:
    return replace(one, valid_from=other.valid_from, valid_to=other.valid_to) == other
