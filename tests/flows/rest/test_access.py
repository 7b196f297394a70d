"""Who may do what by REST: tokens in roles, for some sender systems or all; every deed leaves who and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, select, update

from mdus.domain.access import Role
from mdus.messaging.status import MessageStatus
from mdus.storage.access_token import ACCESS_TOKEN, make_token, revoke
from mdus.storage.audit import AUDIT
from mdus.storage.end_device_control import stop_reason
from mdus.storage.message import MESSAGE
from tests.flows.both_sides import BothSides

START = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
RETRY = {"kind": "message", "reason": "SAP is back"}
LOCATION = "UtilitiesDeviceERPSmartMeterLocationNotification"


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=START)
    made.meter("000000000000000042")
    yield made
    made.close()


def token(sides: BothSides, role: Role, *, name: str = "portal", **facts: Any) -> dict[str, str]:
    """Make a token; returns the header that presents it."""
    with sides.database.begin() as uow:
        made = make_token(
            uow.connection, name, role=role, **{"systems": None, "lasts": None, "created_by": "test", **facts}
        )
    assert made is not None
    return {"Authorization": f"Bearer {made}"}


def post(sides: BothSides, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Any:
    response: httpx.Response = sides.mdus.ask("POST", f"/api/v1{path}", json=body, headers=headers or {})
    return response


def get(sides: BothSides, path: str, headers: Mapping[str, str] | None = None, **parameters: Any) -> Any:
    return sides.mdus.get(f"/api/v1{path}", headers=headers or {}, params=parameters)


def dead_message(sides: BothSides, *, system: str = "P11", status: MessageStatus = MessageStatus.DEAD) -> int:
    with sides.database.begin() as uow:
        made = uow.connection.execute(
            insert(MESSAGE)
            .values(
                direction="out",
                sender_system=system,
                service="S",
                root="Root",
                bulk=False,
                status=status,
                key=f"k-{system}",
                uuid=f"k-{system}",
                created_at=START,
                stored_at=START,
                last_error="refused",
            )
            .returning(MESSAGE.c.id)
        )
        return int(made.scalar_one())


def located(sides: BothSides) -> int:
    """Let SAP tell where the meter hangs; returns the message."""
    sides.tell(
        LOCATION,
        "<UtilitiesDevice locationListCompleteTransmissionIndicator='true'><ID>000000000000000042</ID><Location>"
        "<StartDate>2026-01-01</StartDate><EndDate>9999-12-31</EndDate><InstallationPointID>1</InstallationPointID>"
        "<InstallationPointAddressInformation><HouseID>12</HouseID><StreetPostalCode>69190</StreetPostalCode>"
        "<CityName>Walldorf</CityName><StreetName>Ring</StreetName><CountryCode>DE</CountryCode>"
        "</InstallationPointAddressInformation><InstallationPointHierarchyRelationship><ParentInstallationPointID>2"
        "</ParentInstallationPointID></InstallationPointHierarchyRelationship></Location><SmartMeter>"
        "<UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID></SmartMeter></UtilitiesDevice>",
    )
    sides.rest()
    with sides.database.read() as uow:
        [number] = uow.connection.scalars(select(MESSAGE.c.id).where(MESSAGE.c.service == LOCATION))
    return int(number)


class TestWithoutAToken:
    def test_this_machine_reads_and_does_nothing(self, sides: BothSides) -> None:
        assert get(sides, "/devices").status_code == 200
        response = post(sides, "/dead/retry", RETRY)
        assert response.status_code == 403
        assert "operator" in response.json()["detail"]


class TestAToken:
    def test_opens_the_door_and_is_kept_as_its_hash_only(self, sides: BothSides) -> None:
        header = token(sides, Role.OPERATOR)
        assert get(sides, "/dead", header, kind="message").status_code == 200
        with sides.database.read() as uow:
            [row] = uow.connection.execute(select(ACCESS_TOKEN)).all()
        assert header["Authorization"].partition(" ")[2] not in str(row)

    def test_that_is_unknown_opens_nothing(self, sides: BothSides) -> None:
        response = get(sides, "/devices", {"Authorization": "Bearer mdus_guessed"})
        assert response.status_code == 401
        assert "Bearer" in response.headers["WWW-Authenticate"]

    def test_that_is_revoked_opens_nothing(self, sides: BothSides) -> None:
        header = token(sides, Role.ADMIN)
        with sides.database.begin() as uow:
            assert revoke(uow.connection, "portal")
            assert not revoke(uow.connection, "portal")
        assert get(sides, "/devices", header).status_code == 401

    def test_that_has_expired_opens_nothing(self, sides: BothSides) -> None:
        header = token(sides, Role.ADMIN, lasts=timedelta(days=1))
        assert get(sides, "/devices", header).status_code == 200
        with sides.database.begin() as uow:
            uow.connection.execute(update(ACCESS_TOKEN).values(expires_at=datetime(2026, 1, 1, tzinfo=UTC)))
        assert get(sides, "/devices", header).status_code == 401

    def test_is_one_at_a_time_for_a_client(self, sides: BothSides) -> None:
        first = token(sides, Role.VIEWER)
        with sides.database.begin() as uow:
            facts: dict[str, Any] = {"systems": None, "lasts": None, "created_by": "test"}
            assert make_token(uow.connection, "portal", role=Role.ADMIN, **facts) is None
            revoke(uow.connection, "portal")
        second = token(sides, Role.OPERATOR)
        assert get(sides, "/devices", first).status_code == 401
        assert get(sides, "/dead", second, kind="item").status_code == 200


class TestAViewer:
    def test_reads_without_what_tells_where_somebody_lives(self, sides: BothSides) -> None:
        number, header = located(sides), token(sides, Role.VIEWER)
        assert get(sides, f"/messages/{number}/body", header).status_code == 403
        lines = get(sides, "/trace", header, of="42", payloads=True).json()["happenings"]
        told = "".join(line["payload"] or "" for line in lines)
        assert "installation_point_id" in told
        assert "Walldorf" not in told
        assert "Ring" not in told

    def test_does_nothing(self, sides: BothSides) -> None:
        header = token(sides, Role.VIEWER)
        for path in ("/dead/retry", "/dead/leave"):
            assert post(sides, path, RETRY, header).status_code == 403
        assert post(sides, "/switching", {"stopped": True, "reason": "flood"}, header).status_code == 403
        assert get(sides, "/audit", header).status_code == 403


class TestAnOperator:
    def test_sees_whole_messages(self, sides: BothSides) -> None:
        number, header = located(sides), token(sides, Role.OPERATOR)
        assert b"Walldorf" in get(sides, f"/messages/{number}/body", header).content
        lines = get(sides, "/trace", header, of="42", payloads=True).json()["happenings"]
        assert any("Walldorf" in (line["payload"] or "") for line in lines)

    def test_mends_and_leaves_who_and_why(self, sides: BothSides) -> None:
        dead_message(sides)
        header = token(sides, Role.OPERATOR)
        assert get(sides, "/dead", header, kind="message").json()["items"][0]["why"] == "refused"
        assert post(sides, "/dead/retry", {**RETRY, "dry_run": True}, header).json() == {"count": 1, "dry_run": True}
        assert post(sides, "/dead/retry", RETRY, header).json() == {"count": 1, "dry_run": False}
        [deed] = get(sides, "/audit", header).json()["items"]
        assert (deed["who"], deed["action"], deed["reason"]) == ("rest:portal", "retry", "SAP is back")

    def test_leaves_what_is_given_up(self, sides: BothSides) -> None:
        number, header = dead_message(sides), token(sides, Role.OPERATOR)
        assert post(sides, "/dead/leave", {**RETRY, "ids": [number]}, header).json()["count"] == 1
        assert get(sides, f"/messages/{number}", header).json()["status"] == "abandoned"

    def test_resends_what_can_be(self, sides: BothSides) -> None:
        number, header = dead_message(sides), token(sides, Role.OPERATOR)
        assert post(sides, f"/messages/{number}/resend", {"reason": "lost"}, header).status_code == 202
        assert post(sides, f"/messages/{number}/resend", {"reason": "lost"}, header).status_code == 409
        assert post(sides, "/messages/4711/resend", {"reason": "lost"}, header).status_code == 404

    def test_replays_what_sap_has_sent(self, sides: BothSides) -> None:
        number, header = located(sides), token(sides, Role.OPERATOR)
        asked = {"reason": "asked by SAP", "dry_run": True}
        assert "nothing would be done" in post(sides, f"/messages/{number}/replay", asked, header).json()["outcome"]
        response = post(sides, f"/messages/{number}/replay", {"reason": "asked by SAP"}, header)
        assert "a duplicate" in response.json()["outcome"]
        dead = dead_message(sides)
        assert post(sides, f"/messages/{dead}/replay", asked, header).status_code == 409
        assert post(sides, "/messages/4711/replay", asked, header).status_code == 404

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param({**RETRY, "sender_sistem": "P11"}, id="misspelt filter"),
            pytest.param({"kind": "message"}, id="no reason"),
            pytest.param({**RETRY, "kind": "cat"}, id="no kind"),
            pytest.param({**RETRY, "before": "yesterday"}, id="no instant"),
        ],
    )
    def test_is_told_what_is_wrong(self, sides: BothSides, body: dict[str, Any]) -> None:
        response = post(sides, "/dead/retry", body, token(sides, Role.OPERATOR))
        assert response.status_code == 422
        assert response.headers["content-type"] == "application/problem+json"

    def test_stops_disconnections_and_only_an_approver_lets_them_leave(self, sides: BothSides) -> None:
        operator, approver = token(sides, Role.OPERATOR), token(sides, Role.APPROVER, name="desk")
        assert post(sides, "/switching", {"stopped": True, "reason": "flood"}, operator).json()["stopped"] is True
        assert post(sides, "/switching", {"stopped": False, "reason": "dry"}, operator).status_code == 403
        assert get(sides, "/switching", operator).json() == {"stopped": True, "reason": "flood"}
        with sides.database.read() as uow:
            assert stop_reason(uow.connection) == "flood"
        assert post(sides, "/switching", {"stopped": False, "reason": "dry"}, approver).json()["stopped"] is False
        with sides.database.read() as uow:
            who = list(uow.connection.scalars(select(AUDIT.c.who).order_by(AUDIT.c.id)))
        assert who == ["rest:portal", "rest:desk"]


class TestATokenForSomeSystems:
    def test_sees_and_mends_what_is_theirs_only(self, sides: BothSides) -> None:
        mine, other = dead_message(sides), dead_message(sides, system="Q11")
        header = token(sides, Role.OPERATOR, systems=["P11"])
        assert [row["id"] for row in get(sides, "/messages", header).json()["items"]] == [mine]
        assert get(sides, f"/messages/{other}", header).status_code == 404
        assert get(sides, "/trace", header, of="k-Q11").status_code == 404
        assert post(sides, f"/messages/{other}/resend", {"reason": "lost"}, header).status_code == 404
        assert post(sides, "/dead/retry", RETRY, header).status_code == 403
        assert post(sides, "/dead/retry", {**RETRY, "sender_system": "Q11"}, header).status_code == 403
        assert post(sides, "/dead/retry", {**RETRY, "sender_system": "P11"}, header).json()["count"] == 1
