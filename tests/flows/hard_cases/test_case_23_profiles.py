"""Case 23. A profile changes at noon, moves to another meter, is corrected after its upload, is told late.

SAP gets each value once, under the profile it belongs to: what it has already goes as a change, never as a second
creation, and what comes of a meter after its register has ended is nobody's.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.flows.profiles.metering import CHANGE, CREATE, DEVICE, PROFILE, Metering, role, starts

MIDNIGHT = datetime(2026, 3, 26, 23, tzinfo=UTC)  # 27 March begins in Berlin, a day of 24 hours
NOON, END = MIDNIGHT + timedelta(hours=12), MIDNIGHT + timedelta(days=1)
CUT_OFF = END + timedelta(hours=2)
QUARTER = timedelta(minutes=15)
NEW_METER, NEW_TASK, NEW_PROFILE = "000000000000000043", "000000000000100043", "000000000000000816"


@pytest.fixture
def metering(database_url: str, tmp_path: Path) -> Iterator[Metering]:
    """Two meters, each with a register of its own number."""
    made = Metering(database_url, tmp_path, now=MIDNIGHT)
    made.meter()
    made.meter(NEW_METER, task=NEW_TASK)
    yield made
    made.close()


def numbered(first: int, count: int) -> list[str]:
    return [f"0.{place:03}" for place in range(first, first + count)]


def values(sent: dict[str, str]) -> list[str]:
    return [told.split()[1] for told in sent.values()]


class TestAProfileThatChangesAtNoon:
    def test_is_cut_there_and_corrected_where_it_belongs(self, metering: Metering) -> None:
        metering.assign(role("2026-01-01T00:00:00", "2026-03-27T12:00:00"))
        metering.assign(role("2026-03-27T12:00:00"), profile=NEW_PROFILE)
        metering.deliver(MIDNIGHT, numbered(1, 96))
        metering.export(at=CUT_OFF)
        metering.confirm()
        assert list(metering.sent(CREATE)) == starts(MIDNIGHT, 48)
        assert list(metering.sent(CREATE, profile=NEW_PROFILE)) == starts(NOON, 48)

        metering.deliver(NOON - QUARTER, ["0.900", "0.901"])
        metering.export(at=CUT_OFF + timedelta(hours=1))
        assert metering.sent(CHANGE).keys() == {starts(NOON - QUARTER, 1)[0]}
        assert values(metering.sent(CHANGE)) == ["0.900"]
        assert values(metering.sent(CHANGE, profile=NEW_PROFILE)) == ["0.901"]
        # `sent` refuses what is created twice: the corrections were none of it.
        assert len(metering.sent(CREATE)) + len(metering.sent(CREATE, profile=NEW_PROFILE)) == 96


class TestAProfileThatMovesToAnotherMeter:
    def moved(self, metering: Metering) -> None:
        metering.assign(role("2026-01-01T00:00:00", "2026-03-27T12:00:00"), role("2026-03-27T12:00:00", task=NEW_TASK))

    def test_has_the_values_of_each_on_its_side_of_the_instant(self, metering: Metering) -> None:
        self.moved(metering)
        metering.deliver(MIDNIGHT, numbered(1, 96))
        metering.deliver(MIDNIGHT, numbered(501, 96), device=NEW_METER)
        metering.export(at=CUT_OFF)

        assert list(metering.sent(CREATE)) == starts(MIDNIGHT, 96)
        assert values(metering.sent(CREATE)) == numbered(1, 48) + numbered(549, 48)

    def test_takes_nothing_of_the_old_meter_that_comes_after_it_has_moved(self, metering: Metering) -> None:
        self.moved(metering)
        metering.deliver(MIDNIGHT, numbered(1, 48))
        metering.deliver(NOON, numbered(549, 48), device=NEW_METER)
        metering.export(at=CUT_OFF)
        metering.confirm()
        metering.deliver(NOON, numbered(49, 48))
        metering.export(at=CUT_OFF + timedelta(hours=1))

        assert metering.sap.messages(CHANGE) == []
        assert len(metering.sent(CREATE)) == 96


class TestDataAfterTheEndOfARegister:
    def test_is_nobodys_and_what_is_late_from_before_is_sent(self, metering: Metering) -> None:
        metering.assign(role())
        metering.meter(valid_to=date(2026, 3, 28))
        metering.deliver(MIDNIGHT, numbered(1, 90))
        metering.export(at=END + timedelta(days=1))
        metering.confirm()
        assert len(metering.sent(CREATE)) == 90

        metering.clock.instant = END + timedelta(days=3)
        metering.deliver(MIDNIGHT + 90 * QUARTER, numbered(91, 12))
        metering.export(at=END + timedelta(days=3, minutes=5))
        assert list(metering.sent(CREATE)) == starts(MIDNIGHT, 96)
        assert metering.sap.messages(CHANGE) == []


class TestACorrection:
    def test_before_sap_has_answered_waits_for_the_answer(self, metering: Metering) -> None:
        metering.assign(role())
        metering.deliver(MIDNIGHT, numbered(1, 96))
        metering.export(at=CUT_OFF)
        metering.deliver(MIDNIGHT, ["0.500"])
        metering.export(at=CUT_OFF + timedelta(hours=1))
        assert metering.sap.messages(CHANGE) == []

        metering.confirm()
        metering.export(at=CUT_OFF + timedelta(hours=2))
        assert values(metering.sent(CHANGE)) == ["0.500"]

    def test_of_what_sap_refused_is_created_again_and_not_changed(self, metering: Metering) -> None:
        metering.assign(role())
        metering.deliver(MIDNIGHT, numbered(1, 96))
        metering.export(at=CUT_OFF)
        metering.confirm(code="5")
        metering.deliver(MIDNIGHT, ["0.500"])
        metering.export(at=CUT_OFF + timedelta(hours=2))

        assert metering.sap.messages(CHANGE) == []
        *_, again = metering.sap.messages(CREATE)
        quantities = [Decimal(found.text or "") for found in again.iter("Quantity")]
        assert (len(metering.sap.messages(CREATE)), len(quantities), quantities[0]) == (2, 96, Decimal("0.5"))
        assert {found.text for found in again.iter("ID") if found.getparent().tag == "UtilitiesTimeSeries"} == {PROFILE}  # type: ignore[union-attr]

    def test_of_a_day_of_the_other_meter_stays_with_it(self, metering: Metering) -> None:
        metering.assign(role())
        metering.assign(role(task=NEW_TASK), profile=NEW_PROFILE)
        for device in (DEVICE, NEW_METER):
            metering.deliver(MIDNIGHT, numbered(1, 96), device=device)
        metering.export(at=CUT_OFF)
        metering.confirm()
        metering.deliver(MIDNIGHT, ["0.500"], device=NEW_METER)
        metering.export(at=CUT_OFF + timedelta(hours=1))

        assert metering.sent(CHANGE) == {}
        assert values(metering.sent(CHANGE, profile=NEW_PROFILE)) == ["0.500"]
