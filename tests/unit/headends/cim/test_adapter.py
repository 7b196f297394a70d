"""What the replies of a head end mean, and a call that broke off, over real HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import SwitchState
from mdus.domain.head_end import FieldReading, Heard, RawDelivery
from mdus.headends.cim.adapter import HEAD_END, CimHeadEnd
from mdus.headends.cim.decoding import ANSWERED, LAST_ANSWER
from mdus.messaging.retry import TransientError, UncertainError
from tests.unit.headends.cim.messages import (
    ENERGY,
    command,
    created,
    error,
    event,
    meter_reading,
    reading,
    reply,
    soap,
    switch,
    tables,
)
from tests.unit.headends.cim.scripted import ScriptedCim, connected, row
from tests.unit.headends.samples import AT, CORRELATION, SERIAL, batch

OTHER = "11111111-2222-5333-8444-555555555555"
VOLTAGE = "0.0.0.12.0.1.158.0.0.0.0.0.0.0.129.0.29.0"  # has a row, and no register
ACKNOWLEDGED = reply("EndDeviceControls", errors=[error("0.3")])


def two() -> tuple[Command, Command]:
    return switch(), switch(command_key=OTHER, serial_id="9")


class TestReplies:
    def test_an_acknowledgement_is_accepted(self, head_end: CimHeadEnd, scripted: ScriptedCim) -> None:
        scripted.answer(ACKNOWLEDGED)

        taken = head_end.submit(batch(switch()))

        assert (taken.token, taken.rejections, taken.deliveries) == ("m-1", (), ())

    def test_nothing_but_202_is_an_acknowledgement(self, head_end: CimHeadEnd, scripted: ScriptedCim) -> None:
        scripted.answer(b"", status=202)

        assert head_end.submit(batch(switch())).token == CORRELATION

    def test_results_given_at_once_are_delivered(self, head_end: CimHeadEnd, scripted: ScriptedCim) -> None:
        body = reply("MeterReadings", meter_reading(reading()))
        scripted.answer(body)

        (delivery,) = head_end.submit(batch(command(CommandKind.READ_ON_DEMAND))).deliveries

        assert (delivery.topic, delivery.correlation, delivery.body) == (ANSWERED, CORRELATION, body)

    def test_a_meter_that_is_refused_is_rejected(self, head_end: CimHeadEnd, scripted: ScriptedCim) -> None:
        scripted.answer(
            reply(
                "EndDeviceControls", result="PARTIAL", errors=[error("0.3"), error("2.4", serial="9", reason="what?")]
            )
        )

        taken = head_end.submit(batch(*two()))

        assert [(each.command_key, each.code, each.text) for each in taken.rejections] == [
            (OTHER, "UNKNOWN_METER", "2.4 what?")
        ]
        assert taken.token == "m-1"

    def test_a_meter_that_was_attempted_is_a_result_in_doubt(self, head_end: CimHeadEnd, scripted: ScriptedCim) -> None:
        scripted.answer(reply("EndDeviceControls", result="PARTIAL", errors=[error("5.3", serial=SERIAL)]))

        taken = head_end.submit(batch(*two()))

        assert taken.rejections == ()
        (result,) = decoded(taken.deliveries[0])
        assert (result.serial_id, result.uncertain) == (SERIAL, True)

    @pytest.mark.parametrize("code", ["3.2", "5.1", "5.2", "7.1"])
    def test_a_message_may_be_tried_again_later(self, head_end: CimHeadEnd, scripted: ScriptedCim, code: str) -> None:
        scripted.answer(reply("EndDeviceControls", result="FAILED", errors=[error(code)]))

        with pytest.raises(TransientError, match=f"takes nothing now: {code}"):
            head_end.submit(batch(switch()))

    def test_a_time_out_of_a_read_is_tried_again_of_a_switch_leaves_doubt(
        self, head_end: CimHeadEnd, scripted: ScriptedCim
    ) -> None:
        scripted.answer(reply("MeterReadings", result="FAILED", errors=[error("4.1")]))
        scripted.answer(reply("EndDeviceControls", result="FAILED", errors=[error("4.1")]))

        with pytest.raises(TransientError):
            head_end.submit(batch(command(CommandKind.READ_ON_DEMAND)))
        with pytest.raises(UncertainError):
            head_end.submit(batch(switch()))

    def test_a_message_of_too_many_items_is_halved(self, scripted: ScriptedCim) -> None:
        head_end = connected(scripted, devices_per_call=500)
        scripted.answer(reply("EndDeviceControls", result="FAILED", errors=[error("3.1")]))

        with pytest.raises(TransientError, match="takes fewer in a message, 1 from now on"):
            head_end.submit(batch(*two()))

        assert head_end.batch_size == 1

    def test_one_item_of_too_many_is_rejected(self, head_end: CimHeadEnd, scripted: ScriptedCim) -> None:
        scripted.answer(reply("EndDeviceControls", result="FAILED", errors=[error("3.1")]))

        assert [each.code for each in head_end.submit(batch(switch())).rejections] == ["BATCH_REFUSED"]
        assert head_end.batch_size == 1000

    @pytest.mark.parametrize("code", ["5.3", "5.4", "9.9"])
    def test_a_switch_that_was_attempted_is_uncertain(
        self, head_end: CimHeadEnd, scripted: ScriptedCim, code: str
    ) -> None:
        scripted.answer(reply("EndDeviceControls", result="FAILED", errors=[error(code)]))

        with pytest.raises(UncertainError, match="may have begun"):
            head_end.submit(batch(switch()))

    @pytest.mark.parametrize("code", ["5.1", "2.9", "3.1"])
    @pytest.mark.parametrize("about", [{"serial": SERIAL}, {"mrid": OTHER}], ids=["meter", "control"])
    @pytest.mark.parametrize(
        "kind", [CommandKind.SWITCH, CommandKind.LIMIT_DEMAND, CommandKind.SET_TIME], ids=lambda kind: kind.value
    )
    def test_a_control_that_was_attempted_leaves_doubt_whatever_is_said_of_all(
        self,
        head_end: CimHeadEnd,
        scripted: ScriptedCim,
        kind: CommandKind,
        about: dict[str, str],
        code: str,
    ) -> None:
        scripted.answer(reply("EndDeviceControls", result="FAILED", errors=[error(code), error("5.3", **about)]))
        wanted = {"wanted_state": SwitchState.DISCONNECTED} if kind is CommandKind.SWITCH else {}
        asked = batch(command(kind, **wanted), command(kind, command_key=OTHER, serial_id="9", **wanted))

        if kind is not CommandKind.SET_TIME:
            with pytest.raises(UncertainError, match=r"may have begun it: 5\.3"):
                head_end.submit(asked)
        elif code == "2.9":
            assert {each.code for each in head_end.submit(asked).rejections} == {"BATCH_REFUSED"}
        else:
            with pytest.raises(TransientError):
                head_end.submit(asked)

    def test_a_switch_that_was_not_attempted_leaves_none(self, head_end: CimHeadEnd, scripted: ScriptedCim) -> None:
        scripted.answer(reply("EndDeviceControls", result="FAILED", errors=[error("5.1"), error("5.2", serial=SERIAL)]))

        with pytest.raises(TransientError):
            head_end.submit(batch(*two()))

    @pytest.mark.parametrize("code", ["1.5", "1.8", "2.9", "2.15", "7.2", "7.7", "5.9", "6.5"])
    def test_what_never_passes_is_rejected_for_all(
        self, head_end: CimHeadEnd, scripted: ScriptedCim, code: str
    ) -> None:
        scripted.answer(reply("EndDeviceControls", result="FAILED", errors=[error(code, reason="no")]))

        taken = head_end.submit(batch(*two()))

        assert [each.text for each in taken.rejections] == [f"{code} no"] * 2
        assert taken.token == ""

    def test_a_fault_is_read_by_the_code_in_its_detail(self, head_end: CimHeadEnd, scripted: ScriptedCim) -> None:
        failed = f"<Reply><Result>FAILED</Result>{error('3.2')}</Reply>"
        scripted.answer(
            soap(
                "<s:Fault><faultcode>s:Server</faultcode><faultstring>x</faultstring>"
                f"<detail><FaultMessage>{failed}</FaultMessage></detail></s:Fault>"
            ),
            status=500,
        )

        with pytest.raises(TransientError, match=r"3\.2"):
            head_end.submit(batch(switch()))

    @pytest.mark.parametrize(("code", "kind"), [("Client", "rejected"), ("Server", "uncertain")])
    def test_a_bare_fault_is_read_by_whose_it_is(
        self, head_end: CimHeadEnd, scripted: ScriptedCim, code: str, kind: str
    ) -> None:
        scripted.answer(
            soap(f"<s:Fault><faultcode>s:{code}</faultcode><faultstring>no such thing</faultstring></s:Fault>"),
            status=500,
        )

        if kind == "uncertain":
            with pytest.raises(UncertainError, match="no such thing"):
                head_end.submit(batch(switch()))
        else:
            assert [each.code for each in head_end.submit(batch(switch())).rejections] == ["BATCH_REFUSED"]

    def test_a_meter_not_named_in_what_failed_failed_too(self, head_end: CimHeadEnd, scripted: ScriptedCim) -> None:
        scripted.answer(reply("EndDeviceControls", result="FAILED", errors=[error("2.4", serial="9")]))

        taken = head_end.submit(batch(*two()))

        assert [each.command_key for each in taken.rejections] == [OTHER]
        assert taken.deliveries[0].topic == LAST_ANSWER
        assert [(each.serial_id, each.succeeded) for each in decoded(taken.deliveries[0])] == [
            ("9", False),
            ("", False),
        ]

    @pytest.mark.parametrize(
        ("asked", "answer", "succeeded"),
        [
            pytest.param(switch(), reply("EndDeviceControls"), True, id="done"),
            pytest.param(command(CommandKind.READ_ON_DEMAND), reply("MeterReadings"), False, id="nothing read"),
        ],
    )
    def test_a_reply_in_a_word_is_of_all_where_nothing_comes_later(
        self, scripted: ScriptedCim, asked: Command, answer: bytes, succeeded: bool
    ) -> None:
        scripted.answer(answer)

        (delivery,) = connected(scripted, callback=False).submit(batch(asked)).deliveries

        assert scripted.text("Header/AsyncReplyFlag") == "false"
        assert [(each.serial_id, each.succeeded) for each in decoded(delivery)] == [("", succeeded)]


class TestBrokenCalls:
    @pytest.mark.parametrize("status", [401, 403, 404, 405, 408, 429, 503])
    def test_may_be_tried_again_when_nothing_was_done(
        self, head_end: CimHeadEnd, scripted: ScriptedCim, status: int
    ) -> None:
        scripted.answer(b"<html>not now</html>", status=status)

        with pytest.raises(TransientError, match=f"HTTP {status}: <html>not now"):
            head_end.submit(batch(switch()))

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            pytest.param(500, b"<html>oops</html>", id="page of an error"),
            pytest.param(502, b"", id="gateway"),
            pytest.param(200, b"", id="nothing"),
            pytest.param(200, b"<html>it works</html>", id="page"),
            pytest.param(200, None, id="broken off"),
            pytest.param(302, b"", id="elsewhere"),
        ],
    )
    def test_are_uncertain_when_it_may_have_been_done(
        self, head_end: CimHeadEnd, scripted: ScriptedCim, status: int, body: bytes | None
    ) -> None:
        scripted.answer(body, status=status)

        with pytest.raises(UncertainError, match="city"):
            head_end.submit(batch(switch()))

    @pytest.mark.parametrize("status", [400, 413, 415, 422])
    def test_reject_what_never_passes(self, head_end: CimHeadEnd, scripted: ScriptedCim, status: int) -> None:
        scripted.answer(b"no", status=status)

        assert [each.text for each in head_end.submit(batch(switch())).rejections] == [f"Client HTTP {status}: no"]

    def test_are_never_sent_where_nobody_listens(self, scripted: ScriptedCim) -> None:
        head_end = connected(scripted)
        scripted.close()

        with pytest.raises(TransientError, match="cannot be reached"):
            head_end.submit(batch(switch()))


class TestFinding:
    def test_asks_by_the_id_of_the_call(self, scripted: ScriptedCim) -> None:
        scripted.answer(reply("EndDeviceControls", result="PARTIAL", errors=[error("0.3"), error("2.4", mrid=OTHER)]))

        found = connected(scripted, finds_calls=True).find(CORRELATION)

        assert found is not None
        assert found.token == "m-1"
        assert [(each.command_key, each.code) for each in found.rejections] == [(OTHER, "UNKNOWN_METER")]
        assert scripted.text("Header/Noun") == "EndDeviceControls"
        assert scripted.text("Request/ID") == CORRELATION

    def test_finds_nothing_where_the_call_is_not_known(self, scripted: ScriptedCim) -> None:
        scripted.answer(reply("EndDeviceControls", result="FAILED", errors=[error("2.15")]))

        assert connected(scripted, finds_calls=True).find(CORRELATION) is None

    def test_says_when_it_cannot_find_out(self, scripted: ScriptedCim) -> None:
        scripted.answer(reply("EndDeviceControls", result="FAILED", errors=[error("5.1")]))

        with pytest.raises(TransientError):
            connected(scripted, finds_calls=True).find(CORRELATION)

    def test_asks_nothing_of_a_head_end_that_does_not_know_calls(
        self, head_end: CimHeadEnd, scripted: ScriptedCim
    ) -> None:
        assert head_end.find(CORRELATION) is None
        assert scripted.sent == []


class TestAnAnswerThatIsTooLarge:
    def test_leaves_a_switch_in_doubt_and_a_smaller_one_is_read(self, scripted: ScriptedCim) -> None:
        head_end = connected(scripted, max_answer_bytes=5000)
        scripted.answer(reply("EndDeviceControls", errors=[error("0.3")]) + b" " * 3000)
        assert head_end.submit(batch(switch())).rejections == ()

        scripted.answer(reply("EndDeviceControls", errors=[error("0.3")]) + b" " * 5000)
        with pytest.raises(UncertainError, match=r"city has \d+ bytes, and head_ends.city.max_answer_bytes is 5000"):
            head_end.submit(batch(switch()))

    def test_is_asked_for_again_where_nothing_was_to_be_done(self, scripted: ScriptedCim) -> None:
        head_end = connected(scripted, max_answer_bytes=5000)
        scripted.answer(reply("MeterReadings", meter_reading(reading())) + b" " * 5000)

        with pytest.raises(TransientError, match="max_answer_bytes"):
            list(head_end.snapshots(period_from=TestAsking.FROM, period_to=TestAsking.TO))


class TestAsking:
    FROM, TO = datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 3, 28, 12, tzinfo=UTC)

    def test_for_values_goes_in_steps_and_yields_what_is_there(
        self, head_end: CimHeadEnd, scripted: ScriptedCim
    ) -> None:
        scripted.answer(reply("MeterReadings", meter_reading(reading())))
        scripted.answer(reply("MeterReadings", result="FAILED", errors=[error("5.7")]))

        (page,) = head_end.snapshots(period_from=self.FROM, period_to=self.TO)

        assert [type(each) for each in decoded(page)] == [FieldReading]
        assert scripted.text("Header/AsyncReplyFlag") == "false"
        assert scripted.text("Request/StartTime") == "2026-03-28T00:00:00Z"
        assert scripted.text("Request/EndTime") == "2026-03-28T12:00:00Z"

    def test_for_events_names_the_noun(self, head_end: CimHeadEnd, scripted: ScriptedCim) -> None:
        scripted.answer(reply("EndDeviceEvents", event("3.26.0.85")))

        (page,) = head_end.events(period_from=self.FROM, period_to=self.TO)

        assert [each.event_type for each in decoded(page)] == ["3.26.0.85"]
        assert scripted.elements("Request/GetEndDeviceEvents")

    def test_for_what_it_does_not_tell_asks_nothing(self, scripted: ScriptedCim) -> None:
        head_end = connected(scripted, asks_for=())

        assert list(head_end.intervals(period_from=self.FROM, period_to=self.TO)) == []
        assert list(head_end.events(period_from=self.FROM, period_to=self.TO)) == []
        assert list(head_end.meters()) == []
        assert scripted.sent == []

    @pytest.mark.parametrize("body", [b"", reply("MeterReadings", result="FAILED", errors=[error("5.1")])])
    def test_may_be_tried_again_whatever_went_wrong(
        self, head_end: CimHeadEnd, scripted: ScriptedCim, body: bytes
    ) -> None:
        scripted.answer(body)

        with pytest.raises(TransientError):
            list(head_end.snapshots(period_from=self.FROM, period_to=self.TO))

    def test_for_the_registry_reads_its_meters(self, head_end: CimHeadEnd, scripted: ScriptedCim) -> None:
        def named(name: str, of_type: str) -> str:
            return f"<Names><name>{name}</name><NameType><name>{of_type}</name></NameType></Names>"

        meters = (
            f"<Meter>{named(SERIAL, 'MeterNumber')}{named('10042', 'UtilitiesDeviceID')}"
            "<ConnectDisconnectFunction><isConnected>true</isConnected></ConnectDisconnectFunction>"
            "<MeterMultipliers><kind>transformerRatio</kind><value>40</value></MeterMultipliers>"
            "<SimpleEndDeviceFunction><Registers><Channels>"
            f'<ReadingType ref="{ENERGY}"/></Channels></Registers><Registers><Channels>'
            f'<ReadingType ref="{VOLTAGE}"/></Channels></Registers></SimpleEndDeviceFunction>'
            "<status><dateTime>2026-03-29T01:00:04Z</dateTime><value>active</value></status></Meter>"
            "<Meter><serialNumber>9</serialNumber><status><value>unprovisioned</value></status></Meter>"
        )
        scripted.answer(reply("MeterConfig", meters))

        served, unknown = head_end.meters()

        assert (served.serial_id, served.device_id, served.provisioned) == (SERIAL, "10042", True)
        assert served.reading_types == ("1-0:1.8.0*255",)
        assert served.factors == (("1-0:1.8.0*255", Decimal(40)),)
        assert (served.has_breaker, served.switch_state) == (True, SwitchState.CONNECTED)
        assert (served.first_heard_at, served.last_heard_at) == (AT, AT)
        assert (unknown.serial_id, unknown.provisioned, unknown.has_breaker, unknown.factors) == ("9", False, False, ())

    @pytest.mark.parametrize("factor", ["NaN", "1E+1000000", "many"])
    def test_for_the_registry_takes_no_factor_that_is_no_number(
        self, head_end: CimHeadEnd, scripted: ScriptedCim, factor: str
    ) -> None:
        meter = (
            f"<Meter><serialNumber>9</serialNumber><MeterMultipliers><value>{factor}</value></MeterMultipliers>"
            "<SimpleEndDeviceFunction><Registers><Channels>"
            f'<ReadingType ref="{ENERGY}"/></Channels></Registers></SimpleEndDeviceFunction></Meter>'
        )
        scripted.answer(reply("MeterConfig", meter))

        assert [each.factors for each in head_end.meters()] == [()]


class TestKind:
    def test_takes_every_command(self) -> None:
        assert HEAD_END.capabilities == frozenset(CommandKind)

    def test_decodes_by_the_options_of_the_row(self) -> None:
        by_options = HEAD_END.decoder(tables(), row("http://x", options={"heard_events": ["26.0.85"]}))

        body = created("EndDeviceEvents", event("3.26.0.85"))
        (told,) = by_options(RawDelivery(topic="cim", correlation="", body=body))
        assert isinstance(told, Heard)


def decoded(delivery: Any) -> list[Any]:
    return list(HEAD_END.decoder(tables(), row("http://x"))(delivery))
