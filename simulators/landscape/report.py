"""What the run proved: a row per business process, the faults and what they led to, and SAP = MDUS = head end.

Nothing here asks MDUS what it believes it did unless SAP or the meters can contradict it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from simulators.landscape.billing import BillingProof
from simulators.landscape.clients import Clients
from simulators.landscape.mixed_proofs import MixedProof
from simulators.landscape.process import Process
from simulators.landscape.proofs import EventProof, ProfileProof, TechnicalProof
from simulators.landscape.scenario import Scenario
from simulators.landscape.verdicts import Check, Fault, HeadEnd, Report, Row


class Judge:
    """Reads all three sides once the landscape is at rest, and judges."""

    def __init__(self, clients: Clients, scenario: Scenario, *, wanted_faults: Mapping[str, Sequence[str]]) -> None:
        self._clients = clients
        self._scenario = scenario
        self._wanted_faults = wanted_faults
        sap = clients.sap
        self._view = sap.get("/control/view")
        self._devices = {device["id"]: device for device in sap.get("/control/devices")["devices"]}
        self._events = sap.get("/control/events")["events"]
        self._orders = {order["id"]: order for order in sap.get("/control/orders")["orders"]}
        self._documents = {document["id"]: document for document in sap.get("/control/documents")["documents"]}
        self._cases = list(clients.mdus.pages("/api/v1/exceptions"))
        self._messages = list(clients.mdus.pages("/api/v1/messages"))
        self._mdus_devices = list(clients.mdus.pages("/api/v1/devices"))
        self._mdus_orders = list(clients.mdus.pages("/api/v1/orders"))
        self._field = {meter["serial"]: meter for meter in clients.head_end.get("/control/meters")["meters"]}
        self._sent = {message["uuid"]: message for message in sap.get("/control/messages")["sent"]}
        self._proof_of_head_ends = MixedProof(clients, scenario, self._devices, row=self._row)
        elsewhere = self._proof_of_head_ends.elsewhere()
        #: Of the head end that has most meters; the others are judged by themselves.
        self._here = {name: device for name, device in self._devices.items() if name not in elsewhere}
        self._proof_of_events = EventProof(clients, scenario, self._here, elsewhere=elsewhere)
        self._proof_of_profiles = ProfileProof(clients, scenario, self._here)
        self._proof_of_places = TechnicalProof(clients, scenario, self._here)
        self._proof_of_billing = BillingProof(clients, scenario, self._here)
        serials = {device["serial"] for device in self._here.values()}
        switches = clients.head_end.get("/control/switches")
        self._switches = {serial: switch for serial, switch in switches.items() if serial in serials}
        self._switch_counts = clients.head_end.get("/control/switch_counts")

    def report(self, *, meters: int, seed: int, seconds: float) -> Report:
        """This will judge the run."""
        return Report(
            meters=meters,
            seed=seed,
            seconds=seconds,
            days=self._scenario.day_names,
            rows=[
                *(self._row(process) for process in self._scenario.processes.values()),
                *self._proof_of_profiles.rows(),
                self._proof_of_billing.row(),
                self._proof_of_events.row(),
            ],
            checks=list(self._checks()),
            faults=list(self._faults()),
            head_ends=list(self._proof_of_head_ends.head_ends()),
        )

    # Rows ---------------------------------------------------------------------------------------------------------

    def _row(self, process: Process) -> Row:
        row = Row(process=process.name)
        seconds: list[float] = []
        for device_id in process.devices:
            device = self._devices[device_id]
            row.sent += 1
            done = (
                device["status"] == "confirmed" and device["registers_status"] == "confirmed" and device["registered"]
            )
            row.confirmed += done
            row.lost += not done
            _take(seconds, device)
        for order_id in process.orders:
            self._count_order(row, process, self._orders[order_id], seconds)
        for document_id in process.documents:
            self._count_document(row, process, self._documents[document_id], seconds)
        for uuid in process.messages:
            self._count_message(row, process, self._sent[uuid], seconds)
        if seconds:
            ordered = sorted(seconds)
            row.p50 = round(ordered[round((len(ordered) - 1) * 0.50)], 2)
            row.p95 = round(ordered[round((len(ordered) - 1) * 0.95)], 2)
            row.seconds = round(ordered[-1], 2)
        return row

    def _count_message(self, row: Row, process: Process, sent: dict[str, Any], seconds: list[float]) -> None:
        """Count the items of a message: answered with success, or taken where SAP wants no answer."""
        wants_answer = sent["process"] not in ("location", "point_of_delivery")
        refusal = process.refusals.get(sent["uuid"])
        for key in sent["items"]:
            row.sent += 1
            code = sent["confirmed"].get(key)
            if key in sent["seconds"]:
                seconds.append(sent["seconds"][key])
            if refusal is not None and code == "5":
                row.refused += 1
            elif refusal is None and (code == "3" or (not wants_answer and sent["state"] == "delivered")):
                row.confirmed += 1
            else:
                row.lost += 1
                why = sent["notes"].get(key) or (f"was to be refused: {refusal}" if refusal else "unexplained")
                row.notes.append(f"{sent['process']} {key} is {sent['state']}, code {code}: {why}")

    def _count_order(self, row: Row, process: Process, order: dict[str, Any], seconds: list[float]) -> None:
        row.sent += 1
        _take(seconds, order)
        status = order["status"]
        if order["id"] in process.cancelled and status == "cancelled":
            row.cancelled += 1
        elif status == "result" and order["result_code"] == "3" and order["verified"]:
            row.confirmed += 1
        elif status == "rejected":
            row.failed += 1
            row.notes.append(f"reading order {order['id']}: {order['note']}")
        elif why := self._case_of(order["id"]) or self._told_of(order["id"]):
            row.failed += 1
            row.notes.append(f"reading order {order['id']}: {why}")
        else:
            row.lost += 1
            row.notes.append(f"reading order {order['id']} is {status}, result {order['result_code']}: unexplained")

    def _count_document(self, row: Row, process: Process, document: dict[str, Any], seconds: list[float]) -> None:
        row.sent += 1
        _take(seconds, document)
        status, refusal = document["status"], process.refusals.get(document["id"])
        if refusal is not None:
            row.refused += status == "failed"
            if status != "failed":
                row.lost += 1
                row.notes.append(f"document {document['id']} is {status}, but was to be refused: {refusal}")
        elif document["id"] in process.cancelled and status == "cancelled":
            row.cancelled += 1
        elif status == "executed":
            row.confirmed += 1
        elif status in ("failed", "partial") and document["note"]:
            row.failed += 1
            row.notes.append(f"document {document['id']}: {document['note']}")
        else:
            row.lost += 1
            row.notes.append(f"document {document['id']} is {status}: unexplained")

    def _case_of(self, key: str) -> str | None:
        return next((case["note"] for case in self._cases if key in case["case_key"] or key in case["note"]), None)

    def _told_of(self, order_id: str) -> str | None:
        """Return why MDUS found no reading for an order, if an event has told SAP; its case is closed then."""
        return next((event["text"] for event in self._events if f"document {order_id}," in event["text"]), None)

    # Checks -------------------------------------------------------------------------------------------------------

    def _checks(self) -> Sequence[Check]:
        return (
            self._no_defects(),
            self._refusals(),
            self._nothing_under_way(),
            self._never_twice(),
            self._same_devices(),
            self._same_switch_states(),
            self._same_orders(),
            *self._proof_of_head_ends.checks(),
            *self._proof_of_places.checks(),
            *self._proof_of_profiles.checks(),
            *self._proof_of_billing.checks(),
            *self._proof_of_events.checks(),
        )

    def _no_defects(self) -> Check:
        defects = self._clients.sap.get("/control/defects")["defects"]
        seen = ", ".join(f"{name} x {count}" for name, count in Counter(d["name"] for d in defects).items())
        detail = f" (first: {defects[0]})" if defects else ""
        return Check(
            name="SAP found nothing wrong in what MDUS sent", held=not defects, seen=(seen or "no defect") + detail
        )

    def _refusals(self) -> Check:
        refusals = self._clients.sap.get("/control/refusals")["refusals"]
        wrong = [refusal for refusal in refusals if not refusal["expected"]]
        meant = len(refusals) - len(wrong)
        detail = f" (first: {wrong[0]['text'][:200]})" if wrong else ""
        return Check(
            name="only changed duplicates were refused",
            held=not wrong and meant >= len(self._scenario.changed),
            seen=f"{meant} meant, {len(wrong)} not meant{detail}",
        )

    def _nothing_under_way(self) -> Check:
        statuses = Counter(message["status"] for message in self._messages)
        left = {name: statuses[name] for name in ("received", "ready", "sending", "dead") if statuses[name]}
        return Check(
            name="no message is under way or dead in MDUS",
            held=not left,
            seen=", ".join(f"{count} {name}" for name, count in sorted(statuses.items())) or "no message",
        )

    def _never_twice(self) -> Check:
        twice = {reference: count for reference, count in self._switch_counts.items() if count["received"] > 1}
        return Check(
            name="no switch command reached the head end twice",
            held=not twice,
            seen=f"{len(self._switch_counts)} switch commands, {len(twice)} more than once",
        )

    def _same_devices(self) -> Check:
        ours = {(device["device_id"], device["serial_id"]) for device in self._mdus_devices}
        sap = {(device["id"], device["serial"]) for device in self._devices.values()}
        here = {(device["id"], device["serial"]) for device in self._here.values()}
        field_ids = {(meter["device_id"], serial) for serial, meter in self._field.items() if meter["provisioned"]}
        further = len(sap) - len(here)
        return Check(
            name="SAP = MDUS = head end: devices",
            held=sap == ours and here == field_ids,
            seen=f"{len(sap)} = {len(ours)} = {len(field_ids)}" + (f" + {further} elsewhere" if further else ""),
        )

    def _same_switch_states(self) -> Check:
        known = {device["serial_id"]: device["switch_state"] for device in self._mdus_devices}
        wrong = [
            serial for serial, switch in self._switches.items() if known.get(serial) not in (switch["state"], "unknown")
        ]
        sap = self._states_in_sap()
        contradicted = [
            device_id
            for device_id, state in sap.items()
            if self._switches[self._devices[device_id]["serial"]]["state"] != state
        ]
        return Check(
            name="SAP = MDUS = head end: breaker positions",
            held=not wrong and not contradicted,
            seen=f"{len(self._switches)} breakers, {len(sap)} switched by SAP, {len(wrong) + len(contradicted)} differ",
        )

    def _states_in_sap(self) -> dict[str, str]:
        """Return, per device SAP has switched, the state its newest executed document left."""
        states: dict[str, str] = {}
        for document in sorted(self._documents.values(), key=lambda one: one["id"]):
            for device, result in document["devices"].items():
                if result == "1" and device in self._here:
                    states[device] = "disconnected" if document["category"] == "1" else "connected"
        return states

    def _same_orders(self) -> Check:
        ours = {order["document_id"]: order["status"] for order in self._mdus_orders if order.get("document_id")}
        wrong = []
        for order in self._orders.values():
            mine = ours.get(order["id"])
            expected = {
                "result": {"confirmed", "rejected"},
                "cancelled": {"cancelled", "confirmed", None},
                "rejected": {None, "failed"},
                "accepted": {"failed"},
            }.get(order["status"], set())
            if mine not in expected:
                wrong.append(f"{order['id']}: SAP {order['status']}, MDUS {mine}")
        return Check(
            name="SAP = MDUS: meter reading orders",
            held=not wrong,
            seen=f"{len(self._orders)} in SAP, {len(ours)} in MDUS, {len(wrong)} differ"
            + (f" ({wrong[0]})" if wrong else ""),
        )

    # Faults -------------------------------------------------------------------------------------------------------

    def _faults(self) -> Sequence[Fault]:
        sap = self._clients.sap.get("/control/faults")["faults"]
        field_faults = self._clients.head_end.get("/control/faults")["fired"]
        faults = []
        for side, names in self._wanted_faults.items():
            fired = sap if side == "sap" else field_faults
            for name in names:
                hit = fired.get(name, {"count": 0, "hits": []})
                hits = [_name_of(one) for one in hit["hits"]]
                led_to, held = (self._messages_led_to(hits), True) if side == "sap" else self._field_led_to(hit["hits"])
                faults.append(Fault(name=name, fired=hit["count"], hits=hits, led_to=led_to, held=held))
        return faults

    def _messages_led_to(self, hits: Sequence[str]) -> str:
        """Say how the messages ended that SAP spoiled or repeated: delivered, confirmed, completed after all."""
        messages = {message["uuid"].lower(): message for message in self._messages if message.get("uuid")}
        ends = Counter(messages[hit.lower()]["status"] for hit in hits if hit.lower() in messages)
        return ", ".join(f"{count} {name}" for name, count in ends.items()) or "all confirmed after their device came"

    def _field_led_to(self, hits: Sequence[Mapping[str, Any]]) -> tuple[str, bool]:
        """Say what came of a fault of the head end, by what it hit, and whether that may be."""
        kind = hits[0]["kind"] if hits else None
        if kind == "events":
            return self._proof_of_events.led_to(hits), True
        if kind == "intervals":
            return self._proof_of_profiles.led_to(hits)
        return self._commands_led_to(hits), True

    def _commands_led_to(self, hits: Sequence[Mapping[str, Any]]) -> str:
        """Say how the orders to meters ended that a fault hit, from the head end's own log of all attempts."""
        log: dict[str, list[dict[str, Any]]] = {}
        for row in self._clients.head_end.get("/control/commands")["commands"]:
            log.setdefault(row["reference"], []).append(row)
        ends: Counter[str] = Counter()
        for reference in {reference for hit in hits for reference in hit["references"]}:
            results = [row["result"] for row in log.get(reference, []) if row["result"]]
            ends[_end_of(results[-1]) if results else "without result: asked anew or read back"] += 1
        return ", ".join(f"{count} {name}" for name, count in sorted(ends.items())) or "nothing hit"


