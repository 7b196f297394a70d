"""What a look at a profile's day leads to; and, whatever comes in whatever order, no interval is created twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdus.domain.command import Command, CommandKind, command_key
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.interval_block import IntervalBlock
from mdus.domain.interval_export import Background, Looked, Prepared, case_key, looked_at, prepared
from mdus.domain.reading_quality import QualitySet
from mdus.domain.time_series import Sources, TimeSeriesAssignment
from mdus.domain.time_series_policy import Gaps, IntervalExportRow, TimeSeriesPolicy
from mdus.domain.time_series_upload import (
    VALUES_MISSING,
    Operation,
    TimeSeriesDay,
    TimeSeriesLook,
    TimeSeriesUpload,
    runs_of,
)
from mdus.domain.value import Remove
from tests.unit.domain.profiles import (
    DAY,
    DEVICE,
    MIDNIGHT,
    PROFILE,
    QUARTER,
    SENDER,
    assignment,
    block,
    policy,
    register,
    sources,
)

END = MIDNIGHT + timedelta(days=1)
CUT_OFF = END + timedelta(hours=2)
GIVEN_UP = END + timedelta(days=1)
FULL = [f"0.{place:03}" for place in range(96)]
METER = EndDevice(
    sender_system=SENDER, device_id=DEVICE, serial_id="S42", head_end="north", material_id="M", valid_from=DAY
)
HOURLY = IntervalExportRow(
    name="hourly", cadence_minutes=60, cut_off_minutes=10, give_up_minutes=120, complete_percent=100
)


def look(day: date = DAY, *, onward: bool = False) -> TimeSeriesLook:
    return TimeSeriesLook(sender_system=SENDER, time_series_id=PROFILE, day=day, due_at=MIDNIGHT, onward=onward)


def ready(
    at: datetime,
    *,
    assignments: Sequence[TimeSeriesAssignment] = (assignment(),),
    told: Sources | None = None,
    onward: bool = False,
    day: date = DAY,
) -> Prepared | TimeSeriesLook | None:
    return prepared(look(day, onward=onward), assignments, told or sources(), now=at)


def looked(
    values: Sequence[str | None] | IntervalBlock,
    *,
    at: datetime = CUT_OFF,
    said: TimeSeriesPolicy | None = None,
    held: bool = False,
    assignments: Sequence[TimeSeriesAssignment] = (assignment(),),
    **background: Any,
) -> Looked:
    said = said or policy()
    there = ready(at, assignments=assignments, told=sources(said=said))
    assert isinstance(there, Prepared)
    day = values if isinstance(values, IntervalBlock) else block(values)
    return looked_at(
        there,
        {(day.channel, day.day): day},
        Background(**background),
        qualities={0: QualitySet()},
        held={(SENDER, DEVICE)} if held else set(),
        devices={(SENDER, DEVICE): METER},
        policy=said,
        now=at,
    )


def of_kind(result: Looked, kind: type[Any]) -> list[Any]:
    return [change for change in result.changes if isinstance(change, kind)]


def due_at(result: Looked) -> datetime | None:
    looks = of_kind(result, TimeSeriesLook)
    assert bool(looks) != any(change.kind is TimeSeriesLook for change in of_kind(result, Remove))
    return looks[0].due_at if looks else None


def sent(result: Looked) -> dict[datetime, tuple[Operation, int, str]]:
    """What goes to SAP: by the start of the interval."""
    return {
        run.start + place * QUARTER: (upload.operation, value, run.status)
        for upload in of_kind(result, TimeSeriesUpload)
        for run in runs_of(upload.content)
        for place, value in enumerate(run.values)
    }


class TestAWholeDay:
    def test_is_left_for_later_until_its_cut_off(self) -> None:
        result = looked(FULL, at=CUT_OFF - timedelta(seconds=1))
        assert sent(result) == {}
        assert due_at(result) == CUT_OFF
        assert not result.is_settled

    def test_goes_at_its_cut_off_and_is_settled(self) -> None:
        result = looked(FULL)
        assert list(sent(result)) == [MIDNIGHT + place * QUARTER for place in range(96)]
        assert (result.created, result.changed, result.is_settled, due_at(result)) == (96, 0, True, None)

    def test_that_is_not_complete_waits_for_the_second_limit(self) -> None:
        result = looked(FULL[:95], at=GIVEN_UP - timedelta(minutes=20))
        assert (sent(result), due_at(result)) == ({}, GIVEN_UP - timedelta(minutes=5))
        assert due_at(looked(FULL[:95], at=GIVEN_UP - timedelta(minutes=5))) == GIVEN_UP
        assert of_kind(result, ExceptionCase) == []

    def test_that_never_becomes_complete_goes_with_a_case(self) -> None:
        result = looked(FULL[:95], at=GIVEN_UP)
        assert len(sent(result)) == 95
        [case] = of_kind(result, ExceptionCase)
        assert (case.kind, case.case_key) == (VALUES_MISSING, case_key(SENDER, PROFILE, DAY))
        assert "1 of 96 values" in case.note
        assert "2026-03-27 22:45 to 23:00 UTC" in case.note
        assert due_at(result) == GIVEN_UP + timedelta(hours=1)

    def test_is_not_looked_for_for_ever(self) -> None:
        result = looked(FULL[:95], at=END + timedelta(days=2))
        assert due_at(result) is None

    def test_closes_its_case_when_it_is_complete(self) -> None:
        key = case_key(SENDER, PROFILE, DAY)
        case = ExceptionCase(kind=VALUES_MISSING, case_key=key, opened_at=GIVEN_UP, note="1 of 96")
        [closed] = of_kind(looked(FULL, at=GIVEN_UP, case=case), ExceptionCase)
        assert closed == replace(case, closed_at=GIVEN_UP)

    def test_does_not_open_its_case_anew_at_every_look(self) -> None:
        [case] = of_kind(looked(FULL[:95], at=GIVEN_UP), ExceptionCase)
        assert of_kind(looked(FULL[:95], at=GIVEN_UP, case=case), ExceptionCase) == []
        [changed] = of_kind(looked(FULL[:94], at=CUT_OFF + timedelta(days=1), case=case), ExceptionCase)
        assert changed.opened_at == case.opened_at


class TestWindows:
    def test_go_one_by_one_each_at_its_own_cut_off(self) -> None:
        said = policy(exports=(HOURLY,))
        at = MIDNIGHT + timedelta(minutes=130)
        result = looked([*FULL[:8], *[None] * 88], at=at, said=said)
        assert len(sent(result)) == 8
        assert due_at(result) == MIDNIGHT + timedelta(minutes=190)

    def test_that_lack_values_hold_up_no_others(self) -> None:
        said = policy(exports=(HOURLY,))
        result = looked([None, *FULL[1:8]], at=MIDNIGHT + timedelta(minutes=130), said=said)
        assert list(sent(result)) == [MIDNIGHT + place * QUARTER for place in range(4, 8)]
        assert due_at(result) == MIDNIGHT + timedelta(minutes=145)

    def test_are_as_long_as_the_day_leaves(self) -> None:
        """On a day of 23 hours the last window of two hours has one."""
        said = policy(exports=(HOURLY.model_copy(update={"cadence_minutes": 120}),))
        short = date(2026, 3, 29)
        midnight = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
        there = ready(midnight + timedelta(hours=23, minutes=10), told=sources(said=said), day=short)
        assert isinstance(there, Prepared)
        day = block([f"0.{place:03}" for place in range(92)], day=short)
        result = looked_at(
            there,
            {(day.channel, day.day): day},
            Background(),
            qualities={0: QualitySet()},
            held=set(),
            devices={},
            policy=said,
            now=midnight + timedelta(hours=23, minutes=10),
        )
        assert (len(sent(result)), result.is_settled) == (92, True)


class TestAMeterWhoseValuesHaveNotCome:
    """It is asked for them, from the first gap to the last."""

    def asked(self, at: datetime, **kwargs: Any) -> list[Command]:
        return of_kind(looked([*FULL[:40], None, None, *FULL[42:90], None, *FULL[91:]], at=at, **kwargs), Command)

    def test_is_asked_when_the_cut_off_is_over(self) -> None:
        assert self.asked(CUT_OFF - timedelta(minutes=1)) == []
        [command] = self.asked(CUT_OFF)
        assert (command.kind, command.serial_id, command.head_end) == (CommandKind.READ_INTERVALS, "S42", "north")
        assert command.period_from == MIDNIGHT + 40 * QUARTER
        assert command.period_to == MIDNIGHT + 91 * QUARTER
        assert (command.not_before, command.expires_at) == (CUT_OFF, CUT_OFF + timedelta(hours=6))

    def test_is_asked_once_in_a_pause(self) -> None:
        asked = [self.asked(CUT_OFF + minutes * timedelta(minutes=15))[0].command_key for minutes in range(60)]
        assert len(set(asked)) == 3  # at the cut-off, after 6 and after 12 hours
        assert asked[0] != asked[24] != asked[48]

    def test_is_asked_by_one_command_for_all_its_profiles(self) -> None:
        """The key of the command says meter, gap and attempt, nothing of the profile."""
        [command] = self.asked(CUT_OFF)
        assert command.command_key == command_key(
            owner_kind=command.owner_kind,
            owner_key=f"{SENDER}/{DEVICE}",
            device_id=DEVICE,
            purpose="intervals from 2026-03-27T09:00Z",
        )

    def test_is_left_alone_when_nothing_lacks(self) -> None:
        assert of_kind(looked(FULL), Command) == []

    def test_is_left_alone_in_the_end(self) -> None:
        assert self.asked(END + timedelta(days=2)) == []

    def test_is_left_alone_where_the_setting_says_so(self) -> None:
        assert self.asked(CUT_OFF, said=policy(ask_again=None)) == []

    def test_is_left_alone_while_sap_may_not_hear_of_it(self) -> None:
        assert self.asked(CUT_OFF, held=True) == []

    def test_is_left_alone_without_a_head_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tests.unit.domain.test_interval_export.METER", replace(METER, head_end=None))
        assert self.asked(CUT_OFF) == []

    def test_is_asked_for_each_window_on_its_own(self) -> None:
        said = policy(exports=(HOURLY,))
        [command] = of_kind(looked([None, *FULL[1:8]], at=MIDNIGHT + timedelta(minutes=70), said=said), Command)
        assert (command.period_from, command.period_to) == (MIDNIGHT, MIDNIGHT + QUARTER)


class TestWhatSapHas:
    def had(self, values: Sequence[str | None]) -> TimeSeriesDay:
        [day] = of_kind(looked(values, at=GIVEN_UP), TimeSeriesDay)
        assert isinstance(day, TimeSeriesDay)
        return day

    def test_is_not_sent_again(self) -> None:
        result = looked(FULL, told=self.had(FULL))
        assert sent(result) == {}
        assert of_kind(result, TimeSeriesDay) == []

    def test_is_changed_where_it_differs_and_created_where_it_lacks(self) -> None:
        changed = ["0.500", *FULL[1:]]
        result = looked(changed, told=self.had([*FULL[:95], None]))
        assert sent(result) == {
            MIDNIGHT: (Operation.CHANGE, 500, "ACTL"),
            END - QUARTER: (Operation.CREATE, 95, "ACTL"),
        }
        create, change = of_kind(result, TimeSeriesUpload)
        assert (create.number, create.before, change.number) == (1, "", 2)
        assert [run.values for run in runs_of(change.before)] == [(0,)]

    def test_is_changed_even_before_the_window_is_complete(self) -> None:
        result = looked(["0.500", None], at=CUT_OFF, told=self.had(["0.100", None]))
        assert sent(result) == {MIDNIGHT: (Operation.CHANGE, 500, "ACTL")}

    def test_stays_where_a_value_is_nobodys_any_more(self) -> None:
        result = looked(FULL, told=self.had(FULL), assignments=[assignment(valid_to=MIDNIGHT + timedelta(hours=12))])
        assert sent(result) == {}

    def test_is_not_looked_at_while_it_is_not_known(self) -> None:
        result = looked(FULL, is_under_way=True)
        assert (sent(result), due_at(result)) == ({}, CUT_OFF + timedelta(minutes=15))

    @pytest.mark.parametrize(("refusals", "count"), [(2, 96), (3, 0)])
    def test_is_left_alone_after_too_many_refusals(self, refusals: int, count: int) -> None:
        nothing = self.had(["0.1"]).taken_back(of_kind(looked(["0.1"], at=GIVEN_UP), TimeSeriesUpload)[0])
        result = looked(FULL, told=replace(nothing, refusals=refusals))
        assert (len(sent(result)), due_at(result)) == (count, None)


class TestGaps:
    def test_are_sent_as_zeros_with_their_own_status(self) -> None:
        said = policy(exports=(IntervalExportRow(name="all", give_up_minutes=60, gaps=Gaps.ZERO),))
        result = looked(FULL[:95], at=CUT_OFF, said=said)
        assert sent(result)[END - QUARTER] == (Operation.CREATE, 0, "INVL")
        later = looked(FULL, at=CUT_OFF, said=said, told=of_kind(result, TimeSeriesDay)[0])
        assert sent(later) == {END - QUARTER: (Operation.CHANGE, 95, "ACTL")}

    def test_are_none_of_a_time_before_the_assignment(self) -> None:
        said = policy(exports=(IntervalExportRow(name="all", give_up_minutes=60, gaps=Gaps.ZERO),))
        result = looked(FULL[:95], at=CUT_OFF, said=said, assignments=[assignment(assigned_at=END)])
        assert len(sent(result)) == 95
        assert of_kind(result, ExceptionCase) == []


class TestADeviceSapMayNotHearOf:
    def test_is_held_and_looked_at_again(self) -> None:
        result = looked(FULL, at=GIVEN_UP, held=True)
        assert (sent(result), result.is_settled, due_at(result)) == ({}, False, GIVEN_UP + timedelta(hours=1))
        assert of_kind(result, ExceptionCase) == []


class TestANumberOnNoDevice:
    def test_is_waited_for_without_a_case(self) -> None:
        told = sources(registers=[register(valid_to=DAY)])
        there = ready(GIVEN_UP, told=told)
        assert isinstance(there, Prepared)
        result = looked_at(there, {}, Background(), qualities={}, held=set(), devices={}, policy=policy(), now=GIVEN_UP)
        assert of_kind(result, ExceptionCase) == []
        assert due_at(result) == GIVEN_UP + timedelta(days=1)


class TestTheNextDay:
    def following(self, at: datetime = CUT_OFF, **facts: Any) -> TimeSeriesLook | None:
        there = ready(at, onward=True, **facts)
        return there.following if isinstance(there, Prepared) else there

    def test_becomes_due_when_its_first_window_may_go(self) -> None:
        found = self.following()
        assert found is not None
        assert (found.day, found.due_at, found.onward) == (date(2026, 3, 28), CUT_OFF + timedelta(days=1), True)
        hourly = self.following(told=sources(said=policy(exports=(HOURLY,))))
        assert hourly is not None
        assert hourly.due_at == CUT_OFF  # long past

    def test_is_due_at_once_when_it_is_over(self) -> None:
        found = self.following(at=CUT_OFF + timedelta(days=9))
        assert found is not None
        assert found.due_at == CUT_OFF + timedelta(days=9)

    def test_is_the_next_that_an_assignment_covers(self) -> None:
        spans = [
            assignment(valid_to=END),
            assignment(valid_from=datetime(2026, 4, 10, 12, 0, tzinfo=UTC), valid_to=None),
        ]
        found = self.following(assignments=spans)
        assert found is not None
        assert found.day == date(2026, 4, 10)

    def test_is_none_after_the_last_assignment(self) -> None:
        assert self.following(assignments=[assignment(valid_to=END)]) is None
        assert self.following(assignments=[assignment(valid_to=END + QUARTER)]) is not None

    @pytest.mark.parametrize("facts", [{"remotely_stored": True}, {"exported": False}])
    def test_is_none_of_what_is_not_sent(self, facts: dict[str, bool]) -> None:
        assert ready(CUT_OFF, onward=True, assignments=[assignment(**facts)]) is None

    def test_is_not_asked_for_by_a_look_that_leads_nowhere(self) -> None:
        there = ready(CUT_OFF)
        assert isinstance(there, Prepared)
        assert there.following is None


class Sap:
    """What SAP has by what it was told, and what it says of it: taken, refused, or nothing yet."""

    def __init__(self) -> None:
        self.values: dict[datetime, tuple[int, str]] = {}

    def take(self, upload: TimeSeriesUpload) -> None:
        for run in runs_of(upload.content):
            for place, value in enumerate(run.values):
                start = run.start + place * QUARTER
                assert (start in self.values) == (upload.operation is Operation.CHANGE), f"{start} {upload.operation}"
                self.values[start] = value, run.status


STEPS = st.lists(
    st.tuples(
        st.integers(0, 95),  # from which interval on
        st.lists(st.none() | st.integers(0, 3), min_size=1, max_size=40),  # values told
        st.integers(0, 30),  # hours until the next look
        st.booleans(),  # whether SAP takes what it is sent
    ),
    min_size=1,
    max_size=6,
)


@given(STEPS, st.sampled_from([Gaps.OMIT, Gaps.ZERO]))
@settings(max_examples=150, deadline=None)
def test_sap_has_at_last_what_was_told_last_and_nothing_was_created_twice(
    steps: list[tuple[int, list[int | None], int, bool]], gaps: Gaps
) -> None:
    said = policy(exports=(HOURLY.model_copy(update={"gaps": gaps}),), send_attempts=100)
    sap, told, at, number = Sap(), None, MIDNIGHT, 1
    day = block([None])
    everything = [*steps, (0, [None], 60, True)]
    for first, values, hours, takes in everything:
        some = [None if value is None else f"0.00{value}" for value in values[: 96 - first]]
        day = block(some, first=first, on=day)
        at += timedelta(hours=hours)
        result = looked(day, at=at, said=said, told=told, next_number=number)
        told = next(iter(of_kind(result, TimeSeriesDay)), told)
        for upload in of_kind(result, TimeSeriesUpload):
            number += 1
            if takes:
                sap.take(upload)
            else:
                assert told is not None
                told = told.taken_back(upload)
    wanted = {
        MIDNIGHT + place * QUARTER: (int(value * 1000), "ACTL")
        for place, value in enumerate(day.quantities())
        if value is not None
    }
    if gaps is Gaps.ZERO:
        every = [MIDNIGHT + place * QUARTER for place in range(96)]
        wanted = {start: wanted.get(start, (0, "INVL")) for start in every}
    assert sap.values == wanted
