"""From the bytes of a file to rows of cells, one at a time whatever its size: CSV, a JSON array, or JSON lines.

What programs make of a table is tolerated: a byte order mark, UTF-16, semicolons or tabs, CRLF, empty lines and cells.
A line is a row: a quotation mark without its pair spoils its own row and none behind it.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, TextIO

from mdus.endpoints.initial_load.findings import Fault, UnusableFile

#: The longest line, or JSON object, in characters: what is longer is no row of ours.
LONGEST: Final = 1 << 20
_CHUNK: Final = 1 << 16
_DELIMITERS: Final = (",", ";", "\t")
_SHOWN: Final = 80
#: What the workbooks of spreadsheet programs begin with.
_ZIP: Final = b"PK\x03\x04"


class Number(str):
    """A number of JSON, as it was written: no text, so that an id whose zeros are lost is noticed."""

    __slots__ = ()


class Row(NamedTuple):
    """One row: its number as the file counts (a line; an object of an array), its cells that say something."""

    number: int
    cells: Mapping[str, str]
    faults: tuple[Fault, ...] = ()


class RowFile:
    """The rows of an open file; `position` of `size` bytes have been read."""

    def __init__(self, raw: BinaryIO, *, size: int, columns: Collection[str]) -> None:
        """Read so much of the file as tells what it is; UnusableFile when that is nothing we read."""
        self._raw = raw
        self._columns = columns
        self.size = size
        start = raw.read(4)
        raw.seek(0)
        if start == _ZIP:
            raise UnusableFile("the file is a workbook or an archive", mend="save its table as CSV (UTF-8)")
        is_utf_16 = start[:2] in (b"\xff\xfe", b"\xfe\xff")
        # Bytes that are no UTF-8 become characters that no text has, and are told of where they stand.
        encoding, errors = ("utf-16", "replace") if is_utf_16 else ("utf-8-sig", "surrogateescape")
        text = io.TextIOWrapper(raw, encoding=encoding, errors=errors)
        first = _first_character(text)
        if first == "[":
            self.header: tuple[str, ...] | None = None
            self._rows = self._of_array(text)
        elif first == "{":
            self.header = None
            self._rows = self._of_objects(text)
        else:
            lines = _lines(text)
            delimiter, self.header = self._read_header(lines)
            self._rows = self._of_table(lines, delimiter, self.header)

    @property
    def position(self) -> int:
        """Return how many bytes have been read."""
        return self._raw.tell()

    def __iter__(self) -> Iterator[Row]:
        return self._rows

    # -- CSV ----------------------------------------------------------------------------------------------------------

    def _read_header(self, lines: Iterator[tuple[int, str]]) -> tuple[str, tuple[str, ...]]:
        """Return delimiter and columns; of the delimiters the one that makes most columns we know."""
        delimiters: Sequence[str] = _DELIMITERS
        _, line = next(lines, (0, ""))
        if line.lower().startswith("sep=") and len(line) == len("sep=") + 1:
            delimiters, (_, line) = [line[-1]], next(lines, (0, ""))
        read = [(delimiter, names) for delimiter in delimiters if (names := _header(line, delimiter)) is not None]
        if not read:
            raise UnusableFile("the header cannot be read", mend="write the names of columns in it")
        delimiter, names = max(read, key=lambda one: sum(name in self._columns for name in one[1]))
        unknown = [name for name in names if name and name not in self._columns]
        if unknown:
            raise UnusableFile(f"there is no column {shown(unknown[0])}", mend=self._instead_of(unknown[0]))
        twice = next((name for name in names if name and names.count(name) > 1), None)
        if twice is not None:
            raise UnusableFile(f"the column {twice!r} stands there twice", mend="leave one of the two out")
        if not any(names):
            raise UnusableFile("the file has no header", mend="name the columns in its first line")
        return delimiter, names

    def _of_table(self, lines: Iterator[tuple[int, str]], delimiter: str, header: tuple[str, ...]) -> Iterator[Row]:
        for number, line in lines:
            try:
                cells = next(csv.reader([line], delimiter=delimiter, strict=True))
            except csv.Error as error:
                expected, mend = "cells with quotation marks in pairs", "write a quotation mark inside a cell twice"
                yield Row(number, {}, (Fault(field="", expected=expected, found=f"{error}: {shown(line)}", mend=mend),))
                continue
            if not any(map(str.strip, cells)):
                continue
            if len(cells) < len(header) or any(map(str.strip, cells[len(header) :])):
                expected = f"{len(header)} cells, as the header has"
                mend = "put cells that hold the delimiter in quotation marks, and leave no cell out"
                yield Row(number, {}, (Fault(field="", expected=expected, found=f"{len(cells)}", mend=mend),))
                continue
            pairs = zip(header, cells, strict=False)
            yield Row(number, {name: cell for name, cell in pairs if name and cell.strip()})

    # -- JSON ---------------------------------------------------------------------------------------------------------

    def _of_objects(self, text: TextIO) -> Iterator[Row]:
        for number, line in _lines(text):
            try:
                value = _decode(line)
            except json.JSONDecodeError as error:
                mend = "write one object on each line, or all objects in an array"
                found = f"{error.msg} at character {error.pos + 1}"
                yield Row(number, {}, (Fault(field="", expected="a JSON object", found=found, mend=mend),))
            else:
                yield self._of_value(number, value)

    def _of_array(self, text: TextIO) -> Iterator[Row]:
        number = 0
        try:
            for number, value in enumerate(_ArrayReader(text).values(), start=1):
                yield self._of_value(number, value)
        except json.JSONDecodeError as error:
            expected, mend = "a JSON array of objects", "correct the JSON: nothing behind this place could be read"
            found = f"{error.msg} at {shown(error.doc[error.pos :])}"
            yield Row(number + 1, {}, (Fault(field="", expected=expected, found=found, mend=mend),))

    def _of_value(self, number: int, value: object) -> Row:
        if not isinstance(value, dict):
            found, mend = shown(json.dumps(value)), "write an object with a value for each column"
            return Row(number, {}, (Fault(field="", expected="a JSON object", found=found, mend=mend),))
        cells: dict[str, str] = {}
        faults = []
        for name, content in value.items():
            if name not in self._columns:
                mend = self._instead_of(name)
                faults.append(Fault(field=name, expected="the name of a column", found=shown(name), mend=mend))
            elif isinstance(content, dict | list):
                mend = "write a row for each of what it lists"
                found = shown(json.dumps(content))
                faults.append(Fault(field=name, expected="a text or a number", found=found, mend=mend))
            elif content is not None and str(content).strip():
                cells[name] = str(content).lower() if isinstance(content, bool) else content
        return Row(number, cells, tuple(faults))

    def _instead_of(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._columns, n=1)
        known = ", ".join(sorted(self._columns))
        return f"name it {near[0]}" if near else f"name one of {known}"


@contextmanager
def open_rows(file: Path, *, columns: Collection[str]) -> Iterator[RowFile]:
    """Open a file of rows whose columns are among these; UnusableFile when it cannot be read."""
    try:
        raw = file.open("rb")
    except OSError as error:
        raise UnusableFile(f"the file cannot be read: {error.strerror}", mend="name a file that can") from error
    with raw:
        yield RowFile(raw, size=file.stat().st_size, columns=columns)


def _first_character(text: TextIO) -> str:
    """Return the first character that is not blank, and go back to the start."""
    first = text.read(_CHUNK).lstrip()[:1]
    text.seek(0)
    return first


def _lines(text: TextIO) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold anything, with their numbers from 1."""
    number = 0
    while line := text.readline(LONGEST):
        number += 1
        if len(line) == LONGEST and line[-1] != "\n":
            what = f"line {number} has more than {LONGEST} characters"
            raise UnusableFile(what, mend="let each row have a line of its own")
        if line.strip():
            yield number, line.rstrip("\n")


