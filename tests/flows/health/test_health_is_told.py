"""Those who run MDUS ask whether it lives, is ready, what it counts, and steer a landscape's clock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from mdus.domain.command import Command, CommandKind, CommandStatus, OwnerKind
from mdus.domain.end_device import EndDeviceStatus
from mdus.endpoints.application import create_app
from mdus.messaging.status import ItemStatus
from mdus.storage.job import take_lease
from mdus.storage.message import ITEM
from mdus.storage.session import StoredClock
from tests.flows.intake.installation import NOW, Installation
from tests.flows.intake.messages import create_device


class Later:
    """Business time some while after the installation's."""

    def __init__(self, **span: float) -> None:
        self._at = NOW + timedelta(**span)

    def now(self) -> datetime:
        return self._at


def watching(mdus: Installation, *leases: str) -> Installation:
    mdus.app = create_app(mdus.runtime, leases=leases)
    return mdus


class TestAlive:
    def test_is_answered_by_a_living_process(self, mdus: Installation) -> None:
        assert mdus.get("/healthz", client="192.0.2.1").status_code == 200


class TestReady:
    def test_is_told_when_the_database_answers_with_the_newest_schema(self, mdus: Installation) -> None:
        response = mdus.get("/readyz")
        assert response.status_code == 200
        disk = {"disk": "ready"} if mdus.database.is_sqlite else {}
        checks = {"database": "ready", "schema": "ready", "queues": "ready", **disk}
        assert response.json() == {"status": "ready", "checks": checks}

    def test_tells_that_the_schema_is_old(self, mdus: Installation) -> None:
        with mdus.database.begin() as uow:
            uow.connection.exec_driver_sql("DELETE FROM alembic_version")
        response = mdus.get("/readyz")
        assert response.status_code == 503
        assert "0001" in response.json()["checks"]["schema"]
        assert "mdus migrate" in response.json()["checks"]["schema"]

    def test_tells_that_the_schema_is_of_a_newer_version(self, mdus: Installation) -> None:
        with mdus.database.begin() as uow:
            uow.connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        response = mdus.get("/readyz")
        assert response.status_code == 503
        assert "install that version again" in response.json()["checks"]["schema"]

    @pytest.mark.parametrize(
        ("minutes", "status"), [pytest.param(15, 503, id="too long"), pytest.param(14, 200, id="not yet")]
    )
    def test_tells_of_a_queue_that_nobody_empties(self, mdus: Installation, minutes: int, status: int) -> None:
        mdus.post(create_device())
        late = Later(minutes=minutes)
        mdus.app = create_app(replace(mdus.runtime, clock=late))
        response = mdus.get("/readyz")
        assert response.status_code == status
        told = response.json()["checks"]["queues"]
        assert (told == "ready") is (status == 200)
        assert status == 200 or ("in inbox for 15 minutes" in told and "log" in told)

    def test_looks_at_no_queue_when_it_is_told_not_to(self, database_url: str) -> None:
        mdus = Installation(database_url, environ={"MDUS_TELEMETRY__QUEUE_MINUTES": "0"})
        mdus.post(create_device())
        mdus.app = create_app(replace(mdus.runtime, clock=Later(minutes=900)))
        assert mdus.get("/readyz").status_code == 200
        mdus.database.close()

    @pytest.mark.parametrize(
        ("wanted", "status"), [pytest.param(10**9, 503, id="nearly full"), pytest.param(1, 200, id="room")]
    )
    def test_tells_that_the_disk_of_the_file_is_nearly_full(self, sqlite_url: str, wanted: int, status: int) -> None:
        mdus = Installation(sqlite_url, environ={"MDUS_TELEMETRY__DISK_FREE_MEGABYTES": str(wanted)})
        response = mdus.get("/readyz")
        assert response.status_code == status
        told = response.json()["checks"]["disk"]
        assert told == "ready" if status == 200 else "make room" in told
        mdus.database.close()

    def test_tells_that_the_database_does_not_answer(self) -> None:
        url = "postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=2"
        response = Installation(url).get("/readyz")
        assert response.status_code == 503
        assert "does not answer" in response.json()["checks"]["database"]
        assert "MDUS_DATABASE__URL" in response.json()["checks"]["database"]

    def test_tells_of_a_lease_nobody_ever_held(self, mdus: Installation) -> None:
        response = watching(mdus, "leader").get("/readyz")
        assert response.status_code == 503
        assert "ever held" in response.json()["checks"]["leader"]
        assert "mdus work" in response.json()["checks"]["leader"]

    @pytest.mark.parametrize(
        ("seconds", "status"), [pytest.param(60, 200, id="held"), pytest.param(-5, 503, id="run out")]
    )
    def test_tells_whether_a_lease_is_held(self, mdus: Installation, seconds: float, status: int) -> None:
        with mdus.database.begin() as uow:
            assert take_lease(uow.connection, "leader", holder="one", seconds=seconds)
        response = watching(mdus, "leader").get("/readyz")
        assert response.status_code == status
        assert (response.json()["checks"]["leader"] == "ready") is (status == 200)


