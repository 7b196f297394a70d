"""What is forgotten when its time is over, in bounded batches; nothing that somebody still waits for.

| what                  | goes when                            | stays while                                           |
|-----------------------|--------------------------------------|-------------------------------------------------------|
| body of a message     | `payload_days` after it was stored   | a message with its bytes is under way or unconfirmed  |
| body of a delivery    | `payload_days` after it was received | it has no place yet, or tells what no table explains  |
| message with its keys | `key_days` after it was stored       | an item of it is open, or an order or device needs it |
| command with intents  | `key_days` after it ended            | its item, its open reading order or its limit is here |
| provisioning          | `key_days` after it ended            | it is what its head end was told last of the meter    |
| load control event    | `key_days` after it was over         | it is not settled                                     |
| closed case           | `case_days` after it was closed      | it is a group with members                            |
| deeds                 | `audit_days`                         |                                                       |
| figures of days       | `kpi_days`                           |                                                       |

Of a body its hash stays as long as the keys do, so that a late repeat is known to be one. All other tables are in
`KEPT`, each with the reason why nothing of it goes here: a test wants every table in one of the two.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, func, literal_column, or_, select, update

from mdus.domain.command import ENDED, CommandKind, CommandStatus, OwnerKind
from mdus.domain.end_device_control import ControlStatus
from mdus.domain.load_control_event import LONGEST_MINUTES
from mdus.domain.meter_reading_document import DocumentStatus
from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.storage.audit import AUDIT
from mdus.storage.command import COMMAND, COMMAND_INTENT, HEAD_END_DELIVERY
from mdus.storage.delivery import DeliveryStatus
from mdus.storage.device_limit import DEVICE_LIMIT
from mdus.storage.end_device_control import END_DEVICE_CONTROL
from mdus.storage.exception_work import EXCEPTION_HISTORY
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.figures import first_since
from mdus.storage.keys import among
from mdus.storage.kpi import KPI_DAY
from mdus.storage.load_control_event import LOAD_CONTROL_EVENT
from mdus.storage.message import BODY, ITEM, MESSAGE, MESSAGE_EVENT
from mdus.storage.meter_reading_document import METER_READING_DOCUMENT
from mdus.storage.registry import END_DEVICE, END_DEVICE_STATUS
from mdus.storage.unmapped import UNMAPPED_VALUE

#: Messages nobody waits for any more: what we sent and SAP has not confirmed may have to be sent again.
_SETTLED: Final = (
    MessageStatus.COMPLETED,
    MessageStatus.REFUSED,
    MessageStatus.DUPLICATE,
    MessageStatus.CONFIRMED,
    MessageStatus.ABANDONED,
)
_ENDED_ITEMS: Final = (ItemStatus.CLOSED, ItemStatus.SENT, ItemStatus.ANSWERED)
_OPEN_DOCUMENTS: Final = (
    DocumentStatus.ORDERED,
    DocumentStatus.READ,
    DocumentStatus.AVAILABLE,
    DocumentStatus.RESULT_SENT,
)
_TOLD: Final = sorted(ENDED - {CommandStatus.CANCELLED})
_EMPTY: Final = b""

#: How many intents, a row per command and call, tell which commands there were at an instant: commands are given in
#: another order than they are made in, and one call alone may have a thousand.
_INTENTS_LOOKED_AT: Final = 10_000
_CASE, _DEVICE, _STATUS = EXCEPTION_CASE.table, END_DEVICE.table, END_DEVICE_STATUS.table
_DOCUMENT, _CONTROL = METER_READING_DOCUMENT.table, END_DEVICE_CONTROL.table
_COMMAND, _LIMIT, _EVENT = COMMAND.table, DEVICE_LIMIT.table, LOAD_CONTROL_EVENT.table

#: The tables of which something is forgotten here.
FORGOTTEN: Final[tuple[Table, ...]] = (
    AUDIT,
    BODY,
    _COMMAND,
    COMMAND_INTENT,
    _CASE,
    EXCEPTION_HISTORY,
    HEAD_END_DELIVERY,
    KPI_DAY,
    _EVENT,
    MESSAGE,
    MESSAGE_EVENT,
    ITEM,
)

_REGISTRY: Final = "what SAP has told of its devices and where they hang, with the spans that bills rest on"
_VALUES: Final = "what meters showed, and what was made of it for bills: never deleted here"
_PROOF: Final = "proves what became of an order, an event or a value that SAP was told of"
_BOUNDED: Final = "a row per meter, head end, client or process: it does not grow with time"
_BY_HAND: Final = "made by people, few, and bills or cases rest on them"
_ITSELF: Final = "its worker deletes what is done, or over"

#: The tables of which nothing is forgotten here, with the reason.
KEPT: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "channel",
            "device_location",
            "end_device",
            "logical_location",
            "register",
            "time_series_assignment",
            "usage_point",
        ),
        _REGISTRY,
    ),
    **dict.fromkeys(
        ("billing_part", "day_temperature", "determinant", "interval_block", "meter_reading", "quality_set"), _VALUES
    ),
    **dict.fromkeys(
        (
            "end_device_control",
            "end_device_event",
            "exception_storm",
            "interval_edit",
            "meter_reading_document",
            "reading_verdict",
            "registration_resend",
            "switching_order",
            "time_series_day",
            "time_series_upload",
        ),
        _PROOF,
    ),
    **dict.fromkeys(
        (
            "access_token",
            "concentrator",
            "concentrator_meter",
            "end_device_status",
            "head_end_probe",
            "lease",
            "simulated_clock",
            "webhook",
        ),
        _BOUNDED,
    ),
    **dict.fromkeys(("determinant_set_assignment", "exception_rule_set", "mapping_version", "rule_set"), _BY_HAND),
    **dict.fromkeys(
        (
            "device_limit",
            "event_window",
            "idempotency_key",
            "news",
            "time_series_look",
            "unheard_time",
            "validation_look",
        ),
        _ITSELF,
    ),
    "unmapped_value": "waits for a table that explains it, and goes when it is read again or given up by a person",
    "job_run": "a few rows a day; says for good which slots of a job are done, so that none is done twice",
}


def _is_settled(message: Any, confirmed: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that nobody waits for a message; what SAP does not confirm ends when SAP has it.

    `confirmed` are the services of messages of ours that SAP confirms.
    """
    is_unanswered = message.c.service.not_in(sorted(confirmed))
    return or_(message.c.status.in_(_SETTLED), and_(message.c.status == MessageStatus.DELIVERED, is_unanswered))


