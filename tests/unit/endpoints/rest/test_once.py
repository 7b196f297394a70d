"""Any endpoint that writes takes a key, whatever it is sent and answers; one that cannot is a defect from the start."""

# Not `from __future__ import annotations`: FastAPI reads the annotations of local functions.

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Query

from mdus.domain.access import Caller, Role
from mdus.endpoints.rest import problems
from mdus.endpoints.rest.once import once_per_key
from mdus.storage.session import Database


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    made = Database(sqlite_url)
    yield made
    made.close()


@pytest.fixture
def router(database: Database) -> APIRouter:
    return APIRouter(route_class=once_per_key(database))


def somebody() -> Caller:
    return Caller(name="rest:portal", role=Role.ADMIN, systems=None, sees_personal=True)


Somebody = Annotated[Caller, Depends(somebody)]


def put(router: APIRouter, path: str, sent: Any, *, key: str | None = "k1") -> httpx.Response:
    app = FastAPI()
    app.include_router(router)
    problems.install(app)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://mdus.example") as client:
            return await client.put(path, json=sent, headers={"Idempotency-Key": key} if key else {})

    return asyncio.run(ask())


def test_takes_lists_and_parameters_and_answers_what_json_can_tell(router: APIRouter) -> None:
    done: list[list[int]] = []

    def numbers(_: Somebody, sent: list[int], times: Annotated[int, Query()] = 1) -> list[list[int]]:
        done.append(sent * times)
        return done

    router.put("/numbers", status_code=202)(numbers)
    first = put(router, "/numbers", [1, 2])
    assert (first.status_code, first.json()) == (202, [[1, 2]])
    again = put(router, "/numbers", [1, 2])
    assert (again.status_code, again.json()) == (202, [[1, 2]])
    assert put(router, "/numbers", [2, 1]).status_code == 409
    assert put(router, "/numbers?times=2", [1, 2]).status_code == 409
    assert done == [[1, 2]]
    assert put(router, "/numbers", [1, 2], key=None).json() == [[1, 2], [1, 2]]


def test_that_breaks_leaves_the_key_new(router: APIRouter) -> None:
    breaks = iter([True, False])

    def fragile(_: Somebody) -> str:
        if next(breaks):
            raise RuntimeError
        return "done"

    router.put("/fragile")(fragile)
    with pytest.raises(RuntimeError):
        put(router, "/fragile", None)
    assert put(router, "/fragile", None).json() == "done"
    assert put(router, "/fragile", None).json() == "done"


def test_without_a_caller_or_async_is_a_defect(router: APIRouter) -> None:
    def anonymous() -> str:
        return ""

    async def hurried(_: Somebody) -> str:
        return ""

    for endpoint in (anonymous, hurried):
        with pytest.raises(TypeError, match=f"{endpoint.__name__} takes no Caller or is async"):
            router.put("/it")(endpoint)
    router.get("/it")(anonymous)