class TestMetrics:
    def test_count_messages_and_queues(self, mdus: Installation) -> None:
        mdus.post(create_device())
        text = mdus.get("/metrics").text
        assert 'mdus_messages_received_total{interface="UtilitiesDeviceERPSmartMeterCreateRequest_Out"}' in text
        assert 'mdus_queue_depth{queue="inbox"} 1.0' in text
        assert 'mdus_queue_depth{queue="outbox"} 0.0' in text

    def test_tell_what_the_tables_say(self, mdus: Installation) -> None:
        with mdus.database.begin() as uow:
            assert take_lease(uow.connection, "leader", holder="one:7", seconds=60)
            uow.save([EndDeviceStatus(sender_system="P11", device_id="1")])
        text = mdus.get("/metrics").text
        (left,) = re.findall(r'^mdus_lease\{holder="one:7",name="leader"\} (.+)$', text, flags=re.MULTILINE)
        assert 0 < float(left) <= 60
        assert 'mdus_devices{state="never_heard"} 1.0' in text
        assert "mdus_switching_stopped 0.0" in text
        assert 'mdus_dead{kind="message"} 0.0' in text
        assert bool(re.search(r"^mdus_disk_free_bytes \d", text, flags=re.MULTILINE)) is mdus.database.is_sqlite

    def test_are_told_without_the_database_too(self) -> None:
        text = Installation("postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=2").get("/metrics").text
        assert "# TYPE mdus_lease gauge" in text
        assert "mdus_lease{" not in text

    def test_time_requests_by_route_and_never_by_address(self, mdus: Installation) -> None:
        mdus.get("/api/v1/devices/P11/000000000000004711")
        mdus.get("/sap/SomethingOdd?wsdl")
        mdus.get("/somewhere/else")
        text = mdus.get("/metrics").text
        assert 'route="/api/v1/devices/{sender_system}/{device_id}"' in text
        assert 'route="/sap/{interface}"' in text
        assert "4711" not in text
        assert "SomethingOdd" not in text
        assert "somewhere" not in text