def forget_bodies(
    connection: Connection, *, confirmed: Collection[str], before: datetime, after: int, limit: int
) -> tuple[int, int | None]:
    """Empty the bodies of the next settled messages stored before an instant, whose bytes no other message needs.

    Returns how many, and the identity to go on `after`, None where there are no more.
    """
    rows = connection.execute(
        select(MESSAGE.c.id, MESSAGE.c.content_hash)
        .where(MESSAGE.c.id > after, MESSAGE.c.stored_at < before)
        .order_by(MESSAGE.c.id)
        .limit(limit)
    ).all()
    hashes = {row.content_hash for row in rows if row.content_hash is not None}
    count = 0
    if hashes:
        other = MESSAGE.alias("other")
        is_needed = (
            select(other.c.id)
            .where(
                other.c.content_hash == BODY.c.content_hash,
                or_(other.c.stored_at >= before, ~_is_settled(other, confirmed)),
            )
            .exists()
        )
        emptied = update(BODY).where(BODY.c.content_hash.in_(hashes), func.length(BODY.c.data) > 0, ~is_needed)
        count = connection.execute(emptied.values(data=_EMPTY)).rowcount
    return count, rows[-1].id if len(rows) == limit else None


def forget_deliveries(connection: Connection, *, before: datetime, after: int, limit: int) -> tuple[int, int | None]:
    """Empty the bodies of the next head ends' deliveries that have found their place; their hashes stay.

    One that tells something under a code that no table explains stays: it is read again once a table does.

    Returns how many, and the identity to go on `after`, None where there are no more.
    """
    table = HEAD_END_DELIVERY
    older = select(table.c.id).where(table.c.id > after, table.c.received_at < before).order_by(table.c.id).limit(limit)
    ids = connection.scalars(older).all()
    is_done = table.c.status.in_([DeliveryStatus.DONE.value, DeliveryStatus.ABANDONED.value])
    is_one = among(connection, [table.c.id], {(each,) for each in ids})
    is_explained = ~exists().where(UNMAPPED_VALUE.c.delivery_id == table.c.id)
    emptied = update(table).where(is_one, is_done, is_explained, func.length(table.c.data) > 0)
    count = connection.execute(emptied.values(data=_EMPTY)).rowcount if ids else 0
    return count, ids[-1] if len(ids) == limit else None


