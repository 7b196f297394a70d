"""Meters without XML: what they tell goes through the same intake, store, validation and determinants as all values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
from sqlalchemy import select

from mdus.bootstrap.database import seed_rule_sets
from mdus.bootstrap.discovery import discover
from mdus.bootstrap.tables import SHARED_TABLES
from mdus.domain.channel import MISSING
from mdus.domain.end_device import EndDevice
from mdus.domain.head_end import FieldIntervals
from mdus.domain.quantities import NOTHING_SAID, Qualities, Quantities
from mdus.domain.reading import MeterReading
from mdus.domain.register import Register
from mdus.domain.usage_point import UsagePoint
from mdus.settings import load_settings
from mdus.storage.determinant import DETERMINANT
from mdus.storage.session import Database
from mdus.workers import determinants, estimate_missing
from mdus.workers.interval_intake import take_intervals
from mdus.workers.rule_sets import stored
from mdus.workers.told import Told as Delivered
from mdus.workers.validation import ValidationWorker
from tests.benchmarks.truth.city import midnight
from tests.benchmarks.truth.faults import NOTHING, Told
from tests.benchmarks.truth.scenario import ENERGY, INTERVALS, Scenario

SENDER: Final = "P11"
HEAD_END: Final = "city"

#: When a day's values come after its end, when it is over for good, when what changed later is told.
COMES: Final = timedelta(hours=1)
OVER: Final = timedelta(hours=20, minutes=1)
LATER: Final = timedelta(hours=22)
#: When the job runs that determines what is billed.
DETERMINED: Final = timedelta(hours=25)


class Clock:
    """Business time that the run moves."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def now(self) -> datetime:
        """This will return the instant it shows."""
        return self.instant


def device_id(meter: int) -> str:
    """This will return the number of a meter's device, and of its register."""
    return f"{meter + 1:018d}"


def serial_id(meter: int) -> str:
    """This will return a meter's serial number."""
    return f"S{device_id(meter)}"


def point_id(meter: int) -> str:
    """This will return the point of delivery that a meter measures."""
    return f"DE{device_id(meter)}"


class Straight:
    """One installation with some of the meters of a scenario."""

    def __init__(self, url: str, folder: Path, scenario: Scenario, meters: Sequence[int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        environ = {"MDUS_CONFIG": str(folder), "MDUS_TIME_ZONE": "Europe/Berlin"}
        self.settings = load_settings(environ, tables=SHARED_TABLES)
        self.scenario, self.meters = scenario, meters
        self.begun = midnight(min(scenario.city.loads))
        self.clock = Clock(self.begun)
        self.database = Database(url, settings=self.settings)
        self.validation = ValidationWorker(
            database=self.database,
            settings=self.settings,
            clock=self.clock,
            rule_sets=stored(discover().tools),
        )
        seed_rule_sets(self.database)
        self.devices = self._stored()

    def close(self) -> None:
        """This will let go of the database."""
        self.database.close()

    def play(self) -> None:
        """This will live through the history, the month and what is corrected afterwards, and determine the month."""
        determined = self.begun
        for day, end in self.scenario.course():
            if day in self.scenario.city.loads:
                self._at(end + COMES)
                self._read(end, day + timedelta(days=1))
                self._tell((meter, day, told) for meter, told in self.scenario.of_day(day, self.meters))
                self._work()
                self._at(end + OVER)
                estimate_missing.run(self.database, settings=self.settings, now=self.clock.instant, day=day + _A_DAY)
                self._work()
            self._at(end + LATER)
            self._tell(self.scenario.corrections(day, self.meters))
            self._work()
            if day >= self.scenario.days[-1]:
                self._at(end + DETERMINED)
                determinants.run(self.database, settings=self.settings, now=self.clock.instant, since=determined)
                determined = self.clock.instant

    def determined(self) -> dict[str, list[Mapping[str, Any]]]:
        """This will return the newest determinants of the month by point of delivery, as REST has them."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        query = select(DETERMINANT).where(DETERMINANT.c.is_newest, DETERMINANT.c.period_to == self.scenario.end)
        with self.database.read() as uow:
            for row in uow.connection.execute(query.order_by(DETERMINANT.c.id)):
                told = dict(row._mapping)
                told |= {"period_from": told["period_from"].isoformat(), "period_to": told["period_to"].isoformat()}
                found.setdefault(row.point_of_delivery_id, []).append(told)
        return found

    # ---- what happens ------------------------------------------------------------------------------------------------

    def _stored(self) -> dict[tuple[str, str], EndDevice]:
        first = min(self.scenario.city.loads)
        devices = {
            (HEAD_END, serial_id(meter)): EndDevice(
                sender_system=SENDER,
                device_id=device_id(meter),
                serial_id=serial_id(meter),
                material_id="LX100",
                valid_from=first,
                head_end=HEAD_END,
            )
            for meter in self.meters
        }
        registers = [
            Register(
                sender_system=SENDER,
                device_id=device_id(meter),
                measurement_task_id=device_id(meter),
                valid_from=first,
                reading_type=ENERGY,
                unit="KWH",
                total_digits=8,
                fraction_digits=3,
            )
            for meter in self.meters
        ]
        points = [
            UsagePoint(
                sender_system=SENDER,
                device_id=device_id(meter),
                measurement_task_id=device_id(meter),
                point_of_delivery_id=point_id(meter),
                valid_from=midnight(self.scenario.days[0]),
                valid_to=midnight(self.scenario.end),
            )
            for meter in self.meters
        ]
        with self.database.begin() as uow:
            uow.save([*devices.values(), *registers, *points])
        self._read(self.begun, first)
        return devices

    def _at(self, instant: datetime) -> None:
        self.clock.instant = instant

    def _read(self, at: datetime, day: date) -> None:
        """Store what the registers show at the beginning of a day."""
        shown = self.scenario.city.shown[day]
        with self.database.begin() as uow:
            uow.save(
                [
                    MeterReading(
                        sender_system=SENDER,
                        device_id=device_id(meter),
                        reading_type=ENERGY,
                        measured_at=at,
                        value=Decimal(int(shown[meter])).scaleb(-3),
                        unit="kWh",
                        received_at=self.clock.instant,
                    )
                    for meter in self.meters
                ]
            )

    def _tell(self, told: Iterator[tuple[int, date, Told]]) -> None:
        events = [_intervals(*each) for each in told if (each[2].values != NOTHING).any()]
        if not events:
            return
        now = self.clock.instant
        with self.database.begin() as uow:
            delivered = Delivered(delivery_id=1, head_end=HEAD_END, received_at=now, events=tuple(events))
            taken = take_intervals(uow, [delivered], self.devices, now=now)
        if taken.unplaced:
            raise ValueError(str(taken.unplaced))

    def _work(self) -> None:
        while self.validation.turn():
            pass


_A_DAY: Final = timedelta(days=1)


def _intervals(meter: int, day: date, told: Told) -> FieldIntervals:
    qualities = NOTHING_SAID
    if told.codes:
        qualities = Qualities.of([told.codes.get(place) for place in range(len(told.values))])
    return FieldIntervals(
        serial_id=serial_id(meter),
        reading_type=INTERVALS,
        unit="kWh",
        interval_minutes=15,
        start_at=midnight(day),
        values=Quantities(elements=np.where(told.values == NOTHING, MISSING, told.values), decimals=3),
        qualities=qualities,
    )