class TestClock:
    @pytest.fixture
    def steered(self, database_url: str) -> Iterator[Installation]:
        installation = Installation(database_url, simulated_clock=True)
        clock = StoredClock(installation.database, simulated=True, refresh=1000)
        steered = Installation(database_url, simulated_clock=True, clock=clock, database=installation.database)
        yield steered
        installation.database.close()

    def steer(self, mdus: Installation, **wanted: Any) -> httpx.Response:
        return mdus.ask("POST", "/clock", json=wanted)

    def test_is_not_there_on_real_time(self, mdus: Installation) -> None:
        assert mdus.get("/clock").status_code == 404
        assert mdus.get("/clock/rate").status_code == 404
        assert self.steer(mdus, speed=60).status_code == 404

    def test_shows_real_time_until_it_is_steered(self, steered: Installation) -> None:
        told = steered.get("/clock").json()
        assert told["speed"] == 1.0
        assert abs(datetime.fromisoformat(told["now"]) - datetime.now(UTC)) < timedelta(minutes=1)
        kinds = ("messages", "items", "commands", "deliveries", "documents", "events", "profiles")
        assert told["in_flight"] == dict.fromkeys(kinds, 0)
        assert told["next_due"] is None

    def test_jumps_forward_and_runs_at_the_speed_asked_for(self, steered: Installation) -> None:
        target = datetime.now(UTC) + timedelta(days=2)
        told = self.steer(steered, jump_to=target.isoformat(), speed=0).json()
        assert told["speed"] == 0
        assert datetime.fromisoformat(told["now"]) == target
        assert datetime.fromisoformat(told["epoch"]) == target
        # This process sees it at once, whatever its clock remembered.
        assert steered.runtime.clock.now() == target
        told = self.steer(steered, speed=60).json()
        assert told["speed"] == 60.0
        assert datetime.fromisoformat(told["now"]) >= target

    def test_is_told_alone_to_who_goes_by_it(self, steered: Installation) -> None:
        self.steer(steered, jump_to=(datetime.now(UTC) + timedelta(days=2)).isoformat(), speed=4)
        told = steered.get("/clock").json()
        assert steered.get("/clock/rate").json() == {name: told[name] for name in ("anchor", "epoch", "speed")}

    def test_never_goes_back(self, steered: Installation) -> None:
        told = self.steer(steered, jump_to=(datetime.now(UTC) + timedelta(days=2)).isoformat()).json()
        response = self.steer(steered, jump_to=(datetime.now(UTC) + timedelta(days=1)).isoformat())
        assert response.status_code == 409
        assert "never goes back" in response.json()["detail"]
        assert steered.get("/clock").json()["epoch"] == told["epoch"]

    @pytest.mark.parametrize(
        "wanted",
        [
            {},
            {"speed": -1},
            {"speed": 3601},
            {"speed": "fast"},
            {"speed": True},
            {"jump_to": "tomorrow"},
            {"jump_to": 5},
            {"jump_to": "2026-03-28T10:00:00"},
            {"jump_by": 60},
        ],
    )
    def test_refuses_nonsense(self, sqlite_url: str, wanted: dict[str, Any]) -> None:
        assert self.steer(Installation(sqlite_url, simulated_clock=True), **wanted).status_code == 422

    def test_obeys_this_machine_only(self, steered: Installation) -> None:
        assert steered.get("/clock", client="192.0.2.1").status_code == 403
        assert steered.get("/clock/rate", client="192.0.2.1").status_code == 403
        assert steered.ask("POST", "/clock", client="192.0.2.1", json={"speed": 1}).status_code == 403

    def test_tells_what_is_in_flight_and_what_is_next_due(self, steered: Installation) -> None:
        steered.post(create_device())
        steered.post(create_device())
        now = steered.runtime.clock.now()
        with steered.database.begin() as uow:
            first = uow.connection.execute(ITEM.select()).first()
            assert first is not None
            uow.connection.execute(
                update(ITEM)
                .where(ITEM.c.id == first.id)
                .values(status=ItemStatus.PARKED, waits_for="x", until=now + timedelta(minutes=30))
            )
            uow.save([self.command("soon", now - timedelta(minutes=1)), self.command("late", now + timedelta(hours=1))])
        told = steered.get("/clock").json()
        assert (told["in_flight"]["items"], told["in_flight"]["commands"]) == (1, 1)
        assert datetime.fromisoformat(told["next_due"]) == now + timedelta(minutes=30)

    def test_asks_what_is_due_beside_the_tables(self, steered: Installation) -> None:
        due = NOW + timedelta(days=900)
        steered.app = create_app(steered.runtime, dues=[lambda _: due, lambda _: None])
        assert datetime.fromisoformat(steered.get("/clock").json()["next_due"]) == due

    @staticmethod
    def command(key: str, not_before: datetime) -> Command:
        return Command(
            command_key=key,
            owner_kind=OwnerKind.REGISTRY,
            owner_key=key,
            sender_system="P11",
            device_id="1",
            serial_id="1",
            head_end="north",
            kind=CommandKind.PROVISION,
            purpose="test",
            not_before=not_before,
            expires_at=not_before + timedelta(days=30),
            status=CommandStatus.READY,
        )
