"""Commands that are given again: which, how often, and within what time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mdus.domain.command import Command, CommandKind, CommandStatus, OwnerKind
from mdus.domain.repeatable_command import ATTEMPTS, PAUSE, again, is_in_doubt, may_have_acted

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SILENT = Command(
    command_key="c1",
    owner_kind=OwnerKind.ITEM,
    owner_key="1",
    sender_system="P11",
    device_id="42",
    serial_id="0000001234",
    head_end="city",
    kind=CommandKind.LIMIT_DEMAND,
    purpose="limit",
    not_before=NOW - HOUR,
    expires_at=NOW,
    parameters=(("limit_kw", "3.5"),),
    status=CommandStatus.TIMED_OUT,
    ended_at=NOW,
    result_code="TIMED_OUT",
    result_text="no result in time",
)


class TestAgain:
    def test_is_the_same_under_another_reference(self) -> None:
        repeated = again([SILENT], lasts=HOUR, now=NOW)
        assert repeated is not None
        assert repeated.command_key != SILENT.command_key
        assert repeated == replace(
            SILENT,
            command_key=repeated.command_key,
            not_before=NOW + PAUSE,
            expires_at=NOW + PAUSE + HOUR,
            status=CommandStatus.READY,
            ended_at=None,
            result_code=None,
            result_text=None,
        )
        assert again([SILENT], lasts=HOUR, now=NOW) == repeated

    def test_has_a_reference_of_its_own_each_time(self) -> None:
        second = again([SILENT], lasts=HOUR, now=NOW)
        third = again([SILENT, SILENT], lasts=HOUR, now=NOW)
        assert second is not None
        assert third is not None
        assert second.command_key != third.command_key

    def test_comes_so_often_and_no_more(self) -> None:
        assert again([SILENT] * (ATTEMPTS - 1), lasts=HOUR, now=NOW) is not None
        assert again([SILENT] * ATTEMPTS, lasts=HOUR, now=NOW) is None

    @pytest.mark.parametrize(
        ("code", "comes"),
        [("TIMED_OUT", True), ("NO_RESPONSE", True), ("BUSY", True), ("KILL_SWITCH", False), ("NOT_SUPPORTED", False)],
    )
    def test_comes_after_what_may_pass(self, code: str, comes: bool) -> None:
        failed = replace(SILENT, status=CommandStatus.FAILED, result_code=code)
        assert (again([failed], lasts=HOUR, now=NOW) is not None) is comes

    def test_leaves_within_the_time_there_is(self) -> None:
        soon = again([SILENT], lasts=HOUR, now=NOW, until=NOW + 2 * PAUSE)
        assert soon is not None
        assert soon.expires_at == NOW + 2 * PAUSE
        assert again([SILENT], lasts=HOUR, now=NOW, until=NOW + PAUSE) is None


@pytest.mark.parametrize(
    ("status", "code", "doubt"),
    [
        (CommandStatus.TIMED_OUT, "TIMED_OUT", True),
        (CommandStatus.UNCERTAIN, "UNCERTAIN", True),
        (CommandStatus.UNCERTAIN, "EXPIRED", True),
        (CommandStatus.TIMED_OUT, "NO_HEAD_END", True),
        (CommandStatus.FAILED, "EXPIRED", False),
        (CommandStatus.DONE, None, False),
        (CommandStatus.FAILED, "NO_RESPONSE", True),
        (CommandStatus.FAILED, "NOT_SUPPORTED", False),
        (CommandStatus.FAILED, "KILL_SWITCH", False),
    ],
)
def test_a_failure_leaves_doubt_where_the_meter_may_have_acted(
    status: CommandStatus, code: str | None, doubt: bool
) -> None:
    assert is_in_doubt(replace(SILENT, status=status, result_code=code)) is doubt


@pytest.mark.parametrize(
    ("codes", "may"),
    [
        pytest.param(["NO_RESPONSE"], True, id="silent"),
        pytest.param(["NO_RESPONSE", "EXPIRED"], True, id="silent, then expired"),
        pytest.param(["NO_RESPONSE", "BUSY", "BUSY"], True, id="silent, then busy"),
        pytest.param(["NO_RESPONSE", "NOT_SUPPORTED"], True, id="silent, then told that the meter cannot"),
        pytest.param(["NO_RESPONSE", "UNKNOWN_METER"], True, id="silent, then told that there is no such meter"),
        pytest.param(["NO_RESPONSE", "NOT_PROVISIONED"], True, id="silent, then told that it is not provisioned"),
        pytest.param(["UNKNOWN_METER"], False, id="refused at once"),
        pytest.param(["BUSY", "BUSY", "BUSY"], False, id="busy all the time"),
        pytest.param(["EXPIRED"], False, id="never given"),
    ],
)
def test_a_meter_may_have_acted_on_any_of_its_attempts(codes: list[str], may: bool) -> None:
    attempts = [replace(SILENT, status=CommandStatus.FAILED, result_code=code) for code in codes]
    assert may_have_acted(attempts) is may
