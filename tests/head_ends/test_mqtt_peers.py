"""The head end kind `mqtt` against brokers and concentrators of others."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.end_device import SwitchState
from mdus.domain.head_end import Batch, CommandResult, ConcentratorTold, FieldEvent, Heard, RawDelivery
from mdus.headends.mqtt.adapter import MqttHeadEnd, connect
from mdus.messaging.retry import TransientError
from mdus.settings import HeadEnd as Row
from mdus.settings import load_settings
from simulators.headend_mqtt.brokers import Broker
from tests.head_ends.mqtt_sites import CONCENTRATOR, PATIENCE, PEERS, STATE, Background, Concentrator, broker, until
from tests.unit.headends.mqtt.test_codec import AT, SERIAL, command, decode

SETTINGS = load_settings({})

#: Brokers with the versions of MQTT they speak.
SITES = ("mosquitto-5", "mosquitto-3.1.1", "amqtt-3.1.1")


def row(port: int, version: str) -> Row:
    return Row(
        name="city",
        kind="mqtt",
        url=f"mqtt://127.0.0.1:{port}",
        user="mdus",
        time_zone="Europe/Berlin",
        timeout_seconds=5.0,
        options={"version": version},
    )


class Site:
    """A broker with MDUS and one concentrator at it."""

    def __init__(self, named: str, peer: str, folder: Path) -> None:
        self.broker_name, _, self.version = named.partition("-")
        self.background = Background()
        self.broker = self.background.run(_made(self.broker_name, folder))
        self.background.run(self.broker.start())
        self.concentrator: Concentrator = PEERS[peer](self.broker.port, self.version, self.background)
        self.head_end = self.new_head_end()
        assert self.heard() == []  # the session is there from now on

    def new_head_end(self) -> MqttHeadEnd:
        """Return the head end as a process that starts would have it."""
        return connect(SETTINGS, row(self.broker.port, self.version))

    def close(self) -> None:
        self.head_end.close()
        self.background.run(self.broker.stop())
        self.background.close()

    def batches(self, *, take: bool = True) -> list[list[RawDelivery]]:
        """Return what has arrived, as it was handed over."""
        batches = []
        try:
            for arrival in self.head_end.arrivals():
                batches.append(list(arrival.deliveries))
                if take:
                    arrival.taken()
        except TransientError:
            pass  # connected anew at the next call
        return batches

    def heard(self) -> list[FieldEvent]:
        """Return what has arrived, decoded and taken."""
        return [event for some in self.batches() for each in some for event in decode(each)]

    def wait_for(self, kind: type[FieldEvent], *, count: int = 1) -> list[Any]:
        """Return events of a kind once there are so many."""
        found: list[Any] = []

        def are_there() -> bool:
            found.extend(event for event in self.heard() if isinstance(event, kind))
            return len(found) >= count

        until(are_there, f"{count} {kind.__name__}")
        return found

    def submit(self, kind: CommandKind, *, seconds: float = 3600, **of: Any) -> None:
        """Give a command to the meter behind the concentrator."""
        order = command(kind, expires_at=AT + timedelta(seconds=seconds), **of)
        taken = self.head_end.submit(
            Batch(kind=kind, correlation="call-1", commands=[order], concentrators={SERIAL: CONCENTRATOR}, at=AT)
        )
        assert taken.rejections == ()


async def _made(name: str, folder: Path, listening: Sequence[str] = ()) -> Broker:
    return broker(name, folder, listening=listening)


@pytest.fixture(params=SITES)
def named(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=sorted(PEERS))
def peer(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def site(named: str, peer: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(named, peer, tmp_path)
    yield made
    made.close()


def message(number: int = 1, **content: Any) -> dict[str, Any]:
    base = {"v": 1, "id": f"m-{number}", "ts": "2026-03-29T01:00:05Z", "src": CONCENTRATOR, "meter": SERIAL}
    return base | content


def topic(kind: str) -> str:
    return f"ami/v1/city/{CONCENTRATOR}/{SERIAL}/{kind}"


class TestCommands:
    def test_are_answered(self, site: Site) -> None:
        site.concentrator.come()
        site.submit(CommandKind.SWITCH, wanted_state=SwitchState.DISCONNECTED, command_key="cmd-1")

        told = site.concentrator.commands.get(timeout=PATIENCE)
        assert (told.topic, told.body["cmd"], told.body["args"]) == (topic("cmd"), "switch", {"state": "disconnected"})
        site.concentrator.publish(told.reply_to, message(status="ok", state="disconnected"), cid=told.cid)

        (result,) = site.wait_for(CommandResult)
        assert (result.command_key, result.succeeded, result.switch_state) == (
            "cmd-1",
            True,
            SwitchState.DISCONNECTED,
        )
        site.concentrator.leave()

    def test_wait_for_a_concentrator_that_comes_back(self, site: Site) -> None:
        site.concentrator.come()
        site.concentrator.leave()
        site.submit(CommandKind.PING)

        site.concentrator.come()

        assert site.concentrator.commands.get(timeout=PATIENCE).body["cmd"] == "ping"
        site.concentrator.leave()

    def test_that_expired_do_not_leave_the_broker(self, site: Site) -> None:
        site.concentrator.come()
        site.concentrator.leave()
        site.submit(CommandKind.SWITCH, seconds=1, wanted_state=SwitchState.DISCONNECTED)
        submitted = time.monotonic()
        site.submit(CommandKind.PING)
        until(lambda: time.monotonic() > submitted + 2.5, "the expiry, by the broker's clock of whole seconds")

        site.concentrator.come()

        told = site.concentrator.commands.get(timeout=PATIENCE)
        if site.version == "5":
            assert told.body["cmd"] == "ping"
            assert told.expires_in is not None
            assert told.expires_in < 3600
        else:
            # This broker knows of no expiry: the concentrator has to look.
            assert (told.body["cmd"], told.body["expires"]) == ("switch", "2026-03-29T01:00:05Z")
        site.concentrator.leave()


class TestState:
    def test_is_told_by_birth_message_and_last_will(self, site: Site) -> None:
        site.concentrator.come()
        birth = {"v": 1, "src": CONCENTRATOR, "state": "online", "meters": [SERIAL]}
        site.concentrator.publish(STATE, birth, retain=True)
        assert site.wait_for(ConcentratorTold) == [
            ConcentratorTold(concentrator=CONCENTRATOR, is_online=True, serials=(SERIAL,))
        ]

        site.concentrator.die()

        assert site.wait_for(ConcentratorTold) == [ConcentratorTold(concentrator=CONCENTRATOR, is_online=False)]

    def test_is_told_to_who_comes_later(self, site: Site) -> None:
        site.concentrator.come()
        birth = {"v": 1, "src": CONCENTRATOR, "state": "online", "meters": [SERIAL]}
        site.concentrator.publish(STATE, birth, retain=True)
        site.wait_for(ConcentratorTold)
        site.head_end.close()

        site.head_end = connect(
            SETTINGS,
            row(site.broker.port, site.version).model_copy(
                update={"options": {"version": site.version, "client_id": "another"}}
            ),
        )

        # amqtt tells what is retained twice.
        assert {(told.is_online, told.serials) for told in site.wait_for(ConcentratorTold)} == {(True, (SERIAL,))}
        site.concentrator.leave()


class TestBacklog:
    def test_of_a_thousand_messages_comes_in_batches(self, site: Site) -> None:
        site.head_end.close()
        site.concentrator.come()
        for number in range(1000):
            site.concentrator.publish(topic("rdg"), message(number, heard="2026-03-29T01:00:00Z"))
        site.concentrator.leave()

        batches: list[list[RawDelivery]] = []
        until(lambda: batches.extend(site.batches()) or sum(map(len, batches)) >= 1000, "the backlog")

        assert max(map(len, batches)) <= 200
        ids = [json.loads(each.body)["id"] for some in batches for each in some]
        assert sorted(set(ids)) == sorted(f"m-{number}" for number in range(1000))
        events = [event for some in batches for each in some for event in decode(each)]
        assert {type(event) for event in events} == {Heard}


class TestAMessageThatIsTooLarge:
    def test_holds_up_none_behind_it(self, site: Site) -> None:
        site.head_end.close()
        site.head_end = connect(
            SETTINGS, row(site.broker.port, site.version).model_copy(update={"max_answer_bytes": 2000})
        )
        site.concentrator.come()
        site.concentrator.publish(topic("rdg"), message(1, heard="2026-03-29T01:00:00Z", text="x" * 3000))
        site.concentrator.publish(topic("rdg"), message(2, heard="2026-03-29T01:00:00Z"))
        found: list[RawDelivery] = []
        reasons: list[str] = []

        def is_there() -> bool:
            with suppress(TransientError):
                for arrival in site.head_end.arrivals():
                    try:
                        found.extend(arrival.deliveries)
                    except ValueError as error:
                        reasons.append(str(error))
                        arrival.failed(str(error))
                    else:
                        arrival.taken()
            return bool(found)

        until(is_there, "the message behind it")

        # As often as the broker brings it: at least once.
        assert {json.loads(each.body)["id"] for each in found} == {"m-2"}
        # A broker of MQTT 5 is told, and keeps it from us; else it is shown here.
        assert bool(reasons) is (site.version != "5")
        site.concentrator.leave()


_DIES_BEFORE_IT_STORES = """
import sys, time
from mdus.headends.mqtt.adapter import connect
from mdus.settings import HeadEnd, load_settings

