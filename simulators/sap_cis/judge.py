"""Judges a message of MDUS: what it says to SAP's view, and what is wrong with it.

A message is judged item by item against a view that already holds the items before it, so that the same item twice in
one bulk is noticed. A defect never stops the judging: what a bad message means is booked as well as it can be, because
MDUS believes it was understood.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from lxml import etree

from simulators.sap_cis import checks
from simulators.sap_cis.checks import Finding, text
from simulators.sap_cis.contract import CONFIRMATIONS, STARTED_BY_MDUS, Contract, Process
from simulators.sap_cis.events import event_findings
from simulators.sap_cis.results import result_findings
from simulators.sap_cis.values import UNBOOKABLE, statuses_of, values_findings, values_of
from simulators.sap_cis.view import Sent, View


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What was found about one message. `repeated` means: the same message again, nothing of it applied."""

    uuid: str
    root: str
    digest: str
    real: float
    repeated: bool = False
    process: str | None = None
    form: str | None = None
    effects: list[dict[str, Any]] = field(default_factory=list)
    defects: list[dict[str, str]] = field(default_factory=list)

    def found(self, findings: Iterable[Finding], *, key: str = "") -> None:
        """This will note defects, of the item `key` or of the whole message."""
        self.defects.extend(
            {"name": name, "detail": detail[:300], "root": self.root, "uuid": self.uuid, "key": key}
            for name, detail in findings
        )


