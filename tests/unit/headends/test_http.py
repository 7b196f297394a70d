"""A call to a head end has the limits of its row."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from mdus.headends._http import call
from mdus.messaging.retry import UncertainError
from mdus.settings import HeadEnd as Row


def get(*, body: bytes = b"", **limits: Any) -> bytes:
    told = httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(body)))
    with httpx.Client(transport=told) as client:
        row = Row(name="city", kind="rest", time_zone="Europe/Berlin", **limits)
        return call(client, "GET", "http://city/", row=row).content


def test_an_answer_is_no_larger_than_the_row_allows() -> None:
    assert get(body=b"x" * 1000, max_answer_bytes=1000) == b"x" * 1000
    with pytest.raises(UncertainError, match=r"an answer of city has .*, and head_ends.city.max_answer_bytes is 999"):
        get(body=b"x" * 1000, max_answer_bytes=999)


def test_a_call_takes_no_longer_than_the_row_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    monkeypatch.setattr("mdus.headends._http.bounded_call.call", lambda *_, bounds, **__: given.append(bounds.seconds))
    with httpx.Client() as client:
        call(client, "GET", "http://city/", row=Row(name="city", kind="rest", time_zone="UTC", timeout_seconds=7))
    assert given == [7]
