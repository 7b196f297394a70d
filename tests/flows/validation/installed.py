"""An installation whose raw values a test writes, whose validation it turns by hand, and which it asks over REST."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from mdus.bootstrap.discovery import discover
from mdus.domain.access import Role
from mdus.storage.access_token import make_token
from mdus.storage.mapping import METADATA
from mdus.workers.rule_set_preview import Previews
from tests.flows.intake.installation import Installation
from tests.unit.workers.validating import CHANNEL, DAY, TABLES, Validating

#: A rule set of few rules, whatever the one is that MDUS comes with.
FEW_RULES: Final = """
[[rule_sets]]
name = "electricity"
reading_types = ["1-*"]
rules = [
  { name = "missing_intervals", severity = "issue" },
  { name = "spike", severity = "issue", replaces = true },
  { name = "sum_check", severity = "issue" },
]
methods = [
  { name = "linear", max_minutes = 120 },
  { name = "like_day_average", samples = 3 },
  { name = "scale_to_register" },
]
estimated_share = 1.0
"""


class Installed(Validating):
    """A channel with its values, validated by the worker and asked about by clerks."""

    def __init__(self, url: str, folder: Path) -> None:
        (folder / "test.toml").write_text(TABLES + FEW_RULES)
        super().__init__(url, str(folder))
        tools = discover().tools
        settings = self.database.settings
        self.mdus = Installation(
            url,
            environ={"MDUS_CONFIG": str(folder), "MDUS_TIME_ZONE": "Europe/Berlin"},
            database=self.database,
            clock=self.clock,
            tools=tools,
            preview=Previews(self.database, settings, tools),
        )
        self._tokens: dict[tuple[Role, str], str] = {}

    def close(self) -> None:
        """Let go of everything."""
        self.mdus.database.close()
        self.database.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        role: Role = Role.APPROVER,
        system: str = "",
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Any:
        """Send one request with a token of a role."""
        return self.mdus.ask(
            method,
            f"/api/v1{path}",
            headers={"Authorization": f"Bearer {self._token(role, system)}", **(headers or {})},
            **options,
        )

    def edit(self, *items: Mapping[str, Any], reason: str = "read off the display", **options: Any) -> Any:
        """Edit values of the channel's day; each item states what differs."""
        usual = {"device_id": CHANNEL.device_id, "reading_type": CHANNEL.reading_type}
        body = {
            "sender_system": "P11",
            "reason": reason,
            "items": [
                {**usual, **({} if "from" in item or "day" in item else {"day": str(DAY)}), **item} for item in items
            ],
        }
        return self.ask("POST", "/intervals/edits", json=body, **{"role": Role.OPERATOR, **options})

    def explained(self, day: date = DAY) -> Any:
        """Return why the values of the channel's day are what they are."""
        query = {"sender_system": "P11", "device_id": CHANNEL.device_id, "day": str(day)}
        response = self.ask("GET", "/intervals/explanation", params=query, role=Role.VIEWER)
        assert response.status_code == 200, response.text
        return response.json()

    def content(self) -> dict[str, list[Any]]:
        """Return every row of every table."""
        with self.database.read() as uow:
            return {
                table.name: sorted(map(repr, uow.connection.execute(select(table)).all()))
                for table in METADATA.sorted_tables
            }

    def _token(self, role: Role, system: str) -> str:
        if (role, system) not in self._tokens:
            systems = [system] if system else None
            with self.database.begin() as uow:
                token = make_token(
                    uow.connection, f"{role}{system}", role=role, systems=systems, lasts=None, created_by="test"
                )
            assert token is not None
            self._tokens[role, system] = token
        return self._tokens[role, system]


def span(first: int, end: int) -> dict[str, str]:
    """Return the instants of intervals of the day, as an item of an edit has them."""
    grid = CHANNEL.day(DAY)
    return {"from": grid.starts_at(first).isoformat(), "to": grid.starts_at(end).isoformat()}
