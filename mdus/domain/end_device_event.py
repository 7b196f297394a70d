"""What a meter tells of itself, or MDUS of what failed after its one confirmation, on its way to SAP.

```
TOLD --sorted--> HELD --its device may be spoken of--> DUE --> SENT --SAP confirms, or never does--> ANSWERED
          |        |                                            |
          |        +--never registered--> WITHHELD              +--SAP refuses--> REFUSED, with a case
          +--not in config/event_types.toml--> WITHHELD
          +--a repetition, a storm--> SUPPRESSED
          +--of MDUS itself--> DUE (that a confirmation is undelivered: HELD until SAP takes other messages)
```
Nothing told is ever dropped: what is not sent is stored with the reason.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar, Final

from mdus.domain.value import Value

#: The source of events that no head end tells.
MDUS: Final = "mdus"

#: The kind of exception case of an event that SAP did not take.
EVENT_REFUSED: Final = "event_refused"


class EventState(StrEnum):
    """How far an event has come on its way to SAP."""

    TOLD = "told"  # stored; whether it goes to SAP is still to be decided
    HELD = "held"  # goes to SAP once its device is registered
    DUE = "due"  # goes with the next message
    WITHHELD = "withheld"  # does not go: nobody wants it, or it waited too long
    SUPPRESSED = "suppressed"  # does not go: a repetition, or one of too many
    SENT = "sent"  # in a message; SAP confirms only if its customizing says so
    ANSWERED = "answered"  # confirmed by SAP
    REFUSED = "refused"  # refused by SAP: a case is open


class EventReason(StrEnum):
    """Why an event does not go to SAP."""

    UNMAPPED = "unmapped"  # no row of config/event_types.toml is for its type
    UNWANTED = "unwanted"  # its row says that it is not sent
    EXPIRED = "expired"  # its device was not registered within events.held_days
    REPEATED = "repeated"  # the same was told shortly before
    STORM = "storm"  # one of too many of its type and area
    MOOT = "moot"  # what it was to tell is not so any more


class LateFailure(StrEnum):
    """What no confirmation can tell SAP, most of it failures: the type of the event, and the kind of its case."""

    LOCATION_FAILED = "location_failed"  # a location could not be stored
    MESSAGE_FAILED = "message_failed"  # another notification of SAP could not be carried out
    READING_MISSING = "reading_missing"  # an accepted reading order found no value
    READING_CONTRADICTION = "reading_contradiction"  # the meter shows otherwise than was estimated and told SAP
    SWITCH_STATE_UNKNOWN = "switch_state_unknown"  # a breaker's position could not be read back
    SWITCH_CONTRADICTION = "switch_contradiction"  # a breaker stands otherwise than SAP was told
    SWITCHED_OUTSIDE_SAP = "switched_outside_sap"  # a breaker was moved by an order that is not SAP's
    CONFIRMATION_UNTOLD = "confirmation_untold"  # a confirmation could not be delivered
    EVENT_STORM = "event_storm"  # more events of a type and area than SAP is to get


@dataclass(frozen=True, kw_only=True, slots=True)
class EndDeviceEvent(Value):
    """One event, under an id that is the same however often it is told.

    `event_type` is an IEC 61968-9 EndDeviceEventType (`d.d.d.d`), of MDUS's own events a LateFailure. `at` is when it
    happened, `happened_on` the same as a local date of the sender system (set when it is sorted). `source` is the head
    end or `mdus`; `area` what storms are counted by beside the type. `case_key` names the case that a late failure
    opened, whose kind is the event's type; of an undelivered confirmation it is the message's UUID.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "event_id")

    event_id: str
    sender_system: str
    device_id: str | None = None
    event_type: str
    at: datetime
    source: str
    area: str
    text: str | None = None
    properties: tuple[tuple[str, str], ...] = ()
    told_at: datetime
    happened_on: date | None = None
    state: EventState = EventState.TOLD
    reason: EventReason | None = None
    sent_at: datetime | None = None
    note: str | None = None  # why SAP refused it
    case_key: str | None = None

    @property
    def subject(self) -> str:
        """Return what an event is about, without what happened to it: device type, domain and subdomain of its code."""
        return self.event_type.rpartition(".")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class EventWindow(Value):
    """How many events of a type and area were let through and how many were not, in one span of time."""

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "area", "event_type", "window_from")

    sender_system: str
    area: str
    event_type: str
    window_from: datetime
    passed: int = 0
    suppressed: int = 0

    @property
    def case_key(self) -> str:
        """Return the key of the case of a storm of this type and area."""
        return f"{self.sender_system}/{self.area}/{self.event_type}"


def event_id(*, device: str, event_type: str, at: datetime, source: str) -> str:
    """Return the stable id of an event: 22 characters of base32 SHA-256 over device, type, instant and source."""
    digest = hashlib.sha256("\x1f".join((device, event_type, at.isoformat(), source)).encode()).digest()
    return base64.b32encode(digest).decode()[:22]


def late_failure(
    failure: LateFailure,
    *,
    sender_system: str,
    device_id: str | None,
    at: datetime,
    told_at: datetime,
    about: str,
    note: str,
    case_key: str | None = None,
) -> EndDeviceEvent:
    """Return the event by which a late failure reaches SAP, for SAP accepts only one confirmation per request.

    `about` names what failed (a document, an item, a command): the same failure at the same instant is one event.
    """
    return EndDeviceEvent(
        event_id=event_id(device=device_id or "", event_type=failure.value, at=at, source=about),
        sender_system=sender_system,
        device_id=device_id,
        event_type=failure.value,
        at=at,
        source=MDUS,
        area=MDUS,
        text=note,
        told_at=told_at,
        case_key=case_key,
    )
