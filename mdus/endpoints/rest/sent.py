"""What callers of the REST side send: members that are known, numbers and instants that are such."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict


class Sent(BaseModel):
    """What a caller sends; unknown members are refused, lest a misspelt one is left out or widens what is meant."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def whole_number(value: Any) -> Any:
    """Let numbers pass that may be whole: 8.0 is one to JSON, true and "8" are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("expected a whole number")  # noqa: TRY004 - what the validation turns into an answer
    return value


def instant(value: Any) -> Any:
    """Let texts pass: a number is no instant."""
    if value is not None and not isinstance(value, str | datetime):
        raise ValueError("expected an instant such as 2026-03-28T10:00:00Z")
    return value
