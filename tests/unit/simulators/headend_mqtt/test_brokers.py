"""The brokers that simulated concentrators start for themselves."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTProtocolVersion
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from simulators.headend_mqtt.brokers import Amqtt


def knock(broker: Amqtt, name: str) -> Client:
    """Connect, and say who we are; the answer is not waited for."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv311)
    client.username_pw_set(name, name)
    client.connect(broker.host, broker.port)
    return client


def is_cut(client: Client) -> bool:
    return any(client.loop(0.05) is not MQTTErrorCode.MQTT_ERR_SUCCESS for _ in range(100))


@pytest.mark.parametrize("turns", range(1, 7))
def test_amqtt_serves_nobody_it_let_in_while_it_ended(tmp_path: Path, turns: int) -> None:
    async def play() -> list[bool]:
        broker = Amqtt(0, tmp_path / "broker")
        await broker.start()
        clients = [await asyncio.to_thread(knock, broker, "before")]
        ending = asyncio.create_task(broker.stop())
        for number in range(60):  # fewer than wait before a listener that accepts no more
            if ending.done():
                break
            for _ in range(turns):
                await asyncio.sleep(0)
            with suppress(OSError):  # nobody is let in any more
                clients.append(knock(broker, f"while-{number}"))
        await ending
        return [await asyncio.to_thread(is_cut, client) for client in clients]

    assert all(asyncio.run(play()))
