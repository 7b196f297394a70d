"""What meters tell, played at the head end: single events, some twice, one of a meter nobody knows, and a storm."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from simulators.clock import stamp

if TYPE_CHECKING:
    from simulators.landscape.scenario import Scenario

_COVER_OPENED, _VOLTAGE_SAG = "3.12.29.39", "3.26.79.223"
#: One of each commodity.
_CODES = {"electricity": _COVER_OPENED, "gas": "0.2.22.150", "water": "0.12.0.257"}


class EventActs:
    """This will let meters of `scenario` tell events."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario

    def tell(self) -> None:
        """Events of all commodities, one twice, a repetition, one SAP does not want, one of a stranger, a storm."""
        scenario = self._scenario
        steering = scenario.steering
        steering.run_until(scenario.at(0, 17))
        first = {meter["commodity"]: meter["serial"] for meter in reversed(scenario.meters)}
        told = [self._raise(serial, _CODES[commodity]) for commodity, serial in first.items()]
        self._raise(told[0]["serial"], told[0]["code"], at=told[0]["at"], event_id=told[0]["event_id"])
        if "electricity" in first:
            self._raise(first["electricity"], _VOLTAGE_SAG)
        for serial in scenario.technical.strangers()[:1]:
            self._raise(serial, _COVER_OPENED)
        steering.settle(within=timedelta(minutes=6))
        self._raise(told[0]["serial"], told[0]["code"])
        size = min(len(scenario.meters), 3 * scenario.storm_limit)
        scenario.clients.head_end.post("/control/storm", meters=size, serial=scenario.meters[0]["serial"])
        steering.settle(within=timedelta(minutes=30))

    def tell_early(self, serials: list[str]) -> None:
        """Some of these meters tell something before MDUS, or even SAP, may speak of them."""
        for serial in serials[:3]:
            self._raise(serial, _CODES["water"])

    def _raise(self, serial: str, code: str, **facts: Any) -> dict[str, Any]:
        facts = {"at": stamp(self._scenario.steering.now().replace(microsecond=0)), **facts}
        made: dict[str, Any] = self._scenario.clients.head_end.post("/control/event", serial=serial, code=code, **facts)
        return made
