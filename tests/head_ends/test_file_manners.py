"""Head ends that write files otherwise than their formats say: every value is right once a row says how they write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from mdus.bootstrap.discovery import discover
from mdus.domain.channel import Channel
from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.reading import MeterReading
from mdus.settings import load_settings
from mdus.storage.interval_block import current_blocks
from mdus.workers.readings import ReadingsWorker
from tests.head_ends.city import City
from tests.head_ends.kinds import variants
from tests.head_ends.test_every_kind import with_channel

#: What pulses of a commodity are, only the utility knows; how much each of them is, the records say.
PULSES = """
[[channels]]
name = "pulses_of_electricity"
head_end = "city"
obis = "1-0:1.29.0*255"
kind = "interval"
unit = "kWh"
cmep = [{ commodity = "E", unit = "PULSE" }]
"""
BERLIN = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)  # the days of 23 and 25 hours
QUARTER = timedelta(minutes=15)


def midnight(day: date) -> datetime:
    """Return when a day begins in Berlin."""
    return datetime(day.year, day.month, day.day, tzinfo=BERLIN).astimezone(UTC)


@pytest.fixture
def town(request: pytest.FixtureRequest, sqlite_url: str, tmp_path: Path) -> Iterator[City]:
    """A running simulated head end that writes files in a format and a manner."""
    form, *options = request.param
    (variant,) = (each for each in variants() if (each.kind, each.name) == ("file_drop", form))
    city = City(replace(variant, options=(*variant.options, *options)), sqlite_url, tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "channels.toml").write_text(PULSES)
    settings = load_settings({"MDUS_CONFIG": str(tmp_path / "config")}, tables=discover().tables)
    city.decode = city.kind.decoder(settings, city.row)
    city.readings = ReadingsWorker(
        database=city.database, clock=city.clock, decoders={"city": city.decode}, retry=city.retry
    )
    yield city
    city.close()


def move(town: City, to: datetime) -> None:
    """Let time pass until an instant, and all that is told meanwhile be taken in."""
    town.clock.advance(seconds=(to - town.clock.now()).total_seconds())
    town.until(
        lambda: town.simulated.is_quiet() and not {"ready", "unmatched"} & set(town.deliveries()), what="all files"
    )


def stored(town: City, device: EndDevice, reading_type: str, day: date) -> Sequence[Decimal | None]:
    """Return the interval values that are stored of a day."""
    (channel,) = town.all(Channel, device_id=device.device_id, reading_type=reading_type)
    with town.database.read() as uow:
        return current_blocks(uow.connection, {(channel, day)})[channel, day].quantities()


def true(town: City, device: EndDevice, reading_type: str, day: date) -> list[Decimal]:
    """Return what truly passed in the intervals of a day."""
    return [Decimal(value) for value in town.simulated.true_intervals(device.serial_id, reading_type, day)]


def play_the_hour_twice(town: City, *, lacking: Sequence[int], asked: range) -> None:
    """Let the night pass in which an hour is there twice, then ask for some of its values.

    Those `lacking` are missing until they are asked for, and shown to be; all others are right at once.
    """
    begin = midnight(AUTUMN)
    move(town, begin)
    device, reading_type = with_channel(town)
    for hour in range(6):
        move(town, begin + timedelta(hours=hour + 1, minutes=1))
    measured = true(town, device, reading_type, AUTUMN)

    told = stored(town, device, reading_type, AUTUMN)
    assert [place for place in range(1, 20) if told[place] is None] == list(lacking)
    assert [
        (told[place], measured[place]) for place in range(1, 20) if told[place] not in (None, measured[place])
    ] == []
    shown = {case.kind for case in town.all(ExceptionCase)}
    assert shown == ({"delivery_lines_unreadable"} if lacking else set())

    period = {"period_from": begin + asked.start * QUARTER, "period_to": begin + asked.stop * QUARTER}
    assert town.settle(town.order(device, CommandKind.READ_INTERVALS, **period)) == [CommandStatus.DONE]
    read = stored(town, device, reading_type, AUTUMN)
    assert read[asked.start : asked.stop] == measured[asked.start : asked.stop]


def named(*param: object) -> object:
    *manner, day = param
    assert isinstance(day, date)
    name = "-".join(str(each).removeprefix("--") for each in manner)
    return pytest.param(manner, day, id=f"{name}-{'spring' if day == SPRING else 'autumn'}")


@pytest.mark.parametrize(
    ("town", "day"),
    [
        named("cmep", "--times", "local", SPRING),
        named("cmep", "--times", "local", AUTUMN),
        named("cmep", "--times", "standard", AUTUMN),
        named("cmep", "--labels", "start", SPRING),
        named("cmep", "--labels", "start", "--times", "local", SPRING),
        named("cmep", "--labels", "start", "--times", "local", AUTUMN),
        named("cmep", "--pulses", SPRING),
        named("document", "--times", "local", SPRING),
        named("document", "--times", "local", AUTUMN),
        named("document", "--times", "standard", SPRING),
        named("document", "--pulses", AUTUMN),
    ],
    indirect=["town"],
)
def test_every_value_of_a_day_is_right(town: City, day: date) -> None:
    move(town, midnight(day) - timedelta(hours=12))
    device, reading_type = with_channel(town)
    following = midnight(day + timedelta(days=1))
    move(town, following + timedelta(hours=5))
    for at in (midnight(day), following):
        town.simulated.snapshot(at)
    move(town, following + timedelta(hours=6))

    assert stored(town, device, reading_type, day) == true(town, device, reading_type, day)
    assert len(true(town, device, reading_type, day)) == {SPRING: 92, AUTUMN: 100}[day]
    readings = {each.measured_at: each for each in town.all(MeterReading, device_id=device.device_id)}
    assert set(readings) == {midnight(day), following}
    for at, reading in readings.items():
        assert reading.value == Decimal(town.simulated.true_value(device.serial_id, reading.reading_type, at))
    assert town.all(ExceptionCase) == []


@pytest.mark.parametrize(
    ("town", "lacking"),
    [
        # Two hours, each a record of one time: of the first it is known that it is not the second, by when it came.
        pytest.param(("cmep", "--times", "local"), range(12, 16), id="cmep"),
        pytest.param(("document", "--times", "local"), (), id="document"),  # whose periods have two ends
    ],
    indirect=["town"],
)
def test_an_hour_that_may_be_either_of_two_is_missing_and_never_wrong(town: City, lacking: Sequence[int]) -> None:
    play_the_hour_twice(town, lacking=lacking, asked=range(8, 16))
