from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from mdus.endpoints.application import create_app
from mdus.endpoints.rest.router import rest_router
from tests.flows.intake.described_once import rest_routes
from tests.flows.intake.installation import Installation


@pytest.fixture
def mdus(sqlite_url: str) -> Iterator[Installation]:
    installation = Installation(sqlite_url)
    yield installation
    installation.database.close()


class TestCreateApp:
    def test_describes_each_route_of_rest_once(self, mdus: Installation) -> None:
        described = [route for route in create_app(mdus.runtime).routes if isinstance(route, APIRoute)]
        assert len(described) == len(rest_router(mdus.runtime).routes) > 50
        assert all(route.path.startswith("/api/v1/") for route in described)


class TestSharedRoutes:
    def test_are_described_as_those_of_one_runtime_are(self, mdus: Installation) -> None:
        assert mdus.app.openapi() == create_app(mdus.runtime).openapi()  # type: ignore[attr-defined]

    def test_answer_with_the_runtime_that_is_asked(self, mdus: Installation, postgresql_url: str) -> None:
        others = {"MDUS_AUTH__USER": "sap", "MDUS_AUTH__PASSWORD": "secret"}
        other = Installation(postgresql_url, environ=others)
        assert rest_routes(mdus.runtime) is rest_routes(other.runtime)
        for _ in range(2):
            assert mdus.get("/api/v1/devices").json() == {"items": [], "next": None}
            assert other.get("/api/v1/devices").status_code == 401
            assert other.get("/api/v1/devices", auth=("sap", "secret")).status_code == 200
        other.database.close()
        assert mdus.get("/api/v1/devices").status_code == 200

    def test_read_no_settings_while_they_are_described(
        self, mdus: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def early(runtime: object) -> APIRouter:
            return APIRouter(prefix=f"/{runtime.settings.time_zone}")  # type: ignore[attr-defined]

        monkeypatch.setattr("tests.flows.intake.described_once.rest_router", early)
        monkeypatch.setattr("tests.flows.intake.described_once._DESCRIBED", {})
        with pytest.raises(LookupError):
            rest_routes(mdus.runtime)
