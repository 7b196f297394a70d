"""Structured log lines, for people (console) or machines (JSON), each carrying the message it belongs to.

A line is an event name and values: `log.info("message_refused", places=3)`. Lines of libraries that log the standard
way (uvicorn, SQLAlchemy, Alembic) come out in the same form. Secrets and the addresses and names of customers never do.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

REDACTED: Final = "[redacted]"

# Keys whose values are never written: secrets, then what tells a customer (SAP sends addresses with locations).
_SECRET_KEYS: Final = re.compile(
    r"passw|secret|authorization|credential|cookie|access_token|private_key", re.IGNORECASE
)
_PERSONAL_KEYS: Final = frozenset(
    {
        "address",
        "street",
        "street_name",
        "house_number",
        "city",
        "postal_code",
        "person_name",
        "family_name",
        "phone",
        "email",
    }
)
_URL_PASSWORD: Final = re.compile(r"(://[^:/@\s]*):[^@\s/]+@")


class Redaction:
    """A structlog processor that hides secrets by their key, in URLs, and wherever their very text appears."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # Short texts would blank out half of every line; a password of three letters hides nothing anyway.
        known = sorted({secret for secret in secrets if len(secret) >= 4}, key=len, reverse=True)
        self._texts = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        return {key: self._redacted(key, value) for key, value in event.items()}

    def _redacted(self, key: str, value: Any) -> Any:
        if _SECRET_KEYS.search(key) or key.lower() in _PERSONAL_KEYS:
            return REDACTED
        if isinstance(value, dict):
            return {inner: self._redacted(str(inner), below) for inner, below in value.items()}
        if isinstance(value, list | tuple):
            return [self._redacted(key, below) for below in value]
        if isinstance(value, str):
            text = _URL_PASSWORD.sub(rf"\1:{REDACTED}@", value)
            return self._texts.sub(REDACTED, text) if self._texts else text
        return value


def configure(
    *,
    form: Literal["console", "json"],
    level: str,
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Send all log lines of this process to `stream` (standard error by default) in `form`, from `level` upwards.

    `secrets` are texts never to be written, wherever they appear, exceptions included.
    """
    out = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    rendered: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=out.isatty())
    )
    # The trace becomes text before redaction, so that a secret inside an exception is hidden too.
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        Redaction(secrets),
        rendered,
    ]
    handler = logging.StreamHandler(out)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of the module `name` (pass `__name__`)."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound


@contextmanager
def correlated(**values: object) -> Iterator[None]:
    """Add `values`, such as `message_uuid=...`, to every line logged inside, in this thread or task."""
    with structlog.contextvars.bound_contextvars(**values):
        yield
