"""Calls over HTTP in a session. What a broken call means is decided here, once.

```
not connected, 401, 403, 404, 405, 408, 429, 503    nothing was done        -> TransientError
a fault that names the session                      nothing was done        -> log in again and repeat it, once
a fault that says: not now                          nothing was done        -> TransientError
a fault of the sender                               it never passes         -> Refused
any other fault, no readable answer, other 5xx      it may have been done   -> UncertainError
no session to be had, or only when it is too late   nothing was done        -> TransientError
```
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import httpx
from lxml import etree

from mdus.contracts.envelope import ENVELOPE, SOAP, EnvelopeError, parse
from mdus.contracts.printable import printable
from mdus.headends._http import call
from mdus.headends._trust import trust, unreachable
from mdus.headends.token_poll.actions import Operation, Options
from mdus.messaging.retry import TransientError, UncertainError
from mdus.settings import HeadEnd as Row

#: Seconds to reach the head end at all; for the answer the row's `timeout_seconds` counts.
_CONNECT_SECONDS: Final = 5.0

#: Answers by which the head end says that it did nothing, and that another time it might. A refused login or a wrong
#: address is among them: an operator mends it, and no order of SAP should fail for it meanwhile.
_NOT_NOW: Final = frozenset({401, 403, 404, 405, 408, 429, 503})

#: Codes of faults that say so; those of the session are mended by logging in.
_NO_SESSION: Final = frozenset({"SessionExpired", "SessionUnknown"})
_NOT_NOW_CODES: Final = frozenset({"LoginRateExceeded", "LoginRefused", "ServerBusy", "TooManyPendingRequests"})

#: Failures of the transport before anything was sent.
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)

_HEADER: Final = f"{{{SOAP}}}Header"
_BODY: Final = f"{{{SOAP}}}Body"
_FAULT: Final = f"{{{SOAP}}}Fault"


class Told(NamedTuple):
    """What the head end answered: the message, and the body it came in."""

    message: etree._Element
    body: bytes


class Refused(Exception):
    """The head end found fault with the request itself: it did nothing, and never will."""


class _NoSession(Exception):
    """The session that a call was made in is over."""


class Calls:
    """Calls to one head end; may be used by several threads at once, which share the session.

    `monotonic` is the clock by which something may have become too late to be sent.
    """

    def __init__(self, row: Row, options: Options, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._name = row.name
        self._row = row
        self._options = options
        self._user = row.user
        self._password = row.password.get_secret_value() if row.password is not None else ""
        timeout = httpx.Timeout(row.timeout_seconds, connect=min(_CONNECT_SECONDS, row.timeout_seconds))
        address = (row.url or "").rstrip("/")
        self._reading = httpx.Client(base_url=address, timeout=timeout, verify=trust(row))
        # A kept connection may be closed by the other side in the moment it is used again; the call would then be
        # uncertain for nothing. Requests are few: each gets a connection of its own.
        fresh = httpx.Limits(max_keepalive_connections=0)
        self._acting = httpx.Client(base_url=address, timeout=timeout, verify=trust(row), limits=fresh)
        self._session: str | None = None
        self._logging_in = threading.Lock()

    def act(self, operation: Operation, body: etree._Element, *, leaves_by: float = math.inf) -> Told:
        """Make a call that does something; raises TransientError, UncertainError or Refused.

        It is not sent after `leaves_by`: the session it needs may have taken its time.
        """
        return self._in_session(self._acting, operation, operation.action, body, leaves_by=leaves_by)

    def ask(self, operation: Operation, name: str, body: etree._Element) -> Told:
        """Make a call that does nothing, of an action by its name; raises TransientError whatever goes wrong."""
        try:
            return self._in_session(self._reading, operation, name, body)
        except (UncertainError, Refused) as error:
            raise TransientError(str(error)) from error

    def close(self) -> None:
        """Close all connections."""
        self._reading.close()
        self._acting.close()

    # ---- the session -------------------------------------------------------------------------------------------------

    def _in_session(
        self,
        client: httpx.Client,
        operation: Operation,
        name: str,
        body: etree._Element,
        *,
        leaves_by: float = math.inf,
    ) -> Told:
        session = self._session_after(None)
        self._check_time(name, leaves_by)
        try:
            return self._call(client, operation, name, body, session)
        except _NoSession:
            session = self._session_after(session)
        self._check_time(name, leaves_by)
        try:
            return self._call(client, operation, name, body, session)
        except _NoSession as error:
            raise TransientError(f"{self._name} takes no session for long: {error}") from error

    def _check_time(self, name: str, leaves_by: float) -> None:
        if self._monotonic() > leaves_by:
            raise TransientError(f"{name} was not sent to {self._name}: what comes before it took too long")

    def _session_after(self, ended: str | None) -> str | None:
        """Return a session that is not the one that ended: what another thread has got meanwhile, or a new one."""
        if self._user is None:
            return None
        with self._logging_in:
            if self._session is None or self._session == ended:
                self._session = None
                self._session = self._log_in()
            return self._session

    def _log_in(self) -> str:
        namespace = self._options.namespace(Operation.LOGIN)
        body = etree.Element(f"{{{namespace}}}Login", nsmap={"n0": namespace})
        etree.SubElement(body, f"{{{namespace}}}UserName").text = self._user
        etree.SubElement(body, f"{{{namespace}}}Password").text = self._password
        try:
            answer = self._call(self._reading, Operation.LOGIN, Operation.LOGIN.action, body, None).message
        except (UncertainError, Refused, _NoSession) as error:
            raise TransientError(f"no session: {error}") from error
        session = (answer.findtext("{*}SessionToken") or "").strip()
        if not session:
            raise TransientError(f"no session: {self._name} answered Login without SessionToken")
        return session

    # ---- one call ----------------------------------------------------------------------------------------------------

    def _call(
        self, client: httpx.Client, operation: Operation, name: str, body: etree._Element, session: str | None
    ) -> Told:
        headers = {
            "Content-Type": "text/xml; charset=utf-8",
            "SOAPAction": f'"{self._options.soap_action(operation, name)}"',
        }
        content = self._envelope(body, session)
        try:
            path = self._options.path(operation)
            answer = call(client, "POST", path, row=self._row, content=content, headers=headers)
        except _NEVER_SENT as error:
            raise TransientError(unreachable(self._name, error)) from error
        except httpx.RequestError as error:
            raise UncertainError(f"the call {name} to {self._name} broke off: {error!r}") from error
        return self._read(answer, name)

    def _envelope(self, body: etree._Element, session: str | None) -> bytes:
        envelope = etree.Element(ENVELOPE, nsmap={"soap": SOAP})
        if session is not None:
            namespace = self._options.namespace(Operation.LOGIN)
            header = etree.SubElement(envelope, _HEADER)
            etree.SubElement(header, f"{{{namespace}}}SessionToken", nsmap={"n0": namespace}).text = session
        etree.SubElement(envelope, _BODY).append(body)
        try:
            return etree.tostring(envelope, encoding="UTF-8", xml_declaration=True)
        finally:
            envelope[-1].remove(body)  # the same body may be sent again, in another session

    def _read(self, answer: httpx.Response, name: str) -> Told:
        """Return what an answer says, or raise what it means."""
        said = f"{self._name} answered HTTP {answer.status_code} to {name}"
        try:
            message = parse(answer.content, huge=True)
        except EnvelopeError as error:
            raise _without_fault(answer, f"{said}: {_shown(answer.content)}") from error
        if message.tag == _FAULT:
            raise _with_fault(answer, message, said)
        if answer.status_code != httpx.codes.OK or etree.QName(message).localname != f"{name}Response":
            raise _without_fault(answer, f"{said} with {etree.QName(message).localname}")
        return Told(message, answer.content)


def _without_fault(answer: httpx.Response, said: str) -> Exception:
    """Return what an answer means that says nothing we can read."""
    if answer.status_code in _NOT_NOW:
        return TransientError(said)
    return Refused(said) if answer.is_client_error else UncertainError(said)


def _with_fault(answer: httpx.Response, fault: etree._Element, said: str) -> Exception:
    """Return what an answer with a fault means."""
    code, text, of_the_sender = _said_by(fault)
    shown = f"{said}: {code or 'fault'}: {text}"
    if code in _NO_SESSION:
        return _NoSession(shown)
    if code in _NOT_NOW_CODES or answer.status_code in _NOT_NOW:
        return TransientError(shown)
    return Refused(shown) if of_the_sender else UncertainError(shown)


def _said_by(fault: etree._Element) -> tuple[str, str, bool]:
    """Return the code in a fault's detail, its text, and whether it is the sender's."""
    detail = next(iter(fault.iterfind("detail//{*}Code")), None)
    text = printable((fault.findtext("faultstring") or "").strip()[:300])
    kind = (fault.findtext("faultcode") or "").rpartition(":")[2]
    return ("" if detail is None else printable((detail.text or "").strip())), text, kind.split(".")[0] == "Client"


def _shown(body: bytes) -> str:
    """Return the beginning of a body for people."""
    return printable(body[:200].decode("utf-8", "replace")) or "an empty body"
