"""Files compressed with gzip, known by their first bytes and not by a name; expanded within bounds.

What a file holds is believed only once all of it was expanded and its check sums were right: a file that was cut off
while it was copied would else give values out of its torn end.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

_MAGIC: Final = b"\x1f\x8b"

#: What a body becomes at most that is expanded as a whole, in memory.
_LARGEST: Final = 64 * 1024 * 1024

#: A file grows by so much at most: meters' values shrink to a tenth or a fiftieth, not to a thousandth.
_MOST_TIMES: Final = 400

#: What a file becomes at most that is expanded part by part, where nobody says another size: days of a large utility.
LARGEST_FILE: Final = 4 * 1024**3

_CHUNK: Final = 1024 * 1024


class TooLarge(ValueError):
    """The file becomes larger than it may."""


def is_compressed(beginning: bytes) -> bool:
    """Tell whether a file that begins like this is compressed."""
    return beginning.startswith(_MAGIC)


@contextmanager
def readable() -> Iterator[None]:
    """Turn what is wrong with a compressed file into a ValueError."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"the compressed file is damaged: {error}") from error


def expanded(body: bytes, *, most: int = _LARGEST) -> bytes:
    """Return a body as it was before it was compressed, one that never was as it is.

    Raises ValueError where it is damaged or too large.
    """
    if not is_compressed(body):
        return body
    with readable(), gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
        found = file.read(most + 1)
        if len(found) > most:
            raise ValueError(f"compressed, and more than {most} bytes when it is expanded")
    return found


def opened(file: BinaryIO) -> BinaryIO:
    """Return what reads a file expanded, at its beginning, and can begin again; one never compressed as it is."""
    beginning = file.read(len(_MAGIC))
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if is_compressed(beginning) else file  # type: ignore[return-value]


def check_whole(file: BinaryIO, *, most: int = LARGEST_FILE) -> None:
    """Expand all of a compressed file once, keeping nothing of it. Raises ValueError where it is damaged or too large.

    The file stands at its beginning before and after.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    likely = max(_LARGEST, size * _MOST_TIMES)
    expanded_to = 0
    with readable(), gzip.GzipFile(fileobj=file) as source:
        while chunk := source.read(_CHUNK):
            expanded_to += len(chunk)
            if expanded_to > most:
                raise TooLarge(f"compressed, {size} bytes, and more than {most} bytes when it is expanded")
            if expanded_to > likely:
                raise ValueError(f"compressed, and more than {_MOST_TIMES} times as large when it is expanded")
    file.seek(0)
