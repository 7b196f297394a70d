"""What REST tells of the whole: differences found by `reconcile`, and figures of a system's day.

Every figure reads the devices of one system, or one day of something, by an index; none reads a history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, false, func, literal_column, or_, select

from mdus.domain.end_device_control import ControlStatus
from mdus.domain.meter_reading_document import DocumentStatus
from mdus.domain.reconciliation import STATUS_MISSING, SWITCH_STATE_DIFFERS
from mdus.storage import reconciliation
from mdus.storage.command import HEAD_END_DELIVERY
from mdus.storage.end_device_control import END_DEVICE_CONTROL
from mdus.storage.end_device_event import END_DEVICE_EVENT
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.interval_block import CHANNEL, INTERVAL_BLOCK
from mdus.storage.mapping import AnyRow
from mdus.storage.message import ITEM, MESSAGE
from mdus.storage.meter_reading_document import METER_READING_DOCUMENT
from mdus.storage.paging import Page, sorted_few
from mdus.storage.reading import METER_READING
from mdus.storage.registry import END_DEVICE, END_DEVICE_STATUS

#: Which two sides a kind of difference is between.
SIDES: Final[Mapping[str, str]] = {
    reconciliation.REGISTER_MISSING: "SAP - MDUS",
    reconciliation.ORDER_WITHOUT_WORK: "SAP - MDUS",
    reconciliation.DOCUMENT_OVERDUE: "SAP - MDUS",
    reconciliation.NEVER_HEARD: "MDUS - field",
    reconciliation.SILENT: "MDUS - field",
    reconciliation.NEVER_REGISTERED: "MDUS - field",
    reconciliation.REPORT_CONTRADICTED: "SAP - field",
    reconciliation.SWITCHED_OUTSIDE_SAP: "SAP - field",
    SWITCH_STATE_DIFFERS: "MDUS - head end",
    STATUS_MISSING: "MDUS - head end",
}

#: A meter not heard for so long is silent, as the job `reconcile` has it.
SILENT_AFTER: Final = timedelta(hours=72)

_DAY: Final = timedelta(days=1)

_CASE, _DEVICE, _STATUS = EXCEPTION_CASE.table, END_DEVICE.table, END_DEVICE_STATUS.table
_DOCUMENT, _CONTROL, _EVENT = METER_READING_DOCUMENT.table, END_DEVICE_CONTROL.table, END_DEVICE_EVENT.table

# In the words of the partial indexes: SQLite uses them for nothing else.
_IS_CURRENT: Final[ColumnElement[bool]] = literal_column("interval_block.is_current")
_IS_OURS: Final[ColumnElement[bool]] = literal_column("end_device_event.source = 'mdus'")
_MESSAGE_IS_DEAD: Final[ColumnElement[bool]] = literal_column("message.status = 'dead'")
_ITEM_IS_DEAD: Final[ColumnElement[bool]] = literal_column("message_item.status = 'dead'")
_DELIVERY_IS_DEAD: Final[ColumnElement[bool]] = literal_column("head_end_delivery.status = 'dead'")

#: A value was there in time, whatever SAP makes of it.
_READ: Final = (
    DocumentStatus.READ,
    DocumentStatus.RESULT_SENT,
    DocumentStatus.CONFIRMED,
    DocumentStatus.REJECTED,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """How many of how many."""

    count: int
    of: int

    @property
    def share(self) -> float | None:
        """Return the part of the whole, None where there is nothing."""
        return round(self.count / self.of, 4) if self.of else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """The figures of one system, as `figures` tells."""

    sender_system: str
    meters_read: Share
    reading_orders_in_time: Share
    switch_orders_executed: Share
    devices_registered: Share
    devices_silent: Share
    devices_never_heard: Share
    late_failures: int
    dead_messages: int
    dead_items: int


def differences(
    connection: Connection, page: Page, *, is_open: bool, kind: str | None, sender_system: str | None
) -> Sequence[AnyRow]:
    """Return the cases of `reconcile`; one that counts those beyond a bound belongs to no system."""
    conditions: list[ColumnElement[bool]] = [
        _CASE.c.kind.in_([kind] if kind else sorted(SIDES)),
        _CASE.c.closed_at.is_(None) if is_open else _CASE.c.closed_at.is_not(None),
    ]
    wanted = page.systems if sender_system is None else {sender_system} & set(page.systems or {sender_system})
    if wanted is not None:
        of_system = (_CASE.c.case_key.startswith(f"{one}/", autoescape=True) for one in sorted(wanted))
        conditions.append(or_(false(), *of_system))
    # By its key, for what a case is about is filled in after it was opened.
    query = select(_CASE).where(*conditions, *replace(page, systems=None).conditions(_CASE, {}))
    if is_open:
        return connection.execute(sorted_few(query, limit=page.limit, sort=page.sort)).all()
    return connection.execute(query.order_by(*page.sort.order(_CASE)).limit(page.limit)).all()


def figures(connection: Connection, sender_system: str, *, at: datetime, day: date, span: tuple[Any, Any]) -> Figures:
    """Return the figures of a system: of the day `day` before an instant, of the 24 hours up to it, and at it.

    `span` are the instants at which that day begins and ends. What is told of the past is what is known of it now: a
    meter that was silent then and has been heard since is not counted as silent.
    """
    devices = _devices(connection, sender_system, at=at, day=day + _DAY)
    return Figures(
        sender_system=sender_system,
        meters_read=_meters_read(connection, sender_system, day=day, span=span),
        reading_orders_in_time=_orders_in_time(connection, sender_system, at=at),
        switch_orders_executed=_switches(connection, sender_system, at=at),
        devices_registered=Share(count=devices.registered, of=devices.all),
        devices_silent=Share(count=devices.silent, of=devices.all),
        devices_never_heard=Share(count=devices.never_heard, of=devices.all),
        late_failures=_count(
            connection,
            _EVENT.c.id,
            _IS_OURS,
            _EVENT.c.sender_system == sender_system,
            _EVENT.c.told_at > at - _DAY,
            _EVENT.c.told_at <= at,
        ),
        dead_messages=_count(connection, MESSAGE.c.id, _MESSAGE_IS_DEAD, MESSAGE.c.sender_system == sender_system),
        dead_items=_count(connection, ITEM.c.id, _ITEM_IS_DEAD, ITEM.c.sender_system == sender_system),
    )


def dead_deliveries(connection: Connection) -> int:
    """Return how many deliveries of head ends were given up."""
    return _count(connection, HEAD_END_DELIVERY.c.id, _DELIVERY_IS_DEAD)


def _devices(connection: Connection, sender_system: str, *, at: datetime, day: date) -> AnyRow:
    """Return the devices in SAP's books on a day: all, registered, silent, and never heard."""
    joined = _DEVICE.outerjoin(
        _STATUS, and_(_STATUS.c.sender_system == sender_system, _STATUS.c.device_id == _DEVICE.c.device_id)
    )
    is_unheard = or_(_STATUS.c.first_heard_at.is_(None), _STATUS.c.first_heard_at > at)
    return connection.execute(
        select(
            func.count().label("all"),
            func.count().filter(_STATUS.c.registered_at <= at).label("registered"),
            func.count().filter(_STATUS.c.last_heard_at <= at - SILENT_AFTER).label("silent"),
            func.count().filter(is_unheard).label("never_heard"),
        )
        .select_from(joined)
        .where(*_in_books(sender_system, day))
    ).one()


