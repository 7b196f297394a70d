"""The simulated concentrators in a process of their own, and a client of the broker that speaks as MDUS would."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from simulators.clock import real_now, stamp
from simulators.headend_mqtt import PROGRAMS, VARIANTS
from tests.conftest import require_program

NOON = datetime(2026, 3, 27, 11, 0, tzinfo=UTC)
PATIENCE = 30.0


@dataclass(frozen=True, kw_only=True)
class Told:
    """A message that came."""

    topic: str
    body: dict[str, Any]
    cid: str | None
    retain: bool

    @property
    def kind(self) -> str:
        """The last level of its topic."""
        return self.topic.rpartition("/")[2]


@dataclass
class Reader:
    """A client that reads everything and gives commands."""

    port: int
    is_5: bool
    told: list[Told] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"reader-{uuid4().hex[:6]}",
            protocol=MQTTProtocolVersion.MQTTv5 if self.is_5 else MQTTProtocolVersion.MQTTv311,
        )
        self.client.username_pw_set("reader")
        self.client.reconnect_delay_set(1, 1)
        subscribed = Event()
        self.client.on_connect = lambda client, *_: client.subscribe("ami/v1/field/#", qos=1)
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.on_message = self._note
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        assert subscribed.wait(PATIENCE)

    def _note(self, _: Client, __: Any, message: MQTTMessage) -> None:
        body = json.loads(message.payload)
        correlation = getattr(message.properties, "CorrelationData", None)
        cid = body.get("cid") if correlation is None else correlation.decode()
        self.told.append(Told(topic=message.topic, body=body, cid=cid, retain=message.retain))

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Site:
    """The simulator, steered by its control API, and a reader at its broker."""

    def __init__(self, variant: str, folder: Path, *options: str) -> None:
        self.is_5 = variant == "5"
        self.now = NOON
        self._clock = folder / "clock.json"
        self.advance()
        command = [sys.executable, "-m", "simulators.headend_mqtt", *VARIANTS[variant], "--port", "0"]
        command += ["--meters", "6", "--latency", "0", "--failure-rate", "0", "--event-rate", "0", "--hear-delay", "0"]
        command += ["--clock", str(self._clock), "--state", str(folder / "state"), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        first = json.loads(self.process.stdout.readline())
        self.row: dict[str, Any] = first["head_end"]
        self.api = httpx.Client(base_url=first["listening"], timeout=30, trust_env=False)
        self.port = urlsplit(self.row["url"]).port or 0
        self.reader = Reader(self.port, self.is_5)

    def close(self) -> None:
        self.reader.close()
        self.api.close()
        self.process.terminate()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def advance(self, **delta: float) -> None:
        """Let simulated time pass."""
        self.now += timedelta(**delta)
        draft = self._clock.with_suffix(".draft")
        draft.write_text(json.dumps({"anchor": stamp(real_now()), "epoch": stamp(self.now), "speed": 0.0}))
        draft.replace(self._clock)

    def get(self, path: str, **query: str) -> Any:
        return self.api.get(f"/control/{path}", params=query).raise_for_status().json()

    def post(self, path: str, body: dict[str, Any]) -> None:
        self.api.post(f"/control/{path}", json=body).raise_for_status()

    def arm(self, fault: str) -> None:
        self.post("faults", {"name": fault, "times": 1})

    def meters(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("meters")["meters"]
        return found

    def meter(self) -> dict[str, Any]:
        """Return a meter with a breaker."""
        return next(meter for meter in self.meters() if meter["has_breaker"])

    def command(self, meter: dict[str, Any], cmd: str, **changes: Any) -> str:
        """Publish a command and return its id."""
        key = changes.pop("id", None) or str(uuid4())
        base = f"ami/v1/field/{meter['concentrator']}/{meter['serial']}"
        body: dict[str, Any] = {
            "v": 1,
            "id": key,
            "ts": stamp(self.now),
            "src": "test",
            "meter": meter["serial"],
            "cmd": cmd,
            "args": {},
            "expires": stamp(self.now + timedelta(hours=1)),
        }
        properties = None
        if self.is_5:
            properties = Properties(PacketTypes.PUBLISH)
            properties.ResponseTopic = f"{base}/rsp"
            properties.CorrelationData = key.encode()
        else:
            body |= {"replyTo": f"{base}/rsp", "cid": key}
        self.reader.client.publish(f"{base}/cmd", json.dumps(body | changes), qos=1, properties=properties)
        return key

    def install(self, meter: dict[str, Any]) -> None:
        """Provision a meter and let it be heard."""
        registers = [
            {"obis": each["obis"], "unit": each["unit"], "digits": 8, "decimals": 2, "factor": "1"}
            for each in meter["registers"]
        ]
        key = self.command(meter, "provision", args={"device_id": "D-1", "registers": registers})
        assert self.answer(key)["status"] == "ok"
        self.post("hear", {"serials": [meter["serial"]]})
        self.until(lambda: any("heard" in each.body for each in self.reader.told), "the first communication")

    def answers(self, key: str) -> list[dict[str, Any]]:
        """Return what was answered to a command so far."""
        return [each.body for each in self.reader.told if each.kind == "rsp" and each.cid == key]

    def answer(self, key: str, *, count: int = 1) -> dict[str, Any]:
        """Return the newest of so many answers to a command."""
        self.until(lambda: len(self.answers(key)) >= count, f"{count} answers to {key}")
        return self.answers(key)[-1]

    def states(self, concentrator: str) -> list[str]:
        """Return what a concentrator was said to be, oldest first."""
        topic = f"ami/v1/field/{concentrator}/state"
        return [each.body["state"] for each in self.reader.told if each.topic == topic]

    def until(self, condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not happen: {self.reader.told}"
            time.sleep(0.01)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Starts concentrators of a variant; without mosquitto the test is skipped, where `CI` is set it fails."""
    sites: list[Site] = []

    def make(variant: str, *options: str) -> Site:
        if variant in PROGRAMS:
            require_program(PROGRAMS[variant], purpose=f"variant {variant}")
        sites.append(Site(variant, tmp_path, *options))
        return sites[-1]

    yield make
    for site in sites:
        site.close()
