"""HTTP to a head end that speaks IEC 61968-100, and what a call that went wrong means. Decided here, once.

```
not connected, 401, 403, 404, 405, 408, 429, 503   nothing was done            -> TransientError
200 or 202 with a message, a fault with its code    what the message says       -> its reader decides
202 with nothing                                    accepted                    -> an acknowledgement
400, 413, 415, 422 without a message                this batch never passes     -> a reply FAILED, as if by the head end
200 with nothing, HTML, too large, broken off, 5xx  it may have been done       -> UncertainError
```
"""

from __future__ import annotations

from typing import Final

import httpx

from mdus.contracts.printable import printable
from mdus.headends._http import call
from mdus.headends._trust import trust, unreachable
from mdus.headends.cim import message
from mdus.headends.cim.message import Message
from mdus.headends.cim.reply_codes import ReplyError
from mdus.messaging.retry import TransientError, UncertainError
from mdus.settings import HeadEnd as Row

#: Seconds to reach the head end at all; for the answer the row's `timeout_seconds` counts.
_CONNECT_SECONDS: Final = 5.0

#: Answers by which whatever stands before the head end says that nothing was done, and that another time it might.
_NOT_NOW: Final = frozenset({401, 403, 404, 405, 408, 429, 503})

#: Answers by which it says that this message will never do.
_NEVER: Final = frozenset({400, 413, 414, 415, 422, 431})

#: Failures of the transport before anything was sent.
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class Answered:
    """What a head end answered: its bytes, and the message in them; without any it only took what was sent."""

    def __init__(self, body: bytes, read: Message | None) -> None:
        self.body = body
        self.message = read


class Transport:
    """Posts messages to one head end; may be used by several threads at once."""

    def __init__(self, row: Row, *, path: str, zone: str | None) -> None:
        self._name = row.name
        self._row = row
        self._url = f"{(row.url or '').rstrip('/')}{path}"
        self._zone = zone
        timeout = httpx.Timeout(row.timeout_seconds, connect=min(_CONNECT_SECONDS, row.timeout_seconds))
        password = row.password.get_secret_value() if row.password is not None else ""
        auth = httpx.BasicAuth(row.user, password) if row.user is not None else None
        # A kept connection may be closed by the other side in the moment it is used again; the call would then be
        # uncertain for nothing. Messages hold many meters: each gets a connection of its own.
        fresh = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(auth=auth, timeout=timeout, verify=trust(row), limits=fresh)

    def post(self, body: bytes, *, action: str) -> Answered:
        """Send a message and return what was answered.

        Raises TransientError when nothing was done, UncertainError when it may have been.
        """
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{action}"'}
        try:
            answer = call(self._client, "POST", self._url, row=self._row, content=body, headers=headers)
        except _NEVER_SENT as error:
            raise TransientError(unreachable(self._name, error)) from error
        except httpx.RequestError as error:
            raise UncertainError(f"the call to {self._name} broke off: {error!r}") from error
        return self._answered(answer)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _answered(self, answer: httpx.Response) -> Answered:
        status, body = answer.status_code, answer.content
        shown = printable(body[:200].decode("utf-8", "replace"))
        if status == httpx.codes.ACCEPTED and not body.strip():
            return Answered(b"", None)
        try:
            found = message.read(body, zone=self._zone)
        except ValueError as error:
            if status in _NOT_NOW:
                raise TransientError(f"{self._name} takes nothing now: HTTP {status}: {shown}") from error
            if status in _NEVER:
                refused = ReplyError(code="Client", reason=f"HTTP {status}: {shown}")
                return Answered(body, message.failed(refused))
            raise UncertainError(f"{self._name} answered HTTP {status}, and no message: {error}: {shown}") from error
        if status in _NOT_NOW:
            raise TransientError(f"{self._name} takes nothing now: HTTP {status}: {_words(found) or shown}")
        if not answer.is_success and not found.is_fault and found.result != "FAILED":
            raise UncertainError(f"{self._name} answered HTTP {status}: {_words(found) or shown}")
        return Answered(body, found)


def _words(found: Message) -> str:
    return "; ".join(error.words for error in found.errors)
