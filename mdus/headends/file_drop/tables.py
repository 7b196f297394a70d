"""config/cmep.toml: what the units and data quality flags of CMEP mean here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, Field

from mdus.settings import TableRow


class CmepUnitRow(TableRow):
    """A row of `cmep_units`: what values of a commodity in a unit are, and under which reading type they are kept.

    `label` is the time of use of MEPMD02 (TOTAL, ON-PEAK ...), empty for MEPMD01. `told` says whether a value is the
    quantity of an interval or what a register shows; `kept_as` is the unit in the field's usual spelling.
    """

    commodity: Annotated[str, Field(min_length=1)]
    unit: Annotated[str, Field(min_length=1)]
    label: str = ""
    told: Literal["intervals", "readings"]
    reading_type: Annotated[str, Field(min_length=1)]
    kept_as: Annotated[str, Field(min_length=1)]

    @classmethod
    def contradictions(cls, rows: Sequence[Self]) -> Iterable[str]:
        """Return the units that two rows explain."""
        return _twice([f"{row.commodity} {row.unit} {row.label}".rstrip() for row in rows])


class CmepFlagRow(TableRow):
    """A row of `cmep_flags`: the IEC 61968-9 quality of a value with a flag, empty for nothing to say of it.

    Where `is_value` is false, no value was sent, whatever stands in its field.
    """

    flag: str
    quality: Annotated[str, Field(pattern=r"^(\d{1,3}\.\d{1,3}\.\d{1,4})?$")] = ""
    is_value: bool = True

    @classmethod
    def contradictions(cls, rows: Sequence[Self]) -> Iterable[str]:
        """Return the flags that two rows explain."""
        return _twice([f"the flag {row.flag!r}" for row in rows])


def _twice(names: Sequence[str]) -> list[str]:
    return [f"{name} stands in two rows" for name in dict.fromkeys(names) if names.count(name) > 1]


TABLES: Final[Mapping[str, type[BaseModel]]] = {"cmep_units": CmepUnitRow, "cmep_flags": CmepFlagRow}
