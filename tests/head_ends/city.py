"""MDUS's head-end side against a real simulated head end: its pushes come in over HTTP, time stands until moved."""

from __future__ import annotations

import socket
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from pydantic import SecretStr
from sqlalchemy import select
from starlette.applications import Starlette

from mdus.contracts.catalog import catalog
from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.head_end import RawDelivery
from mdus.domain.register import Register
from mdus.endpoints.push import push_route
from mdus.endpoints.runtime import Runtime
from mdus.storage.command import HEAD_END_DELIVERY
from mdus.storage.registry import note_heard
from tests.head_ends.field import NOON, SENDER, Field
from tests.head_ends.kinds import CALLBACK, SimulatedHeadEnd, Variant

E = TypeVar("E")

PATIENCE = 30.0  # real seconds until a test gives up waiting

#: Between two questions for the results of a call, where the kind is polled.
_POLL_SECONDS = 0.05


class City(Field):
    """The field of a test, with a simulated head end behind it that has meters of its own."""

    def __init__(self, variant: Variant, database_url: str, folder: Path, **options: str) -> None:
        self.variant = variant
        listening = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        callback_url = f"{url}/head-ends/city"
        self.simulated = SimulatedHeadEnd(variant, folder, callback_url=callback_url, now=NOON, **options)
        try:
            self._connect(variant, database_url, callback_url, limit=options.get("concentrator_limit"))
        except BaseException:
            self.simulated.kill()
            raise
        runtime = Runtime(
            settings=self.settings.model_copy(update={"head_ends": (self.row,)}),
            database=self.database,
            clock=self.clock,
            catalog=catalog(),
            services={},
            callbacks={"city": variant.ours.callbacks},
        )
        app = Starlette(routes=[push_route(runtime)])
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()

    def _connect(self, variant: Variant, database_url: str, callback_url: str, *, limit: str | None) -> None:
        city: dict[str, Any] = {
            **self.simulated.row,
            "name": "city",
            "callback_url": callback_url,
            "callback_user": CALLBACK[0],
            "callback_password": SecretStr(CALLBACK[1]),
        }
        if limit is not None:
            city["outstanding_per_concentrator"] = int(limit)
        if "poll_seconds" in city:
            city["poll_seconds"] = _POLL_SECONDS
        city.pop("kind")
        super().__init__(database_url, city.pop("url", None), kind=variant.ours, **city)
        self.clock.moved = self.simulated.set_clock
        self.worker = self.new_worker(takes=self.kind.takes(self.row))
        self.watch = self.new_watch()

    def close(self) -> None:
        """Stop what was started."""
        self.watch.close()
        self.simulated.stop()
        self._server.should_exit = True
        self._thread.join(PATIENCE)
        super().close()

    def takes(self, kind: CommandKind) -> bool:
        """Tell whether the head end takes commands of a kind."""
        return kind in self.kind.takes(self.row)

    def until(self, condition: Callable[[], Any], *, what: str) -> None:
        """Let both workers turn until the condition holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not happen: {self.all(Command)}, {self.deliveries()}"
            if not self.worker.turn() + self.watch.turn() + self.readings.turn():
                time.sleep(0.02)

    def settle(self, *commands: Command) -> list[CommandStatus]:
        """Let both workers turn until these commands have ended; returns how."""
        self.until(lambda: all(self.stored(command).has_ended for command in commands), what="the end of the commands")
        return [self.stored(command).status for command in commands]

    def meter(self, *, breaker: bool = True) -> dict[str, Any]:
        """Return a meter of the head end, with or without breaker."""
        return next(meter for meter in self.simulated.meters() if meter["has_breaker"] is breaker)

    def told(self, kind: type[E]) -> list[E]:
        """Return what the head end has told of one kind so far, pushed or fetched, oldest first."""
        with self.database.read() as uow:
            table = HEAD_END_DELIVERY
            rows = uow.connection.execute(
                select(table.c.topic, table.c.correlation, table.c.data).order_by(table.c.id)
            ).all()
        told = (RawDelivery(topic=row[0], correlation=row[1], body=zlib.decompress(row[2])) for row in rows)
        events = (event for raw in told for event in self.decode(raw))
        return [event for event in events if isinstance(event, kind)]

    def install(
        self, meter: dict[str, Any], *, provision: bool = True, hear: bool = True, channels: bool = False
    ) -> EndDevice:
        """Make a meter known on both sides, as SAP's messages would, and let it be heard.

        With `channels` its interval registers are among its registers.
        """
        serial = meter["serial"]
        device = self.device(serial, f"10{serial}", registers=False)
        for number, register in enumerate(meter["registers"] + (meter["channels"] if channels else []), 1):
            self.save(
                Register(
                    sender_system=SENDER,
                    device_id=device.device_id,
                    measurement_task_id=f"{serial}{number}",
                    valid_from=device.valid_from,
                    reading_type=register["obis"],
                    unit={"kWh": "KWH", "m3": "M3"}[register["unit"]],
                    total_digits=register["digits"] + register["decimals"],
                    fraction_digits=register["decimals"],
                )
            )
        if provision and self.takes(CommandKind.PROVISION):
            provisioning = self.order(device, CommandKind.PROVISION)
            assert self.settle(provisioning) == [CommandStatus.DONE]
        if hear:
            self.simulated.hear(serial)
            self.until(self.simulated.is_quiet, what="the first communication")
            self.until(lambda: "ready" not in self.deliveries(), what="taking it in")
            # Not every protocol has a word for it.
            with self.database.begin() as uow:
                note_heard(uow.connection, {(SENDER, device.device_id): (self.clock.now(), self.clock.now())})
        return device

    def order(self, device: EndDevice, kind: CommandKind, **changes: Any) -> Command:
        """Store a command to a device."""
        return self.command(kind, device_id=device.device_id, serial_id=device.serial_id, **changes)

    def switch_of(self, device: EndDevice, **of: Any) -> Command:
        """Store a disconnection of a device."""
        return self.switch(device_id=device.device_id, serial_id=device.serial_id, **of)[1]

    def status(self, device: EndDevice) -> EndDeviceStatus:
        """Return what is known of a device from the field."""
        return self.status_of(device.device_id)
