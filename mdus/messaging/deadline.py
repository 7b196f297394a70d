"""An end to a call over HTTP as a whole, however slowly it is answered.

The time-outs of httpx are of each read and each write: an answer of which a byte
comes every while would hold its thread for good. So what a connection waits for is what is left of the call's time,
from reaching the other side to the last byte of its answer.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import httpx

#: Bytes written before it is looked again how much time is left.
_PIECE: Final = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class _Deadline:
    seconds: float
    ends_at: float
    monotonic: Callable[[], float]


#: That of the call this thread makes.
_DEADLINE: ContextVar[_Deadline | None] = ContextVar("deadline", default=None)


@contextmanager
def ends_within(seconds: float, client: httpx.Client, *, monotonic: Callable[[], float]) -> Iterator[None]:
    """Let calls of a client in this block end in time: a httpx.TimeoutException is raised of what takes longer."""
    for transport in (client._transport, *client._mounts.values()):
        # httpx has no way to give it one; a transport without connections of its own waits for nothing.
        pool = getattr(transport, "_pool", None)
        if pool is not None and not isinstance(pool._network_backend, _Backend):
            pool._network_backend = _Backend(pool._network_backend)
    token = _DEADLINE.set(_Deadline(seconds=seconds, ends_at=monotonic() + seconds, monotonic=monotonic))
    try:
        yield
    finally:
        _DEADLINE.reset(token)


def _left(timeout: float | None, late: type[httpx.TimeoutException]) -> float | None:
    """Return how long may be waited: no longer than is left of the call. Raises `late` where that is nothing."""
    deadline = _DEADLINE.get()
    if deadline is None:
        return timeout
    left = deadline.ends_at - deadline.monotonic()
    if left <= 0:
        raise late(f"the call took more than {deadline.seconds:g} seconds")
    return left if timeout is None else min(timeout, left)


class _Backend:
    """Opens connections as httpcore's does, which wait no longer than the call may take."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **named: Any) -> _Stream:
        return _Stream(self._backend.connect_tcp(host, port, timeout=_left(timeout, httpx.ConnectTimeout), **named))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


class _Stream:
    """A connection as httpcore has it, kept or new: the time that counts is that of the call it serves now."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        read: bytes = self._stream.read(max_bytes, timeout=_left(timeout, httpx.ReadTimeout))
        return read

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for begin in range(0, len(buffer), _PIECE):
            self._stream.write(buffer[begin : begin + _PIECE], timeout=_left(timeout, httpx.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> _Stream:
        left = _left(timeout, httpx.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname=server_hostname, timeout=left))

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
