"""Which certificates are trusted, and what to say of one that is not."""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path
from typing import Final

#: OpenSSL's numbers for a certificate whose authority is not among those that are trusted.
_OF_NOBODY: Final = frozenset({18, 19, 20, 21})


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Return the authorities a certificate may be from: those of a file (PEM), without one the system's."""
    return _system() if ca_file is None else ssl.create_default_context(cafile=str(ca_file))


@cache
def _system() -> ssl.SSLContext:
    """Return the system's certificate authorities, read once per process: there are many."""
    return ssl.create_default_context()


def why_not_trusted(error: BaseException | None, *, ca_file: str) -> str | None:
    """Return what is wrong with a certificate, for people; None where an error has another cause.

    `ca_file` is the setting that names whose certificates are trusted: it is told where nobody's is this one.
    """
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            told: str = error.verify_message
            return f"{told} (see {ca_file})" if error.verify_code in _OF_NOBODY else told
        error = error.__cause__ or error.__context__
    return None
