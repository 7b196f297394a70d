"""One trace from SAP's order through the head end and back, whichever worker does its part."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mdus.telemetry import tracing
from tests.flows.both_sides import BothSides
from tests.flows.orders import READING, SWITCH, SWITCHED, carry_out, read_now, reading, switch

NOW = datetime(2026, 3, 28, 10, tzinfo=UTC)
ORDER = "0E3F5A52-7C4E-4D0A-9F56-0A4A1D7F9A01"


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    sides = BothSides(database_url, tmp_path, now=NOW)
    yield sides
    sides.close()


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.start_with(SimpleSpanProcessor(exporter))
    yield exporter
    tracing.stop()


def spans_of(exported: InMemorySpanExporter, message: str) -> list[Any]:
    """Return the spans in the trace of a message, in the order they ended."""
    return [span for span in exported.get_finished_spans() if span.context.trace_id == uuid.UUID(message).int]


def test_a_switch_has_one_trace(sides: BothSides, exported: InMemorySpanExporter) -> None:
    sides.meter("1")
    sides.tell(SWITCH, switch("1", "1", at=NOW), uuid_=ORDER)
    carry_out(sides, "disconnected")
    assert len(sides.sap.messages(SWITCHED)) == 1
    spans = spans_of(exported, ORDER)
    others = [span for span in exported.get_finished_spans() if span not in spans]
    assert [span.attributes["root"] for span in others] == ["UtilitiesDeviceERPSmartMeterRegisteredBulkNotification"]
    names = [span.name for span in spans]
    assert names[:3] == ["intake", "decide", "submit"]
    assert names[-2:] == ["decide", "deliver"]
    assert (names.count("submit"), names.count("result")) == (2, 2)  # the switch, and the look at its position
    root, *below = spans
    assert root.parent is None
    assert {span.parent.span_id for span in below} == {root.context.span_id}
    assert root.attributes["fate"] == "new"
    assert spans[-1].attributes["delivered"] is True
    assert all(span.start_time <= span.end_time for span in spans)


def test_a_reading_on_demand_has_one_trace_with_its_result(sides: BothSides, exported: InMemorySpanExporter) -> None:
    sides.meter("1")
    sides.tell(READING, reading("1", "1", reason="10", on="2026-03-28", source="1"), uuid_=ORDER)
    read_now(sides, "42.00")
    names = [span.name for span in spans_of(exported, ORDER)]
    assert {"intake", "decide", "submit", "result", "deliver"} == set(names)
    assert names.count("deliver") == 2  # the confirmation of the order, and the result


def test_a_message_that_comes_again_has_no_second_root(sides: BothSides, exported: InMemorySpanExporter) -> None:
    for _ in range(2):
        sides.tell(SWITCH, switch("1", "1", at=NOW), uuid_=ORDER)
    first, again = spans_of(exported, ORDER)
    assert first.parent is None
    assert again.parent.span_id == first.context.span_id
    assert again.attributes["fate"] != "new"


def test_a_call_that_fails_is_marked(sides: BothSides, exported: InMemorySpanExporter) -> None:
    sides.meter("1")
    sides.head_end.script = ["503"]
    sides.tell(SWITCH, switch("1", "1", at=NOW), uuid_=ORDER)
    sides.decide()
    sides.commands.turn()
    (submit,) = [span for span in spans_of(exported, ORDER) if span.name == "submit"]
    assert not submit.status.is_ok
    assert "TransientError" in submit.status.description


def test_nothing_is_traced_when_nobody_wants_it(sides: BothSides) -> None:
    exporter = InMemorySpanExporter()
    tracing.start_with(SimpleSpanProcessor(exporter))
    tracing.stop()
    sides.tell(SWITCH, switch("1", "1", at=NOW), uuid_=ORDER)
    assert exporter.get_finished_spans() == ()
