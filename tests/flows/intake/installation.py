"""MDUS as its callers see it: the application on a database, asked over HTTP without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from unittest import mock

import httpx
from fastapi import APIRouter
from lxml import etree
from sqlalchemy import Row, Select, Table, select
from starlette.types import ASGIApp

from mdus.contracts.catalog import catalog
from mdus.endpoints import application
from mdus.endpoints.application import create_app
from mdus.endpoints.runtime import Runtime
from mdus.messaging.patterns import Service
from mdus.services import device_create, meter_reading_document_create, meter_reading_document_result
from mdus.settings import load_settings
from mdus.storage.session import Database
from tests.flows.intake.described_once import Asked, rest_routes

NOW = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
SERVICES: dict[str, Service] = {
    module.SERVICE.name: module.SERVICE
    for module in (device_create, meter_reading_document_create, meter_reading_document_result)
}
XML = {"Content-Type": "text/xml; charset=utf-8"}


class SteadyClock:
    """Business time that stands still."""

    def now(self) -> datetime:
        return NOW


class Installation:
    """One MDUS on a database of the test's; `client` is the address callers come from."""

    def __init__(self, url: str, *, environ: Mapping[str, str] | None = None, **changes: Any) -> None:
        settings = load_settings(environ or {})
        self.database = Database(url, settings=settings)
        self.runtime = replace(
            Runtime(
                settings=settings,
                database=self.database,
                clock=SteadyClock(),
                catalog=catalog(),
                services=SERVICES,
            ),
            **changes,
        )
        self._app: ASGIApp | None = None

    @property
    def app(self) -> ASGIApp:
        """The whole application with the routes of REST that all share, or what a test has put in its place."""
        if self._app is None:
            with mock.patch.object(application, "rest_router", rest_routes):
                app = create_app(self.runtime)
            app.add_middleware(Asked, runtime=self.runtime)
            self._app = app
        return self._app

    @app.setter
    def app(self, app: ASGIApp) -> None:
        self._app = app

    @cached_property
    def _without_rest(self) -> ASGIApp:
        """The application without the routes of REST, whose description takes longer than most tests."""
        with mock.patch.object(application, "rest_router", return_value=APIRouter()):
            return create_app(self.runtime)

    def post(
        self, content: Any, path: str = "/sap", *, headers: Mapping[str, str] = XML, **options: Any
    ) -> httpx.Response:
        """Post a message."""
        return self.ask("POST", path, content=content, headers=headers, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Get a resource."""
        return self.ask("GET", path, **options)

    def ask(self, method: str, path: str, *, client: str = "127.0.0.1", **options: Any) -> httpx.Response:
        """Send one request."""
        return asyncio.run(self.answer(method, path, client, options))

    def post_at_once(self, contents: Sequence[bytes]) -> list[httpx.Response]:
        """Post several messages at the same moment."""

        async def together() -> list[httpx.Response]:
            options = [{"content": content, "headers": XML} for content in contents]
            return await asyncio.gather(*(self.answer("POST", "/sap", "127.0.0.1", each) for each in options))

        return asyncio.run(together())

    async def answer(self, method: str, path: str, client: str, options: Mapping[str, Any]) -> httpx.Response:
        """Send one request from inside an event loop."""
        is_soap = path.startswith("/sap") and self._app is None
        app = self._without_rest if is_soap else self.app
        transport = httpx.ASGITransport(app=app, client=(client, 50000))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://mdus.example") as http:
            return await http.request(method, path, **options)

    def rows(self, table: Table | Select[Any]) -> Sequence[Row[Any]]:
        """Return all rows of a table, or of a query."""
        query = select(table).order_by(table.c.id) if isinstance(table, Table) else table
        with self.database.read() as uow:
            return uow.connection.execute(query).all()


def fault_of(response: httpx.Response) -> tuple[str, str, list[str]]:
    """Return (code, sentence, places) of a SOAP fault."""
    root = etree.fromstring(response.content)
    places = [text.text or "" for text in root.iter("text")]
    return root.findtext(".//faultcode") or "", root.findtext(".//faultstring") or "", places
