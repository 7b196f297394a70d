"""How a file falls into deliveries: whole lines, or whole channels of a MeterReadingDocument, never more in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

from mdus.domain.head_end import FilePart
from mdus.headends.file_drop.compressed import LARGEST_FILE, check_whole, opened, readable
from mdus.headends.file_drop.document_parts import parts
from mdus.headends.file_drop.formats import ANY_FORMAT, BEGINNING, Format, check_header, format_of

#: A delivery holds so many lines and bytes at most: about a thousand meters' days, taken in by one short transaction.
_LINES: Final = {
    Format.CMEP: 2_000,
    Format.CSV: 50_000,
    Format.REGISTERS: 10_000,
    Format.EVENTS: 5_000,
    Format.RESULTS: 5_000,
}
_BYTES: Final = 4 * 1024 * 1024

#: A line longer than this is cut there: it is read as the bad one it is, and memory is not filled by it.
_LONGEST_LINE: Final = 1024 * 1024


def part_file(
    file: BinaryIO, told: str | None, *, lines: int | None = None, most: int = LARGEST_FILE
) -> Iterator[FilePart]:
    """Yield a file in parts of whole lines, never more of it in memory than one; of CSV each begins with the header.

    The same file always falls into the same parts. Rows of one result stay together. Raises ValueError where the file
    is in no known format, or compressed and not whole or larger than `most` bytes when it is expanded.
    """
    with readable():
        source = opened(file)
        found = format_of(told or ANY_FORMAT, source.read(BEGINNING))
        if source is not file:
            check_whole(file, most=most)
            source = opened(file)
        source.seek(0)
        done = 0
        for body, before in _bodies(source, found, lines):
            at = file.tell()
            yield FilePart(topic=found.value, body=body, lines_before=before, size=at - done)
            done = at


def _bodies(source: BinaryIO, found: Format, lines: int | None) -> Iterator[tuple[bytes, int]]:
    if found is Format.DOCUMENT:
        return ((body, 0) for body in parts(source, most=_BYTES))
    return _by_lines(source, found, lines or _LINES[found])


def _by_lines(source: BinaryIO, found: Format, most: int) -> Iterator[tuple[bytes, int]]:
    """Yield the bodies of parts, and the lines before each; the header of a CSV counts for none."""
    header = b"" if found is Format.CMEP else source.readline(_LONGEST_LINE)
    check_header(found, header)
    before = 0
    held: list[bytes] = []
    size = len(header)
    while text := source.readline(_LONGEST_LINE):
        if len(text) == _LONGEST_LINE:
            text = _cut(text, source)
        if (len(held) >= most or size >= _BYTES) and not (found is Format.RESULTS and _go_together(text, held[-1])):
            yield header + b"".join(held), before
            before += len(held)
            held, size = [], 0
        held.append(text)
        size += len(text)
    if held or not before:
        yield header + b"".join(held), before


def _cut(text: bytes, source: BinaryIO) -> bytes:
    """Return the beginning of a line that is too long, as a line; the rest of it is read and let go."""
    rest = text
    while rest and not rest.endswith(b"\n"):
        rest = source.readline(_LONGEST_LINE)
    return text.rstrip(b"\n") + b"\n"


def _go_together(text: bytes, before: bytes) -> bool:
    """Tell whether two rows begin alike: results begin with their reference."""
    return _reference(text) == _reference(before)


def _reference(text: bytes) -> bytes:
    return text.partition(b",")[0].strip(b'" ')
