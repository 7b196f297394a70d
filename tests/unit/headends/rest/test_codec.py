"""The JSON of docs/head_ends/rest.md, read and written without a socket."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import SwitchState
from mdus.domain.head_end import CommandResult, FieldReading, Heard
from mdus.domain.register import Register
from mdus.headends.rest import codec
from tests.unit.headends.samples import AT, CORRELATION, DEVICE, KEY, command, register


def job(*commands: Command, registers: tuple[Register, ...] = ()) -> dict[str, Any]:
    body = codec.job(
        commands,
        kind=commands[0].kind,
        correlation=CORRELATION,
        callback_url="http://mdus/head-ends/city",
        devices={KEY: DEVICE},
        registers={KEY: registers},
    )
    found: dict[str, Any] = json.loads(body)
    return found


def result(**changes: Any) -> dict[str, Any]:
    return {
        "serial": "0000001234",
        "reference": "cmd-77",
        "status": "ok",
        "code": None,
        "text": None,
        "completed_at": "2026-03-29T01:00:04Z",
        "readings": [],
        "switch_state": None,
        "switched_at": None,
    } | changes


def decode(topic: str, body: Any) -> list[Any]:
    return list(codec.decode(topic, body if isinstance(body, bytes) else json.dumps(body).encode()))


def results(*rows: dict[str, Any], kind: str = "read_on_demand") -> list[Any]:
    return decode(
        "results", {"delivery_id": "d", "token": "t-1", "correlation_id": "c-1", "kind": kind, "results": list(rows)}
    )


class TestJob:
    def test_writes_a_switch(self) -> None:
        assert job(command(CommandKind.SWITCH, wanted_state=SwitchState.DISCONNECTED)) == {
            "correlation_id": "0c2f8f0e-2f0c-4d42-9a52-1f3a3c0d7a11",
            "kind": "switch",
            "expires_at": "2026-03-29T02:00:04Z",
            "callback_url": "http://mdus/head-ends/city",
            "devices": [{"serial": "0000001234", "reference": "cmd-77", "state": "disconnected"}],
        }

    def test_lets_a_job_of_switches_expire_with_the_first(self) -> None:
        later = command(CommandKind.SWITCH, wanted_state=SwitchState.CONNECTED, expires_at=AT + timedelta(hours=5))
        sooner = command(CommandKind.SWITCH, wanted_state=SwitchState.CONNECTED)

        assert job(later, sooner)["expires_at"] == "2026-03-29T02:00:04Z"

    def test_lets_a_job_of_reads_expire_with_the_last(self) -> None:
        later = command(CommandKind.READ_ON_DEMAND, expires_at=AT + timedelta(hours=5))

        assert job(command(CommandKind.READ_ON_DEMAND), later)["expires_at"] == "2026-03-29T06:00:04Z"

    @pytest.mark.parametrize("kind", [CommandKind.READ_REGISTERS, CommandKind.READ_INTERVALS])
    def test_writes_the_period_of_stored_values(self, kind: CommandKind) -> None:
        read = command(kind, period_from=AT - timedelta(days=1), period_to=AT)

        assert job(read)["kind"] == kind
        assert job(read)["devices"][0]["period"] == {"from": "2026-03-28T01:00:04Z", "to": "2026-03-29T01:00:04Z"}

    def test_writes_the_registers_of_a_meter(self) -> None:
        provisioning = job(
            command(CommandKind.PROVISION),
            registers=(register(), register(reading_type="1-0:2.8.0*255", factor=Decimal("40.0"), unit="WH")),
        )

        assert provisioning["devices"][0]["commodity"] == "electricity"
        assert provisioning["devices"][0]["registers"] == [
            {"obis": "1-0:1.8.0*255", "unit": "kWh", "digits": 6, "decimals": 2, "factor": "1"},
            {"obis": "1-0:2.8.0*255", "unit": "WH", "digits": 6, "decimals": 2, "factor": "40.0"},
        ]

    @pytest.mark.parametrize(
        ("reading_type", "unit", "commodity"),
        [
            pytest.param("7-0:3.0.0*255", "M3", "gas", id="gas"),
            pytest.param("8-0:1.0.0*255", "MTQ", "water", id="water"),
            pytest.param("9-0:1.0.0*255", "M3", "water", id="warm water"),
        ],
    )
    def test_names_the_commodity_by_the_medium(self, reading_type: str, unit: str, commodity: str) -> None:
        told = job(command(CommandKind.PROVISION), registers=(register(reading_type=reading_type, unit=unit),))

        assert told["devices"][0]["commodity"] == commodity
        assert told["devices"][0]["registers"][0]["unit"] == "m3"

    def test_refuses_a_switch_to_no_state(self) -> None:
        with pytest.raises(ValueError, match="switches to no state"):
            job(command(CommandKind.SWITCH, wanted_state=SwitchState.UNKNOWN))

    def test_refuses_a_read_of_no_period(self) -> None:
        with pytest.raises(ValueError, match="of no period"):
            job(command(CommandKind.READ_REGISTERS, period_to=None))


class TestCanProvision:
    def test_passes_registers_of_one_commodity(self) -> None:
        assert codec.can_provision([register(), register(reading_type="1-0:1.8.1*255")]) is None

    @pytest.mark.parametrize(
        ("types", "reason"),
        [
            pytest.param((), "no register", id="none"),
            pytest.param(("1-0:1.8.0*255", "7-0:3.0.0*255"), "no single commodity", id="two commodities"),
            pytest.param(("KWH_TOTAL",), "no single commodity", id="no OBIS code"),
        ],
    )
    def test_says_why_not(self, types: tuple[str, ...], reason: str) -> None:
        refusal = codec.can_provision([register(reading_type=one) for one in types])

        assert refusal is not None
        assert reason in refusal


class TestDecode:
    def test_reads_the_results_of_a_call(self) -> None:
        reading = {"obis": "1-0:1.8.0*255", "at": "2026-03-29T01:00:04Z", "value": "12345.60", "unit": "kWh"}

        assert results(result(readings=[reading])) == [
            CommandResult(
                command_key="cmd-77",
                correlation="c-1",
                token="t-1",
                serial_id="0000001234",
                succeeded=True,
                code=None,
                text=None,
                acted_at=AT,
                readings=(
                    FieldReading(
                        serial_id="0000001234",
                        reading_type="1-0:1.8.0*255",
                        measured_at=AT,
                        value=Decimal("12345.60"),
                        unit="kWh",
                    ),
                ),
            )
        ]

    def test_takes_the_instant_of_the_operation_from_a_switch(self) -> None:
        switched = result(switch_state="disconnected", switched_at="2026-03-29T01:00:01.5Z")

        (one,) = results(switched, kind="switch")

        assert one.switch_state is SwitchState.DISCONNECTED
        assert one.acted_at == datetime(2026, 3, 29, 1, 0, 1, 500000, tzinfo=UTC)

    def test_takes_the_instant_of_the_reading_from_a_state(self) -> None:
        (one,) = results(result(switch_state="connected", switched_at="2026-01-01T00:00:00Z"), kind="switch_state")

        assert one.acted_at == AT

    @pytest.mark.parametrize(
        ("code", "uncertain"),
        [
            pytest.param("RELAY_STUCK", False, id="relay stuck"),
            pytest.param("EXPIRED", False, id="expired"),
            pytest.param("BUSY", False, id="busy"),
            pytest.param("NO_RESPONSE", True, id="no response"),
            pytest.param("ALIENS", True, id="unknown code"),
        ],
    )
    def test_tells_whether_a_failed_meter_may_have_acted(self, code: str, uncertain: bool) -> None:
        (one,) = results(result(status="failed", code=code, text="why"))

        assert (one.succeeded, one.code, one.text, one.uncertain) == (False, code, "why", uncertain)

    def test_reads_a_fetched_job_like_a_push(self) -> None:
        body = {"token": "t-1", "correlation_id": "c-1", "kind": "switch", "state": "running", "results": [result()]}

        (one,) = decode("job", body)

        assert (one.token, one.correlation) == ("t-1", "c-1")

    def test_reads_snapshots(self) -> None:
        row = {"serial": "0007", "obis": "8-0:1.0.0*255", "at": "2026-03-28T23:00:00Z", "value": "0.000", "unit": "m3"}

        (one,) = decode("readings", {"delivery_id": "d", "readings": [row | {"extra": {"is": "ignored"}}]})

        assert one.serial_id == "0007"
        assert str(one.value) == "0.000"

    def test_keeps_every_digit_of_a_number(self) -> None:
        row = b'{"readings": [{"serial": "1", "obis": "x", "at": "2026-03-28T23:00:00Z", "value": 12345678901234.10}]}'

        (one,) = decode("readings", row)

        assert str(one.value) == "12345678901234.10"

    def test_reads_the_interval_values_of_a_result(self) -> None:
        block = {"obis": "1-0:1.29.0*255", "unit": "kWh", "interval_minutes": 15, "start": "2026-03-29T00:00:00Z"}

        (one,) = results(result(blocks=[block | {"values": ["0.012", None]}]), kind="read_intervals")

        assert [(each.serial_id, list(each.values)) for each in one.intervals] == [
            ("0000001234", [Decimal("0.012"), None])
        ]

    def test_reads_interval_values_pushed(self) -> None:
        block = {"obis": "7-0:3.29.0*255", "unit": "m3", "interval_minutes": 60, "start": "2026-03-29T00:00:00Z"}
        rows = [block | {"serial": serial, "values": ["0.1"]} for serial in ("0007", "0008")]

        told = decode("intervals", {"delivery_id": "d", "blocks": rows})

        assert [(one.serial_id, one.interval_minutes) for one in told] == [("0007", 60), ("0008", 60)]

    def test_reads_events(self) -> None:
        event = {"serial": "0007", "event_id": "e-1", "code": "3.26.0.85", "at": "2026-03-29T01:00:04Z"}

        (one,) = decode("events", {"delivery_id": "d", "events": [event]})

        assert (one.serial_id, one.event_type, one.at, one.source_id) == ("0007", "3.26.0.85", AT, "e-1")

    def test_reads_signs_of_life(self) -> None:
        body = {"meters": [{"serial": "0007", "first": True, "at": "2026-03-29T03:00:04+02:00"}]}

        assert decode("heard", body) == [Heard(serial_id="0007", at=AT)]

    def test_finds_nothing_in_an_empty_push(self) -> None:
        assert decode("readings", {"readings": []}) == []

    @pytest.mark.parametrize(
        ("topic", "body", "mistake"),
        [
            pytest.param("results", b"{", "not JSON", id="cut off"),
            pytest.param("results", b"\xff\xfe", "not JSON", id="not text"),
            pytest.param("results", b"[]", "not a JSON object", id="a list"),
            pytest.param("weather", b"{}", "'weather'", id="unknown topic"),
            pytest.param("results", {}, "results is not a list", id="no results"),
            pytest.param("results", {"results": [7]}, r"results\[0\] is not an object", id="a number"),
            pytest.param("readings", {"readings": [{}]}, r"readings\[0\].serial is missing", id="no serial"),
            pytest.param("heard", {"meters": [{"serial": "1"}]}, r"meters\[0\].at is missing", id="no instant"),
            pytest.param(
                "heard", {"meters": [{"serial": "1", "at": "2026-03-29T01:00:04"}]}, "without zone", id="local instant"
            ),
            pytest.param(
                "heard", {"meters": [{"serial": "1", "at": "soon"}]}, "not an instant", id="no instant at all"
            ),
            pytest.param("heard", {"meters": [{"serial": 1, "at": "x"}]}, "serial is not text", id="serial as number"),
        ],
    )
    def test_says_what_is_wrong_where(self, topic: str, body: Any, mistake: str) -> None:
        with pytest.raises(ValueError, match=mistake):
            decode(topic, body)

    @pytest.mark.parametrize(
        ("changes", "mistake"),
        [
            pytest.param({"reference": None}, r"results\[0\].reference is missing", id="no reference"),
            pytest.param({"status": "maybe"}, "neither ok nor failed", id="unknown status"),
            pytest.param({"status": "failed"}, r"results\[0\].code is missing", id="failed without code"),
            pytest.param({"completed_at": None}, "completed_at is missing", id="no instant"),
            pytest.param({"switch_state": "ajar"}, "'ajar'", id="unknown state"),
            pytest.param({"readings": {}}, "readings is not a list", id="readings not a list"),
        ],
    )
    def test_says_what_is_wrong_with_a_result(self, changes: dict[str, Any], mistake: str) -> None:
        with pytest.raises(ValueError, match=mistake):
            results(result(**changes))

    @pytest.mark.parametrize("value", ["", "1,5", "1e3", "NaN", " 1", "--1", True, None, []], ids=repr)
    def test_refuses_what_is_no_decimal_number(self, value: Any) -> None:
        row = {"serial": "1", "obis": "x", "at": "2026-03-28T23:00:00Z", "value": value}

        with pytest.raises(ValueError, match=r"readings\[0\].value"):
            decode("readings", {"readings": [row]})

    def test_refuses_a_number_that_is_none(self) -> None:
        with pytest.raises(ValueError, match="NaN is no number"):
            decode("readings", b'{"readings": [{"value": NaN}]}')


class TestAnswers:
    def test_reads_token_and_rejections(self) -> None:
        body = {
            "token": "t-1",
            "accepted": 1,
            "rejected": [{"serial": "9", "reference": "cmd-78", "code": "BUSY", "text": "later"}],
        }

        taken = codec.submission(json.dumps(body).encode())

        assert taken.token == "t-1"
        assert [(each.command_key, each.code, each.text) for each in taken.rejections] == [("cmd-78", "BUSY", "later")]

    def test_says_where_a_found_job_is_wrong(self) -> None:
        body = {"jobs": [{"token": "t-1", "rejected": [{"code": "BUSY"}]}]}

        with pytest.raises(ValueError, match=r"jobs\[0\].rejected\[0\].reference is missing"):
            codec.jobs_found(json.dumps(body).encode())

    def test_tells_problems_for_people(self) -> None:
        body = {"title": "Not a job", "status": 422, "detail": "see errors", "errors": ["devices is missing"]}

        assert codec.problem(json.dumps(body).encode()) == "Not a job; see errors; devices is missing"
        assert codec.problem(b"<html>Bad gateway</html>") == "<html>Bad gateway</html>"

    @pytest.mark.parametrize(
        ("errors", "told"),
        [
            pytest.param({"devices": ["missing"]}, "Wrong; {'devices': ['missing']}", id="by field"),
            pytest.param("devices", "Wrong; devices", id="a text"),
            pytest.param({}, "Wrong", id="none"),
            pytest.param(["a\u0000b"], "Wrong; a?b", id="what nothing holds"),
        ],
    )
    def test_tells_problems_of_any_shape(self, errors: Any, told: str) -> None:
        assert codec.problem(json.dumps({"title": "Wrong", "errors": errors}).encode()) == told

    def test_reads_meters(self) -> None:
        body = {
            "meters": [
                {
                    "serial": "0007",
                    "provisioned": True,
                    "device_id": "42",
                    "registers": [{"obis": "1-0:1.8.0*255"}],
                    "first_heard_at": None,
                    "last_heard_at": "2026-03-29T01:00:04Z",
                    "has_breaker": True,
                    "switch_state": "connected",
                }
            ],
            "next_cursor": "abc",
        }

        page = codec.meters_page(json.dumps(body).encode())

        assert page.next_cursor == "abc"
        (meter,) = page.items
        assert (meter.serial_id, meter.device_id, meter.provisioned, meter.has_breaker) == ("0007", "42", True, True)
        assert meter.reading_types == ("1-0:1.8.0*255",)
        assert (meter.first_heard_at, meter.last_heard_at) == (None, AT)
        assert (meter.factors, meter.clock_offset_seconds) == ((), None)

    def test_reads_what_meters_are_held_against(self) -> None:
        registers = [{"obis": "1-0:1.8.0*255", "factor": "40"}, {"obis": "1-0:2.8.0*255", "factor": None}]
        body = {
            "meters": [{"serial": "7", "registers": registers, "clock_offset_seconds": "-2.5", "concentrator": "c-1"}]
        }
        (meter,) = codec.meters_page(json.dumps(body).encode()).items
        assert meter.reading_types == ("1-0:1.8.0*255", "1-0:2.8.0*255")
        assert (meter.factors, meter.clock_offset_seconds) == (
            (("1-0:1.8.0*255", Decimal(40)),),
            Decimal("-2.5"),
        )
        assert meter.concentrator == "c-1"

    @pytest.mark.parametrize(
        ("changes", "where"),
        [
            ({"clock_offset_seconds": ["3"]}, "clock_offset_seconds"),
            ({"clock_offset_seconds": "soon"}, "clock_offset_seconds"),
            ({"registers": [{"obis": "y", "factor": True}]}, "registers[0].factor"),
            ({"registers": [{"obis": "y", "factor": "4O"}]}, "registers[0].factor"),
        ],
    )
    def test_passes_over_a_number_that_is_none(self, changes: dict[str, Any], where: str) -> None:
        sound = {"registers": [{"obis": "x", "factor": "40"}], "clock_offset_seconds": "3"}
        meters = [{"serial": "7", **sound, **changes}, {"serial": "8", **sound}]
        with capture_logs() as logs:
            bad, good = codec.meters_page(json.dumps({"meters": meters}).encode()).items
        assert (good.factors, good.clock_offset_seconds) == ((("x", Decimal(40)),), Decimal(3))
        assert bad.serial_id == "7"
        if "registers" in changes:
            assert (bad.reading_types, bad.factors, bad.clock_offset_seconds) == (("y",), (), Decimal(3))
        else:
            assert (bad.factors, bad.clock_offset_seconds) == (good.factors, None)
        [told] = logs
        assert told["event"] == "number_of_a_meter_not_read"
        assert told["reason"].startswith(f"meters[0].{where} is ")

    @pytest.mark.parametrize(
        ("changes", "mistake"),
        [
            ({"serial": None}, r"meters\[0\].serial is missing"),
            ({"registers": [{"factor": "1"}]}, r"meters\[0\].registers\[0\].obis is missing"),
        ],
    )
    def test_says_what_is_wrong_with_a_meter(self, changes: dict[str, Any], mistake: str) -> None:
        body = {"meters": [{"serial": "7", "registers": [], **changes}]}
        with pytest.raises(ValueError, match=mistake):
            codec.meters_page(json.dumps(body).encode())
