"""Determinants are read by REST from where a consumer was, released by an approver, asked for by set."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from mdus.domain.access import Role
from mdus.domain.channel import MISSING
from mdus.domain.exception_case import ExceptionCase
from mdus.storage.access_token import make_token
from tests.flows.intake.installation import NOW, Installation
from tests.unit.workers.billing_scene import JULY, JUNE, KWH, POINT, SENDER, BillingScene

OTHER = "000000000000000043"
SETS = """
[[determinant_sets]]
name = "peak_only"
set = "peak"
reading_type = "1-0:1.29.0*255"
determinants = ["demand"]
demand_minutes = 60
unit = "KWH"
demand_unit = "KW"
"""


class Asked:
    """An installation with determinants, and its clients."""

    def __init__(self, url: str, folder: Path) -> None:
        self.scene = BillingScene(url, folder, config=SETS)
        self.mdus = Installation(url, environ={"MDUS_CONFIG": str(folder)})
        self._tokens: dict[Role, dict[str, str]] = {}

    def close(self) -> None:
        self.scene.close()
        self.mdus.database.close()

    def ask(self, method: str, path: str, *, role: Role = Role.VIEWER, **options: Any) -> Any:
        if role not in self._tokens:
            with self.scene.database.begin() as uow:
                token = make_token(uow.connection, role, role=role, systems=None, lasts=None, created_by="test")
            self._tokens[role] = {"Authorization": f"Bearer {token}"}
        headers = {**self._tokens[role], **options.pop("headers", {})}
        return self.mdus.ask(method, f"/api/v1/{path}", headers=headers, **options)

    def metric(self, name: str) -> float:
        """Return what /metrics tells under a name with its labels, 0 where it does not."""
        lines = self.mdus.get("/metrics").text.splitlines()
        told = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return float(told.get(name, 0))

    def versions(self, after: int = 0, **parameters: Any) -> Any:
        answer = self.ask("GET", "determinants", params={"after": after, **parameters})
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def asked(database_url: str, tmp_path: Path) -> Iterator[Asked]:
    made = Asked(database_url, tmp_path / "config")
    made.scene.meter()
    made.scene.meter(OTHER, point="DE0002")
    made.scene.fill(JUNE, JULY)
    made.scene.write(made.scene.block(date(2026, 6, 10), [MISSING] + [1] * 95))
    made.scene.fill(JUNE, JULY, 2, of=made.scene.channel(OTHER))
    made.scene.determine()
    yield made
    made.close()


class TestReading:
    def test_goes_on_from_where_the_consumer_was(self, asked: Asked) -> None:
        first = asked.versions(limit=5)
        assert len(first["items"]) == 5
        rest = asked.versions(first["last"], limit=5)
        assert len(rest["items"]) == 3
        ids = [one["id"] for page in (first, rest) for one in page["items"]]
        assert ids == sorted(ids)
        assert asked.versions(rest["last"]) == {"items": [], "last": rest["last"]}
        asked.scene.now += timedelta(days=1)
        asked.scene.write(asked.scene.block(date(2026, 6, 10)))
        asked.scene.determine()
        news = asked.versions(rest["last"])
        assert {(one["name"], one["cause"], one["status"]) for one in news["items"]} == {
            (name, "corrected", "released") for name in ("total", "total.high", "total.low", "demand")
        }
        assert {one["replaces"] for one in news["items"]} <= set(ids)

    def test_shows_what_a_version_is(self, asked: Asked) -> None:
        [total] = asked.versions(point_of_delivery_id="DE0002", name="total")["items"]
        assert total == {
            "id": total["id"],
            "sender_system": SENDER,
            "point_of_delivery_id": "DE0002",
            "period_from": "2026-06-01",
            "period_to": "2026-07-01",
            "reason": "month",
            "reading_type": KWH,
            "name": "total",
            "version": 1,
            "quantity": "5.76",
            "unit": "KWH",
            "peak_at": None,
            "intervals": 2880,
            "missing": 0,
            "estimated": 0,
            "status": "released",
            "gate_reason": None,
            "cause": "first",
            "made_at": total["made_at"],
            "made_by": "job determinants",
            "replaces": None,
            "is_newest": True,
        }
        assert asked.ask("GET", f"determinants/{total['id']}").json() == total
        assert asked.ask("GET", "determinants/999999").status_code == 404

    @pytest.mark.parametrize(
        ("filters", "count"),
        [
            ({"status": "held"}, 4),
            ({"status": "held", "newest": True}, 4),
            ({"status": "withdrawn"}, 0),
            ({"name": "demand"}, 2),
            ({"period_to": "2026-07-01"}, 8),
            ({"period_to": "2026-06-01"}, 0),
            ({"reading_type": "x"}, 0),
            ({"sender_system": "P12"}, 0),
            ({"sender_system": SENDER, "point_of_delivery_id": POINT, "newest": True}, 4),
        ],
    )
    def test_takes_filters(self, asked: Asked, filters: dict[str, Any], count: int) -> None:
        page = asked.versions(**filters)
        assert len(page["items"]) == count
        assert page["last"] == asked.versions()["last"]

    def test_as_csv_says_where_to_go_on(self, asked: Asked) -> None:
        answer = asked.ask("GET", "determinants", params={"limit": 3}, headers={"Accept": "text/csv"})
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [int(row["id"]) for row in rows] == [one["id"] for one in asked.versions(limit=3)["items"]]
        assert answer.headers["MDUS-Last"] == rows[-1]["id"]

    @pytest.mark.parametrize("form", ["arrow.stream", "parquet"])
    def test_as_columns_lose_no_digit(self, asked: Asked, form: str) -> None:
        accept = {"Accept": f"application/vnd.apache.{form}"}
        answer = asked.ask("GET", "determinants", params={"newest": True}, headers=accept)
        read = pyarrow.ipc.open_stream if form == "arrow.stream" else pyarrow.parquet.read_table
        found = read(io.BytesIO(answer.content))
        table = found.read_all() if form == "arrow.stream" else found
        shown = asked.versions(newest=True)["items"]
        rows = table.to_pylist()
        assert [(row["id"], str(row["quantity"].normalize()), row["status"]) for row in rows] == [
            (one["id"], str(Decimal(one["quantity"]).normalize()), one["status"]) for one in shown
        ]
        assert rows[0]["period_to"] == JULY
        assert answer.headers["MDUS-Last"] == str(shown[-1]["id"])

    def test_of_a_day_is_a_file(self, asked: Asked) -> None:
        day = asked.scene.now.date()
        answer = asked.ask("GET", f"determinants/files/{day}")
        assert answer.status_code == 200
        assert len(list(csv.DictReader(io.StringIO(answer.text)))) == 8
        assert f"determinants-{day}.csv" in answer.headers["Content-Disposition"]
        assert asked.ask("GET", f"determinants/files/{day}").content == answer.content
        assert len(asked.ask("GET", f"determinants/files/{day - timedelta(days=1)}").text.splitlines()) == 1

    def test_shows_nobody_what_is_of_other_systems(self, asked: Asked) -> None:
        with asked.scene.database.begin() as uow:
            token = make_token(uow.connection, "other", role=Role.ADMIN, systems=["P12"], lasts=None, created_by="test")
        headers = {"Authorization": f"Bearer {token}"}
        some = asked.versions()["items"][0]["id"]
        assert asked.mdus.get("/api/v1/determinants", headers=headers).json()["items"] == []
        assert asked.mdus.get(f"/api/v1/determinants/{some}", headers=headers).status_code == 404
        file = asked.mdus.get(f"/api/v1/determinants/files/{asked.scene.now.date()}", headers=headers)
        assert len(file.text.splitlines()) == 1
        path = f"/api/v1/points-of-delivery/{SENDER}/{POINT}/determinant-set"
        assert asked.mdus.get(path, headers=headers).status_code == 404


class TestReleasing:
    def release(self, asked: Asked, number: int, *, role: Role = Role.APPROVER) -> Any:
        return asked.ask("POST", f"determinants/{number}/release", role=role, json={"reason": "read by phone"})

    def test_takes_an_approver(self, asked: Asked) -> None:
        held = asked.versions(status="held")["items"][0]
        assert self.release(asked, held["id"], role=Role.OPERATOR).status_code == 403
        assert asked.versions(held["id"], status="released", point_of_delivery_id=POINT)["items"] == []

    def test_makes_a_version_with_the_reason_and_an_entry_in_the_audit(self, asked: Asked) -> None:
        held = asked.versions(status="held")["items"]
        assert "1 of 2880 intervals have no value" in held[0]["gate_reason"]
        answer = self.release(asked, held[0]["id"])
        assert answer.status_code == 200, answer.text
        released = answer.json()
        assert (released["version"], released["replaces"]) == (2, held[0]["id"])
        assert (released["quantity"], released["status"]) == (held[0]["quantity"], "released")
        assert released["cause"] == "released_by_hand"
        assert released["gate_reason"] == "released by rest:approver: read by phone"
        [deed] = asked.ask("GET", "audit", role=Role.OPERATOR).json()["items"]
        assert (deed["action"], deed["reason"], deed["who"]) == (
            "determinant released",
            "read by phone",
            "rest:approver",
        )
        again = self.release(asked, held[0]["id"])
        assert again.status_code == 409
        assert "has been replaced" in again.json()["detail"]
        assert "is released" in self.release(asked, released["id"]).json()["detail"]
        assert self.release(asked, 999999).status_code == 404

    def test_is_told_by_metrics(self, asked: Asked) -> None:
        held = asked.versions(status="held")["items"]
        by_hand = 'mdus_determinants_total{cause="released_by_hand",status="released"}'
        before = asked.metric(by_hand)
        assert asked.metric('mdus_determinants_held{gate="missing"}') == len(held)
        held_for = (NOW - asked.scene.now).total_seconds()
        assert asked.metric("mdus_oldest_held_determinant_seconds") == max(0, held_for)
        assert self.release(asked, held[0]["id"]).status_code == 200
        assert asked.metric(by_hand) == before + 1

    def test_stays_until_the_quantity_is_another_and_closes_the_case(self, asked: Asked) -> None:
        for one in asked.versions(status="held")["items"]:
            assert self.release(asked, one["id"]).status_code == 200
        with asked.scene.database.read() as uow:
            [case] = uow.load(ExceptionCase, ("kind",), [("determinants_held",)], lock=False)
        assert case.closed_at == NOW
        asked.scene.since = asked.scene.now - timedelta(days=1)
        assert "0 versions" in asked.scene.determine()
        asked.scene.now += timedelta(days=1)
        asked.scene.write(asked.scene.block(date(2026, 6, 10), [MISSING, 5] + [1] * 94))
        asked.scene.determine()
        held = asked.versions(status="held", newest=True)["items"]
        assert {one["name"] for one in held} == {"total", "total.low", "demand"}


class TestSets:
    PATH = f"points-of-delivery/{SENDER}/{POINT}/determinant-set"

    def put(self, asked: Asked, role: Role = Role.OPERATOR, **changes: Any) -> Any:
        body = {"set": "peak", "valid_from": "2026-06-01", "reason": "contract 815"} | changes
        return asked.ask("PUT", self.PATH, role=role, json=body)

    def test_are_assigned_from_a_day_on_and_audited(self, asked: Asked) -> None:
        assert asked.ask("GET", self.PATH).json() == {"usual": "standard", "assigned": []}
        answer = self.put(asked)
        assert answer.status_code == 200, answer.text
        [assigned] = answer.json()["assigned"]
        assert (assigned["set_name"], assigned["valid_from"]) == ("peak", "2026-06-01")
        assert asked.ask("GET", self.PATH).json() == answer.json()
        [deed] = asked.ask("GET", "audit", role=Role.OPERATOR).json()["items"]
        assert (deed["action"], deed["target"]) == (
            "determinant set assigned",
            f"{SENDER}/{POINT}: peak from 2026-06-01",
        )

    def test_make_what_was_determined_anew(self, asked: Asked) -> None:
        last = asked.versions()["last"]
        self.put(asked)
        asked.scene.since = NOW
        asked.scene.determine(now=asked.scene.now + timedelta(hours=1))
        news = asked.versions(last, point_of_delivery_id=POINT)["items"]
        # The highest average of an hour is that of a quarter here: nothing new is to be said of it.
        assert {(one["name"], one["status"], one["version"]) for one in news} == {
            (name, "withdrawn", 2) for name in ("total", "total.high", "total.low")
        }

    def test_that_are_none_or_of_nobody_are_refused(self, asked: Asked) -> None:
        answer = self.put(asked, set="gold")
        assert answer.status_code == 409
        assert "peak or standard" in answer.json()["detail"]
        assert self.put(asked, Role.VIEWER).status_code == 403
        assert self.put(asked, valid_from=20260601).status_code == 422
        unknown = asked.ask(
            "PUT",
            f"points-of-delivery/{SENDER}/DE9/determinant-set",
            role=Role.OPERATOR,
            json={"set": "peak", "valid_from": "2026-06-01", "reason": "contract 815"},
        )
        assert unknown.status_code == 404
