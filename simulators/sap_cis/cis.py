"""The simulated SAP as one thing: its view behind a lock, its journal, its judge, and what it plans to send."""

import threading
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from lxml import etree

from simulators.clock import Clock
from simulators.sap_cis.checks import text
from simulators.sap_cis.contract import RECEIVED, SENT, Contract
from simulators.sap_cis.events import UNBOOKABLE
from simulators.sap_cis.faults import Faults
from simulators.sap_cis.journal import Event, Journal
from simulators.sap_cis.judge import Judge, Verdict
from simulators.sap_cis.view import Sent, View

_CONFIRMS_LATE_BY = timedelta(minutes=45)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How this SAP behaves. Zone of its dates and times; `system` is the default advanced metering system (AMS id);
    `confirms_after` the shortest and longest simulated seconds until a result or event is confirmed; `confirmed_events`
    the types of events that are confirmed at all; `window` see `Judge`."""

    zone: ZoneInfo
    own_system: str = "S4HANA"
    mdus_system: str | None = None
    time_zone_code: str | None = "CET"
    system: str = "AM01"
    bulk_size: int = 500
    window: tuple[int, int] = (3, 4)
    confirms_after: tuple[float, float] = (2.0, 10.0)
    verifies: bool = False
    confirmed_events: frozenset[str] = frozenset()


class Cis:
    """This will keep SAP's view and answer for it: what `record` and `receive` return from is on the disk.

    All methods are thread safe. `changed` is notified when there may be something to send.
    """

    def __init__(
        self, *, options: Options, contract: Contract, journal: Journal, clock: Clock, faults: Faults, seed: int = 0
    ) -> None:
        self.options = options
        self.contract = contract
        self.clock = clock
        self.faults = faults
        self.view = View()
        self._journal = journal
        self._random = Random(f"{seed}/delays")
        self._lock = threading.RLock()
        self.changed = threading.Condition(self._lock)
        for event in journal.replay():
            self.view.apply(event)
        for name, hit in self.view.faults:
            faults.remember(name, hit)
        self._judge = Judge(
            self.view,
            contract,
            own_system=options.own_system,
            mdus_system=options.mdus_system,
            zone=options.zone,
            window=options.window,
        )

    def reading(self) -> AbstractContextManager[Any]:
        """This will lock the view for a look at it."""
        return self.changed

    def record(self, *events: Event) -> None:
        """This will put events on the disk and apply them to the view."""
        with self.changed:
            self._journal.append(*events)
            for event in events:
                self.view.apply(event)
            self.changed.notify_all()

    def fires(self, names: Iterable[str], hit: str) -> str | None:
        """This will return the fault among `names` that fires now on `hit`, journalled, or None."""
        fired = self.faults.first(names, hit)
        if fired is not None:
            self.record({"event": "fault", "name": fired, "hit": hit})
        return fired

    # Sending ------------------------------------------------------------------------------------------------------

    def planned(
        self,
        process: str,
        keys: Iterable[str | dict[str, Any]],
        *,
        bulk: bool,
        due: datetime | None = None,
        after: str | None = None,
        size: int | None = None,
    ) -> list[Event]:
        """This will return the events that plan messages about `keys`: bulks of at most `size`, or one message each.

        `due` is a simulated instant, `after` the UUID of a message whose delivery is awaited first. A process without
        bulk form is sent singly. Nothing happens until the events are recorded.
        """
        items = [{"uuid": str(uuid4()), **(key if isinstance(key, dict) else {"key": key})} for key in keys]
        form = SENT[process].form(bulk=bulk)
        step = max(1, size or self.options.bulk_size) if form == "bulk" else 1
        return [
            {
                "event": "planned",
                "uuid": str(uuid4()) if form == "bulk" else items[start]["uuid"],
                "process": process,
                "form": form,
                "items": items[start : start + step],
                "due": due.isoformat() if due else None,
                "after": after,
            }
            for start in range(0, len(items), step)
        ]

    def note_built(self, sent: Sent, xml: bytes) -> None:
        """This will put the bytes of a message on the disk before they are sent the first time."""
        self.record({"event": "built", "uuid": sent.uuid, "xml": xml.decode()})

    def note_posted(self, sent: Sent) -> None:
        """This will remember when a message was first posted: answers can come before its delivery is known."""
        with self._lock:
            if sent.posted is None:
                sent.posted = time.time()
                self.view.note_posted(sent)

    # Receiving ----------------------------------------------------------------------------------------------------

    def receive(self, message: etree._Element, *, interface: str) -> Verdict:
        """This will judge a message of MDUS, apply it, plan the answer SAP owes, and return once it is on the disk."""
        with self.changed:
            now = self.clock.now()
            verdict = self._judge.judge(message, interface=interface, now=now, real=time.time())
            if verdict.repeated:
                self.record({"event": "repeated", "uuid": verdict.uuid})
                return verdict
            receipt = {
                "event": "received",
                "uuid": verdict.uuid,
                "root": verdict.root,
                "digest": verdict.digest,
                "real": verdict.real,
                "effects": verdict.effects,
                "defects": verdict.defects,
            }
            answers = self._answers(message, verdict, now)
            # The judge has applied the effects item by item; only the rest of the receipt is new to the view.
            self._journal.append(receipt, *answers)
            self.view.close_receipt(receipt)
            for event in answers:
                self.view.apply(event)
            self.changed.notify_all()
        return verdict

    def note_defect(self, name: str, detail: str, *, root: str = "", uuid: str = "") -> None:
        """This will note a defect that is not about a message the judge has seen."""
        defect = {"name": name, "detail": detail[:300], "root": root, "uuid": uuid, "key": ""}
        self.record({"event": "defects", "defects": [defect]})

    def _answers(self, message: etree._Element, verdict: Verdict, now: datetime) -> list[Event]:
        """The confirmation SAP owes for what MDUS started: 5 for what it cannot book or a script rejects, else 3."""
        if verdict.process == "smart_meter_event":
            return self._event_answers(message, verdict, now)
        if verdict.process in ("values", "values_change"):
            return self._values_answers(message, verdict, now)
        if verdict.process != "reading_result":
            return []
        unbookable = {
            defect["key"]: defect["detail"]
            for defect in verdict.defects
            if defect["name"] in ("result_for_unknown_order", "result_for_cancelled_order", "result_for_rejected_order")
        }
        references = {text(item, RECEIVED["reading_result"].key): text(item, "MessageHeader/UUID") for item in message}
        events: list[Event] = []
        items = []
        left = self.view.rejections_left
        for effect in verdict.effects:
            key = effect["order"]
            item = {"key": key, "code": "3", "note": "", "bulk_reference": verdict.uuid}
            item["reference"] = verdict.uuid if verdict.form == "single" else references.get(key) or ""
            order = self.view.orders.get(key)
            item["device"] = order.device if order else ""
            if key in unbookable:
                item |= {"code": "5", "note": unbookable[key]}
            elif left:
                left -= 1
                item |= {"code": "5", "note": "Implausible meter reading result"}
            items.append(item)
        if left != self.view.rejections_left:
            events.append({"event": "rejections", "left": left})
        delay = timedelta(seconds=self._random.uniform(*self.options.confirms_after))
        if fired := self.faults.first(("late_confirmation",), verdict.uuid):
            events.append({"event": "fault", "name": fired, "hit": verdict.uuid})
            delay = _CONFIRMS_LATE_BY
        # One confirmation per message, however large the message was.
        events += self.planned(
            "result_confirmation", items, bulk=verdict.form == "bulk", due=now + delay, size=len(items) or 1
        )
        return events

    def _values_answers(self, message: etree._Element, verdict: Verdict, now: datetime) -> list[Event]:
        """The confirmation of values of load profiles: 5 for those this system did not book."""
        assert verdict.process is not None
        references = {text(item, RECEIVED[verdict.process].key): text(item, "MessageHeader/UUID") for item in message}
        items = [
            {
                "key": (key := effect["profile"]),
                "code": effect["code"],
                "note": effect["note"],
                "bulk_reference": verdict.uuid,
                "reference": references.get(key) or "",
            }
            for effect in verdict.effects
        ]
        delay = timedelta(seconds=self._random.uniform(*self.options.confirms_after))
        process = f"{verdict.process}_confirmation"
        return self.planned(process, items, bulk=True, due=now + delay, size=len(items) or 1)

    def _event_answers(self, message: etree._Element, verdict: Verdict, now: datetime) -> list[Event]:
        """The confirmation of those events whose type is customized to be confirmed."""
        unbookable = {defect["key"]: defect["detail"] for defect in verdict.defects if defect["name"] in UNBOOKABLE}
        references = {
            text(item, RECEIVED["smart_meter_event"].key): text(item, "MessageHeader/UUID") for item in message
        }
        events: list[Event] = []
        items = []
        left = self.view.event_rejections_left
        for effect in verdict.effects:
            if effect["type"] not in self.options.confirmed_events:
                continue
            key = effect["event"]
            item = {"key": key, "code": "3", "note": "", "bulk_reference": verdict.uuid, "device": effect["device"]}
            item["reference"] = references.get(key) or ""
            if key in unbookable:
                item |= {"code": "5", "note": unbookable[key]}
            elif left:
                left -= 1
                item |= {"code": "5", "note": "No follow-up action is possible"}
            items.append(item)
        if left != self.view.event_rejections_left:
            events.append({"event": "event_rejections", "left": left})
        if items:
            delay = timedelta(seconds=self._random.uniform(*self.options.confirms_after))
            events += self.planned("event_confirmation", items, bulk=True, due=now + delay, size=len(items))
        return events
