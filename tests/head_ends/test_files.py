"""A head end that leaves files, with each fault that only files have: every value arrives, once, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from mdus.domain.channel import Channel
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.reading import MeterReading
from mdus.storage.interval_block import current_blocks
from tests.head_ends.city import City
from tests.head_ends.field import NOON
from tests.head_ends.kinds import variants
from tests.head_ends.test_every_kind import MIDNIGHT, with_channel

#: What a fault of files is shown as; those that are not here are nobody's business.
SHOWN = {
    "bad_record": "delivery_lines_unreadable",
    "truncated_gz": "delivery_unreadable",
    "zero_byte": "delivery_unreadable",
}

FAULTS = (
    "half_written",
    "renamed_while_writing",
    "truncated_gz",
    "duplicate_name",
    "duplicate_file",
    "zero_byte",
    "bom",
    "crlf",
    "gz",
    "bad_record",
    "late_file",
    "catch_up_rows",
    "clock_off_header",
)
FORMATS = ("cmep", "csv", "document")


@pytest.fixture
def town(request: pytest.FixtureRequest, sqlite_url: str, tmp_path: Path) -> Iterator[City]:
    """A running simulated head end that writes files in a format."""
    (variant,) = (each for each in variants() if (each.kind, each.name) == ("file_drop", request.param))
    city = City(variant, sqlite_url, tmp_path)
    yield city
    city.close()


@pytest.mark.parametrize(
    ("town", "fault"),
    [
        pytest.param(FORMATS[(place + turn) % 3], fault, id=f"{fault}-{FORMATS[(place + turn) % 3]}")
        for place, fault in enumerate(FAULTS)
        for turn in range(3 if fault in ("bad_record", "half_written", "duplicate_name") else 1)
    ],
    indirect=["town"],
)
def test_every_value_arrives_once(town: City, fault: str) -> None:
    device, reading_type = with_channel(town)
    for _ in range(4):  # the files of a day are few, and each of them may be hit
        town.simulated.arm(fault)
    town.clock.advance(hours=4)
    town.until(lambda: town.simulated.is_quiet(), what="the first files")
    town.clock.advance(days=1)
    town.simulated.snapshot(MIDNIGHT)
    town.until(
        lambda: town.simulated.is_quiet() and not {"ready", "unmatched"} & set(town.deliveries()), what="all files"
    )

    assert town.simulated.fired()[fault]
    (channel,) = town.all(Channel, device_id=device.device_id, reading_type=reading_type)
    with town.database.read() as uow:
        block = current_blocks(uow.connection, {(channel, NOON.date())})[channel, NOON.date()]
    true = town.simulated.true_intervals(device.serial_id, reading_type, NOON.date())
    assert block.quantities()[48:] == [Decimal(value) for value in true[48:]]
    readings = [each for each in town.all(MeterReading, device_id=device.device_id) if each.measured_at == MIDNIGHT]
    assert len(readings) == len({each.reading_type for each in readings}) > 0
    for reading in readings:
        assert reading.value == Decimal(town.simulated.true_value(device.serial_id, reading.reading_type, MIDNIGHT))
    shown = {case.kind for case in town.all(ExceptionCase)}
    assert shown == ({SHOWN[fault]} if fault in SHOWN else set())
    folder = Path(town.row.options["folder"])
    assert [path for path in folder.glob("*") if path.is_file()] == []
    assert bool(list(folder.glob("failed/*"))) is (SHOWN.get(fault) == "delivery_unreadable")
