"""A profile that changes, or moves to another meter: each of its values goes to SAP for the one it is of."""

from __future__ import annotations

from datetime import date, timedelta

from mdus.domain.end_device import EndDeviceStatus
from tests.flows.profiles.day_of_values import (
    CUT_OFF,
    END,
    GIVEN_UP,
    MIDNIGHT,
    NOON,
    OTHER_DEVICE,
    OTHER_PROFILE,
    day_of,
    values_of,
)
from tests.flows.profiles.metering import CHANGE, CREATE, SENDER, Metering, role, starts


class TestAProfileThatChanges:
    def test_during_the_day_is_cut_to_the_instant(self, metering: Metering) -> None:
        metering.assign(role("2026-01-01T00:00:00", "2026-03-27T12:00:00"))
        metering.assign(role("2026-03-27T12:00:00"), profile=OTHER_PROFILE)
        metering.deliver(MIDNIGHT, day_of())
        metering.export(at=CUT_OFF)
        assert list(metering.sent(CREATE)) == starts(MIDNIGHT, 48)
        assert list(metering.sent(CREATE, profile=OTHER_PROFILE)) == starts(NOON, 48)

    def test_within_an_interval_goes_by_its_end(self, metering: Metering) -> None:
        metering.assign(role("2026-01-01T00:00:00", "2026-03-27T12:07:00"))
        metering.assign(role("2026-03-27T12:07:00"), profile=OTHER_PROFILE)
        metering.deliver(MIDNIGHT, day_of())
        metering.export(at=CUT_OFF)
        assert list(metering.sent(CREATE)) == starts(MIDNIGHT, 48)
        assert list(metering.sent(CREATE, profile=OTHER_PROFILE)) == starts(NOON, 48)

    def test_keeps_the_values_of_each_when_one_is_corrected(self, metering: Metering) -> None:
        self.test_during_the_day_is_cut_to_the_instant(metering)
        metering.confirm()
        metering.deliver(NOON - timedelta(minutes=15), ["0.500", "0.600"])
        metering.export(at=CUT_OFF + timedelta(hours=1))
        assert values_of(metering.sent(CHANGE)) == ["0.500"]
        assert values_of(metering.sent(CHANGE, profile=OTHER_PROFILE)) == ["0.600"]

    def test_its_unit_and_decimals_is_sent_again_as_changes(self, metering: Metering) -> None:
        metering.assign(role())
        metering.deliver(MIDNIGHT, day_of())
        metering.export(at=CUT_OFF)
        metering.confirm()
        metering.assign(role(), unit="WH", decimals=0)
        metering.export(at=CUT_OFF + timedelta(hours=1))
        changed = metering.sent(CHANGE)
        assert len(changed) == 96
        assert changed["2026-03-26T23:00:00Z"] == "2026-03-26T23:15:00Z 1 WH ACTL"
        assert len(metering.sap.messages(CREATE)) == 1


class TestAReplacement:
    """The logical register number moves to another device on 2026-03-28, whose clock SAP's dates go by."""

    def replaced(self, metering: Metering) -> None:
        metering.meter(valid_to=date(2026, 3, 28))
        metering.meter(OTHER_DEVICE, valid_from=date(2026, 3, 28))

    def test_leaves_neither_gap_nor_overlap(self, metering: Metering) -> None:
        metering.assign(role())
        self.replaced(metering)
        # Both meters go on telling, also of the time that is not theirs.
        metering.deliver(MIDNIGHT, [*day_of(), *day_of(first=500)])
        metering.deliver(MIDNIGHT, [*day_of(first=500), *day_of(first=200)], device=OTHER_DEVICE)
        metering.export(at=CUT_OFF)
        metering.confirm()
        metering.export(at=CUT_OFF + timedelta(days=1))
        sent = metering.sent(CREATE)
        assert list(sent) == starts(MIDNIGHT, 192)
        assert values_of(sent) == [*day_of(), *day_of(first=200)]
        assert metering.sap.messages(CHANGE) == []

    def test_told_late_is_caught_up(self, metering: Metering) -> None:
        metering.assign(role())
        metering.deliver(MIDNIGHT, day_of())
        metering.export(at=CUT_OFF)
        metering.confirm()
        metering.meter(valid_to=date(2026, 3, 28))
        metering.save(EndDeviceStatus(sender_system=SENDER, device_id=OTHER_DEVICE))
        metering.export(at=CUT_OFF + timedelta(days=2))
        assert metering.cases() == []

        metering.meter(OTHER_DEVICE, valid_from=date(2026, 3, 28))
        metering.deliver(END, day_of(first=200), device=OTHER_DEVICE)
        metering.export(at=CUT_OFF + timedelta(days=3))
        assert list(metering.sent(CREATE))[96:192] == starts(END, 96)

    def test_ends_the_old_meters_values_also_when_they_come_late(self, metering: Metering) -> None:
        metering.assign(role())
        metering.meter(valid_to=date(2026, 3, 28))
        metering.deliver(MIDNIGHT, day_of(90))
        metering.export(at=GIVEN_UP)
        metering.confirm()
        assert len(metering.sent(CREATE)) == 90

        metering.clock.instant = GIVEN_UP + timedelta(days=3)
        metering.deliver(MIDNIGHT + timedelta(minutes=15 * 90), day_of(12, first=91))
        metering.export(at=GIVEN_UP + timedelta(days=3, minutes=5))
        assert list(metering.sent(CREATE)) == starts(MIDNIGHT, 96)

    def test_within_a_day_puts_both_meters_into_it(self, metering: Metering) -> None:
        # SAP moves the profile to the logical register number of the new meter at the very minute.
        metering.meter(OTHER_DEVICE, task="000000000000100043")
        metering.assign(
            role("2026-01-01T00:00:00", "2026-03-27T12:00:00"),
            role("2026-03-27T12:00:00", task="000000000000100043"),
        )
        metering.deliver(MIDNIGHT, day_of(48))
        metering.deliver(NOON, day_of(48, first=200), device=OTHER_DEVICE)
        metering.export(at=CUT_OFF)
        assert values_of(metering.sent(CREATE)) == [*day_of(48), *day_of(48, first=200)]
        assert len(metering.sap.messages(CREATE)) == 1
