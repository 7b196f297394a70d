"""From what a meter tells to what SAP bills: values are validated, sent as a profile and determined; all agree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mdus.domain.usage_point import UsagePoint
from mdus.workers import determinants
from simulators.sap_cis.billing import TARIFFS, Bill, CannotBill, bill_determinants, bill_profile
from tests.flows.profiles.metering import CHANGE, CREATE, DEVICE, INTERVALS, SENDER, TASK, Metering, role

BERLIN = ZoneInfo("Europe/Berlin")
POINT = "DE0001234"
#: Four days with the change of clocks in spring, Thursday to Sunday, and a Monday that begins the next period.
FIRST, AFTER = date(2026, 3, 26), date(2026, 3, 30)


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=BERLIN).astimezone(UTC)


@pytest.fixture
def metering(database_url: str, tmp_path: Path) -> Iterator[Metering]:
    made = Metering(database_url, tmp_path, now=midnight(FIRST))
    made.meter(valid_from=FIRST, factor=None)
    made.save(
        UsagePoint(
            sender_system=SENDER,
            device_id=DEVICE,
            measurement_task_id=TASK,
            point_of_delivery_id=POINT,
            valid_from=midnight(FIRST),
            valid_to=midnight(AFTER),
        )
    )
    made.assign(role())
    yield made
    made.close()


def tell(metering: Metering, day: date, peak: str = "0.250") -> None:
    """Let the meter tell a day of 0.125 kWh a quarter of an hour, but for one of them."""
    count = int((midnight(day + timedelta(days=1)) - midnight(day)) / timedelta(minutes=15))
    values = ["0.125"] * count
    values[44] = peak
    metering.clock.instant = midnight(day + timedelta(days=1)) + timedelta(hours=2)
    metering.deliver(midnight(day), values)
    metering.export()
    metering.confirm()


def determine(metering: Metering, *, at: datetime, since: datetime) -> list[dict[str, Any]]:
    """Run the job and read all there is by REST."""
    metering.clock.instant = at
    determinants.run(metering.database, settings=metering.settings, now=at, since=since)
    answer = metering.mdus.get("/api/v1/determinants", params={"point_of_delivery_id": POINT, "newest": "true"})
    assert answer.status_code == 200
    rows: list[dict[str, Any]] = answer.json()["items"]
    return rows


def by_profile(metering: Metering, tariff: str) -> Bill:
    """Bill the values that SAP was sent, the last word on each."""
    sent = {**metering.sent(CREATE), **metering.sent(CHANGE)}
    values = {start: told.split()[1] for start, told in sent.items()}
    return bill_profile(values, TARIFFS[tariff], of="P", unit="KWH", minutes=15, start=FIRST, end=AFTER, zone=BERLIN)


@pytest.mark.parametrize("tariff", ["time_of_use", "demand", "tiered"])
def test_a_profile_and_determinants_bill_the_same(metering: Metering, tariff: str) -> None:
    for number in range(4):
        tell(metering, FIRST + timedelta(days=number))
    at = midnight(AFTER) + timedelta(hours=30)
    rows = determine(metering, at=at, since=midnight(FIRST))
    assert {(row["status"], row["reason"], row["period_to"]) for row in rows} == {("released", "end", "2026-03-30")}
    [bill] = bill_determinants(rows, TARIFFS[tariff], of=POINT, reading_type=INTERVALS)
    profile = by_profile(metering, tariff)
    assert [line.amount for line in bill.lines] == [line.amount for line in profile.lines]
    assert bill.total == profile.total
    quantities = {row["name"]: row["quantity"] for row in rows}
    # 95 hours; three days have 96 quarters, the Sunday 92.
    assert quantities["total"] == str(0.125 * 380 + 4 * 0.125).rstrip("0").rstrip(".")
    assert quantities["demand"] == "1"

    # The meter has another value for the Friday: SAP is sent a change, and a version that replaces the first.
    tell_again = midnight(date(2026, 3, 27)) + timedelta(hours=11)
    metering.clock.instant = at + timedelta(hours=1)
    metering.deliver(tell_again, ["4.000"])
    metering.export()
    rows = determine(metering, at=at + timedelta(hours=24), since=at)
    corrected = {row["name"]: row for row in rows}
    assert (corrected["demand"]["quantity"], corrected["demand"]["version"]) == ("16", 2)
    assert corrected["total.low"]["version"] == 1
    [bill] = bill_determinants(rows, TARIFFS[tariff], of=POINT, reading_type=INTERVALS)
    assert bill.total == by_profile(metering, tariff).total > profile.total


def test_a_gap_is_billed_by_nobody(metering: Metering) -> None:
    for number in range(3):
        tell(metering, FIRST + timedelta(days=number))
    rows = determine(metering, at=midnight(AFTER) + timedelta(hours=30), since=midnight(FIRST))
    assert {row["gate_reason"] for row in rows} == {"92 of 380 intervals have no value, 0 may lack"}
    with pytest.raises(CannotBill, match="is held: 92 of 380"):
        bill_determinants(rows, TARIFFS["flat"], of=POINT, reading_type=INTERVALS)
    with pytest.raises(CannotBill, match="has no value"):
        by_profile(metering, "flat")
