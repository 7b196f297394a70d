"""Calls to a head end are timed and counted by what for and how they ended, and pass unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from mdus.domain.command import Command, CommandKind, OwnerKind
from mdus.domain.head_end import Batch
from mdus.headends.rest.adapter import RestHeadEnd
from mdus.messaging.retry import TransientError, UncertainError
from mdus.telemetry.metrics import REGISTRY
from mdus.workers.measured_head_end import MeasuredHeadEnd
from tests.head_ends.field import row
from tests.head_ends.scripted import ScriptedHeadEnd

NOW = datetime(2026, 3, 28, 8, tzinfo=UTC)


@pytest.fixture
def measured(scripted: ScriptedHeadEnd) -> Iterator[MeasuredHeadEnd]:
    connected = RestHeadEnd(row(scripted.url))
    yield MeasuredHeadEnd(connected)
    connected.close()


def calls(call: str, result: str) -> float:
    """How many calls have been counted so far."""
    labels = {"head_end": "city", "call": call, "result": result}
    return REGISTRY.get_sample_value("mdus_head_end_call_seconds_count", labels) or 0.0


def test_takes_what_the_head_end_takes_now(scripted: ScriptedHeadEnd) -> None:
    head_end = RestHeadEnd(row(scripted.url))
    measured = MeasuredHeadEnd(head_end)
    head_end.batch_size = 7

    assert measured.batch_size == 7
    head_end.close()


def submit(head_end: MeasuredHeadEnd) -> None:
    head_end.submit(Batch(commands=[command()], kind=CommandKind.SWITCH_STATE, correlation="c-1"))


def command() -> Command:
    return Command(
        command_key="k-1",
        owner_kind=OwnerKind.REGISTRY,
        owner_key="k-1",
        sender_system="P11",
        device_id="1",
        serial_id="1",
        head_end="city",
        kind=CommandKind.SWITCH_STATE,
        purpose="test",
        not_before=NOW,
        expires_at=NOW + timedelta(hours=1),
    )


class TestSubmit:
    def test_is_counted_when_it_was_answered(self, measured: MeasuredHeadEnd, scripted: ScriptedHeadEnd) -> None:
        before = calls("submit", "ok")
        submit(measured)
        assert calls("submit", "ok") == before + 1
        assert [job["correlation_id"] for job in scripted.submitted] == ["c-1"]

    @pytest.mark.parametrize(
        ("step", "result", "error"), [("503", "transient", TransientError), ("cut", "uncertain", UncertainError)]
    )
    def test_is_counted_by_how_it_failed(
        self, measured: MeasuredHeadEnd, scripted: ScriptedHeadEnd, step: str, result: str, error: type[Exception]
    ) -> None:
        before = calls("submit", result)
        scripted.script = [step]
        with pytest.raises(error):
            submit(measured)
        assert calls("submit", result) == before + 1


class TestLists:
    def test_count_each_page_and_the_look_that_finds_no_more(
        self, measured: MeasuredHeadEnd, scripted: ScriptedHeadEnd
    ) -> None:
        scripted.snapshots = [{"serial": str(number)} for number in range(5)]  # on three pages
        before = calls("snapshots", "ok")
        assert len(list(measured.snapshots(period_from=NOW, period_to=NOW + timedelta(days=1)))) == 3
        assert calls("snapshots", "ok") == before + 4

    def test_count_a_registry_that_cannot_be_read(self, measured: MeasuredHeadEnd, scripted: ScriptedHeadEnd) -> None:
        scripted.down = True
        before = calls("meters", "transient")
        with pytest.raises(TransientError):
            list(measured.meters())
        assert calls("meters", "transient") == before + 1
