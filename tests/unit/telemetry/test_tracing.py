"""Traces: ids anyone can derive, spans that reach a collector, and no cost where they are not wanted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mdus.bootstrap.checking import check
from mdus.telemetry import tracing
from tests.flows.traces.collector import collector, spans_in

MESSAGE = "0e3f5a52-7c4e-4d0a-9f56-0a4a1d7f9a01"


class TestTraceId:
    def test_is_the_uuid_of_the_message(self) -> None:
        assert f"{tracing.trace_id_of(MESSAGE):032x}" == MESSAGE.replace("-", "")
        assert tracing.trace_id_of(MESSAGE.upper()) == tracing.trace_id_of(MESSAGE)

    def test_is_a_number_of_128_bits_for_any_other_name(self) -> None:
        assert 0 < tracing.trace_id_of("0000004711") < 1 << 128
        assert tracing.trace_id_of("0000004711") != tracing.trace_id_of("0000004712")


class TestStart:
    def test_sends_spans_to_the_collector_that_is_named(self) -> None:
        with collector() as (url, got):
            tracing.start(url)
            with tracing.span("decide", lambda: [MESSAGE, "0000004711"], service="S"):
                pass
            tracing.stop()
        [(path, _)] = got
        assert path == "/v1/traces"
        spans = spans_in(got)
        assert {span.trace_id.hex() for span in spans} == {
            f"{tracing.trace_id_of(message):032x}" for message in (MESSAGE, "0000004711")
        }
        assert {span.name for span in spans} == {"decide"}

    def test_goes_on_when_no_collector_answers(self) -> None:
        tracing.start("http://127.0.0.1:9/v1/traces")
        with tracing.span("decide", lambda: [MESSAGE]):
            pass
        tracing.stop()
        assert not tracing.is_on()


class TestSpan:
    def test_asks_for_no_message_when_nothing_is_traced(self) -> None:
        def fail() -> list[str]:
            raise AssertionError("asked for")

        with tracing.span("decide", fail):
            pass

    def test_hands_on_what_goes_wrong_inside(self) -> None:
        with pytest.raises(ZeroDivisionError), tracing.span("decide", lambda: [MESSAGE]):
            raise ZeroDivisionError

    def test_is_not_loaded_unless_it_is_wanted(self) -> None:
        script = (
            "import sys, mdus.bootstrap.serving, mdus.bootstrap.working\n"
            "from mdus.telemetry import tracing\n"
            "with tracing.span('x', lambda: ['y']): pass\n"
            "ours = ('opentelemetry.sdk', 'opentelemetry.exporter')  # FastAPI looks for the rest by itself\n"
            "print([name for name in sys.modules if name.startswith(ours)])"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout == "[]\n"


def test_check_says_that_traces_need_what_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environ = {
        "MDUS_TELEMETRY__OTLP_URL": "http://127.0.0.1:4318/v1/traces",
        "MDUS_DATABASE__URL": f"sqlite:///{tmp_path}/absent.db",
    }
    assert check(environ, connect=False).problems == []
    monkeypatch.setattr(tracing, "find_spec", lambda _: None)
    (problem,) = check(environ, connect=False).problems
    assert "OpenTelemetry" in problem.what
    assert "mdus[telemetry]" in problem.mend
