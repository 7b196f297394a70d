"""What the two services that send interval values share: their messages differ in nothing but the names of the roots.

```
workers/interval_export   an upload per profile and day: values SAP lacks (Create) or has otherwise (Change)
SAP   <--ItemBulkRequest--          of each profile one upload; values in the profile's unit, one status each
SAP   --ItemBulkConfirmation-->     overall 3, or the profile's code 3: SAP has the values
                                    else it has what it had before; made anew after a pause, then a case for a human
                                    silence: the same message again, then a case (workers/interval_export)
```
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar

from mdus.contracts.binding import wire
from mdus.contracts.log import ProcessingResultCode
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.interval_export import case_key
from mdus.domain.time_series_policy import TimeSeriesPolicy
from mdus.domain.time_series_settlement import refused, taken
from mdus.domain.time_series_upload import (
    VALUES_REFUSED,
    VALUES_UNCONFIRMED,
    Operation,
    TimeSeriesDay,
    TimeSeriesLook,
    TimeSeriesUpload,
    UploadStatus,
    runs_of,
)
from mdus.domain.value import Value
from mdus.messaging.answer import Answer
from mdus.messaging.known import Known
from mdus.messaging.log_types import accepted_types
from mdus.messaging.outcome import Done, Outcome
from mdus.messaging.patterns import Due, RequestSent
from mdus.messaging.sent_item import SentItem
from mdus.storage.session import UnitOfWork


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemStatus:
    """What kind of value it is."""

    code: str = wire("UtilitiesTimeSeriesItemTypeCode")


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One interval, [start, end), with its value and its status: the contract has many, SAP accepts one."""

    quantity: Decimal = wire("Quantity")
    unit: str = wire("Quantity/@unitCode")
    start_at: datetime = wire("UTCValidityStartDateTime")
    end_at: datetime = wire("UTCValidityEndDateTime")
    statuses: tuple[ItemStatus, ...] = wire("ItemStatus")


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """Values of one profile."""

    time_series_id: str = wire("UtilitiesTimeSeries/ID")
    items: tuple[Item, ...] = wire("UtilitiesTimeSeries/Item")


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """The same as it is stored: a tenth of what its items take as JSON."""

    time_series_id: str
    unit: str
    decimals: int
    runs: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation(Answer):
    """SAP's answer to the values of one profile."""

    time_series_id: str | None = wire("UtilitiesTimeSeries/ID")


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted(Value):
    """How TypeIDs of refusals begin that count as success."""

    KEY: ClassVar[tuple[str, ...]] = ()

    type_ids: tuple[str, ...] = ()


def service(operation: Operation, *, request: str, confirmation: str) -> RequestSent:
    """Return the service that sends values in one way, as many messages as hold them."""

    def select(uow: UnitOfWork, *, now: datetime, limit: int) -> Sequence[Due]:
        most = uow.settings.intervals.values_per_message
        return list(_in_parts(uow.time_series_due(operation, limit), most=most))

    def loaded(confirmations: Sequence[Confirmation], uow: UnitOfWork) -> Known:
        return load(confirmations, uow, accepted=Accepted(type_ids=accepted_types(uow.settings, service=request)))

    return RequestSent(
        bulk_request=request,
        bulk_confirmation=confirmation,
        content_shape=Content,
        packed_shape=Packed,
        select=select,
        build=build,
        unpack=unpack,
        shape=Confirmation,
        order_by="time_series_id",
        settled_by=lambda answer: answer.time_series_id,
        load=loaded,
        settle=settle,
    )


def _in_parts(uploads: Sequence[TimeSeriesUpload], *, most: int) -> Iterator[Due]:
    """Yield uploads with the part they go in: per sender system a new one when the values would be too many."""
    filled: dict[str, tuple[int, int]] = {}
    for upload in uploads:
        part, values = filled.get(upload.sender_system, (0, 0))
        if values and values + upload.count > most:
            part, values = part + 1, 0
        filled[upload.sender_system] = part, values + upload.count
        yield Due(
            subject=upload,
            sender_system=upload.sender_system,
            key=upload.time_series_id,
            attempt=upload.number,
            part=part,
            changes=(replace(upload, status=UploadStatus.SENT),),
        )