class Judge:
    """This will judge messages against a view, and apply to it what they say. Not thread safe: its owner locks.

    `own_system` is this system's id, `mdus_system` the one MDUS must send from (None: any but ours), `zone` the zone of
    dates and times on the wire, `window` how many days a reading may lie before and after the scheduled date.
    """

    def __init__(
        self,
        view: View,
        contract: Contract,
        *,
        own_system: str,
        zone: ZoneInfo,
        mdus_system: str | None = None,
        window: tuple[int, int] = (3, 4),
    ) -> None:
        self._view = view
        self._contract = contract
        self._own_system = own_system
        self._mdus_system = mdus_system
        self._zone = zone
        self._window = window

    def judge(self, message: etree._Element, *, interface: str, now: datetime, real: float) -> Verdict:
        """This will judge the message `message` posted to `interface` at the instant `now` (`real`: epoch seconds)."""
        root = etree.QName(message).localname
        header = message.find("MessageHeader")
        uuid = text(header, "UUID") or ""
        digest = hashlib.sha256(etree.tostring(message, method="c14n")).hexdigest()
        verdict = Verdict(uuid=uuid, root=root, digest=digest, real=real)
        before = self._view.received.get(uuid.lower())
        if before is not None and before.digest == digest:
            verdict.repeated = True
            return verdict
        if before is not None:
            verdict.found([("uuid_reused", f"first seen with {before.root}")])
        if interface != f"{root}_In":
            verdict.found([("wrong_interface", interface)])
        if violations := self._contract.violations(message):
            verdict.found([("schema_invalid", "; ".join(violations[:3]))])
        verdict.found(
            checks.header_findings(header, now=now, own_system=self._own_system, mdus_system=self._mdus_system)
        )
        if root in CONFIRMATIONS:
            verdict.process, verdict.form = CONFIRMATIONS[root][0].name, CONFIRMATIONS[root][1]
            self._judge_confirmation(message, verdict, now)
        elif root in STARTED_BY_MDUS:
            verdict.process, verdict.form = STARTED_BY_MDUS[root][0].name, STARTED_BY_MDUS[root][1]
            for item in _items(message, verdict.form):
                if verdict.process == "device_registered":
                    self._judge_registered(item, verdict)
                elif verdict.process == "smart_meter_event":
                    self._judge_event(item, verdict, now)
                elif verdict.process in ("values", "values_change"):
                    self._judge_values(item, verdict, now)
                else:
                    self._judge_result(item, verdict, now)
        elif (log := message.find("Log")) is not None:
            verdict.found(checks.log_findings(log))
        return verdict

    def _apply(self, verdict: Verdict, **effect: Any) -> None:
        verdict.effects.append(effect)
        self._view.apply_effect(effect, real=verdict.real)

    # Confirmations ------------------------------------------------------------------------------------------------

    def _judge_confirmation(self, message: etree._Element, verdict: Verdict, now: datetime) -> None:
        process, form = CONFIRMATIONS[verdict.root]
        sent = self._answered(message, verdict, process, form)
        codes = []
        for item in _items(message, form):
            log = item.find("Log")
            key = text(item, process.key) or ""
            code = text(log, "BusinessDocumentProcessingResultCode")
            codes.append(code)
            verdict.found(checks.log_findings(log), key=key)
            if form == "bulk" and sent is not None and key in sent.items:
                verdict.found(_item_reference_findings(item, sent.items[key]["uuid"]), key=key)
            self._judge_confirmed_item(item, verdict, process, sent, key=key, code=code or "", now=now)
        if form == "bulk":
            log = message.find("Log")
            verdict.found(checks.log_findings(log) if log is None or log.find("Item") is not None else ())
            overall = text(log, "BusinessDocumentProcessingResultCode")
            if overall != (expected := checks.overall_code(codes)):
                verdict.found([("overall_code_inconsistent", f"{overall} instead of {expected}")])

    def _answered(self, message: etree._Element, verdict: Verdict, process: Process, form: str) -> Sent | None:
        reference = text(message, "MessageHeader/ReferenceUUID")
        if not reference:
            verdict.found([("reference_missing", "MessageHeader/ReferenceUUID")])
            return None
        sent = self._view.sent.get(reference.lower())
        if sent is None or sent.process != process.name:
            verdict.found([("reference_unknown", f"{reference} for {process.name}")])
            return None
        if sent.form != form:
            verdict.found([("wrong_form", f"{form} answers {sent.form}")])
        return sent

    def _judge_confirmed_item(
        self,
        item: etree._Element,
        verdict: Verdict,
        process: Process,
        sent: Sent | None,
        *,
        key: str,
        code: str,
        now: datetime,
    ) -> None:
        if sent is not None and key not in sent.items:
            verdict.found([("item_not_asked", f"{key} is not in {sent.uuid}")], key=key)
            return
        if sent is not None and key in sent.confirmed:
            verdict.found([("item_confirmed_twice", f"first by {sent.confirmed[key][1]}")], key=key)
        devices: dict[str, str | None] = {}
        if process.name == "connection_order":
            devices = _device_results(item)
            verdict.found(self._connection_findings(item, key, devices, code, now), key=key)
        elif process.name.endswith("_cancellation"):
            verdict.found(self._cancellation_findings(item, process, key, code), key=key)
        elif process.name == "reading_order":
            order = self._view.orders.get(key)
            if order is not None and order.cancellation == "confirmed" and code != "5":
                verdict.found([("confirmation_after_cancellation", "the order was cancelled")], key=key)
        self._apply(
            verdict,
            effect="confirmed",
            process=process.name,
            message=sent.uuid if sent else "",
            uuid=verdict.uuid,
            key=key,
            code=code,
            note=text(item, "Log/Item/Note") or "",
            devices=devices,
        )

    def _connection_findings(
        self, item: etree._Element, key: str, devices: dict[str, str | None], code: str, now: datetime
    ) -> Iterable[Finding]:
        document = self._view.documents.get(key)
        if document is None:
            return
        if document.cancellation == "confirmed":
            yield "confirmation_after_cancellation", "a cancelled order has the cancellation's confirmation only"
        if (category := text(item, "UtilitiesConnectionStatusChangeRequest/CategoryCode")) != document.category:
            yield "category_differs", f"{category} instead of {document.category}"
        statuses = item.findall("UtilitiesConnectionStatusChangeRequest/DeviceConnectionStatus")
        if len(statuses) != len(devices) or (devices.keys() != document.devices.keys() and (devices or code != "5")):
            yield "device_list_differs", f"{sorted(devices)} instead of {sorted(document.devices)}"
        if unknown := [result for result in devices.values() if result not in ("1", "2")]:
            yield "device_result_unknown", f"code {unknown[0]}"
        elif devices:
            expected = checks.overall_code("3" if result == "1" else "5" for result in devices.values())
            if code != expected:
                yield "overall_code_inconsistent", f"{code} instead of {expected}"
        planned = checks.utc(document.planned_at)
        for status in statuses:
            processed = text(status, "ProcessingDateTime") or ""
            yield from checks.instant_findings(
                processed, where="ProcessingDateTime", now=now, future="processing_in_future"
            )
            instant = checks.utc(processed)
            switched = text(status, "UtilitiesDeviceConnectionStatusProcessingResultCode") == "1"
            if switched and instant and planned and not document.immediate and instant < planned:
                yield "processing_before_planned", f"{processed}, planned for {document.planned_at}"

    def _cancellation_findings(self, item: etree._Element, process: Process, key: str, code: str) -> Iterable[Finding]:
        good = code in ("3", "4")
        if process.name == "reading_cancellation":
            order = self._view.orders.get(key)
            if order is not None and good and order.result_code == "3":
                yield "cancellation_too_late", "its result was received and confirmed"
            return
        document = self._view.documents.get(key)
        if document is None:
            return
        if good and document.status in ("executed", "partial"):
            yield "cancellation_too_late", f"the document is {document.status}"
        if (category := text(item, "UtilitiesConnectionStatusChangeRequest/CategoryCode")) != document.category:
            yield "category_differs", f"{category} instead of {document.category}"

    # Messages MDUS starts -----------------------------------------------------------------------------------------

    def _judge_registered(self, item: etree._Element, verdict: Verdict) -> None:
        key = text(item, "UtilitiesDevice/ID") or ""
        device = self._view.devices.get(key)
        if device is None:
            verdict.found([("registered_unknown_device", key)], key=key)
            return
        if device.status != "confirmed":
            verdict.found([("registered_before_created", f"the device is {device.status}")], key=key)
        if device.registered:
            verdict.found([("registered_twice", key)], key=key)
        system = text(item, "UtilitiesDevice/SmartMeter/UtilitiesAdvancedMeteringSystemID")
        if system != device.system:
            verdict.found([("wrong_metering_system", f"{system} instead of {device.system}")], key=key)
        self._apply(verdict, effect="registered", device=key)

    def _judge_event(self, item: etree._Element, verdict: Verdict, now: datetime) -> None:
        event = item.find("UtilitiesSmartMeterEvent")
        key = text(event, "ID") or ""
        verdict.found(event_findings(event, self._view, now=now, zone=self._zone), key=key)
        self._apply(
            verdict,
            effect="event",
            event=key,
            device=text(event, "UtilitiesDeviceID"),
            at=text(event, "DateTime") or "",
            type=text(event, "TypeCode") or "",
            severity=text(event, "SeverityCode") or "",
            text=text(event, "Property[Code='TEXT']/ObjectPropertyValue/Text") or "",
        )

    def _judge_values(self, item: etree._Element, verdict: Verdict, now: datetime) -> None:
        series = item.find("UtilitiesTimeSeries")
        key = text(series, "ID") or ""
        is_change = verdict.process == "values_change"
        findings = list(values_findings(series, self._view, now=now, zone=self._zone, is_change=is_change))
        verdict.found(findings, key=key)
        note = next((detail for name, detail in findings if name in UNBOOKABLE), "")
        rejected = not note and self._view.value_rejections_left > 0
        self._apply(
            verdict,
            effect="values",
            profile=key,
            values=values_of(series),
            statuses=statuses_of(series),
            code="5" if note or rejected else "3",
            note="Implausible profile values" if rejected else note,
            rejected=int(rejected),
        )

    def _judge_result(self, item: etree._Element, verdict: Verdict, now: datetime) -> None:
        document = item.find("MeterReadingDocument")
        key = text(document, "ID") or ""
        verdict.found(
            result_findings(document, self._view, now=now, zone=self._zone, window=self._window),
            key=key,
        )
        reference = text(item, "MessageHeader/ReferenceUUID")
        # A result may refer to its order's message or to the order's item in a bulk; nobody asks for it.
        if reference and reference.lower() not in self._view.sent and reference.lower() not in self._view.item_uuids:
            verdict.found([("reference_unknown", reference)], key=key)
        self._apply(
            verdict,
            effect="result",
            order=key,
            value=text(document, "Result/MeterReadingResultValue") or "",
            date=text(document, "Result/ActualMeterReadingDate") or "",
            time=text(document, "Result/ActualMeterReadingTime") or "",
        )


def _items(message: etree._Element, form: str) -> list[etree._Element]:
    """The single messages inside: the message itself, or all children of a bulk but its header and log."""
    if form == "single":
        return [message]
    return [child for child in message if isinstance(child.tag, str) and child.tag not in ("MessageHeader", "Log")]


def _item_reference_findings(item: etree._Element, uuid: str) -> Iterable[Finding]:
    reference = text(item, "MessageHeader/ReferenceUUID")
    if reference is None or reference.lower() != uuid:
        yield "item_reference_wrong", f"{reference} instead of {uuid}"


def _device_results(item: etree._Element) -> dict[str, str | None]:
    return {
        text(status, "UtilitiesDeviceID") or "": text(status, "UtilitiesDeviceConnectionStatusProcessingResultCode")
        for status in item.iterfind("UtilitiesConnectionStatusChangeRequest/DeviceConnectionStatus")
    }
