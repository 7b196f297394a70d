"""Which tables what head ends told was read by: a version that changes with any of their rows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Final

from mdus.settings import Settings

#: The tables that say what a code of a head end means.
_TABLES: Final = ("channels", "cmep_flags", "field_events", "units")


@dataclass(frozen=True, kw_only=True, slots=True)
class MappingVersion:
    """The tables as they are: `content` is their rows as JSON, with the vendors of head ends, `name` stands for it."""

    name: str
    content: str

    @classmethod
    def of(cls, settings: Settings) -> MappingVersion:
        """Return the version of these settings: the same rows, in whatever order they were read, are the same."""
        rows = {table: sorted(map(dict, settings.table(table)), key=lambda row: str(row["name"])) for table in _TABLES}
        vendors = {row.name: row.vendor for row in settings.head_ends if row.vendor is not None}
        content = json.dumps({**rows, "vendors": vendors}, sort_keys=True, ensure_ascii=False, default=str)
        return cls(name=hashlib.sha256(content.encode()).hexdigest()[:12], content=content)
