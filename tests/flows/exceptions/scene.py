"""An installation with many meters in areas of a head end, whose cases are routed and grouped by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from mdus.domain.access import Role
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation
from mdus.storage.access_token import make_token
from mdus.workers import exception_ageing
from mdus.workers.exception_routing import ExceptionRouter
from tests.flows.both_sides import Clock
from tests.flows.intake.installation import Installation

SYSTEM = "P11"
#: A Monday morning, 10:00 in Berlin.
START = datetime(2026, 3, 23, 9, 0, tzinfo=UTC)
SILENT = "device_silent"


def device_id(number: int) -> str:
    return f"{number:018}"


class Scene:
    """Meters, their cases, and what is asked by REST."""

    def __init__(self, url: str, *, environ: Mapping[str, str] | None = None, now: datetime = START) -> None:
        self.clock = Clock(now)
        self.mdus = Installation(url, environ=environ, clock=self.clock)
        self.database = self.mdus.database
        self.router = ExceptionRouter(
            database=self.database, settings=self.mdus.runtime.settings, clock=self.clock, look_seconds=0
        )
        self._tokens: dict[str, str] = {}

    def close(self) -> None:
        self.database.close()

    # ---- what there is -----------------------------------------------------------------------------------------------

    def meters(self, numbers: Iterable[int], *, area: str = "10115", head_end: str = "city") -> None:
        """Let there be meters in an area."""
        with self.database.begin() as uow:
            for number in numbers:
                device = {"sender_system": SYSTEM, "device_id": device_id(number)}
                uow.save(
                    [
                        EndDevice(
                            **device,
                            serial_id=f"S{number}",
                            material_id="LX100",
                            valid_from=date(2026, 1, 1),
                            head_end=head_end,
                        ),
                        EndDeviceStatus(**device),
                        DeviceLocation(
                            **device,
                            installation_point_id=f"I{number}",
                            parent_installation_point_id=f"P{area}",
                            valid_from=date(2026, 1, 1),
                            postal_code=area,
                        ),
                        Register(
                            **device,
                            measurement_task_id=f"T{number}",
                            valid_from=date(2026, 1, 1),
                            reading_type="1-0:1.8.0*255",
                            division="01",
                            unit="KWH",
                            fraction_digits=2,
                        ),
                    ]
                )

    def fall_silent(self, numbers: Iterable[int], *, kind: str = SILENT) -> None:
        """Open a case per meter, as whoever finds it does."""
        now = self.clock.now()
        with self.database.begin() as uow:
            uow.save(
                [
                    ExceptionCase(kind=kind, case_key=f"{SYSTEM}/{device_id(number)}", opened_at=now, note="no data")
                    for number in numbers
                ]
            )

    def report(self, numbers: Iterable[int]) -> None:
        """Let meters be heard again."""
        now = self.clock.now()
        with self.database.begin() as uow:
            uow.save(
                [
                    EndDeviceStatus(
                        sender_system=SYSTEM, device_id=device_id(number), first_heard_at=now, last_heard_at=now
                    )
                    for number in numbers
                ]
            )

    # ---- what happens ------------------------------------------------------------------------------------------------

    def turn(self, **later: float) -> None:
        """Move the clock, then route and group until nothing is left to do."""
        self.clock.instant += timedelta(**later)
        for _ in range(20):
            if not self.router.turn():
                return
        raise AssertionError("the router never rests")

    def age(self, **later: float) -> str:
        self.clock.instant += timedelta(**later)
        return exception_ageing.run(self.database, settings=self.mdus.runtime.settings, now=self.clock.now())

    # ---- what is asked -----------------------------------------------------------------------------------------------

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: Role = Role.ADMIN,
        systems: tuple[str, ...] | None = None,
        status: int = 200,
    ) -> Any:
        """Ask by REST, as a client in a role, for some sender systems or all."""
        name = f"{role}-of-{'-'.join(systems)}" if systems else f"{role}"
        if name not in self._tokens:
            with self.database.begin() as uow:
                made = make_token(uow.connection, name, role=role, systems=systems, lasts=None, created_by="test")
            assert made is not None
            self._tokens[name] = made
        headers = {"Authorization": f"Bearer {self._tokens[name]}"}
        response = self.mdus.ask(method, f"/api/v1{path}", headers=headers, **({} if body is None else {"json": body}))
        assert response.status_code == status, response.text
        return response.json()

    def listed(self, query: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", f"/exceptions?limit=1000{query}")["items"]
        return found
