"""Who is calling: HTTP Basic, both halves compared in constant time, and no open door beyond this machine.

Without any credentials configured only callers on loopback are let in; `refuse_unprotected` keeps such an installation
from listening anywhere else, and from being called through a proxy: all who come through one seem to be on loopback.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from mdus.settings import Sender, Settings

#: The header of every 401.
CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="MDUS", charset="UTF-8"'}


class NotAuthenticated(Exception):
    """The caller presented no credentials, or wrong ones; the text says which and never what."""


class UnprotectedListening(Exception):
    """The server can be called from beyond this machine, and has no credentials for all who may call.

    `where` are the settings that say so, `mend` is what to do.
    """

    def __init__(self, what: str, *, where: str, mend: str) -> None:
        super().__init__(what)
        self.where, self.mend = where, mend


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """A user and password that are let in, and the name of the configured row they belong to."""

    name: str
    user: str
    password: str = field(repr=False)

    def are(self, user: str, password: str) -> bool:
        """Tell whether these are they, in the same time whether or not."""
        same_user = hmac.compare_digest(_digest(user), _digest(self.user))
        same_password = hmac.compare_digest(_digest(password), _digest(self.password))
        return same_user & same_password


def require_basic(credentials: Sequence[Credentials]) -> Callable[[HTTPConnection], Credentials | None]:
    """Return a check that gives the credentials a request presents, or raises NotAuthenticated.

    Without any credentials to ask for it lets callers on loopback pass, as None.
    """
    known = [(_digest(one.user), _digest(one.password), one) for one in credentials]

    def check(connection: HTTPConnection) -> Credentials | None:
        if not known:
            if connection.client is not None and is_loopback(connection.client.host):
                return None
            raise NotAuthenticated("no credentials are configured: only callers on this machine are let in")
        header = connection.headers.get("authorization")
        if header is None:
            raise NotAuthenticated("user and password are required (HTTP Basic)")
        user, password = _presented(header)
        found = None
        # Every row is compared, whichever matches, so that the time taken tells nothing.
        for known_user, known_password, one in known:
            same_user = hmac.compare_digest(user, known_user)
            same_password = hmac.compare_digest(password, known_password)
            if same_user & same_password:
                found = one
        if found is None:
            raise NotAuthenticated("user or password is wrong")
        return found

    return check


class SenderAuthentication:
    """Lets in the senders of the settings, for SOAP and REST alike."""

    def __init__(self, settings: Settings) -> None:
        """Take the senders with their credentials; `[auth]` alone is one sender that may name any system."""
        self._senders = {sender.name: sender for sender in settings.senders}
        self._check = require_basic(
            [
                Credentials(name=sender.name, user=sender.user, password=sender.password.get_secret_value())
                for sender in settings.senders
            ]
        )

    def __call__(self, connection: HTTPConnection) -> Sender | None:
        """Return the sender that calls, None where no credentials are configured; or raise NotAuthenticated."""
        credentials = self._check(connection)
        return None if credentials is None else self._senders[credentials.name]


def is_loopback(host: str) -> bool:
    """Tell whether an address or name means this machine only; a name other than localhost never does."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def refuse_unprotected(settings: Settings, *, host: str) -> None:
    """Raise UnprotectedListening if the server must not listen on `host`: SAP or a head end could call unasked.

    On loopback it must not while an address of the settings is on another machine: what is there reaches MDUS through
    a proxy, and so does anybody else. Called by `mdus serve` before it listens.
    """
    elsewhere = list(_addresses_elsewhere(settings))
    if is_loopback(host) and not elsewhere:
        return
    missing = []
    if not settings.senders:
        missing.append("the sender systems: set MDUS_AUTH__USER and MDUS_AUTH__PASSWORD, or rows of senders")
    missing += [
        f"callbacks of the head end {head_end.name}: set its callback_user and callback_password"
        for head_end in settings.head_ends
        if not (head_end.callback_user and head_end.callback_password)
    ]
    if not missing:
        return
    without = f"without credentials for {'; '.join(missing)}"
    if not is_loopback(host):
        where, mend = "http.host or --host", "set the credentials, or listen on 127.0.0.1"
        raise UnprotectedListening(f"not listening on {host}: {without}", where=where, mend=mend)
    what = f"not listening on {host}: callers from another machine come through a proxy, and seem to be on this one"
    mend = "set the credentials; for a trial on this machine alone let these addresses be on 127.0.0.1"
    raise UnprotectedListening(f"{what}; {without}", where=", ".join(elsewhere), mend=mend)


def _addresses_elsewhere(settings: Settings) -> Iterator[str]:
    """Yield the settings that name an address of SAP, or ours for a head end, that is not on this machine."""
    addresses = [("cis.url", settings.cis.url)]
    own = (sender for sender in settings.senders if sender.url != settings.cis.url)
    addresses += [(f"senders.{sender.name}.url", sender.url) for sender in own]
    addresses += [(f"head_ends.{row.name}.callback_url", row.callback_url) for row in settings.head_ends]
    for setting, address in addresses:
        if address is not None and not is_loopback(_host(address)):
            yield setting


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:  # brackets that hold no address
        return ""


def _presented(header: str) -> tuple[bytes, bytes]:
    """Return the digests of user and password in an Authorization header."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "basic":
        raise NotAuthenticated("the scheme must be HTTP Basic")
    try:
        decoded = base64.b64decode(token.strip(), validate=True)
    except binascii.Error:
        raise NotAuthenticated("the Basic credentials are not base64") from None
    user, colon, password = _text(decoded).partition(":")
    if not colon:
        raise NotAuthenticated("the Basic credentials hold no colon")
    return _digest(user), _digest(password)


def _text(decoded: bytes) -> str:
    # RFC 7617 asks for UTF-8 once it was announced; older clients send ISO 8859-1.
    try:
        return decoded.decode()
    except UnicodeDecodeError:
        return decoded.decode("iso-8859-1")


def _digest(text: str) -> bytes:
    # Of equal length whatever the text, so that the comparison does not tell the length either.
    return hashlib.sha256(text.encode()).digest()
