"""Technical work, played through SAP: changed meters and registers, meters replaced, values read by people."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from simulators.clock import stamp

if TYPE_CHECKING:
    from simulators.landscape.scenario import Scenario

# SAP's meter reading reasons: technical installation; one that people's readings are not taken over for.
_BY_A_PERSON, _PERIODIC, _CONTROL = "08", "01", "10"
_ON_DEMAND = "1"
_MOST_REPLACED = 8


class TechnicalActs:
    """This will play technical work in `scenario`."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._leaving: list[tuple[str, dict[str, Any]]] | None = None  # devices to be replaced, with the new meters
        self.replaced: dict[str, str] = {}  # device -> the one that took its place

    def leaving(self) -> list[str]:
        """This will return the devices whose place a spare meter takes: some of each commodity."""
        return [device for device, _ in self._replacements()]

    def strangers(self) -> list[str]:
        """This will return the meters of the head end that SAP never hears of."""
        coming = {meter["serial"] for _, meter in self._replacements()}
        return [meter["serial"] for meter in self._scenario.spares if meter["serial"] not in coming]

    def change(self) -> None:
        """Tariffs and part numbers change, people read meters, and SAP, restored, is told again who is registered."""
        scenario = self._scenario
        clients, steering = scenario.clients, scenario.steering
        steering.run_until(scenario.at(1, 10))
        some = scenario.some(scenario.devices(), 0.05)
        tomorrow = scenario.day_names[2]
        made = clients.sap.post("/control/change_tariffs", devices=some, tariff="02", since=tomorrow, bulk=True)
        scenario.process("register change").messages += made["messages"]
        some = scenario.some(scenario.devices(), 0.02)
        made = clients.sap.post("/control/change_devices", devices=some, part="LX-REV-B")
        scenario.process("device change").messages += made["messages"]
        self._read_by_people()
        steering.settle(within=timedelta(minutes=15))
        self._tell_again()
        steering.settle(within=timedelta(minutes=10))

    def replace(self) -> None:
        """Half of the replacements are told in order, half in any; a new meter tells an event before it is heard."""
        scenario = self._scenario
        clients, steering = scenario.clients, scenario.steering
        steering.run_until(scenario.at(2, 9))
        today = scenario.day_names[2]
        wanted = [self._replacement(device, meter) for device, meter in self._replacements()]
        half = (len(wanted) + 1) // 2
        new: list[str] = []
        for some, order in ((wanted[:half], "in_order"), (wanted[half:], "shuffled")):
            if not some:
                continue
            made = clients.sap.post("/control/replace_devices", replacements=some, on=today, order=order)
            scenario.process("device replacement").messages += made["messages"]
            for replacement, device in zip(some, made["devices"], strict=True):
                self.replaced[replacement["device"]] = device["id"]
                new.append(device["id"])
        if not new:
            return
        scenario.telling.tell_early([meter["serial"] for _, meter in self._replacements()])
        steering.wait_for(lambda: self._registered(new), within=timedelta(hours=2), what="registration of new meters")
        steering.settle(within=timedelta(minutes=10))
        scenario.order("reading of new meters", new, reason=_CONTROL, on=2, source=_ON_DEMAND)
        steering.settle(within=timedelta(minutes=20))

    def _registered(self, devices: list[str]) -> bool:
        known = {device["id"]: device for device in self._scenario.clients.sap.get("/control/devices")["devices"]}
        return all(known[device]["registered"] for device in devices)

    def _replacements(self) -> list[tuple[str, dict[str, Any]]]:
        """Pair devices with spare meters of the same make, each commodity first once."""
        if self._leaving is not None:
            return self._leaving
        scenario = self._scenario
        initialized = scenario.process("device initialization").devices
        if len(initialized) != len(scenario.meters):
            return []
        count = min(_MOST_REPLACED, max(1, len(initialized) // 3))
        by_material: dict[str, list[str]] = {}
        for device, meter in zip(initialized, scenario.meters, strict=True):
            by_material.setdefault(meter["material"], []).append(device)
        seen: dict[str, int] = {}
        spares = []
        for meter in scenario.spares:
            seen[meter["commodity"]] = turn = seen.get(meter["commodity"], 0) + 1
            spares.append((turn, meter["serial"], meter))
        pairs = []
        for _, _, meter in sorted(spares, key=lambda spare: spare[:2]):
            # The last of their make: the neighbours of the storm are the first.
            if len(pairs) < count and len(by_material.get(meter["material"], [])) > (len(initialized) >= 10):
                pairs.append((by_material[meter["material"]].pop(), meter))
        self._leaving = pairs
        return pairs

    def _replacement(self, device: str, meter: dict[str, Any]) -> dict[str, Any]:
        scenario = self._scenario
        known = {one["id"]: one for one in scenario.clients.sap.get("/control/devices")["devices"]}
        old = known[device]
        measured = {register["obis"] for register in old["registers"]}
        channels = [channel for channel in meter["channels"] if channel["obis"] in measured]
        at = scenario.steering.now().replace(second=0, microsecond=0)
        return {
            "device": device,
            "meter": {**meter, "channels": channels},
            "removal": self._shown(old["serial"], [row["obis"] for row in meter["registers"]], at),
            "installation": self._shown(meter["serial"], [row["obis"] for row in meter["registers"]], at),
        }

    def _shown(self, serial: str, codes: list[str], at: datetime) -> dict[str, Any]:
        """Return what a person reads on a meter at an instant, by OBIS code."""
        queries = [{"serial": serial, "obis": obis, "at": stamp(at)} for obis in codes]
        rows = self._scenario.clients.head_end.post("/control/true", queries=queries)["values"]
        local = at.astimezone(self._scenario.zone).strftime("%H:%M:%S")
        return {row["obis"]: {"at": local, "value": row["shown"]} for row in rows}

    def _read_by_people(self) -> None:
        scenario = self._scenario
        known = {one["id"]: one for one in scenario.clients.sap.get("/control/devices")["devices"]}
        at = scenario.steering.now().replace(second=0, microsecond=0)
        readings = []
        for device in scenario.some(scenario.devices(), 0.02):
            codes = [register["obis"] for register in known[device]["registers"] if not register["minutes"]]
            shown = self._shown(known[device]["serial"], codes, at)
            readings += [
                {"device": device, "obis": obis, "on": scenario.day_names[1], **value} for obis, value in shown.items()
            ]
        enter = scenario.clients.sap.post
        made = enter("/control/enter_readings", readings=[{**one, "reason": _BY_A_PERSON} for one in readings])
        process = scenario.process("reading by a person")
        process.messages += made["messages"]
        # One that must be refused: readings of the billing period are the meter's own affair.
        made = enter("/control/enter_readings", readings=[{**readings[0], "reason": _PERIODIC}])
        process.messages += made["messages"]
        process.refusals |= dict.fromkeys(made["messages"], "reason not taken over")

    def _tell_again(self) -> None:
        scenario = self._scenario
        [device] = scenario.some(scenario.devices(), 0, least=1)
        scenario.process("registered, told again").devices.append(device)
        scenario.clients.sap.post("/control/forget_registered", devices=[device])
        scenario.operate(
            *("registered", "resend", "--reason", "SAP was restored", "--device", device, "--system", "S4HANA")
        )
