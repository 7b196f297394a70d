"""Judges a run by what SAP, the head end and the database say once all is at rest: one sentence per violation."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, func, select

from mdus.bootstrap import discover
from mdus.domain.command import ENDED, CommandStatus
from mdus.domain.end_device_control import ControlStatus
from mdus.domain.meter_reading_document import DocumentStatus
from mdus.messaging.patterns import RequestConfirmation
from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.storage.command import COMMAND, HEAD_END_DELIVERY
from mdus.storage.end_device_control import END_DEVICE_CONTROL
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.job import JOB_RUN
from mdus.storage.message import ITEM, MESSAGE
from mdus.storage.meter_reading_document import METER_READING_DOCUMENT
from mdus.storage.registry import END_DEVICE, END_DEVICE_STATUS
from mdus.storage.session import Database
from simulators.landscape.clients import Clients

#: Cases that are our defects, whatever the landscape did.
_DEFECTS = ("dead_item", "dead_message", "job_failed")

#: SAP's processes that MDUS confirms.
CONFIRMED = (
    "device_create",
    "register_create",
    "reading_order",
    "reading_cancellation",
    "connection_order",
    "connection_cancellation",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Everything the three sides say, read once."""

    view: dict[str, Any]
    devices: dict[str, dict[str, Any]]
    orders: dict[str, dict[str, Any]]
    documents: dict[str, dict[str, Any]]
    sent: list[dict[str, Any]]
    defects: list[dict[str, Any]]
    refusals: list[dict[str, Any]]
    switches: dict[str, dict[str, Any]]
    switch_counts: dict[str, dict[str, Any]]
    switch_orders: list[dict[str, Any]]
    cases: list[Any] = field(default_factory=list)

    @property
    def placed(self) -> int:
        """How many orders SAP placed: items of all messages that MDUS must confirm."""
        return sum(len(message["items"]) for message in self.sent if message["process"] in CONFIRMED)


def evidence(clients: Clients, database: Database) -> Evidence:
    """Read all three sides."""
    sap, head_end = clients.sap, clients.head_end
    with database.read() as uow:
        cases = list(uow.connection.execute(select(EXCEPTION_CASE.table)))
    return Evidence(
        view=sap.get("/control/view"),
        devices={device["id"]: device for device in sap.get("/control/devices")["devices"]},
        orders={order["id"]: order for order in sap.get("/control/orders")["orders"]},
        documents={document["id"]: document for document in sap.get("/control/documents")["documents"]},
        sent=sap.get("/control/messages")["sent"],
        defects=sap.get("/control/defects")["defects"],
        refusals=sap.get("/control/refusals")["refusals"],
        switches=head_end.get("/control/switches"),
        switch_counts=head_end.get("/control/switch_counts"),
        switch_orders=head_end.get("/control/commands", kind="switch")["commands"],
        cases=cases,
    )


def still_open(connection: Connection) -> dict[str, int]:
    """Count what MDUS has not brought to an end, by what it is; empty when nothing is left."""
    documents, controls = METER_READING_DOCUMENT.table, END_DEVICE_CONTROL.table
    unread = (DocumentStatus.ORDERED, DocumentStatus.READ, DocumentStatus.RESULT_SENT)
    under_way = (MessageStatus.RECEIVED, MessageStatus.READY, MessageStatus.SENDING)
    undecided = (ItemStatus.READY, ItemStatus.AWAITING, ItemStatus.PARKED, ItemStatus.DECIDED)
    counted = {
        **_count(connection, MESSAGE, "status", under_way),
        **_count(connection, ITEM, "status", undecided),
        **_count(connection, COMMAND.table, "status", set(CommandStatus) - ENDED),
        **_count(connection, documents, "status", unread),
        **_count(connection, controls, "status", (ControlStatus.ORDERED,)),
        **_count(connection, HEAD_END_DELIVERY, "status", ("ready", "unmatched")),
    }
    return {name: count for name, count in counted.items() if count}


def violations(seen: Evidence, connection: Connection) -> list[str]:
    """Return every way in which the run broke the promises: each order one outcome, no switch command twice."""
    return [
        *_of_messages(seen),
        *_of_devices(seen),
        *_of_reading_orders(seen, connection),
        *_of_connection_orders(seen),
        *_of_switch_commands(seen, connection),
        *_of_breakers(seen, connection),
        *_of_mdus(seen, connection),
    ]