def first_message(connection: Connection, *, since: datetime) -> int:
    """Return the identity before that of the first message stored since an instant."""
    return max(first_since(connection, MESSAGE.c.stored_at, since) - 1, 0)


def first_delivery(connection: Connection, *, since: datetime) -> int:
    """Return the identity before that of the first delivery received since an instant."""
    return max(first_since(connection, HEAD_END_DELIVERY.c.received_at, since) - 1, 0)


def forget_messages(
    connection: Connection, *, confirmed: Collection[str], before: datetime, after: int, limit: int
) -> tuple[int, int | None]:
    """Delete the next messages stored before an instant, with items, keys and events, that nothing needs any more.

    Returns how many, and the identity to go on `after`, None where there are no more.
    """
    looked_at = connection.execute(
        select(MESSAGE.c.id, MESSAGE.c.status, _is_settled(MESSAGE, confirmed).label("is_settled"))
        .where(MESSAGE.c.id > after, MESSAGE.c.stored_at < before)
        .order_by(MESSAGE.c.id)
        .limit(limit)
    ).all()
    settled = [row.id for row in looked_at if row.is_settled]
    needed = _needed(connection, settled, confirmed)
    gone = [each for each in settled if each not in needed]
    _delete_messages(connection, gone)
    return len(gone), looked_at[-1].id if len(looked_at) == limit else None


def _needed(connection: Connection, messages: Sequence[int], confirmed: Collection[str]) -> set[int]:
    """Return those of the messages of which an item is open, or an order, a control or a device needs one."""
    if not messages:
        return set()
    is_ours = among(connection, [ITEM.c.message_id], {(each,) for each in messages})
    unregistered = and_(
        _DEVICE.c.create_item_id == ITEM.c.id,
        ~exists().where(
            _STATUS.c.sender_system == _DEVICE.c.sender_system,
            _STATUS.c.device_id == _DEVICE.c.device_id,
            _STATUS.c.registered_at.is_not(None),
        ),
    )
    needs = or_(
        ITEM.c.status.not_in(_ENDED_ITEMS),
        select(_DOCUMENT.c.id)
        .where(_DOCUMENT.c.order_item_id == ITEM.c.id, _DOCUMENT.c.status.in_(_OPEN_DOCUMENTS))
        .exists(),
        select(_CONTROL.c.id)
        .where(_CONTROL.c.item_id == ITEM.c.id, _CONTROL.c.status == ControlStatus.ORDERED)
        .exists(),
        select(_DEVICE.c.id).where(unregistered).exists(),
    )
    needed = set(connection.scalars(select(ITEM.c.message_id).where(is_ours, needs).distinct()))
    # A request goes after its answer, and after the copies that came of it.
    answer = MESSAGE.alias("answer")
    is_asked = among(connection, [answer.c.original_id], {(each,) for each in messages})
    needed |= set(
        connection.scalars(select(answer.c.original_id).where(is_asked, ~_is_settled(answer, confirmed)).distinct())
    )
    return needed


