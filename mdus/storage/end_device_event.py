"""Events of devices on their way to SAP, and the windows in which storms are counted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Index,
    Integer,
    bindparam,
    delete,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    text,
    update,
)

from mdus.domain.end_device_event import EndDeviceEvent, EventReason, EventState, EventWindow, LateFailure
from mdus.messaging.status import MessageStatus
from mdus.storage.column_types import EnumText
from mdus.storage.keys import among, given
from mdus.storage.mapping import ValueTable
from mdus.storage.message import ITEM, ITEM_IS_SENT, MESSAGE
from mdus.storage.paging import list_index
from mdus.storage.registry import END_DEVICE_STATUS, REGISTER


def _index(name: str, columns: Sequence[str], condition: str) -> Index:
    return Index(f"end_device_event_{name}", *columns, sqlite_where=text(condition), postgresql_where=text(condition))


END_DEVICE_EVENT = ValueTable(
    EndDeviceEvent,
    "end_device_event",
    keep="excluded.state = 'told'",  # told again: it has come further since
    indexes=[("sender_system", "device_id", "at")],
    constraints=[
        _index("told", ["id"], "state = 'told'"),
        _index("held", ["sender_system", "device_id"], "state = 'held'"),
        _index("due", ["id"], "state = 'due'"),
        list_index("end_device_event_listed", "sender_system", "state", always="state <> ''"),
        list_index("end_device_event_listed_type", "event_type", "sender_system", "state", always="state <> ''"),
        _index("listed_reason", ["reason", "sender_system", "state", "id"], "reason IS NOT NULL"),
        _index("listed_type_reason", ["event_type", "reason", "sender_system", "state", "id"], "reason IS NOT NULL"),
        _index("ours", ["sender_system", "told_at"], "source = 'mdus'"),
    ],
)
EVENT_WINDOW = ValueTable(EventWindow, "event_window", indexes=[("window_from",)])

#: What every row meets, and the indexes for lists are for: see `list_index`; and what those of reasons hold.
EVENT_IS_LISTED: Final = "end_device_event.state <> ''"
EVENT_HAS_REASON: Final = "end_device_event.reason IS NOT NULL"

_TABLE = END_DEVICE_EVENT.table
_WINDOW = EVENT_WINDOW.table

# Written out, because SQLite uses a partial index only where the query says the very words of the index.
EVENT_IS_TOLD: Final[ColumnElement[bool]] = literal_column("end_device_event.state = 'told'")
EVENT_IS_DUE: Final[ColumnElement[bool]] = literal_column("end_device_event.state = 'due'")
_IS_HELD: Final[ColumnElement[bool]] = literal_column("end_device_event.state = 'held'")

_DELIVERED: Final[ColumnElement[bool]] = literal_column("message.direction = 'out' AND message.status = 'delivered'")

#: Asked so often that making them anew costs more than their answers.
_ONE_TOLD: Final = select(_TABLE.c.id).where(EVENT_IS_TOLD).limit(1)
_DUE: Final = (
    END_DEVICE_EVENT.select()
    .where(EVENT_IS_DUE)
    .order_by(_TABLE.c.id)
    .limit(bindparam("most", type_=Integer))
    .with_for_update(skip_locked=True)
)

#: The number of the advisory lock of whoever sorts.
_SORTING: Final = 7306


def is_any_told(connection: Connection) -> bool:
    """Tell whether any event is still to be sorted; asked without waiting for a writer."""
    return connection.execute(_ONE_TOLD).first() is not None


def is_alone_in_sorting(connection: Connection) -> bool:
    """Take the turn to sort until the transaction ends; False while another process has it.

    Two that sort at once would each let the same repetition through.
    """
    if connection.dialect.name == "sqlite":
        return True
    return bool(connection.scalar(select(func.pg_try_advisory_xact_lock(_SORTING))))


def claim_told(connection: Connection, *, limit: int) -> list[EndDeviceEvent]:
    """Claim events to be sorted, in the order they came, until the transaction ends."""
    query = END_DEVICE_EVENT.select().where(EVENT_IS_TOLD).order_by(_TABLE.c.id).limit(limit).with_for_update()
    return END_DEVICE_EVENT.fetch(connection, query)


def near(connection: Connection, events: Collection[EndDeviceEvent], *, within: timedelta) -> list[EndDeviceEvent]:
    """Return the sorted events, repetitions left out, that the devices of these had about the time of theirs."""
    spans: dict[tuple[str, str], tuple[datetime, datetime]] = {}
    for event in events:
        if event.device_id is not None:
            device = (event.sender_system, event.device_id)
            first, last = spans.get(device, (event.at, event.at))
            spans[device] = (min(first, event.at), max(last, event.at))
    if not spans:
        return []
    like = (_TABLE.c.sender_system, _TABLE.c.device_id, _TABLE.c.at, _TABLE.c.at)
    rows = [(*device, first - within, last + within) for device, (first, last) in spans.items()]
    sender_system, device_id, starts_at, ends_at = given(connection, like, rows)
    query = END_DEVICE_EVENT.select().where(
        _TABLE.c.sender_system == sender_system,
        _TABLE.c.device_id == device_id,
        _TABLE.c.at.between(starts_at, ends_at),
        _TABLE.c.state != EventState.TOLD,
        or_(_TABLE.c.reason.is_(None), _TABLE.c.reason != EventReason.REPEATED),
    )
    return END_DEVICE_EVENT.fetch(connection, query.order_by(_TABLE.c.id))


def releasable(
    connection: Connection,
    *,
    registered_service: str,
    needs_register: bool,
    limit: int,
    devices: Collection[tuple[str, str]] | None = None,
) -> list[int]:
    """Return the held events whose devices may be spoken of, of all or only of these devices.

    That is when SAP has taken the registered notification of the device (a message of `registered_service`), and, with
    `needs_register`, one of its registers was valid on the day of the event.
    """
    status, register = END_DEVICE_STATUS.table, REGISTER.table
    registered = (
        select(status.c.id)
        .where(
            status.c.sender_system == _TABLE.c.sender_system,
            status.c.device_id == _TABLE.c.device_id,
            status.c.registered_at.is_not(None),
        )
        .exists()
    )
    on_its_way = (
        select(ITEM.c.id)
        .join(MESSAGE, MESSAGE.c.id == ITEM.c.message_id)
        .where(
            ITEM_IS_SENT,
            ITEM.c.ordering_key == _TABLE.c.sender_system + "/" + _TABLE.c.device_id,
            ITEM.c.direction == "out",
            ITEM.c.service == registered_service,
            MESSAGE.c.status.not_in([MessageStatus.DELIVERED, MessageStatus.CONFIRMED]),
        )
        .exists()
    )
    conditions: list[ColumnElement[bool]] = [_IS_HELD, registered, not_(on_its_way)]
    if needs_register:
        conditions.append(
            select(register.c.id)
            .where(
                register.c.sender_system == _TABLE.c.sender_system,
                register.c.device_id == _TABLE.c.device_id,
                register.c.valid_from <= _TABLE.c.happened_on,
                or_(register.c.valid_to.is_(None), register.c.valid_to > _TABLE.c.happened_on),
            )
            .exists()
        )
    if devices is not None:
        conditions.append(among(connection, [_TABLE.c.sender_system, _TABLE.c.device_id], devices))
    query = select(_TABLE.c.id).where(*conditions).order_by(_TABLE.c.id).limit(limit)
    return list(connection.scalars(query))


def expired(connection: Connection, *, told_before: datetime, limit: int) -> list[int]:
    """Return the events that were held too long."""
    query = select(_TABLE.c.id).where(_IS_HELD, _TABLE.c.told_at <= told_before).order_by(_TABLE.c.id).limit(limit)
    return list(connection.scalars(query))


def untold(connection: Connection, *, limit: int) -> tuple[list[int], list[int]]:
    """Return the held events of undelivered confirmations that may go, and those that are moot.

    One may go once SAP has taken another message since the confirmation was given up, and is moot once the confirmation
    is not given up any more.
    """
    confirmation = MESSAGE.alias()
    reached = (
        select(MESSAGE.c.id)
        .where(_DELIVERED, MESSAGE.c.ended_at > _TABLE.c.told_at, MESSAGE.c.sender_system == _TABLE.c.sender_system)
        .correlate(_TABLE)
        .exists()
    )
    query = (
        select(_TABLE.c.id, confirmation.c.status, reached.label("reached"))
        .join(confirmation, confirmation.c.uuid == _TABLE.c.case_key)
        .where(
            _IS_HELD,
            _TABLE.c.event_type == LateFailure.CONFIRMATION_UNTOLD.value,
            confirmation.c.direction == "out",
            confirmation.c.sender_system == _TABLE.c.sender_system,
        )
        .order_by(_TABLE.c.id)
        .limit(limit)
    )
    rows = connection.execute(query).all()
    ready = [row.id for row in rows if row.status is MessageStatus.DEAD and row.reached]
    return ready, [row.id for row in rows if row.status is not MessageStatus.DEAD]


def release(connection: Connection, ids: Collection[int]) -> int:
    """Make held events due; returns how many still were held."""
    return _move(connection, _held(connection, ids), EventState.DUE) if ids else 0


def withhold(connection: Connection, ids: Collection[int], reason: EventReason) -> int:
    """Withhold held events for good; returns how many still were held."""
    return _move(connection, _held(connection, ids), EventState.WITHHELD, reason=reason) if ids else 0


def _held(connection: Connection, ids: Collection[int]) -> Any:
    named = among(connection, [_TABLE.c.id], [(one,) for one in ids])
    return select(_TABLE.c.id).where(_IS_HELD, named).order_by(_TABLE.c.id).with_for_update()


def types_due(connection: Connection) -> list[tuple[str, str]]:
    """Return the sender systems and types of the events that go with the next message."""
    query = select(_TABLE.c.sender_system, _TABLE.c.event_type).where(EVENT_IS_DUE).distinct()
    return [(row.sender_system, row.event_type) for row in connection.execute(query)]


def withhold_due(connection: Connection, types: Collection[tuple[str, str]]) -> int:
    """Withhold the due events of these sender systems and types, which no row of the table is for any more."""
    of_types = among(connection, [_TABLE.c.sender_system, _TABLE.c.event_type], types)
    found = select(_TABLE.c.id).where(EVENT_IS_DUE, of_types).with_for_update()
    return _move(connection, found, EventState.WITHHELD, reason=EventReason.UNMAPPED)


def due(connection: Connection, *, limit: int) -> list[EndDeviceEvent]:
    """Claim the events that go with the next message, the oldest first, until the transaction ends."""
    return END_DEVICE_EVENT.fetch(connection, _DUE, {"most": limit})


def storms(connection: Connection, *, since: datetime) -> list[EventWindow]:
    """Return the windows since an instant in which events were suppressed, the oldest first."""
    query = EVENT_WINDOW.select().where(_WINDOW.c.window_from >= since, _WINDOW.c.suppressed > 0)
    return EVENT_WINDOW.fetch(connection, query.order_by(_WINDOW.c.window_from, _WINDOW.c.id))


def forget_windows(connection: Connection, *, before: datetime) -> None:
    """Delete windows that are long over: each event tells by itself what became of it."""
    connection.execute(delete(_WINDOW).where(_WINDOW.c.window_from < before))


def _move(connection: Connection, found: Any, state: EventState, *, reason: EventReason | None = None) -> int:
    reason_text = literal(reason, EnumText(EventReason))
    moved = connection.execute(update(_TABLE).where(_TABLE.c.id.in_(found)).values(state=state, reason=reason_text))
    return moved.rowcount
