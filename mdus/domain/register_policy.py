"""What a register measures and what it may look like: the same for those SAP creates and those it changes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field, model_validator

from mdus.domain.end_device import EndDevice
from mdus.domain.obis import Obis
from mdus.domain.recurrence import Recurrences
from mdus.domain.register import Register, plain_code
from mdus.domain.unit import Units
from mdus.domain.value import Value
from mdus.settings import Section, Settings

#: The reading type of a register as SAP describes it, before it is known which channel that is.
_UNPLACED: Final = ""

_FACTS: Final = frozenset(field.name for field in fields(Register))


class RegisterFault(ValueError):
    """A register cannot be as SAP describes it."""

    type_id: ClassVar[str]  # under which it stands in SAP's log, in every service

    def __init__(self, note: str | None = None) -> None:
        """Take the note for SAP's log; without one, the first line of the class's docstring is the note."""
        super().__init__(note or (type(self).__doc__ or "").strip().splitlines()[0])


class DatesReversed(RegisterFault):
    """The validity ends before it starts."""

    type_id = "106(MDUS)"


class RegisterOutsideDevice(RegisterFault):
    """It starts when the device is not valid."""

    type_id = "112(MDUS)"


class ReadingTypeUnknown(RegisterFault):
    """Neither its code text nor its division says what it measures."""

    type_id = "113(MDUS)"


class ReadingTypeAmbiguous(RegisterFault):
    """Several rows of config/reading_types.toml say what it measures."""

    type_id = "114(MDUS)"


class PrecisionImpossible(RegisterFault):
    """It has no digit, or more decimals than digits."""

    type_id = "115(MDUS)"


class FactorImpossible(RegisterFault):
    """Its factor is not above zero."""

    type_id = "116(MDUS)"


class TimeZoneUnknown(RegisterFault):
    """Its time zone code is not in config/time_zones.toml."""

    type_id = "117(MDUS)"


class UnitUnknown(RegisterFault):
    """Its unit is not in config/units.toml."""

    type_id = "121(MDUS)"


class RecurrenceUnknown(RegisterFault):
    """Its recurrence code is not in config/recurrence.toml."""

    type_id = "122(MDUS)"


class ReadingTypeRow(Section):
    """A row of config/reading_types.toml: what registers measure that give no OBIS code."""

    name: str
    reading_type: Annotated[str, Field(min_length=1)]
    text: str | None = None
    division: str | None = None
    unit: str | None = None
    time_of_use: str | None = None
    ams_id: str | None = None
    head_end: str | None = None

    @model_validator(mode="after")
    def _states_enough(self) -> ReadingTypeRow:
        if self.text is None and self.division is None:
            raise ValueError("a row states a text or a division")
        return self

    def weight(self, register: Register, *, device: EndDevice) -> int:
        """Return how many things the row states that are so, 0 when one is not."""
        pairs = (
            (self.text, register.obis_text),
            (plain_code(self.division), plain_code(register.division)),
            (self.unit, register.unit),
            (plain_code(self.time_of_use), plain_code(register.time_of_use_code)),
            (self.ams_id, device.ams_id),
            (self.head_end, device.head_end),
        )
        stated = [said == present for said, present in pairs if said is not None]
        # A text that is there has to be known: guessing by division would bill the wrong quantity.
        return len(stated) if all(stated) and (register.obis_text is None) == (self.text is None) else 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisterPolicy(Value):
    """What the settings say of registers."""

    reading_types: tuple[ReadingTypeRow, ...] = ()
    time_zone_codes: frozenset[str] = frozenset()
    units: Units = field(default_factory=Units)
    recurrences: Recurrences = field(default_factory=Recurrences)

    @classmethod
    def of(cls, settings: Settings) -> RegisterPolicy:
        """Return the policy that the tables of reading types, time zones, units and recurrences say."""
        return cls(
            reading_types=settings.rows("reading_types", ReadingTypeRow),
            time_zone_codes=frozenset(settings.time_zones),
            units=Units.of(settings),
            recurrences=Recurrences.of(settings),
        )

    def placed(self, described: Register, *, device: EndDevice) -> Register:
        """Return a register as SAP describes it on the channel it measures. Raises RegisterFault for what cannot be.

        The span holds a day at least and starts while the device is valid. The decimals fit into the digits, a factor
        is above zero (SAP applies it: results carry the value as shown), its codes of unit, recurrence and time zone
        are known.
        """
        if described.valid_to is not None and described.valid_to <= described.valid_from:
            raise DatesReversed
        if not device.is_valid_on(described.valid_from):
            raise RegisterOutsideDevice
        if described.total_digits is not None and not max(1, described.fraction_digits) <= described.total_digits:
            raise PrecisionImpossible
        if described.factor is not None and described.factor <= 0:
            raise FactorImpossible
        if described.time_zone_code is not None and described.time_zone_code not in self.time_zone_codes:
            raise TimeZoneUnknown(f"Its time zone code {described.time_zone_code} is not in config/time_zones.toml")
        if not self.units.is_known(described.unit, division=described.division):
            raise UnitUnknown(f"Its unit {described.unit} is not in config/units.toml for its division")
        if self.recurrences.minutes_of(described.recurrence_code) is None:
            raise RecurrenceUnknown(f"Its recurrence code {described.recurrence_code} is not in config/recurrence.toml")
        return replace(described, reading_type=self.reading_type(described, device=device))

    def reading_type(self, register: Register, *, device: EndDevice) -> str:
        """Return the channel of a register: by its text (a row, else an OBIS code), without text by its division."""
        weighed = [(row.weight(register, device=device), row.reading_type) for row in self.reading_types]
        most = max((weight for weight, _ in weighed), default=0)
        found = {reading_type for weight, reading_type in weighed if weight == most and weight > 0}
        if len(found) > 1:
            raise ReadingTypeAmbiguous
        if found:
            return found.pop()
        try:
            return str(Obis.parse(register.obis_text or ""))
        except ValueError:
            raise ReadingTypeUnknown from None


def described(device: EndDevice, *told: Any) -> Register:
    """Return a register of a device as dataclasses tell it whose fields have the names of the register's.

    What a later one tells goes before an earlier one's. The channel is still to be found: `RegisterPolicy.placed`.
    """
    facts = {one.name: getattr(said, one.name) for said in told for one in fields(said) if one.name in _FACTS}
    return Register(sender_system=device.sender_system, device_id=device.device_id, reading_type=_UNPLACED, **facts)
