"""An installation whose raw interval values a test writes and a worker validates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

import numpy as np

from mdus.bootstrap.composition import examine
from mdus.bootstrap.database import seed_rule_sets
from mdus.domain.channel import Channel
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.interval_block import IntervalBlock, Layer, empty_block
from mdus.domain.reading import MeterReading
from mdus.domain.reading_quality import QualitySet
from mdus.domain.register import Register
from mdus.storage.interval_block import current_blocks, ensure_channels, quality_marks, write_blocks
from mdus.storage.session import Database
from mdus.storage.validation import next_due
from mdus.workers.rule_sets import stored
from mdus.workers.validation import NOT_FIT, ValidationWorker

ENERGY: Final = "1-0:1.8.0*255"
DAY: Final = date(2026, 2, 11)
CHANNEL: Final = Channel(
    sender_system="P11",
    device_id="000000000000000042",
    reading_type="1-0:1.29.0*255",
    interval_minutes=15,
    time_zone="Europe/Berlin",
    unit="KWH",
    decimals=3,
)
END: Final = CHANNEL.day(DAY).end
TABLES: Final = """
[[load_profiles]]
name = "test"
reading_type = "1-0:1.8.0*255"
intervals = "1-0:1.29.0*255"
"""

#: Raw values of the day, of which nothing is wrong.
FULL: Final = [100 + place % 7 for place in range(96)]


class Clock:
    """Business time that a test moves."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def now(self) -> datetime:
        return self.instant


class Validating:
    """An installation with one channel, whose raw values a test writes."""

    def __init__(self, url: str, folder: str) -> None:
        examined = examine({"MDUS_CONFIG": folder, "MDUS_TIME_ZONE": "Europe/Berlin"})
        assert examined.settings is not None, examined.problems
        self.settings = examined.settings
        self.clock = Clock(END + timedelta(hours=1))
        self.database = Database(url, settings=examined.settings)
        self.worker = ValidationWorker(
            database=self.database,
            settings=examined.settings,
            clock=self.clock,
            rule_sets=stored(examined.found.tools),
        )
        seed_rule_sets(self.database)
        with self.database.begin() as uow:
            ensure_channels(uow.connection, [CHANNEL])

    def close(self) -> None:
        """Let go of the database."""
        self.database.close()

    def tell(self, values: Sequence[int], *, day: date = DAY, version: int = 1, codes: Sequence[str] = ()) -> None:
        """Write a raw version of a day; with `codes` all its values have these qualities."""
        with self.database.begin() as uow:
            block = empty_block(CHANNEL, day, at=self.clock.now(), by="delivery/1")
            marks = quality_marks(uow.connection, [QualitySet.of(codes)])[QualitySet.of(codes)]
            told = np.array(values, dtype=np.int64)
            write_blocks(
                uow.connection,
                [replace(block, values=told, qualities=np.full(len(told), marks, dtype=np.uint16), version=version)],
            )

    def read(self, at: datetime, shown: str, *, of: str = ENERGY) -> None:
        """Store a reading of the channel's register."""
        with self.database.begin() as uow:
            uow.save(
                [
                    MeterReading(
                        sender_system="P11",
                        device_id=CHANNEL.device_id,
                        reading_type=of,
                        measured_at=at,
                        value=Decimal(shown),
                        unit="KWH",
                        received_at=at,
                    )
                ]
            )

    def register(self) -> None:
        """Store the device and its register."""
        with self.database.begin() as uow:
            uow.save(
                [
                    EndDevice(
                        sender_system="P11",
                        device_id=CHANNEL.device_id,
                        serial_id="42",
                        material_id="LX100",
                        valid_from=date(2026, 1, 1),
                    ),
                    Register(
                        sender_system="P11",
                        device_id=CHANNEL.device_id,
                        measurement_task_id="1",
                        valid_from=date(2026, 1, 1),
                        reading_type=ENERGY,
                        unit="KWH",
                        total_digits=8,
                        fraction_digits=2,
                    ),
                ]
            )

    def work(self, *, at: datetime | None = None) -> None:
        """Turn until nothing is due."""
        self.clock.instant = at or self.clock.instant
        while self.worker.turn():
            pass

    def final(self, day: date = DAY) -> IntervalBlock:
        """Return the final version of a day."""
        return self.blocks(Layer.FINAL, day)[CHANNEL, day]

    def blocks(self, layer: Layer, day: date = DAY) -> dict[tuple[Channel, date], IntervalBlock]:
        """Return the current version of a day in a layer."""
        with self.database.read() as uow:
            return current_blocks(uow.connection, [(CHANNEL, day)], layer=layer)

    def codes(self, block: IntervalBlock, place: int) -> tuple[str, ...]:
        """Return the qualities of one value."""
        with self.database.read() as uow:
            return uow.quality_sets([block])[int(block.qualities[place])].codes

    def cases(self) -> list[ExceptionCase]:
        """Return the open cases of the day."""
        key = f"P11/{CHANNEL.device_id}/{CHANNEL.reading_type}/{DAY}"
        with self.database.read() as uow:
            cases = uow.load(ExceptionCase, ExceptionCase.KEY, [(NOT_FIT, key)], lock=False)
        return [case for case in cases if case.closed_at is None]

    def next_look(self) -> datetime | None:
        """Return when the next day is due."""
        with self.database.read() as uow:
            return next_due(uow.connection)
