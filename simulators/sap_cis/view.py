"""What SAP believes: devices, reading orders, disconnection documents, and every message that passed.

The view is a fold of the journal's events and nothing else changes it, so a killed process comes back with the view it
had answered for. Events (key `event`):

    devices    devices the business knows: {devices: [...]}
    orders     meter reading orders placed: {orders: [...]}
    documents  disconnection documents placed: {documents: [...]}
    removed    a device was taken from its point of delivery: {device, last_day}
    profiles   load profiles assigned to registers: {profiles: [...]}
    tariff     registers of devices count under a time of use: {devices: [...], tariff}
    moved      other metering systems have devices: {devices: [...], system}
    forgotten  SAP was restored to a day before it heard of these: {devices: [...]}
    planned    a message to send: {uuid, process, form, items: [{key, uuid, ...}], due, after}, or {..., raw: true}
               one that somebody sends by hand
    built      its bytes, before they are sent the first time: {uuid, xml}
    delivered  MDUS has it: {uuid, posted, real}      refused  MDUS does not want it: {uuid, status, text, expected}
    received   a message of MDUS: {uuid, root, digest, real, effects, defects}      repeated  the same once more: {uuid}
    verified   results compared with the meter: {orders: [...], defects}
    fault      a fault fired: {name, hit}     defects  found elsewhere: {defects}
    rejections, event_rejections, value_rejections  results, events, profiles still to be refused: {left}
"""

import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulators.sap_cis.contract import RECEIVED, SENT
from simulators.sap_cis.journal import Event
from simulators.sap_cis.profile import Profile

#: A confirmation's result code -> the column it counts in.
_OUTCOMES = {"3": "confirmed", "4": "partial", "5": "failed"}


@dataclass(slots=True, kw_only=True)
class Register:
    """A register of a device: its logical register number, OBIS code, SAP unit, digits before and after the point."""

    lrn: str
    obis: str
    unit: str
    digits: int
    decimals: int
    tariff: str | None = None  # UtilitiesTimeOfUseCode
    minutes: int = 0  # of an interval; 0: it shows what it counted
    factor: str = "1"


@dataclass(slots=True, kw_only=True)
class Device:
    """A device SAP knows. `status` is the device create's: requested, confirmed, failed; `registered` says MDUS's
    notification came, `registers_status` is the register create's. `place` numbers where it is installed, `replaces`
    names the device whose place it took, `last_day` is the last one its registers count."""

    id: str
    serial: str
    material: str
    commodity: str
    system: str
    start_on: str
    point_of_delivery: str
    registers: list[Register]
    place: str = ""
    replaces: str | None = None
    last_day: str | None = None
    status: str = "requested"
    registers_status: str = "requested"
    registered: bool = False
    seconds: float | None = None  # real time from the first attempt of its create to the registered notification


@dataclass(slots=True, kw_only=True)
class Order:
    """A meter reading order. `status`: ordered, accepted, rejected, result, cancelled."""

    id: str
    device: str
    lrn: str
    obis: str
    reason: str
    scheduled_on: str
    data_source: str | None
    status: str = "ordered"
    note: str = ""
    cancellation: str | None = None  # requested, confirmed, refused
    result: dict[str, str] | None = None  # value, date, time as received
    result_code: str | None = None  # what SAP answered to the result, once MDUS has the answer
    verified: bool = False
    seconds: float | None = None  # real time from the first attempt of the order to its result


@dataclass(slots=True, kw_only=True)
class Document:
    """A disconnection document. `status`: requested, executed, partial, failed, cancelled; `devices` holds each
    device's result code (1 success, 2 failed) once confirmed."""

    id: str
    category: str
    planned_at: str
    devices: dict[str, str | None]
    immediate: bool = False
    test: bool = False
    reason: str | None = None
    status: str = "requested"
    note: str = ""
    cancellation: str | None = None
    seconds: float | None = None  # real time from the first attempt to the confirmation


@dataclass(slots=True, kw_only=True)
class MeterEvent:
    """A smart meter event as MDUS told it first. `code` is what SAP answered, None where it has not or never will."""

    id: str
    device: str | None
    at: str
    type: str
    severity: str
    text: str
    code: str | None = None