def _delete_messages(connection: Connection, messages: Sequence[int]) -> None:
    if not messages:
        return
    keys = {(each,) for each in messages}
    items = select(ITEM.c.id).where(among(connection, [ITEM.c.message_id], keys))
    connection.execute(delete(MESSAGE_EVENT).where(MESSAGE_EVENT.c.item_id.in_(items), _HAS_ITEM))
    connection.execute(
        delete(MESSAGE_EVENT).where(
            among(connection, [MESSAGE_EVENT.c.message_id], keys), MESSAGE_EVENT.c.item_id.is_(None)
        )
    )
    hashes = set(
        connection.scalars(
            select(MESSAGE.c.content_hash).where(
                among(connection, [MESSAGE.c.id], keys), MESSAGE.c.content_hash.is_not(None)
            )
        )
    )
    connection.execute(delete(ITEM).where(among(connection, [ITEM.c.message_id], keys)))
    connection.execute(delete(MESSAGE).where(among(connection, [MESSAGE.c.id], keys)))
    if hashes:
        is_named = select(MESSAGE.c.id).where(MESSAGE.c.content_hash == BODY.c.content_hash).exists()
        connection.execute(delete(BODY).where(BODY.c.content_hash.in_(hashes), ~is_named))


_HAS_ITEM: Final[ColumnElement[bool]] = literal_column("message_event.item_id IS NOT NULL")


def last_command(connection: Connection, *, before: datetime) -> int:
    """Return an identity up to which commands were made before an instant, as far as the intents of then tell."""
    end = first_since(connection, COMMAND_INTENT.c.at, before)
    lately = COMMAND_INTENT.c.id.between(end - _INTENTS_LOOKED_AT, end - 1)
    return connection.scalar(select(func.max(COMMAND_INTENT.c.command_id)).where(lately)) or 0


def forget_commands(
    connection: Connection, *, before: datetime, after: int, upto: int, limit: int
) -> tuple[int, int | None]:
    """Delete the next commands, as far as an identity, that ended before an instant, with their intents and events.

    Those stay whose owner may look at them again, and what each head end was told of a meter last: it may serve the
    meter long after SAP moved it. Returns how many went, and the identity to go on `after`, None where there are no
    more.
    """
    rows = connection.execute(
        select(_COMMAND.c.id, _COMMAND.c.owner_kind, _COMMAND.c.owner_key, _COMMAND.c.kind)
        .where(
            _COMMAND.c.id > after,
            _COMMAND.c.id <= upto,
            _COMMAND.c.ended_at < before,
            _COMMAND.c.status.in_([status.value for status in sorted(ENDED)]),
        )
        .order_by(_COMMAND.c.id)
        .limit(limit)
    ).all()
    owners: dict[OwnerKind, set[str]] = {}
    for row in rows:
        owners.setdefault(row.owner_kind, set()).add(row.owner_key)
    looking = _looking(connection, owners)
    last = _told_last(connection, {(row.id,) for row in rows if row.kind is CommandKind.PROVISION})
    gone = {(row.id,) for row in rows if (row.owner_kind, row.owner_key) not in looking and row.id not in last}
    if gone:
        for table, column in (
            (MESSAGE_EVENT, MESSAGE_EVENT.c.command_id),
            (COMMAND_INTENT, COMMAND_INTENT.c.command_id),
        ):
            connection.execute(delete(table).where(among(connection, [column], gone), column.is_not(None)))
        connection.execute(delete(_COMMAND).where(among(connection, [_COMMAND.c.id], gone)))
    return len(gone), rows[-1].id if len(rows) == limit else None


