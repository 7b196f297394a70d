"""The JSON of docs/head_ends/mqtt.md, read and written without a socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from textwrap import dedent
from typing import Any, ClassVar

import pytest

from mdus.bootstrap.tables import SHARED_TABLES
from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import SwitchState
from mdus.domain.head_end import (
    CommandResult,
    ConcentratorTold,
    Decode,
    FieldAlarm,
    FieldIntervals,
    FieldReading,
    Heard,
    RawDelivery,
    Unmapped,
    UnreadableLine,
)
from mdus.headends.mqtt import codec
from mdus.headends.mqtt.topics import Kind, Place
from mdus.settings import HeadEnd as Row
from mdus.settings import load_settings
from tests.unit.headends.samples import AT, DEVICE, KEY, SERIAL, command, register, stored_reading

READ = {"obis": "1-0:1.8.0*255", "value": "12345.60", "unit": "kWh", "ts": "2026-03-29T01:00:04Z", "q": None}
READING = stored_reading(value=Decimal("12345.60"))
BLOCK = {
    "obis": "1-0:1.29.0*255",
    "unit": "kWh",
    "minutes": 15,
    "start": "2026-03-28T23:00:00Z",
    "values": ["0.098123", None],
    "q": [None, "2.5.259"],
}


def decoder(**environ: str) -> Decode:
    """Return the decoder of the head end `city`."""
    settings = load_settings(environ, tables=SHARED_TABLES)
    return codec.decoder(settings, Row(name="city", kind="mqtt", time_zone="Europe/Berlin"))


decode = decoder()


def said(order: Command, **named: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(codec.command(order, at=AT, **named))
    return found


def delivery(topic: str, body: dict[str, Any] | bytes, *, correlation: str = "") -> RawDelivery:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RawDelivery(topic=topic, correlation=correlation, body=raw)


def decoded(topic: str, body: dict[str, Any] | bytes, *, correlation: str = "") -> list[Any]:
    return list(decode(delivery(topic, body, correlation=correlation)))


def message(**changes: Any) -> dict[str, Any]:
    return {"v": 1, "id": "m-1", "ts": "2026-03-29T01:00:05Z", "src": "DC-1", "meter": SERIAL} | changes


def response(**changes: Any) -> dict[str, Any]:
    return message(status="ok", **changes)


class TestCommand:
    def test_says_what_is_asked_of_whom_and_until_when(self) -> None:
        assert said(command(CommandKind.PING)) == {
            "v": 1,
            "id": "cmd-77",
            "ts": "2026-03-29T01:00:04Z",
            "src": "mdus",
            "meter": SERIAL,
            "cmd": "ping",
            "args": {},
            "expires": "2026-03-29T02:00:04Z",
        }

    def test_says_where_to_answer_where_the_protocol_does_not(self) -> None:
        told = said(command(CommandKind.PING), reply_to="ami/v1/city/DC-1/0000001234/rsp")

        assert (told["replyTo"], told["cid"]) == ("ami/v1/city/DC-1/0000001234/rsp", "cmd-77")

    @pytest.mark.parametrize(
        ("kind", "of", "arguments"),
        [
            (CommandKind.READ_ON_DEMAND, {}, {}),
            (CommandKind.SWITCH_STATE, {}, {}),
            (CommandKind.SET_TIME, {}, {}),
            (CommandKind.SWITCH, {"wanted_state": SwitchState.DISCONNECTED}, {"state": "disconnected"}),
            (
                CommandKind.READ_INTERVALS,
                {"period_from": AT, "period_to": AT + timedelta(days=1)},
                {"from": "2026-03-29T01:00:04Z", "to": "2026-03-30T01:00:04Z"},
            ),
            (CommandKind.LIMIT_DEMAND, {"parameters": (("limit_kw", "2.5"),)}, {"limit_kw": "2.5"}),
            (CommandKind.LIMIT_DEMAND, {}, {"limit_kw": None}),
            (CommandKind.SHOW_TEXT, {"parameters": (("text", "Grüß Gott"),)}, {"text": "Grüß Gott"}),
        ],
        ids=str,
    )
    def test_has_the_arguments_of_its_kind(
        self, kind: CommandKind, of: dict[str, Any], arguments: dict[str, Any]
    ) -> None:
        assert said(command(kind, **of))["args"] == arguments

    def test_provisions_device_and_registers(self) -> None:
        registers = [register(factor=Decimal("40"))]
        told = said(command(CommandKind.PROVISION), device=DEVICE, registers=registers, unit_of=str.lower)

        assert told["args"] == {
            "device_id": KEY[1],
            "registers": [{"obis": "1-0:1.8.0*255", "unit": "kwh", "digits": 8, "decimals": 2, "factor": "40"}],
        }

    @pytest.mark.parametrize(
        "order",
        [
            command(CommandKind.SWITCH),
            command(CommandKind.SWITCH, wanted_state=SwitchState.UNKNOWN),
            command(CommandKind.READ_REGISTERS, period_from=None),
            command(CommandKind.CONTROL_LOAD),
            command(CommandKind.PROVISION),
        ],
        ids=lambda order: order.kind.value,
    )
    def test_cannot_be_said_when_something_of_it_is_missing(self, order: Command) -> None:
        with pytest.raises(ValueError, match="cmd-77"):
            codec.command(order, at=AT)


class TestResponse:
    def test_names_its_command_in_the_correlation_data(self) -> None:
        (result,) = decoded("rsp", response(reads=[READ], at="2026-03-29T01:00:04Z"), correlation="cmd-77")

        assert result == CommandResult(
            command_key="cmd-77",
            correlation=None,
            token=None,
            serial_id=SERIAL,
            succeeded=True,
            code=None,
            text=None,
            acted_at=AT,
            readings=(READING,),
        )

    def test_names_its_command_in_the_message(self) -> None:
        (result,) = decoded("rsp", response(cid="cmd-77"))

        assert result.command_key == "cmd-77"

    def test_is_not_believed_when_it_names_two(self) -> None:
        with pytest.raises(ValueError, match="cid is 'cmd-78'"):
            decoded("rsp", response(cid="cmd-78"), correlation="cmd-77")

    def test_without_a_command_keeps_its_readings_and_is_shown(self) -> None:
        told = decoded("rsp", response(reads=[READ], blocks=[BLOCK]))

        assert [type(event) for event in told] == [FieldReading, FieldIntervals, UnreadableLine]
        assert told[0] == READING

    def test_leaves_the_command_open_when_more_follows(self) -> None:
        (result,) = decoded("rsp", response(final=False, reads=[READ]), correlation="cmd-77")

        assert (result.is_final, result.readings) == (False, (READING,))

    @pytest.mark.parametrize("code", sorted(codec.NOTHING_DONE))
    def test_failed_for_certain(self, code: str) -> None:
        (result,) = decoded("rsp", message(status="failed", code=code, text="so"), correlation="cmd-77")

        assert (result.succeeded, result.code, result.text, result.uncertain) == (False, code, "so", False)

    @pytest.mark.parametrize("code", ["NO_RESPONSE", "SOMETHING_NEW"])
    def test_failed_and_the_meter_may_have_acted(self, code: str) -> None:
        (result,) = decoded("rsp", message(status="failed", code=code), correlation="cmd-77")

        assert result.uncertain

    def test_tells_the_state_also_of_a_failed_switch(self) -> None:
        body = message(status="failed", code="ARMED", state="disconnected")

        (result,) = decoded("rsp", body, correlation="cmd-77")

        assert (result.switch_state, result.uncertain) == (SwitchState.DISCONNECTED, False)

    def test_acted_when_it_was_told_without_another_instant(self) -> None:
        (result,) = decoded("rsp", response(), correlation="cmd-77")

        assert result.acted_at == AT + timedelta(seconds=1)

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"status": "done"}, "status is 'done'"),
            ({"status": None}, "status is missing"),
            ({"status": "failed"}, "code is missing"),
            ({"state": "ajar"}, "state is 'ajar'"),
            ({"final": "yes"}, "final is 'yes'"),
            ({"meter": None}, "meter is missing"),
            ({"v": 2}, "v is 2, only 1 is understood"),
            ({"reads": [READ | {"value": 1.5, "ts": "yesterday"}]}, r"reads\[0\].ts is 'yesterday', not an instant"),
            ({"reads": [READ | {"value": "1,5"}]}, r"reads\[0\].value is '1,5', not a decimal number"),
            ({"reads": ["12"]}, r"reads\[0\] is not an object"),
            ({"blocks": [BLOCK | {"q": ["x", None]}]}, r"blocks\[0\].q\[0\] is 'x'"),
            ({"blocks": [BLOCK | {"q": [None]}]}, r"blocks\[0\].q has 1 codes for 2 values"),
            ({"blocks": [BLOCK | {"values": []}]}, r"blocks\[0\].values is empty"),
            ({"blocks": [BLOCK | {"minutes": 0}]}, r"blocks\[0\].minutes is 0"),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_is_refused_with_the_place_of_the_mistake(self, changes: dict[str, Any], reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            decoded("rsp", response() | changes, correlation="cmd-77")


class TestReadings:
    def test_are_told_with_intervals_and_a_sign_of_life(self) -> None:
        heard, reading, block = decoded("rdg", message(heard="2026-03-29T00:59:00Z", reads=[READ], blocks=[BLOCK]))

        assert heard == Heard(serial_id=SERIAL, at=AT.replace(minute=59, hour=0, second=0))
        assert reading == READING
        assert isinstance(block, FieldIntervals)
        assert (block.reading_type, block.interval_minutes, block.start_at) == (
            "1-0:1.29.0*255",
            15,
            datetime(2026, 3, 28, 23, tzinfo=UTC),
        )
        assert list(block.values) == [Decimal("0.098123"), None]
        assert list(block.qualities) == [None, "2.5.259"]

    def test_keep_quiet_about_a_register_without_value(self) -> None:
        assert decoded("rdg", message(reads=[READ | {"value": None}])) == []

    def test_are_ignored_beside_what_is_not_known(self) -> None:
        assert decoded("rdg", message(weather="fine")) == []


class TestEvents:
    def test_are_told_with_code_instant_and_id(self) -> None:
        event = {"id": "e-1", "code": "3.26.0.85", "ts": "2026-03-29T01:00:04Z", "text": "power failed"}

        (alarm,) = decoded("evt", message(events=[event | {"props": {"phase": "1"}}]))

        assert alarm == FieldAlarm(
            serial_id=SERIAL,
            event_type="3.26.0.85",
            at=AT,
            source_id="e-1",
            text="power failed",
            properties=(("phase", "1"),),
        )

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"ts": None}, r"events\[0\].ts is missing"),
            ({"props": {"phase": 1}}, r"events\[0\].props.phase is not text"),
            ({"props": "phase"}, r"events\[0\].props is not an object"),
        ],
        ids=["ts", "text of props", "props"],
    )
    def test_are_refused_with_the_place_of_the_mistake(self, changes: dict[str, Any], reason: str) -> None:
        event = {"id": "e-1", "code": "3.26.0.85", "ts": "2026-03-29T01:00:04Z"} | changes

        with pytest.raises(ValueError, match=reason):
            decoded("evt", message(events=[event]))


class TestNames:
    """What is told by a name of the concentrator's own."""

    TABLES: ClassVar = {
        "channels.toml": """
            [[channels]]
            name = "load"
            head_end = "city"
            obis = "1-0:1.29.0"
            kind = "interval"
            unit = "kWh"
            names = { mqtt = ["load"] }

            [[channels]]
            name = "total"
            obis = "1-0:1.8.0"
            kind = "register"
            unit = "kWh"
            names = { mqtt = ["total energy"] }
            """,
        "field_events.toml": """
            [[field_events]]
            name = "door"
            head_end = "city"
            event = "3.12.29.39"
            codes = { mqtt = ["DOOR_OPEN"] }
            """,
    }

    @pytest.fixture
    def told(self, tmp_path: Path) -> Callable[[str, dict[str, Any]], list[Any]]:
        for name, text in self.TABLES.items():
            (tmp_path / name).write_text(dedent(text))
        own = decoder(MDUS_CONFIG=str(tmp_path))
        return lambda topic, body: list(own(delivery(topic, body)))

    def test_is_what_the_tables_say(self, told: Callable[[str, dict[str, Any]], list[Any]]) -> None:
        reading, block = told(
            "rdg", message(reads=[READ | {"obis": "total energy"}], blocks=[BLOCK | {"obis": "load"}])
        )
        (alarm,) = told("evt", message(events=[{"id": "e", "code": "door_open", "ts": "2026-03-29T01:00:04Z"}]))

        assert (reading.reading_type, reading.value, reading.unit) == ("1-0:1.8.0*255", Decimal("12345.60"), "kWh")
        assert (block.reading_type, block.unit) == ("1-0:1.29.0*255", "kWh")
        assert alarm.event_type == "3.12.29.39"

    def test_that_no_row_explains_is_told_as_it_came(self) -> None:
        reads = [READ | {"obis": "odd"}, READ]
        reading, *others = decoded("rdg", message(reads=reads, blocks=[BLOCK | {"obis": "odder"}]))
        (event,) = decoded("evt", message(events=[{"id": "e", "code": "85", "ts": "2026-03-29T01:00:04Z"}]))

        assert reading == Unmapped(
            serial_id=SERIAL, source="channel", code="mqtt: odd", at=AT, value="12345.60", unit="kWh"
        )
        assert others[0] == READING
        assert (others[1].code, others[1].text) == ("mqtt: odder", "2 intervals of 15 minutes")
        assert event == Unmapped(serial_id=SERIAL, source="event", code="mqtt: 85", at=AT)

    def test_in_an_answer_costs_the_answer_nothing(self) -> None:
        unmapped, result = decoded("rsp", response(reads=[READ | {"obis": "odd"}, READ]), correlation="cmd-77")

        assert unmapped.code == "mqtt: odd"
        assert (result.command_key, result.readings) == ("cmd-77", (READING,))

    def test_is_printed_in_full_where_it_is_an_obis_code(self) -> None:
        (reading,) = decoded("rdg", message(reads=[READ | {"obis": "1-0:1.8.0"}]))

        assert reading == READING


