"""What clients order reaches meters: held against what the simulated head end's meters truly have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mdus.bootstrap.discovery import discover
from mdus.domain.access import Role
from mdus.domain.command import Command, CommandStatus
from mdus.domain.device_limit import DeviceLimit
from mdus.domain.end_device import EndDevice
from mdus.messaging.retry import RetryPolicy
from mdus.storage.access_token import make_token
from mdus.workers.device_limits import DeviceLimitWorker
from mdus.workers.inbox import InboxWorker
from tests.flows.intake.installation import Installation
from tests.head_ends.city import City
from tests.head_ends.field import NOON, SENDER
from tests.head_ends.kinds import variants

HOUR = timedelta(hours=1)
PEAK = NOON + 6 * HOUR


class Street(City):
    """A city whose meters a client orders, by REST."""

    def __init__(self, database_url: str, folder: Path) -> None:
        [rest] = [each for each in variants() if each.kind == "rest"]
        super().__init__(rest, database_url, folder)
        self.mdus = Installation(database_url, clock=self.clock, services=discover().services)
        with self.database.begin() as uow:
            made = make_token(uow.connection, "portal", role=Role.OPERATOR, systems=None, lasts=None, created_by="test")
        self._headers = {"Authorization": f"Bearer {made}"}
        self.restart()

    def restart(self) -> None:
        """Have other workers do the work from now on, as a process that starts."""
        shared: dict[str, Any] = {"database": self.database, "settings": self.settings, "clock": self.clock}
        self.inbox = InboxWorker(**shared, services=discover().services, retry=RetryPolicy(attempts=1))
        self.limits = DeviceLimitWorker(**shared)
        self.worker = self.new_worker()

    def close(self) -> None:
        self.mdus.database.close()
        super().close()

    def until(self, condition: Callable[[], Any], *, what: str) -> None:
        """Let all workers turn until the condition holds."""

        def holds() -> Any:
            while self.inbox.turn() + self.limits.turn():
                pass
            return condition()

        super().until(holds, what=what)

    def ordered(self, resource: str, item: dict[str, Any]) -> dict[str, Any]:
        """Order something and return what became of it."""
        body = {"sender_system": SENDER, "reason": "a test", "items": [item]}
        answer = self.mdus.ask("POST", f"/api/v1/{resource}", json=body, headers=self._headers)
        assert answer.status_code == 202, answer.text
        path = f"requests/{answer.json()['id']}"
        self.until(lambda: self.read(path)["state"] == "settled", what="the end of the request")
        [told] = self.read(path)["items"]
        assert isinstance(told, dict)
        return told

    def read(self, path: str) -> dict[str, Any]:
        """Read a resource."""
        answer = self.mdus.get(f"/api/v1/{path}", headers=self._headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def held(self, device: EndDevice) -> dict[str, Any]:
        """Return what the meter of a device truly has."""
        return next(meter for meter in self.simulated.meters() if meter["serial"] == device.serial_id)


@pytest.fixture
def street(database_url: str, tmp_path: Path) -> Iterator[Street]:
    made = Street(database_url, tmp_path)
    yield made
    made.close()


@pytest.fixture
def device(street: Street) -> EndDevice:
    """A device with an electricity meter."""
    return street.install(next(each for each in street.simulated.meters() if each["commodity"] == "electricity"))


class TestALimit:
    def test_is_held_by_the_meter_until_its_end(self, street: Street, device: EndDevice) -> None:
        item = {"device_id": device.device_id, "limit_kw": "3.50", "valid_until": (NOON + HOUR).isoformat()}
        assert street.ordered("demand-limits", item)["state"] == "done"
        assert Decimal(street.held(device)["limit_kw"]) == Decimal("3.5")
        shown = street.read(f"devices/{SENDER}/{device.device_id}")["demand_limit"]
        assert datetime.fromisoformat(shown["valid_until"]) == NOON + HOUR

        street.restart()
        street.clock.advance(minutes=60)
        street.until(lambda: not street.all(DeviceLimit), what="the end of the limit")
        assert street.held(device)["limit_kw"] is None
        assert street.read(f"devices/{SENDER}/{device.device_id}")["demand_limit"] is None

    def test_is_taken_away_by_order(self, street: Street, device: EndDevice) -> None:
        item = {"device_id": device.device_id}
        street.ordered("demand-limits", item | {"limit_kw": "3.5"})
        assert street.ordered("demand-limits", item)["state"] == "done"
        assert street.held(device)["limit_kw"] is None

    @pytest.mark.parametrize("outcome", ["NO_RESPONSE", "acts_then_no_response"])
    def test_is_set_again_where_the_meter_stays_silent(self, street: Street, device: EndDevice, outcome: str) -> None:
        street.simulated.script(device.serial_id, "limit_demand", outcome)
        body = {
            "sender_system": SENDER,
            "reason": "a test",
            "items": [{"device_id": device.device_id, "limit_kw": "3.5"}],
        }
        street.mdus.ask("POST", "/api/v1/demand-limits", json=body, headers=street._headers)

        def attempts() -> list[Command]:
            return [each for each in street.all(Command) if each.purpose == "limit"]

        street.until(lambda: len(attempts()) == 2, what="another attempt")
        street.clock.advance(minutes=1)
        street.until(lambda: street.all(DeviceLimit), what="the limit")
        assert [each.status for each in attempts()] == [CommandStatus.UNCERTAIN, CommandStatus.DONE]
        assert Decimal(street.held(device)["limit_kw"]) == Decimal("3.5")

    def test_of_a_meter_that_knows_none_is_refused(self, street: Street) -> None:
        gas = street.install(next(each for each in street.simulated.meters() if each["commodity"] == "gas"))
        told = street.ordered("demand-limits", {"device_id": gas.device_id, "limit_kw": "3.5"})
        assert told["state"] == "failed"
        assert "NOT_SUPPORTED" in told["problems"][0]["note"]
        assert street.all(DeviceLimit) == []


class TestAnEvent:
    def test_is_held_by_the_meter_until_it_is_cancelled(self, street: Street, device: EndDevice) -> None:
        schedule = {
            "event_id": "peak",
            "action": "schedule",
            "device_ids": [device.device_id],
            "start_at": PEAK.isoformat(),
            "minutes": 90,
            "percent": 40,
        }
        told = street.ordered("load-control-events", schedule)
        assert told["result"]["devices"] == [{"device_id": device.device_id, "status": "scheduled"}]
        [event] = street.held(device)["load_events"]
        assert (event["event"], event["minutes"], event["percent"]) == ("peak", 90, 40)
        assert datetime.fromisoformat(event["start"]) == PEAK

        told = street.ordered("load-control-events", {"event_id": "peak", "action": "cancel"})
        assert told["state"] == "done"
        assert street.held(device)["load_events"] == []
        [shown] = street.read(f"devices/{SENDER}/{device.device_id}")["load_control_events"]
        assert shown["status"] == "cancelled"


class TestAMeter:
    def test_shows_a_text(self, street: Street, device: EndDevice) -> None:
        item = {"device_id": device.device_id, "ask": "show_text", "text": "Wartung am 3. Mai, 8 bis 9 Uhr"}
        assert street.ordered("commands", item)["state"] == "done"
        assert street.held(device)["shown_text"] == item["text"]

    def test_takes_the_time(self, street: Street, device: EndDevice) -> None:
        assert street.held(device)["clock_set_at"] is None
        assert street.ordered("commands", {"device_id": device.device_id, "ask": "set_time"})["state"] == "done"
        assert datetime.fromisoformat(street.held(device)["clock_set_at"]) == NOON


class TestTheProbe:
    def test_finds_every_kind_of_command(self, street: Street) -> None:
        probe = street.head_end.probe()
        assert probe.takes == street.kind.capabilities
        assert probe.text.startswith("2.1: ")
