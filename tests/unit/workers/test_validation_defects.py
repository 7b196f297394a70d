"""A day that a rule of ours fails at: shown, costing no other, and shown no more once it has been validated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from mdus.bootstrap.discovery import discover
from mdus.domain.channel import Channel
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.interval_block import empty_block
from mdus.storage.interval_block import ensure_channels, write_blocks
from mdus.storage.session import TABLES as STORED
from mdus.vee.days import Days
from mdus.vee.rule import Finding
from mdus.workers import validation
from mdus.workers.rule_sets import stored
from mdus.workers.validation import LOOK_FAILED, ValidationWorker
from tests.unit.workers.validating import CHANNEL, DAY, FULL, TABLES, Validating

KEY = f"P11/{CHANNEL.device_id}/{CHANNEL.reading_type}/{DAY}"


class FailsOn:
    """A rule that fails at days with this value, as often as it is told to."""

    def __init__(self, value: int, *, times: int) -> None:
        self.value = value
        self.times = times

    def __call__(self, days: Days, parameters: Any) -> Finding:
        if self.times and (days.values == self.value).any():
            self.times -= days.count == 1  # alone, so that it is known to be the one at fault
            raise ZeroDivisionError("of ours")
        return Finding.of_intervals(days.values == -1)


@pytest.fixture
def failing() -> FailsOn:
    return FailsOn(777, times=1)


@pytest.fixture
def meter(database_url: str, tmp_path: Path, failing: FailsOn) -> Iterator[Validating]:
    """An installation whose one rule is the one that fails."""
    (tmp_path / "test.toml").write_text(
        f'{TABLES}\n[[rule_sets]]\nname = "electricity"\nreading_types = ["1-*"]\n'
        'rules = [{ name = "test_mode" }]\nmethods = []\n'
    )
    made = Validating(database_url, str(tmp_path))
    tools = discover().tools
    rule = replace(tools.rules["test_mode"], check=failing)
    made.worker = ValidationWorker(
        database=made.database,
        settings=made.settings,
        clock=made.clock,
        rule_sets=stored(replace(tools, rules={**tools.rules, "test_mode": rule})),
    )
    yield made
    made.close()


def failed(meter: Validating) -> list[ExceptionCase]:
    """Return the cases of days that could not be looked at, closed or not."""
    table = STORED[ExceptionCase]
    with meter.database.read() as uow:
        return [each for each in table.fetch(uow.connection, table.select()) if each.kind == LOOK_FAILED]


def close_times(meter: Validating) -> dict[str, datetime | None]:
    return {case.case_key: case.closed_at for case in failed(meter)}


class TestADayThatCouldNotBeLookedAt:
    def test_is_shown_until_a_look_succeeds(self, meter: Validating) -> None:
        meter.tell([777, *FULL[1:]])
        meter.work()
        [case] = failed(meter)
        assert (case.case_key, case.note, case.closed_at) == (KEY, "ZeroDivisionError: of ours", None)

        again = meter.clock.instant + timedelta(days=1)
        meter.work(at=again - timedelta(seconds=1))
        assert close_times(meter) == {KEY: None}
        meter.work(at=again)
        assert close_times(meter) == {KEY: again}
        assert meter.final().values[0] == 777

    def test_stays_shown_while_it_fails_and_other_days_do_not(self, meter: Validating, failing: FailsOn) -> None:
        failing.times = 2
        meter.tell([777, *FULL[1:]])
        meter.tell(FULL, day=DAY + timedelta(days=1))
        meter.work()
        meter.tell(FULL, day=DAY + timedelta(days=1), version=2)
        meter.work(at=meter.clock.instant + timedelta(days=1))
        assert close_times(meter) == {KEY: None}
        meter.work(at=meter.clock.instant + timedelta(days=1))
        assert None not in close_times(meter).values()

    def test_that_fails_again_is_shown_again(self, meter: Validating, failing: FailsOn) -> None:
        meter.tell([777, *FULL[1:]])
        meter.work()
        meter.work(at=meter.clock.instant + timedelta(days=1))
        failing.times = 1
        meter.tell([777, 777, *FULL[2:]], version=2)
        meter.work()
        assert close_times(meter) == {KEY: None}


class TestABatch:
    def test_asks_once_for_cases_however_many_days_it_has(self, meter: Validating) -> None:
        others = [replace(CHANNEL, device_id=f"{number:018d}") for number in range(30)]
        with meter.database.begin() as uow:
            ensure_channels(uow.connection, others)
        asked = [told(meter, [CHANNEL]), told(meter, others)]
        assert asked == [1, 1]


def told(meter: Validating, channels: list[Channel]) -> int:
    """Tell a sound day of each of these channels; returns how many statements their validation asked of cases."""
    blocks = [empty_block(channel, DAY, at=meter.clock.now(), by="delivery/1") for channel in channels]
    for block in blocks:
        block.values[:] = FULL
    with meter.database.begin() as uow:
        write_blocks(uow.connection, blocks)
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        statements.append(statement)

    event.listen(meter.database.engine, "before_cursor_execute", note)
    meter.work()
    event.remove(meter.database.engine, "before_cursor_execute", note)
    return sum("exception_case" in statement for statement in statements)


def test_days_are_looked_at_in_parts_that_memory_holds(meter: Validating, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "_INTERVALS_AT_ONCE", 2 * len(FULL))
    looked: list[int] = []
    monkeypatch.setattr(validation, "validated", lambda _uow, looks, **_: looked.append(len(looks)))
    for number in range(5):
        meter.tell(FULL, day=DAY - timedelta(days=number))
    assert meter.worker.turn() == 5
    assert looked == [2, 2, 1]
