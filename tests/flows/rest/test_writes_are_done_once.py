"""Whatever a client writes under an Idempotency-Key is done once, however often it is asked and by how many at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from mdus.domain.access import Role
from mdus.messaging.status import MessageStatus
from mdus.storage.audit import AUDIT
from mdus.storage.column_types import database_now
from mdus.storage.idempotency_key import IDEMPOTENCY_KEY, KEPT
from mdus.storage.message import MESSAGE
from mdus.storage.webhook import WEBHOOK
from tests.flows.both_sides import BothSides
from tests.flows.intake.messages import create_device
from tests.flows.rest.doors import Client
from tests.flows.rest.processes import METER, reading_order
from tests.flows.rest.test_access import START, dead_message, located

WHY = {"reason": "a test"}
HOOK = {"url": "https://portal.example.com/mdus", "topics": ["events"], **WHY}
RETRY = {"kind": "message", **WHY}
MINUTE = timedelta(minutes=1)


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=START)
    made.meter(METER)
    yield made
    made.close()


@pytest.fixture
def admin(sides: BothSides) -> Client:
    return Client(sides, name="desk", role=Role.ADMIN)


Write = Callable[..., httpx.Response]


@pytest.fixture
def write(sides: BothSides, admin: Client) -> Write:
    """Ask for a write under a key."""

    def ask(path: str, body: Mapping[str, Any], *, key: str | None = "k1", client: Client = admin) -> httpx.Response:
        headers = client.headers | ({} if key is None else {"Idempotency-Key": key})
        return sides.mdus.ask("POST", f"/api/v1{path}", json=body, headers=headers)

    return ask


def hook(sides: BothSides, admin: Client) -> int:
    made = sides.mdus.ask("POST", "/api/v1/webhooks", json=HOOK, headers=admin.headers)
    return int(made.json()["id"])


def deeds(sides: BothSides) -> list[str]:
    return [row.action for row in sides.mdus.rows(AUDIT)]


def keys(sides: BothSides) -> list[tuple[str, str]]:
    return [(row.client, row.key) for row in sides.mdus.rows(select(IDEMPOTENCY_KEY))]


Made = Callable[[BothSides, Client], tuple[str, dict[str, Any]]]

WRITES: dict[str, tuple[Made, int]] = {
    "retry": (lambda sides, _: ("/dead/retry", {**RETRY, "ids": [dead_message(sides)]}), 200),
    "leave": (lambda sides, _: ("/dead/leave", {**RETRY, "ids": [dead_message(sides)]}), 200),
    "resend": (lambda sides, _: (f"/messages/{dead_message(sides)}/resend", WHY), 202),
    "replay": (lambda sides, _: (f"/messages/{located(sides)}/replay", WHY), 202),
    "switching": (lambda *_: ("/switching", {"stopped": True, "reason": "flood"}), 200),
    "webhook": (lambda *_: ("/webhooks", HOOK), 201),
    "delete": (lambda sides, admin: (f"/webhooks/{hook(sides, admin)}/delete", WHY), 200),
}


class TestTheSameAgain:
    @pytest.mark.parametrize("name", WRITES)
    def test_is_answered_as_before_and_done_once(
        self, sides: BothSides, admin: Client, write: Write, name: str
    ) -> None:
        make, status = WRITES[name]
        path, body = make(sides, admin)
        before = len(deeds(sides))
        first = write(path, body)
        assert first.status_code == status, first.text
        messages = len(sides.mdus.rows(MESSAGE))
        again = write(path, dict(reversed(body.items())))
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["content-type"] == first.headers["content-type"] == "application/json"
        assert len(deeds(sides)) == before + 1
        assert len(sides.mdus.rows(MESSAGE)) == messages
        assert keys(sides) == [("rest:desk", "k1")]

    @pytest.mark.parametrize("name", ["retry", "replay", "webhook"])
    def test_without_a_key_is_done_again(self, sides: BothSides, admin: Client, write: Write, name: str) -> None:
        path, body = WRITES[name][0](sides, admin)
        before = len(deeds(sides))
        first = write(path, body, key=None)
        assert write(path, body, key=None).status_code == first.status_code
        assert len(deeds(sides)) == before + 2
        assert keys(sides) == []

    def test_has_the_answer_that_one_without_a_key_has(self, sides: BothSides, write: Write) -> None:
        number = dead_message(sides)
        plain = write("/dead/retry", {**RETRY, "ids": [number], "dry_run": True}, key=None)
        keyed = write("/dead/retry", {**RETRY, "ids": [number], "dry_run": True})
        assert (keyed.status_code, keyed.content) == (plain.status_code, plain.content)

    def test_tells_the_secret_of_a_webhook_to_whoever_lost_the_answer(self, sides: BothSides, write: Write) -> None:
        assert write("/webhooks", HOOK).json()["secret"] == write("/webhooks", HOOK).json()["secret"]
        assert len(sides.mdus.rows(WEBHOOK)) == 1

    def test_of_another_client_is_another_request(self, sides: BothSides, write: Write) -> None:
        other = Client(sides, name="crew", role=Role.ADMIN)
        assert write("/webhooks", HOOK).json()["id"] != write("/webhooks", HOOK, client=other).json()["id"]

    @pytest.mark.parametrize("name", ["webhook", "replay", "switching"])
    def test_of_many_at_once_is_done_once(self, sides: BothSides, admin: Client, write: Write, name: str) -> None:
        path, body = WRITES[name][0](sides, admin)
        before, messages = len(deeds(sides)), len(sides.mdus.rows(MESSAGE))
        with ThreadPoolExecutor(6) as several:
            answers = list(several.map(lambda _: write(path, body), range(6)))
        assert {answer.status_code for answer in answers} == {WRITES[name][1]}, answers[0].text
        assert len({answer.content for answer in answers}) == 1
        assert len(deeds(sides)) == before + 1
        assert len(sides.mdus.rows(MESSAGE)) == messages + (1 if name == "replay" else 0)


class TestAnotherRequest:
    @pytest.mark.parametrize(
        ("path", "body"),
        [
            pytest.param("/switching", {"stopped": True, "reason": "storm"}, id="content"),
            pytest.param("/dead/retry", RETRY, id="resource"),
        ],
    )
    def test_under_the_same_key_is_refused(
        self, sides: BothSides, write: Write, path: str, body: dict[str, Any]
    ) -> None:
        write("/switching", {"stopped": True, "reason": "flood"})
        other = write(path, body)
        assert other.status_code == 409
        assert other.headers["content-type"] == "application/problem+json"
        assert "came before with other content" in other.json()["detail"]
        assert [error["at"] for error in other.json()["errors"]] == ["header.idempotency-key"]
        assert deeds(sides) == ["switching stopped"]
        assert write(path, body, key="k2").status_code == 200

    def test_at_the_same_time_is_refused(self, sides: BothSides, write: Write) -> None:
        bodies = [{"stopped": True, "reason": f"flood {number}"} for number in range(6)]
        with ThreadPoolExecutor(6) as several:
            answers = list(several.map(lambda body: write("/switching", body), bodies))
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5
        assert deeds(sides) == ["switching stopped"]

    @pytest.mark.parametrize("key", ["", " ", "k" * 101, "a b"])
    def test_has_a_key_of_plain_characters(self, sides: BothSides, write: Write, key: str) -> None:
        refused = write("/webhooks", HOOK, key=key)
        assert refused.status_code == 422
        assert [error["at"] for error in refused.json()["errors"]] == ["header.idempotency-key"]
        assert sides.mdus.rows(WEBHOOK) == []


class TestWhatIsRefused:
    def test_takes_no_key(self, sides: BothSides, write: Write) -> None:
        number = dead_message(sides, status=MessageStatus.SENDING)
        path = f"/messages/{number}/resend"
        assert write(path, WHY).status_code == 409
        assert write("/messages/4711/resend", WHY).status_code == 404
        assert keys(sides) == []
        with sides.database.begin() as uow:
            uow.connection.execute(update(MESSAGE).values(status=MessageStatus.DEAD))
        assert write(path, WHY).status_code == 202

    def test_for_its_form_takes_no_key(self, sides: BothSides, write: Write) -> None:
        assert write("/webhooks", {**HOOK, "url": "ftp://x"}).status_code == 422
        assert write("/webhooks", HOOK).status_code == 201

    @pytest.mark.parametrize("key", ["k1", None])
    def test_again_leaves_its_visible_copy(self, sides: BothSides, write: Write, key: str | None) -> None:
        sides.mdus.post(create_device(material="M" * 100))
        [refused] = sides.mdus.rows(MESSAGE)
        assert refused.status is MessageStatus.REFUSED
        answer = write(f"/messages/{refused.id}/replay", WHY, key=key)
        assert answer.status_code == 409
        assert "is refused" in answer.json()["detail"]
        assert [row.status for row in sides.mdus.rows(MESSAGE)] == [MessageStatus.REFUSED] * 2
        assert keys(sides) == []


class TestAKey:
    def test_is_kept_a_day_and_let_go_by_those_that_follow(self, sides: BothSides, write: Write) -> None:
        def make_older(by: timedelta) -> None:
            with sides.database.begin() as uow:
                uow.connection.execute(update(IDEMPOTENCY_KEY).values(at=database_now(plus=-by)))

        first = write("/webhooks", HOOK).json()
        make_older(KEPT - MINUTE)
        write("/switching", {"stopped": True, "reason": "flood"}, key="k2")
        assert write("/webhooks", HOOK).json() == first
        make_older(KEPT + MINUTE)
        write("/switching", {"stopped": True, "reason": "storm"}, key="k3")
        assert keys(sides) == [("rest:desk", "k3")]
        assert write("/webhooks", HOOK).json()["id"] != first["id"]


class TestAnOrder:
    def test_shares_its_keys_with_all_writes(self, sides: BothSides, write: Write) -> None:
        client = Client(sides)
        assert client.post("reading-orders", reading_order(), key="k1").status_code == 202
        for other in (
            client.post("commands", {"device_id": METER, "ask": "ping"}, key="k1"),
            write("/dead/retry", RETRY, client=client),
        ):
            assert other.status_code == 409
            assert [error["at"] for error in other.json()["errors"]] == ["header.idempotency-key"]
        assert write("/dead/retry", RETRY, client=client, key="k2").status_code == 200
        assert client.post("reading-orders", reading_order(), key="k2").status_code == 409
        assert len(sides.mdus.rows(MESSAGE)) == 1

    def test_is_the_same_after_its_key_was_let_go(self, sides: BothSides) -> None:
        client = Client(sides)
        number = client.order("reading-orders", reading_order(), key="k1")
        with sides.database.begin() as uow:
            uow.connection.execute(IDEMPOTENCY_KEY.delete())
        assert client.order("reading-orders", reading_order(), key="k1") == number
        with sides.database.begin() as uow:
            uow.connection.execute(IDEMPOTENCY_KEY.delete())
        other = client.post("reading-orders", reading_order(reason_code="01"), key="k1")
        assert other.status_code == 409
        assert "came before with other content" in other.json()["detail"]

    def test_of_many_at_once_is_one(self, sides: BothSides) -> None:
        client = Client(sides)
        with ThreadPoolExecutor(6) as several:
            numbers = list(several.map(lambda _: client.order("reading-orders", reading_order(), key="k1"), range(6)))
        assert len(set(numbers)) == 1
        assert len(sides.mdus.rows(MESSAGE)) == 1
        assert len(deeds(sides)) == 1


def test_every_write_takes_a_key(sides: BothSides) -> None:
    described = sides.mdus.get("/api/openapi.json").json()["paths"]
    writes = [
        (path, operation)
        for path, operations in described.items()
        for verb, operation in operations.items()
        if verb in ("post", "put", "patch", "delete")
    ]
    assert len(writes) >= len(WRITES)
    for path, operation in writes:
        [key] = [one for one in operation["parameters"] if one["name"].lower() == "idempotency-key"]
        assert (key["in"], key["required"]) == ("header", False), path
        assert key["description"], path
        assert "409" in operation["responses"], path
