from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.flows.exceptions.scene import Scene


@pytest.fixture
def scene(database_url: str) -> Iterator[Scene]:
    made = Scene(database_url)
    yield made
    made.close()
