"""What a row of kind `mqtt` says beside what all rows do: `[head_ends.options]` in config/head_ends.toml."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, FilePath, ValidationInfo, model_validator

from mdus.headends.mqtt import topics
from mdus.settings import CaFile, Section
from mdus.settings import HeadEnd as Row

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
    ca: CaFile | None = None
    cert: FilePath | None = None
    key: FilePath | None = None

    @model_validator(mode="after")
    def _is_whole(self, info: ValidationInfo) -> Self:
        if self.key is not None and self.cert is None:
            raise ValueError("a key is of a certificate: cert is missing")
        if self.cert is not None:
            try:
                show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), self.cert, self.key)
            except OSError as error:  # ssl.SSLError is one
                files = f"{self.cert} and {self.key or 'the key in it'}"
                what = "no certificate with its key, in PEM and without a password"
                raise ValueError(f"cert and key: {files} are {what}: {error}") from None
        row: Row | None = info.context
        if row is not None and (row.url or "").startswith("mqtt:") and (self.ca or self.cert) is not None:
            raise ValueError("ca, cert and key are for TLS: let the row's url begin with mqtts://, or leave them out")
        return self


def show(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    """Show a broker our certificate. Raises OSError where it is none, or the key not its own or with a password."""
    context.load_cert_chain(cert, key, password=_no_password)


def _no_password() -> str:
    # Otherwise OpenSSL asks for one, at the terminal.
    return ""
