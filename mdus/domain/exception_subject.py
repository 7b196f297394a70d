"""What the key of an exception case names: a device, a reading order, a profile, an item, a head end's delivery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mdus.domain.end_device_event import EVENT_REFUSED, LateFailure
from mdus.domain.exception_case import CONFIRMATION_UNMATCHED
from mdus.domain.meter_reading_document import RESULT_REFUSED, RESULT_UNCONFIRMED
from mdus.domain.unmapped import UnmappedSource

#: The kinds whose keys are the number of an inbox item.
_ITEMS: Final = frozenset(
    {"dead_item", CONFIRMATION_UNMATCHED, LateFailure.LOCATION_FAILED.value, LateFailure.MESSAGE_FAILED.value}
)

#: The kinds whose keys end with a device: (sender system, order ..., device).
_ORDERS: Final = frozenset(
    {
        LateFailure.SWITCH_STATE_UNKNOWN.value,
        LateFailure.SWITCH_CONTRADICTION.value,
        "connection_order_without_work",
    }
)
_DOCUMENTS: Final = frozenset(
    {RESULT_REFUSED, RESULT_UNCONFIRMED, LateFailure.READING_MISSING.value, "meter_reading_document_overdue"}
)
_OF_PROFILES: Final = "profile_"
#: The kinds whose keys begin with a head end: deliveries without a place, meters SAP never told of, unknown codes.
_OF_HEAD_ENDS: Final = (
    "delivery_un",
    "meter_unknown",
    "meter_left_behind",
    *(each.case_kind for each in UnmappedSource),
)

#: The kinds that are about no one device: the key's first part is the sender system at most.
_OF_SYSTEMS: Final = frozenset({"sap_silent", "delivery_stuck", "request_unconfirmed", "changed_duplicate"})
_OF_NOTHING: Final = frozenset({"dead_message", "job_failed", "root_cause", "storm"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """What a key names. `device_id` may turn out to be none; then it may be a reading order."""

    sender_system: str | None = None
    device_id: str | None = None
    document_id: str | None = None
    time_series_id: str | None = None
    event_id: str | None = None
    item_id: int | None = None
    head_end: str | None = None


def named_in(kind: str, case_key: str) -> Named:
    """Return what the key of a case names. Of a kind not known here the first two parts are system and device."""
    first, slash, rest = case_key.partition("/")
    if kind in _ITEMS:
        return Named(item_id=int(case_key)) if case_key.isdecimal() else Named()
    if kind in _OF_NOTHING or not slash:
        return Named()
    if kind.startswith(_OF_HEAD_ENDS):
        return Named(head_end=first)
    if kind in _OF_SYSTEMS:
        return Named(sender_system=first)
    if kind == LateFailure.EVENT_STORM:
        return Named(sender_system=first, head_end=rest.rpartition("/")[0])
    second = rest.partition("/")[0]
    if kind == EVENT_REFUSED:
        return Named(sender_system=first, event_id=second)
    if kind in _DOCUMENTS:
        return Named(sender_system=first, document_id=rest)
    if kind.startswith(_OF_PROFILES):
        return Named(sender_system=first, time_series_id=rest.rpartition("/")[0] or rest)
    if kind in _ORDERS:
        return Named(sender_system=first, device_id=rest.rpartition("/")[2])
    return Named(sender_system=first, device_id=second, document_id=second)
