"""Meters of a street, whose head end tells their values: what one measures is held against what is around it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from sqlalchemy import event, select

from mdus.bootstrap.composition import examine
from mdus.bootstrap.database import seed_rule_sets
from mdus.domain.channel import Channel
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.end_device_control import GovernorRules
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.head_end import RawDelivery
from mdus.domain.interval_block import IntervalBlock, Layer
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation
from mdus.headends.rest import HEAD_END
from mdus.messaging.retry import RetryPolicy
from mdus.settings import HeadEnd as Row
from mdus.storage import delivery
from mdus.storage.interval_block import VALIDATION_LOOK, current_blocks
from mdus.storage.session import Database
from mdus.workers import registry_sync
from mdus.workers.head_end import HeadEndWorker, patience
from mdus.workers.readings import ReadingsWorker
from mdus.workers.rule_sets import stored
from mdus.workers.validation import NOT_FIT, ValidationWorker
from tests.head_ends.scripted import ScriptedHeadEnd

DAY: Final = date(2026, 2, 11)  # a Wednesday
ACTIVE, REACTIVE = "1-0:1.29.0*255", "1-0:3.29.0*255"
ENERGY: Final = "1-0:1.8.0*255"
ZONE: Final = "Europe/Berlin"


class Clock:
    """Business time that a test moves."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def now(self) -> datetime:
        """Return the present business instant."""
        return self.instant


def midnight(day: date) -> datetime:
    """Return the instant at which a local day begins."""
    channel = Channel(
        sender_system="P11",
        device_id="",
        reading_type=ACTIVE,
        interval_minutes=15,
        time_zone=ZONE,
        unit="KWH",
        decimals=6,
    )
    return channel.day(day).start


