"""Which certificates of a head end are trusted, and what to say of one that is not.

No head end, but what kinds share that speak HTTP.
"""

from __future__ import annotations

import ssl

import httpx

from mdus.settings import HeadEnd as Row
from mdus.settings.authorities import trusting, why_not_trusted


def trust(row: Row) -> ssl.SSLContext:
    """Return the authorities a head end's certificate may be from: those of the row's `ca_file`, else the system's."""
    return trusting(row.ca_file)


def unreachable(name: str, error: httpx.RequestError) -> str:
    """Return why a head end could not be called, for people; nothing was sent."""
    reason = why_not_trusted(error, ca_file=f"head_ends.{name}.ca_file")
    if reason is not None:
        return f"the certificate of {name} is not trusted: {reason}"
    return f"{name} cannot be reached: {error!r}"
