"""What the OpenAPI document says is so: requests made of it are answered as it says, wrong ones refused as it says."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from mdus.bootstrap.database import seed_rule_sets
from mdus.bootstrap.discovery import discover
from mdus.domain.access import Role
from mdus.endpoints.application import create_app
from mdus.endpoints.rest.examples import EXAMPLES
from mdus.endpoints.rest.shapes import Shown
from mdus.messaging.retry import RetryPolicy
from mdus.storage.access_token import make_token
from mdus.storage.session import Database, migrate
from mdus.workers.inbox import InboxWorker
from mdus.workers.rule_set_preview import Previews
from mdus.workers.running import Loop, Loops
from tests.flows.intake.installation import Installation

#: Requests per operation that are drawn: beside those for every bound and every kind of wrong value.
_DRAWN = 5
#: Many times what it takes, and what its longest request takes: a busy machine is no finding.
_PATIENCE_SECONDS = 900
_REQUEST_SECONDS = 120


@pytest.fixture(scope="module")
def mdus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An MDUS that lets nobody in unasked."""
    url = f"sqlite:///{tmp_path_factory.mktemp('described') / 'mdus.db'}"
    migrate(url)
    environ = {"MDUS_AUTH__USER": "sap", "MDUS_AUTH__PASSWORD": "secret"}
    found = discover()
    database = Database(url)
    made = Installation(
        url,
        environ=environ,
        services=found.services,
        tools=found.tools,
        preview=Previews(database, database.settings, found.tools),
    )
    seed_rule_sets(made.database)
    yield made
    made.database.close()
    database.close()


@pytest.fixture(scope="module")
def address(mdus: Installation) -> Iterator[str]:
    """Where it listens."""
    # The application as it is served, not the one whose routes all tests share.
    app = create_app(mdus.runtime)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    settings = mdus.runtime.settings
    inbox = InboxWorker(
        database=mdus.database,
        services=mdus.runtime.services,
        settings=settings,
        clock=mdus.runtime.clock,
        retry=RetryPolicy(attempts=1),
    )
    # Whoever waits for what it ordered is answered: orders are decided meanwhile.
    loops = Loops([Loop("inbox", inbox.turn)], poll_seconds=settings.workers.poll_seconds)
    loops.start()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()
    loops.stop()
    loops.join()


@pytest.mark.timeout(_PATIENCE_SECONDS + 60)
def test_schemathesis_finds_nothing(mdus: Installation, address: str, tmp_path: Path) -> None:
    with mdus.database.begin() as uow:
        token = make_token(uow.connection, "test", role=Role.ADMIN, systems=None, lasts=None, created_by="test")
    # Whoever states If-Match may be told that it is no longer so.
    statuses = ", ".join(f'"{status}"' for status in ("2xx", "3xx", 401, 403, 404, 409, 412, 429, "5xx"))
    (tmp_path / "schemathesis.toml").write_text(
        f"[checks]\npositive_data_acceptance.expected-statuses = [{statuses}]\n"
    )
    ran = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{address}/api/openapi.json",
            *("--header", f"Authorization: Bearer {token}"),
            *("--phases", "examples,coverage,fuzzing"),
            *("--max-examples", str(_DRAWN)),
            *("--seed", "1"),
            *("--request-timeout", str(_REQUEST_SECONDS)),
            "--no-color",
        ],
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr
    assert "Selected: 83/83" in ran.stdout


def test_every_resource_has_an_example_of_its_shape(mdus: Installation) -> None:
    """Whatever is read is shown as it comes: with the very members of its shape, and of their types."""
    shapes = {shape.__name__: shape for shape in _below(Shown) if not shape.__name__.startswith("Listed")}
    described = mdus.get("/api/openapi.json").json()["components"]["schemas"]
    for name, example in EXAMPLES.items():
        assert shapes[name].model_validate(example).model_dump(mode="json") == example, name
        assert described[name]["examples"] == [_told(example)], name
    listed = [
        schema["properties"]["items"]["items"] for name, schema in described.items() if name.startswith("Listed_")
    ]
    answered = {
        one["$ref"].rpartition("/")[2] for items in listed for one in (items, *items.get("anyOf", ())) if "$ref" in one
    }
    assert answered
    assert answered <= set(EXAMPLES)


def _told(value: Any) -> Any:
    """Return a value as the document has it: without what is null."""
    if isinstance(value, list):
        return [_told(each) for each in value]
    if isinstance(value, dict):
        return {name: _told(each) for name, each in value.items() if each is not None}
    return value


def _below(shape: type[Any]) -> Iterator[type[Any]]:
    for one in shape.__subclasses__():
        yield one
        yield from _below(one)


def test_every_answer_that_is_read_has_its_name(mdus: Installation) -> None:
    for path, operations in mdus.get("/api/openapi.json").json()["paths"].items():
        if "get" in operations:
            reading = operations["get"]
            assert "304" in reading["responses"], path
            assert "ETag" in reading["responses"]["200"]["headers"], path
            assert [each["in"] for each in reading["parameters"] if each["name"] == "If-None-Match"] == ["header"], path


def test_every_operation_and_parameter_is_described(mdus: Installation) -> None:
    described = mdus.get("/api/openapi.json").json()
    for path, operations in described["paths"].items():
        for verb, operation in operations.items():
            assert operation.get("description"), f"{verb} {path}"
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "query":
                    assert parameter.get("description"), f"{verb} {path}: {parameter['name']}"
