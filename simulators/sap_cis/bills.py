"""Bills of what this SAP has: results of reading orders, values of profiles, and determinants it reads from MDUS."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from simulators.sap_cis.billing import (
    TARIFFS,
    Bill,
    CannotBill,
    Shown,
    Tariff,
    bill_determinants,
    bill_profile,
    bill_readings,
)
from simulators.sap_cis.cis import Cis
from simulators.sap_cis.view import Order

#: What reads the newest determinants of a point of delivery from MDUS.
Reader = Callable[[str], list[dict[str, Any]]]

#: Reasons whose readings are of the beginning of their day: moving in, installations.
_START_OF_DAY = frozenset({"06", "08", "21", "24"})

_TOTAL, _LOAD = "1-0:1.8.0*255", "1-0:1.29.0*255"


class Bills:
    """This will bill devices of `cis`; `determinants` reads those of a point of delivery."""

    def __init__(self, cis: Cis, determinants: Reader) -> None:
        self._cis = cis
        self._determinants = determinants

    def of(self, asked: Mapping[str, str]) -> list[dict[str, Any]]:
        """This will return bills: {device, tariff, source: readings|profile|determinants, obis, from, to}; `from` and
        `to` are local days, half-open, and only a profile needs them. KeyError for what is not known."""
        device, tariff = asked["device"], TARIFFS[asked["tariff"]]
        source = asked.get("source", "readings")
        if source == "determinants":
            with self._cis.reading():
                point = self._cis.view.devices[device].point_of_delivery
            rows = self._determinants(point)
            bills = bill_determinants(rows, tariff, of=point, reading_type=asked.get("obis", _LOAD))
        else:
            with self._cis.reading():
                if source == "profile":
                    bills = [self._by_profile(device, tariff, asked)]
                elif source == "readings":
                    bills = self._by_readings(device, tariff, asked.get("obis", _TOTAL))
                else:
                    raise ValueError(f"{source} is no source of bills")
        return [_shown(bill) for bill in bills]

    def _by_readings(self, device: str, tariff: Tariff, obis: str) -> list[Bill]:
        registers = {register.obis: register for register in self._cis.view.devices[device].registers}
        register = registers[obis]
        shown = [
            Shown(on=_day_shown(order), value=Decimal(order.result["value"]))
            for order in self._cis.view.orders.values()
            if (order.device, order.lrn) == (device, register.lrn) and order.result is not None
            if order.status == "result" and order.result_code != "5"
        ]
        return bill_readings(
            shown,
            tariff,
            of=device,
            unit=register.unit,
            digits=register.digits,
            factor=Decimal(register.factor),
        )

    def _by_profile(self, device: str, tariff: Tariff, asked: Mapping[str, str]) -> Bill:
        obis = asked.get("obis", _LOAD)
        found = [each for each in self._cis.view.profiles.values() if (each.device, each.obis) == (device, obis)]
        if not found:
            raise CannotBill(f"{device} has no profile of {obis}")
        profile = found[0]
        return bill_profile(
            profile.values,
            tariff,
            of=profile.id,
            unit=profile.unit,
            minutes=profile.minutes,
            start=date.fromisoformat(asked["from"]),
            end=date.fromisoformat(asked["to"]),
            zone=self._cis.options.zone,
        )


def _day_shown(order: Order) -> date:
    """This will return the day at whose end the register showed the result."""
    scheduled = date.fromisoformat(order.scheduled_on)
    return scheduled - timedelta(days=1) if order.reason.zfill(2) in _START_OF_DAY else scheduled


def _shown(bill: Bill) -> dict[str, Any]:
    lines = [{name: str(value) for name, value in asdict(line).items()} for line in bill.lines]
    return {**asdict(bill), "lines": lines, "total": str(bill.total)}