def _meters_read(connection: Connection, sender_system: str, *, day: date, span: tuple[Any, Any]) -> Share:
    """Return how many devices told a value of a day, of a register or of an interval."""
    reading, channel = METER_READING.table, CHANNEL.table
    has_reading = (
        select(reading.c.id)
        .where(
            reading.c.sender_system == sender_system,
            reading.c.device_id == _DEVICE.c.device_id,
            reading.c.measured_at > span[0],
            reading.c.measured_at <= span[1],  # the midnight that ends the day tells of it
        )
        .exists()
    )
    has_intervals = (
        select(INTERVAL_BLOCK.c.id)
        .join(channel, channel.c.id == INTERVAL_BLOCK.c.channel_id)
        .where(
            channel.c.sender_system == sender_system,
            channel.c.device_id == _DEVICE.c.device_id,
            INTERVAL_BLOCK.c.day == day,
            INTERVAL_BLOCK.c.present > 0,
            _IS_CURRENT,
        )
        .exists()
    )
    row = connection.execute(
        select(func.count().label("all"), func.count().filter(or_(has_reading, has_intervals)).label("read")).where(
            *_in_books(sender_system, day)
        )
    ).one()
    return Share(count=row.read, of=row.all)


def _orders_in_time(connection: Connection, sender_system: str, *, at: datetime) -> Share:
    """Return how many reading orders whose window closed in a day had a value by then; not those a person has read."""
    row = connection.execute(
        select(func.count().label("all"), func.count().filter(_DOCUMENT.c.status.in_(_READ)).label("read")).where(
            _DOCUMENT.c.sender_system == sender_system,
            _DOCUMENT.c.window_until > at - _DAY,
            _DOCUMENT.c.window_until <= at,
            _DOCUMENT.c.status.not_in([DocumentStatus.CANCELLED, DocumentStatus.ENTERED]),
        )
    ).one()
    return Share(count=row.read, of=row.all)


def _switches(connection: Connection, sender_system: str, *, at: datetime) -> Share:
    """Return how many devices that were to be switched in a day have been; not those SAP has taken back."""
    row = connection.execute(
        select(
            func.count().label("all"),
            func.count().filter(_CONTROL.c.status == ControlStatus.EXECUTED).label("executed"),
        ).where(
            _CONTROL.c.sender_system == sender_system,
            _CONTROL.c.effective_at > at - _DAY,
            _CONTROL.c.effective_at <= at,
            _CONTROL.c.status.not_in([ControlStatus.CANCELLED, ControlStatus.WITHDRAWN]),
        )
    ).one()
    return Share(count=row.executed, of=row.all)


def _in_books(sender_system: str, day: date) -> list[ColumnElement[bool]]:
    return [
        _DEVICE.c.sender_system == sender_system,
        _DEVICE.c.valid_from <= day,
        or_(_DEVICE.c.valid_to.is_(None), _DEVICE.c.valid_to > day),
    ]


def _count(connection: Connection, column: Any, *conditions: ColumnElement[bool]) -> int:
    return connection.scalar(select(func.count(column)).where(*conditions)) or 0
