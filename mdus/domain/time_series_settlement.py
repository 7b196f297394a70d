"""What becomes of values handed over to SAP once it has answered, and when their day is looked at again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from mdus.domain.exception_case import ExceptionCase, closed
from mdus.domain.interval_export import case_key
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.domain.time_series_upload import (
    VALUES_REFUSED,
    TimeSeriesDay,
    TimeSeriesLook,
    TimeSeriesUpload,
    UploadStatus,
)
from mdus.domain.value import Value


def taken(
    upload: TimeSeriesUpload, *, day: TimeSeriesDay | None, cases: Sequence[ExceptionCase], now: datetime
) -> tuple[Value, ...]:
    """Return what changes when SAP has the values: refusals of the day are forgotten, its `cases` closed."""
    changes: list[Value] = [replace(upload, status=UploadStatus.CONFIRMED, note=None)]
    if day is not None and day.refusals:
        changes.append(replace(day, refusals=0))
    return (*changes, *closed(cases, now=now))


def refused(
    upload: TimeSeriesUpload,
    *,
    day: TimeSeriesDay | None,
    look: TimeSeriesLook | None,
    note: str,
    policy: TimeSeriesPolicy,
    now: datetime,
) -> tuple[Value, ...]:
    """Return what changes when SAP refuses the values: it has what it had before, and they are made anew.

    That is after a pause; after as many refusals of a day as the policy says a case is opened instead: then a human
    must have it tried again.
    `look` is when the day is to be looked at anyway: one that leads to the next day still does.
    """
    changes: list[Value] = [replace(upload, status=UploadStatus.REFUSED, note=note)]
    refusals = 1 if day is None else day.refusals + 1
    if day is not None:
        changes.append(replace(day.taken_back(upload), refusals=refusals))
    if refusals >= policy.send_attempts:
        what = f"SAP refused values of profile {upload.time_series_id} of {upload.day}: {note}"
        key = case_key(upload.sender_system, upload.time_series_id, upload.day)
        return (*changes, ExceptionCase(kind=VALUES_REFUSED, case_key=key, opened_at=now, note=what))
    due_at = now + policy.resend_interval
    again = look or TimeSeriesLook(
        sender_system=upload.sender_system, time_series_id=upload.time_series_id, day=upload.day, due_at=due_at
    )
    return (*changes, replace(again, due_at=due_at))