head_end = connect(load_settings({}), HeadEnd.model_validate_json(sys.argv[1]))
while True:
    for arrival in head_end.arrivals():
        print("received", len(list(arrival.deliveries)), flush=True)
        time.sleep(3600)  # it is killed in here
"""


class TestAcknowledgement:
    def test_is_given_when_it_was_stored_only(self, site: Site) -> None:
        if site.broker_name == "amqtt":
            pytest.skip("amqtt does not send again what was not acknowledged when a connection broke")
        site.head_end.close()
        of = row(site.broker.port, site.version).model_dump_json()
        listener = subprocess.Popen(
            [sys.executable, "-c", _DIES_BEFORE_IT_STORES, of], stdout=subprocess.PIPE, text=True
        )
        site.concentrator.come()
        site.concentrator.publish(topic("rdg"), message(heard="2026-03-29T01:00:00Z"))
        assert listener.stdout is not None
        assert next(line for line in listener.stdout if line.startswith("received")) == "received 1\n"
        listener.kill()
        listener.wait()
        listener.stdout.close()

        site.head_end = site.new_head_end()

        assert len(site.wait_for(Heard)) == 1
        site.concentrator.leave()

    def test_once_given_ends_it(self, site: Site) -> None:
        site.concentrator.come()
        site.concentrator.publish(topic("rdg"), message(heard="2026-03-29T01:00:00Z"))
        assert len(site.wait_for(Heard)) == 1
        site.head_end.close()

        site.head_end = site.new_head_end()

        assert site.heard() == []
        site.concentrator.leave()


class TestTls:
    """Both sides prove who they are."""

    @pytest.fixture
    def certificates(self, tmp_path: Path) -> Path:
        """A folder with an authority `ca`, and certificates of `broker` and `mdus` signed by it."""
        _signed(tmp_path, "ca", "-x509", "-subj", "/CN=test authority")
        for name, of in (("broker", "localhost"), ("mdus", "mdus")):
            by = ["-CA", str(tmp_path / "ca.pem"), "-CAkey", str(tmp_path / "ca.key")]
            _signed(tmp_path, name, "-x509", *by, "-subj", f"/CN={of}", "-addext", f"subjectAltName=DNS:{of}")
        return tmp_path

    @pytest.fixture
    def port(self, certificates: Path) -> Iterator[int]:
        """The port of a broker that lets in whoever has a certificate of the authority."""
        background = Background()
        files = {"cafile": "ca.pem", "certfile": "broker.pem", "keyfile": "broker.key"}
        listening = [f"{name} {certificates / file}" for name, file in files.items()] + ["require_certificate true"]
        made = background.run(_made("mosquitto", certificates, listening))
        background.run(made.start())
        yield made.port
        background.run(made.stop())
        background.close()

    def probe(self, port: int, certificates: Path, **files: str) -> str:
        options = {name: str(certificates / file) for name, file in files.items()}
        of = row(port, "5").model_copy(update={"url": f"mqtts://localhost:{port}", "options": options})
        return connect(SETTINGS, of).probe().text

    def test_lets_in_who_has_a_certificate(self, port: int, certificates: Path) -> None:
        text = self.probe(port, certificates, ca="ca.pem", cert="mdus.pem", key="mdus.key")

        assert text == f"MQTT 5 at localhost:{port}"

    @pytest.mark.parametrize(
        "files",
        [
            pytest.param({"ca": "ca.pem"}, id="none of ours"),
            pytest.param({"cert": "mdus.pem", "key": "mdus.key"}, id="an authority nobody trusts"),
            pytest.param({"ca": "mdus.pem", "cert": "mdus.pem", "key": "mdus.key"}, id="another authority"),
        ],
    )
    def test_lets_in_nobody_else(self, port: int, certificates: Path, files: dict[str, str]) -> None:
        with pytest.raises(TransientError, match="the broker of city"):
            self.probe(port, certificates, **files)


def _signed(folder: Path, name: str, *how: str) -> None:
    made = ["-newkey", "rsa:2048", "-nodes", "-days", "1", *how]
    files = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"]
    subprocess.run(["openssl", "req", *made, *files], check=True, capture_output=True)
