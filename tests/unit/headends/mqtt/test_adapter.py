"""What it means when a connection to a broker goes wrong, and when a message is acknowledged."""

from __future__ import annotations

import gc
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import psutil
import pytest

from mdus.bootstrap.tables import SHARED_TABLES
from mdus.domain.channel_map import ChannelMap, ChannelRow
from mdus.domain.command import CommandKind
from mdus.domain.end_device import SwitchState
from mdus.domain.event_map import EventMap
from mdus.domain.head_end import Arrival, Batch, RawDelivery
from mdus.headends.mqtt.adapter import HEAD_END, MqttHeadEnd, connect
from mdus.headends.mqtt.values import Names
from mdus.messaging.retry import TransientError, UncertainError
from mdus.settings import HeadEnd as Row
from mdus.settings import load_settings
from tests.unit.headends import samples
from tests.unit.headends.mqtt.scripted_broker import ScriptedBroker
from tests.unit.headends.mqtt.test_codec import message
from tests.unit.headends.samples import AT, CORRELATION, DEVICE, KEY, SERIAL, command, register

SETTINGS = load_settings({})
EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION_DATA = 0x02, 0x03, 0x08, 0x09


def row(port: int, *, version: str = "5", **changes: Any) -> Row:
    options = {"version": version} | changes.pop("options", {})
    values: dict[str, Any] = {
        "name": "city",
        "kind": "mqtt",
        "url": f"mqtt://127.0.0.1:{port}",
        "time_zone": "Europe/Berlin",
        "timeout_seconds": 10.0,
        "options": options,
    }
    return Row(**(values | changes))


def batch(*kinds: CommandKind, **changes: Any) -> Batch:
    commands = [
        command(kind, command_key=f"cmd-{at}", serial_id=f"{at:010d}", wanted_state=SwitchState.DISCONNECTED)
        for at, kind in enumerate(kinds, 1)
    ]
    at_sites = {each.serial_id: "DC-1" for each in commands}
    return samples.batch(*commands, **({"concentrators": at_sites, "at": AT} | changes))


@pytest.fixture
def impatient(broker: ScriptedBroker, version: str) -> MqttHeadEnd:
    """The head end with half a second for an answer."""
    return connect(SETTINGS, row(broker.port, version=version, timeout_seconds=0.5))


@pytest.fixture
def head_end(broker: ScriptedBroker, version: str) -> Iterator[MqttHeadEnd]:
    connected = connect(SETTINGS, row(broker.port, version=version))
    yield connected
    connected.close()


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


