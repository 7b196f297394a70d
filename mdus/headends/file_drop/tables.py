"""config/cmep.toml: what the data quality flags and further records of CMEP mean here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, Field

from mdus.settings import TableRow

#: The first field that says something of the values: the meter.
_FIRST_USED: Final = 8

#: Where the first value of a record stands, counted from 0: behind its count.
FIRST_VALUE: Final = {"MEPMD01": 14, "MEPMD02": 16, "nothing": 0}


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


class CmepRecordRow(TableRow):
    """A row of `cmep_records`: how a type of record is read that is neither MEPMD01 nor MEPMD02.

    As one of these, or as `nothing`: it holds no measured values, and is passed over. `fields` are the places, from 1
    on, at which a vendor's own record has what the protocol has in a field of that number; what is not named stands
    where the protocol has it, and 0 is nowhere. Values follow the count (field 14, or 16 of MEPMD02).
    """

    record: Annotated[str, Field(pattern=r"^\S+$")]
    read_as: Literal["MEPMD01", "MEPMD02", "nothing"]
    fields: Mapping[int, Annotated[int, Field(ge=0)]] = {}

    def arranged(self, fields: Sequence[bytes]) -> list[bytes]:
        """Return the fields of such a record in the places of the one it is read as; raises ValueError for too few."""
        count = FIRST_VALUE[self.read_as]
        places = [self.fields.get(number, number) for number in range(1, count + 1)]
        most = max(places[_FIRST_USED - 1 :])
        if len(fields) < most:
            raise ValueError(f"{most} fields and triplets are expected, found {len(fields)} fields")
        head = [fields[place - 1] if 0 < place <= len(fields) else b"" for place in places]
        return [self.read_as.encode(), *head[1:], *fields[places[-1] :]]

    @classmethod
    def contradictions(cls, rows: Sequence[Self]) -> Iterable[str]:
        """Return the types of records that two rows explain."""
        return _twice([f"the record {row.record}" for row in rows])


def _twice(names: Sequence[str]) -> list[str]:
    return [f"{name} stands in two rows" for name in dict.fromkeys(names) if names.count(name) > 1]


TABLES: Final[Mapping[str, type[BaseModel]]] = {
    "cmep_flags": CmepFlagRow,
    "cmep_records": CmepRecordRow,
}
