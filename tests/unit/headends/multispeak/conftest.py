"""A head end that answers what a test tells it, and MDUS connected to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mdus.headends.multispeak.adapter import MultiSpeakHeadEnd
from tests.unit.headends.multispeak.scripted_soap import ScriptedSoap, at


@pytest.fixture
def scripted() -> Iterator[ScriptedSoap]:
    """A head end of version 3.0 that accepts everything."""
    head_end = ScriptedSoap()
    yield head_end
    head_end.close()


@pytest.fixture
def head_end(scripted: ScriptedSoap) -> Iterator[MultiSpeakHeadEnd]:
    """MDUS's side of it, with the usual options."""
    connected = at(scripted)
    yield connected
    connected.close()
