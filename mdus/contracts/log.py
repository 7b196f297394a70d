"""The Log of a confirmation: how it went, in SAP's codes, with notes for a person."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mdus.contracts.shape import wire, wire_text

NOTE_LENGTH: Final = 200
TYPE_ID_LENGTH: Final = 40
CATEGORY_LENGTH: Final = 15
SUCCESS_TYPE_ID: Final = "000(MDUS)"
# Everything XML 1.0 has no way to write; notes come from head ends and may hold anything.
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class ProcessingResultCode(StrEnum):
    """`BusinessDocumentProcessingResultCode`: how a message or an item ended."""

    RECEIVED = "1"
    """Taken, nothing decided yet."""
    IN_PROCESS = "2"
    """Being worked on."""
    SUCCESSFUL = "3"
    """Everything asked for was done."""
    PARTIALLY_SUCCESSFUL = "4"
    """Some items were done, some were not."""
    FAILED = "5"
    """Nothing was done."""


class SeverityCode(StrEnum):
    """`SeverityCode` and `MaximumLogItemSeverityCode`, in rising order."""

    INFORMATION = "1"
    """For the reader's interest."""
    WARNING = "2"
    """Done, with something worth a look."""
    ERROR = "3"
    """Not done."""
    ABORT = "4"
    """Given up half-way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogItem:
    """One remark. `type_id` has the form `101(MDUS)`; `category` is SAP's, such as PRE for a processing error.

    Texts are made to fit when the item is made: characters XML cannot hold become `?`, the note is cut to 200, the type
    to 40, the category to 15 characters.
    """

    type_id: str | None = wire("TypeID")
    category: str | None = wire("CategoryCode")
    severity: SeverityCode | None = wire("SeverityCode")
    note: str = wire_text("Note")

    def __post_init__(self) -> None:
        """Cut and clean the texts."""
        object.__setattr__(self, "note", _fit(self.note, NOTE_LENGTH))
        if self.type_id is not None:
            object.__setattr__(self, "type_id", _fit(self.type_id, TYPE_ID_LENGTH) or None)
        if self.category is not None:
            object.__setattr__(self, "category", _fit(self.category, CATEGORY_LENGTH) or None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """How a message or one item of a bulk ended."""

    result_code: ProcessingResultCode | None = wire("BusinessDocumentProcessingResultCode")
    max_severity: SeverityCode | None = wire("MaximumLogItemSeverityCode")
    items: tuple[LogItem, ...] = wire("Item")

    @classmethod
    def success(cls, *, note: str | None = None) -> Log:
        """Return the log of something done, with a note for the reader if there is one."""
        item = LogItem(type_id=SUCCESS_TYPE_ID, severity=SeverityCode.INFORMATION, note=note) if note else None
        return cls(
            result_code=ProcessingResultCode.SUCCESSFUL,
            max_severity=SeverityCode.INFORMATION,
            items=(item,) if item else (),
        )

    @classmethod
    def failure(cls, items: Iterable[LogItem]) -> Log:
        """Return the log of something not done; its severity is the highest of the items, at least an error."""
        listed = tuple(items)
        severities = [item.severity for item in listed if item.severity is not None]
        return cls(
            result_code=ProcessingResultCode.FAILED,
            max_severity=max([SeverityCode.ERROR, *severities]),
            items=listed,
        )

    @classmethod
    def overall(cls, codes: Iterable[ProcessingResultCode | None]) -> Log:
        """Return the log of a bulk from the codes of its items: 3 if all succeeded, 5 if none did, else 4.

        Raises `ValueError` without items: a confirmation always lists them.
        """
        listed = list(codes)
        if not listed:
            raise ValueError("a bulk confirmation lists its items")
        if all(code is ProcessingResultCode.SUCCESSFUL for code in listed):
            return cls(result_code=ProcessingResultCode.SUCCESSFUL, max_severity=SeverityCode.INFORMATION)
        none_done = all(code is ProcessingResultCode.FAILED for code in listed)
        return cls(
            result_code=ProcessingResultCode.FAILED if none_done else ProcessingResultCode.PARTIALLY_SUCCESSFUL,
            max_severity=SeverityCode.ERROR,
        )


def writable(text: str) -> str:
    """Return a text with `?` for every character that XML cannot hold."""
    return _NOT_XML.sub("?", text)


def _fit(text: str, length: int) -> str:
    return writable(text)[:length]
