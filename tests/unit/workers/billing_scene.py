"""Points of delivery with meters, final values and reading orders, and the job that determines what is billed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import select

from mdus.billing.determinant import Determinant
from mdus.bootstrap.tables import SHARED_TABLES
from mdus.domain.channel import Channel
from mdus.domain.end_device import EndDevice
from mdus.domain.interval_block import IntervalBlock, Layer, empty_block
from mdus.domain.meter_reading_document import MeterReadingDocument
from mdus.domain.reading import MeterReading
from mdus.domain.reading_quality import QualitySet
from mdus.domain.register import Register
from mdus.domain.usage_point import UsagePoint
from mdus.settings import load_settings
from mdus.storage.billing_parts import store_parts
from mdus.storage.determinant import DETERMINANT, determinant
from mdus.storage.interval_block import current_blocks, ensure_channels, quality_marks, write_blocks
from mdus.storage.session import Database, UnitOfWork
from mdus.workers import determinants

SENDER, POINT, METER = "P11", "DE0001", "000000000000000042"
BERLIN = "Europe/Berlin"
KWH = "1-0:1.29.0*255"
ESTIMATED, SUSPECT = QualitySet(("3.8.0",)), QualitySet(("3.5.258",))

JUNE, JULY = date(2026, 6, 1), date(2026, 7, 1)


def local(day: date, hour: int = 0, minute: int = 0) -> datetime:
    """Return a UTC instant of a local time in Berlin."""
    return datetime.combine(day, time(hour, minute), tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)


class BillingScene:
    """An installation; `now` is business time. All values are of whole Wh in kWh channels of three decimals."""

    def __init__(self, url: str, folder: Path, *, config: str = "", **environ: str) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "billing_of_the_test.toml").write_text(config)
        self.settings = load_settings({"MDUS_CONFIG": str(folder), **environ}, tables=SHARED_TABLES)
        self.database = Database(url, settings=self.settings)
        self.now = local(date(2026, 7, 2), 7)
        self.since = local(date(2026, 7, 1), 7)
        self.parted = True

    def close(self) -> None:
        self.database.close()

    def channel(self, device: str = METER, **changes: Any) -> Channel:
        given = {
            "sender_system": SENDER,
            "device_id": device,
            "reading_type": KWH,
            "interval_minutes": 15,
            "time_zone": BERLIN,
            "unit": "KWH",
            "decimals": 3,
        }
        return Channel(**(given | changes))

    def meter(
        self,
        device: str = METER,
        *,
        point: str = POINT,
        task: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        factor: str | None = None,
        fraction_digits: int = 0,
        reading_type: str = "1-0:1.8.0*255",
    ) -> None:
        """Let a register of a meter measure a point of delivery."""
        start = start or local(JUNE)
        on = start.astimezone(ZoneInfo(BERLIN)).date()
        task = task or f"T{device}"
        with self.database.begin() as uow:
            uow.save(
                [
                    EndDevice(
                        sender_system=SENDER, device_id=device, serial_id=device, material_id="LX", valid_from=on
                    ),
                    Register(
                        sender_system=SENDER,
                        device_id=device,
                        measurement_task_id=task,
                        valid_from=on,
                        reading_type=reading_type,
                        unit="KWH",
                        factor=None if factor is None else Decimal(factor),
                        fraction_digits=fraction_digits,
                    ),
                    UsagePoint(
                        sender_system=SENDER,
                        device_id=device,
                        measurement_task_id=task,
                        point_of_delivery_id=point,
                        valid_from=start,
                        valid_to=end,
                    ),
                ]
            )

    def read(self, at: datetime, value: str, *, device: str = METER) -> None:
        """Let a register be read."""
        reading = MeterReading(
            sender_system=SENDER,
            device_id=device,
            reading_type="1-0:1.8.0*255",
            measured_at=at,
            value=Decimal(value),
            unit="kWh",
            received_at=at,
        )
        with self.database.begin() as uow:
            uow.save([reading])

    def block(
        self,
        day: date,
        values: Sequence[int] | int = 1,
        *,
        of: Channel | None = None,
        marks: Mapping[int, QualitySet] | None = None,
    ) -> IntervalBlock:
        """Return a final block: one value for all intervals, or all values."""
        of = of or self.channel()
        block = empty_block(of, day, at=self.now, by="test")
        count = len(block.values)
        told = np.array([values] * count if isinstance(values, int) else values, dtype=np.int64)
        assert len(told) == count
        qualities = np.zeros(count, dtype=np.uint16)
        with self.database.begin() as uow:
            named = quality_marks(uow.connection, set((marks or {}).values()))
        for place, quality in (marks or {}).items():
            qualities[place] = named[quality]
        return replace(block, layer=Layer.FINAL, values=told, qualities=qualities)

    def block_in(self, uow: UnitOfWork, day: date) -> IntervalBlock:
        """Return the final block there is of a day, as if it had just been written."""
        days = [(self.channel(), day)]
        [there] = current_blocks(uow.connection, days, layer=Layer.FINAL).values()
        return replace(there, written_at=self.now)

    def write(self, *blocks: IntervalBlock) -> None:
        """Write final values as validation does: a new version of what there is, and its parts."""
        with self.database.begin() as uow:
            ensure_channels(uow.connection, {block.channel for block in blocks})
            days = [(block.channel, block.day) for block in blocks]
            there = current_blocks(uow.connection, days, layer=Layer.FINAL)
            made = [
                replace(block, version=there[block.channel, block.day].version + 1)
                if (block.channel, block.day) in there
                else block
                for block in blocks
            ]
            write_blocks(uow.connection, made)
            if self.parted:
                store_parts(uow, made)

    def fill(self, start: date, end: date, values: int = 1, *, of: Channel | None = None) -> None:
        """Write final values of all days before `end`."""
        days = [start + timedelta(days=number) for number in range((end - start).days)]
        self.write(*(self.block(day, values, of=of) for day in days))

    def order(self, on: date, reason: str = "01", *, device: str = METER, number: str = "1", **changes: Any) -> None:
        """Order a reading for a local day."""
        document = MeterReadingDocument(
            sender_system=SENDER,
            document_id=f"{reason}-{on}-{number}",
            device_id=device,
            measurement_task_id=f"T{device}",
            obis_text="1-0:1.8.0",
            reading_type="1-0:1.8.0*255",
            reason_code=reason,
            scheduled_on=on,
            time_zone=BERLIN,
            due_at=local(on + timedelta(days=1)),
            window_from=local(on + timedelta(days=1)),
            window_until=local(on + timedelta(days=4)),
            order_item_id=1,
        )
        with self.database.begin() as uow:
            uow.save([replace(document, **changes)])

    def determine(self, *, now: datetime | None = None) -> str:
        """Run the job; what comes after is since then."""
        self.now = now or self.now
        told = determinants.run(self.database, settings=self.settings, now=self.now, since=self.since)
        self.since = self.now
        return told

    def versions(self, *, newest: bool = False) -> list[Determinant]:
        """Return all versions in the order of their ids."""
        query = select(DETERMINANT).order_by(DETERMINANT.c.id)
        if newest:
            query = query.where(DETERMINANT.c.is_newest)
        with self.database.read() as uow:
            return [determinant(row) for row in uow.connection.execute(query)]

    def found(self) -> dict[str, tuple[str, str]]:
        """Return quantity and status of the newest versions by name, where there is one period."""
        return {one.name: (str(one.quantity), one.status.value) for one in self.versions(newest=True)}
