"""A register of a meter under its logical register number (SAP: measurement task), dated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_DOWN, Context, Decimal
from typing import ClassVar, Final, overload

from mdus.domain.obis import printed
from mdus.domain.value import Value

#: What a result can carry at most (MeterReadingResultValue): digits before its point, and decimals.
_MOST_DIGITS: Final = 15
_MOST_DECIMALS: Final = 10
_BEYOND_RESULTS: Final = Decimal(10) ** _MOST_DIGITS

#: For what head ends tell: meters that have no value may tell one of forty digits, more than Python reckons with.
_ALL_DIGITS: Final = Context(prec=200)


def register_arrival(sender_system: str, device_id: str, measurement_task_id: str) -> str:
    """Return the name under which items wait for a register SAP has not created yet."""
    return f"register/{sender_system}/{device_id}/{measurement_task_id}"


def task_arrival(sender_system: str, measurement_task_id: str) -> str:
    """Return the name under which items wait for a logical register number, on whatever device it will be."""
    # The number first: names that begin with sender and ordering key are taken to come in order with the item.
    return f"measurement_task/{measurement_task_id}/{sender_system}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Register(Value):
    """One register in one span of validity, from UtilitiesDeviceERPSmartMeterRegisterCreateRequest.

    `reading_type` is the channel this logical register number is assigned to: the OBIS code (or site text) under which
    the head end delivers its values. `valid_from`/`valid_to` are SAP local dates, half-open. `factor` multiplies the
    register's difference to a consumption; SAP applies it, results carry the value as shown.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "device_id", "measurement_task_id", "valid_from")

    sender_system: str
    device_id: str
    measurement_task_id: str
    valid_from: date
    valid_to: date | None = None
    reading_type: str
    obis_text: str | None = None
    division: str | None = None
    unit: str
    total_digits: int | None = None
    fraction_digits: int = 0
    factor: Decimal | None = None
    time_of_use_code: str | None = None
    recurrence_code: str | None = None
    time_zone_code: str | None = None
    task_category_code: str | None = None
    validation_profile_code: str | None = None

    @property
    def wakes(self) -> tuple[str, ...]:
        """Return the names items wait for until this register exists."""
        return (
            register_arrival(self.sender_system, self.device_id, self.measurement_task_id),
            task_arrival(self.sender_system, self.measurement_task_id),
        )

    @property
    def channel(self) -> tuple[str, str]:
        """Return what it measures: reading type and interval length; interval values may share the first with it."""
        return self.reading_type, plain_code(self.recurrence_code) or "0"

    def measures(self, text: str) -> bool:
        """Tell whether a code text names what it measures; OBIS codes may leave group F out."""
        return printed(text) in {printed(self.obis_text or self.reading_type), printed(self.reading_type)}

    def is_valid_on(self, day: date) -> bool:
        """Tell whether the register carries this logical register number on a local date."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)

    def overlaps(self, other: Register) -> bool:
        """Tell whether two half-open spans share a day; spans that only touch do not."""
        return (other.valid_to is None or self.valid_from < other.valid_to) and (
            self.valid_to is None or other.valid_from < self.valid_to
        )

    def is_collected_on(self, day: date) -> bool:
        """Tell whether its head end has to know it: until the day after its last one, on which its last value is."""
        return self.valid_to is None or day <= self.valid_to

    def within(self, start: date | None, end: date | None) -> Register | None:
        """Return the part of the register in a half-open span, None without a day; None is no bound."""
        first = self.valid_from if start is None else max(start, self.valid_from)
        last = min((bound for bound in (end, self.valid_to) if bound is not None), default=None)
        return None if last is not None and last <= first else replace(self, valid_from=first, valid_to=last)

    def can_show(self, value: Decimal) -> bool:
        """Tell whether the register has the digits for a value; how many there are before the point may be unknown."""
        counted = value.scaleb(self.fraction_digits)  # in the unit of the last decimal
        if value < 0 or counted != counted.to_integral_value():
            return False
        return self.total_digits is None or counted < Decimal(10) ** self.total_digits

    def as_shown(self, value: Decimal) -> Decimal:
        """Return the value cut to the register's decimals, never rounded up: a counter shows only what was consumed."""
        last = Decimal(1).scaleb(-min(self.fraction_digits, _MOST_DECIMALS))
        cut = value.quantize(last, rounding=ROUND_DOWN, context=_ALL_DIGITS)
        return cut if cut else abs(cut)  # nobody's register shows -0.00

    def has_digits_for(self, value: Decimal) -> bool:
        """Tell whether a value has no more digits before its point than the register, or than any result can carry."""
        return abs(value) < (_BEYOND_RESULTS if self.turn is None else self.turn)

    def turned_over(self, value: Decimal) -> Decimal:
        """Return what the register shows of a count that goes on where the register begins anew.

        What no result could carry is no such count: it stays as it is, and is none of the register.
        """
        if self.turn is None or abs(value) >= _BEYOND_RESULTS:
            return value
        return _ALL_DIGITS.remainder(value, self.turn)

    @property
    def turn(self) -> Decimal | None:
        """Return where the register begins anew, None where it is not known or beyond what a result can carry."""
        digits = None if self.total_digits is None else self.total_digits - self.fraction_digits
        return None if digits is None or digits > _MOST_DIGITS else Decimal(10) ** digits