def _of_messages(seen: Evidence) -> Iterator[str]:
    for defect in seen.defects:
        yield f"SAP found {defect['name']}: {defect['detail']} (key {defect['key']}, {defect['root']} {defect['uuid']})"
    for refusal in seen.refusals:
        if not refusal["expected"]:
            yield f"MDUS refused {refusal['process']} {refusal['uuid']}: {refusal['status']} {refusal['text']}"
    for message in seen.sent:
        if message["state"] != "delivered":
            yield f"message {message['uuid']} of {message['process']} is {message['state']}"
        if message["process"] not in CONFIRMED:
            continue
        for key in message["items"]:
            # A switch order that SAP has cancelled is answered by the cancellation's confirmation only.
            silent = message["process"] == "connection_order" and seen.documents[key]["status"] == "cancelled"
            if (key in message["confirmed"]) == silent:
                yield f"{message['process']} {key} in {message['uuid']}: {_outcomes(key in message['confirmed'])}"


def _outcomes(confirmed: bool) -> str:
    return "confirmed although cancelled" if confirmed else "not confirmed"


def _of_devices(seen: Evidence) -> Iterator[str]:
    for device in seen.devices.values():
        state = (device["status"], device["registers_status"], device["registered"])
        if state != ("confirmed", "confirmed", True):
            yield f"device {device['id']} is {state}"


def _of_reading_orders(seen: Evidence, connection: Connection) -> Iterator[str]:
    table = METER_READING_DOCUMENT.table
    ours = {row.document_id: row.status for row in connection.execute(select(table.c.document_id, table.c.status))}
    explained = {row.case_key.rpartition("/")[2] for row in seen.cases if row.kind == "reading_missing"}
    allowed: dict[tuple[str, str | None], Collection[DocumentStatus | None]] = {
        ("result", "3"): (DocumentStatus.CONFIRMED,),
        ("cancelled", None): (DocumentStatus.CANCELLED,),
        ("cancelled", "3"): (DocumentStatus.CANCELLED, DocumentStatus.CONFIRMED),
        ("cancelled", "5"): (DocumentStatus.CANCELLED, DocumentStatus.REJECTED),
        ("rejected", None): (None,),
        ("accepted", None): (DocumentStatus.FAILED,),
    }
    for order in seen.orders.values():
        mine, outcome = ours.get(order["id"]), (order["status"], order["result_code"])
        if mine not in allowed.get(outcome, ()):
            yield f"reading order {order['id']} is {outcome} in SAP and {mine} in MDUS ({order['note']})"
        elif mine is DocumentStatus.FAILED and order["id"] not in explained:
            yield f"reading order {order['id']} failed and no case says so"
        elif order["status"] == "result" and not order["verified"]:
            yield f"the result of reading order {order['id']} was not compared with the meter"


def _of_connection_orders(seen: Evidence) -> Iterator[str]:
    for document in seen.documents.values():
        if document["status"] not in ("executed", "partial", "failed", "cancelled"):
            yield f"document {document['id']} is {document['status']}"
        elif document["status"] in ("partial", "failed") and not document["note"]:
            yield f"document {document['id']} is {document['status']} without a reason"


def _of_switch_commands(seen: Evidence, connection: Connection) -> Iterator[str]:
    table = COMMAND.table
    known = {
        row.command_key: row
        for row in connection.execute(
            select(table.c.command_key, table.c.control_key, table.c.device_id).where(table.c.kind == "switch")
        )
    }
    for reference, count in seen.switch_counts.items():
        if count["received"] > 1 or count["executed"] > 1:
            yield f"switch {reference} reached the head end {count['received']} times"
        if reference not in known:
            yield f"switch {reference} at the head end is unknown to MDUS"
    orders = Counter(
        known[order["reference"]].control_key for order in seen.switch_orders if order["reference"] in known
    )
    for control, number in orders.items():
        if number > 1:
            yield f"{number} switch commands left for {control}"
    # The same from SAP's side, without asking MDUS which command belongs to which order.
    wanted: Counter[tuple[str, str]] = Counter()
    for document in seen.documents.values():
        state = "disconnected" if str(document["category"]) == "1" else "connected"
        wanted.update((seen.devices[device]["serial"], state) for device in document["devices"])
    left = Counter((order["serial"], order["state"]) for order in seen.switch_orders)
    for (serial, state), number in left.items():
        if number > wanted[serial, state]:
            yield f"meter {serial} was told {number} times to be {state}, SAP asked {wanted[serial, state]} times"