class TestSubmit:
    def test_sends_a_message_per_command_and_awaits_their_acknowledgement(
        self, head_end: MqttHeadEnd, broker: ScriptedBroker
    ) -> None:
        taken = head_end.submit(batch(*[CommandKind.READ_ON_DEMAND] * 250))

        assert (taken.token, taken.rejections) == (CORRELATION, ())
        assert [sent.topic for sent in broker.sent[:2]] == [
            "ami/v1/city/DC-1/0000000001/cmd",
            "ami/v1/city/DC-1/0000000002/cmd",
        ]
        assert len(broker.sent) == 250
        assert {(sent.qos, sent.retain) for sent in broker.sent} == {(1, False)}

    def test_says_where_to_answer_and_when_it_is_too_late(self, broker: ScriptedBroker) -> None:
        head_end = connect(SETTINGS, row(broker.port, version="5"))

        head_end.submit(batch(CommandKind.SWITCH))

        (sent,) = broker.sent
        assert sent.properties == {
            EXPIRY: (3600).to_bytes(4, "big"),
            CONTENT_TYPE: b"application/json",
            RESPONSE_TOPIC: b"ami/v1/city/DC-1/0000000001/rsp",
            CORRELATION_DATA: b"cmd-1",
        }
        assert "replyTo" not in json.loads(sent.body)

    def test_says_so_in_the_message_where_the_protocol_cannot(self, broker: ScriptedBroker) -> None:
        head_end = connect(SETTINGS, row(broker.port, version="3.1.1"))

        head_end.submit(batch(CommandKind.SWITCH))

        body = json.loads(broker.sent[0].body)
        assert (body["replyTo"], body["cid"], body["expires"]) == (
            "ami/v1/city/DC-1/0000000001/rsp",
            "cmd-1",
            "2026-03-29T02:00:04Z",
        )

    def test_logs_in_under_an_id_of_its_own_each_time(self, head_end: MqttHeadEnd, broker: ScriptedBroker) -> None:
        head_end.submit(batch(CommandKind.PING))
        head_end.submit(batch(CommandKind.PING))

        assert len(set(broker.clients)) == 2
        assert all(client.startswith("mdus-city-send-") for client in broker.clients)
        assert broker.clean == [True, True]

    def test_leaves_no_socket_open(self, head_end: MqttHeadEnd, broker: ScriptedBroker) -> None:
        def ours() -> int:
            # What the broker has at its own end is its own business.
            connections = psutil.Process().net_connections("tcp")
            return sum(bool(each.raddr) and each.raddr.port == broker.port for each in connections)

        broker.connections = ["let in", "refuse", "cut"] * 10
        gc.disable()
        try:
            for _ in range(30):
                with suppress(TransientError):
                    head_end.submit(batch(CommandKind.PING))
            until(lambda: ours() == 0)
        finally:
            gc.enable()

    def test_may_be_tried_again_when_nobody_listens(self, version: str) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        head_end = connect(SETTINGS, row(port, version=version))

        with pytest.raises(TransientError, match="the broker of city cannot be reached"):
            head_end.submit(batch(CommandKind.SWITCH))

    @pytest.mark.parametrize("step", ["refuse", "cut", "silence"])
    def test_may_be_tried_again_when_it_was_not_let_in(
        self, impatient: MqttHeadEnd, broker: ScriptedBroker, step: str
    ) -> None:
        broker.connections = [step]

        with pytest.raises(TransientError, match="the broker of city"):
            impatient.submit(batch(CommandKind.SWITCH))
        assert broker.sent == []

    @pytest.mark.parametrize("step", ["cut", "silence"])
    def test_is_uncertain_without_an_acknowledgement(
        self, impatient: MqttHeadEnd, broker: ScriptedBroker, step: str
    ) -> None:
        broker.messages = ["ack", step]

        with pytest.raises(UncertainError, match="of 2 messages"):
            impatient.submit(batch(CommandKind.SWITCH, CommandKind.SWITCH))

    def test_sends_nothing_once_more_that_was_given_up(self, head_end: MqttHeadEnd, broker: ScriptedBroker) -> None:
        broker.messages = ["cut"]
        with pytest.raises(UncertainError):
            head_end.submit(batch(CommandKind.SWITCH))

        head_end.submit(batch(CommandKind.PING))

        assert [json.loads(sent.body)["cmd"] for sent in broker.sent] == ["switch", "ping"]

    def test_rejects_what_would_expire_on_its_way(self, head_end: MqttHeadEnd, broker: ScriptedBroker) -> None:
        taken = head_end.submit(batch(CommandKind.SWITCH, at=AT + timedelta(minutes=59, seconds=59.5)))

        assert [(each.command_key, each.code) for each in taken.rejections] == [("cmd-1", "EXPIRED")]
        assert (taken.token, broker.sent) == ("", [])

    def test_rejects_a_meter_that_no_concentrator_told_of(self, head_end: MqttHeadEnd, broker: ScriptedBroker) -> None:
        taken = head_end.submit(
            batch(CommandKind.PING, CommandKind.PING, concentrators={"0000000002": "DC-1"}),
        )

        assert [(each.command_key, each.code) for each in taken.rejections] == [("cmd-1", "NO_CONCENTRATOR")]
        assert [sent.topic for sent in broker.sent] == ["ami/v1/city/DC-1/0000000002/cmd"]

    @pytest.mark.parametrize("concentrator", ["DC/1", "#", "+"])
    def test_rejects_who_cannot_stand_in_a_topic(
        self, head_end: MqttHeadEnd, broker: ScriptedBroker, concentrator: str
    ) -> None:
        taken = head_end.submit(batch(CommandKind.PING, concentrators={"0000000001": concentrator}))

        assert [each.code for each in taken.rejections] == ["NOT_ADDRESSABLE"]
        assert broker.sent == []

    def test_provisions_a_meter_with_registers_only(self, head_end: MqttHeadEnd, broker: ScriptedBroker) -> None:
        given = {"concentrators": {SERIAL: "DC-1"}, "commands": [command(CommandKind.PROVISION)]}

        unknown = head_end.submit(batch(CommandKind.PROVISION, **given))
        bare = head_end.submit(batch(CommandKind.PROVISION, **given, devices={KEY: DEVICE}))
        whole = head_end.submit(
            batch(CommandKind.PROVISION, **given, devices={KEY: DEVICE}, registers={KEY: [register()]})
        )

        assert [each.code for each in (*unknown.rejections, *bare.rejections)] == ["NOT_PROVISIONABLE"] * 2
        assert whole.rejections == ()
        assert len(broker.sent) == 1

    @pytest.mark.parametrize(
        ("names", "valid_from", "told"),
        [
            pytest.param(["total energy"], AT, "total energy", id="a name of its own"),
            pytest.param(["total energy"], AT + timedelta(seconds=1), "1-0:1.8.0*255", id="not yet"),
            pytest.param(["1-0:1.9.0"], AT, "1-0:1.8.0*255", id="a name that is read as another channel"),
        ],
    )
    def test_names_registers_as_what_is_told_of_them_is_read(
        self, broker: ScriptedBroker, names: list[str], valid_from: datetime, told: str
    ) -> None:
        own = {"name": "own", "obis": "1-0:1.8.0", "kind": "register", "unit": "kWh", "head_end": "city"}
        channel = ChannelRow.model_validate(own | {"names": {"mqtt": names}, "valid_from": valid_from})
        city = row(broker.port)
        head_end = MqttHeadEnd(
            city, names=Names(channels=ChannelMap([channel], head_end=city), events=EventMap.of(SETTINGS))
        )
        given = {"concentrators": {SERIAL: "DC-1"}, "commands": [command(CommandKind.PROVISION)]}

        head_end.submit(batch(CommandKind.PROVISION, **given, devices={KEY: DEVICE}, registers={KEY: [register()]}))

        (sent,) = broker.sent
        assert [each["obis"] for each in json.loads(sent.body)["args"]["registers"]] == [told]

    @pytest.mark.parametrize(("unit", "told"), [("KWH", "kilowatt hours"), ("KVR", "kvarh"), ("XYZ", "XYZ")])
    def test_names_units_as_the_table_of_units_does(self, broker: ScriptedBroker, unit: str, told: str) -> None:
        settings = load_settings({"MDUS_UNITS__KILOWATT_HOUR__TEXTS": "kilowatt hours"}, tables=SHARED_TABLES)
        head_end = connect(settings, row(broker.port))
        given = {"concentrators": {SERIAL: "DC-1"}, "commands": [command(CommandKind.PROVISION)]}

        registers = {KEY: [register(unit=unit)]}
        head_end.submit(batch(CommandKind.PROVISION, **given, devices={KEY: DEVICE}, registers=registers))

        (sent,) = broker.sent
        assert [each["unit"] for each in json.loads(sent.body)["args"]["registers"]] == [told]


