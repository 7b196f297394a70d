"""A head end that answers what a test tells it, and MDUS connected to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mdus.headends.token_poll.adapter import TokenPollHeadEnd
from tests.unit.headends.token_poll.messages import CHANNELS, row
from tests.unit.headends.token_poll.scripted import ScriptedTokenPoll


@pytest.fixture
def scripted() -> Iterator[ScriptedTokenPoll]:
    """A head end that lets in, accepts, and has nothing."""
    head_end = ScriptedTokenPoll()
    yield head_end
    head_end.close()


@pytest.fixture
def head_end(scripted: ScriptedTokenPoll) -> Iterator[TokenPollHeadEnd]:
    """MDUS's side of it, with the usual options."""
    connected = TokenPollHeadEnd(row(scripted.url), channels=CHANNELS)
    yield connected
    connected.close()
