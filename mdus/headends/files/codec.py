"""The formats of files: which one a body is in, by its topic or its first line, and how one too large is parted."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import BinaryIO, Final, NamedTuple

from mdus.domain.head_end import Decode, FieldEvent
from mdus.headends.files import cmep, interval_csv
from mdus.settings import Settings

#: The topic under which a body is pushed that shows by itself what it is.
ANY_FORMAT: Final = "intervals"


class Format(StrEnum):
    """A format of files, and the topic of a delivery in it."""

    CMEP = "cmep"
    CSV = "csv"


#: A delivery holds so many lines and bytes at most: about a thousand meters' days, taken in by one short transaction.
_LINES: Final = {Format.CMEP: 1_000, Format.CSV: 50_000}
_BYTES: Final = 4 * 1024 * 1024


class Part(NamedTuple):
    """Whole lines of a file, fit to be a delivery of its own."""

    body: bytes
    first_line: int  # of the file, from 1 on: where the first line of the body stands, but for a repeated header
    size: int  # bytes of the file


def decoder(settings: Settings) -> Decode:
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
    """Return the format of a body: what its topic says, else what its first line looks like."""
    if topic in tuple(Format):
        return Format(topic)
    if topic != ANY_FORMAT:
        raise ValueError(f"a head end of kind files delivers nothing under the topic {topic!r}")
    first = body.removeprefix(b"\xef\xbb\xbf").lstrip()[:4096]
    if first.startswith((b"MEP", b'"MEP')):
        return Format.CMEP
    if interval_csv.is_header(first.partition(b"\n")[0]):
        return Format.CSV
    raise ValueError(f"neither a record of CMEP nor the header {interval_csv.HEADER} at the beginning")


def parts(file: BinaryIO, told: Format, *, lines: int | None = None) -> Iterator[Part]:
    """Yield a file in parts of whole lines, never more of it in memory than one; of CSV each begins with the header.

    The same file always falls into the same parts.
    """
    most = lines or _LINES[told]
    header, line = b"", 1
    if told is Format.CSV:
        header, line = file.readline(), 2
    held: list[bytes] = []
    first, size = line, len(header)
    for text in file:
        held.append(text)
        size += len(text)
        line += 1
        if len(held) >= most or size >= _BYTES:
            yield Part(header + b"".join(held), first, size)
            held, first, size = [], line, 0
    if held or size:
        yield Part(header + b"".join(held), first, size)
