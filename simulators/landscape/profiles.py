"""Load profiles, played through SAP: assigned to interval registers of some meters, one value revised by the field."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from simulators.clock import stamp

if TYPE_CHECKING:
    from simulators.landscape.scenario import Scenario

#: Meters come in blocks of ten with all makes; of this many blocks at most the interval values are measured.
_BLOCK, _MOST_BLOCKS = 10, 6
#: The interval register of energy drawn; SAP's reading reason with billing, and its category of stored values.
_DRAWN, _INTERIM, _STORED = "1-0:1.29.0*255", "02", "0"
#: The factor of some interval registers: a value counts that many times, once.
_FACTOR = "20"


class ProfileActs:
    """This will have load profiles of meters of `scenario` uploaded."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.ids: list[str] = []
        self.billed: list[str] = []  # devices whose second day is billed by its intervals
        self.revised: tuple[str, datetime] | None = None  # serial and start of an interval estimated at first
        self.faults: list[str] = []  # to befall the values of the second day

    def measured(self, meters: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """This will return the meters with those interval registers only that SAP is to know, some with a factor."""
        blocks = -(-len(meters) // _BLOCK)
        step = -(-blocks // _MOST_BLOCKS)
        rows = []
        for number, meter in enumerate(meters):
            channels = meter["channels"] if number // _BLOCK % step == 0 else []
            factor = {"factor": _FACTOR} if number % _BLOCK == 3 else {}
            rows.append({**meter, "channels": [{**channel, **factor} for channel in channels]})
        return rows

    def assign(self) -> None:
        """All interval registers are assigned from the first whole day on; one interval is estimated at first."""
        scenario = self._scenario
        channels = {meter["serial"]: meter["channels"] for meter in scenario.meters}
        devices = scenario.process("device initialization").devices
        profiled = [device for device, meter in zip(devices, scenario.meters, strict=True) if channels[meter["serial"]]]
        made = scenario.clients.sap.post("/control/assign_profiles", devices=profiled, start_on=scenario.day_names[1])
        self.ids = made["profiles"]
        scenario.process("profile assignment").messages += made["messages"]
        serial = next(serial for serial, rows in channels.items() if rows)
        begin = scenario.at(1, 10)
        scenario.clients.head_end.post(
            "/control/irregular",
            **{"serial": serial, "kind": "revised", "from": stamp(begin), "to": stamp(begin + timedelta(minutes=15))},
        )
        self.revised = (serial, begin)
        scenario.steering.settle(within=timedelta(minutes=10))

    def bill(self) -> None:
        """A reading with billing ends the second day of each profiled meter for electricity that stays in its place."""
        scenario = self._scenario
        drawn = {
            meter["serial"]
            for meter in scenario.meters
            if any(channel["obis"] == _DRAWN for channel in meter["channels"])
        }
        devices = scenario.process("device initialization").devices
        staying = set(scenario.devices())
        self.billed = [
            device
            for device, meter in zip(devices, scenario.meters, strict=True)
            if device in staying and meter["serial"] in drawn
        ]
        if self.billed:
            scenario.order("reading with billing", self.billed, reason=_INTERIM, on=1, source=_STORED)

    def spoil(self) -> None:
        """The faults of interval values that were asked for befall the second day, the one that is judged."""
        for name in self.faults:
            self._scenario.clients.head_end.post("/control/faults", name=name, times=1)
