"""The job `reconcile`: holds what SAP ordered, what MDUS knows and what head ends report against each other, nightly.

| side              | found                                                                                  |
|-------------------|----------------------------------------------------------------------------------------|
| SAP - MDUS        | devices without register, connection and reading orders that nobody works on any more  |
| MDUS - field      | devices never heard, silent, or heard and not registered                               |
| SAP - field       | breakers that stand otherwise than SAP was told                                        |
| MDUS - head end   | breakers a head end reports otherwise than we know them                                |

Each contradiction is a case; what is found no more closes its case. Nothing is repaired here: `registry_sync`
provisions, and a switch is never made good without an order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Final

import structlog

from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.head_end import HeadEnd
from mdus.domain.reconciliation import STATUS_MISSING, SWITCH_STATE_DIFFERS, Contradiction, compare_meters
from mdus.messaging.retry import TransientError, UncertainError
from mdus.storage import reconciliation
from mdus.storage.exception_case import keep_cases
from mdus.storage.mapping import chunks
from mdus.storage.session import Database

log = structlog.get_logger(__name__)

#: How long a new device may take until it has registers, was heard and is registered.
_SETTLED_AFTER: Final = timedelta(hours=24)

#: A meter not heard for so long is silent: three of its daily snapshots have not come.
_SILENT_AFTER: Final = timedelta(hours=72)

#: How long after it was due a reading order may go on without anybody looking.
_OVERDUE_AFTER: Final = timedelta(hours=24)

#: Cases of one kind; what is beyond is counted in one more.
_CASES: Final = 200

_DEVICES: Final = 1000


def run(database: Database, head_ends: Mapping[str, HeadEnd], *, now: datetime, day: date) -> str:
    """Compare all sides on a business date and keep the cases by it; returns what was found.

    A head end that does not answer is named; the cases about its meters stay as they are.
    """
    with database.read() as uow:
        sizes = reconciliation.sizes(uow.connection)
        found = [
            *reconciliation.devices_out_of_step(
                uow.connection, day=day, created_before=now - _SETTLED_AFTER, heard_before=now - _SILENT_AFTER
            ),
            *reconciliation.orders_without_work(uow.connection),
            *reconciliation.reports_contradicted(uow.connection),
            *reconciliation.documents_overdue(uow.connection, before=now - _OVERDUE_AFTER),
        ]
    kinds, unanswered = set(reconciliation.KINDS), []
    try:
        for name, head_end in head_ends.items():
            found += _compared(database, name, head_end)
        kinds |= {STATUS_MISSING, SWITCH_STATE_DIFFERS}
    except (TransientError, UncertainError) as error:
        log.warning("head_end_not_reconciled", reason=str(error))
        unanswered.append(str(error))
        found = [one for one in found if one.kind in kinds]
    with database.begin() as uow:
        kept = keep_cases(uow.connection, kinds, dict(_cases(found)), now=now)
    looked_at = ", ".join(f"{count} {name}" for name, count in sizes.items())
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(one.kind for one in found).items()))
    return "; ".join([f"{looked_at}: {counted or 'no contradiction'}", str(kept), *unanswered])


def _compared(database: Database, name: str, head_end: HeadEnd) -> list[Contradiction]:
    meters = {meter.serial_id: meter for meter in head_end.meters()}
    found: list[Contradiction] = []
    with database.read() as uow:
        devices = uow.load(EndDevice, ("head_end",), [(name,)], lock=False)
        switching = reconciliation.devices_being_switched(uow.connection, name)
        for some in chunks(devices, _DEVICES):
            keys = {(device.sender_system, device.device_id) for device in some}
            statuses = uow.load(EndDeviceStatus, EndDeviceStatus.KEY, keys, lock=False)
            by_key = {(status.sender_system, status.device_id): status for status in statuses}
            found += compare_meters(some, by_key, meters, switching=switching)
    return found


def _cases(found: list[Contradiction]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield a case per contradiction, and beyond a bound one that counts the rest of its kind."""
    counted: Counter[str] = Counter()
    for one in found:
        counted[one.kind] += 1
        if counted[one.kind] <= _CASES:
            yield (one.kind, one.key), one.note
    for kind, count in counted.items():
        if count > _CASES:
            yield (kind, "more"), f"{count - _CASES} more than the {_CASES} shown"
