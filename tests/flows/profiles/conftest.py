"""MDUS and a meter with a load profile, at the midnight that the day of values begins with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.profiles.day_of_values import MIDNIGHT
from tests.flows.profiles.metering import Metering


@pytest.fixture
def metering(database_url: str, tmp_path: Path) -> Iterator[Metering]:
    """An installation with the meter, at midnight."""
    made = Metering(database_url, tmp_path, now=MIDNIGHT)
    made.meter()
    yield made
    made.close()