def _header(line: str, delimiter: str) -> tuple[str, ...] | None:
    try:
        return tuple(name.strip().lower() for name in next(csv.reader([line], delimiter=delimiter, strict=True), []))
    except csv.Error:
        return None


def shown(text: str) -> str:
    """Return a text of the file as the report quotes it: cut, and with what cannot be seen or written escaped."""
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}..."


_DECODER: Final = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=Number)
_decode: Final[Callable[[str], Any]] = _DECODER.decode


class _ArrayReader:
    """Reads the values of a JSON array one by one; what is not JSON raises JSONDecodeError."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._buffer = ""
        self._at = 0

    def values(self) -> Iterator[object]:
        """Yield the values of the array."""
        self._take("[")
        if self._next() == "]":
            return
        while True:
            yield self._value()
            if self._next() == "]":
                return
            self._take(",")

    def _take(self, wanted: str) -> None:
        if self._next() != wanted:
            raise json.JSONDecodeError(f"Expecting {wanted!r}", self._buffer, self._at)
        self._at += 1

    def _next(self) -> str:
        """Return the next character that is not blank, nothing at the end."""
        while True:
            for at in range(self._at, len(self._buffer)):
                if self._buffer[at] not in " \t\r\n":
                    self._at = at
                    return self._buffer[at]
            self._at = len(self._buffer)
            if not self._read_on():
                return ""

    def _value(self) -> object:
        self._next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError:
                # It may go on behind what has been read.
                if len(self._buffer) - self._at > LONGEST or not self._read_on():
                    raise
            else:
                self._at = end
                return value

    def _read_on(self) -> bool:
        more = self._text.read(_CHUNK)
        self._buffer, self._at = self._buffer[self._at :] + more, 0
        return bool(more)
