"""Calls to head ends over HTTP, whose answer is read as far, and as long, as the row allows.

No head end, but what kinds share that call one.
"""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from mdus.messaging import bounded_call
from mdus.messaging.bounded_call import Bounds
from mdus.settings import HeadEnd as Row


def call(
    client: httpx.Client,
    method: str,
    url: str,
    *,
    row: Row,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
) -> httpx.Response:
    """Make a call and return its answer: status and whole body, expanded.

    Raises httpx.RequestError where the call goes wrong or takes longer than `timeout_seconds`, and UncertainError for
    an answer that is larger than `max_answer_bytes` or cannot be expanded: whatever was asked may have been done.
    """
    bounds = Bounds(
        whose=row.name,
        most_bytes=row.max_answer_bytes,
        setting=f"head_ends.{row.name}.max_answer_bytes",
        seconds=row.timeout_seconds,
    )
    return bounded_call.call(client, method, url, bounds=bounds, content=content, headers=headers, params=params)
