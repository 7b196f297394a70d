"""Point of delivery assigned: local dates and times become half-open instants, day by day of whatever length."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from mdus.domain.register import register_arrival
from mdus.domain.usage_point import UsagePoint
from mdus.domain.value import Remove
from mdus.messaging.addressed_device import SystemDiffers
from mdus.messaging.known import Known
from mdus.messaging.outcome import Done, Outcome, Park
from mdus.services import point_of_delivery_assigned
from mdus.services.point_of_delivery_assigned import Request
from tests.unit.services.device_initialization import (
    DEVICE,
    NOW,
    POINT,
    SENDER,
    TASK,
    assignment_request,
    known_device,
    known_register,
    of_kind,
    only,
    origin,
    sent_assignment,
)

START = datetime(2025, 12, 31, 23, 0, tzinfo=UTC)  # 2026-01-01 in Berlin


def decide(request: Request, *loaded: object) -> Outcome:
    known = Known([known_device(), known_register()], loaded)  # type: ignore[arg-type]
    return point_of_delivery_assigned.decide(request, known, now=NOW)


def point(start: datetime = START, end: datetime | None = None, *, name: str = POINT) -> UsagePoint:
    return UsagePoint(
        sender_system=SENDER,
        device_id=DEVICE,
        measurement_task_id=TASK,
        point_of_delivery_id=name,
        valid_from=start,
        valid_to=end,
    )


def span(zone: str = "Europe/Berlin", **facts: Any) -> tuple[datetime, datetime | None]:
    """The span that an assignment of these dates and times becomes."""
    request = assignment_request(sent_assignment(**facts), origin=origin(zone=zone))
    found = only(decide(request), UsagePoint)
    return found.valid_from, found.valid_to


class TestARegisterNotThereYet:
    def test_is_waited_for_until_the_deadline_of_the_item(self) -> None:
        request = assignment_request(sent_assignment())
        outcome = point_of_delivery_assigned.decide(request, Known([known_device()]), now=NOW)
        assert isinstance(outcome, Park)
        assert (outcome.waits_for, outcome.until) == (
            register_arrival(SENDER, DEVICE, TASK),
            request.origin.park_until,
        )
        assert outcome.otherwise.type_id == "130(MDUS)"

    @pytest.mark.parametrize("assigned", [True, False], ids=["an assignment", "an empty list"])
    def test_lets_only_the_end_of_its_assignment_end_well_at_the_deadline(self, assigned: bool) -> None:
        late = origin(received_at=NOW - timedelta(minutes=30))
        request = assignment_request(*((sent_assignment(),) if assigned else ()), origin=late)
        outcome = point_of_delivery_assigned.decide(request, Known([known_device()]), now=NOW)
        assert isinstance(outcome, Park if assigned else Done)
        before = point_of_delivery_assigned.decide(request, Known(), now=NOW - timedelta(seconds=1))
        assert isinstance(before, Park)

    def test_is_not_the_same_number_on_another_device(self) -> None:
        known = Known([known_device(), known_register(device_id="7")])
        assert isinstance(point_of_delivery_assigned.decide(assignment_request(), known, now=NOW), Park)

    def test_of_another_metering_system_is_refused(self) -> None:
        with pytest.raises(SystemDiffers):
            decide(assignment_request(sent_assignment(), ams_id="AM02"))


class TestASpan:
    def test_is_open_when_sap_says_9999_12_31(self) -> None:
        assert span() == (START, None)

    @pytest.mark.parametrize("end", [time(23, 59, 59), time.max], ids=["23:59:59", "24:00:00"])
    def test_ends_with_the_day_at_its_last_second(self, end: time) -> None:
        assert span(end_on=date(2026, 3, 31), end_time=end)[1] == datetime(2026, 3, 31, 22, 0, tzinfo=UTC)

    def test_ends_at_any_other_time_said(self) -> None:
        assert span(end_on=date(2026, 3, 31), end_time=time(23, 59, 58))[1] == datetime(
            2026, 3, 31, 21, 59, 58, tzinfo=UTC
        )

    @pytest.mark.parametrize(
        ("day", "hours"),
        [
            pytest.param(date(2026, 3, 28), 24, id="ordinary"),
            pytest.param(date(2026, 3, 29), 23, id="clocks go forward"),
            pytest.param(date(2026, 10, 25), 25, id="clocks go back"),
        ],
    )
    def test_of_one_day_lasts_as_long_as_the_day(self, day: date, hours: int) -> None:
        start, end = span(start_on=day, end_on=day)
        assert end is not None
        assert end - start == timedelta(hours=hours)

    def test_is_local_to_the_sender(self) -> None:
        assert span(zone="Asia/Kolkata")[0] == datetime(2025, 12, 31, 18, 30, tzinfo=UTC)

    def test_from_the_first_day_of_the_calendar_stays_in_it(self) -> None:
        assert span(start_on=date(1, 1, 1))[0] == datetime(1, 1, 1, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("end", "refused"),
        [pytest.param(time(0), True, id="nothing"), pytest.param(time(0, 0, 1), False, id="a second")],
    )
    def test_is_longer_than_nothing(self, end: time, refused: bool) -> None:
        if refused:
            with pytest.raises(point_of_delivery_assigned.DatesReversed):
                span(end_on=date(2026, 1, 1), end_time=end)
        else:
            assert span(end_on=date(2026, 1, 1), end_time=end)[1] == START + timedelta(seconds=1)


class TestACompleteList:
    def test_replaces_what_is_stored(self) -> None:
        old = point(START - timedelta(days=90), START - timedelta(days=30), name="OLD")
        assert decide(assignment_request(sent_assignment()), old) == Done(
            changes=(Remove(UsagePoint, old.key), point())
        )

    def test_told_again_changes_nothing(self) -> None:
        assert decide(assignment_request(sent_assignment()), point()) == Done()

    def test_may_hold_spans_that_touch(self) -> None:
        first = sent_assignment(end_on=date(2026, 5, 31))
        second = sent_assignment(start_on=date(2026, 6, 1), point_of_delivery_id="B")
        assert len(of_kind(decide(assignment_request(second, first)), UsagePoint)) == 2

    def test_of_two_points_at_once_is_refused(self) -> None:
        first = sent_assignment(end_on=date(2026, 6, 1))
        second = sent_assignment(start_on=date(2026, 6, 1), point_of_delivery_id="B")
        with pytest.raises(point_of_delivery_assigned.AssignmentsOverlap):
            decide(assignment_request(first, second))


class TestAnIncompleteList:
    def test_adds_to_what_is_stored(self) -> None:
        old = point(START - timedelta(days=90), START, name="OLD")
        assert decide(assignment_request(sent_assignment(), complete=False), old) == Done(changes=(point(),))

    def test_replaces_what_it_names_by_start(self) -> None:
        outcome = decide(assignment_request(sent_assignment(), complete=False), point(name="OLD"))
        assert outcome == Done(changes=(point(),))

    def test_that_overlaps_what_is_stored_is_refused(self) -> None:
        with pytest.raises(point_of_delivery_assigned.AssignmentsOverlap):
            decide(
                assignment_request(sent_assignment(), complete=False),
                point(START - timedelta(days=90), START + timedelta(seconds=1), name="OLD"),
            )


class TestAnEmptyList:
    @pytest.mark.parametrize("complete", [True, False], ids=["complete", "incomplete"])
    def test_ends_the_open_assignment_when_it_came(self, complete: bool) -> None:
        assert decide(assignment_request(complete=complete), point()) == Done(changes=(point(end=NOW),))

    @pytest.mark.parametrize("start", [NOW, NOW + timedelta(days=1)], ids=["then", "later"])
    def test_takes_back_what_would_begin(self, start: datetime) -> None:
        future = point(start)
        assert decide(assignment_request(), future) == Done(changes=(Remove(UsagePoint, future.key),))

    def test_leaves_what_has_ended(self) -> None:
        assert decide(assignment_request(), point(end=NOW)) == Done()
