"""Head ends called by SOAP that write times without an offset: every value is right, or missing, and never wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from mdus.domain.exception_case import ExceptionCase
from mdus.domain.reading import MeterReading
from tests.head_ends.city import City
from tests.head_ends.kinds import variants
from tests.head_ends.test_every_kind import with_channel
from tests.head_ends.test_file_manners import AUTUMN, midnight, move, play_the_hour_twice, stored, true

#: The quarters of the hour that is there twice, both times.
TWICE = range(8, 16)


@pytest.fixture
def town(request: pytest.FixtureRequest, sqlite_url: str, tmp_path: Path) -> Iterator[City]:
    """A running simulated head end that writes times in a manner."""
    named, times = request.param
    (variant,) = (each for each in variants() if str(each) == named)
    city = City(replace(variant, options=(*variant.options, "--times", times)), sqlite_url, tmp_path)
    yield city
    city.close()


def writing(*manners: tuple[str, str]) -> pytest.MarkDecorator:
    rows = [pytest.param(manner, id="-".join(manner)) for manner in manners]
    return pytest.mark.parametrize("town", rows, indirect=True)


KINDS = ("multispeak-3.0", "multispeak-4.1", "cim-typed", "cim-generic")


@writing(*((kind, times) for kind in KINDS for times in ("local", "standard")))
def test_every_value_of_a_day_of_25_hours_is_right(town: City) -> None:
    move(town, midnight(AUTUMN) - timedelta(hours=12))
    device, reading_type = with_channel(town)
    following = midnight(AUTUMN + timedelta(days=1))
    move(town, following + timedelta(hours=5))
    for at in (midnight(AUTUMN), following):
        town.simulated.snapshot(at)
    move(town, following + timedelta(hours=6))

    assert stored(town, device, reading_type, AUTUMN) == true(town, device, reading_type, AUTUMN)
    assert len(true(town, device, reading_type, AUTUMN)) == 100
    readings = {each.measured_at: each for each in town.all(MeterReading, device_id=device.device_id)}
    assert set(readings) >= {midnight(AUTUMN), following}
    for at, reading in readings.items():
        assert reading.value == Decimal(town.simulated.true_value(device.serial_id, reading.reading_type, at))
    assert town.all(ExceptionCase) == []


@pytest.mark.parametrize(
    ("town", "lacking"),
    [
        # Of the first hour both say by when they come that it is not the second; of the second only an end can say so.
        pytest.param(("multispeak-3.0", "local"), TWICE[4:], id="multispeak-local"),
        pytest.param(("multispeak-3.0", "standard"), (), id="multispeak-standard"),
        pytest.param(("cim-typed", "local"), (), id="cim-local"),  # ends: the second hour runs up to three
        pytest.param(("cim-typed", "standard"), (), id="cim-standard"),
    ],
    indirect=["town"],
)
def test_an_hour_that_may_be_either_of_two_is_missing_and_never_wrong(town: City, lacking: Sequence[int]) -> None:
    play_the_hour_twice(town, lacking=lacking, asked=range(4, 20))
