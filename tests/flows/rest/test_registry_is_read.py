"""What is where is read by REST: registers, locations, points of delivery, head ends; sorted, page by page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mdus.domain.access import Role
from mdus.domain.command import CommandKind
from mdus.domain.head_end import ConcentratorTold, Probe
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation, UsagePoint
from mdus.headends.rest import HEAD_END
from mdus.storage.access_token import make_token
from mdus.storage.concentrator import note_concentrators, note_probe
from tests.flows.intake.installation import NOW, Installation
from tests.flows.rest.test_state_is_read import device, pages

ENERGY, EXPORT = "1-0:1.8.0*255", "1-0:2.8.0*255"


def register(number: int, *, system: str = "P11", **facts: Any) -> Register:
    return Register(
        **{
            "sender_system": system,
            "device_id": f"{number:018}",
            "measurement_task_id": f"{100 + number:018}",
            "valid_from": date(2026, 1, number),
            "reading_type": ENERGY,
            "unit": "KWH",
            "factor": Decimal("0.5"),
            **facts,
        }
    )


def location(number: int, **facts: Any) -> DeviceLocation:
    return DeviceLocation(
        **{
            "sender_system": "P11",
            "device_id": f"{number:018}",
            "installation_point_id": f"A{number}",
            "valid_from": date(2026, 1, number),
            "parent_installation_point_id": "A",
            "city_name": "Ulm",
            "street_name": None,
            "country_code": "DE",
            **facts,
        }
    )


def point(number: int, name: str, **facts: Any) -> UsagePoint:
    return UsagePoint(
        **{
            "sender_system": "P11",
            "device_id": f"{number:018}",
            "measurement_task_id": f"{100 + number:018}",
            "point_of_delivery_id": name,
            "valid_from": NOW - timedelta(days=10 * number),
            **facts,
        }
    )


def save(mdus: Installation, *values: Any) -> None:
    with mdus.database.begin() as uow:
        uow.save(values)


def token(mdus: Installation, role: Role = Role.VIEWER, *, systems: list[str] | None = None) -> dict[str, str]:
    with mdus.database.begin() as uow:
        made = make_token(
            uow.connection, f"{role}-{systems}", role=role, systems=systems, lasts=None, created_by="test"
        )
    return {"Authorization": f"Bearer {made}"}


class TestRegisters:
    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            pytest.param({}, [5, 4, 3, 2, 1], id="all, the newest first"),
            pytest.param({"sender_system": "P12"}, [5], id="sender system"),
            pytest.param({"device_id": f"{2:018}"}, [2], id="device"),
            pytest.param({"measurement_task_id": f"{103:018}"}, [3], id="logical register number"),
            pytest.param({"measurement_task_id": "103"}, [], id="number without its zeros"),
            pytest.param({"reading_type": EXPORT}, [4], id="reading type"),
            pytest.param({"valid_on": "2026-01-02"}, [2, 1], id="the first day of one"),
            pytest.param({"valid_on": "2026-01-09"}, [5, 4, 3, 2, 1], id="the last day of one"),
            pytest.param({"valid_on": "2026-01-10"}, [5, 4, 2, 1], id="the day after its last"),
            pytest.param({"valid_on": "2025-12-31"}, [], id="the day before any"),
            pytest.param({"device_id": f"{3:018}", "valid_on": "2026-01-10"}, [], id="a device on a day"),
            pytest.param({"sort": "id"}, [1, 2, 3, 4, 5], id="the oldest first"),
            pytest.param({"sort": "-device_id"}, [5, 4, 3, 2, 1], id="by system and device, descending"),
            pytest.param({"sort": "measurement_task_id", "sender_system": "P11"}, [1, 2, 3, 4], id="by number"),
            pytest.param({"sort": "valid_from", "valid_on": "2026-01-03"}, [1, 2, 3], id="by their first day"),
        ],
    )
    @pytest.mark.parametrize("limit", [2, 100])
    def test_are_found_sorted_and_page_by_page(
        self, mdus: Installation, wanted: dict[str, str], found: list[int], limit: int
    ) -> None:
        save(
            mdus,
            register(1),
            register(2),
            register(3, valid_to=date(2026, 1, 10)),
            register(4, reading_type=EXPORT),
            register(5, system="P12"),
        )
        listed = pages(mdus, "/api/v1/registers", limit=limit, **wanted)
        assert [int(row["device_id"]) for page in listed for row in page] == found
        assert all(len(page) <= limit for page in listed)

    def test_of_other_systems_are_not_there(self, mdus_on_sqlite: Installation) -> None:
        save(mdus_on_sqlite, register(1), register(5, system="P12"))
        headers = token(mdus_on_sqlite, systems=["P12"])
        rows = mdus_on_sqlite.get("/api/v1/registers", headers=headers).json()["items"]
        assert [row["sender_system"] for row in rows] == ["P12"]

    def test_refuse_a_sort_they_do_not_have_and_name_those_they_have(self, mdus_on_sqlite: Installation) -> None:
        response = mdus_on_sqlite.get("/api/v1/registers", params={"sort": "unit"})
        assert response.status_code == 422
        [error] = response.json()["errors"]
        assert (error["at"], error["found"]) == ("query.sort", "unit")
        assert "'-measurement_task_id'" in error["expected"]

    def test_refuse_a_cursor_of_another_sort(self, mdus_on_sqlite: Installation) -> None:
        save(mdus_on_sqlite, register(1), register(2))
        by_device = mdus_on_sqlite.get("/api/v1/registers", params={"sort": "device_id", "limit": 1}).json()["next"]
        newest = mdus_on_sqlite.get("/api/v1/registers", params={"limit": 1}).json()["next"]
        for cursor, sort in (
            (by_device, "-device_id"),
            (by_device, "-id"),
            (newest, "id"),
            (newest, "device_id"),
            ("device_id.WyJhIl0", "device_id"),
            ("device_id.!", "device_id"),
        ):
            response = mdus_on_sqlite.get("/api/v1/registers", params={"sort": sort, "cursor": cursor})
            assert response.status_code == (422 if "!" in cursor else 409), cursor
            assert response.json()["errors"][0]["at"] == "query.cursor"


class TestLocations:
    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({}, [3, 2, 1]),
            ({"device_id": f"{2:018}"}, [2]),
            ({"installation_point_id": "A3"}, [3]),
            ({"sender_system": "P12"}, []),
            ({"valid_on": "2026-01-02"}, [2, 1]),
            ({"sort": "device_id"}, [1, 2, 3]),
        ],
    )
    def test_are_found_by(self, mdus: Installation, wanted: dict[str, str], found: list[int]) -> None:
        save(mdus, location(1), location(2), location(3))
        listed = pages(mdus, "/api/v1/locations", limit=2, **wanted)
        assert [int(row["device_id"]) for page in listed for row in page] == found

    def test_tell_the_address_to_operators_only(self, mdus_on_sqlite: Installation) -> None:
        save(mdus_on_sqlite, device(1), location(1))
        for role, city in ((Role.VIEWER, "***"), (Role.OPERATOR, "Ulm")):
            headers = token(mdus_on_sqlite, role)
            [row] = mdus_on_sqlite.get("/api/v1/locations", headers=headers).json()["items"]
            assert (row["city_name"], row["street_name"], row["country_code"]) == (city, None, "DE")
            shown = mdus_on_sqlite.get(f"/api/v1/devices/P11/{1:018}", headers=headers).json()
            assert shown["locations"][0]["city_name"] == city


class TestPointsOfDelivery:
    @pytest.fixture
    def with_points(self, mdus: Installation) -> Installation:
        save(
            mdus,
            device(1),
            device(2),
            register(1),
            register(1, valid_from=date(2025, 1, 1), valid_to=date(2026, 1, 1), reading_type=EXPORT),
            register(2),
            point(1, "DE1"),
            point(2, "DE1", valid_to=NOW - timedelta(days=10)),
            point(3, "DE2", valid_to=NOW),
            point(4, "DE3", sender_system="P12"),
        )
        return mdus

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({}, ["DE1", "DE2", "DE3"]),
            ({"sort": "-point_of_delivery_id"}, ["DE3", "DE2", "DE1"]),
            ({"sender_system": "P12"}, ["DE3"]),
            ({"device_id": f"{2:018}"}, ["DE1"]),
            ({"point_of_delivery_id": "DE2"}, ["DE2"]),
            ({"point_of_delivery_id": "DE4"}, []),
        ],
    )
    @pytest.mark.parametrize("limit", [1, 100])
    def test_are_found_by(
        self, with_points: Installation, wanted: dict[str, str], found: list[str], limit: int
    ) -> None:
        listed = pages(with_points, "/api/v1/points-of-delivery", limit=limit, **wanted)
        assert [row["point_of_delivery_id"] for page in listed for row in page] == found

    def test_tell_by_how_many_devices_they_are_measured(self, with_points: Installation) -> None:
        [rows] = pages(with_points, "/api/v1/points-of-delivery", sender_system="P11")
        assert [(row["devices"], row["devices_measuring"]) for row in rows] == [(2, 1), (1, 0)]
        assert rows[0]["first_measured_from"] == "2026-03-08T10:00:00Z"

    def test_are_shown_with_what_they_are_and_were_measured_by(self, with_points: Installation) -> None:
        shown = with_points.get("/api/v1/points-of-delivery/P11/DE1").json()
        assert [(each["serial_id"], each["is_measuring"]) for each in shown["measured_by"]] == [
            (f"{1:010}", True),
            (f"{2:010}", False),
        ]
        assert [each["reading_type"] for each in shown["measured_by"][0]["registers"]] == [EXPORT, ENERGY]
        [without_device] = with_points.get("/api/v1/points-of-delivery/P11/DE2").json()["measured_by"]
        assert (without_device["serial_id"], without_device["registers"]) == (None, [])

    def test_are_not_found_under_another_name_or_system(self, with_points: Installation) -> None:
        for path in ("P11/DE3", "P12/DE1", "P11/de1"):
            response = with_points.get(f"/api/v1/points-of-delivery/{path}")
            assert response.status_code == 404
            assert "/points-of-delivery lists them" in response.json()["detail"]
        headers = token(with_points, systems=["P12"])
        assert with_points.get("/api/v1/points-of-delivery/P11/DE1", headers=headers).status_code == 404


class TestHeadEnds:
    def test_are_told_with_what_their_devices_can_and_what_they_take(self, sqlite_url: str, tmp_path: Path) -> None:
        (tmp_path / "head_ends.toml").write_text(
            '[[head_ends]]\nname = "city"\nkind = "rest"\nurl = "http://127.0.0.1:1"\nams_ids = ["AM01"]\n'
        )
        (tmp_path / "capabilities.toml").write_text(
            '[[capabilities]]\nname = "no_breaker"\nams_id = "AM*"\nmaterial_id = "NB*"\ndisconnect = false\n'
            '[[capabilities]]\nname = "elsewhere"\nams_id = "XX01"\ntext = false\n'
        )
        mdus = Installation(
            sqlite_url, environ={"MDUS_CONFIG": str(tmp_path)}, commands={"city": HEAD_END.capabilities}
        )
        [row] = mdus.get("/api/v1/head-ends").json()
        assert (row["name"], row["kind"], row["ams_ids"]) == ("city", "rest", ["AM01"])
        assert set(row["commands"]) == HEAD_END.capabilities
        assert CommandKind.SWITCH in row["commands"]
        assert [(each["name"], each["capabilities"]) for each in row["rows"]] == [("no_breaker", {"disconnect": False})]

    def test_are_told_with_what_they_said_themselves(self, sqlite_url: str, tmp_path: Path) -> None:
        (tmp_path / "head_ends.toml").write_text(
            '[[head_ends]]\nname = "city"\nkind = "rest"\nurl = "http://127.0.0.1:1"\n'
        )
        mdus, name = Installation(sqlite_url, environ={"MDUS_CONFIG": str(tmp_path)}), "city"
        at = datetime(2026, 3, 27, 5, 0, tzinfo=UTC)
        assert mdus.get("/api/v1/head-ends").json()[0]["says"] is None
        with mdus.database.begin() as uow:
            probe = Probe(takes=frozenset({CommandKind.PING}), text="Some 1.0")
            note_probe(uow.connection, name, probe, now=at)
            told = [
                ConcentratorTold(concentrator="c-1", at=at, is_online=True, serials=("1", "2")),
                ConcentratorTold(concentrator="c-2", at=at, is_online=False),
            ]
            note_concentrators(uow.connection, [(name, each) for each in told])

        [row] = mdus.get("/api/v1/head-ends").json()
        assert (row["commands_told"], row["says"], row["asked_at"]) == (["ping"], "Some 1.0", "2026-03-27T05:00:00Z")
        assert [(one["name"], one["is_online"], one["meters"]) for one in row["concentrators"]] == [
            ("c-1", True, 2),
            ("c-2", False, 0),
        ]
        assert row["outstanding"] == 0

    def test_of_an_unknown_kind_say_that_nobody_knows(self, sqlite_url: str, tmp_path: Path) -> None:
        (tmp_path / "head_ends.toml").write_text(
            '[[head_ends]]\nname = "city"\nkind = "rest"\nurl = "http://127.0.0.1:1"\n'
        )
        [row] = Installation(sqlite_url, environ={"MDUS_CONFIG": str(tmp_path)}).get("/api/v1/head-ends").json()
        assert (row["capabilities"], row["commands"]) == (None, None)


class TestAnswersNamedByTheirContent:
    @pytest.mark.parametrize(
        "path", ["/devices", f"/devices/P11/{1:018}", "/registers", "/points-of-delivery/P11/DE1", "/kpis"]
    )
    def test_are_not_sent_again_while_it_is_the_same(self, mdus_on_sqlite: Installation, path: str) -> None:
        save(mdus_on_sqlite, device(1), register(1), point(1, "DE1"))
        first = mdus_on_sqlite.get(f"/api/v1{path}")
        assert first.headers["etag"].startswith('"')
        for named in (first.headers["etag"], f'"other", {first.headers["etag"]}', "*", f"W/{first.headers['etag']}"):
            again = mdus_on_sqlite.get(f"/api/v1{path}", headers={"If-None-Match": named})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == first.headers["etag"]
        changed = mdus_on_sqlite.get(f"/api/v1{path}", headers={"If-None-Match": '"other"'})
        assert (changed.status_code, changed.content) == (200, first.content)

    def test_have_another_name_once_it_changed(self, mdus_on_sqlite: Installation) -> None:
        save(mdus_on_sqlite, device(1))
        tag = mdus_on_sqlite.get("/api/v1/devices").headers["etag"]
        save(mdus_on_sqlite, replace(device(1), material_id="OTHER"))
        response = mdus_on_sqlite.get("/api/v1/devices", headers={"If-None-Match": tag})
        assert response.status_code == 200
        assert response.headers["etag"] != tag

    def test_are_named_apart_for_who_sees_less(self, mdus_on_sqlite: Installation) -> None:
        save(mdus_on_sqlite, location(1))
        tags = {
            mdus_on_sqlite.get("/api/v1/locations", headers=token(mdus_on_sqlite, role)).headers["etag"]
            for role in (Role.VIEWER, Role.OPERATOR)
        }
        assert len(tags) == 2

    def test_are_answers_that_succeed_only(self, mdus_on_sqlite: Installation) -> None:
        response = mdus_on_sqlite.get("/api/v1/devices/P11/1", headers={"If-None-Match": "*"})
        assert response.status_code == 404
        assert "etag" not in response.headers
