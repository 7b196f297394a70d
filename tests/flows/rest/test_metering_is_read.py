"""What the field has told is read by REST: readings, interval values in JSON and CSV, commands, head ends, jobs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from mdus.domain.access import Role
from mdus.storage.access_token import make_token
from mdus.storage.job import JOB_RUN
from tests.flows.both_sides import ENERGY, SENDER, BothSides
from tests.flows.meter_reading.test_reading_is_ordered import DEVICE, ORDER, START, order
from tests.flows.profiles.metering import INTERVALS, Metering

MIDNIGHT = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)  # the day of 23 hours in Berlin begins
DAY = {"on": "2026-03-29"}


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=START)
    made.meter(DEVICE)
    yield made
    made.close()


@pytest.fixture
def metering(database_url: str, tmp_path: Path) -> Iterator[Metering]:
    made = Metering(database_url, tmp_path, now=MIDNIGHT)
    made.meter()
    yield made
    made.close()


def get(mdus: Any, path: str, *, accept: str = "application/json", **parameters: Any) -> Any:
    parameters = {"sender_system": SENDER, "device_id": DEVICE, **parameters}
    return mdus.get(f"/api/v1{path}", params=parameters, headers={"Accept": accept})


class TestReadings:
    def test_are_listed_the_newest_first_and_page_by_page(self, sides: BothSides) -> None:
        for hour in range(3):
            sides.snapshot(START + timedelta(hours=hour), (DEVICE, f"{hour}.55"))
        first = get(sides.mdus, "/readings", limit=2).json()
        assert [row["value"] for row in first["items"]] == ["2.55", "1.55"]
        second = get(sides.mdus, "/readings", limit=2, cursor=first["next"]).json()
        assert ([row["value"] for row in second["items"]], second["next"]) == (["0.55"], None)
        assert get(sides.mdus, "/readings", reading_type=ENERGY).json()["items"]
        assert get(sides.mdus, "/readings", reading_type="1-0:2.8.0*255").json()["items"] == []

    def test_of_another_device_are_none(self, sides: BothSides) -> None:
        sides.snapshot(START, (DEVICE, "1"))
        assert get(sides.mdus, "/readings", device_id="7").json()["items"] == []


class TestIntervals:
    def test_are_told_with_the_instants_of_a_short_day(self, metering: Metering) -> None:
        values = [f"0.{place:03}" for place in range(92)]
        metering.deliver(MIDNIGHT, values, qualities=[None, "2.8.0", *[None] * 90])
        rows = get(metering.mdus, "/intervals", **DAY).json()
        assert len(rows) == 92
        assert rows[0] == {
            "device_id": DEVICE,
            "reading_type": INTERVALS,
            "start": "2026-03-28T23:00:00Z",
            "end": "2026-03-28T23:15:00Z",
            "value": "0.000000",
            "unit": "KWH",
            "qualities": [],
        }
        assert rows[1]["qualities"] == ["2.8.0"]
        assert rows[-1]["end"] == "2026-03-29T22:00:00Z"

    def test_leave_gaps_out(self, metering: Metering) -> None:
        metering.deliver(MIDNIGHT, ["1", None, "3"])
        assert [row["value"] for row in get(metering.mdus, "/intervals", **DAY).json()] == ["1.000000", "3.000000"]

    def test_are_csv_for_who_asks(self, metering: Metering) -> None:
        metering.deliver(MIDNIGHT, ["1", "2"])
        response = get(metering.mdus, "/intervals", accept="text/csv", **DAY)
        assert response.headers["content-type"].startswith("text/csv")
        [first, second] = csv.DictReader(io.StringIO(response.text))
        assert (first["start"], first["value"], second["value"]) == (
            "2026-03-28T23:00:00+00:00",
            "1.000000",
            "2.000000",
        )

    def test_of_several_days_follow_each_other(self, metering: Metering) -> None:
        metering.deliver(MIDNIGHT, ["1"])
        metering.deliver(MIDNIGHT + timedelta(hours=23), ["2"])
        assert [row["value"] for row in get(metering.mdus, "/intervals", **DAY).json()] == ["1.000000"]
        rows = get(metering.mdus, "/intervals", **DAY, days=2).json()
        assert [row["start"] for row in rows] == ["2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"]

    @pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "2026-03-28"])
    def test_of_days_without_any_are_none(self, metering: Metering, day: str) -> None:
        metering.deliver(MIDNIGHT, ["1"])
        assert get(metering.mdus, "/intervals", on=day).json() == []

    @pytest.mark.parametrize("period", [{"on": "tomorrow"}, {**DAY, "days": 0}, {**DAY, "days": 32}, {}])
    def test_of_no_fit_period_are_refused(self, metering: Metering, period: dict[str, Any]) -> None:
        response = get(metering.mdus, "/intervals", **period)
        assert response.status_code == 422
        assert response.headers["content-type"] == "application/problem+json"


class TestCommands:
    def test_are_listed_with_what_became_of_them(self, sides: BothSides) -> None:
        sides.tell(ORDER, order(source="1"))
        sides.rest()
        [row] = get(sides.mdus, "/commands").json()["items"]
        assert (row["kind"], row["status"], row["head_end"]) == ("read_on_demand", "accepted", "city")
        assert get(sides.mdus, "/commands", kind="switch").json()["items"] == []


class TestHeadEndsAndJobs:
    def test_head_ends_are_those_of_the_settings(self, sides: BothSides) -> None:
        [row] = sides.mdus.get("/api/v1/head-ends").json()
        assert (row["name"], row["kind"], row["ams_ids"]) == ("city", "rest", ["AM01"])

    def test_runs_of_jobs_tell_what_they_did(self, sides: BothSides) -> None:
        with sides.database.begin() as uow:
            for slot in ("2026-03-28", "2026-03-29"):
                uow.connection.execute(
                    insert(JOB_RUN).values(
                        job="reconcile", slot=slot, status="done", attempts=1, created_at=START, outcome="all well"
                    )
                )
        rows = sides.mdus.get("/api/v1/jobs", params={"job": "reconcile"}).json()["items"]
        assert [(row["slot"], row["outcome"]) for row in rows] == [
            ("2026-03-29", "all well"),
            ("2026-03-28", "all well"),
        ]


@pytest.mark.parametrize("path", ["/readings", "/commands", "/intervals"])
def test_what_belongs_to_another_system_is_not_there(sides: BothSides, path: str) -> None:
    with sides.database.begin() as uow:
        token = make_token(uow.connection, "q", role=Role.ADMIN, systems=["Q11"], lasts=None, created_by="test")
    headers = {"Authorization": f"Bearer {token}"}
    parameters = {"sender_system": SENDER, "device_id": DEVICE, **DAY}
    assert sides.mdus.get(f"/api/v1{path}", params=parameters, headers=headers).status_code == 404
