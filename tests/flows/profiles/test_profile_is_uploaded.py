"""A profile's values go to SAP once, in its unit, on its grid."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from mdus.domain.end_device import EndDeviceStatus
from mdus.domain.interval_block import Layer
from mdus.domain.time_series_upload import TimeSeriesLook, TimeSeriesUpload, UploadStatus
from mdus.storage.interval_block import INTERVAL_BLOCK
from tests.flows.profiles.day_of_values import (
    CUT_OFF,
    GIVEN_UP,
    MIDNIGHT,
    NOON,
    OTHER_TASK,
    day_of,
    made_with,
    values_of,
)
from tests.flows.profiles.metering import CHANGE, CREATE, DEVICE, INTERVALS, SENDER, Metering, items_of, role, starts

QUARTER_HOURLY = """
[[interval_exports]]
name = "quarter_hourly"
recurrence = "15"
cadence_minutes = 15
cut_off_minutes = 5
complete_percent = 100
give_up_minutes = 60
"""


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
