"""The formats of files: which one a body is in, by its topic or its first line, and how one too large is parted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import BinaryIO, Final

from mdus.domain.head_end import FieldEvent, FilePart
from mdus.headends.file_drop import cmep, interval_csv
from mdus.settings import Settings

#: The topic under which a body is pushed that shows by itself what it is.
ANY_FORMAT: Final = "intervals"


class Format(StrEnum):
    """A format of files, and the topic of a delivery in it."""

    CMEP = "cmep"
    CSV = "csv"


#: A delivery holds so many lines and bytes at most: about a thousand meters' days, taken in by one short transaction.
_LINES: Final = {Format.CMEP: 2_000, Format.CSV: 50_000}
_BYTES: Final = 4 * 1024 * 1024


#: Bytes of a file that show what it is.
_BEGINNING: Final = 4096


def decoder(settings: Settings) -> Callable[[str, bytes], Iterator[FieldEvent]]:
    """Return what reads the bodies of both formats, by the tables of these settings."""
    tables = cmep.CmepTables.of(settings)

    def decode(topic: str, body: bytes) -> Iterator[FieldEvent]:
        match format_of(topic, body):
            case Format.CMEP:
                return cmep.decode(body, tables)
            case Format.CSV:
                return interval_csv.decode(body)

    return decode


def format_of(topic: str, body: bytes) -> Format:
    """Return the format of a body: what its topic says, else what its first lines look like."""
    if topic in tuple(Format):
        return Format(topic)
    if topic != ANY_FORMAT:
        raise ValueError(f"a head end of kind file_drop delivers nothing under the topic {topic!r}")
    first = body[:_BEGINNING].removeprefix(b"\xef\xbb\xbf").lstrip()
    if first.startswith((b"MEP", b'"MEP')) or b"\nMEP" in first:  # the first line may be a bad one
        return Format.CMEP
    if interval_csv.is_header(first.partition(b"\n")[0].rstrip(b"\r")):
        return Format.CSV
    raise ValueError(f"neither a record of CMEP nor the header {interval_csv.HEADER} at the beginning")


def part_file(file: BinaryIO, told: str | None, *, lines: int | None = None) -> Iterator[FilePart]:
    """Yield a file in parts of whole lines, never more of it in memory than one; of CSV each begins with the header.

    The same file always falls into the same parts.
    """
    found = format_of(told or ANY_FORMAT, file.read(_BEGINNING))
    file.seek(0)
    header = file.readline() if found is Format.CSV else b""
    if header and not interval_csv.is_header(header):
        raise ValueError(f"the header {interval_csv.HEADER} is expected in the first line")
    most, before = lines or _LINES[found], 0
    held: list[bytes] = []
    size = len(header)
    for text in file:
        held.append(text)
        size += len(text)
        if len(held) >= most or size >= _BYTES:
            yield FilePart(topic=found.value, body=header + b"".join(held), lines_before=before, size=size)
            before += len(held)
            held, size = [], 0
    if held or size:
        yield FilePart(topic=found.value, body=header + b"".join(held), lines_before=before, size=size)