class Street:
    """An installation whose rule set for electricity has the rules and methods that a test gives it."""

    def __init__(
        self, url: str, folder: Path, *, rules: str = "", methods: str = "", tables: str = "", **environ: str
    ) -> None:
        (folder / "test.toml").write_text(
            f'[[rule_sets]]\nname = "electricity"\nreading_types = ["1-*"]\nrules = [{rules}]\nmethods = [{methods}]\n'
            f'[[rule_sets]]\nname = "electricity_reactive"\nreading_types = ["1-?:[3-8].*"]\nrules = []\nmethods = []\n'
        )
        if tables:
            (folder / "neighbours.toml").write_text(tables)
        examined = examine({"MDUS_CONFIG": str(folder), "MDUS_TIME_ZONE": ZONE, **environ})
        assert examined.settings is not None, examined.problems
        self.settings = examined.settings
        self.clock = Clock(midnight(DAY + timedelta(days=1)) + timedelta(hours=1))
        self.database = Database(url, settings=examined.settings)
        self.scripted = ScriptedHeadEnd()
        row = Row(name="city", kind="rest", url=self.scripted.url, time_zone=ZONE)
        self.head_end = HEAD_END.connect(self.settings, row)
        self.readings = ReadingsWorker(
            database=self.database,
            clock=self.clock,
            decoders={"city": HEAD_END.decoder(self.settings, row)},
            retry=RetryPolicy(base=timedelta(0), cap=timedelta(0), attempts=3),
        )
        self.worker = ValidationWorker(
            database=self.database,
            settings=self.settings,
            clock=self.clock,
            rule_sets=stored(examined.found.tools),
        )
        seed_rule_sets(self.database)

    def close(self) -> None:
        """Let go of everything."""
        self.head_end.close()  # type: ignore[attr-defined]
        self.scripted.close()
        self.database.close()

    # ---- what is there -----------------------------------------------------------------------------------------------

    def meter(
        self,
        number: int,
        *registers: str,
        postal_code: str | None = None,
        factor: str | None = None,
        valid_from: date = date(2026, 1, 1),
    ) -> None:
        """Store a device with its registers, as SAP's messages would, and where it hangs."""
        values: list[Any] = [
            EndDevice(
                sender_system="P11",
                device_id=device_of(number),
                serial_id=serial_of(number),
                material_id="LX100",
                valid_from=valid_from,
                head_end="city",
            ),
            EndDeviceStatus(sender_system="P11", device_id=device_of(number)),
        ]
        values += [
            Register(
                sender_system="P11",
                device_id=device_of(number),
                measurement_task_id=f"{number}{place}",
                valid_from=valid_from,
                reading_type=reading_type,
                unit="KWH" if ":1." in reading_type else "KVR",
                total_digits=8,
                fraction_digits=2,
                factor=None if factor is None else Decimal(factor),
            )
            for place, reading_type in enumerate(registers)
        ]
        if postal_code is not None:
            values.append(
                DeviceLocation(
                    sender_system="P11",
                    device_id=device_of(number),
                    installation_point_id=f"I{number}",
                    valid_from=valid_from,
                    parent_installation_point_id="H",
                    postal_code=postal_code,
                )
            )
        with self.database.begin() as uow:
            uow.save(values)

    def tell(
        self,
        number: int,
        values: Sequence[str | None],
        *,
        day: date = DAY,
        obis: str = ACTIVE,
        minutes: int = 15,
        unit: str = "kWh",
        quality: Sequence[str | None] = (),
    ) -> None:
        """Let the head end tell interval values of a day, and take them in."""
        block: dict[str, Any] = {
            "serial": serial_of(number),
            "obis": obis,
            "unit": unit,
            "interval_minutes": minutes,
            "start": midnight(day).isoformat(),
            "values": list(values),
        }
        if quality:
            block["quality"] = list(quality)
        self._push("intervals", {"blocks": [block]})

    def read(self, number: int, at: datetime, shown: str, *, obis: str = ENERGY) -> None:
        """Let the head end tell what a register showed."""
        reading = {"serial": serial_of(number), "obis": obis, "at": at.isoformat(), "value": shown, "unit": "kWh"}
        self._push("readings", {"readings": [reading]})

    def _push(self, topic: str, body: Mapping[str, Any]) -> None:
        packed = [delivery.pack(RawDelivery(topic=topic, correlation="", body=json.dumps(body).encode()))]
        with self.database.begin() as uow:
            delivery.store(uow.connection, packed, head_end="city", now=self.clock.now())
        while self.readings.turn():
            pass

    def registry(self, number: int, *, at: datetime, **changes: Any) -> str:
        """Let the head end have a meter in its own registry, and compare it with ours at an instant."""
        self.scripted.meters = [
            {
                "serial": serial_of(number),
                "provisioned": True,
                "device_id": device_of(number),
                "registers": [{"obis": ENERGY, "factor": "1"}],
                "first_heard_at": None,
                "last_heard_at": None,
                "has_breaker": True,
                "switch_state": "connected",
                **changes,
            }
        ]
        return registry_sync.run(self.database, {"city": self.head_end}, now=at, day=at.date())

    def provision(self, *, at: datetime) -> None:
        """Let the head end carry out what was ordered of it, and tell so."""
        self.clock.instant = at
        worker = HeadEndWorker(
            self.head_end,
            database=self.database,
            clock=self.clock,
            retry=RetryPolicy(base=timedelta(0), cap=timedelta(0), attempts=3),
            patience=patience(self.settings),
            rules=GovernorRules(),
            lease=timedelta(minutes=1),
        )
        while worker.turn():
            pass
        for token, job in self.scripted.jobs.items():
            devices = next(
                each["devices"]
                for each in self.scripted.submitted
                if each["correlation_id"] == job["correlation_id"] and job["kind"] == "provision"
            )
            results = [{**device, "status": "ok", "completed_at": at.isoformat()} for device in devices]
            told = {"token": token, "correlation_id": job["correlation_id"], "kind": job["kind"], "results": results}
            self._push("results", told)

    def looks(self) -> list[tuple[int, date, datetime]]:
        """Return which days are to be looked at, and when."""
        query = select(VALIDATION_LOOK.c.channel_id, VALIDATION_LOOK.c.day, VALIDATION_LOOK.c.due_at)
        with self.database.read() as uow:
            return [(row[0], row[1], row[2]) for row in uow.connection.execute(query.order_by(*query.selected_columns))]

    def work(self, *, at: datetime | None = None) -> None:
        """Turn validation until nothing is due."""
        self.clock.instant = at or self.clock.instant
        while self.worker.turn():
            pass

    def statements(self, *, at: datetime | None = None) -> list[str]:
        """Return the statements that a turn of validation executes."""
        seen: list[str] = []

        def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
            seen.append(statement)

        event.listen(self.database.engine, "before_cursor_execute", note)
        self.work(at=at)
        event.remove(self.database.engine, "before_cursor_execute", note)
        return seen

    # ---- what came of it ---------------------------------------------------------------------------------------------

    def final(self, number: int, day: date = DAY, *, obis: str = ACTIVE) -> IntervalBlock:
        """Return the final version of a day of a meter."""
        with self.database.read() as uow:
            channels = uow.load(Channel, EndDevice.KEY, [("P11", device_of(number))], lock=False)
            [channel] = [each for each in channels if each.reading_type == obis]
            return current_blocks(uow.connection, [(channel, day)], layer=Layer.FINAL)[channel, day]

    def kwh(self, number: int, day: date = DAY) -> list[Decimal | None]:
        """Return the final values of a day, in the unit of the channel."""
        return self.final(number, day).quantities()

    def methods(self, number: int, day: date = DAY) -> list[str]:
        """Return which methods filled what was missing of a day."""
        basis = json.loads(self.final(number, day).basis or "{}")
        return [each["method"] for each in basis.get("estimates", ())]

    def note(self, number: int, day: date = DAY, *, obis: str = ACTIVE) -> str:
        """Return the note of the open case of a day, empty without one."""
        key = f"P11/{device_of(number)}/{obis}/{day}"
        with self.database.read() as uow:
            cases = uow.load(ExceptionCase, ExceptionCase.KEY, [(NOT_FIT, key)], lock=False)
        return next((case.note or "" for case in cases if case.closed_at is None), "")


def device_of(number: int) -> str:
    """Return the id of a device."""
    return f"{number:018}"


def serial_of(number: int) -> str:
    """Return the serial number of a device."""
    return f"{number:010}"


def at_hour(hour: float, day: date = DAY) -> datetime:
    """Return an instant so many hours after the beginning of a day."""
    return midnight(day) + timedelta(hours=hour)


#: When no more values of the day are waited for.
OVER: Final = datetime(2026, 2, 14, tzinfo=UTC)