class TestState:
    def test_of_a_birth_has_the_meters_found(self) -> None:
        birth = {"v": 1, "src": "DC-1", "state": "online", "meters": [SERIAL, "0000001235"]}

        assert decoded("state", birth) == [
            ConcentratorTold(concentrator="DC-1", at=None, is_online=True, serials=(SERIAL, "0000001235"))
        ]

    def test_of_a_last_will_says_nothing_of_meters(self) -> None:
        will = {"v": 1, "src": "DC-1", "state": "offline"}

        assert decoded("state", will) == [ConcentratorTold(concentrator="DC-1", at=None, is_online=False, serials=None)]

    @pytest.mark.parametrize(
        "wrong", [{"state": "asleep"}, {"src": None}, {"meters": [7]}, {"meters": SERIAL}], ids=str
    )
    def test_is_refused_when_it_makes_no_sense(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(wrong))):
            decoded("state", {"src": "DC-1", "state": "online"} | wrong)


class TestPlace:
    PLACE = Place(kind=Kind.READING, concentrator="DC-1", device=SERIAL)

    @pytest.mark.parametrize(
        ("changes", "is_in_place"),
        [({}, True), ({"meter": "0000009999"}, False), ({"src": "DC-2"}, False), ({"src": None}, False)],
        ids=str,
    )
    def test_is_that_of_the_topic(self, changes: dict[str, Any], is_in_place: bool) -> None:
        body = json.dumps(message(**changes)).encode()

        assert codec.is_in_place(body, self.PLACE) is is_in_place

    def test_of_a_state_needs_no_meter(self) -> None:
        body = json.dumps({"src": "DC-1", "state": "online"}).encode()

        assert codec.is_in_place(body, Place(kind=Kind.STATE, concentrator="DC-1", device=None))

    def test_of_what_cannot_be_read_is_not_doubted(self) -> None:
        assert codec.is_in_place(b"{", self.PLACE)

    def test_of_another_is_shown(self) -> None:
        with pytest.raises(ValueError, match="another meter or concentrator"):
            decoded(codec.MISPLACED, message(reads=[READ]))


class TestDecode:
    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"online"], ids=["empty", "cut", "a list", "a word"])
    def test_refuses_what_is_no_object(self, body: bytes) -> None:
        with pytest.raises(ValueError, match="the body is not"):
            decoded("rdg", body)

    def test_refuses_topics_nobody_tells_under(self) -> None:
        with pytest.raises(ValueError, match="tells nothing under 'cmd'"):
            decoded("cmd", message())