def build(upload: TimeSeriesUpload) -> Packed:
    """Return the content of an upload, packed."""
    return Packed(time_series_id=upload.time_series_id, unit=upload.unit, decimals=upload.decimals, runs=upload.content)


def unpack(packed: Packed) -> Content:
    """Return the wire content of what was packed."""
    items = []
    for run in runs_of(packed.runs):
        length = timedelta(minutes=run.minutes)
        for place, value in enumerate(run.values):
            start = run.start + place * length
            items.append(
                Item(
                    quantity=Decimal(value).scaleb(-packed.decimals),
                    unit=packed.unit,
                    start_at=start,
                    end_at=start + length,
                    statuses=(ItemStatus(code=run.status),),
                )
            )
    return Content(time_series_id=packed.time_series_id, items=tuple(items))


def load(confirmations: Sequence[Confirmation], uow: UnitOfWork, *, accepted: Accepted) -> Known:
    """Fetch the uploads SAP speaks of, what it has of their days, when these are looked at, and their cases."""
    answers = {
        (one.origin.sender_system, one.origin.answers, one.time_series_id)
        for one in confirmations
        if one.origin.answers is not None and one.time_series_id is not None
    }
    items = uow.sent_items(answers)
    numbers = {(item.sender_system, item.about, item.attempt) for item in items}
    uploads = uow.load(TimeSeriesUpload, TimeSeriesUpload.KEY, numbers)
    days = {(upload.sender_system, upload.time_series_id, upload.day) for upload in uploads}
    cases = {(kind, case_key(*day)) for day in days for kind in (VALUES_REFUSED, VALUES_UNCONFIRMED)}
    return Known(
        [TimeSeriesPolicy.of(uow.settings)],
        [accepted],
        items,
        uploads,
        uow.load(TimeSeriesDay, TimeSeriesDay.KEY, days),
        uow.load(TimeSeriesLook, TimeSeriesLook.KEY, days),
        uow.load(ExceptionCase, ExceptionCase.KEY, cases),
    )


def settle(confirmation: Confirmation, known: Known, *, now: datetime) -> Outcome:
    """Note that SAP has the values, or that it has what it had before, and have them made anew (SAP contract 3.8).

    - They are taken when the code of the whole message is 3, or the profile's is, or all TypeIDs of the profile's log
      are accepted by setting. Without a code of the whole message nothing of it is taken.
    - Refused values are made anew after a pause, from what is known by then; after as many refusals of a day as the
      setting says only by hand.
    - The first answer counts, also one that comes when nobody expects it any more.
    - What answers no message of ours opens a case: there is nothing to tell SAP.
    """
    upload = _answered(confirmation, known)
    if upload is None:
        what = f"values that were never sent: {confirmation.time_series_id or 'no profile'}"
        return Done(changes=(confirmation.unmatched(what, now=now),))
    if upload.status in (UploadStatus.CONFIRMED, UploadStatus.REFUSED):
        return Done()
    policy, accepted = known.one(TimeSeriesPolicy) or TimeSeriesPolicy(), known.one(Accepted) or Accepted()
    profile_day = (upload.sender_system, upload.time_series_id, upload.day)
    day, look = known.one(TimeSeriesDay, *profile_day), known.one(TimeSeriesLook, *profile_day)
    if _is_success(confirmation, accepted.type_ids):
        cases = known.find(ExceptionCase, case_key=case_key(*profile_day))
        return Done(changes=taken(upload, day=day, cases=cases, now=now))
    return Done(changes=refused(upload, day=day, look=look, note=confirmation.reason, policy=policy, now=now))


def _answered(confirmation: Confirmation, known: Known) -> TimeSeriesUpload | None:
    origin, about = confirmation.origin, confirmation.time_series_id
    items = known.find(SentItem, sender_system=origin.sender_system, message_key=origin.answers, about=about)
    if not items or about is None:
        return None
    return known.one(TimeSeriesUpload, origin.sender_system, about, items[0].attempt)


def _is_success(confirmation: Confirmation, accepted: tuple[str, ...]) -> bool:
    """Tell whether SAP took the values."""
    overall = _code(confirmation.origin.overall_code)
    if overall is None:
        return False
    if ProcessingResultCode.SUCCESSFUL in (overall, _code(confirmation.result_code)):
        return True
    return confirmation.says_only(accepted)


def _code(code: str | None) -> str | None:
    return None if code is None else code.lstrip("0") or None
