"""Texts that others wrote, made fit to be kept and sent on: head ends, proxies and meters write anything."""

from __future__ import annotations

import re
from typing import Final

#: Everything XML 1.0 has no way to write. A NUL and half a surrogate pair are no text for a database either.
_NOT_HELD: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def printable(text: str) -> str:
    """Return the text with `?` for every character that XML or a database cannot hold."""
    return text if text.isprintable() else _NOT_HELD.sub("?", text)