def register_on(registers: Iterable[Register], day: date, *, removal: bool = False) -> Register | None:
    """Return the register that carries its number on a local date, None if none does.

    For a reading at its removal it is the one that ended with the day before, where one did: SAP's end date is the last
    day before the removal.
    """
    spans = list(registers)
    ended = (register for register in spans if removal and register.valid_to == day)
    valid = (register for register in spans if register.is_valid_on(day))
    return next(ended, None) or next(valid, None)


def days_held(register: Register, others: Iterable[Register], *, removal: bool = False) -> tuple[date, date | None]:
    """Return the first and the last day at whose beginning what a register shows is its number's; None is no last one.

    `others` are the registers of its device. Spans that follow each other with the same number and reading type are
    one. The last day is the one after them: its beginning is also the first instant of whatever number comes next. What
    is shown later is that number's, or nobody's; only at its removal it is still its own, as long as none comes.
    """
    alike = [other for other in others if other.reading_type == register.reading_type]
    own = sorted(
        (other for other in alike if other.measurement_task_id == register.measurement_task_id),
        key=lambda other: other.valid_from,
    )
    first, last = register.valid_from, register.valid_to
    for span in reversed(own):
        first = span.valid_from if span.valid_to == first else first
    for span in own:
        last = span.valid_to if span.valid_from == last else last
    if last is None or not removal:
        return first, last
    return first, min((other.valid_from for other in alike if other.valid_from >= last), default=None)


def taken(register: Register, others: Iterable[Register]) -> str | None:
    """Return why its span is taken by others of its device: they have its number or measure the same. None if free."""
    for other in others:
        if not register.overlaps(other):
            continue
        if other.measurement_task_id == register.measurement_task_id:
            return f"Its number is in use on this device from {other.valid_from}"
        if other.channel == register.channel:
            return f"{register.reading_type} is register {other.measurement_task_id} from {other.valid_from}"
    return None


def holder_elsewhere(register: Register, others: Iterable[Register]) -> Register | None:
    """Return the register of another device that has its number in its span, None if none has."""
    return next((other for other in others if other.device_id != register.device_id and register.overlaps(other)), None)


@overload
def plain_code(code: str) -> str: ...
@overload
def plain_code(code: None) -> None: ...
def plain_code(code: str | None) -> str | None:
    """Return a code as it compares: senders drop and add leading zeros."""
    return code if code is None else code.lstrip("0") or "0"
