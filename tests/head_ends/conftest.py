"""The fixture of the shared suite: a city for each variant of each kind that can do what a test asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.head_ends.city import City
from tests.head_ends.kinds import Variant, variants


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test of the suite every variant that can do what its marks say."""
    if "city" not in metafunc.fixturenames:
        return
    able = [variant for variant in variants() if _is_able(variant, metafunc)]
    faults = metafunc.definition.get_closest_marker("each_fault")
    if faults is None:
        metafunc.parametrize("city", able, ids=str, indirect=True)
        return
    pairs = [(variant, *each.values) for variant in able for each in faults.args if each.values[0] in variant.faults]
    ids = [f"{variant}-{each.id}" for variant in able for each in faults.args if each.values[0] in variant.faults]
    metafunc.parametrize(("city", *faults.kwargs["names"]), pairs, ids=ids, indirect=["city"])


def _is_able(variant: Variant, metafunc: pytest.Metafunc) -> bool:
    def asked(mark: str) -> set[object]:
        return {each for found in metafunc.definition.iter_markers(mark) for each in found.args}

    return (
        asked("takes") <= variant.ours.capabilities
        and asked("tells") <= variant.ours.tells
        and all(variant.fetches(str(what)) for what in asked("fetches"))
        and asked("has") <= variant.faults
    )


@pytest.fixture
def city(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[City]:
    """A running simulated head end of each kind, on each database."""
    city = City(request.param, database_url, tmp_path)
    yield city
    city.close()