class TestRefusalsOfTheBroker:
    """Only MQTT 5 knows them."""

    @pytest.fixture
    def version(self) -> str:
        return "5"

    def test_of_all_may_be_tried_again(self, head_end: MqttHeadEnd, broker: ScriptedBroker) -> None:
        broker.messages = ["ack 135", "ack 151"]

        with pytest.raises(TransientError, match="takes nothing: Not authorized, Quota exceeded"):
            head_end.submit(batch(CommandKind.PING, CommandKind.PING))

    def test_of_some_reject_these(self, head_end: MqttHeadEnd, broker: ScriptedBroker) -> None:
        broker.messages = ["ack", "ack 151"]

        taken = head_end.submit(batch(CommandKind.PING, CommandKind.PING))

        assert [(each.command_key, each.code, each.text) for each in taken.rejections] == [
            ("cmd-2", "REFUSED_BY_BROKER", "Quota exceeded")
        ]

    def test_reject_what_nobody_is_subscribed_to(self, head_end: MqttHeadEnd, broker: ScriptedBroker) -> None:
        broker.messages = ["ack 16"]

        taken = head_end.submit(batch(CommandKind.PING))

        assert [each.code for each in taken.rejections] == ["NO_SUBSCRIBER"]


def told(arrival: Arrival) -> list[RawDelivery]:
    return list(arrival.deliveries)


