"""Assignments of a profile: complete and incomplete lists, spans that must not meet, registers that can feed it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from lxml import etree

from mdus.contracts.binding import bind
from mdus.contracts.catalog import catalog
from mdus.domain.capability import Capabilities, CapabilityRow
from mdus.domain.end_device import EndDevice
from mdus.domain.recurrence import Recurrences
from mdus.domain.register import task_arrival
from mdus.domain.time_series import TimeSeriesAssignment
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.domain.time_series_upload import TimeSeriesLook
from mdus.domain.value import Remove
from mdus.messaging.known import Known
from mdus.messaging.outcome import BusinessError, Done, Outcome, Park
from mdus.services import measurement_task_assignment_change as service
from mdus.services.measurement_task_assignment_change import Request, SentRole
from tests.flows.profiles.metering import ASSIGN, role, time_series
from tests.unit.domain.profiles import DAILY, DEVICE, PROFILE, ROWS, SENDER, TASK, UNITS, assignment, register
from tests.unit.services.device_initialization import origin

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
START = datetime(2025, 12, 31, 23, 0, tzinfo=UTC)  # 2026-01-01 in Berlin
POLICY = TimeSeriesPolicy(
    load_profiles=ROWS,
    units=UNITS,
    exports=(DAILY,),
    recurrences=Recurrences(minutes={"0": 0, "15": 15, "60": 60}),
    skipped_roles=frozenset({"9"}),
)
OTHER_TASK = "000000000000100043"


def sent(**facts: Any) -> SentRole:
    said: dict[str, Any] = {
        "role_code": "01",
        "measurement_task_id": TASK,
        "start_on": date(2026, 1, 1),
        "start_time": time(0),
        "end_on": date(9999, 12, 31),
        "end_time": time(23, 59, 59),
        "ams_id": "AM01",
    }
    return SentRole(**{**said, **facts})


def request(*roles: SentRole, **facts: Any) -> Request:
    said: dict[str, Any] = {
        "origin": origin(),
        "time_series_id": PROFILE,
        "complete": True,
        "recurrence_code": "15",
        "unit": "KWH",
        "total_digits": 14,
        "fraction_digits": 3,
    }
    return Request(roles=roles, **{**said, **facts})


def device(**facts: Any) -> EndDevice:
    said: dict[str, Any] = {
        "sender_system": SENDER,
        "device_id": DEVICE,
        "serial_id": "1",
        "material_id": "LX100",
        "valid_from": date(2026, 1, 1),
        "ams_id": "AM01",
    }
    return EndDevice(**{**said, **facts})


def decide(asked: Request, *loaded: Any, policy: TimeSeriesPolicy = POLICY) -> Outcome:
    there = loaded or (device(), register())
    return service.decide(asked, Known([policy], there), now=NOW)


def changes(outcome: Outcome, kind: type[Any]) -> list[Any]:
    assert isinstance(outcome, Done)
    return [change for change in outcome.changes if isinstance(change, kind)]


def stored(**facts: Any) -> TimeSeriesAssignment:
    """The assignment that `request(sent())` made before."""
    return assignment(**{"recurrence_code": "15", "total_digits": 14, "ams_id": "AM01", "assigned_at": START, **facts})


def refused(asked: Request, *loaded: Any, policy: TimeSeriesPolicy = POLICY) -> str:
    with pytest.raises(BusinessError) as error:
        decide(asked, *loaded, policy=policy)
    return error.value.type_id


class TestAListOfRoles:
    def test_is_stored_as_it_was_told(self) -> None:
        [found] = changes(decide(request(sent(), remotely_stored=True)), TimeSeriesAssignment)
        assert found == stored(remotely_stored=True, assigned_at=NOW)

    def test_keeps_its_instants(self) -> None:
        some = sent(
            start_on=date(2026, 3, 29), start_time=time(1, 30, 15), end_on=date(2026, 3, 29), end_time=time(3, 30)
        )
        [found] = changes(decide(request(some)), TimeSeriesAssignment)
        assert found.valid_from == datetime(2026, 3, 29, 0, 30, 15, tzinfo=UTC)
        assert found.valid_to == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)  # an hour later: the clocks go forward

    @pytest.mark.parametrize(
        ("end", "expected"),
        [
            pytest.param(
                (date(2026, 3, 28), time(23, 59, 59)), datetime(2026, 3, 28, 23, tzinfo=UTC), id="last second"
            ),
            pytest.param((date(2026, 3, 28), time.max), datetime(2026, 3, 28, 23, tzinfo=UTC), id="24:00:00"),
            pytest.param((date(2026, 3, 28), time(12)), datetime(2026, 3, 28, 11, tzinfo=UTC), id="noon"),
            pytest.param((date(9999, 12, 31), time(23, 59, 59)), None, id="open"),
        ],
    )
    def test_ends_where_sap_means(self, end: tuple[date, time], expected: datetime | None) -> None:
        [found] = changes(decide(request(sent(end_on=end[0], end_time=end[1]))), TimeSeriesAssignment)
        assert found.valid_to == expected

    def test_replaces_what_is_stored_when_it_is_complete(self) -> None:
        old = stored(valid_from=START - timedelta(days=9), valid_to=START)
        outcome = decide(request(sent()), device(), register(valid_from=date(2025, 1, 1)), old)
        assert changes(outcome, Remove) == [Remove(TimeSeriesAssignment, old.key)]

    def test_adds_to_what_is_stored_when_it_is_not(self) -> None:
        old = stored(valid_from=START - timedelta(days=9), valid_to=START)
        outcome = decide(request(sent(), complete=False), device(), register(), old)
        assert changes(outcome, Remove) == []
        assert len(changes(outcome, TimeSeriesAssignment)) == 1

    def test_replaces_what_it_names_by_start(self) -> None:
        shorter = sent(end_on=date(2026, 3, 31))
        later = sent(start_on=date(2026, 4, 1), measurement_task_id=OTHER_TASK)
        there = (device(), register(), register(measurement_task_id=OTHER_TASK, reading_type="1-0:1.8.0*255"))
        found = changes(decide(request(shorter, later, complete=False), *there, stored()), TimeSeriesAssignment)
        assert [each.valid_to for each in found] == [datetime(2026, 3, 31, 22, tzinfo=UTC), None]

    def test_that_comes_again_changes_nothing(self) -> None:
        outcome = decide(request(sent()), device(), register(), stored())
        assert outcome == Done()

    def test_passes_over_roles_that_the_setting_names(self) -> None:
        nowhere = sent(role_code="09", measurement_task_id="1")
        [found] = changes(decide(request(nowhere, sent())), TimeSeriesAssignment)
        assert found.measurement_task_id == TASK

    def test_without_any_ends_the_export_of_all_there_are(self) -> None:
        old = stored(valid_from=START - timedelta(days=9), valid_to=START)
        outcome = decide(request(complete=False), device(), register(), old, stored())
        assert changes(outcome, TimeSeriesAssignment) == [replace(old, exported=False), stored(exported=False)]
        assert decide(request(), device(), register(), stored(exported=False)) == Done()
        assert decide(request()) == Done()


class TestALook:
    def since(self, *roles: SentRole, before: TimeSeriesAssignment | None = None, **facts: Any) -> date | None:
        loaded = (device(), register(), *([before] if before else []))
        looks = changes(decide(request(*roles, **facts), *loaded), TimeSeriesLook)
        assert all(each.onward and each.due_at == NOW for each in looks)
        return looks[0].day if looks else None

    def test_begins_the_day_before_what_is_new(self) -> None:
        assert self.since(sent(start_on=date(2026, 3, 20))) == date(2026, 3, 19)

    def test_goes_no_further_back_than_the_setting_says(self) -> None:
        assert self.since(sent()) == date(2026, 2, 15)

    def test_begins_where_an_end_has_moved(self) -> None:
        before = stored(valid_to=datetime(2026, 3, 24, 23, tzinfo=UTC))
        assert self.since(sent(end_on=date(2026, 3, 27)), before=before) == date(2026, 3, 24)
        assert self.since(sent(end_on=date(2026, 3, 21)), before=before) == date(2026, 3, 21)
        assert self.since(sent(), before=before) == date(2026, 3, 24)

    def test_begins_at_the_start_when_the_profile_itself_is_another(self) -> None:
        assert self.since(sent(start_on=date(2026, 3, 20)), unit="WH") == date(2026, 3, 19)

    def test_is_none_of_a_profile_that_stays_here(self) -> None:
        assert self.since(sent(), remotely_stored=True) is None


class TestARegisterThatIsNotThere:
    def test_is_waited_for(self) -> None:
        outcome = decide(request(sent()), device())
        assert isinstance(outcome, Park)
        assert (outcome.waits_for, outcome.until) == (task_arrival(SENDER, TASK), NOW + timedelta(minutes=30))
        assert outcome.otherwise.type_id == "160(MDUS)"
        assert outcome.waits_for in register().wakes
        assert outcome.waits_for not in register(sender_system="P12").wakes

    @pytest.mark.parametrize(
        ("valid_to", "is_there"), [(date(2026, 3, 1), False), (date(2026, 3, 2), True), (None, True)]
    )
    def test_in_the_time_of_the_role_is_not_there_either(self, valid_to: date | None, is_there: bool) -> None:
        outcome = decide(request(sent(start_on=date(2026, 3, 1))), device(), register(valid_to=valid_to))
        assert isinstance(outcome, Done) is is_there


class TestARequestThatCannotBe:
    def test_assigns_a_profile_twice_at_once(self) -> None:
        there = (device(), register(), register(measurement_task_id=OTHER_TASK, device_id=DEVICE))
        first = sent(end_on=date(2026, 3, 27), end_time=time(12))
        apart = sent(start_on=date(2026, 3, 27), start_time=time(12), measurement_task_id=OTHER_TASK)
        assert isinstance(decide(request(first, apart), *there), Done)
        within = replace(apart, start_time=time(11, 59, 59))
        assert refused(request(first, within), *there) == "161(MDUS)"

    def test_adds_to_a_list_what_meets_another(self) -> None:
        later = sent(start_on=date(2026, 3, 1))
        assert refused(request(later, complete=False), device(), register(), stored()) == "161(MDUS)"
        assert isinstance(decide(request(later), device(), register(), stored()), Done)

    def test_ends_before_it_starts(self) -> None:
        assert refused(request(sent(end_on=date(2026, 1, 1), end_time=time(0)))) == "106(MDUS)"
        assert isinstance(decide(request(sent(end_on=date(2026, 1, 1), end_time=time(0, 0, 1)))), Done)

    def test_names_a_number_that_is_on_two_channels_at_once(self) -> None:
        elsewhere = register(device_id="2", valid_from=date(2026, 3, 1))
        assert refused(request(sent()), device(), register(), elsewhere) == "162(MDUS)"
        until = register(valid_to=date(2026, 3, 1))
        assert isinstance(decide(request(sent()), device(), until, elsewhere), Done)

    def test_names_a_register_without_interval_values(self) -> None:
        assert refused(request(sent()), device(), register(reading_type="1-0:9.8.0*255")) == "163(MDUS)"

    def test_names_a_device_of_another_metering_system(self) -> None:
        assert refused(request(sent(ams_id="AM02"))) == "111(MDUS)"
        assert isinstance(decide(request(sent(ams_id="AM02")), device(ams_id=None), register()), Done)

    def test_names_a_device_without_load_profile(self) -> None:
        matrix = Capabilities(rows=(CapabilityRow(name="old", material_id="LX100", load_profile=False),))
        assert refused(request(sent()), device(), register(), matrix) == "150(MDUS)"
        assert isinstance(decide(request(sent()), device(material_id="LX200"), register(), matrix), Done)

    @pytest.mark.parametrize(
        ("facts", "type_id"),
        [
            pytest.param({"recurrence_code": "17"}, "122(MDUS)", id="unknown recurrence"),
            pytest.param({"recurrence_code": "0"}, "122(MDUS)", id="recurrence without intervals"),
            pytest.param({"unit": "XYZ"}, "121(MDUS)", id="unknown unit"),
            pytest.param({"total_digits": 2}, "115(MDUS)", id="more decimals than digits"),
            pytest.param({"total_digits": 0, "fraction_digits": 0}, "115(MDUS)", id="no digit"),
        ],
    )
    def test_says_what_no_table_explains(self, facts: dict[str, Any], type_id: str) -> None:
        assert refused(request(sent(), **facts)) == type_id

    @pytest.mark.parametrize(
        "facts",
        [
            {"recurrence_code": "015"},
            {"recurrence_code": None},
            {"unit": None},
            {"total_digits": 3},
            {"total_digits": None, "fraction_digits": None},
        ],
    )
    def test_is_not_one_that_leaves_things_out(self, facts: dict[str, Any]) -> None:
        assert isinstance(decide(request(sent(), **facts)), Done)


class TestTheWire:
    def test_is_read_as_sap_writes_it(self) -> None:
        root = catalog().root(ASSIGN)
        body = time_series(role("2026-03-28T06:30:15", "2026-03-31T24:00:00"), complete=False, remotely_stored=True)
        bound = bind(Request, etree.fromstring(f"<x>{body}</x>"))
        assert root.name == service.SERVICE.name
        assert bound == request(
            sent(
                start_on=date(2026, 3, 28),
                start_time=time(6, 30, 15),
                end_on=date(2026, 3, 31),
                end_time=time.max,
            ),
            complete=False,
            remotely_stored=True,
        )

    def test_is_read_without_what_may_be_missing(self) -> None:
        body = time_series(recurrence=None, unit=None, decimals=None)
        bound = bind(Request, etree.fromstring(f"<x>{body}</x>"))
        assert (bound.complete, bound.roles, bound.unit, bound.fraction_digits) == (True, (), None, None)
