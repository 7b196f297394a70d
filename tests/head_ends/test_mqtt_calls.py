"""What becomes of commands when the broker breaks off: the worker, the adapter and a broker that follows a script."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.head_end import ConcentratorTold
from mdus.headends.mqtt import HEAD_END
from mdus.storage.concentrator import note_concentrators
from tests.head_ends.field import SERIAL, Field
from tests.unit.headends.mqtt.scripted_broker import ScriptedBroker


class Site:
    """A field whose head end is a broker of the test, with one concentrator that has told of the meter."""

    def __init__(self, database_url: str) -> None:
        self.broker = ScriptedBroker()
        self.field = Field(
            database_url, f"mqtt://127.0.0.1:{self.broker.port}", kind=HEAD_END, timeout_seconds=1.0, callback_url=None
        )
        self.field.device()
        told = ConcentratorTold(concentrator="DC-1", at=self.field.clock.now(), is_online=True, serials=(SERIAL,))
        with self.field.database.begin() as uow:
            note_concentrators(uow.connection, [("city", told)])

    def close(self) -> None:
        self.field.close()
        self.broker.close()

    def turn(self) -> None:
        """Let the worker turn, rests after failures being over."""
        self.field.real += 3600
        self.field.worker.turn()

    @property
    def sent(self) -> list[str]:
        """What was sent, command by command."""
        return [json.loads(each.body)["cmd"] for each in self.broker.sent]


@pytest.fixture
def site(database_url: str) -> Iterator[Site]:
    site = Site(database_url)
    yield site
    site.close()


@pytest.mark.parametrize("step", ["cut", "silence"])
class TestWithoutAnAcknowledgement:
    def test_a_switch_is_uncertain_and_never_sent_again(self, site: Site, step: str) -> None:
        site.broker.messages = [step]
        _, switch = site.field.switch()

        for _ in range(3):
            site.turn()

        assert site.field.stored(switch).status is CommandStatus.UNCERTAIN
        assert site.sent == ["switch"]

    def test_a_read_is_sent_again(self, site: Site, step: str) -> None:
        site.broker.messages = [step]
        read = site.field.command(CommandKind.READ_ON_DEMAND)

        for _ in range(3):
            site.turn()

        assert site.field.stored(read).status is CommandStatus.ACCEPTED
        assert site.sent == ["read_on_demand", "read_on_demand"]
        first, second = (json.loads(each.body) for each in site.broker.sent)
        assert first["id"] == second["id"], "the concentrator would not know that it has it already"


class TestWithoutAConnection:
    def test_a_switch_waits_and_leaves_once(self, site: Site) -> None:
        site.broker.connections = ["refuse", "cut"]
        _, switch = site.field.switch()

        for _ in range(5):
            site.turn()

        assert site.field.stored(switch).status is CommandStatus.ACCEPTED
        assert site.sent == ["switch"]


class TestWithoutAConcentrator:
    def test_a_command_waits_until_it_expires(self, site: Site) -> None:
        site.field.device("7", "107", registers=False)
        stray = site.field.command(CommandKind.PING, device_id="107", serial_id="7")
        site.turn()
        assert site.field.stored(stray).status is CommandStatus.READY

        site.field.clock.advance(hours=2)
        site.turn()

        assert site.field.stored(stray).result_code == "EXPIRED"
        assert site.sent == []