def _of_breakers(seen: Evidence, connection: Connection) -> Iterator[str]:
    told: dict[str, str] = {}
    for document in sorted(seen.documents.values(), key=lambda one: str(one["id"])):
        for device, result in document["devices"].items():
            if result == "1":
                told[device] = "disconnected" if str(document["category"]) == "1" else "connected"
            elif result == "2":
                told.pop(device, None)
    for device, state in told.items():
        really = seen.switches[seen.devices[device]["serial"]]["state"]
        if really != state:
            yield f"SAP was told that {device} is {state}, its breaker is {really}"
    device, status = END_DEVICE.table, END_DEVICE_STATUS.table
    joined = device.join(
        status, (status.c.sender_system == device.c.sender_system) & (status.c.device_id == device.c.device_id)
    )
    for row in connection.execute(select(device.c.serial_id, status.c.switch_state).select_from(joined)):
        really = seen.switches.get(row.serial_id, {}).get("state")
        if row.switch_state != "unknown" and row.switch_state != really:
            yield f"MDUS believes meter {row.serial_id} {row.switch_state}, its breaker is {really}"


def _of_mdus(seen: Evidence, connection: Connection) -> Iterator[str]:
    for name, count in still_open(connection).items():
        yield f"{count} left open: {name}"
    dead: tuple[tuple[Table, str], ...] = (
        (MESSAGE, MessageStatus.DEAD),
        (ITEM, ItemStatus.DEAD),
        (HEAD_END_DELIVERY, "dead"),
        (JOB_RUN, "failed"),
    )
    for table, status in dead:
        for name, count in _count(connection, table, "status", (status,)).items():
            if count:
                yield f"{count} dead: {name}"
    for case in seen.cases:
        if case.kind in _DEFECTS:
            yield f"case {case.kind} {case.case_key}: {case.note}"
    yield from _of_items(connection)


def _of_items(connection: Connection) -> Iterator[str]:
    """Each received item that SAP wants confirmed is in one confirmation of ours, or silent; each confirmation went."""
    confirming = _confirming_services()
    query = select(
        ITEM.c.id, ITEM.c.service, ITEM.c.ordering_key, ITEM.c.silent, ITEM.c.confirmation_id, ITEM.c.message_id
    ).where(ITEM.c.direction == "in", ITEM.c.status == ItemStatus.CLOSED)
    by_confirmation: dict[int, set[int]] = defaultdict(set)
    for row in connection.execute(query):
        if row.service in confirming and (row.confirmation_id is None) != row.silent:
            confirmed = f"confirmation {row.confirmation_id}, silent {row.silent}"
            yield f"item {row.id} of {row.service}, {row.ordering_key}: {confirmed}"
        if row.confirmation_id is not None:
            by_confirmation[row.confirmation_id].add(row.message_id)
    ours = select(MESSAGE.c.id, MESSAGE.c.status, MESSAGE.c.original_id, MESSAGE.c.uuid).where(
        MESSAGE.c.direction == "out", MESSAGE.c.original_id.is_not(None)
    )
    for row in connection.execute(ours):
        if by_confirmation.pop(row.id, None) != {row.original_id}:
            yield f"confirmation {row.uuid} does not hold the items of the message it answers"
    if by_confirmation:
        yield f"items point at confirmations that are not there: {sorted(by_confirmation)}"


def _confirming_services() -> set[str]:
    return {name for name, service in discover().services.items() if isinstance(service, RequestConfirmation)}


def _count(connection: Connection, table: Table, column: str, values: Collection[str]) -> dict[str, int]:
    wanted = [str(value) for value in values]
    query = select(table.c[column], func.count()).where(table.c[column].in_(wanted)).group_by(table.c[column])
    return {f"{table.name} {value}": count for value, count in connection.execute(query)}
