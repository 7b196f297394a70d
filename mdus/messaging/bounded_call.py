"""Calls over HTTP whose answer is read as far, and as long, as whoever calls allows, and no further.

An answer is held in memory, so one without an end would take all there is: its bytes count, as they are sent and as
what they grow to when they are compressed. One that only drips would hold a thread: the seconds count for the call as a
whole, to the end of its answer.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import httpx

from mdus.messaging.deadline import ends_within
from mdus.messaging.retry import UncertainError

#: The one coding that is asked for, and how zlib is told of it.
_CODING: Final = "gzip"
_GZIP: Final = zlib.MAX_WBITS | 16

_AS_IT_IS: Final = frozenset({"", "identity"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What a call may take: bytes of its answer, and seconds to the end of it.

    `whose` answer it is and which `setting` says how many bytes it may have, for people.
    """

    whose: str
    most_bytes: int
    setting: str
    seconds: float


def call(
    client: httpx.Client,
    method: str,
    url: str,
    *,
    bounds: Bounds,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> httpx.Response:
    """Make a call and return its answer: status and whole body, expanded.

    Raises httpx.RequestError where the call goes wrong or takes too long, and UncertainError for an answer that is too
    large or cannot be expanded: whatever was asked may have been done. Without `auth` the credentials are the client's.
    `monotonic` is the clock the call is timed with.
    """
    request = client.build_request(
        method, url, content=content, params=params, headers={"Accept-Encoding": _CODING} | dict(headers or {})
    )
    with ends_within(bounds.seconds, client, monotonic=monotonic):
        answer = client.send(request, stream=True, auth=httpx.USE_CLIENT_DEFAULT if auth is None else auth)
        with closing(answer):
            body = _body(answer, bounds)
    return httpx.Response(answer.status_code, content=body, request=request)


def _body(answer: httpx.Response, bounds: Bounds) -> bytes:
    told = answer.headers.get("content-length", "")
    if told.isdigit() and int(told) > bounds.most_bytes:
        raise _too_large(f"has {told} bytes", bounds)
    coding = answer.headers.get("content-encoding", "").strip().lower()
    sent = _bounded(answer.iter_raw(), bounds)
    if coding in _AS_IT_IS:
        return b"".join(sent)
    # Of several codings, one inside the other, a small piece grows beyond all bounds before it can be measured.
    if coding != _CODING:
        raise UncertainError(f"an answer of {bounds.whose} is in the coding {coding[:100]!r}: only {_CODING} is taken")
    # What was sent counts by itself: compressed bytes may expand to nothing, without an end.
    return b"".join(_bounded(_expanded(sent, bounds), bounds))


def _bounded(pieces: Iterator[bytes], bounds: Bounds) -> Iterator[bytes]:
    """Yield pieces as long as they are no larger together than an answer may be."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > bounds.most_bytes:
            raise _too_large(f"has more than {bounds.most_bytes} bytes", bounds)
        yield piece


def _expanded(pieces: Iterator[bytes], bounds: Bounds) -> Iterator[bytes]:
    """Yield what was compressed, each piece of it by no more than one byte larger than an answer may be.

    It is one stream of gzip. What follows its end is no part of the answer, and a second stream would be another one.
    """
    expander = zlib.decompressobj(_GZIP)
    is_empty = True
    for piece in pieces:
        is_empty, left = False, piece
        if not expander.eof:
            yield _next(expander, piece, bounds)
            left = expander.unused_data
        if left:
            raise UncertainError(f"an answer of {bounds.whose} goes on behind its compressed end")
    if not (expander.eof or is_empty):
        raise UncertainError(f"an answer of {bounds.whose} breaks off before its compressed end")


def _next(expander: zlib._Decompress, piece: bytes, bounds: Bounds) -> bytes:
    try:
        return expander.decompress(piece, bounds.most_bytes + 1)
    except zlib.error as error:
        raise UncertainError(f"an answer of {bounds.whose} cannot be expanded: {error}") from error


def _too_large(what: str, bounds: Bounds) -> UncertainError:
    limit = f"{bounds.setting} is {bounds.most_bytes}"
    return UncertainError(f"an answer of {bounds.whose} {what}, and {limit}: it was not read on")
