"""Values of a profile that come late, never or changed: SAP is sent what differs, and told what is missing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.exception_case import ExceptionCase
from tests.flows.profiles.day_of_values import CUT_OFF, END, GIVEN_UP, MIDNIGHT, NOON, day_of, made_with, values_of
from tests.flows.profiles.metering import CHANGE, CREATE, DEVICE, PROFILE, Metering, role

ZEROS = """
[[interval_exports]]
name = "daily"
gaps = "zero"
"""


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
