"""Every example of docs/rest.md is asked of an MDUS, and answered."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mdus.domain.access import Role
from mdus.storage.access_token import make_token
from tests.flows.both_sides import BothSides
from tests.flows.meter_reading.test_reading_is_ordered import DEVICE, ORDER, START, order
from tests.flows.rest.test_access import dead_message

PAGE = (Path(__file__).parents[2] / "docs" / "rest.md").read_text()
EXAMPLES = re.findall(r"```http\n(GET|POST) (\S+)\n(.*?)```", PAGE, re.DOTALL)


def test_has_examples() -> None:
    assert len(EXAMPLES) >= 6


def test_examples_are_answered(database_url: str, tmp_path: Path) -> None:
    sides = BothSides(database_url, tmp_path, now=START)
    try:
        sides.meter(DEVICE)
        sides.tell(ORDER, order())
        sides.rest()
        dead_message(sides)
        with sides.database.begin() as uow:
            token = make_token(
                uow.connection, "docs", role=Role.OPERATOR, systems=None, lasts=None, created_by="the page"
            )
        headers = {"Authorization": f"Bearer {token}"}
        for method, path, body in EXAMPLES:
            content = {"json": json.loads(body)} if body.strip() else {}
            response = sides.mdus.ask(method, path, headers=headers, **content)
            assert response.status_code == 200, f"{method} {path}: {response.text}"
        assert [deed["action"] for deed in response.json()["items"]] == ["switching stopped", "retry"]
    finally:
        sides.close()


@pytest.mark.parametrize("role", list(Role))
def test_names_every_role(role: Role) -> None:
    assert f"| {role} |" in PAGE
