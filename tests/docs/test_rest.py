"""Every example of docs/rest.md is asked of an MDUS, and answered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mdus.domain.access import Role
from mdus.domain.usage_point import UsagePoint
from mdus.storage.access_token import make_token
from tests.flows.both_sides import SENDER, BothSides
from tests.flows.intake.installation import Installation
from tests.flows.meter_reading.test_reading_is_ordered import DEVICE, ORDER, START, order
from tests.flows.rest.test_access import dead_message

PAGE = (Path(__file__).parents[2] / "docs" / "rest.md").read_text()
EXAMPLES = re.findall(r"```http\n(GET|POST) (\S+)\n((?:[\w-]+: [^\n]*\n)*)(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def mdus_on_sqlite(sqlite_url: str) -> Iterator[Installation]:
    installation = Installation(sqlite_url)
    yield installation
    installation.database.close()


def test_has_examples() -> None:
    assert len(EXAMPLES) >= 15


def test_examples_are_answered(database_url: str, tmp_path: Path) -> None:
    sides = BothSides(database_url, tmp_path, now=START)
    try:
        sides.meter(DEVICE)
        sides.tell(ORDER, order())
        sides.rest()
        sides.save(
            UsagePoint(
                sender_system=SENDER,
                device_id=DEVICE,
                measurement_task_id=DEVICE,
                point_of_delivery_id="DE0001234",
                valid_from=START - timedelta(days=9),
            )
        )
        dead_message(sides)
        with sides.database.begin() as uow:
            token = make_token(
                uow.connection, "docs", role=Role.OPERATOR, systems=None, lasts=None, created_by="the page"
            )
        headers = {"Authorization": f"Bearer {token}"}
        for method, path, named, body in EXAMPLES:
            content = {"json": json.loads(body)} if body.strip() else {}
            further = dict(line.split(": ", 1) for line in named.splitlines())
            response = sides.mdus.ask(method, path, headers=headers | further, **content)
            assert response.status_code == 200, f"{method} {path}: {response.text}"
            if path == "/api/v1/audit":
                assert [deed["action"] for deed in response.json()["items"]] == ["switching stopped", "retry"]
    finally:
        sides.close()


def test_names_every_resource_that_is_read(mdus_on_sqlite: Installation) -> None:
    described = mdus_on_sqlite.get("/api/openapi.json").json()["paths"]
    names = {f"`/{path.split('/')[3]}" for path, operations in described.items() if "get" in operations}
    assert [name for name in sorted(names) if name not in PAGE] == []


def test_names_every_sort(mdus_on_sqlite: Installation) -> None:
    rows = {line.split("|")[1]: line.split("|")[3] for line in PAGE.splitlines() if line.count("|") == 4}
    for path, operations in mdus_on_sqlite.get("/api/openapi.json").json()["paths"].items():
        for parameter in operations.get("get", {}).get("parameters", []):
            if parameter["name"] != "sort":
                continue
            name = f"`{path.removeprefix('/api/v1')}`"
            [told] = [sorts for resources, sorts in rows.items() if name in resources]
            schema = parameter["schema"]
            members = schema.get("enum") or next(one["enum"] for one in schema["anyOf"] if "enum" in one)
            fields = {member.removeprefix("-") for member in members} - {"id"}
            assert fields == set(re.findall(r"`(\w+)`", told)), path


@pytest.mark.parametrize("role", list(Role))
def test_names_every_role(role: Role) -> None:
    assert f"| {role} |" in PAGE