def next_arrival(head_end: MqttHeadEnd) -> Arrival:
    """Wait for an arrival."""
    found: list[Arrival] = []
    until(lambda: found.extend(islice(head_end.arrivals(), 1)) or found)
    return found[0]


def reading(number: int = 1) -> tuple[str, bytes, bytes]:
    body = message(id=f"m-{number}", heard="2026-03-29T01:00:00Z")
    return f"ami/v1/city/DC-1/{SERIAL}/rdg", json.dumps(body).encode(), b""


class TestArrivals:
    def test_are_those_of_the_four_topics_in_a_session_that_is_kept(
        self, head_end: MqttHeadEnd, broker: ScriptedBroker
    ) -> None:
        assert list(head_end.arrivals()) == []

        assert broker.filters == [
            "ami/v1/city/+/+/rsp",
            "ami/v1/city/+/+/evt",
            "ami/v1/city/+/+/rdg",
            "ami/v1/city/+/state",
        ]
        assert (broker.clients, broker.clean) == (["mdus-city"], [False])

    def test_are_acknowledged_when_they_are_taken_and_not_before(
        self, head_end: MqttHeadEnd, broker: ScriptedBroker
    ) -> None:
        broker.outgoing.put(reading())

        arrival = next_arrival(head_end)
        (delivery,) = told(arrival)
        assert (delivery.topic, delivery.correlation, delivery.body) == ("rdg", "", reading()[1])
        assert broker.acknowledged == []

        arrival.taken()
        until(lambda: broker.acknowledged == [1])
        assert list(head_end.arrivals()) == []

    def test_come_again_when_they_were_not_taken(self, head_end: MqttHeadEnd, broker: ScriptedBroker) -> None:
        broker.outgoing.put(reading())
        arrival = next_arrival(head_end)

        (again,) = head_end.arrivals()

        assert told(again) == told(arrival)
        assert broker.acknowledged == []
        again.taken()
        until(lambda: broker.acknowledged == [1])
        assert list(head_end.arrivals()) == []

    def test_come_many_at_once_but_not_more_than_allowed(self, broker: ScriptedBroker, version: str) -> None:
        head_end = connect(SETTINGS, row(broker.port, version=version, options={"messages_at_once": 20}))
        for number in range(50):
            broker.outgoing.put(reading(number))
        sizes: list[int] = []

        while sum(sizes) < 50:
            arrival = next_arrival(head_end)
            sizes.append(len(told(arrival)))
            arrival.taken()

        assert (sum(sizes), max(sizes)) == (50, 20)
        until(lambda: broker.acknowledged == list(range(1, 51)))
        head_end.close()

    def test_have_the_correlation_data(self, broker: ScriptedBroker) -> None:
        head_end = connect(SETTINGS, row(broker.port))
        broker.outgoing.put((f"ami/v1/city/DC-1/{SERIAL}/rsp", json.dumps(message(status="ok")).encode(), b"cmd-77"))

        arrival = next_arrival(head_end)

        assert [(each.topic, each.correlation) for each in told(arrival)] == [("rsp", "cmd-77")]
        head_end.close()

    def test_with_a_number_that_nobody_can_hold_block_no_others(
        self, head_end: MqttHeadEnd, broker: ScriptedBroker
    ) -> None:
        body = b'{"v": 1, "src": "DC-1", "x": 1e9999999999999999999999}'
        broker.outgoing.put((f"ami/v1/city/DC-1/{SERIAL}/rdg", body, b""))

        arrival = next_arrival(head_end)
        assert [(each.topic, each.body) for each in told(arrival)] == [("rdg", body)]
        arrival.taken()
        until(lambda: broker.acknowledged == [1])

    def test_that_break_the_look_at_them_block_no_others(
        self, head_end: MqttHeadEnd, broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def breaks(body: bytes, place: object) -> bool:
            raise KeyError(place)

        monkeypatch.setattr("mdus.headends.mqtt.codec.is_in_place", breaks)
        broker.outgoing.put(reading())

        assert [each.topic for each in told(next_arrival(head_end))] == ["rdg"]

    def test_have_correlation_data_that_a_database_holds(self, broker: ScriptedBroker) -> None:
        head_end = connect(SETTINGS, row(broker.port))
        data = b"a\0b" + b"c" * 200
        broker.outgoing.put((f"ami/v1/city/DC-1/{SERIAL}/rsp", json.dumps(message(status="ok")).encode(), data))

        (delivery,) = told(next_arrival(head_end))

        assert delivery.correlation == "a?b" + "c" * 97
        head_end.close()

    def test_of_a_state_are_news_each_time(self, head_end: MqttHeadEnd, broker: ScriptedBroker) -> None:
        will = ("ami/v1/city/DC-1/state", b'{"v": 1, "src": "DC-1", "state": "offline"}', b"")
        broker.outgoing.put(will)
        broker.outgoing.put(will)

        told_of: list[RawDelivery] = []
        while len(told_of) < 2:
            arrival = next_arrival(head_end)
            told_of += told(arrival)
            arrival.taken()

        assert [each.topic for each in told_of] == ["state", "state"]
        assert len({each.correlation for each in told_of}) == 2

    def test_under_the_topic_of_another_are_set_apart(self, head_end: MqttHeadEnd, broker: ScriptedBroker) -> None:
        broker.outgoing.put(("ami/v1/city/DC-1/0000009999/rdg", reading()[1], b""))

        assert [each.topic for each in told(next_arrival(head_end))] == ["misplaced"]

    def test_of_nobody_are_acknowledged_and_left(self, head_end: MqttHeadEnd, broker: ScriptedBroker) -> None:
        broker.outgoing.put(("elsewhere", b"{}", b""))
        broker.outgoing.put(("ami/v1/city/DC-1/state", b"", b""))  # takes a retained message back

        def is_left() -> bool:
            for arrival in head_end.arrivals():
                assert told(arrival) == []
                arrival.taken()
            return broker.acknowledged == [1, 2]

        until(is_left)

    def test_end_after_a_while_however_many_there_are(self, broker: ScriptedBroker) -> None:
        head_end = connect(SETTINGS, row(broker.port, options={"messages_at_once": 1}))
        for number in range(30):
            broker.outgoing.put(reading(number))

        next_arrival(head_end).taken()
        until(lambda: broker.outgoing.empty())

        assert len([each.taken() for each in head_end.arrivals()]) == 20
        head_end.close()

    def test_go_on_after_the_connection_broke(self, head_end: MqttHeadEnd, broker: ScriptedBroker) -> None:
        assert list(head_end.arrivals()) == []
        broker.cut()
        with pytest.raises(TransientError, match="the connection to the broker of city broke"):
            list(head_end.arrivals())

        broker.outgoing.put(reading())  # for the thread of the connection that is gone
        broker.outgoing.put(reading())
        until(lambda: [told(arrival) for arrival in head_end.arrivals()] != [])

        assert broker.clients == ["mdus-city", "mdus-city"]

    def test_cannot_be_had_where_we_may_not_read(self, head_end: MqttHeadEnd, broker: ScriptedBroker) -> None:
        broker.refuse_filters = True

        with pytest.raises(TransientError, match="does not let us read"):
            list(head_end.arrivals())

    def test_cannot_be_had_without_a_broker(self, version: str) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]

        with pytest.raises(TransientError, match="cannot be reached"):
            list(connect(SETTINGS, row(port, version=version)).arrivals())


class TestProbe:
    def test_says_which_broker_lets_us_in(self, head_end: MqttHeadEnd, broker: ScriptedBroker, version: str) -> None:
        probe = head_end.probe()

        assert (probe.takes, probe.text) == (None, f"MQTT {version} at 127.0.0.1:{broker.port}")

    def test_fails_when_it_does_not(self, head_end: MqttHeadEnd, broker: ScriptedBroker) -> None:
        broker.connections = ["refuse"]

        with pytest.raises(TransientError, match="does not let us in"):
            head_end.probe()


class TestKind:
    def test_takes_all_but_load_control(self) -> None:
        assert HEAD_END.capabilities == frozenset(CommandKind) - {CommandKind.CONTROL_LOAD}
        assert (HEAD_END.listens, HEAD_END.needs_concentrator, HEAD_END.keeps_records) == (True, True, False)

    def test_does_not_know_calls(self, head_end: MqttHeadEnd) -> None:
        assert head_end.find(CORRELATION) is None
