"""What head ends push: stored before it is answered, by nobody but the head end itself."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import select
from starlette.applications import Starlette

from mdus.contracts.catalog import catalog
from mdus.domain.head_end import correlation_in_json
from mdus.endpoints.push import push_route
from mdus.endpoints.runtime import Runtime
from mdus.headends.file_drop.parting import part_file
from mdus.headends.multispeak.callbacks import CALLBACKS
from mdus.settings import load_settings
from mdus.storage.command import HEAD_END_DELIVERY
from mdus.storage.session import Database
from tests.head_ends.field import NOON, StandingClock, row
from tests.unit.headends.file_drop.cmep_files import file, mepmd01
from tests.unit.headends.multispeak.messages import envelope

BODY = b'{"delivery_id": "d-1", "token": "t", "correlation_id": "c-1", "results": []}'
CITY = ("city-callback", "callback-secret")
LIMIT = 1000


class Endpoint:
    """The route in an application of its own, called without a socket."""

    def __init__(self, database: Database, **changes: Any) -> None:
        credentials = {"callback_user": CITY[0], "callback_password": SecretStr(CITY[1])}
        city = row("http://127.0.0.1:1", **(credentials | changes))
        village = row(
            "http://127.0.0.1:1", name="village", callback_user="village", callback_password=SecretStr("other")
        )
        mill = row("http://127.0.0.1:1", name="mill", callback_user="mill", callback_password=SecretStr("third"))
        settings = load_settings({})
        settings = settings.model_copy(
            update={
                "head_ends": (city, village, mill),
                "http": settings.http.model_copy(update={"max_body_bytes": LIMIT}),
            }
        )
        runtime = Runtime(
            settings=settings,
            database=database,
            clock=StandingClock(),
            catalog=catalog(),
            services={},
            callbacks={"mill": CALLBACKS},
            part_files={"village": part_file},
        )
        self._app = Starlette(routes=[push_route(runtime)])
        self.database = database

    def post(
        self,
        path: str = "/head-ends/city/results",
        *,
        body: bytes = BODY,
        auth: tuple[str, str] | None = CITY,
        caller: str = "127.0.0.1",
        **headers: str,
    ) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app, client=(caller, 5000))
            async with httpx.AsyncClient(transport=transport, base_url="http://mdus") as client:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                return await client.post(path, content=body, auth=auth, headers=named)

        return asyncio.run(call())

    def stored(self) -> list[dict[str, Any]]:
        with self.database.read() as uow:
            rows = uow.connection.execute(select(HEAD_END_DELIVERY).order_by(HEAD_END_DELIVERY.c.id))
            return [dict(found) for found in rows.mappings()]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def endpoint(database: Database) -> Endpoint:
    return Endpoint(database)


class TestPush:
    def test_stores_the_body_as_it_came_and_answers_empty(self, endpoint: Endpoint) -> None:
        answer = endpoint.post()

        assert (answer.status_code, answer.content) == (202, b"")
        (stored,) = endpoint.stored()
        assert zlib.decompress(stored["data"]) == BODY
        assert (stored["head_end"], stored["topic"], stored["correlation"]) == ("city", "results", "c-1")
        assert (stored["status"], stored["received_at"]) == ("ready", NOON)

    def test_answers_a_repetition_alike_and_stores_it_once(self, endpoint: Endpoint) -> None:
        assert [endpoint.post().status_code, endpoint.post().status_code] == [202, 202]
        assert len(endpoint.stored()) == 1

    def test_stores_another_body_beside_it(self, endpoint: Endpoint) -> None:
        endpoint.post()
        endpoint.post(body=BODY.replace(b"d-1", b"d-2"))

        assert len(endpoint.stored()) == 2

    def test_keeps_no_password_that_a_body_names_its_sender_by(self, endpoint: Endpoint) -> None:
        body = envelope("<X><transactionID>t-1</transactionID></X>", header='UserID="mill" Pwd="third"')

        assert endpoint.post("/head-ends/mill/soap", body=body, auth=None, caller="10.0.0.7").status_code == 200
        (stored,) = endpoint.stored()
        assert zlib.decompress(stored["data"]) == body.replace(b"third", b"")
        assert stored["correlation"] == "t-1"

    def test_takes_the_correlation_of_the_header_first(self, endpoint: Endpoint) -> None:
        endpoint.post(x_correlation_id="c-9")

        assert endpoint.stored()[0]["correlation"] == "c-9"

    def test_stores_what_it_cannot_read(self, endpoint: Endpoint) -> None:
        assert endpoint.post(body=b"\xff<no json>").status_code == 202
        assert endpoint.stored()[0]["correlation"] == ""

    @pytest.mark.parametrize(
        "auth",
        [
            pytest.param(None, id="no credentials"),
            pytest.param((CITY[0], "wrong"), id="wrong password"),
            pytest.param(("village", "other"), id="another head end's"),
        ],
    )
    def test_lets_nobody_else_push(self, endpoint: Endpoint, auth: tuple[str, str] | None) -> None:
        answer = endpoint.post(auth=auth)

        assert answer.status_code == 401
        assert "Basic" in answer.headers["WWW-Authenticate"]
        assert endpoint.stored() == []

    @pytest.mark.parametrize(("caller", "status"), [("127.0.0.1", 202), ("10.0.0.7", 401)])
    def test_lets_only_this_machine_push_without_credentials(
        self, database: Database, caller: str, status: int
    ) -> None:
        endpoint = Endpoint(database, callback_user=None, callback_password=None)

        assert endpoint.post(auth=None, caller=caller).status_code == status

    @pytest.mark.parametrize(
        "path",
        [
            pytest.param("/head-ends/hamlet/results", id="unknown head end"),
            pytest.param("/head-ends/city/Results!", id="impossible topic"),
        ],
    )
    def test_knows_no_other_address(self, endpoint: Endpoint, path: str) -> None:
        assert endpoint.post(path).status_code == 404
        assert endpoint.stored() == []

    def test_takes_a_body_of_the_largest_size_and_no_larger(self, endpoint: Endpoint) -> None:
        assert endpoint.post(body=b"x" * LIMIT).status_code == 202
        assert endpoint.post(body=b"x" * (LIMIT + 1)).status_code == 413
        assert len(endpoint.stored()) == 1

    def test_refuses_a_compressed_body(self, endpoint: Endpoint) -> None:
        assert endpoint.post(content_encoding="gzip").status_code == 415
        assert endpoint.stored() == []


class TestCorrelationIn:
    @pytest.mark.parametrize(
        ("body", "correlation"),
        [
            pytest.param(b'{"correlation_id":"0c2f8f0e-2f0c"}', "0c2f8f0e-2f0c", id="tight"),
            pytest.param(b'{"a": 1, "correlation_id" : "c"}', "c", id="spaced"),
            pytest.param(b'{"correlation_id": null}', "", id="null"),
            pytest.param(b" " * 1024 + b'{"correlation_id": "c"}', "", id="far from the beginning"),
            pytest.param(b"", "", id="empty"),
        ],
    )
    def test_reads_the_beginning_only(self, body: bytes, correlation: str) -> None:
        assert correlation_in_json(body) == correlation


class TestFiles:
    DAY = file(*(mepmd01(["1"], meter=f"{number:010}") for number in range(3000)))

    @pytest.fixture
    def endpoint(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
        monkeypatch.setattr("mdus.endpoints.push._PARTED_ABOVE", 10_000)
        monkeypatch.setattr("tests.unit.endpoints.test_push.LIMIT", 10_000_000)
        return Endpoint(database)

    def pushed(self, endpoint: Endpoint, body: bytes, *, topic: str = "intervals") -> list[tuple[str, bytes]]:
        answer = endpoint.post(f"/head-ends/village/{topic}", body=body, auth=("village", "other"))
        assert (answer.status_code, answer.content) == (202, b"")
        return [(stored["topic"], zlib.decompress(stored["data"])) for stored in endpoint.stored()]

    def test_are_stored_in_parts_of_whole_lines_where_they_are_large(self, endpoint: Endpoint) -> None:
        stored = self.pushed(endpoint, self.DAY)
        assert [(topic, body.count(b"\r\n")) for topic, body in stored] == [("cmep", 2000), ("cmep", 1000)]
        assert b"".join(body for _, body in stored) == self.DAY

    def test_are_stored_once(self, endpoint: Endpoint) -> None:
        self.pushed(endpoint, self.DAY)
        assert len(self.pushed(endpoint, self.DAY)) == 2

    def test_are_stored_as_they_are_where_they_are_small(self, endpoint: Endpoint) -> None:
        small = self.DAY[:5_000]
        assert self.pushed(endpoint, small) == [("intervals", small)]

    def test_are_stored_expanded_where_they_are_compressed(self, endpoint: Endpoint) -> None:
        stored = self.pushed(endpoint, gzip.compress(self.DAY))
        assert [topic for topic, _ in stored] == ["cmep", "cmep"]
        assert b"".join(body for _, body in stored) == self.DAY

    def test_are_stored_as_they_are_where_they_are_damaged(self, endpoint: Endpoint) -> None:
        damaged = gzip.compress(self.DAY)[:-5]
        assert self.pushed(endpoint, damaged) == [("intervals", damaged)]

    @pytest.mark.parametrize(("topic", "body"), [("intervals", b"x" * 20_000), ("alarms", DAY)])
    def test_are_stored_whole_where_nobody_can_read_them(self, endpoint: Endpoint, topic: str, body: bytes) -> None:
        assert self.pushed(endpoint, body, topic=topic) == [(topic, body)]
