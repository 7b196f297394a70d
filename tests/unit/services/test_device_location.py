"""Device location: complete lists replace, incomplete ones change, none at all is a removal."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Any

import pytest

from mdus.domain.end_device import device_arrival
from mdus.domain.usage_point import DeviceLocation, LogicalLocation
from mdus.domain.value import Remove, Value
from mdus.messaging.addressed_device import SystemDiffers
from mdus.messaging.known import Known
from mdus.messaging.outcome import Done, Outcome, Park
from mdus.services import device_location
from mdus.services.device_location import Request, SentLogicalLocation
from mdus.settings import load_settings
from tests.unit.services.device_initialization import (
    DEVICE,
    NOW,
    SENDER,
    ZONES,
    known_device,
    location_request,
    only,
    origin,
    sent_location,
)

DAY = date(2026, 3, 28)  # the local day of NOW
OPEN = SentLogicalLocation(logical_installation_point_id="LL1", valid_from=date(2026, 1, 1))


def decide(request: Request, *loaded: object) -> Outcome:
    return device_location.decide(request, Known([ZONES], [known_device()], loaded), now=NOW)  # type: ignore[arg-type]


def at(point: str, start: date, end: date | None = None, **facts: Any) -> DeviceLocation:
    return DeviceLocation(
        sender_system=SENDER,
        device_id=DEVICE,
        installation_point_id=point,
        valid_from=start,
        valid_to=end,
        parent_installation_point_id="CO1",
        **{"country_code": "DE", **facts},
    )


def logical(point: str, start: date, end: date | None = None) -> LogicalLocation:
    return LogicalLocation(
        sender_system=SENDER,
        device_id=DEVICE,
        logical_installation_point_id=point,
        valid_from=start,
        valid_to=end,
    )


def spans_after(request: Request, stored: Iterable[Value]) -> list[tuple[str, date, date | None]]:
    """The device's locations once the notification is decided."""
    known = Known([ZONES], [known_device()], stored)
    known.after(device_location.decide(request, known, now=NOW))
    found = known.find(DeviceLocation, device_id=DEVICE)
    return sorted((x.installation_point_id, x.valid_from, x.valid_to) for x in found)


class TestADeviceNotThereYet:
    def test_is_waited_for_until_the_deadline_of_the_item(self) -> None:
        request = location_request(sent_location())
        outcome = device_location.decide(request, Known([ZONES]), now=NOW)
        assert isinstance(outcome, Park)
        assert (outcome.waits_for, outcome.until) == (device_arrival(SENDER, DEVICE), request.origin.park_until)
        assert outcome.otherwise.type_id == "110(MDUS)"

    def test_of_another_metering_system_is_refused(self) -> None:
        with pytest.raises(SystemDiffers):
            decide(location_request(sent_location(), ams_id="AM02"))


class TestALocation:
    def test_is_stored_with_its_address(self) -> None:
        sent = sent_location(house_id="12", postal_code="20095", city_name="Hamburg", time_zone_code="CET")
        assert only(decide(location_request(sent)), DeviceLocation) == at(
            "IP1", date(2026, 1, 1), house_id="12", postal_code="20095", city_name="Hamburg", time_zone_code="CET"
        )

    def test_told_again_changes_nothing(self) -> None:
        assert decide(location_request(sent_location()), at("IP1", date(2026, 1, 1))) == Done()

    @pytest.mark.parametrize(
        ("end", "refused"),
        [pytest.param(date(2026, 1, 1), True, id="no day"), pytest.param(date(2026, 1, 2), False, id="one day")],
    )
    def test_lasts_at_least_a_day(self, end: date, refused: bool) -> None:
        request = location_request(sent_location(valid_to=end))
        if refused:
            with pytest.raises(device_location.DatesReversed):
                decide(request)
        else:
            assert only(decide(request), DeviceLocation).valid_to == end


class TestACompleteList:
    def test_replaces_what_is_stored(self) -> None:
        stored = [at("IP1", date(2026, 1, 1)), at("IP0", date(2025, 1, 1), date(2026, 1, 1))]
        request = location_request(sent_location(installation_point_id="IP2", valid_from=date(2026, 2, 1)))
        assert spans_after(request, stored) == [("IP2", date(2026, 2, 1), None)]

    def test_may_hold_several_locations_one_after_the_other(self) -> None:
        moved = date(2026, 3, 1)
        request = location_request(
            sent_location(installation_point_id="IP2", valid_from=moved), sent_location(valid_to=moved)
        )
        assert spans_after(request, []) == [("IP1", date(2026, 1, 1), moved), ("IP2", moved, None)]

    def test_of_two_locations_at_once_is_refused(self) -> None:
        other = sent_location(installation_point_id="IP2", valid_from=date(2026, 3, 1))
        with pytest.raises(device_location.LocationsOverlap, match="2026-03-01"):
            decide(location_request(sent_location(valid_to=date(2026, 3, 2)), other))


