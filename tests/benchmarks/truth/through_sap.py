"""Meters that go the whole way: made by SAP's messages, heard through a head end's door, told to SAP, billed there.

```
SAP --devices, registers, places, points of delivery, profiles, reading orders (SOAP)--> MDUS
head end --values, readings (JSON)--> readings worker --> validation --> profile values, reading results (SOAP)--> SAP
```
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from lxml import etree

from mdus.bootstrap.database import seed_rule_sets
from mdus.bootstrap.discovery import discover
from mdus.domain.command import CommandKind
from mdus.endpoints.application import create_app
from mdus.endpoints.push import push_route
from mdus.workers import estimate_missing, interval_export
from mdus.workers.rule_sets import stored
from mdus.workers.validation import ValidationWorker
from simulators.sap_cis.billing import TARIFFS, CannotBill, Shown, bill_profile, bill_readings
from tests.benchmarks.truth.city import ZONE, midnight
from tests.benchmarks.truth.faults import NOTHING, Told
from tests.benchmarks.truth.judging import Billed
from tests.benchmarks.truth.scenario import ENERGY, INTERVALS, Scenario
from tests.benchmarks.truth.straight import COMES, LATER, OVER, device_id, point_id, serial_id
from tests.flows import orders
from tests.flows.both_sides import BothSides
from tests.flows.profiles import metering
from tests.flows.registry import DEVICES, LOCATIONS, POINTS, REGISTERS, device, location, point_of_delivery, register

_A_DAY: Final = timedelta(days=1)
_JSON: Final = {"Content-Type": "application/json"}
#: SAP's registers of these meters have three digits behind the point.
_DIGITS: Final = 5


class ThroughSap(BothSides):
    """One installation with a SAP and a head end, and some of the meters of a scenario."""

    def __init__(self, url: str, folder: Path, scenario: Scenario) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "zone.toml").write_text('time_zone = "Europe/Berlin"\n')
        self.scenario, self.meters = scenario, scenario.through_sap
        self.begun = midnight(min(scenario.city.loads))
        super().__init__(url, folder, now=self.begun)
        settings = self.mdus.runtime.settings
        self.mdus.app = create_app(self.mdus.runtime, routes=[push_route(self.mdus.runtime)])
        self.validation = ValidationWorker(
            database=self.database,
            settings=settings,
            clock=self.clock,
            rule_sets=stored(discover().tools),
        )
        seed_rule_sets(self.database)
        self._exported_at = self.begun
        self._answered = 0

    def play(self) -> None:
        """This will create the meters, live through the history and the month, and tell SAP all of it."""
        first, last = self.scenario.days[0], self.scenario.days[-1]
        self._create()
        self._read(self.begun, self.begun.astimezone(ZONE).date())
        for day, end in self.scenario.course():
            if day + _A_DAY in (first, last + _A_DAY):
                self._order(day)
            if day in self.scenario.city.loads:
                self.clock.instant = end + COMES
                self._read(end, day + _A_DAY)
                self._tell((meter, day, told) for meter, told in self.scenario.of_day(day, self.meters))
                self.clock.instant = end + OVER
                settings = self.mdus.runtime.settings
                estimate_missing.run(self.database, settings=settings, now=self.clock.instant, day=day + _A_DAY)
                self._work()
            self.clock.instant = end + LATER
            self._tell(self.scenario.corrections(day, self.meters))
            if day >= first:
                self._export()

    def bills(self) -> dict[tuple[int, str], Decimal | str]:
        """This will return what SAP bills by meter and tariff, or why it cannot: from results, and from profiles."""
        shown, values = self._results(), self._values()
        found: dict[tuple[int, str], Decimal | str] = {}
        for meter in self.meters:
            of, profile = point_id(meter), values.get(_profile(meter), {})
            for name in ("flat", "time_of_use", "demand"):
                try:
                    found[meter, name] = self._bill(name, of, shown.get(meter, ()), profile)
                except CannotBill as error:
                    found[meter, name] = str(error)
        return found

    def _bill(self, name: str, of: str, shown: Sequence[Shown], profile: Mapping[str, str]) -> Decimal:
        tariff = TARIFFS[name]
        if name == "flat":
            made = bill_readings(shown, tariff, of=of, unit="KWH", digits=_DIGITS)
            if len(made) != 1:
                days = ", ".join(each.on.isoformat() for each in shown)
                raise CannotBill(f"{of} has readings of {days or 'no day'}")
            return made[0].total
        days = self.scenario.days
        return bill_profile(
            profile,
            tariff,
            of=of,
            unit="KWH",
            minutes=15,
            start=days[0],
            end=days[-1] + _A_DAY,
            zone=ZONE,
        ).total

    # ---- what SAP says -----------------------------------------------------------------------------------------------

    def _create(self) -> None:
        """Let SAP create all meters, the head end know them, SAP assign their profiles.

        Profiles have as many decimals as channels: what is estimated has more than what is told, and would be cut off.
        """
        ids = [device_id(meter) for meter in self.meters]
        start = self.begun.astimezone(ZONE).date().isoformat()
        self.tell(DEVICES, *(_from(start, device(one)) for one in ids))
        three = "<FractionDigitNumberValue>3<"
        registers = (register(one).replace("<FractionDigitNumberValue>2<", three) for one in ids)
        self.tell(REGISTERS, *(_from(start, one) for one in registers))
        self.tell(LOCATIONS, *(_from(start, location(one)) for one in ids))
        month = self.scenario.days[0].isoformat()
        self.tell(POINTS, *(_from(month, point_of_delivery(one)) for one in ids))
        self.rest()
        self.answer(CommandKind.PROVISION)
        self.rest()
        for meter in self.meters:
            role = metering.role(f"{month}T00:00:00", task=device_id(meter))
            self.tell(metering.ASSIGN, metering.time_series(role, profile=_profile(meter), decimals=6))
        self.rest()

    def _order(self, day: date) -> None:
        """Let SAP order what the registers show when a day ends."""
        told = (
            orders.reading(f"{day:%m%d}{meter + 1:08d}", device_id(meter), reason="01", on=day.isoformat())
            for meter in self.meters
        )
        self.tell(orders.READINGS, *told)
        self.rest()

    def _confirm(self) -> None:
        """Let SAP confirm all values and results it has not answered yet."""
        received, self._answered = self.sap.received[self._answered :], len(self.sap.received)
        for message in received:
            root = etree.QName(message).localname
            if root in (metering.CREATE, metering.CHANGE):
                answer = metering.answer_to(message, code="3", overall="3")
                reference = message.findtext("MessageHeader/UUID")
                head = metering.header(str(uuid.uuid4()), references=reference)
                posted = self.mdus.post(metering.envelope(root.replace("Request", "Confirmation"), head + answer))
                if posted.status_code != 202:
                    raise ValueError(posted.text)
            elif root in (orders.RESULT, orders.RESULTS):
                for document in message.iter("MeterReadingDocument"):
                    self.tell(orders.RESULT_CONFIRMED, orders.result_confirmed(document.findtext("ID") or ""))
        self.rest()

    # ---- what the head end says --------------------------------------------------------------------------------------

    def _read(self, at: datetime, day: date) -> None:
        shown = self.scenario.city.shown[day]
        self._push(
            "readings",
            {
                "readings": [
                    {
                        "serial": serial_id(meter),
                        "obis": ENERGY,
                        "at": _stamp(at),
                        "value": _decimal(int(shown[meter])),
                        "unit": "kWh",
                    }
                    for meter in self.meters
                ]
            },
        )

    def _tell(self, told: Iterable[tuple[int, date, Told]]) -> None:
        # What is told twice comes in a delivery of its own.
        deliveries: list[dict[tuple[int, date], dict[str, Any]]] = []
        for meter, day, each in told:
            if (each.values == NOTHING).all():
                continue
            key = (meter, day)
            into = next((one for one in deliveries if key not in one), None)
            if into is None:
                into = {}
                deliveries.append(into)
            into[key] = _block(meter, day, each)
        for one in deliveries:
            self._push("intervals", {"blocks": list(one.values())})
        self.rest()
        self._work()

    def _push(self, topic: str, body: Mapping[str, Any]) -> None:
        told = json.dumps({"delivery_id": str(uuid.uuid4()), **body}).encode()
        answer = self.mdus.post(told, f"/head-ends/city/{topic}", headers=_JSON)
        if answer.status_code != 202:
            raise ValueError(answer.text)

    def _work(self) -> None:
        while self.validation.turn():
            pass

    # ---- what SAP is told --------------------------------------------------------------------------------------------

    def _export(self) -> None:
        since, self._exported_at = self._exported_at, self.clock.instant
        settings = self.mdus.runtime.settings
        interval_export.run(self.database, settings=settings, now=self.clock.instant, since=since)
        self.rest()
        self._confirm()

    def _values(self) -> dict[str, dict[str, str]]:
        """Return the last value SAP was told of each interval, by profile."""
        found: dict[str, dict[str, str]] = {}
        for message in self.sap.received:
            root = etree.QName(message).localname
            if root not in (metering.CREATE, metering.CHANGE):
                continue
            for series in message.iterfind(f"{root.replace('Bulk', '')}Message/UtilitiesTimeSeries"):
                values = found.setdefault(series.findtext("ID") or "", {})
                for item in series.iterfind("Item"):
                    values[item.findtext("UTCValidityStartDateTime") or ""] = item.findtext("Quantity") or ""
        return found

    def _results(self) -> dict[int, list[Shown]]:
        """Return what SAP was told that registers showed, at the end of which day."""
        found: dict[int, list[Shown]] = {}
        for message in self.sap.received:
            root = etree.QName(message).localname
            if root not in (orders.RESULT, orders.RESULTS):
                continue
            for item in [message] if root == orders.RESULT else message.findall(f"{orders.RESULT}Message"):
                document = item.findtext("MeterReadingDocument/ID") or ""
                result = item.find("MeterReadingDocument/Result")
                if result is None:
                    continue
                on = date.fromisoformat(result.findtext("ActualMeterReadingDate") or "")
                if result.findtext("ActualMeterReadingTime") == "00:00:00":
                    on -= _A_DAY
                value = Decimal(result.findtext("MeterReadingResultValue") or "")
                found.setdefault(int(document[4:]) - 1, []).append(Shown(on=on, value=value))
        return found


def compared(
    scenario: Scenario, by_soap: Mapping[tuple[int, str], Decimal | str], straight: Billed
) -> tuple[list[str], list[str]]:
    """This will return which bills differ between the two ways, and which are made by one of them only."""
    differing, one_way = [], []
    for (meter, name), amount in sorted(by_soap.items()):
        other = straight.amounts.get(meter, {}).get(name)
        of = f"meter {meter} ({scenario.kind_of.get(meter, 'none')}), {name}"
        if isinstance(amount, Decimal) and other is not None:
            if amount != other:
                differing.append(f"{of}: {amount} by SOAP, {other} without")
        elif isinstance(amount, Decimal):
            one_way.append(f"{of}: {amount} by SOAP; {straight.held[meter]}")
        elif other is not None:
            one_way.append(f"{of}: {other} without; {amount}")
    return differing, one_way


def _from(start: str, body: str) -> str:
    return body.replace("<StartDate>2026-01-01<", f"<StartDate>{start}<")


def _profile(meter: int) -> str:
    return f"{meter + 1:018d}"


def _block(meter: int, day: date, told: Told) -> dict[str, Any]:
    block: dict[str, Any] = {
        "serial": serial_id(meter),
        "obis": INTERVALS,
        "unit": "kWh",
        "interval_minutes": 15,
        "start": _stamp(midnight(day)),
        "values": [None if value == NOTHING else _decimal(value) for value in told.values.tolist()],
    }
    if told.codes:
        block["quality"] = [told.codes.get(place) for place in range(len(told.values))]
    return block


def _decimal(milli: int) -> str:
    return f"{Decimal(milli).scaleb(-3):f}"


def _stamp(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
