"""Who calls the REST side: a client with its token, or a SAP system with its credentials.

| caller                                    | is                                                          |
|-------------------------------------------|-------------------------------------------------------------|
| `Authorization: Bearer mdus_...`          | the client the token was made for, in its role              |
| `Authorization: Basic ...`                | a sender of the settings: reads what is its own, as VIEWER  |
| none, on this machine, and no sender said | whoever sits there: reads everything, as VIEWER             |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import HTTPException
from starlette.requests import Request

from mdus.domain.access import Caller, Role
from mdus.endpoints.authentication import NotAuthenticated, SenderAuthentication
from mdus.endpoints.runtime import Runtime
from mdus.storage.access_token import caller_of

#: The header of every 401 of the REST side.
CHALLENGE: Final[Mapping[str, str]] = {
    "WWW-Authenticate": 'Basic realm="MDUS", charset="UTF-8", Bearer realm="MDUS"',
}

#: Members of items' contents that tell where somebody lives.
PERSONAL: Final = frozenset({"house_id", "postal_code", "city_name", "street_name", "address"})
HIDDEN: Final = "***"


class Access:
    """Tells who calls, or answers 401; `at_least` makes a dependency that answers 403 to whoever may not."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def __call__(self, request: Request) -> Caller:
        """Return who calls."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            with self._runtime.database.read() as uow:
                caller = caller_of(uow.connection, token.strip())
            if caller is None:
                raise HTTPException(
                    401, "The token is unknown, expired or revoked: `mdus token list` tells", headers=dict(CHALLENGE)
                )
            return caller
        try:
            sender = SenderAuthentication(self._runtime.settings)(request)
        except NotAuthenticated as error:
            raise HTTPException(401, f"{error}, or a token (Bearer)", headers=dict(CHALLENGE)) from error
        name = "this machine" if sender is None else f"sender {sender.name}"
        systems = None if sender is None or "*" in sender.systems else tuple(sender.systems)
        return Caller(name=name, role=Role.VIEWER, systems=systems, sees_personal=True)

    def at_least(self, role: Role) -> Callable[[Request], Caller]:
        """Return a dependency that lets in whoever has at least this role, with a token."""

        def caller(request: Request) -> Caller:
            found = self(request)
            if not found.role.includes(role):
                raise HTTPException(
                    403,
                    f"This takes the role {role} or more, and {found.name} is {found.role}: see `mdus token create`",
                )
            return found

        return caller


def redacted(content: str) -> str:
    """Return the JSON of an item's content without what tells where somebody lives."""
    return json.dumps(_redacted(json.loads(content)), ensure_ascii=False)


def _redacted(value: Any) -> Any:
    if isinstance(value, list):
        return [_redacted(each) for each in value]
    if isinstance(value, dict):
        return {
            name: HIDDEN if name in PERSONAL and each is not None else _redacted(each) for name, each in value.items()
        }
    return value