class TestAnIncompleteList:
    def test_adds_to_what_is_stored(self) -> None:
        stored = [at("IP1", date(2026, 1, 1), date(2026, 2, 1))]
        sent = sent_location(installation_point_id="IP2", valid_from=date(2026, 2, 1))
        after = spans_after(location_request(sent, locations_complete=False), stored)
        assert after == [("IP1", date(2026, 1, 1), date(2026, 2, 1)), ("IP2", date(2026, 2, 1), None)]

    def test_replaces_what_it_names_by_point_and_start(self) -> None:
        request = location_request(sent_location(valid_to=date(2026, 2, 1)), locations_complete=False)
        after = spans_after(request, [at("IP1", date(2026, 1, 1))])
        assert after == [("IP1", date(2026, 1, 1), date(2026, 2, 1))]

    def test_that_overlaps_what_is_stored_is_refused(self) -> None:
        sent = sent_location(installation_point_id="IP2", valid_from=date(2026, 2, 1))
        with pytest.raises(device_location.LocationsOverlap):
            decide(location_request(sent, locations_complete=False), at("IP1", date(2026, 1, 1)))

    def test_of_logical_locations_alone_removes_nothing(self) -> None:
        request = location_request(locations_complete=False, logical_locations=(OPEN,))
        outcome = decide(request, at("IP1", date(2026, 1, 1)))
        assert outcome == Done(changes=(logical("LL1", date(2026, 1, 1)),))


class TestNoLocation:
    @pytest.mark.parametrize("complete", [True, False], ids=["complete", "incomplete"])
    def test_ends_the_open_spans_on_the_day_it_came(self, complete: bool) -> None:
        stored = (at("IP1", date(2026, 1, 1)), logical("LL1", date(2026, 1, 1)))
        outcome = decide(location_request(locations_complete=complete), *stored)
        assert outcome == Done(
            changes=(at("IP1", date(2026, 1, 1), DAY), logical("LL1", date(2026, 1, 1), DAY)),
        )

    def test_takes_the_day_from_the_senders_calendar(self) -> None:
        late = origin(received_at=datetime(2026, 3, 28, 23, 30, tzinfo=UTC))
        outcome = decide(location_request(origin=late), at("IP1", date(2026, 1, 1)))
        assert only(outcome, DeviceLocation).valid_to == date(2026, 3, 29)

    @pytest.mark.parametrize(
        ("end", "changed"),
        [
            pytest.param(date(2026, 3, 28), False, id="ended on that day"),
            pytest.param(date(2026, 3, 29), True, id="to end a day later"),
        ],
    )
    def test_leaves_what_has_ended(self, end: date, changed: bool) -> None:
        outcome = decide(location_request(), at("IP1", date(2026, 1, 1), end))
        assert outcome == Done(changes=(at("IP1", date(2026, 1, 1), DAY),) if changed else ())

    @pytest.mark.parametrize("start", [DAY, date(2026, 5, 1)], ids=["that day", "later"])
    def test_takes_back_what_would_begin(self, start: date) -> None:
        location = at("IP1", start)
        assert decide(location_request(), location) == Done(changes=(Remove(DeviceLocation, location.key),))

    def test_coming_again_changes_nothing(self) -> None:
        known = Known([ZONES], [known_device()], [at("IP1", date(2026, 1, 1))])
        known.after(device_location.decide(location_request(), known, now=NOW))
        assert device_location.decide(location_request(), known, now=NOW) == Done()


class TestLogicalLocations:
    def test_are_replaced_by_a_complete_list(self) -> None:
        old = logical("LL0", date(2025, 1, 1))
        request = location_request(sent_location(), logical_locations=(OPEN,), logical_locations_complete=True)
        outcome = decide(request, at("IP1", date(2026, 1, 1)), old)
        assert outcome == Done(changes=(Remove(LogicalLocation, old.key), logical("LL1", date(2026, 1, 1))))

    def test_stay_when_nothing_is_said_of_them(self) -> None:
        outcome = decide(location_request(sent_location()), at("IP1", date(2026, 1, 1)), logical("LL0", DAY))
        assert outcome == Done()

    def test_end_when_a_complete_list_is_empty(self) -> None:
        request = location_request(sent_location(), logical_locations_complete=True)
        outcome = decide(request, at("IP1", date(2026, 1, 1)), logical("LL0", date(2026, 1, 1)))
        assert outcome == Done(changes=(logical("LL0", date(2026, 1, 1), DAY),))

    def test_at_two_places_at_once_are_refused(self) -> None:
        other = SentLogicalLocation(logical_installation_point_id="LL2", valid_from=date(2026, 2, 1))
        with pytest.raises(device_location.LocationsOverlap):
            decide(location_request(sent_location(), logical_locations=(OPEN, other)))


class TestInstallationAndRemoval:
    @pytest.mark.parametrize(
        ("code", "instant"),
        [
            pytest.param(
                None, datetime(2026, 3, 29, 1, 30, tzinfo=UTC), id="the sender's zone, an hour of summer time"
            ),
            pytest.param("CET", datetime(2026, 3, 29, 1, 30, tzinfo=UTC), id="CET"),
            pytest.param("INDIA", datetime(2026, 3, 28, 22, 0, tzinfo=UTC), id="INDIA"),
        ],
    )
    def test_are_instants_in_the_zone_of_the_code(self, code: str | None, instant: datetime) -> None:
        sent = sent_location(installed_on=date(2026, 3, 29), installed_time=time(3, 30), modification_zone_code=code)
        assert only(decide(location_request(sent)), DeviceLocation).installed_at == instant

    def test_without_a_time_are_no_instants(self) -> None:
        sent = sent_location(removed_on=date(2026, 3, 29))
        assert only(decide(location_request(sent)), DeviceLocation).removed_at is None

    @pytest.mark.parametrize("field", ["time_zone_code", "modification_zone_code"])
    def test_of_an_unknown_zone_are_refused(self, field: str) -> None:
        with pytest.raises(device_location.TimeZoneUnknown, match="MOON"):
            decide(location_request(sent_location(**{field: "MOON"})))

    def test_know_the_zones_of_the_installations_table(self) -> None:
        policy = device_location.Policy.of(load_settings({}))
        assert policy.zone("INDIA", otherwise="Etc/UTC") == "Asia/Kolkata"
