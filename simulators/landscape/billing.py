"""What is billed by time, judged: what MDUS releases as determinants is what the meters truly used, or it is held."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from simulators.landscape.clients import Clients
from simulators.landscape.scenario import Scenario
from simulators.landscape.verdicts import Check, Row

#: The interval registers of which determinants are asked for: energy drawn and fed in.
_BILLED = ("1-0:1.29.0*255", "1-0:2.29.0*255")
_A_DAY = timedelta(days=1)
_MOST_AT_ONCE = 1000

_Register = tuple[str, str]  # point of delivery, OBIS code


class BillingProof:
    """This will compare the newest determinants with what the head end says truly passed on their days."""

    def __init__(self, clients: Clients, scenario: Scenario, devices: Mapping[str, Mapping[str, Any]]) -> None:
        self._clients = clients
        self._scenario = scenario
        self._devices = devices
        self._places = {device["point_of_delivery"]: device for device in devices.values() if not device["replaces"]}
        self._true: dict[tuple[str, str, date], Decimal | None] = {}
        self._totals: dict[_Register, list[dict[str, Any]]] = defaultdict(list)
        for version in self._newest():
            if version["name"] == "total" and version["point_of_delivery_id"] in self._places:
                self._totals[version["point_of_delivery_id"], version["reading_type"]].append(version)
        self._held = {case["case_key"] for case in clients.mdus.pages("/api/v1/exceptions") if _holds(case)}

    def row(self) -> Row:
        """This will count what is to be billed of the second day: released and true, estimated or held, or lost."""
        row = Row(process="billing by intervals")
        first, after = (date.fromisoformat(self._scenario.day_names[place]) for place in (1, 2))
        for device_id in self._scenario.profiles.billed:
            device = self._devices[device_id]
            for obis in _billed(device):
                row.sent += 1
                place = device["point_of_delivery"]
                made = [one for one in self._totals[place, obis] if _span(one) == (first, after)]
                self._count(row, f"{obis} of {device['serial']}", made)
        return row

    def checks(self) -> Iterator[Check]:
        """This will say whether anything is released that is not what was used, of whatever period."""
        if not self._scenario.profiles.billed:
            return
        all_totals = [version for some in self._totals.values() for version in some]
        released = [version for version in all_totals if version["status"] == "released"]
        estimated = [version for version in released if version["estimated"]]
        wrong = [version for version in released if not version["estimated"] and not self._is_true(version)]
        held = [version for version in all_totals if version["status"] == "held"]
        unexplained = [version for version in held if not self._is_explained(version)]
        energy = sum(Decimal(version["quantity"]) for version in released)
        seen = f"{len(released)} released, {energy:f} KWH in all, {len(wrong)} differ"
        seen += f", {len(estimated)} with estimates" if estimated else ""
        seen += f"; {len(held)} held"
        yield Check(
            name="what is billed by intervals is what the meters used, or it is held",
            held=bool(released) and not wrong and not unexplained,
            seen=seen + (f"; {len(unexplained)} of them without a reason" if unexplained else ", each with its reason"),
        )

    def _count(self, row: Row, what: str, made: list[dict[str, Any]]) -> None:
        version = made[0] if made else None
        is_released = version is not None and version["status"] == "released"
        if version is not None and is_released and self._is_true(version):
            row.confirmed += 1
        elif version is not None and is_released and version["estimated"]:
            row.failed += 1
            row.notes.append(f"{what}: {version['estimated']} of {version['intervals']} values are estimated")
        elif version is not None and version["status"] == "held" and self._is_explained(version):
            row.failed += 1
            row.notes.append(f"{what} is held: {version['gate_reason']}")
        else:
            row.lost += 1
            told = "has no determinant" if version is None else f"is {version['status']}: {version['quantity']}"
            true = "" if version is None else f" instead of {self._used(version)}"
            row.notes.append(f"{what} {told}{true}")

    def _is_true(self, version: Mapping[str, Any]) -> bool:
        return self._used(version) == Decimal(version["quantity"])

    def _is_explained(self, version: Mapping[str, Any]) -> bool:
        """Tell whether a held version says why, and whether a person is to see it."""
        last = date.fromisoformat(version["period_to"]) - _A_DAY
        key = f"{version['sender_system']}/{version['point_of_delivery_id']}/{last}"
        return bool(version["gate_reason"]) and key in self._held

    def _used(self, version: Mapping[str, Any]) -> Decimal | None:
        """Return what truly passed in a period, the register's factor applied; None where the head end cannot say."""
        device = self._places[version["point_of_delivery_id"]]
        obis = version["reading_type"]
        register = next(one for one in device["registers"] if one["obis"] == obis)
        start, end = _span(version)
        days = [self._passed(device["serial"], obis, start + number * _A_DAY) for number in range((end - start).days)]
        known = [day for day in days if day is not None]
        return sum(known, Decimal(0)) * Decimal(register["factor"]) if len(known) == len(days) else None

    def _passed(self, serial: str, obis: str, day: date) -> Decimal | None:
        key = (serial, obis, day)
        if key not in self._true:
            answer = self._clients.head_end.get("/control/intervals", serial=serial, day=day.isoformat())
            found = [Decimal(channel["sum"]) for channel in answer["channels"] if channel["obis"] == obis]
            self._true[key] = found[0] if found else None
        return self._true[key]

    def _newest(self) -> Iterator[dict[str, Any]]:
        after = 0
        while True:
            page = self._clients.mdus.get("/api/v1/determinants", after=after, newest=True, limit=_MOST_AT_ONCE)
            yield from page["items"]
            if page["last"] == after:
                return
            after = page["last"]


def _billed(device: Mapping[str, Any]) -> list[str]:
    return [register["obis"] for register in device["registers"] if register["obis"] in _BILLED]


def _span(version: Mapping[str, Any]) -> tuple[date, date]:
    return date.fromisoformat(version["period_from"]), date.fromisoformat(version["period_to"])


def _holds(case: Mapping[str, Any]) -> bool:
    return case["kind"] == "determinants_held" and not case.get("closed_at")
