"""What head ends tell under codes that no table explains: kept as it came, shown with the row that would explain it.

```
told --no row--> kept, with its delivery --+--a row was added, the delivery read again--> what it is, gone from here
                                           +--left by a human--> gone from here
```
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

_FIELDS: Final = "commodity|field|value_type|unit|phase|tou|service|code|label|is_interval|is_irregular"
_FIELD: Final = re.compile(rf"(?:^|, )(?P<name>{_FIELDS})(?:=(?P<value>.*?))?(?=, (?:{_FIELDS})(?:=|,|$)|$)")


class UnmappedSource(StrEnum):
    """What a code is of that no table explains."""

    CHANNEL = "channel"
    EVENT = "event"
    UNIT = "unit"
    QUALITY = "quality"

    @property
    def case_kind(self) -> str:
        """Return the kind of exception case of such codes."""
        return _CASE_KINDS[self]


_CASE_KINDS: Final[Mapping[UnmappedSource, str]] = {
    UnmappedSource.CHANNEL: "channel_unmapped",
    UnmappedSource.EVENT: "event_unmapped",
    UnmappedSource.UNIT: "unit_unmapped",
    UnmappedSource.QUALITY: "quality_unmapped",
}


@dataclass(frozen=True, order=True, slots=True)
class UnmappedCode:
    """A code of a head end that no table explains."""

    head_end: str
    source: UnmappedSource
    code: str

    @property
    def case_key(self) -> str:
        """Return the key of its exception case."""
        return f"{self.head_end}/{self.code}"

    @property
    def row(self) -> str:
        """Return the row that explains it, as far as the code says: what only people know is a question mark."""
        owner = f"head_end = {_quoted(self.head_end)}"
        scheme, _, name = self.code.partition(": ")
        match self.source:
            case UnmappedSource.EVENT:
                return f'[[field_events]] event = "?", {owner}, codes = {{ {scheme} = [{_quoted(name)}] }}'
            case UnmappedSource.CHANNEL:
                kind = "interval" if "is_interval" in name else "?"
                return f'[[channels]] obis = "?", kind = "{kind}", unit = "?", {owner}, {_channel(scheme, name)}'
            case UnmappedSource.UNIT:
                return f'[[units]] code = "?", quantity = "?", texts = [{_quoted(name or self.code)}]'
            case UnmappedSource.QUALITY:
                return f"a row of the table of qualities of its kind, for {_quoted(name or self.code)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class UnmappedValue:
    """Something told under such a code, as it came; `delivery_id` is the delivery that told it first."""

    head_end: str
    source: UnmappedSource
    code: str
    serial_id: str
    at: datetime | None
    value: str | None
    unit: str | None
    text: str | None
    delivery_id: int
    received_at: datetime

    @property
    def names(self) -> UnmappedCode:
        """Return the code it was told under."""
        return UnmappedCode(self.head_end, self.source, self.code)

    @property
    def content_hash(self) -> str:
        """Return what is the same however often, and by whichever delivery, the same is told."""
        parts = [self.source, self.code, self.serial_id, self.at, self.value, self.unit, self.text]
        text = json.dumps([None if each is None else str(each) for each in parts])
        return hashlib.sha256(text.encode()).hexdigest()[:40]


def _channel(scheme: str, name: str) -> str:
    """Return what a row of channels says of a name, as it is printed (`channel_name`)."""
    match scheme:
        case "mrid":
            return f"mrid = {_quoted(name)}"
        case "obis":
            return f"obis_codes = [{_quoted(name)}]"
        case "multispeak" | "cmep":
            fields = [(found["name"], found["value"]) for found in _FIELD.finditer(name)]
            told = [f"{key} = {'true' if value is None else _quoted(value)}" for key, value in fields]
            return f"{scheme} = [{{ {', '.join(each for each in told if each != 'is_interval = true')} }}]"
        case _:
            return f"names = {{ {scheme} = [{_quoted(name)}] }}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
