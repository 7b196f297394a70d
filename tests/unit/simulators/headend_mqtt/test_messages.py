"""Commands as concentrators read them, and what they write."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from simulators.headend_mqtt.messages import NotUnderstood, Told, can_part, parts, read, told_of_meters

BODY = {"v": 1, "id": "c-1", "src": "mdus", "meter": "7", "cmd": "ping", "args": {}, "expires": "2026-03-27T12:00:00Z"}


def told(body: dict[str, Any] | bytes, *, topic: str | None = "rsp", correlation: str | None = "c-1") -> Told:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Told(device="7", body=raw, response_topic=topic, correlation=correlation)


class TestReading:
    def test_finds_where_to_answer_beside_the_message(self) -> None:
        ordered = read(told(BODY))

        assert (ordered.key, ordered.kind, ordered.reply_to, ordered.cid) == ("c-1", "ping", "rsp", "c-1")
        assert ordered.expires_at == datetime(2026, 3, 27, 12, tzinfo=UTC)

    def test_finds_where_to_answer_in_the_message(self) -> None:
        ordered = read(told(BODY | {"replyTo": "there", "cid": "x"}, topic=None, correlation=None))

        assert (ordered.reply_to, ordered.cid) == ("there", "x")

    @pytest.mark.parametrize(
        ("cmd", "args", "wish"),
        [
            ("switch", {"state": "connected"}, {"state": "connected"}),
            ("limit_demand", {"limit_kw": None}, {"limit_kw": None}),
            ("show_text", {"text": "x"}, {"text": "x"}),
            (
                "read_registers",
                {"from": "2026-03-26T00:00:00Z", "to": "2026-03-27T00:00:00Z"},
                {"period": {"from": "2026-03-26T00:00:00Z", "to": "2026-03-27T00:00:00Z"}},
            ),
            (
                "provision",
                {"device_id": "D", "registers": [{"obis": "7-0:3.0.0*255"}]},
                {"device_id": "D", "commodity": "gas", "registers": [{"obis": "7-0:3.0.0*255"}]},
            ),
            ("set_time", {}, {}),
        ],
    )
    def test_knows_what_is_asked(self, cmd: str, args: dict[str, Any], wish: dict[str, Any]) -> None:
        found = read(told(BODY | {"cmd": cmd, "args": args})).wish

        assert found == wish | {"reply_to": "rsp", "cid": "c-1"}

    @pytest.mark.parametrize(
        "body",
        [
            b"{",
            b"[]",
            BODY | {"v": 2},
            BODY | {"cmd": "explode"},
            BODY | {"cmd": "control_load"},
            BODY | {"cmd": "switch", "args": {"state": "ajar"}},
            BODY | {"cmd": "read_intervals", "args": {"from": "2026-03-27T00:00:00Z", "to": "2026-03-27T00:00:00Z"}},
            BODY | {"meter": "8"},
            BODY | {"expires": "soon"},
            {name: value for name, value in BODY.items() if name != "id"},
        ],
        ids=str,
    )
    def test_says_whom_to_tell_that_it_was_not_understood(self, body: dict[str, Any] | bytes) -> None:
        with pytest.raises(NotUnderstood) as error:
            read(told(body))

        assert (error.value.reply_to, error.value.cid) == ("rsp", "c-1")

    def test_has_nobody_to_tell_when_nobody_says_whom(self) -> None:
        with pytest.raises(NotUnderstood) as error:
            read(told(BODY, topic=None))

        assert error.value.reply_to is None


class TestTelling:
    def test_is_a_message_for_each_meter(self) -> None:
        rows = [
            {"serial": "7", "obis": "1-0:1.8.0*255", "at": "2026-03-27T00:00:00Z", "value": "1.5", "unit": "kWh"},
            {"serial": "8", "obis": "1-0:1.8.0*255", "at": "2026-03-27T00:00:00Z", "value": "2.5", "unit": "kWh"},
        ]

        assert [
            (serial, kind, len(content["reads"]))
            for serial, kind, content in told_of_meters("readings", {"readings": rows})
        ] == [
            ("7", "rdg", 1),
            ("8", "rdg", 1),
        ]

    def test_of_events_has_a_topic_of_its_own_and_a_message_for_each(self) -> None:
        row = {"serial": "7", "code": "3.26.0.85", "at": "x", "text": None, "properties": {}}
        rows = [row | {"event_id": "e-1"}, row | {"event_id": "e-2"}]

        told = list(told_of_meters("events", {"events": rows}))

        assert [(serial, kind) for serial, kind, _ in told] == [("7", "evt")] * 2
        assert [[each["id"] for each in content["events"]] for _, _, content in told] == [["e-1"], ["e-2"]]


class TestParting:
    def test_leaves_nothing_out(self) -> None:
        whole = {"id": "m", "status": "ok", "reads": [1, 2, 3], "blocks": [], "final": True}

        first, second = parts(whole)

        assert first == {"id": "m-1", "status": "ok", "reads": [1, 2], "blocks": [], "final": False}
        assert second == {"id": "m-2", "status": "ok", "reads": [3], "blocks": [], "final": True}

    @pytest.mark.parametrize(
        ("reads", "blocks", "can"),
        [([], [], False), ([1], [], False), ([1, 2], [], True), ([], [1, 2], True)],
        ids=["nothing", "one-value", "two-readings", "two-blocks"],
    )
    def test_needs_two_values(self, reads: list[int], blocks: list[int], can: bool) -> None:
        assert can_part({"reads": reads, "blocks": blocks}) is can
