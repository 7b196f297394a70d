"""The fixture of the shared suite: a city for each variant of each kind that can do what a test asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require_program
from tests.head_ends.city import City
from tests.head_ends.kinds import Variant, variants

#: The kind that is run on PostgreSQL too.
_ON_BOTH_DATABASES = "rest"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test of the suite every variant that can do what its marks say."""
    if "city" not in metafunc.fixturenames:
        if "database_url" in metafunc.fixturenames:
            metafunc.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
        return
    able = [variant for variant in variants() if _is_able(variant, metafunc)]
    marked = metafunc.definition.get_closest_marker("each_fault")
    rows: list[tuple[object, ...]] = []
    ids: list[str] = []
    # What a head end speaks and where MDUS keeps things have nothing to do with each other: one kind shows the second.
    for variant, database in [(each, "sqlite") for each in able] + [
        (each, "postgresql") for each in able if each.kind == _ON_BOTH_DATABASES
    ]:
        for fault in marked.args if marked else [pytest.param(id="")]:
            if not fault.values or fault.values[0] in variant.faults:
                rows.append((variant, database, *fault.values))
                ids.append("-".join(filter(None, (str(variant), database, str(fault.id)))))
    names = ("city", "database_url", *(marked.kwargs["names"] if marked else ()))
    metafunc.parametrize(names, rows, ids=ids, indirect=["city", "database_url"])


def _is_able(variant: Variant, metafunc: pytest.Metafunc) -> bool:
    def asked(mark: str) -> set[object]:
        return {each for found in metafunc.definition.iter_markers(mark) for each in found.args}

    only = asked("only")
    assert only <= {str(each) for each in variants()}, f"no such variants: {only}"
    return (
        (not only or str(variant) in only)
        and asked("takes") <= variant.ours.capabilities
        and asked("tells") <= variant.ours.tells
        and all(variant.fetches(str(what)) for what in asked("fetches"))
        and asked("has") <= variant.faults
    )


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated database of this test."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def city(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[City]:
    """A running simulated head end of each kind, on each database."""
    if request.param.program is not None:
        require_program(request.param.program, purpose=f"the head end {request.param}")
    given = (each for mark in request.node.iter_markers("run_with") for each in mark.kwargs.items())
    options = {
        name: value.format(folder=tmp_path) for name, value in given if name != "tls" or request.param.speaks_http
    }
    city = City(request.param, database_url, tmp_path, **options)
    yield city
    city.close()
