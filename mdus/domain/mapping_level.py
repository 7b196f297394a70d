"""Which rows of a mapping are for a head end, and which of them goes first: its own, its vendor's, those for all."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import AwareDatetime, model_validator

from mdus.settings import HeadEnd, TableRow

_ALL: Final = 0
_VENDOR: Final = 1
_HEAD_END: Final = 2


class MappingRow(TableRow):
    """A row of config/channels.toml or config/field_events.toml.

    It is for one head end, for those with a `vendor` (of their rows of config/head_ends.toml), or for all. What was
    told of instants before `valid_from` it does not explain.
    """

    head_end: str | None = None
    vendor: str | None = None
    valid_from: AwareDatetime | None = None

    @model_validator(mode="after")
    def _is_for_one(self) -> MappingRow:
        if self.head_end is not None and self.vendor is not None:
            raise ValueError("a row is for a head_end or for a vendor, not for both")
        return self

    def level(self, head_end: HeadEnd | None) -> int | None:
        """Return how near the row is to a head end (None: to none in particular), None where it is not for it."""
        if self.head_end is not None:
            return _HEAD_END if head_end is not None and head_end.name == self.head_end else None
        if self.vendor is not None:
            return _VENDOR if head_end is not None and head_end.vendor == self.vendor else None
        return _ALL

    @property
    def since(self) -> float:
        """Return from when on the row counts, as a number to sort by."""
        return self.valid_from.timestamp() if self.valid_from is not None else float("-inf")

    def is_valid_at(self, at: datetime | None) -> bool:
        """Tell whether the row explains what was told of an instant; None: of any."""
        return at is None or self.valid_from is None or self.valid_from <= at

    @property
    def scope(self) -> tuple[str | None, str | None, datetime | None]:
        """Return for whom and from when on the row is: two rows of one scope must not explain the same."""
        return self.head_end, self.vendor, self.valid_from
