"""SAP assigns profiles to logical register numbers, and takes them back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mdus.domain.time_series import TimeSeriesAssignment
from tests.flows.profiles.metering import (
    ASSIGN,
    ASSIGNED,
    CODE,
    CREATE,
    Metering,
    role,
    texts,
    time_series,
)

MIDNIGHT = datetime(2026, 3, 26, 23, 0, tzinfo=UTC)
CUT_OFF = MIDNIGHT + timedelta(hours=26)
VALUES = ["0.125"] * 96


@pytest.fixture
def metering(database_url: str, tmp_path: Path) -> Iterator[Metering]:
    made = Metering(database_url, tmp_path, now=MIDNIGHT)
    yield made
    made.close()


class TestAnAssignment:
    def test_is_confirmed_at_once_under_its_own_uuid(self, metering: Metering) -> None:
        metering.meter()
        made = metering.tell(ASSIGN, time_series(role()))
        metering.rest()
        [confirmation] = metering.sap.messages(ASSIGNED)
        assert texts(confirmation, "MessageHeader/ReferenceUUID") == [made]
        assert texts(confirmation, "UtilitiesTimeSeries/ID") == ["000000000000000815"]
        assert texts(confirmation, CODE) == ["3"]

    def test_waits_for_the_register_that_has_its_number(self, metering: Metering) -> None:
        metering.tell(ASSIGN, time_series(role()))
        metering.rest()
        assert metering.sap.messages(ASSIGNED) == []

        metering.meter()
        metering.rest()
        assert texts(metering.sap.messages(ASSIGNED)[0], CODE) == ["3"]

    def test_is_not_woken_by_a_register_of_another_system(self, metering: Metering) -> None:
        metering.tell(ASSIGN, time_series(role()))
        metering.meter(sender="P12")
        metering.rest()
        assert metering.sap.messages(ASSIGNED) == []

    def test_fails_after_half_an_hour_without_one(self, metering: Metering) -> None:
        metering.tell(ASSIGN, time_series(role()))
        metering.rest()
        metering.clock.instant += timedelta(minutes=30)
        metering.rest()
        [confirmation] = metering.sap.messages(ASSIGNED)
        assert texts(confirmation, CODE, "Log/Item/TypeID") == ["5", "160(MDUS)"]

    def test_keeps_the_instants_of_its_roles(self, metering: Metering) -> None:
        metering.meter()
        metering.assign(role("2026-03-28T06:30:15", "2026-03-29T03:00:00"))
        [assignment] = metering.all(TimeSeriesAssignment)
        assert assignment.valid_from == datetime(2026, 3, 28, 5, 30, 15, tzinfo=UTC)
        assert assignment.valid_to == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)  # summer time by then


class TestTakingBack:
    def test_all_roles_ends_the_export(self, metering: Metering) -> None:
        metering.meter()
        metering.assign(role())
        metering.deliver(MIDNIGHT, VALUES)
        assert metering.assign() == ["3"]
        metering.export(at=CUT_OFF)
        assert metering.sap.messages(CREATE) == []

    def test_is_taken_back_by_assigning_again(self, metering: Metering) -> None:
        self.test_all_roles_ends_the_export(metering)
        assert metering.assign(role()) == ["3"]
        metering.export()
        assert len(metering.sent(CREATE)) == 96

    def test_a_role_that_a_complete_list_leaves_out_ends_its_values(self, metering: Metering) -> None:
        metering.meter()
        metering.assign(role("2026-01-01T00:00:00", "2026-03-27T12:00:00"), role("2026-03-27T12:00:00"))
        metering.assign(role("2026-03-27T12:00:00"))
        metering.deliver(MIDNIGHT, VALUES)
        metering.export(at=CUT_OFF)
        assert len(metering.sent(CREATE)) == 48


class TestAProfileThatStaysHere:
    def test_is_not_sent(self, metering: Metering) -> None:
        metering.meter()
        assert metering.assign(role(), remotely_stored=True) == ["3"]
        metering.deliver(MIDNIGHT, VALUES)
        metering.export(at=CUT_OFF)
        assert metering.sap.messages(CREATE) == []
