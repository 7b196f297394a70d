"""Traces (OpenTelemetry): one from a message of SAP's through its decision and its head end back to SAP.

```
intake            the root: the body is read and stored          in the process that serves HTTP
  +- decide       its items are decided, once more when results have come       }
  +- submit       a call to a head end with its commands                        }  in any worker process
  +- result       what the head end told of them is taken in                    }
  +- deliver      its confirmation, or a result it ordered, is posted to SAP    }
```
Trace and root are derived from the message's UUID (else its ID), so no process hands anything to another, and whoever
looks finds the trace by the UUID without its dashes. What serves several messages at once leaves a span in the trace of
each.

Without `telemetry.otlp_url` nothing of OpenTelemetry is loaded here, and a span costs a comparison.
"""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Final

#: Seconds one post to the collector may take; what cannot be posted is dropped, and said in the log.
_POST_SECONDS: Final = 5.0


@dataclass(kw_only=True, slots=True)
class Span:
    """What is under way; whoever does it may say more of it."""

    is_root: bool = False
    attributes: dict[str, str | int | bool] = field(default_factory=dict)


class _Tracing:
    """The provider of OpenTelemetry, and spans made with ids of ours."""

    def __init__(self, processor: Any) -> None:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

        wanted = self._wanted = threading.local()

        class Ids(RandomIdGenerator):
            """Gives a root the ids that are wanted for it."""

            def generate_trace_id(self) -> int:
                return int(getattr(wanted, "trace_id", None) or super().generate_trace_id())

            def generate_span_id(self) -> int:
                return int(getattr(wanted, "span_id", None) or super().generate_span_id())

        self._api = trace
        self._provider = TracerProvider(
            id_generator=Ids(), resource=Resource.create({"service.name": "mdus"}), shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("mdus")

    def add(self, name: str, span: Span, *, of: str, began: int, ended: int, error: BaseException | None) -> None:
        """Add a finished span to the trace of a message; instants are nanoseconds since 1970."""
        api, trace_id = self._api, trace_id_of(of)
        root = api.SpanContext(trace_id, _root_of(trace_id), is_remote=True, trace_flags=api.TraceFlags(1))
        context = api.set_span_in_context(api.NonRecordingSpan(api.INVALID_SPAN_CONTEXT if span.is_root else root))
        if span.is_root:
            self._wanted.trace_id, self._wanted.span_id = trace_id, root.span_id
        try:
            made = self._tracer.start_span(name, context=context, start_time=began, attributes=span.attributes)
        finally:
            self._wanted.trace_id = self._wanted.span_id = None
        made.set_attribute("mdus.message", of)
        if error is not None:
            made.set_status(api.Status(api.StatusCode.ERROR, f"{type(error).__name__}: {error}"[:500]))
        made.end(end_time=ended)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


_tracing: _Tracing | None = None


def is_installed() -> bool:
    """Tell whether the extra mdus[telemetry] is installed."""
    try:
        return all(find_spec(name) for name in ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http"))
    except ModuleNotFoundError:
        return False


def start(url: str) -> None:
    """Send the spans of this process to a collector (OTLP over HTTP) from now on."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    start_with(BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=_POST_SECONDS)))


def start_with(processor: Any) -> None:
    """Hand the spans of this process to a span processor of OpenTelemetry from now on."""
    global _tracing  # one per process, like the log
    stop()
    _tracing = _Tracing(processor)


def stop() -> None:
    """Send what is left, then trace nothing any more."""
    global _tracing
    ending, _tracing = _tracing, None
    if ending is not None:
        ending.close()


def is_on() -> bool:
    """Tell whether spans go anywhere."""
    return _tracing is not None


@contextmanager
def span(
    name: str, of: Callable[[], Collection[str]], *, began: int | None = None, **attributes: str | int
) -> Iterator[Span]:
    """Trace the block as a span of each message that `of` names (UUID or ID), when the block has ended.

    `began` (nanoseconds since 1970) is when the work did, where that was before the block. An error that leaves the
    block is noted and goes on.
    """
    tracing, told = _tracing, Span(attributes=dict(attributes))
    if tracing is None:
        yield told
        return
    began, error = began or time.time_ns(), None
    try:
        yield told
    except BaseException as raised:
        error = raised
        raise
    finally:
        ended = time.time_ns()
        for message in sorted(set(of())):
            tracing.add(name, told, of=message, began=began, ended=ended, error=error)


def trace_id_of(message: str) -> int:
    """Return the id of a message's trace: its UUID as a number, or a hash of whatever else names it."""
    try:
        return uuid.UUID(message).int or 1
    except ValueError:
        return int.from_bytes(hashlib.sha256(message.encode()).digest()[:16], "big") or 1


def _root_of(trace_id: int) -> int:
    return int.from_bytes(hashlib.sha256(trace_id.to_bytes(16, "big")).digest()[:8], "big") or 1
