"""Technical work at meters, as SAP tells of it: other data, other tariffs, a meter in another's place, values read by
people.

Nothing of it is one message: a replacement is nine, of two devices, and a real SAP sends them in any order.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from random import Random
from typing import Any

from simulators.sap_cis.business import Business, CannotOrder
from simulators.sap_cis.cis import Cis
from simulators.sap_cis.journal import Event
from simulators.sap_cis.view import Device

#: Documents of readings that people took have numbers of their own, so that none is an order's.
_FIRST_ENTERED = 9_000_000_000

#: MeterReadingReasonCode: removal and installation of a device.
_REMOVAL, _INSTALLATION = "22", "21"

Reading = Mapping[str, Any]


class TechnicalWork:
    """This will plan what SAP says of technical work; each method returns the UUIDs of the messages planned."""

    def __init__(self, cis: Cis, business: Business, *, seed: int = 0) -> None:
        self._cis = cis
        self._business = business
        self._random = Random(f"{seed}/technical")

    def change_devices(self, devices: Sequence[str], *, part: str) -> list[str]:
        """This will give devices another part number of their manufacturer, one message each."""
        with self._cis.reading():
            self._known(devices)
            items = [{"key": device, "part": part} for device in devices]
            return self._record(self._cis.planned("device_change", items, bulk=False))

    def move_devices(self, devices: Sequence[str], *, system: str) -> list[str]:
        """This will let devices be with another advanced metering system from now on, one message each."""
        with self._cis.reading():
            self._known(devices)
            self._cis.record({"event": "moved", "devices": list(devices), "system": system})
            return self._record(self._cis.planned("device_change", devices, bulk=False))

    def change_tariffs(self, devices: Sequence[str], *, tariff: str, since: str, bulk: bool = True) -> list[str]:
        """This will let all registers of devices count under a time of use from the local day `since` on."""
        with self._cis.reading():
            self._known(devices)
            items = [{"key": device, "tariff": tariff, "since": since} for device in devices]
            messages = self._cis.planned("register_change", items, bulk=bulk)
            self._cis.record({"event": "tariff", "devices": list(devices), "tariff": tariff})
            return self._record(messages)

    def replace_devices(
        self, replacements: Sequence[Mapping[str, Any]], *, on: str, order: str = "in_order"
    ) -> tuple[list[Device], list[str]]:
        """This will put another meter in the place of each `{device, meter, removal, installation}` on the day `on`.

        `meter` is as for `initialize_devices`, with registers and channels as the device has; `removal` and
        `installation` map OBIS codes to what a person read there: {at, value}. The new registers get the old ones'
        numbers. `shuffled`: the messages of a replacement in any order, none waits for another.
        """
        if order not in ("in_order", "shuffled"):
            raise CannotOrder(f"order is in_order or shuffled, not {order}")
        with self._cis.reading():
            planned: list[Event] = []
            new: list[str] = []
            for wanted in replacements:
                device = self._replacement(wanted, on=on)
                new.append(device.id)
                messages = self._messages_of(wanted, device, on=on)
                if order == "shuffled":
                    self._random.shuffle(messages)
                else:
                    for before, message in itertools.pairwise(messages):
                        message["after"] = before["uuid"]
                self._cis.record(*messages)
                planned += messages
            return [self._cis.view.devices[device] for device in new], [message["uuid"] for message in planned]

    def enter_readings(self, readings: Sequence[Reading]) -> list[str]:
        """This will hand over `{device, obis, reason, on, at, value}`, a local date and time, one message each."""
        with self._cis.reading():
            self._known([reading["device"] for reading in readings])
            items = self._entered(readings)
            return self._record(self._cis.planned("manual_reading", items, bulk=False))

    def forget_registered(self, devices: Sequence[str]) -> None:
        """This will let SAP be restored to a day before it heard that these devices are registered."""
        with self._cis.reading():
            self._known(devices)
            self._cis.record({"event": "forgotten", "devices": list(devices)})

    def _replacement(self, wanted: Mapping[str, Any], *, on: str) -> Device:
        """Create the new device in the view, with the place and the register numbers of the old one."""
        self._known([wanted["device"]])
        old = self._cis.view.devices[wanted["device"]]
        numbers = {register.obis: register.lrn for register in old.registers}
        [facts] = self._business.facts_of([wanted["meter"]], on, old.system, profiles=True)
        if {register["obis"] for register in facts["registers"]} != numbers.keys():
            raise CannotOrder(f"the registers of {facts['serial']} are not those of {old.id}")
        registers = [{**register, "lrn": numbers[register["obis"]]} for register in facts["registers"]]
        facts |= {
            "registers": registers,
            "point_of_delivery": old.point_of_delivery,
            "place": old.place,
            "replaces": old.id,
        }
        last_day = (date.fromisoformat(on) - timedelta(days=1)).isoformat()
        self._cis.record(
            {"event": "devices", "devices": [facts]}, {"event": "removed", "device": old.id, "last_day": last_day}
        )
        return self._cis.view.devices[facts["id"]]

    def _messages_of(self, wanted: Mapping[str, Any], device: Device, *, on: str) -> list[Event]:
        old = self._cis.view.devices[wanted["device"]]
        before = {"last_day": old.last_day}
        points = [{"key": register.lrn, "device": old.id, **before} for register in old.registers]
        new_points = [{"key": register.lrn, "device": device.id} for register in device.registers]
        removal = self._read(wanted["removal"], old, reason=_REMOVAL, on=on)
        installation = self._read(wanted["installation"], device, reason=_INSTALLATION, on=on)
        entered = self._entered([*removal, *installation])
        chunk: Iterable[list[Event]] = (
            self._cis.planned("manual_reading", entered[: len(removal)], bulk=False),
            self._cis.planned("register_change", [{"key": old.id, **before}], bulk=False),
            self._cis.planned("location", [{"key": old.id, "removed": True}], bulk=False),
            self._cis.planned("point_of_delivery", points, bulk=False),
            self._cis.planned("device_create", [device.id], bulk=False),
            self._cis.planned("register_create", [device.id], bulk=False),
            self._cis.planned("location", [device.id], bulk=False),
            self._cis.planned("point_of_delivery", new_points, bulk=False),
            self._cis.planned("manual_reading", entered[len(removal) :], bulk=False),
        )
        return [message for messages in chunk for message in messages]

    def _read(self, values: Mapping[str, Any], device: Device, *, reason: str, on: str) -> list[Reading]:
        return [
            {"device": device.id, "obis": obis, "reason": reason, "on": on, **value} for obis, value in values.items()
        ]

    def _entered(self, readings: Sequence[Reading]) -> list[dict[str, Any]]:
        """Return the items of readings, numbered after those planned already."""
        view = self._cis.view
        number = _FIRST_ENTERED + sum(
            len(sent.items) for sent in view.sent.values() if sent.process == "manual_reading"
        )
        items = []
        for each, reading in enumerate(readings, start=number + 1):
            registers = view.devices[reading["device"]].registers
            lrn = next((register.lrn for register in registers if register.obis == reading["obis"]), None)
            if lrn is None:
                raise CannotOrder(f"{reading['device']} has no register {reading['obis']}")
            items.append({**reading, "key": f"{each:020d}", "lrn": lrn})
        return items

    def _known(self, devices: Iterable[str]) -> None:
        if unknown := [device for device in devices if device not in self._cis.view.devices]:
            raise CannotOrder(f"no such device: {unknown[:5]}")

    def _record(self, messages: list[Event]) -> list[str]:
        self._cis.record(*messages)
        return [message["uuid"] for message in messages]
