"""Bills computed by hand: flat and tiered from readings, time of use and demand from profiles and from determinants."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from starlette.applications import Starlette

from simulators.sap_cis.billing import (
    TARIFFS,
    Bill,
    CannotBill,
    Shown,
    bill_determinants,
    bill_profile,
    bill_readings,
)
from simulators.sap_cis.bills import Bills
from simulators.sap_cis.business import Business
from simulators.sap_cis.cis import Cis
from simulators.sap_cis.control import Control
from tests.unit.simulators.sap_cis.conftest import CHANNEL, METERS

BERLIN = ZoneInfo("Europe/Berlin")
OBIS = "1-0:1.29.0*255"


def read(*values: str, tariff: str = "flat", factor: str = "1", digits: int = 6) -> list[Bill]:
    shown = [Shown(on=date(2026, 1, 31) + timedelta(days=30 * n), value=Decimal(v)) for n, v in enumerate(values)]
    return bill_readings(shown, TARIFFS[tariff], of="42", unit="KWH", digits=digits, factor=Decimal(factor))


def amounts(bill: Bill) -> list[tuple[str, str, str]]:
    return [(line.what, str(line.quantity), str(line.amount)) for line in bill.lines]


class TestReadings:
    def test_are_billed_from_one_to_the_next(self) -> None:
        first, second = read("1000.0", "1250.5", "1251")
        # 250.5 x 0.31 = 77.655, half up.
        assert amounts(first) == [("energy", "250.5", "77.66"), ("standing charge", "1", "9.50")]
        assert (first.start_on, first.end_on, first.total) == ("2026-02-01", "2026-03-02", Decimal("87.16"))
        assert amounts(second) == [("energy", "0.5", "0.16"), ("standing charge", "1", "9.50")]

    @pytest.mark.parametrize(
        ("end", "lines"),
        [
            ("1100", [("energy", "100", "28.00")]),
            ("1100.5", [("energy", "100", "28.00"), ("energy", "0.5", "0.16")]),
            ("1350", [("energy", "100", "28.00"), ("energy", "200", "64.00"), ("energy", "50", "18.50")]),
            ("1000", []),
        ],
        ids=["up to a step", "just beyond", "all steps", "nothing"],
    )
    def test_are_billed_by_steps(self, end: str, lines: list[tuple[str, str, str]]) -> None:
        [bill] = read("1000", end, tariff="tiered")
        assert amounts(bill)[:-1] == lines

    def test_take_the_factor_and_one_overflow(self) -> None:
        [bill] = read("999990", "10", factor="40")
        assert amounts(bill)[0] == ("energy", "800", "248.00")

    def test_say_nothing_of_when(self) -> None:
        for tariff in ("time_of_use", "demand"):
            with pytest.raises(CannotBill, match="a register does not say when"):
                read("1", "2", tariff=tariff)


def profile(start: date, days: int, *, minutes: int = 15, **changes: str) -> dict[str, str]:
    begin = datetime(start.year, start.month, start.day, tzinfo=BERLIN).astimezone(UTC)
    end = (datetime(start.year, start.month, start.day, tzinfo=BERLIN) + timedelta(days=days)).astimezone(UTC)
    count = int((end - begin) / timedelta(minutes=minutes))
    values = {f"{begin + n * timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}": "0.25" for n in range(count)}
    assert set(changes) <= set(values)
    return values | changes


def by_profile(values: Mapping[str, str], start: date, days: int, tariff: str = "time_of_use") -> Bill:
    return bill_profile(
        values,
        TARIFFS[tariff],
        of="P1",
        unit="KWH",
        minutes=15,
        start=start,
        end=start + timedelta(days=days),
        zone=BERLIN,
    )


class TestProfiles:
    @pytest.mark.parametrize(
        ("start", "high", "low"),
        [
            pytest.param(date(2026, 3, 27), "16.00", "8.00", id="a Friday"),
            pytest.param(date(2026, 3, 28), "0", "24.00", id="a Saturday"),
            pytest.param(date(2026, 3, 29), "0", "23.00", id="23 hours"),
            pytest.param(date(2026, 10, 25), "0", "25.00", id="25 hours"),
            pytest.param(date(2026, 4, 6), "0", "24.00", id="a holiday on a Monday"),
        ],
    )
    def test_are_billed_by_time_of_use(self, start: date, high: str, low: str) -> None:
        bill = by_profile(profile(start, 1), start, 1)
        expected = [
            ("energy, high", high, str((Decimal(high) * Decimal("0.35")).quantize(Decimal("0.01")))),
            ("energy, low", low, str((Decimal(low) * Decimal("0.22")).quantize(Decimal("0.01")))),
            ("standing charge", "1", "12.00"),
        ]
        assert amounts(bill) == expected

    def test_are_billed_by_demand(self) -> None:
        start = date(2026, 6, 10)
        values = profile(start, 1, **{"2026-06-10T10:15:00Z": "3.125"})
        bill = by_profile(values, start, 1, "demand")
        # 95 x 0.25 + 3.125 = 26.875 kWh at 0.19; 3.125 kWh in a quarter of an hour are 12.5 kW at 8.40.
        assert amounts(bill) == [
            ("energy", "26.875", "5.11"),
            ("demand", "12.500", "105.00"),
            ("standing charge", "1", "25.00"),
        ]

    def test_are_not_billed_with_gaps(self) -> None:
        start = date(2026, 6, 10)
        values = profile(start, 1)
        del values["2026-06-10T10:15:00Z"]
        with pytest.raises(CannotBill, match="no value at 2026-06-10T10:15:00Z"):
            by_profile(values, start, 1)


def row(name: str, quantity: str, **changes: Any) -> dict[str, Any]:
    return {
        "reading_type": OBIS,
        "period_from": "2026-06-01",
        "period_to": "2026-07-01",
        "name": name,
        "quantity": quantity,
        "unit": "KWH",
        "status": "released",
        "gate_reason": None,
        "is_newest": True,
    } | changes


class TestDeterminants:
    def test_are_billed_by_time_of_use(self) -> None:
        rows = [row("total", "300"), row("total.high", "200.5"), row("total.low", "99.5")]
        [bill] = bill_determinants(rows, TARIFFS["time_of_use"], of="DE1", reading_type=OBIS)
        assert amounts(bill)[:2] == [("energy, high", "200.5", "70.18"), ("energy, low", "99.5", "21.89")]
        assert (bill.start_on, bill.end_on, bill.total) == ("2026-06-01", "2026-06-30", Decimal("104.07"))

    def test_are_billed_by_demand(self) -> None:
        rows = [row("total", "1000"), row("demand", "12.345", unit="KW"), row("demand", "9", is_newest=False)]
        [bill] = bill_determinants(rows, TARIFFS["demand"], of="DE1", reading_type=OBIS)
        assert amounts(bill)[:2] == [("energy", "1000", "190.00"), ("demand", "12.345", "103.70")]

    @pytest.mark.parametrize(
        ("rows", "said"),
        [
            ([row("total", "1", status="held", gate_reason="4 values lack")], "is held: 4 values lack"),
            ([row("demand", "1")], "has no total"),
        ],
    )
    def test_that_are_held_or_lack_are_not_billed(self, rows: list[dict[str, Any]], said: str) -> None:
        with pytest.raises(CannotBill, match=said):
            bill_determinants(rows, TARIFFS["flat"], of="DE1", reading_type=OBIS)

    def test_that_are_withdrawn_or_of_other_values_are_left_out(self) -> None:
        rows = [row("total", "1", status="withdrawn"), row("total", "1", reading_type="x")]
        assert bill_determinants(rows, TARIFFS["flat"], of="DE1", reading_type=OBIS) == []


class TestBills:
    def test_are_of_what_the_system_has(self, cis: Cis, business: Business) -> None:
        [device] = business.initialize_devices([{**METERS[0], "channels": [CHANNEL]}], start_on="2026-03-01")
        asked: list[str] = []

        def determinants(point: str) -> list[dict[str, Any]]:
            asked.append(point)
            return [row("total", "10")]

        bills = Bills(cis, determinants)
        first, second = (
            business.order_readings([device.id], reason=reason, scheduled_on=on, obis="1-0:1.8.0*255")[0]
            for reason, on in (("01", "2026-03-10"), ("06", "2026-03-21"))
        )
        for order, value in ((first, "100.00"), (second, "150.00")):
            effect = {"effect": "result", "order": order.id, "value": value, "date": "2026-03-22", "time": "00:00:00"}
            with cis.reading():
                cis.view.apply_effect(effect, real=0.0)
        [bill] = bills.of({"device": device.id, "tariff": "flat"})
        assert (bill["start_on"], bill["end_on"], bill["total"]) == ("2026-03-11", "2026-03-20", "25.00")
        [bill] = bills.of({"device": device.id, "tariff": "flat", "source": "determinants"})
        assert (asked, bill["total"]) == ([device.point_of_delivery], "12.60")
        with pytest.raises(CannotBill, match="no profile"):
            bills.of({"device": device.id, "tariff": "time_of_use", "source": "profile"})
        with pytest.raises(KeyError):
            bills.of({"device": device.id, "tariff": "gold"})
        with pytest.raises(ValueError, match="no source"):
            bills.of({"device": device.id, "tariff": "flat", "source": "dice"})

    @pytest.mark.parametrize(
        ("query", "status", "said"),
        [
            ("tariff=flat&source=determinants&device={}", 200, '"total":"12.60"'),
            ("tariff=gold&device={}", 422, "KeyError"),
            ("tariff=flat&source=profile&device={}", 422, "CannotBill"),
        ],
    )
    def test_are_told_by_the_control_api(
        self, cis: Cis, business: Business, query: str, status: int, said: str
    ) -> None:
        [device] = business.initialize_devices([METERS[0]], start_on="2026-03-01")

        class Reads:
            def determinants(self, point: str) -> list[dict[str, Any]]:
                return [row("total", "10")]

        control = Control(cis, business, Reads())  # type: ignore[arg-type]
        app = Starlette(routes=control.routes())

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 5000))
            async with httpx.AsyncClient(transport=transport, base_url="http://sap") as http:
                return await http.get(f"/control/bills?{query.format(device.id)}")

        answer = asyncio.run(ask())
        assert answer.status_code == status
        assert said in answer.text
