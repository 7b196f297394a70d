"""What replies say of commands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mdus.domain.end_device import SwitchState
from mdus.domain.head_end import (
    CommandResult,
    FieldReading,
)
from mdus.headends.cim.decoding import ANSWERED, LAST_ANSWER, TOLD
from tests.unit.headends.cim.messages import (
    COMMAND_KEY,
    block,
    control,
    created,
    decode,
    error,
    meter_reading,
    reading,
    reply,
)
from tests.unit.headends.samples import AT, CORRELATION, SERIAL, stored_reading

OTHER = "0000005678"
MIDNIGHT = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
RELAY = "0.0.0.12.0.1.1.0.0.0.0.0.0.0.0.0.0.0"


class TestReplies:
    def test_of_readings_are_results_by_meter(self) -> None:
        body = reply(
            "MeterReadings",
            meter_reading(reading()),
            result="PARTIAL",
            errors=[error("0.2"), error("4.1", serial=OTHER, reason="no answer")],
        )

        read, failed = decode(body)

        assert read == CommandResult(
            command_key=None,
            correlation=CORRELATION,
            token=None,
            serial_id=SERIAL,
            succeeded=True,
            code=None,
            text=None,
            acted_at=AT,
            readings=(stored_reading(),),
        )
        assert (failed.serial_id, failed.succeeded, failed.code) == (OTHER, False, "NO_RESPONSE")
        assert failed.text == "4.1 no answer"

    def test_created_readings_of_a_call_are_its_results(self) -> None:
        body = created("MeterReadings", meter_reading(reading()), correlation=CORRELATION)

        assert isinstance(decode(body)[0], CommandResult)
        assert isinstance(decode(body, created_answers=False)[0], FieldReading)

    def test_created_readings_of_a_call_that_is_none_of_ours_are_told_by_themselves(self) -> None:
        body = created("MeterReadings", meter_reading(reading()), correlation="schedule-17")

        assert decode(body) == [stored_reading()]

    def test_what_a_gateway_calls_a_push_makes_no_answer_of_it(self) -> None:
        created_unasked = created("MeterReadings", meter_reading(reading()))
        replied = reply("MeterReadings", meter_reading(reading()), correlation=None)

        assert decode(created_unasked, correlation=CORRELATION) == [stored_reading()]
        assert decode(replied, correlation=CORRELATION) == [stored_reading()]

    def test_keep_a_command_open_while_more_follows(self) -> None:
        body = reply("MeterReadings", meter_reading(reading()), result="PARTIAL", errors=[error("0.1")])

        assert [each.is_final for each in decode(body)] == [False]
        assert [each.is_final for each in decode(body, parts="by_meter")] == [True]

    def test_close_it_with_the_last_part(self) -> None:
        body = reply("MeterReadings", meter_reading(reading()), result="PARTIAL", errors=[error("0.2")])

        assert [each.is_final for each in decode(body)] == [True]

    def test_end_a_meter_that_failed_whatever_follows(self) -> None:
        body = reply("MeterReadings", result="PARTIAL", errors=[error("0.1"), error("2.4", serial=OTHER)])

        assert [(each.is_final, each.code) for each in decode(body)] == [(True, "UNKNOWN_METER")]

    def test_of_a_meter_without_values_say_that_there_is_none(self) -> None:
        assert [each.code for each in decode(reply("MeterReadings", meter_reading()))] == ["NO_DATA"]

    def test_of_a_meter_that_lacks_one_channel_are_a_success(self) -> None:
        body = reply("MeterReadings", meter_reading(reading()), result="PARTIAL", errors=[error("5.6", serial=SERIAL)])

        assert [each.succeeded for each in decode(body)] == [True]

    def test_of_controls_carry_the_key_we_gave(self) -> None:
        body = reply("EndDeviceControls", control(acted_at="2026-03-29T01:00:04Z"), typed=True)

        (result,) = decode(body)

        assert (result.command_key, result.serial_id, result.succeeded) == (COMMAND_KEY, SERIAL, True)
        assert (result.switch_state, result.acted_at) == (SwitchState.DISCONNECTED, AT)

    @pytest.mark.parametrize(
        ("acted_at", "at"),
        [
            pytest.param("2026-10-25T02:30:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC), id="there twice"),
            pytest.param("2026-03-29T02:30:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC), id="skipped"),
            pytest.param("yesterday", datetime(2026, 3, 29, 1, 0, 9, tzinfo=UTC), id="no time, but that of the reply"),
        ],
    )
    def test_of_controls_are_not_lost_for_their_time(self, acted_at: str, at: datetime) -> None:
        body = reply("EndDeviceControls", control(acted_at=acted_at))

        (result,) = decode(body, zone_of_local_times="Europe/Berlin")

        assert (result.succeeded, result.switch_state, result.acted_at) == (True, SwitchState.DISCONNECTED, at)

    def test_that_name_a_control_fail_it(self) -> None:
        body = reply(
            "EndDeviceControls", control(), result="FAILED", errors=[error("5.3", mrid=COMMAND_KEY, reason="timeout")]
        )

        (result,) = decode(body)

        assert (result.command_key, result.serial_id, result.code) == (COMMAND_KEY, SERIAL, "ATTEMPT_FAILED")
        assert (result.uncertain, result.switch_state) == (True, None)

    @pytest.mark.parametrize(
        ("code", "uncertain"),
        [("5.3", True), ("4.1", True), ("5.4", True), ("9.9", True), ("5.2", False), ("2.4", False)],
    )
    def test_leave_a_control_in_doubt_unless_nothing_was_begun(self, code: str, uncertain: bool) -> None:
        result = decode(reply("EndDeviceControls", result="PARTIAL", errors=[error(code, serial=SERIAL)]))[0]

        assert (result.succeeded, result.uncertain) == (False, uncertain)

    def test_that_tell_where_the_breaker_stands_leave_no_doubt(self) -> None:
        body = reply(
            "EndDeviceControls",
            control(state="connected"),
            result="FAILED",
            errors=[error("5.3", mrid=COMMAND_KEY, reason="the breaker did not move")],
        )

        (result,) = decode(body)

        assert (result.code, result.switch_state, result.uncertain) == ("RELAY_STUCK", SwitchState.CONNECTED, False)

    def test_of_a_meter_that_is_only_armed_leave_it_disconnected(self) -> None:
        body = reply(
            "EndDeviceControls",
            control("3.31.0.18"),
            result="FAILED",
            errors=[error("5.3", mrid=COMMAND_KEY, reason="armed")],
        )

        (result,) = decode(body)

        assert (result.code, result.switch_state, result.uncertain) == ("ARMED", SwitchState.DISCONNECTED, False)

    def test_say_more_exactly_in_words_than_by_code(self) -> None:
        def code(reason: str, **options: Any) -> str:
            body = reply("EndDeviceControls", result="FAILED", errors=[error("2.4", serial=SERIAL, reason=reason)])
            return str(decode(body, **options)[0].code)

        assert code("the meter has no breaker") == "NO_BREAKER"
        assert code("armed: press the button") == "ARMED"
        assert code("kein Schalter") == "UNKNOWN_METER"
        assert code("kein Schalter", reasons={"NO_BREAKER": "kein schalter"}) == "NO_BREAKER"

    def test_that_fail_for_all_fail_every_control_they_name(self) -> None:
        body = reply("EndDeviceControls", control(), result="FAILED", errors=[error("5.1")])

        assert [(each.succeeded, each.code, each.uncertain) for each in decode(body)] == [(False, "BUSY", False)]

    def test_tell_the_position_of_a_breaker(self) -> None:
        meter = (
            f"<EndDevice><mRID>{SERIAL}</mRID><ConnectDisconnectFunction><isConnected>false</isConnected>"
            "</ConnectDisconnectFunction></EndDevice>"
        )

        (result,) = decode(reply("EndDeviceConfig", meter))

        assert (result.serial_id, result.switch_state) == (SERIAL, SwitchState.DISCONNECTED)

    @pytest.mark.parametrize(
        ("value", "state"), [("closed", SwitchState.CONNECTED), ("0", SwitchState.DISCONNECTED), ("maybe", None)]
    )
    def test_tell_the_position_as_a_reading(self, value: str, state: SwitchState | None) -> None:
        body = reply("MeterReadings", meter_reading(reading(value, mrid=RELAY)))

        result = decode(body, relay_reading_type=RELAY)[0]

        assert (result.switch_state, result.succeeded) == (state, True)

    @pytest.mark.parametrize(
        ("read_at", "at"),
        [
            pytest.param("2026-10-25T02:30:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC), id="there twice"),
            pytest.param("2026-03-29T02:30:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC), id="skipped"),
            pytest.param("2026-10-25T02:30:00+01:00", datetime(2026, 10, 25, 1, 30, tzinfo=UTC), id="with an offset"),
            pytest.param("yesterday", datetime(2026, 3, 29, 1, 0, 9, tzinfo=UTC), id="no time, but that of the reply"),
        ],
    )
    def test_that_tell_the_position_as_a_reading_are_not_lost_for_its_time(self, read_at: str, at: datetime) -> None:
        body = reply("MeterReadings", meter_reading(reading("open", mrid=RELAY, at=read_at)))

        (result,) = decode(body, relay_reading_type=RELAY, zone_of_local_times="Europe/Berlin")

        assert (result.succeeded, result.switch_state, result.acted_at) == (True, SwitchState.DISCONNECTED, at)

    def test_that_tell_the_position_in_a_block_are_not_lost_for_its_time(self) -> None:
        body = reply("MeterReadings", meter_reading(block(("2026-10-25T02:30:00", "closed"), mrid=RELAY)))

        (result,) = decode(body, relay_reading_type=RELAY, zone_of_local_times="Europe/Berlin")

        assert (result.switch_state, result.acted_at) == (
            SwitchState.CONNECTED,
            datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        )

    def test_that_tell_the_position_lose_a_register_at_a_time_that_is_there_twice(self) -> None:
        at = "2026-10-25T02:30:00"
        body = reply("MeterReadings", meter_reading(reading(at=at), reading("open", mrid=RELAY, at=at)))

        mistake, result = decode(body, relay_reading_type=RELAY, zone_of_local_times="Europe/Berlin")

        assert (result.switch_state, result.readings) == (SwitchState.DISCONNECTED, ())
        assert "there twice" in mistake.reason

    def test_that_name_no_position_tell_what_they_say(self) -> None:
        body = reply("MeterReadings", meter_reading(reading("maybe", mrid=RELAY, quality="1.5.257")))

        _, unmapped = decode(body, relay_reading_type=RELAY)

        assert (unmapped.code, unmapped.value, unmapped.text) == (f"mrid: {RELAY}", "maybe", "1.5.257")

    def test_that_give_back_what_they_acknowledge_say_nothing(self) -> None:
        assert decode(reply("EndDeviceControls", control(), errors=[error("0.3")])) == []

    @pytest.mark.parametrize("code", ["0.3", "6.2", "0.1"])
    def test_that_only_acknowledge_say_nothing(self, code: str) -> None:
        assert decode(reply("EndDeviceControls", errors=[error(code)])) == []

    @pytest.mark.parametrize(
        ("noun", "result", "codes", "succeeded", "code", "uncertain"),
        [
            pytest.param("EndDeviceControls", "OK", [], True, None, False, id="done"),
            pytest.param("EndDeviceControls", "OK", ["0.0"], True, None, False, id="done, with a code"),
            pytest.param("EndDeviceControls", "FAILED", ["5.3"], False, "ATTEMPT_FAILED", True, id="attempted"),
            pytest.param("EndDeviceControls", "FAILED", [], False, "ATTEMPT_FAILED", True, id="nobody says why"),
            pytest.param("EndDeviceControls", "FAILED", ["5.9"], False, "ABORTED", False, id="aborted"),
            pytest.param("MeterReadings", "OK", [], False, "NO_DATA", False, id="read, and nothing there"),
            pytest.param("MeterReadings", "FAILED", ["4.1"], False, "NO_RESPONSE", True, id="read in vain"),
            pytest.param("EndDeviceConfig", "OK", [], False, "NO_DATA", False, id="a position nobody tells"),
        ],
    )
    def test_that_name_nobody_are_of_all(
        self, noun: str, result: str, codes: list[str], succeeded: bool, code: str | None, uncertain: bool
    ) -> None:
        (found,) = decode(reply(noun, result=result, errors=[error(each) for each in codes]))

        assert (found.serial_id, found.command_key, found.correlation) == ("", None, CORRELATION)
        assert (found.succeeded, found.code, found.uncertain) == (succeeded, code, uncertain)

    def test_of_controls_that_name_what_failed_are_a_success_for_the_rest(self) -> None:
        failed, rest = decode(
            reply("EndDeviceControls", result="PARTIAL", errors=[error("0.2"), error("5.2", serial=OTHER)])
        )

        assert (failed.serial_id, failed.succeeded) == (OTHER, False)
        assert (rest.serial_id, rest.succeeded) == ("", True)

    def test_of_controls_that_are_not_the_last_say_nothing_of_the_rest(self) -> None:
        told = decode(reply("EndDeviceControls", result="PARTIAL", errors=[error("5.2", serial=OTHER)]))

        assert [each.serial_id for each in told] == [OTHER]

    def test_of_controls_that_failed_are_a_failure_for_the_rest(self) -> None:
        _, rest = decode(reply("EndDeviceControls", result="FAILED", errors=[error("5.2", serial=OTHER)]))

        assert (rest.serial_id, rest.succeeded, rest.uncertain) == ("", False, True)

    def test_of_reads_that_name_what_failed_say_nothing_of_the_rest(self) -> None:
        told = decode(reply("MeterReadings", result="PARTIAL", errors=[error("0.2"), error("4.1", serial=OTHER)]))

        assert [each.serial_id for each in told] == [OTHER]

    def test_given_at_once_say_nothing_of_what_comes_later(self) -> None:
        body = reply("EndDeviceControls", result="FAILED", errors=[error("5.3", serial=OTHER)])

        assert [each.serial_id for each in decode(body, topic=ANSWERED, correlation=CORRELATION)] == [OTHER]
        assert [each.serial_id for each in decode(body, topic=LAST_ANSWER, correlation=CORRELATION)] == [OTHER, ""]

    def test_to_a_question_of_ours_are_nobodys_results(self) -> None:
        assert decode(reply("MeterReadings", meter_reading(reading())), topic=TOLD) == [stored_reading()]

    def test_given_at_once_answer_the_call_they_answered(self) -> None:
        body = reply("MeterReadings", meter_reading(reading()), correlation="of another")

        (result,) = decode(body, topic=ANSWERED, correlation=CORRELATION)

        assert result.correlation == CORRELATION
