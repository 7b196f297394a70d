"""The control API: for whoever plays the landscape or judges it. Loopback only, no credentials, JSON both ways."""

import asyncio
import ipaddress
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from lxml import etree
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.clock import stamp
from simulators.sap_cis.bills import Bills
from simulators.sap_cis.business import Business, CannotOrder
from simulators.sap_cis.cis import Cis
from simulators.sap_cis.contract import SENT_ROOTS
from simulators.sap_cis.defects import DEFECTS
from simulators.sap_cis.envelope import envelope_message
from simulators.sap_cis.faults import FAULTS
from simulators.sap_cis.profiles import Profiling
from simulators.sap_cis.sending import Sender
from simulators.sap_cis.technical import TechnicalWork

Body = dict[str, Any]


class Control:
    """This will answer /control. `meters` is the most devices taken from one list, 0 for all."""

    def __init__(self, cis: Cis, business: Business, sender: Sender, *, meters: int = 0) -> None:
        self._cis = cis
        self._business = business
        self._technical = TechnicalWork(cis, business)
        self._profiling = Profiling(cis, sender)
        self._sender = sender
        self._bills = Bills(cis, sender.determinants)
        self._meters = meters

    def routes(self) -> list[Route]:
        """This will list the routes: commands are POST, looks are GET."""
        commands: dict[str, Callable[[Body], Any]] = {
            "devices": self.initialize_devices,
            "reading_orders": self.order_readings,
            "connection_orders": self.order_connections,
            "cancel_readings": self.cancel_readings,
            "cancel_connections": self.cancel_connections,
            "change_devices": self.change_devices,
            "move_devices": self.move_devices,
            "change_tariffs": self.change_tariffs,
            "replace_devices": self.replace_devices,
            "enter_readings": self.enter_readings,
            "forget_registered": self.forget_registered,
            "assign_profiles": self.assign_profiles,
            "query_profile": self.query_profile,
            "resend": self.resend,
            "raw": self.raw,
            "reject_results": self.reject_results,
            "reject_events": self.reject_events,
            "reject_values": self.reject_values,
        }
        looks: dict[str, Callable[[], Any]] = {
            "view": self.view,
            "devices": lambda: {"devices": [asdict(device) for device in self._cis.view.devices.values()]},
            "orders": lambda: {"orders": [asdict(order) for order in self._cis.view.orders.values()]},
            "documents": lambda: {"documents": [asdict(one) for one in self._cis.view.documents.values()]},
            "events": lambda: {"events": [asdict(event) for event in self._cis.view.events.values()]},
            "profiles": lambda: {"profiles": [asdict(profile) for profile in self._cis.view.profiles.values()]},
            "messages": self.messages,
            "defects": self.defects,
            "refusals": lambda: {"refusals": list(self._cis.view.refusals)},
            "faults": self.faults,
            "activity": self.activity,
            "latencies": lambda: {"latencies": dict(self._cis.view.latencies)},
        }
        return [
            *(Route(f"/control/{name}", _command(run), methods=["POST"]) for name, run in commands.items()),
            *(Route(f"/control/{name}", _look(self._cis, show), methods=["GET"]) for name, show in looks.items()),
            Route("/control/bills", self.bills, methods=["GET"]),
        ]

    # Commands -----------------------------------------------------------------------------------------------------

    def initialize_devices(self, body: Body) -> Body:
        """This will put meters into service: {meters: [{serial, material, commodity, registers}], bulk, order, size,
        start_on, system} -> {devices: [...]}."""
        meters = body.pop("meters")
        devices = self._business.initialize_devices(meters[: self._meters or None], **body)
        return {"devices": [asdict(device) for device in devices]}

    def order_readings(self, body: Body) -> Body:
        """This will order readings: {devices: [id]|"all", reason, scheduled_on, data_source, bulk, size, obis}."""
        orders = self._business.order_readings(body.pop("devices", "all"), **body)
        return {"orders": [order.id for order in orders]}

    def order_connections(self, body: Body) -> Body:
        """This will switch: {devices|device, category, planned_at, bulk, size, reason, immediate, test,
        devices_per_document} -> {documents: [id]}."""
        devices = body.pop("devices", None) or [body.pop("device")]
        return {"documents": self._business.order_connections(devices, **{**body, "category": str(body["category"])})}

    def cancel_readings(self, body: Body) -> Body:
        """This will cancel reading orders: {orders: [id], bulk, early} -> {messages: [uuid]}."""
        return {"messages": self._business.cancel_readings(body.pop("orders"), **body)}

    def cancel_connections(self, body: Body) -> Body:
        """This will cancel disconnection documents: {documents: [id], early} -> {messages: [uuid]}."""
        return {"messages": self._business.cancel_connections(body.pop("documents"), **body)}

    def change_devices(self, body: Body) -> Body:
        """This will change the manufacturer's part number: {devices: [id], part} -> {messages: [uuid]}."""
        return {"messages": self._technical.change_devices(**body)}

    def move_devices(self, body: Body) -> Body:
        """This will let devices be with another metering system: {devices: [id], system} -> {messages: [uuid]}."""
        return {"messages": self._technical.move_devices(**body)}

    def change_tariffs(self, body: Body) -> Body:
        """This will let registers count under a time of use: {devices: [id], tariff, since, bulk} -> {messages}."""
        return {"messages": self._technical.change_tariffs(**body)}

    def replace_devices(self, body: Body) -> Body:
        """This will replace: {replacements: [{device, meter, removal, installation}], on, order} -> {devices: [...],
        messages: [uuid]}; see `TechnicalWork.replace_devices`."""
        devices, messages = self._technical.replace_devices(**body)
        return {"devices": [asdict(device) for device in devices], "messages": messages}

    def enter_readings(self, body: Body) -> Body:
        """This will hand over what people have read: {readings: [{device, obis, reason, on, at, value}]} ->
        {messages: [uuid]}, in order."""
        return {"messages": self._technical.enter_readings(**body)}

    def forget_registered(self, body: Body) -> Body:
        """This will forget that devices are registered, as after a restore: {devices: [id]}."""
        self._technical.forget_registered(**body)
        return {}

    def assign_profiles(self, body: Body) -> Body:
        """This will assign a load profile to each interval register: {devices: [id], start_on} -> {profiles: [id],
        messages: [uuid]}."""
        profiles, messages = self._profiling.assign(**body)
        return {"profiles": profiles, "messages": messages}

    def query_profile(self, body: Body) -> Body:
        """This will ask MDUS for values and wait: {profile, start, end}, local -> {values: {start: quantity}, code}."""
        return self._profiling.query(**body)

    def resend(self, body: Body) -> Body:
        """This will send a message again: {uuid, changed}."""
        try:
            self._sender.resend(body["uuid"].lower(), change=bool(body.get("changed")))
        except KeyError as error:
            raise CannotOrder(f"no such message sent: {error}") from error
        return {}

    def raw(self, body: Body) -> Body:
        """This will post captured bytes: {xml, interface?} -> {outcome, status, text}."""
        xml = body["xml"].encode()
        interface = body.get("interface")
        if interface is None:
            root = etree.QName(envelope_message(xml)).localname
            if root not in SENT_ROOTS:
                raise CannotOrder(f"name the interface: {root} is no message SAP sends")
            interface = f"{root}_Out"
        return asdict(self._sender.post_raw(interface, xml))

    def reject_results(self, body: Body) -> Body:
        """This will answer the next {count} meter reading results with result code 5."""
        self._cis.record({"event": "rejections", "left": int(body["count"])})
        return {}

    def reject_events(self, body: Body) -> Body:
        """This will answer the next {count} events of types that are confirmed with result code 5."""
        self._cis.record({"event": "event_rejections", "left": int(body["count"])})
        return {}

    def reject_values(self, body: Body) -> Body:
        """This will answer the next {count} profiles of messages with result code 5, and take none of their values."""
        self._cis.record({"event": "value_rejections", "left": int(body["count"])})
        return {}

    async def bills(self, request: Request) -> Response:
        """This will bill a device: ?device=&tariff=&source=readings|profile|determinants&obis=&from=&to= -> {bills}."""
        if (refusal := _refusal(request)) is not None:
            return refusal
        try:
            bills = await asyncio.to_thread(self._bills.of, dict(request.query_params))
        except (KeyError, ValueError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=422)
        return JSONResponse({"bills": bills})

    # Looks --------------------------------------------------------------------------------------------------------

    def view(self) -> Body:
        """This will tell the counts and latencies per process, and what was noticed."""
        view = self._cis.view
        return {
            "processes": view.counts(),
            "latencies": view.percentiles(),
            "devices": Counter(device.status for device in view.devices.values()),
            "registered": sum(device.registered for device in view.devices.values()),
            "orders": Counter(order.status for order in view.orders.values()),
            "documents": Counter(document.status for document in view.documents.values()),
            "events": Counter(event.type for event in view.events.values()),
            "received": len(view.received),
            "repeated": sum(message.count - 1 for message in view.received.values()),
            "verified": sum(order.verified for order in view.orders.values()),
            "defects": Counter(defect["name"] for defect in view.defects),
            "refusals": {
                "expected": sum(refusal["expected"] for refusal in view.refusals),
                "unexpected": sum(not refusal["expected"] for refusal in view.refusals),
            },
        }

    def messages(self) -> Body:
        """This will list the messages of both directions, without their bytes."""
        view = self._cis.view
        return {
            "sent": [
                {
                    "uuid": sent.uuid,
                    "process": sent.process,
                    "form": sent.form,
                    "state": sent.state,
                    "items": list(sent.items),
                    "confirmed": {key: code for key, (code, _) in sent.confirmed.items()},
                    "notes": sent.notes,
                    "seconds": sent.seconds,
                    "due": stamp(sent.due) if sent.due else None,
                }
                for sent in view.sent.values()
            ],
            "received": [asdict(message) for message in view.received.values()],
        }

    def defects(self) -> Body:
        """This will list what MDUS did wrong, each with its rule."""
        return {"defects": [{**defect, "rule": DEFECTS[defect["name"]]} for defect in self._cis.view.defects]}

    def faults(self) -> Body:
        """This will tell how often each fault asked for has fired and on which message."""
        return {"faults": self._cis.faults.fired(), "descriptions": FAULTS}

    def activity(self) -> Body:
        """This will tell what is under way, and the next simulated instant something is due without being asked."""
        in_flight, next_due = self._sender.activity()
        verifying = len(self._cis.view.unverified) if self._cis.options.verifies else 0
        return {
            "in_flight": in_flight + verifying,
            "sending": in_flight,
            "verifying": verifying,
            "next_due": stamp(next_due) if next_due else None,
            "now": stamp(self._cis.clock.now()),
        }


def _command(run: Callable[[Body], Body]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if (refusal := _refusal(request)) is not None:
            return refusal
        try:
            body = json.loads(await request.body() or b"{}")
            if not isinstance(body, dict):
                raise TypeError("the body is not an object")
            return JSONResponse(await asyncio.to_thread(run, body))
        except (CannotOrder, KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=422)

    return endpoint


def _look(cis: Cis, show: Callable[[], Body]) -> Callable[[Request], Awaitable[Response]]:
    def locked() -> Response:
        with cis.reading():
            return JSONResponse(show())

    async def endpoint(request: Request) -> Response:
        refusal = _refusal(request)
        return await asyncio.to_thread(locked) if refusal is None else refusal

    return endpoint


def _refusal(request: Request) -> Response | None:
    if request.client is not None and ipaddress.ip_address(request.client.host).is_loopback:
        return None
    return JSONResponse({"error": "control is answered to the loopback only"}, status_code=403)
