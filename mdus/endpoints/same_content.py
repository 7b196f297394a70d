"""Whether two messages with different bytes say the same: compared in canonical form (C14N), as streams."""

from __future__ import annotations

import hashlib
import io
import zlib
from typing import Final

from lxml import etree

from mdus.contracts.envelope import SOAP

#: A repeat passes other hands: the Header (addressing, reliable messaging, security) differs each time.
_NOT_COMPARED: Final = [f"{{{SOAP}}}Header"]
_PIECE: Final = 1 << 20


def same_content(one: bytes, other: bytes) -> bool:
    """Tell whether two compressed, well-formed envelopes carry the same message.

    White space inside the message counts, comments and prefixes do not. Memory does not grow with the messages.
    """
    return _canonical_hash(one) == _canonical_hash(other)


def _canonical_hash(compressed: bytes) -> bytes:
    digest = _Digest()
    etree.canonicalize(from_file=_Unpacked(compressed), out=digest, exclude_tags=_NOT_COMPARED, rewrite_prefixes=True)
    return digest.value()


class _Digest:
    """A text file that only hashes what is written to it."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def write(self, text: str) -> None:
        self._hash.update(text.encode())

    def value(self) -> bytes:
        return self._hash.digest()


class _Unpacked(io.RawIOBase):
    """A compressed body, read piece by piece."""

    def __init__(self, compressed: bytes) -> None:
        self._waiting = compressed
        self._unpack = zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self._unpack.decompress(self._waiting, size if size > 0 else _PIECE)
        self._waiting = self._unpack.unconsumed_tail
        return piece
