"""How often a register is measured: SAP's recurrence codes, whose meaning is customizing, as minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field

from mdus.domain.register import plain_code
from mdus.domain.value import Value
from mdus.settings import Section, Settings

#: A register that only counts: no interval values.
PLAIN: Final = 0

_HOUR: Final = 60
_DAY: Final = 24 * _HOUR


def _parts_a_day(minutes: int) -> int:
    parts_an_hour = minutes and _HOUR % minutes == 0
    parts_a_day_in_hours = minutes and minutes % _HOUR == 0 and _DAY % minutes == 0
    if minutes != PLAIN and not (parts_an_hour or parts_a_day_in_hours):
        raise ValueError("intervals part an hour, or are whole hours that part a day; 0 is a plain register")
    return minutes


class RecurrenceRow(Section):
    """A row of config/recurrence.toml: what one UtilitiesMeasurementRecurrenceCode means."""

    name: str
    code: Annotated[str, Field(min_length=1, max_length=4)]
    minutes: Annotated[int, Field(ge=0), AfterValidator(_parts_a_day)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recurrences(Value):
    """The codes there are, with the minutes of an interval; PLAIN is a register without intervals."""

    KEY: ClassVar[tuple[str, ...]] = ()

    minutes: Mapping[str, int] = field(default_factory=dict)  # by code without leading zeros

    @classmethod
    def of(cls, settings: Settings) -> Recurrences:
        """Return the codes that config/recurrence.toml says."""
        return cls(minutes={plain_code(row.code): row.minutes for row in settings.rows("recurrences", RecurrenceRow)})

    def minutes_of(self, code: str | None) -> int | None:
        """Return the length of an interval in minutes, PLAIN for none; None for a code that is not in the table.

        Codes are compared without leading zeros; a missing one is SAP's `0`.
        """
        return self.minutes.get(plain_code(code or "0"))


def repeated_codes(rows: Sequence[RecurrenceRow]) -> list[tuple[RecurrenceRow, RecurrenceRow]]:
    """Return the pairs of rows with the same code."""
    return [
        (one, other)
        for position, one in enumerate(rows)
        for other in rows[position + 1 :]
        if plain_code(one.code) == plain_code(other.code)
    ]