def _looking(connection: Connection, owners: Mapping[OwnerKind, Collection[str]]) -> set[tuple[OwnerKind, str]]:
    """Return those of the owners of commands that may look at them again."""
    items = {(int(key),) for key in owners.get(OwnerKind.ITEM, ())}
    limits = {(int(key),) for key in owners.get(OwnerKind.LIMIT, ())}
    documents = {tuple(key.split("/", 1)) for key in owners.get(OwnerKind.DOCUMENT, ())}
    found: set[tuple[OwnerKind, str]] = set()
    if items:
        there = connection.scalars(select(ITEM.c.id).where(among(connection, [ITEM.c.id], items)))
        found |= {(OwnerKind.ITEM, str(item)) for item in there}
    if limits:
        there = connection.scalars(select(_LIMIT.c.item_id).where(among(connection, [_LIMIT.c.item_id], limits)))
        found |= {(OwnerKind.LIMIT, str(item)) for item in there}
    if documents:
        by = [_DOCUMENT.c.sender_system, _DOCUMENT.c.document_id]
        is_open = _DOCUMENT.c.status.in_(_OPEN_DOCUMENTS)
        open_ones = connection.execute(select(*by).where(among(connection, by, documents), is_open))
        found |= {(OwnerKind.DOCUMENT, f"{system}/{document}") for system, document in open_ones}
    return found


def _told_last(connection: Connection, provisionings: Collection[tuple[int]]) -> set[int]:
    """Return those of the provisionings after which their head end was told nothing else of the meter.

    What was taken back was not told, what is under way may be taken back yet.
    """
    if not provisionings:
        return set()
    later = _COMMAND.alias("later")
    was_told_later = (
        select(later.c.id)
        .where(
            later.c.owner_key == _COMMAND.c.owner_key,
            literal_column("later.kind = 'provision'"),
            later.c.head_end == _COMMAND.c.head_end,
            later.c.serial_id == _COMMAND.c.serial_id,
            later.c.id > _COMMAND.c.id,
            later.c.status.in_(_TOLD),
        )
        .exists()
    )
    is_one = among(connection, [_COMMAND.c.id], provisionings)
    return set(connection.scalars(select(_COMMAND.c.id).where(is_one, _COMMAND.c.status.in_(_TOLD), ~was_told_later)))


def forget_load_control(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete events of load control that were over before an instant and are settled; those that began first lead."""
    is_over = _EVENT.c.start_at < before - timedelta(minutes=LONGEST_MINUTES)
    old = select(_EVENT.c.id).where(is_over, _EVENT.c.settled_at.is_not(None)).order_by(_EVENT.c.start_at).limit(limit)
    return connection.execute(delete(_EVENT).where(_EVENT.c.id.in_(old))).rowcount


def forget_cases(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete cases closed before an instant with their history; a group goes after its last member."""
    member = _CASE.alias("member")
    has_members = select(member.c.id).where(member.c.group_id == _CASE.c.id).exists()
    old = select(_CASE.c.id).where(_CASE.c.closed_at < before, ~has_members).order_by(_CASE.c.id).limit(limit)
    ids = connection.scalars(old).all()
    if ids:
        keys = {(each,) for each in ids}
        connection.execute(delete(EXCEPTION_HISTORY).where(among(connection, [EXCEPTION_HISTORY.c.case_id], keys)))
        connection.execute(delete(_CASE).where(among(connection, [_CASE.c.id], keys)))
    return len(ids)


def forget_deeds(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete deeds done before an instant."""
    old = select(AUDIT.c.id).where(AUDIT.c.at < before).order_by(AUDIT.c.id).limit(limit)
    return connection.execute(delete(AUDIT).where(AUDIT.c.id.in_(old))).rowcount


def forget_kpis(connection: Connection, *, before: date, limit: int) -> int:
    """Delete the figures of days before another."""
    old = select(KPI_DAY.c.id).where(KPI_DAY.c.day < before).order_by(KPI_DAY.c.id).limit(limit)
    return connection.execute(delete(KPI_DAY).where(KPI_DAY.c.id.in_(old))).rowcount