@dataclass(slots=True, kw_only=True)
class Sent:
    """A message of SAP. `state`: waiting, delivered, refused; `confirmed` maps item key -> (result code, the
    confirmation's UUID). `posted` is the real instant (epoch seconds) of the first attempt."""

    uuid: str
    process: str
    form: str
    items: dict[str, dict[str, Any]]
    due: datetime | None
    after: str | None
    state: str = "waiting"
    body: bytes | None = None  # compressed
    posted: float | None = None
    confirmed: dict[str, tuple[str, str]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)  # item key -> why, as its confirmation says
    seconds: dict[str, float] = field(default_factory=dict)  # item key -> real time until it was confirmed

    @property
    def xml(self) -> bytes | None:
        """The bytes as sent, None before they are built."""
        return None if self.body is None else zlib.decompress(self.body)


@dataclass(slots=True, kw_only=True)
class Received:
    """A message of MDUS: the digest of its canonical form and how often it came."""

    uuid: str
    root: str
    digest: str
    count: int = 1


class View:
    """This will hold SAP's view; `apply` is the only way to change it. Not thread safe: its owner locks."""

    def __init__(self) -> None:
        self.devices: dict[str, Device] = {}
        self.orders: dict[str, Order] = {}
        self.documents: dict[str, Document] = {}
        self.events: dict[str, MeterEvent] = {}
        self.profiles: dict[str, Profile] = {}
        self.sent: dict[str, Sent] = {}
        self.waiting: dict[str, Sent] = {}
        self.item_uuids: set[str] = set()
        self.unverified: dict[str, None] = {}  # orders with a result not yet compared with the meter, oldest first
        self.received: dict[str, Received] = {}
        self.defects: list[dict[str, str]] = []
        self.refusals: list[dict[str, Any]] = []
        self.latencies: dict[str, list[float]] = defaultdict(list)
        self.faults: list[tuple[str, str]] = []
        self.rejections_left = 0
        self.event_rejections_left = 0
        self.value_rejections_left = 0
        self._device_posted: dict[str, float] = {}
        self._order_posted: dict[str, float] = {}

    def apply(self, event: Event) -> None:
        """This will change the view by one event of the journal; KeyError for a kind it does not know."""
        getattr(self, f"_{_KINDS[event['event']]}")(event)

    def register_of(self, order: Order) -> Register | None:
        """This will return the register a meter reading order is about, None when SAP does not know it."""
        device = self.devices.get(order.device)
        return next((r for r in device.registers if r.lrn == order.lrn), None) if device else None

    # Business objects ---------------------------------------------------------------------------------------------

    def _add_devices(self, event: Event) -> None:
        for facts in event["devices"]:
            registers = [Register(**register) for register in facts["registers"]]
            self.devices[facts["id"]] = Device(**{**facts, "registers": registers})

    def _add_orders(self, event: Event) -> None:
        for facts in event["orders"]:
            self.orders[facts["id"]] = Order(**facts)

    def _add_documents(self, event: Event) -> None:
        for facts in event["documents"]:
            self.documents[facts["id"]] = Document(**{**facts, "devices": dict.fromkeys(facts["devices"])})

    def _add_profiles(self, event: Event) -> None:
        for facts in event["profiles"]:
            self.profiles[facts["id"]] = Profile(**facts)

    def _remove(self, event: Event) -> None:
        self.devices[event["device"]].last_day = event["last_day"]

    def _set_tariff(self, event: Event) -> None:
        for device in event["devices"]:
            for register in self.devices[device].registers:
                register.tariff = event["tariff"]

    def _move(self, event: Event) -> None:
        for device in event["devices"]:
            self.devices[device].system = event["system"]

    def _forget(self, event: Event) -> None:
        for device in event["devices"]:
            self.devices[device].registered = False

    # Messages sent ------------------------------------------------------------------------------------------------

    def _plan(self, event: Event) -> None:
        sent = Sent(
            uuid=event["uuid"],
            process=event["process"],
            form=event["form"],
            items={item["key"]: item for item in event["items"]},
            due=datetime.fromisoformat(event["due"]) if event.get("due") else None,
            after=event.get("after"),
        )
        self.sent[sent.uuid] = sent
        if not event.get("raw"):
            self.waiting[sent.uuid] = sent
        self.item_uuids.update(item["uuid"] for item in sent.items.values())
        for key in sent.items:
            if sent.process == "reading_cancellation" and key in self.orders:
                self.orders[key].cancellation = "requested"
            elif sent.process == "connection_cancellation" and key in self.documents:
                self.documents[key].cancellation = "requested"

    def _build(self, event: Event) -> None:
        self.sent[event["uuid"]].body = zlib.compress(event["xml"].encode(), 1)

    def _deliver(self, event: Event) -> None:
        sent = self.sent[event["uuid"]]
        sent.state, sent.posted = "delivered", event["posted"]
        self.waiting.pop(sent.uuid, None)
        self.note_posted(sent)
        if SENT[sent.process].confirmation is None:
            self.latencies[sent.process].extend([event["real"] - event["posted"]] * len(sent.items))
        if sent.process == "result_confirmation":
            for key, item in sent.items.items():
                if order := self.orders.get(key):
                    order.result_code = item["code"]
        elif sent.process == "event_confirmation":
            for key, item in sent.items.items():
                self.events[key].code = item["code"]

    def note_posted(self, sent: Sent) -> None:
        """This will remember since when the other side could answer for these devices and orders (real time)."""
        posted = {"device_create": self._device_posted, "reading_order": self._order_posted}.get(sent.process)
        if posted is not None and sent.posted is not None:
            for key in sent.items:
                posted.setdefault(key, sent.posted)

    def _refuse(self, event: Event) -> None:
        self.refusals.append({name: event[name] for name in ("uuid", "process", "status", "text", "expected")})
        sent = self.sent[event["uuid"]]
        if sent.state == "waiting":
            sent.state = "refused"
            self.waiting.pop(sent.uuid, None)

    # Messages received --------------------------------------------------------------------------------------------

    def _receive(self, event: Event) -> None:
        for effect in event["effects"]:
            self.apply_effect(effect, real=event["real"])
        self.close_receipt(event)

    def close_receipt(self, event: Event) -> None:
        """This will book a received message whose effects are applied already, item by item, by the judge."""
        if event["uuid"]:
            self.received[event["uuid"].lower()] = Received(
                uuid=event["uuid"], root=event["root"], digest=event["digest"]
            )
        self.defects.extend(event["defects"])

    def _repeat(self, event: Event) -> None:
        self.received[event["uuid"].lower()].count += 1

    def apply_effect(self, effect: Event, *, real: float) -> None:
        """This will change the view by what one item of a received message says; `real` is when it came."""
        kind = effect["effect"]
        if kind == "confirmed":
            self._confirm(effect, real)
        elif kind == "registered":
            if device := self.devices.get(effect["device"]):
                device.registered = True
                if device.seconds is None:
                    device.seconds = self._measure("device_registered", self._device_posted.get(device.id), real)
        elif kind == "event":
            facts = {name: effect[name] for name in ("device", "at", "type", "severity", "text")}
            self.events.setdefault(effect["event"], MeterEvent(id=effect["event"], **facts))
        elif kind == "values":
            self.value_rejections_left -= effect["rejected"]
            if effect["code"] == "3" and (profile := self.profiles.get(effect["profile"])):
                profile.book(effect["values"], effect["statuses"])
        elif order := self.orders.get(effect["order"]):
            order.result = {name: effect[name] for name in ("value", "date", "time")}
            order.result_code = None
            order.verified = False
            self.unverified[order.id] = None
            if order.status != "cancelled":
                order.status = "result"
            order.seconds = self._measure("reading_result", self._order_posted.get(order.id), real)

    def _measure(self, process: str, posted: float | None, real: float) -> float | None:
        if posted is None:
            return None
        self.latencies[process].append(real - posted)
        return real - posted

    def _confirm(self, effect: Event, real: float) -> None:
        sent = self.sent.get(effect["message"])
        key, code, note = effect["key"], effect["code"], effect["note"]
        seconds = None
        if sent is not None and key in sent.items:
            sent.confirmed[key] = (code, effect["uuid"])
            sent.notes[key] = note
            seconds = self._measure(effect["process"], sent.posted, real)
            if seconds is not None:
                sent.seconds.setdefault(key, seconds)
        good = code in ("3", "4")
        process = effect["process"]
        if process == "device_create" and key in self.devices:
            self.devices[key].status = "confirmed" if good else "failed"
        elif process == "register_create" and key in self.devices:
            self.devices[key].registers_status = "confirmed" if good else "failed"
        elif process == "profile_assignment" and key in self.profiles:
            self.profiles[key].status = "confirmed" if good else "failed"
        elif process == "reading_order" and key in self.orders:
            order = self.orders[key]
            order.note = note
            if order.status == "ordered":
                order.status = "accepted" if good else "rejected"
        elif process == "reading_cancellation" and key in self.orders:
            order = self.orders[key]
            order.cancellation = "confirmed" if good else "refused"
            if good:
                order.status = "cancelled"
        elif process == "connection_order" and key in self.documents:
            document = self.documents[key]
            document.note = note
            document.seconds = seconds
            document.status = {"3": "executed", "4": "partial"}.get(code, "failed")
            for device, result in effect["devices"].items():
                if device in document.devices:
                    document.devices[device] = result
        elif process == "connection_cancellation" and key in self.documents:
            document = self.documents[key]
            document.cancellation = "confirmed" if good else "refused"
            if good:
                document.status = "cancelled"

    # The rest -----------------------------------------------------------------------------------------------------

    def _verify(self, event: Event) -> None:
        for key in event["orders"]:
            self.orders[key].verified = True
            self.unverified.pop(key, None)
        self.defects.extend(event["defects"])

    def _add_fault(self, event: Event) -> None:
        self.faults.append((event["name"], event["hit"]))

    def _add_defects(self, event: Event) -> None:
        self.defects.extend(event["defects"])

    def _set_rejections(self, event: Event) -> None:
        self.rejections_left = event["left"]

    def _set_event_rejections(self, event: Event) -> None:
        self.event_rejections_left = event["left"]

    def _set_value_rejections(self, event: Event) -> None:
        self.value_rejections_left = event["left"]

    # Figures ------------------------------------------------------------------------------------------------------

    def counts(self) -> dict[str, dict[str, int]]:
        """This will return per process how many items are sent, delivered, confirmed, partial, failed, cancelled, open.

        For the processes MDUS starts, `sent` is what SAP expects: confirmed devices to be registered, accepted orders
        to have a result. It expects no events: those that came count.
        """
        columns = ("sent", "delivered", "confirmed", "partial", "failed", "cancelled")
        table = {name: dict.fromkeys(columns, 0) for name in (*SENT, *RECEIVED)}
        for sent in self.sent.values():
            row, size = table[sent.process], len(sent.items)
            row["sent"] += size
            row["delivered"] += size if sent.state == "delivered" else 0
            if sent.state == "refused":
                row["failed"] += size
            elif SENT[sent.process].confirmation is None:
                row["confirmed"] += size if sent.state == "delivered" else 0
            else:
                for code, _ in sent.confirmed.values():
                    row[_OUTCOMES.get(code, "failed")] += 1
                if sent.process == "connection_order":
                    row["cancelled"] += sum(
                        key not in sent.confirmed
                        and key in self.documents
                        and self.documents[key].status == "cancelled"
                        for key in sent.items
                    )
        registered = table["device_registered"]
        for device in self.devices.values():
            registered["sent"] += device.status == "confirmed" or device.registered
            registered["delivered"] += device.registered
            registered["confirmed"] += device.registered
        results = table["reading_result"]
        for order in self.orders.values():
            results["sent"] += order.status in ("accepted", "result", "cancelled")
            results["delivered"] += order.result is not None
            results["confirmed"] += order.result_code == "3"
            results["failed"] += order.result_code == "5"
            results["cancelled"] += order.status == "cancelled" and order.result_code is None
        events = table["smart_meter_event"]
        for event in self.events.values():
            events["sent"] += 1
            events["delivered"] += 1
            events["failed"] += event.code == "5"
            events["confirmed"] += event.code != "5"  # taken: SAP answers only what its customizing says
        for name in ("values", "values_change"):
            # It expects none either; an item is a profile of a message.
            answers = [sent for sent in self.sent.values() if sent.process == f"{name}_confirmation"]
            came = sum(len(sent.items) for sent in answers)
            codes = [i["code"] for sent in answers if sent.state == "delivered" for i in sent.items.values()]
            counts = {"confirmed": codes.count("3"), "failed": codes.count("5")}
            table[name] |= {"sent": came, "delivered": came, **counts}
        for row in table.values():
            row["open"] = row["sent"] - row["confirmed"] - row["partial"] - row["failed"] - row["cancelled"]
        return table

    def percentiles(self) -> dict[str, dict[str, float]]:
        """This will return per process the median and 95th percentile of its latencies, real seconds."""
        table = {}
        for process, values in sorted(self.latencies.items()):
            ordered = sorted(values)
            last = len(ordered) - 1
            table[process] = {
                "count": len(ordered),
                "p50": round(ordered[round(last * 0.50)], 4),
                "p95": round(ordered[round(last * 0.95)], 4),
            }
        return table


#: Kind of event -> the method of `View` that applies it.
_KINDS = {
    "devices": "add_devices",
    "orders": "add_orders",
    "documents": "add_documents",
    "profiles": "add_profiles",
    "removed": "remove",
    "tariff": "set_tariff",
    "moved": "move",
    "forgotten": "forget",
    "planned": "plan",
    "built": "build",
    "delivered": "deliver",
    "refused": "refuse",
    "received": "receive",
    "repeated": "repeat",
    "verified": "verify",
    "fault": "add_fault",
    "defects": "add_defects",
    "rejections": "set_rejections",
    "event_rejections": "set_event_rejections",
    "value_rejections": "set_value_rejections",
}
