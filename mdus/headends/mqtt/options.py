"""What a row of kind `mqtt` says beside what all rows do: `[head_ends.options]` in config/head_ends.toml."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, FilePath, ValidationInfo, model_validator

from mdus.headends.mqtt import topics
from mdus.settings import HeadEnd as Row
from mdus.settings import Section

Version = Literal["5", "3.1.1"]

_DAY = 24 * 3600

#: MQTT counts seconds of a session in 32 bits; the largest number means for ever.
_FOR_EVER = 2**32 - 1


def _messages(template: str) -> str:
    return topics.checked(template, "headend", "concentrator", "device", "kind")


def _states(template: str) -> str:
    return topics.checked(template, "headend", "concentrator")


def _level(text: str) -> str:
    if not topics.can_stand_in(text):
        raise ValueError(f"{text!r} cannot be a level of a topic")
    return text


class Options(Section):
    """The options of a row of kind `mqtt`; docs/head_ends/mqtt.md says what they mean."""

    version: Version = "5"
    headend: Annotated[str, AfterValidator(_level)] | None = None  # the row's name
    topic: Annotated[str, AfterValidator(_messages)] = topics.MESSAGES
    state_topic: Annotated[str, AfterValidator(_states)] = topics.STATES
    client_id: Annotated[str, Field(min_length=1, max_length=100)] | None = None  # mdus-<the row's name>
    session_seconds: Annotated[int, Field(ge=60, le=_FOR_EVER)] = 7 * _DAY
    keepalive_seconds: Annotated[int, Field(ge=5, le=65535)] = 60
    messages_at_once: Annotated[int, Field(ge=1, le=1000)] = 200
    ca: FilePath | None = None
    cert: FilePath | None = None
    key: FilePath | None = None

    @model_validator(mode="after")
    def _is_whole(self, info: ValidationInfo) -> Self:
        if self.key is not None and self.cert is None:
            raise ValueError("a key is of a certificate: cert is missing")
        row: Row | None = info.context
        if row is not None and (row.url or "").startswith("mqtt:") and (self.ca or self.cert) is not None:
            raise ValueError("ca, cert and key are for TLS: let the row's url begin with mqtts://, or leave them out")
        return self
