"""Calls over HTTP whose answer is read as far, and as long, as the head end's row allows, and no further.

No head end, but what kinds share that call one. An answer is held in memory, so one without an end would take all there
is: `max_answer_bytes` of the row counts, for what is sent and for what it grows to when it is compressed. One that only
drips would hold a thread: `timeout_seconds` counts for the call as a whole, to the end of its answer.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Final

import httpx

from mdus.headends._deadline import ends_within
from mdus.messaging.retry import UncertainError
from mdus.settings import HeadEnd as Row

#: The one coding that is asked for, and how zlib is told of it.
_CODING: Final = "gzip"
_GZIP: Final = zlib.MAX_WBITS | 16

_AS_IT_IS: Final = frozenset({"", "identity"})


def call(
    client: httpx.Client,
    method: str,
    url: str,
    *,
    row: Row,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> httpx.Response:
    """Make a call and return its answer: status and whole body, expanded.

    Raises httpx.RequestError where the call goes wrong or takes too long, and UncertainError for an answer that is too
    large or cannot be expanded: whatever was asked may have been done. `monotonic` is the clock the call is timed with.
    """
    request = client.build_request(
        method, url, content=content, params=params, headers={"Accept-Encoding": _CODING} | dict(headers or {})
    )
    with ends_within(row.timeout_seconds, client, monotonic=monotonic):
        answer = client.send(request, stream=True)
        with closing(answer):
            body = _body(answer, row)
    return httpx.Response(answer.status_code, content=body, request=request)


def _body(answer: httpx.Response, row: Row) -> bytes:
    told = answer.headers.get("content-length", "")
    if told.isdigit() and int(told) > row.max_answer_bytes:
        raise _too_large(f"has {told} bytes", row)
    coding = answer.headers.get("content-encoding", "").strip().lower()
    sent = _bounded(answer.iter_raw(), row)
    if coding in _AS_IT_IS:
        return b"".join(sent)
    # Of several codings, one inside the other, a small piece grows beyond all bounds before it can be measured.
    if coding != _CODING:
        raise UncertainError(f"an answer of {row.name} is in the coding {coding[:100]!r}: only {_CODING} is taken")
    # What was sent counts by itself: compressed bytes may expand to nothing, without an end.
    return b"".join(_bounded(_expanded(sent, row), row))


def _bounded(pieces: Iterator[bytes], row: Row) -> Iterator[bytes]:
    """Yield pieces as long as they are no larger together than an answer may be."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > row.max_answer_bytes:
            raise _too_large(f"has more than {row.max_answer_bytes} bytes", row)
        yield piece


def _expanded(pieces: Iterator[bytes], row: Row) -> Iterator[bytes]:
    """Yield what was compressed, each piece of it by no more than one byte larger than an answer may be.

    It is one stream of gzip. What follows its end is no part of the answer, and a second stream would be another one.
    """
    expander = zlib.decompressobj(_GZIP)
    is_empty = True
    for piece in pieces:
        is_empty, left = False, piece
        if not expander.eof:
            yield _next(expander, piece, row)
            left = expander.unused_data
        if left:
            raise UncertainError(f"an answer of {row.name} goes on behind its compressed end")
    if not (expander.eof or is_empty):
        raise UncertainError(f"an answer of {row.name} breaks off before its compressed end")


def _next(expander: zlib._Decompress, piece: bytes, row: Row) -> bytes:
    try:
        return expander.decompress(piece, row.max_answer_bytes + 1)
    except zlib.error as error:
        raise UncertainError(f"an answer of {row.name} cannot be expanded: {error}") from error


def _too_large(what: str, row: Row) -> UncertainError:
    setting = f"head_ends.{row.name}.max_answer_bytes is {row.max_answer_bytes}"
    return UncertainError(f"an answer of {row.name} {what}, and {setting}: it was not read on")
