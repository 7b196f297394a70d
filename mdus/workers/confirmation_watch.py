"""The job `confirmation_watch`: shows what is unanswered for too long, on either side, by age and service.

| case                  | what is found                                                                            |
|-----------------------|------------------------------------------------------------------------------------------|
| `sap_silent`          | messages we started that SAP has taken and not confirmed                                 |
| `delivery_stuck`      | messages to SAP that do not get through, though attempts go on                           |
| `request_unconfirmed` | requests of SAP's that should be decided or confirmed by now and are not                 |

One case per sender system and service, whatever the number of messages; what is found no more closes its case. What
is sent again, and when it is given up, is each service's own business.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from mdus.messaging.patterns import Service
from mdus.messaging.trace import Patience
from mdus.settings import Settings
from mdus.storage import unanswered
from mdus.storage.exception_case import keep_cases
from mdus.storage.session import Database
from mdus.storage.unanswered import Unanswered
from mdus.telemetry.metrics import UNANSWERED, UNANSWERED_AGE_SECONDS

SAP_SILENT: Final = "sap_silent"
DELIVERY_STUCK: Final = "delivery_stuck"
REQUEST_UNCONFIRMED: Final = "request_unconfirmed"

_SAYS: Final[Mapping[str, str]] = {
    SAP_SILENT: "messages SAP has taken and not confirmed",
    DELIVERY_STUCK: "messages that do not reach SAP",
    REQUEST_UNCONFIRMED: "requests of SAP not confirmed by us",
}


def run(database: Database, *, services: Mapping[str, Service], settings: Settings, now: datetime) -> str:
    """Look for what is unanswered, keep the cases and gauges by it; returns what was found."""
    patience = Patience.of(services, settings)
    silent_before, late_before = now - patience.sap, now - patience.us
    with database.read() as uow:
        found = {
            SAP_SILENT: unanswered.awaiting_sap(uow.connection, patience.confirmed_by_sap, before=silent_before),
            DELIVERY_STUCK: unanswered.undelivered(uow.connection, before=late_before),
            REQUEST_UNCONFIRMED: unanswered.awaiting_us(uow.connection, patience.confirmed_by_us, before=late_before),
        }
    notes = {
        (kind, f"{one.sender_system}/{one.service}"): _note(kind, one) for kind, some in found.items() for one in some
    }
    with database.begin() as uow:
        kept = keep_cases(uow.connection, list(_SAYS), notes, now=now)
    for kind, some in found.items():
        _measure(kind, some, services, now=now)
    counts = ", ".join(f"{sum(one.count for one in some)} {_SAYS[kind]}" for kind, some in found.items())
    return f"{counts}; {kept}"


def _note(kind: str, one: Unanswered) -> str:
    since = f"the oldest since {one.oldest:%Y-%m-%d %H:%M} UTC"
    return f"{one.count} {_SAYS[kind]}: {one.service} of {one.sender_system}, {since}"


def _measure(kind: str, found: list[Unanswered], services: Mapping[str, Service], *, now: datetime) -> None:
    """Set the gauges of every service, back to nothing where nothing was found."""
    for service in services:
        mine = [one for one in found if one.service == service]
        UNANSWERED.labels(kind, service).set(sum(one.count for one in mine))
        age = max(((now - one.oldest).total_seconds() for one in mine), default=0.0)
        UNANSWERED_AGE_SECONDS.labels(kind, service).set(age)
