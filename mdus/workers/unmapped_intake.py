"""Takes in what head ends tell under codes that no table explains, a whole batch at once: kept, counted, and shown.

A case per head end and code is open as long as anything is kept under it. Where a delivery is read again, by tables
that explain more, what they explain is no longer kept here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog

from mdus.contracts.printable import printable
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.head_end import Unmapped
from mdus.domain.unmapped import UnmappedCode, UnmappedSource, UnmappedValue
from mdus.storage import unmapped
from mdus.storage.session import UnitOfWork
from mdus.telemetry.metrics import UNMAPPED
from mdus.workers.told import Told

log = structlog.get_logger(__name__)

#: The longest code, and the longest value, unit or text that is kept; the delivery has all of it.
_LONGEST_CODE: Final = 400
_LONGEST_TEXT: Final = 1000


def take_unmapped(uow: UnitOfWork, told: Sequence[Told], *, now: datetime) -> None:
    """Keep what these deliveries tell under unknown codes; no statement where there is nothing of it."""
    again = {each.delivery_id for each in told if each.is_again}
    values = [_value(event, each) for each in told for event in each.events if isinstance(event, Unmapped)]
    if not values and not again:
        return
    kept = unmapped.keep(uow.connection, values, again=again)
    counts: Counter[tuple[str, str]] = Counter()
    for code, number in kept.new.items():
        counts[code.head_end, code.source.value] += number
        log.warning("code_unmapped", head_end=code.head_end, source=code.source.value, code=code.code, values=number)
    for labels, number in counts.items():
        UNMAPPED.labels(*labels).inc(number)
    uow.save([_case(code, now=now) for code in sorted(kept.new)])
    unmapped.close(uow.connection, kept.gone, now=now)


def _value(event: Unmapped, told: Told) -> UnmappedValue:
    """Return what is kept of an event; a source that MDUS does not know is held to be a channel."""
    known = event.source in tuple(UnmappedSource)
    return UnmappedValue(
        head_end=told.head_end,
        source=UnmappedSource(event.source) if known else UnmappedSource.CHANNEL,
        code=printable(event.code)[:_LONGEST_CODE],
        serial_id=printable(event.serial_id)[:_LONGEST_CODE],
        at=event.at,
        value=_text(event.value),
        unit=_text(event.unit),
        text=_text(event.text),
        delivery_id=told.delivery_id,
        received_at=told.received_at,
    )


def _text(text: str | None) -> str | None:
    return None if text is None else printable(text)[:_LONGEST_TEXT]


def _case(code: UnmappedCode, *, now: datetime) -> ExceptionCase:
    note = (
        f"{code.head_end} tells {code.source.value}s as {code.code!r}, which no table explains. Add the row: {code.row}"
    )
    return ExceptionCase(kind=code.source.case_kind, case_key=code.case_key, opened_at=now, note=note[:1000])
