"""The formats of files: which one a body is in, by its topic or by how it begins."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from mdus.headends.file_drop import event_csv, interval_csv, register_csv, result_csv
from mdus.headends.file_drop.rows import BYTE_ORDER_MARK, columns


class Format(StrEnum):
    """A format of files, and the topic of a delivery in it."""

    CMEP = "cmep"
    CSV = "csv"  # interval values
    REGISTERS = "registers"
    DOCUMENT = "document"  # MeterReadingDocument
    EVENTS = "events"
    RESULTS = "results"


#: The topic under which a body is pushed that shows by itself what it is.
ANY_FORMAT: Final = "intervals"

#: Bytes of a file that show what it is.
BEGINNING: Final = 4096

#: The columns by which a CSV with names shows what it is.
_NEEDED: Final = {
    Format.REGISTERS: register_csv.NEEDED,
    Format.EVENTS: event_csv.NEEDED,
    Format.RESULTS: result_csv.NEEDED,
}


def format_of(topic: str, body: bytes) -> Format:
    """Return the format of a body: what its topic says, else what it looks like. Raises ValueError for no known one."""
    if topic in tuple(Format):
        return Format(topic)
    if topic != ANY_FORMAT:
        raise ValueError(f"a head end of kind file_drop delivers nothing under the topic {topic!r}")
    first = body[:BEGINNING].removeprefix(BYTE_ORDER_MARK).lstrip()
    if not first:
        raise ValueError("the file is empty")
    if first.startswith(b"<") and b"MeterReadingDocument" in first:
        return Format.DOCUMENT
    if first.startswith((b"MEP", b'"MEP')) or b"\nMEP" in first:  # the first line may be a bad one
        return Format.CMEP
    line = first.partition(b"\n")[0].rstrip(b"\r")
    if interval_csv.is_header(line):
        return Format.CSV
    names = set(columns(line))
    found = next((one for one, needed in _NEEDED.items() if names.issuperset(needed)), None)
    if found is None:
        raise ValueError("neither a record of CMEP nor the header of a known CSV nor a MeterReadingDocument")
    return found


def check_header(found: Format, line: bytes) -> None:
    """Raise ValueError where the first line of a CSV is not the header of its format."""
    if found is Format.CSV:
        if not interval_csv.is_header(line):
            raise ValueError(f"the header {interval_csv.HEADER} is expected in the first line")
    elif found in _NEEDED and not set(columns(line)).issuperset(_NEEDED[found]):
        raise ValueError(f"a header with the columns {', '.join(_NEEDED[found])} is expected in the first line")
