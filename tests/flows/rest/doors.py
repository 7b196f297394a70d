"""The two doors of one installation: what SAP sends by SOAP, a client sends by REST."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx

from mdus.domain.access import Role
from mdus.storage.access_token import make_token
from tests.flows.both_sides import SENDER, BothSides


class Client:
    """A REST client of an installation, with a token of a role."""

    def __init__(
        self,
        sides: BothSides,
        *,
        role: Role = Role.APPROVER,
        name: str = "portal",
        systems: Sequence[str] | None = None,
    ) -> None:
        self._mdus = sides.mdus
        with sides.database.begin() as uow:
            made = make_token(uow.connection, name, role=role, systems=systems, lasts=None, created_by="test")
        self.headers = {"Authorization": f"Bearer {made}"}

    def post(self, resource: str, *items: dict[str, Any], key: str | None = None, **members: Any) -> httpx.Response:
        """Order something; what it answers is for the caller to judge."""
        headers = self.headers | ({"Idempotency-Key": key} if key else {})
        body = {"sender_system": SENDER, "reason": "a test", "items": list(items), **members}
        return self._mdus.ask("POST", f"/api/v1/{resource}", json=body, headers=headers)

    def order(self, resource: str, *items: dict[str, Any], **members: Any) -> int:
        """Order something that is taken; returns the number of the request."""
        answer = self.post(resource, *items, **members)
        assert answer.status_code in (200, 202), answer.text
        number: int = answer.json()["id"]
        assert answer.headers["Location"] == f"/api/v1/requests/{number}"
        return number

    def get(self, path: str, **parameters: Any) -> Any:
        """Read a resource."""
        answer = self._mdus.get(f"/api/v1/{path}", params=parameters, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def request(self, number: int) -> dict[str, Any]:
        """Read what became of a request."""
        found: dict[str, Any] = self.get(f"requests/{number}")
        return found
