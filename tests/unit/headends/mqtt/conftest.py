"""A broker that does what a test tells it, in both versions of the protocol."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.headends.mqtt.scripted_broker import ScriptedBroker


@pytest.fixture
def broker() -> Iterator[ScriptedBroker]:
    """A broker that lets MDUS in."""
    scripted = ScriptedBroker()
    yield scripted
    scripted.close()


@pytest.fixture(params=["5", "3.1.1"])
def version(request: pytest.FixtureRequest) -> str:
    """The version of the protocol that MDUS speaks."""
    return str(request.param)
