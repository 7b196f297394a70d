"""SAP's answer to values of a profile's day: what it has then, and when the day is looked at again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from mdus.domain.channel import MISSING
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.domain.time_series_settlement import refused, taken
from mdus.domain.time_series_upload import (
    VALUES_REFUSED,
    Operation,
    TimeSeriesDay,
    TimeSeriesLook,
    TimeSeriesUpload,
    UploadStatus,
)
from mdus.domain.value import Value

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
POLICY = TimeSeriesPolicy(send_attempts=3, resend_interval=timedelta(minutes=10))
UPLOAD = TimeSeriesUpload(
    sender_system="P11",
    time_series_id="7",
    number=1,
    day=date(2026, 3, 27),
    operation=Operation.CREATE,
    status=UploadStatus.SENT,
    unit="KWH",
    decimals=0,
    count=0,
    content="",
    made_at=NOW,
)
DAY = TimeSeriesDay(
    sender_system="P11",
    time_series_id="7",
    day=UPLOAD.day,
    time_zone="UTC",
    interval_minutes=60,
    unit="KWH",
    decimals=0,
    told=np.full(24, MISSING, dtype="<i8").tobytes(),
    statuses=bytes(24),
    refusals=1,
)
LOOK = TimeSeriesLook(sender_system="P11", time_series_id="7", day=UPLOAD.day, due_at=NOW + timedelta(minutes=10))
CASE = ExceptionCase(kind=VALUES_REFUSED, case_key="P11/7/2026-03-27", opened_at=NOW, note="why")


def refusal(day: TimeSeriesDay | None = DAY, *, look: TimeSeriesLook | None = None) -> tuple[Value, ...]:
    return refused(UPLOAD, day=day, look=look, note="no", policy=POLICY, now=NOW)


class TestTaken:
    def test_settles_the_upload_and_forgets_refusals(self) -> None:
        assert taken(UPLOAD, day=DAY, cases=[CASE], now=NOW) == (
            replace(UPLOAD, status=UploadStatus.CONFIRMED),
            replace(DAY, refusals=0),
            replace(CASE, closed_at=NOW),
        )

    def test_leaves_a_day_without_refusals_and_a_closed_case(self) -> None:
        settled = taken(UPLOAD, day=replace(DAY, refusals=0), cases=[replace(CASE, closed_at=NOW)], now=NOW)
        assert settled == (replace(UPLOAD, status=UploadStatus.CONFIRMED),)


class TestRefused:
    def test_is_counted_and_made_anew_after_a_pause(self) -> None:
        refused_upload = replace(UPLOAD, status=UploadStatus.REFUSED, note="no")
        assert refusal() == (refused_upload, replace(DAY, refusals=2), LOOK)

    @pytest.mark.parametrize("onward", [True, False])
    def test_keeps_what_the_look_that_is_planned_leads_to(self, *, onward: bool) -> None:
        planned = replace(LOOK, due_at=NOW + timedelta(days=1), onward=onward)
        assert refusal(look=planned)[-1] == replace(LOOK, onward=onward)

    def test_as_often_as_the_setting_says_opens_a_case_and_makes_nothing_anew(self) -> None:
        last = refusal(replace(DAY, refusals=2))[-1]
        note = "SAP refused values of profile 7 of 2026-03-27: no"
        assert last == ExceptionCase(kind=VALUES_REFUSED, case_key="P11/7/2026-03-27", opened_at=NOW, note=note)

    def test_of_a_day_nobody_knows_is_the_first(self) -> None:
        assert refusal(None) == (replace(UPLOAD, status=UploadStatus.REFUSED, note="no"), LOOK)
