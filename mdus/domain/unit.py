"""Units: SAP's codes of up to three characters, and what head ends and IEC 61968-9 call the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from mdus.domain.register import plain_code
from mdus.domain.value import Value
from mdus.settings import Section, Settings, Texts


def _exact(value: object) -> object:
    if isinstance(value, float):
        raise ValueError('write it as text, such as "0.001": a number with a point is not exact')  # noqa: TRY004 - pydantic reads it
    return value


class UnitRow(Section):
    """A row of config/units.toml: one unit code of SAP.

    Values are converted between the units of one `quantity`: a value times `factor` is in its base unit. `texts` are
    the names of this unit in the field, in capitals or not; a row with a `division` is for registers of it only.
    """

    name: str
    code: Annotated[str, Field(min_length=1, max_length=3)]
    texts: Texts = ()
    quantity: Annotated[str, Field(min_length=1)]
    factor: Annotated[Decimal, BeforeValidator(_exact), Field(gt=0)] = Decimal(1)
    division: str | None = None

    def names(self, text: str) -> bool:
        """Tell whether a text means this unit: a name of it in the field, or SAP's code."""
        plain = _plain(text)
        return plain == _plain(self.code) or any(plain == _plain(name) for name in self.texts)

    def is_for(self, division: str | None) -> bool:
        """Tell whether registers of a division may have this unit."""
        return self.division is None or plain_code(self.division) == plain_code(division)


@dataclass(frozen=True, kw_only=True, slots=True)
class Units(Value):
    """The units there are. Where a table says nothing of two units, they fit only if they are written alike."""

    KEY: ClassVar[tuple[str, ...]] = ()

    rows: tuple[UnitRow, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Units:
        """Return the units that config/units.toml says."""
        return cls(rows=settings.rows("units", UnitRow))

    def is_known(self, code: str, *, division: str | None) -> bool:
        """Tell whether SAP may use this MeasureUnitCode for a register of a division (None: of any)."""
        return any(row.code == code and (division is None or row.is_for(division)) for row in self.rows)

    def code_of(self, text: str, *, division: str | None = None) -> str | None:
        """Return the MeasureUnitCode of what a head end calls `text`, None where no row says.

        A row of the division goes before one for all.
        """
        found = [row for row in self.rows if row.names(text) and row.is_for(division)]
        found.sort(key=lambda row: (row.division is None, not any(_plain(text) == _plain(one) for one in row.texts)))
        return found[0].code if found else None

    def text_of(self, code: str) -> str:
        """Return what the field calls the unit of a MeasureUnitCode, the code itself where no row says.

        Where its own row names nothing, another of its quantity and size does.
        """
        own = [row for row in self.rows if row.code == code]
        alike = (row for one in own for row in self.rows if (row.quantity, row.factor) == (one.quantity, one.factor))
        return next((row.texts[0] for row in (*own, *alike) if row.texts), code)

    def converted(self, value: Decimal, *, told: str | None, wanted: str) -> Decimal | None:
        """Return a value in another unit, None where the two measure different things.

        A value without a unit is held to be in the wanted one. Multiplied before it is divided, so that nothing is lost
        that the digits hold.
        """
        if told is None or _plain(told) == _plain(wanted):
            return value
        for one in self._named(told):
            for other in self._named(wanted):
                if one.quantity == other.quantity:
                    return value * one.factor / other.factor
        return None

    def ratio(self, *, told: str, wanted: str) -> Fraction | None:
        """Return what values in one unit are times a value in another, None where the two measure different things.

        Values without a unit, told as an empty text, are held to be in the wanted one.
        """
        if not told or _plain(told) == _plain(wanted):
            return Fraction(1)
        for one in self._named(told):
            for other in self._named(wanted):
                if one.quantity == other.quantity:
                    return Fraction(one.factor) / Fraction(other.factor)
        return None

    def _named(self, text: str) -> Iterator[UnitRow]:
        return (row for row in self.rows if row.names(text))


def ambiguous_texts(rows: Sequence[UnitRow]) -> list[tuple[str, UnitRow, UnitRow]]:
    """Return the texts that two rows for the same division claim, with the rows."""
    return [
        (text, one, other)
        for position, one in enumerate(rows)
        for other in rows[position + 1 :]
        for text in one.texts
        if plain_code(one.division) == plain_code(other.division)
        and any(_plain(text) == _plain(name) for name in other.texts)
    ]


def contradicting_codes(rows: Sequence[UnitRow]) -> list[tuple[UnitRow, UnitRow]]:
    """Return the pairs of rows that give one code different meanings."""
    return [
        (one, other)
        for position, one in enumerate(rows)
        for other in rows[position + 1 :]
        if one.code == other.code and (one.quantity, one.factor) != (other.quantity, other.factor)
    ]


def _plain(text: str) -> str:
    return text.upper().replace("³", "3").replace("²", "2")
