"""What the people before the SAP screens do: put meters into service, order readings, disconnect, cancel.

Each function turns one such decision into business objects and planned messages, recorded together.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

from simulators.clock import instant
from simulators.sap_cis.building import wire_instant
from simulators.sap_cis.cis import Cis
from simulators.sap_cis.journal import Event
from simulators.sap_cis.view import Device, Order

_EARLY_BY = timedelta(minutes=5)

#: Unit of a head end -> unit of measurement in SAP, at most three characters.
_UNITS = {"kwh": "KWH", "kvarh": "KVH", "m3": "M3", "m³": "M3"}

#: What an interval register can hold: more than one interval ever needs.
_CHANNEL_DIGITS, _CHANNEL_DECIMALS = 8, 6

Meter = Mapping[str, Any]


class CannotOrder(ValueError):
    """What was asked for cannot be ordered: the message says why."""


class Business:
    """This will carry out business decisions on `cis`; `seed` decides what is shuffled."""

    def __init__(self, cis: Cis, *, seed: int = 0) -> None:
        self._cis = cis
        self._random = Random(f"{seed}/order")

    # Device initialization ----------------------------------------------------------------------------------------

    def initialize_devices(
        self,
        meters: Sequence[Meter],
        *,
        bulk: bool = True,
        order: str = "in_order",
        size: int | None = None,
        start_on: str | None = None,
        system: str | None = None,
        profiles: bool = False,
    ) -> list[Device]:
        """This will create devices for meters `{serial, material, commodity, registers: [{obis, unit, digits,
        decimals}]}` and plan device create, register create, location and point of delivery for them.

        With `profiles` they get the meters' `channels` as interval registers: [{obis, unit, interval_minutes, factor}].

        `in_order`: each message waits until MDUS has the one before it. `shuffled`: the four in any order, none waits.
        The fault `sends_early` holds a chunk's device create back for 5 simulated minutes.
        """
        if order not in ("in_order", "shuffled"):
            raise CannotOrder(f"order is in_order or shuffled, not {order}")
        options = self._cis.options
        now = self._cis.clock.now()
        day = start_on or now.astimezone(options.zone).date().isoformat()
        with self._cis.reading():
            facts = self.facts_of(meters, day, system or options.system, profiles=profiles)
            events: list[Event] = [{"event": "devices", "devices": facts}]
            chunk = (size or options.bulk_size) if bulk else 1
            for start in range(0, len(facts), chunk):
                events += self._initialization(facts[start : start + chunk], bulk=bulk, order=order, now=now)
            self._cis.record(*events)
            return [self._cis.view.devices[device["id"]] for device in facts]

    def facts_of(
        self, meters: Sequence[Meter], start_on: str, system: str, *, profiles: bool = False
    ) -> list[dict[str, Any]]:
        """This will return the devices that stand for meters, as an event `devices` has them, with numbers of their
        own."""
        known = self._cis.view.devices
        lrns = sum(len(device.registers) for device in known.values())
        facts = []
        for number, meter in enumerate(meters, start=len(known) + 1):
            registers = []
            for register in (*meter["registers"], *(meter.get("channels", ()) if profiles else ())):
                lrns += 1
                registers.append(
                    {
                        "lrn": f"{lrns:018d}",
                        "obis": register["obis"],
                        "unit": _UNITS.get(str(register["unit"]).lower(), str(register["unit"]).upper()[:3]),
                        "digits": int(register.get("digits", _CHANNEL_DIGITS)),
                        "decimals": int(register.get("decimals", _CHANNEL_DECIMALS)),
                        "minutes": int(register.get("interval_minutes") or 0),
                        "factor": str(register.get("factor", "1")),
                    }
                )
            facts.append(
                {
                    "id": f"{10_000_000 + number:018d}",
                    "serial": meter["serial"],
                    "material": meter.get("material") or meter.get("model") or "METER",
                    "commodity": meter.get("commodity", "electricity"),
                    "system": meter.get("system") or system,
                    "start_on": start_on,
                    "point_of_delivery": f"DE{number:031d}",
                    "registers": registers,
                    "place": f"{10_000_000 + number:09d}",
                }
            )
        return facts

    def _initialization(
        self, devices: Sequence[Mapping[str, Any]], *, bulk: bool, order: str, now: datetime
    ) -> list[Event]:
        ids = [device["id"] for device in devices]
        points = [
            {"key": register["lrn"], "device": device["id"]} for device in devices for register in device["registers"]
        ]
        # Recorded by hand: `planned` events must follow the devices they speak of in the journal.
        fired = self._cis.faults.first(("sends_early",), ids[0])
        chunk = [
            self._cis.planned("device_create", ids, bulk=bulk, due=now + _EARLY_BY if fired else None),
            self._cis.planned("register_create", ids, bulk=bulk),
            self._cis.planned("location", ids, bulk=bulk),
            self._cis.planned("point_of_delivery", points, bulk=bulk),
        ]
        events = [event for messages in chunk for event in messages]
        if fired:
            return [{"event": "fault", "name": fired, "hit": ids[0]}, *events[1:], events[0]]
        if order == "shuffled":
            self._random.shuffle(events)
            return events
        for before, event in itertools.pairwise(events):
            event["after"] = before["uuid"]
        return events

    # Meter reading ------------------------------------------------------------------------------------------------

    def order_readings(
        self,
        devices: Sequence[str] | str,
        *,
        reason: str,
        scheduled_on: str,
        data_source: str | None = None,
        bulk: bool = True,
        size: int | None = None,
        obis: Sequence[str] | None = None,
    ) -> list[Order]:
        """This will order a reading of every register (or those of `obis`) of the devices, or of `all` in service."""
        datetime.fromisoformat(scheduled_on)
        with self._cis.reading():
            number = len(self._cis.view.orders)
            facts: list[dict[str, Any]] = []
            for device in self._chosen(devices):
                for register in device.registers:
                    if register.minutes or (obis is not None and register.obis not in obis):
                        continue
                    number += 1
                    facts.append(
                        {
                            "id": f"{number:020d}",
                            "device": device.id,
                            "lrn": register.lrn,
                            "obis": register.obis,
                            "reason": reason,
                            "scheduled_on": scheduled_on,
                            "data_source": data_source,
                        }
                    )
            keys = [order["id"] for order in facts]
            messages = self._cis.planned("reading_order", keys, bulk=bulk, size=size)
            self._cis.record({"event": "orders", "orders": facts}, *messages)
            return [self._cis.view.orders[key] for key in keys]

    def cancel_readings(self, orders: Sequence[str], *, bulk: bool = True, early: bool = False) -> list[str]:
        """This will cancel reading orders and return the messages' UUIDs; `early`: even before MDUS has the order."""
        with self._cis.reading():
            self._require(orders, self._cis.view.orders, "reading order")
            return self._cancel("reading_cancellation", "reading_order", orders, bulk=bulk, early=early)

    # Connection ---------------------------------------------------------------------------------------------------

    def order_connections(
        self,
        devices: Sequence[str],
        *,
        category: str,
        planned_at: str | None = None,
        bulk: bool = False,
        size: int | None = None,
        reason: str | None = None,
        immediate: bool = False,
        test: bool = False,
        devices_per_document: int = 1,
    ) -> list[str]:
        """This will order a disconnection (category 1) or reconnection (2) of devices and return the documents' ids.

        `planned_at` is an instant (RFC 3339), now if None; a document is about `devices_per_document` devices.
        """
        if category not in ("1", "2"):
            raise CannotOrder(f"category is 1 (disconnect) or 2 (reconnect), not {category}")
        now = self._cis.clock.now()
        planned = wire_instant(instant(planned_at) if planned_at else now)
        with self._cis.reading():
            ids = [device.id for device in self._chosen(devices)]
            number = len(self._cis.view.documents)
            facts: list[dict[str, Any]] = []
            for start in range(0, len(ids), max(1, devices_per_document)):
                number += 1
                facts.append(
                    {
                        "id": f"{number:012d}",
                        "category": category,
                        "planned_at": planned,
                        "devices": ids[start : start + max(1, devices_per_document)],
                        "immediate": immediate,
                        "test": test,
                        "reason": reason,
                    }
                )
            keys = [document["id"] for document in facts]
            messages = self._cis.planned("connection_order", keys, bulk=bulk, size=size)
            self._cis.record({"event": "documents", "documents": facts}, *messages)
            return keys

    def cancel_connections(self, documents: Sequence[str], *, early: bool = False) -> list[str]:
        """This will cancel disconnection documents, one message each, and return the messages' UUIDs."""
        with self._cis.reading():
            self._require(documents, self._cis.view.documents, "disconnection document")
            return self._cancel("connection_cancellation", "connection_order", documents, bulk=False, early=early)

    # Shared -------------------------------------------------------------------------------------------------------

    def _cancel(self, process: str, cancelled: str, keys: Sequence[str], *, bulk: bool, early: bool) -> list[str]:
        messages = self._cis.planned(process, keys, bulk=bulk)
        for message in messages:
            first = message["items"][0]["key"]
            waiting = [s.uuid for s in self._cis.view.waiting.values() if s.process == cancelled and first in s.items]
            message["after"] = waiting[-1] if waiting and not early else None
        self._cis.record(*messages)
        return [message["uuid"] for message in messages]

    def _chosen(self, devices: Sequence[str] | str) -> list[Device]:
        known = self._cis.view.devices
        if devices == "all":
            return [device for device in known.values() if device.last_day is None]
        wanted = [devices] if isinstance(devices, str) else list(devices)
        self._require(wanted, known, "device")
        return [known[device] for device in wanted]

    @staticmethod
    def _require(keys: Sequence[str], known: Mapping[str, object], what: str) -> None:
        if unknown := [key for key in keys if key not in known]:
            raise CannotOrder(f"no such {what}: {json.dumps(unknown[:5])}")
