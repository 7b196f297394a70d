"""Which certificates of a head end are trusted, and what to say of one that is not.

No head end, but what kinds share that speak HTTP.
"""

from __future__ import annotations

import ssl
from functools import cache

import httpx

from mdus.settings import HeadEnd as Row


def trust(row: Row) -> ssl.SSLContext:
    """Return the authorities a head end's certificate may be from: those of the row's `ca_file`, else the system's."""
    return _system() if row.ca_file is None else ssl.create_default_context(cafile=str(row.ca_file))


def unreachable(name: str, error: httpx.RequestError) -> str:
    """Return why a head end could not be called, for people; nothing was sent."""
    refused = _certificate_refused(error)
    if refused is not None:
        return f"the certificate of {name} is not trusted: {refused.verify_message}"
    return f"{name} cannot be reached: {error!r}"


def _certificate_refused(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None


@cache
def _system() -> ssl.SSLContext:
    """Return the system's certificate authorities, read once per process: there are many."""
    return httpx.create_ssl_context()
