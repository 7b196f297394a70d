"""A head end that answers what a test tells it, and MDUS connected to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mdus.headends.cim.adapter import CimHeadEnd
from tests.unit.headends.cim.scripted import ScriptedCim, connected


@pytest.fixture
def scripted() -> Iterator[ScriptedCim]:
    """A head end without anything to answer yet."""
    head_end = ScriptedCim()
    yield head_end
    head_end.close()


@pytest.fixture
def head_end(scripted: ScriptedCim) -> Iterator[CimHeadEnd]:
    """MDUS's side of it, with the usual options."""
    found = connected(scripted)
    yield found
    found.close()