def _name_of(hit: Any) -> str:
    """Name what a fault hit: a message's UUID, or a call to the head end with the number of its meters."""
    if isinstance(hit, Mapping) and hit["kind"] == "events":
        return f"{hit['meters']} meters" if "meters" in hit else f"event {hit.get('event_id')} of {hit.get('serial')}"
    if isinstance(hit, Mapping) and hit["kind"] == "intervals":
        return f"intervals of {hit['serial']}, {hit['from']} to {hit['to']}"
    if isinstance(hit, Mapping):
        return f"{hit['kind']} {hit['correlation_id']}, {len(hit['references'])} meters"
    return str(hit)


def _end_of(result: Mapping[str, Any]) -> str:
    return "carried out" if result.get("status") == "ok" else f"failed ({result.get('code')})"


def _verdict_of(fault: Fault) -> str:
    if not fault.fired:
        return "[red]never[/]"
    return "[green]met[/]" if fault.held else "[red]not met[/]"


def _take(seconds: list[float], thing: Mapping[str, Any]) -> None:
    if thing.get("seconds") is not None:
        seconds.append(float(thing["seconds"]))


def _show_head_ends(head_ends: Sequence[HeadEnd], console: Console) -> None:
    table = Table(title="Further head ends: done of what was wanted", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("head end", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    for name in ("devices", "readings", "switches", "re-\nfused*", "days of\nprofiles", "events"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for each in head_ends:
        table.add_row(
            each.name,
            each.kind,
            _of(*each.devices),
            _of(each.readings.sent, each.readings.confirmed),
            _of(each.switches.sent, each.switches.confirmed),
            str(each.switches.refused),
            _of(*each.days),
            _of(*each.events),
            "[green]held[/]" if each.held else "[red]NO[/]",
        )
    console.print(table)
    for each in head_ends:
        for reason in each.reasons:
            console.print(f"  {each.name} refused: {reason}", style="dim", highlight=False, markup=False)
        for note in (*each.readings.notes, *each.switches.notes, *each.notes)[:5]:
            console.print(f"  {each.name}: {note}", style="yellow", highlight=False, markup=False)


def _of(wanted: int, done: int) -> str:
    return f"{done} of {wanted}" if wanted else "-"


def show(report: Report, console: Console) -> None:
    """This will print the tables a newcomer reads."""
    days = f"{report.days[0]} to {report.days[-1]}"
    table = Table(title=f"Business processes: {report.meters} meters, {days}", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("process", no_wrap=True)
    for name in ("sent", "con-\nfirmed", "re-\nfused*", "can-\ncelled", "failed", "lost", "p50 s", "p95 s"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in report.rows:
        table.add_row(
            row.process,
            *(str(count) for count in (row.sent, row.confirmed, row.refused, row.cancelled, row.failed, row.lost)),
            "" if row.p50 is None else f"{row.p50:.1f}",
            "" if row.p95 is None else f"{row.p95:.1f}",
            "[green]held[/]" if row.held else "[red]NO[/]",
        )
    console.print(table)
    console.print("  * as was meant, with the reason; failed: not done and explained; lost: neither", style="dim")
    if report.head_ends:
        _show_head_ends(report.head_ends, console)
    notes = [note for row in report.rows for note in row.notes]
    for note in notes[:10]:
        console.print(f"  {note}", style="yellow", highlight=False, markup=False)
    if len(notes) > 10:
        console.print(f"  ... and {len(notes) - 10} more, all in the report", style="yellow")
    if report.faults:
        faults = Table(title="Faults", box=SIMPLE)
        for name in ("fault", "fired", "led to", ""):
            faults.add_column(name, justify="right" if name == "fired" else "left")
        for fault in report.faults:
            faults.add_row(fault.name, str(fault.fired), fault.led_to, _verdict_of(fault))
        console.print(faults)
    checks = Table(title="Reconciliation and proofs", box=SIMPLE)
    for name in ("statement", "seen", ""):
        checks.add_column(name)
    for check in report.checks:
        checks.add_row(check.name, check.seen, "[green]held[/]" if check.held else "[red]NOT held[/]")
    console.print(checks)
