"""Tries every address that MDUS calls: each SAP system with the credentials of its row, and each head end.

SAP is asked for nothing but an answer: a GET on an interface it must have delivers no message. Nor is anything changed
at a head end: it is asked for the first meter of its registry or, where it has none, to let us in or for what we have
subscribed to.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from mdus.bootstrap.discovery import Found, misfits
from mdus.cis.client import InterfaceRow, trust
from mdus.domain.head_end import HeadEndKind
from mdus.messaging.retry import TransientError, UncertainError
from mdus.settings import HeadEnd, Problem, Settings

_TIMEOUT_SECONDS: Final = 10.0

#: An interface every SAP with meters has.
_INTERFACE: Final = "UtilitiesDeviceERPSmartMeterCreateConfirmation_In"

#: Answers of whatever stands before SAP and finds nothing behind it.
_NOBODY_THERE: Final = frozenset({502, 503, 504})

#: What helps against a certificate that is not trusted for another reason than its authority, by OpenSSL's number.
_WRONG_HOST: Final = "correct the host in {setting}, or let its certificate name that host"
_CERTIFICATES: Final = {
    9: "correct the clock of this machine: its certificate is not valid yet",
    10: "renew its certificate, or correct the clock of this machine",
    62: _WRONG_HOST,
    64: _WRONG_HOST,
}

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """What came of one address: a note that it answers, or problems."""

    note: str | None = None
    problem: Problem | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Address:
    """Where messages of some sender go, and the settings that say so."""

    name: str  # "SAP (prod)"
    sender: str | None
    url: str
    user: str | None
    password: str | None
    url_from: str
    user_from: str


def try_saps(settings: Settings) -> Iterator[Tried]:
    """Yield what came of every row of senders, or of `cis.url` where there are none, and of every row of interfaces."""
    tried: set[tuple[str, str | None, str | None]] = set()
    for address in _addresses(settings):
        if isinstance(address, Problem):
            yield Tried(problem=address)
            continue
        key = (address.url, address.user, address.password)
        if key not in tried:
            tried.add(key)
            yield _try_sap(address, settings)


def _addresses(settings: Settings) -> Iterator[_Address | Problem]:
    """Yield where messages go: for each sender its URL, then the interfaces that have one of their own."""
    own_urls = settings.rows("interfaces", InterfaceRow)
    for address in _addresses_of_senders(settings):
        yield address
        if isinstance(address, _Address):
            for row in own_urls:
                if row.sender in (None, address.sender):
                    name = f"{address.name}, {row.interface}"
                    yield replace(address, name=name, url=row.url, url_from=f"interfaces.{row.name}.url")


def _addresses_of_senders(settings: Settings) -> Iterator[_Address | Problem]:
    cis = settings.cis
    if not settings.senders:
        name = f"SAP ({settings.auth.default_system})"
        if cis.url is None:
            yield Problem(what=f"{name} has no URL", where="cis.url", mend="set MDUS_CIS__URL, with {interface} in it")
        else:
            yield _Address(
                name=name,
                sender=None,
                url=cis.url,
                user=cis.user,
                password=_text(cis.password),
                url_from="cis.url",
                user_from="cis.user",
            )
    for sender in settings.senders:
        name, where = f"SAP ({sender.name})", f"senders.{sender.name}"
        if sender.url is None:
            mend = f"set {where}.url, or MDUS_CIS__URL for all, with {{interface}} in it"
            yield Problem(what=f"{name} has no URL", where=f"{where}.url", mend=mend)
            continue
        # What a row does not say it has from the section; see `Sender`.
        own = sender.url != cis.url or sender.url_user != cis.user
        yield _Address(
            name=name,
            sender=sender.name,
            url=sender.url,
            user=sender.url_user,
            password=_text(sender.url_password),
            url_from=f"{where}.url" if own else "cis.url",
            user_from=f"{where}.url_user" if own else "cis.user",
        )


def _text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _try_sap(address: _Address, settings: Settings) -> Tried:
    url = address.url.replace("{interface}", _INTERFACE)
    auth = None if address.user is None else httpx.BasicAuth(address.user, address.password or "")
    try:
        answer = httpx.get(url, auth=auth, timeout=_TIMEOUT_SECONDS, verify=trust(settings), follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        mend = _mend(
            error, setting=address.url_from, authority="name a file with its certificate authority in cis.ca_file"
        )
        return Tried(problem=Problem(what=f"{address.name} does not answer: {_why(error)}", where=url, mend=mend))
    return _judged(address, url, answer)


def _judged(address: _Address, url: str, answer: httpx.Response) -> Tried:
    """Return what an answer to a GET says; SAP may answer it as it likes, for it takes messages by POST only."""
    status = answer.status_code
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        what = f"{address.name} refuses our credentials: HTTP {status}"
        user = "set" if address.user is None else "correct"
        return Tried(problem=Problem(what=what, where=url, mend=f"{user} {address.user_from} and its password"))
    if answer.is_redirect:
        what = f"{address.name} redirects to {answer.headers.get('location', '')}: messages are not sent after it"
        return Tried(problem=Problem(what=what, where=url, mend=f"let {address.url_from} be where it leads"))
    if status in _NOBODY_THERE:
        what = f"{address.name} takes nothing now: HTTP {status}"
        return Tried(problem=Problem(what=what, where=url, mend="start what stands behind this address"))
    note = f"{address.name} answers: HTTP {status}"
    if status == httpx.codes.NOT_FOUND:
        note += f", perhaps only to a GET; if messages fail alike, correct the path in {address.url_from}"
    if address.user is not None and url.startswith("http:") and urlsplit(url).hostname not in _LOOPBACK:
        note += "; it is sent our password unencrypted"
    return Tried(note=note)


def try_head_ends(settings: Settings, found: Found) -> Iterator[Tried]:
    """Yield what came of every head end that can be called and whose row fits its kind; misfits are told elsewhere."""
    for row in settings.head_ends:
        if not any(misfits(row, found)) and found.kinds[row.kind].answers:
            yield _try_head_end(row, found.kinds[row.kind], settings)


def _try_head_end(row: HeadEnd, kind: HeadEndKind, settings: Settings) -> Tried:
    try:
        with closing(kind.connect(settings, row)) as head_end:
            head_end.reach()
    except (TransientError, UncertainError, OSError) as error:
        what = f"the head end {row.name} does not answer: {error}"
        return Tried(problem=Problem(what=what, where=row.url or row.name, mend=_mend_head_end(error, row)))
    return Tried(note=f"the head end {row.name} answers")


def _mend_head_end(error: BaseException, row: HeadEnd) -> str:
    setting = f"head_ends.{row.name}"
    status = re.search(r"\bHTTP (\d{3})\b", str(error))
    if status is None:
        authority = f"name a file with its certificate authority in {setting}.ca_file"
        return _mend(error, setting=f"{setting}.url", authority=authority)
    if status[1] in ("401", "403"):
        return f"correct user and password of {setting}"
    return f"something answers there, but not as a head end of kind {row.kind}: correct {setting}.url, or look there"


def _mend(error: BaseException, *, setting: str, authority: str) -> str:
    """Return what helps against a connection that failed."""
    reason = _root(error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        return _CERTIFICATES.get(reason.verify_code, "{authority}").format(setting=setting, authority=authority)
    if "CERTIFICATE_VERIFY_FAILED" in str(reason):
        return authority
    if isinstance(reason, ssl.SSLError):
        return f"does it speak TLS there? correct http or https, and the port, in {setting}"
    if isinstance(reason, socket.gaierror):
        return f"correct the host in {setting}, or the name service of this machine"
    if isinstance(reason, httpx.TimeoutException | TimeoutError):
        return f"open the firewall between here and there, or correct {setting}"
    return f"start it, or correct host and port in {setting}"


def _why(error: BaseException) -> str:
    """Return the reason at the bottom of a failure."""
    reason = _root(error)
    return f"{type(reason).__name__}: {reason}" if str(reason) else type(reason).__name__


def _root(error: BaseException) -> BaseException:
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return error
