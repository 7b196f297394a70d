"""A profile's values go to SAP once, in its unit, on its grid; what comes late or changes goes as it must."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.end_device import EndDeviceStatus
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.interval_block import Layer
from mdus.domain.time_series_upload import TimeSeriesLook, TimeSeriesUpload, UploadStatus
from mdus.storage.interval_block import INTERVAL_BLOCK
from tests.flows.profiles.metering import (
    CHANGE,
    CREATE,
    DEVICE,
    INTERVALS,
    PROFILE,
    SENDER,
    Metering,
    items_of,
    role,
    starts,
)

#: Local midnight in Berlin of 2026-03-27, a day of 24 hours; its noon, its end, and when its values are looked for.
MIDNIGHT = datetime(2026, 3, 26, 23, 0, tzinfo=UTC)
NOON = MIDNIGHT + timedelta(hours=12)
END = MIDNIGHT + timedelta(days=1)
CUT_OFF = END + timedelta(hours=2)
GIVEN_UP = END + timedelta(days=1)
OTHER_DEVICE, OTHER_PROFILE, OTHER_TASK = "000000000000000043", "000000000000000816", "000000000000100043"

QUARTER_HOURLY = """
[[interval_exports]]
name = "quarter_hourly"
recurrence = "15"
cadence_minutes = 15
cut_off_minutes = 5
complete_percent = 100
give_up_minutes = 60
"""
ZEROS = """
[[interval_exports]]
name = "daily"
gaps = "zero"
"""


@pytest.fixture
def metering(database_url: str, tmp_path: Path) -> Iterator[Metering]:
    made = Metering(database_url, tmp_path, now=MIDNIGHT)
    made.meter()
    yield made
    made.close()


def made_with(url: str, folder: Path, settings: str = "", **environ: str) -> Metering:
    made = Metering(url, folder, now=MIDNIGHT, settings=settings, **environ)
    made.meter()
    return made


def day_of(count: int = 96, *, first: int = 1) -> list[str]:
    """Values that tell their interval: 0.001, 0.002 ..."""
    return [f"0.{place:03}" for place in range(first, first + count)]


def values_of(sent: dict[str, str]) -> list[str]:
    return [told.split()[1] for told in sent.values()]


class TestADayOfValues:
    def test_is_created_once_and_confirmed(self, metering: Metering) -> None:
        assert metering.assign(role()) == ["3"]
        metering.deliver(MIDNIGHT, day_of())

        metering.export(at=CUT_OFF - timedelta(minutes=5))
        assert metering.sap.messages(CREATE) == []
        metering.export(at=CUT_OFF)
        sent = metering.sent(CREATE)
        assert list(sent) == starts(MIDNIGHT, 96)
        assert sent["2026-03-26T23:15:00Z"] == "2026-03-26T23:30:00Z 0.002 KWH ACTL"

        assert metering.confirm() == 1
        assert [upload.status for upload in metering.all(TimeSeriesUpload)] == [UploadStatus.CONFIRMED]
        metering.export(at=CUT_OFF + timedelta(hours=1))
        assert len(metering.sap.messages(CREATE)) == 1
        assert metering.sap.messages(CHANGE) == []
        assert metering.cases() == []

    def test_may_be_of_a_register_of_its_own(self, metering: Metering) -> None:
        metering.meter(task=OTHER_TASK, reading_type=INTERVALS, recurrence_code="15", factor=Decimal(2))
        assert metering.assign(role(task=OTHER_TASK)) == ["3"]
        metering.deliver(MIDNIGHT, day_of())
        metering.export(at=CUT_OFF)
        assert values_of(metering.sent(CREATE))[:3] == ["0.002", "0.004", "0.006"]

    def test_goes_before_its_time_for_nobody(self, metering: Metering) -> None:
        metering.assign(role())
        metering.deliver(MIDNIGHT, day_of(95))
        metering.export(at=CUT_OFF)
        metering.export(at=GIVEN_UP - timedelta(minutes=5))
        assert metering.sap.messages(CREATE) == []
        assert metering.cases() == []

    def test_is_looked_for_day_after_day(self, metering: Metering) -> None:
        metering.assign(role())
        for days in range(3):
            start = MIDNIGHT + timedelta(days=days)
            metering.deliver(start, day_of(first=days))
            metering.export(at=CUT_OFF + timedelta(days=days))
            metering.confirm()
        # The third of them is the day on which the clocks go forward.
        assert len(metering.sent(CREATE)) == 96 + 96 + 92
        assert len(metering.all(TimeSeriesLook)) == 1

    def test_is_marked_as_used(self, metering: Metering) -> None:
        metering.assign(role())
        metering.deliver(MIDNIGHT, day_of())
        metering.export(at=CUT_OFF)
        [raw, final] = sorted(metering.mdus.rows(INTERVAL_BLOCK), key=lambda block: block.layer, reverse=True)
        assert (raw.used, raw.version, raw.layer) == (False, 1, Layer.RAW)
        assert (final.used, final.version, final.layer) == (True, 1, Layer.FINAL)

    def test_that_came_before_the_assignment_is_sent_as_far_back_as_the_setting_says(
        self, database_url: str, tmp_path: Path
    ) -> None:
        metering = made_with(database_url, tmp_path, MDUS_INTERVALS__BACKFILL_DAYS="2")
        for days in range(-4, 0):
            metering.deliver(MIDNIGHT + timedelta(days=days), day_of())
        metering.clock.instant = MIDNIGHT + timedelta(hours=3)
        metering.assign(role())
        metering.export()
        sent = list(metering.sent(CREATE))
        assert sent == starts(MIDNIGHT - timedelta(days=3), 3 * 96)  # the third is the day of two days ago by the hour
        assert metering.cases() == []
        metering.close()

    def test_that_never_came_before_the_assignment_is_nobodys_fault(self, metering: Metering) -> None:
        metering.clock.instant = NOON
        metering.assign(role())
        metering.export()
        assert metering.cases() == []
        metering.export(at=GIVEN_UP)
        assert metering.cases() == ["profile_values_missing"]  # of the day that was still to come

    def test_of_no_device_that_sap_may_use_yet_is_held_back(self, metering: Metering) -> None:
        metering.save(EndDeviceStatus(sender_system=SENDER, device_id=DEVICE))
        metering.assign(role())
        metering.deliver(MIDNIGHT, day_of())
        metering.export(at=CUT_OFF)
        metering.export(at=GIVEN_UP)
        assert metering.sap.messages(CREATE) == []
        assert metering.cases() == []

        metering.save(EndDeviceStatus(sender_system=SENDER, device_id=DEVICE, registered_at=GIVEN_UP))
        metering.export(at=GIVEN_UP + timedelta(hours=1))
        assert len(metering.sent(CREATE)) == 96


class TestDaysOfOtherLengths:
    @pytest.mark.parametrize(
        ("midnight", "count"),
        [
            pytest.param(datetime(2026, 3, 28, 23, 0, tzinfo=UTC), 92, id="clocks go forward"),
            pytest.param(datetime(2026, 10, 24, 22, 0, tzinfo=UTC), 100, id="clocks go back"),
        ],
    )
    def test_have_all_their_intervals(self, database_url: str, tmp_path: Path, midnight: datetime, count: int) -> None:
        metering = Metering(database_url, tmp_path, now=midnight)
        metering.meter()
        metering.assign(role())
        metering.deliver(midnight, day_of(count))
        metering.export(at=midnight + timedelta(minutes=15 * count + 120))
        assert list(metering.sent(CREATE)) == starts(midnight, count)
        metering.close()

    def test_are_one_interval_when_the_values_are_daily(self, database_url: str, tmp_path: Path) -> None:
        midnight = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
        metering = Metering(database_url, tmp_path, now=midnight)
        metering.meter()
        metering.assign(role(), recurrence="1440")
        metering.deliver(midnight, ["12.5"], minutes=1440)
        metering.export(at=midnight + timedelta(hours=25))
        assert metering.sent(CREATE) == {"2026-03-28T23:00:00Z": "2026-03-29T22:00:00Z 12.500 KWH ACTL"}
        metering.close()


class TestACorrection:
    def uploaded(self, metering: Metering) -> None:
        metering.assign(role())
        metering.deliver(MIDNIGHT, day_of())
        metering.export(at=CUT_OFF)
        metering.confirm()

    def test_goes_as_a_change_of_what_differs(self, metering: Metering) -> None:
        self.uploaded(metering)
        metering.clock.instant = CUT_OFF + timedelta(days=3)
        metering.deliver(NOON, ["0.500", *day_of(3, first=50)])
        metering.export(at=CUT_OFF + timedelta(days=3, minutes=5))
        assert metering.sent(CHANGE) == {"2026-03-27T11:00:00Z": "2026-03-27T11:15:00Z 0.500 KWH ACTL"}
        assert len(metering.sap.messages(CREATE)) == 1

    def test_that_says_the_same_is_not_sent(self, metering: Metering) -> None:
        self.uploaded(metering)
        metering.deliver(MIDNIGHT, day_of())
        metering.export(at=CUT_OFF + timedelta(days=1))
        assert metering.sap.messages(CHANGE) == []

    def test_finer_than_the_profile_is_not_sent(self, metering: Metering) -> None:
        self.uploaded(metering)
        metering.deliver(MIDNIGHT, ["0.0019"])
        metering.export(at=CUT_OFF + timedelta(days=1))
        assert metering.sap.messages(CHANGE) == []

    def test_waits_until_sap_has_answered_for_the_day(self, metering: Metering) -> None:
        metering.assign(role())
        metering.deliver(MIDNIGHT, day_of())
        metering.export(at=CUT_OFF)
        metering.deliver(NOON, ["0.500"])
        metering.export(at=CUT_OFF + timedelta(minutes=20))
        assert metering.sap.messages(CHANGE) == []
        metering.confirm()
        metering.export(at=CUT_OFF + timedelta(minutes=40))
        assert values_of(metering.sent(CHANGE)) == ["0.500"]

    def test_of_long_ago_is_not_sent(self, metering: Metering) -> None:
        self.uploaded(metering)
        metering.clock.instant = CUT_OFF + timedelta(days=50)
        metering.deliver(NOON, ["0.500"])
        metering.export(at=CUT_OFF + timedelta(days=50, minutes=5))
        assert metering.sap.messages(CHANGE) == []

    def test_has_its_own_status(self, database_url: str, tmp_path: Path) -> None:
        rows = '[[item_statuses]]\nname = "estimated"\nquality = "*.8.*"\ncode = "ESTM"\n'
        metering = made_with(database_url, tmp_path, rows)
        self.uploaded(metering)
        metering.deliver(NOON, ["0.049"], qualities=["2.8.1"])
        metering.export(at=CUT_OFF + timedelta(days=1))
        assert metering.sent(CHANGE) == {"2026-03-27T11:00:00Z": "2026-03-27T11:15:00Z 0.049 KWH ESTM"}
        metering.close()


class TestValuesThatAreMissing:
    def test_are_read_from_the_meter_once_in_a_pause(self, metering: Metering) -> None:
        metering.assign(role())
        metering.deliver(MIDNIGHT, [*day_of(40), None, None, *day_of(54, first=43)])
        metering.export(at=CUT_OFF)
        metering.export(at=CUT_OFF + timedelta(minutes=15))
        [asked] = [one for one in metering.all(Command) if one.kind is CommandKind.READ_INTERVALS]
        assert (asked.device_id, asked.status) == (DEVICE, CommandStatus.READY)
        assert (asked.period_from, asked.period_to) == (
            MIDNIGHT + timedelta(hours=10),
            MIDNIGHT + timedelta(hours=10, minutes=30),
        )
        metering.deliver(MIDNIGHT + timedelta(hours=10), ["0.041", "0.042"])
        metering.export(at=CUT_OFF + timedelta(minutes=30))
        assert len(metering.sent(CREATE)) == 96
        assert metering.cases() == []

    def test_are_waited_for_then_told_and_the_others_go(self, metering: Metering) -> None:
        metering.assign(role())
        metering.deliver(MIDNIGHT, [*day_of(40), None, None, *day_of(54, first=43)])
        metering.export(at=GIVEN_UP)
        assert len(metering.sent(CREATE)) == 94
        [case] = [case for case in metering.all(ExceptionCase) if case.kind == "profile_values_missing"]
        assert case.note == (f"2 of 96 values of profile {PROFILE} are missing: 2026-03-27 09:00 to 09:30 UTC")
        metering.confirm()

        metering.clock.instant = GIVEN_UP + timedelta(days=5)
        metering.deliver(MIDNIGHT + timedelta(hours=10), ["0.041"])
        metering.export(at=GIVEN_UP + timedelta(days=5, minutes=5))
        assert list(metering.sent(CREATE))[94:] == ["2026-03-27T09:00:00Z"]
        metering.confirm()
        metering.deliver(MIDNIGHT + timedelta(hours=10, minutes=15), ["0.042"])
        metering.export(at=GIVEN_UP + timedelta(days=5, minutes=10))
        assert len(metering.sent(CREATE)) == 96
        assert metering.sap.messages(CHANGE) == []
        metering.confirm()
        metering.export(at=GIVEN_UP + timedelta(days=6))
        assert metering.cases(is_open=False) == ["profile_values_missing"]

    def test_all_of_them_may_come_late(self, metering: Metering) -> None:
        metering.assign(role())
        metering.export(at=GIVEN_UP)
        metering.export(at=GIVEN_UP + timedelta(days=2))
        metering.deliver(MIDNIGHT, day_of())
        metering.export(at=GIVEN_UP + timedelta(days=2, minutes=5))
        assert len(metering.sent(CREATE)) == 96

    def test_some_of_them_may_be_told_to_be_few_enough(self, database_url: str, tmp_path: Path) -> None:
        metering = made_with(database_url, tmp_path, '[[interval_exports]]\nname = "daily"\ncomplete_percent = 98.5\n')
        metering.assign(role())
        metering.deliver(MIDNIGHT, [*day_of(94), None, None])
        metering.export(at=CUT_OFF)
        assert metering.sap.messages(CREATE) == []
        metering.deliver(END - timedelta(minutes=30), ["0.095"])
        metering.export(at=CUT_OFF + timedelta(minutes=15))
        assert len(metering.sent(CREATE)) == 95
        assert metering.cases() == []
        metering.close()

    def test_go_as_zeros_where_the_setting_says_so_and_as_changes_when_they_come(
        self, database_url: str, tmp_path: Path
    ) -> None:
        metering = made_with(database_url, tmp_path, ZEROS)
        metering.assign(role())
        metering.deliver(MIDNIGHT, [*day_of(95), None])
        metering.export(at=GIVEN_UP)
        sent = metering.sent(CREATE)
        assert len(sent) == 96
        assert sent["2026-03-27T22:45:00Z"] == "2026-03-27T23:00:00Z 0.000 KWH INVL"
        metering.confirm()

        metering.deliver(END - timedelta(minutes=15), ["0.096"])
        metering.export(at=GIVEN_UP + timedelta(hours=1))
        assert metering.sent(CHANGE) == {"2026-03-27T22:45:00Z": "2026-03-27T23:00:00Z 0.096 KWH ACTL"}
        metering.close()


class TestAQuarterHourlyProfile:
    def test_sends_each_window_when_it_is_over(self, database_url: str, tmp_path: Path) -> None:
        metering = made_with(database_url, tmp_path, QUARTER_HOURLY)
        metering.assign(role())
        for place in range(3):
            start = MIDNIGHT + place * timedelta(minutes=15)
            metering.clock.instant = start + timedelta(minutes=16)
            metering.deliver(start, day_of(1, first=place))
            metering.export(at=start + timedelta(minutes=20))
            metering.confirm()
        assert list(metering.sent(CREATE)) == starts(MIDNIGHT, 3)
        assert len(metering.sap.messages(CREATE)) == 3
        metering.close()

    def test_keeps_no_later_window_waiting_for_one_that_is_not_complete(
        self, database_url: str, tmp_path: Path
    ) -> None:
        metering = made_with(database_url, tmp_path, QUARTER_HOURLY)
        metering.assign(role())
        metering.deliver(MIDNIGHT + timedelta(minutes=15), day_of(1))
        metering.export(at=MIDNIGHT + timedelta(minutes=35))
        assert list(metering.sent(CREATE)) == ["2026-03-26T23:15:00Z"]
        assert metering.cases() == []
        metering.confirm()
        metering.export(at=MIDNIGHT + timedelta(minutes=75))
        assert metering.cases() == ["profile_values_missing"]

        metering.deliver(MIDNIGHT, day_of(1))
        metering.export(at=MIDNIGHT + timedelta(minutes=95))
        assert list(metering.sent(CREATE))[-1] == "2026-03-26T23:00:00Z"
        metering.close()


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


class TestTheFactorOfARegister:
    def test_is_applied_exactly_once_before_the_value_is_cut(self, metering: Metering) -> None:
        metering.meter(factor=Decimal(40))
        metering.assign(role(), decimals=1)
        metering.deliver(MIDNIGHT, ["0.0049"] * 96)
        metering.export(at=CUT_OFF)
        assert set(values_of(metering.sent(CREATE))) == {"0.1"}  # 0.196, never rounded up
        assert sum(map(Decimal, values_of(metering.sent(CREATE)))) == Decimal("9.6")

    def test_is_left_out_where_the_head_end_has_applied_it(self, database_url: str, tmp_path: Path) -> None:
        rows = '[[load_profiles]]\nname = "active_import"\nfactor_applied_by = "head_end"\n'
        metering = made_with(database_url, tmp_path, rows)
        metering.meter(factor=Decimal(40))
        metering.assign(role())
        metering.deliver(MIDNIGHT, ["4.000"] * 96)
        metering.export(at=CUT_OFF)
        assert set(values_of(metering.sent(CREATE))) == {"4.000"}
        metering.close()

    def test_meets_the_unit_that_the_head_end_tells(self, metering: Metering) -> None:
        metering.meter(factor=Decimal(40))
        metering.assign(role())
        metering.deliver(MIDNIGHT, ["25"] * 96, unit="Wh")
        metering.export(at=CUT_OFF)
        assert set(values_of(metering.sent(CREATE))) == {"1.000"}


class TestTwoSapSystems:
    def test_each_have_their_own_profile_of_the_same_name(self, metering: Metering) -> None:
        metering.meter(sender="P12", factor=Decimal(2))
        assert metering.assign(role()) == ["3"]
        assert metering.assign(role(), sender="P12") == ["3"]
        metering.deliver(MIDNIGHT, day_of())
        metering.deliver(MIDNIGHT, ["0.500"] * 96, sender="P12")
        metering.export(at=CUT_OFF)
        assert values_of(metering.sent(CREATE)) == day_of()
        assert set(values_of(metering.sent(CREATE, sender="P12"))) == {"1.000"}
        assert metering.confirm() == 2
        assert {upload.status for upload in metering.all(TimeSeriesUpload)} == {UploadStatus.CONFIRMED}


class TestTheSizeOfAMessage:
    def assigned(self, metering: Metering, count: int) -> list[str]:
        profiles = [f"{number:018d}" for number in range(1, count + 1)]
        for profile in profiles:
            metering.meter(profile, task=profile)
            metering.assign(role(task=profile), profile=profile)
            metering.deliver(MIDNIGHT, day_of(), device=profile)
        return profiles

    def test_is_bounded_by_its_values(self, database_url: str, tmp_path: Path) -> None:
        metering = made_with(database_url, tmp_path, MDUS_INTERVALS__VALUES_PER_MESSAGE="200")
        profiles = self.assigned(metering, 5)
        metering.export(at=CUT_OFF)
        held = [
            [profile for profile in profiles if list(items_of(each, profile))] for each in metering.sap.messages(CREATE)
        ]
        assert sorted(held) == [profiles[:2], profiles[2:4], profiles[4:]]
        assert metering.confirm() == 3
        assert {upload.status for upload in metering.all(TimeSeriesUpload)} == {UploadStatus.CONFIRMED}
        metering.close()

    def test_parts_a_day_that_is_too_long_for_one(self, database_url: str, tmp_path: Path) -> None:
        metering = made_with(database_url, tmp_path, MDUS_INTERVALS__VALUES_PER_MESSAGE="50")
        metering.assign(role())
        metering.deliver(MIDNIGHT, day_of())
        metering.export(at=CUT_OFF)
        assert [len(list(items_of(each))) for each in metering.sap.messages(CREATE)] == [50, 46]
        assert list(metering.sent(CREATE)) == starts(MIDNIGHT, 96)
        metering.confirm()
        assert [upload.status for upload in metering.all(TimeSeriesUpload)] == [UploadStatus.CONFIRMED] * 2
        metering.close()

    def test_has_no_bearing_on_the_number_of_statements(self, database_url: str, tmp_path: Path) -> None:
        def statements(count: int) -> int:
            folder = tmp_path / str(count)
            folder.mkdir()
            metering = made_with(database_url, folder)
            self.assigned(metering, count)
            metering.clock.instant = CUT_OFF
            executed = noted(metering)
            metering.export()
            metering.close()
            return len([text for text in executed if "time_series" in text or "interval_block" in text])

        # The second also finds the profiles of the first, which are done.
        few, many = statements(3), statements(30)
        assert many <= few + 5


def noted(metering: Metering) -> Sequence[str]:
    """Every statement sent from now on."""
    executed: list[str] = []

    def note(*arguments: Any) -> None:
        executed.append(arguments[2])

    event.listen(metering.database.engine, "before_cursor_execute", note)
    return executed
