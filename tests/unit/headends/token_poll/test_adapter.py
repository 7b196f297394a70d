"""Batches over real HTTP: the token, the rejections, what is fetched, and what keeps a breaker open."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from mdus.bootstrap.tables import SHARED_TABLES
from mdus.domain.channel_map import ChannelMap, ChannelRow
from mdus.domain.command import CommandKind
from mdus.domain.end_device import SwitchState
from mdus.domain.head_end import RawDelivery, Submission
from mdus.headends.token_poll import HEAD_END
from mdus.headends.token_poll.adapter import TokenPollHeadEnd
from mdus.messaging.retry import TransientError, UncertainError
from mdus.settings import load_settings
from tests.unit.headends.samples import AT, CORRELATION, batch, command, provisioning, register, switch
from tests.unit.headends.token_poll.messages import CHANNELS, METER, endpoint, row
from tests.unit.headends.token_poll.scripted import Scripted, ScriptedTokenPoll, answer, fault

DETECT = "DetectLoadSideVoltageByMeter"
DETECTED = f"Get{DETECT}Result"


def rejected(meter: str, code: str) -> str:
    return f"<Endpoint><ElectronicSerialNumber>{meter}</ElectronicSerialNumber><Code>{code}</Code></Endpoint>"


def codes(taken: Submission) -> list[tuple[str, str]]:
    return [(each.command_key, each.code) for each in taken.rejections]


class TestSubmit:
    @pytest.mark.parametrize(
        ("kind", "wanted", "operation"),
        [
            (CommandKind.READ_ON_DEMAND, None, "ContingencyReadByEndpoints"),
            (CommandKind.SWITCH, SwitchState.CONNECTED, "ReconnectMeter"),
            (CommandKind.SWITCH, SwitchState.DISCONNECTED, "DisconnectMeter"),
            (CommandKind.SWITCH_STATE, None, "ReadDisconnectState"),
            (CommandKind.PING, None, "PingByEndpoints"),
        ],
    )
    def test_returns_the_token_with_its_operation(
        self,
        head_end: TokenPollHeadEnd,
        scripted: ScriptedTokenPoll,
        kind: CommandKind,
        wanted: SwitchState | None,
        operation: str,
    ) -> None:
        taken = head_end.submit(batch(command(kind, wanted_state=wanted)))

        assert taken == Submission(token=f"{operation}/t-1")
        assert scripted.of(operation)[0].texts("ElectronicSerialNumber") == [METER]

    def test_rejects_what_the_head_end_refused(self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll) -> None:
        both = rejected(METER, "NoDisconnectSwitch") + rejected("9", "EndpointNotFound")
        inside = f"<RequestToken>t-1</RequestToken><Rejected>{both}</Rejected>"
        scripted.script["DisconnectMeter"] = [answer("DisconnectMeterResponse", inside)]

        taken = head_end.submit(batch(switch(), switch(command_key="cmd-78", serial_id="0077")))

        assert (taken.token, codes(taken)) == ("DisconnectMeter/t-1", [("cmd-77", "NO_BREAKER")])

    def test_needs_no_token_when_all_were_refused(
        self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll
    ) -> None:
        inside = f"<Rejected>{rejected(METER, 'EndpointNotFound')}</Rejected>"
        scripted.script["PingByEndpoints"] = [answer("PingByEndpointsResponse", inside)]

        taken = head_end.submit(batch(command(CommandKind.PING)))

        assert (taken.token, codes(taken)) == ("", [("cmd-77", "UNKNOWN_METER")])

    def test_is_uncertain_without_a_token(self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll) -> None:
        scripted.script["PingByEndpoints"] = [answer("PingByEndpointsResponse")]

        with pytest.raises(UncertainError, match="no RequestToken"):
            head_end.submit(batch(command(CommandKind.PING)))

    def test_rejects_every_command_of_a_batch_that_never_passes(
        self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll
    ) -> None:
        scripted.script["PingByEndpoints"] = [fault("TooManyEndpoints", kind="Client")]

        taken = head_end.submit(batch(command(CommandKind.PING)))

        assert codes(taken) == [("cmd-77", "BATCH_REFUSED")]
        assert "TooManyEndpoints" in taken.rejections[0].text

    def test_rejects_a_meter_without_registers_unasked(
        self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll
    ) -> None:
        taken = head_end.submit(provisioning())

        assert codes(taken) == [("cmd-77", "NOT_PROVISIONABLE")]
        assert scripted.asked == []

    @pytest.mark.parametrize(
        ("valid_from", "named"),
        [(AT, ["17"]), (AT + timedelta(microseconds=1), ["1-0:1.8.0*255"])],
        ids=["since then", "not yet"],
    )
    def test_defines_registers_by_the_names_that_are_read_back_as_them(
        self, scripted: ScriptedTokenPoll, valid_from: datetime, named: list[str]
    ) -> None:
        own = {"name": "own", "obis": "1-0:1.8.0", "kind": "register", "unit": "kWh", "head_end": "city"}
        told = {"names": {"meter_reading_document": ["17"]}, "valid_from": valid_from}
        channels = ChannelMap([ChannelRow.model_validate(own | told)], head_end=row(scripted.url))
        head_end = TokenPollHeadEnd(row(scripted.url), channels=channels)

        head_end.submit(replace(provisioning(register()), at=AT))

        assert scripted.of("AddMeterDefinitions")[0].texts("Quantity") == named
        head_end.close()

    def test_provisions_a_meter_with_registers(self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll) -> None:
        taken = head_end.submit(provisioning(register()))

        assert taken == Submission(token="AddMeterDefinitions/t-1")
        assert scripted.of("AddMeterDefinitions")[0].texts("Quantity") == ["1-0:1.8.0*255"]

    @pytest.mark.parametrize(("unit", "told"), [("KWH", "kilowatt hours"), ("KVR", "kvarh"), ("XYZ", "XYZ")])
    def test_names_units_as_the_table_of_units_does(self, scripted: ScriptedTokenPoll, unit: str, told: str) -> None:
        settings = load_settings({"MDUS_UNITS__KILOWATT_HOUR__TEXTS": "kilowatt hours"}, tables=SHARED_TABLES)
        head_end = HEAD_END.connect(settings, row(scripted.url))

        head_end.submit(provisioning(register(unit=unit)))

        assert scripted.of("AddMeterDefinitions")[0].texts("Unit") == [told]
        head_end.close()

    def test_rejects_a_serial_number_that_could_not_be_read_back(self, scripted: ScriptedTokenPoll) -> None:
        head_end = TokenPollHeadEnd(
            row(scripted.url, options={"meter_id": "1.{number}", "serial_digits": 10}), channels=CHANNELS
        )

        taken = head_end.submit(
            batch(command(CommandKind.PING, command_key="cmd-78", serial_id="77"), command(CommandKind.PING))
        )

        assert codes(taken) == [("cmd-78", "NOT_ADDRESSABLE")]
        assert scripted.of("PingByEndpoints")[0].texts("ElectronicSerialNumber") == ["1.1234"]
        head_end.close()

    @pytest.mark.parametrize("wanted", [SwitchState.CONNECTED, SwitchState.DISCONNECTED])
    @pytest.mark.parametrize(("seconds", "is_sent"), [(2.5, True), (2.6, False)], ids=["in time", "too late"])
    def test_moves_no_breaker_after_a_session_that_took_half_the_time_of_an_answer(
        self, scripted: ScriptedTokenPoll, wanted: SwitchState, seconds: float, is_sent: bool
    ) -> None:
        head_end = TokenPollHeadEnd(
            row(scripted.url), channels=CHANNELS, monotonic=lambda: seconds * len(scripted.of("Login"))
        )
        operation = "ReconnectMeter" if wanted is SwitchState.CONNECTED else "DisconnectMeter"

        if is_sent:
            assert head_end.submit(batch(switch(wanted))) == Submission(token=f"{operation}/t-1")
        else:
            with pytest.raises(TransientError, match=f"{operation} was not sent to city"):
                head_end.submit(batch(switch(wanted)))
        assert len(scripted.of(operation)) == is_sent
        head_end.close()

    def test_moves_breakers_to_one_state_at_a_time(
        self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll
    ) -> None:
        other = switch(SwitchState.CONNECTED, command_key="cmd-78", serial_id="0077")

        taken = head_end.submit(batch(switch(), other))

        assert (taken.token, codes(taken)) == ("DisconnectMeter/t-1", [("cmd-78", "BUSY")])
        assert scripted.of("ReconnectMeter") == []


class TestLoadSideVoltage:
    def connected(self, scripted: ScriptedTokenPoll, *, seconds: float = 0.0) -> TokenPollHeadEnd:
        """Return a head end that has five seconds for an answer; each look at what was found takes some."""
        paused: list[float] = []

        def pause(wanted: float) -> None:
            paused.append(wanted)
            assert len(paused) < 10, "waits for ever"

        return TokenPollHeadEnd(
            row(scripted.url, options={"load_side_voltage": "blocks"}),
            channels=CHANNELS,
            monotonic=lambda: sum(paused) + seconds * len(scripted.of(DETECTED)),
            pause=pause,
        )

    def told(self, *endpoints: str) -> Scripted:
        return answer(
            f"{DETECTED}Response", f"<RequestToken>t-1</RequestToken><Endpoints>{''.join(endpoints)}</Endpoints>"
        )

    def test_blocks_the_breaker(self, scripted: ScriptedTokenPoll) -> None:
        head_end = self.connected(scripted)
        scripted.script[DETECTED] = [self.told(endpoint(LoadSideVoltage="Present"))]

        taken = head_end.submit(batch(switch(SwitchState.CONNECTED)))

        assert (taken.token, codes(taken)) == ("", [("cmd-77", "LOAD_SIDE_VOLTAGE")])
        assert scripted.of("ReconnectMeter") == []
        head_end.close()

    def test_that_is_absent_lets_the_breaker_close(self, scripted: ScriptedTokenPoll) -> None:
        head_end = self.connected(scripted)
        scripted.script[DETECTED] = [
            self.told(endpoint(outcome="Pending")),
            self.told(endpoint(LoadSideVoltage="Absent")),
        ]

        taken = head_end.submit(batch(switch(SwitchState.CONNECTED)))

        assert taken == Submission(token="ReconnectMeter/t-1")
        assert [each.name for each in scripted.asked[1:]] == [DETECT, DETECTED, DETECTED, "ReconnectMeter"]
        head_end.close()

    @pytest.mark.parametrize(
        "endpoints",
        [
            pytest.param((), id="no word of the meter"),
            pytest.param((endpoint(outcome="Pending"),), id="pending"),
            pytest.param((endpoint(outcome="Failure", Code="EndpointDidNotRespond"),), id="no answer"),
            pytest.param((endpoint(LoadSideVoltage="Perhaps"),), id="another word"),
            pytest.param((endpoint(LoadSideVoltage="Present"), endpoint(LoadSideVoltage="Absent")), id="told twice"),
        ],
    )
    def test_that_nobody_knows_leaves_the_breaker_open_for_now(
        self, scripted: ScriptedTokenPoll, endpoints: tuple[str, ...]
    ) -> None:
        head_end = self.connected(scripted)
        scripted.script[DETECTED] = [self.told(*endpoints)] * 20

        taken = head_end.submit(batch(switch(SwitchState.CONNECTED)))

        assert (taken.token, codes(taken)) == ("", [("cmd-77", "BUSY")])
        assert scripted.of("ReconnectMeter") == []
        head_end.close()

    @pytest.mark.parametrize("told", [None, (503, b""), fault(), answer("DetectLoadSideVoltageByMeterResponse")])
    def test_that_cannot_be_asked_for_is_for_another_time(self, scripted: ScriptedTokenPoll, told: Scripted) -> None:
        head_end = self.connected(scripted)
        scripted.script[DETECT] = [told]

        with pytest.raises(TransientError):
            head_end.submit(batch(switch(SwitchState.CONNECTED)))
        assert scripted.of("ReconnectMeter") == []
        head_end.close()

    def test_of_a_meter_that_was_not_asked_lets_the_others_close(self, scripted: ScriptedTokenPoll) -> None:
        head_end = self.connected(scripted)
        nameless = "<Endpoint><Outcome>Success</Outcome></Endpoint>"
        scripted.script[DETECTED] = [self.told(endpoint("9.9.9"), nameless, endpoint(LoadSideVoltage="Absent"))]

        assert head_end.submit(batch(switch(SwitchState.CONNECTED))) == Submission(token="ReconnectMeter/t-1")
        head_end.close()

    def test_that_is_told_unreadably_is_for_another_time(
        self, scripted: ScriptedTokenPoll, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        head_end = self.connected(scripted)
        unreadable = RawDelivery(topic="results", correlation="", body=b"no XML")
        monkeypatch.setattr(head_end, "results", lambda _: [unreadable])

        with pytest.raises(TransientError, match="what city tells of the voltage is unreadable"):
            head_end.submit(batch(switch(SwitchState.CONNECTED)))
        assert scripted.of("ReconnectMeter") == []
        head_end.close()

    def test_is_asked_for_under_a_reference_of_its_own_and_told_nowhere(self, scripted: ScriptedTokenPoll) -> None:
        head_end = self.connected(scripted)
        scripted.script[DETECTED] = [self.told(endpoint(LoadSideVoltage="Absent"))] * 2

        for _ in range(2):
            head_end.submit(batch(switch(SwitchState.CONNECTED)))

        looks = [each.texts("CallerReference") for each in scripted.of(DETECT)]
        assert len({str(uuid.UUID(reference)) for (reference,) in looks} - {CORRELATION}) == 2
        for name in ("StatusAddress", "DataAddress"):
            assert [each.texts(name) for each in scripted.of(DETECT)] == [[], []]
            assert [len(each.texts(name)) for each in scripted.of("ReconnectMeter")] == [1, 1]
        assert [each.texts("CallerReference") for each in scripted.of("ReconnectMeter")] == [[CORRELATION]] * 2
        head_end.close()

    @pytest.mark.parametrize(
        ("seconds", "rejected"), [(2.5, []), (2.6, [("cmd-77", "BUSY")])], ids=["in time", "too late"]
    )
    def test_that_is_told_too_late_leaves_the_breaker_open_for_now(
        self, scripted: ScriptedTokenPoll, seconds: float, rejected: list[tuple[str, str]]
    ) -> None:
        head_end = self.connected(scripted, seconds=seconds)
        scripted.script[DETECTED] = [self.told(endpoint(LoadSideVoltage="Absent"))]

        taken = head_end.submit(batch(switch(SwitchState.CONNECTED)))

        assert codes(taken) == rejected
        assert len(scripted.of("ReconnectMeter")) == 1 - len(rejected)
        head_end.close()

    def test_does_not_matter_for_a_breaker_that_opens(self, scripted: ScriptedTokenPoll) -> None:
        head_end = self.connected(scripted)

        assert head_end.submit(batch(switch())) == Submission(token="DisconnectMeter/t-1")
        assert scripted.of(DETECT) == []
        head_end.close()

    def test_is_not_looked_for_where_the_row_does_not_say_so(
        self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll
    ) -> None:
        assert head_end.submit(batch(switch(SwitchState.CONNECTED))) == Submission(token="ReconnectMeter/t-1")
        assert scripted.of(DETECT) == []


class TestResults:
    def test_are_fetched_by_the_operation_of_the_token(
        self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll
    ) -> None:
        (found,) = head_end.results("DisconnectMeter/7f1c")

        assert isinstance(found, RawDelivery)
        assert (found.topic, found.correlation) == ("results", "DisconnectMeter/7f1c")
        assert b"GetDisconnectMeterResultResponse" in found.body
        assert scripted.of("GetDisconnectMeterResult")[0].texts("RequestToken") == ["7f1c"]

    def test_of_another_head_end_are_not_asked_for(
        self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll
    ) -> None:
        assert list(head_end.results("j-1")) == []
        assert scripted.asked == []

    def test_are_for_another_time_when_the_head_end_is_down(
        self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll
    ) -> None:
        scripted.script["GetPingByEndpointsResult"] = [(503, b"")]

        with pytest.raises(TransientError):
            head_end.results("PingByEndpoints/7f1c")


class TestFind:
    def test_asks_nothing_where_the_head_end_cannot_be_asked(
        self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll
    ) -> None:
        assert head_end.find(CORRELATION) is None
        assert scripted.asked == []

    def test_returns_the_request_that_was_taken(self, scripted: ScriptedTokenPoll) -> None:
        head_end = TokenPollHeadEnd(row(scripted.url, options={"finds_requests": True}), channels=CHANNELS)
        name = "RetrieveRequestByCallerReference"
        inside = "<RequestToken>7f1c</RequestToken><Operation>DisconnectMeter</Operation>"
        scripted.script[name] = [answer(f"{name}Response", inside), answer(f"{name}Response")]

        assert head_end.find(CORRELATION) == Submission(token="DisconnectMeter/7f1c")
        assert head_end.find(CORRELATION) is None
        assert scripted.of(name)[0].texts("CallerReference") == [CORRELATION]
        head_end.close()

    @pytest.mark.parametrize(
        ("operation", "token"),
        [("ReconnectMeter", "ReconnectMeter/7f1c"), (DETECT, None), ("Reboot", None), ("", None)],
    )
    def test_returns_no_request_but_a_commands(
        self, scripted: ScriptedTokenPoll, operation: str, token: str | None
    ) -> None:
        head_end = TokenPollHeadEnd(row(scripted.url, options={"finds_requests": True}), channels=CHANNELS)
        name = "RetrieveRequestByCallerReference"
        inside = f"<RequestToken>7f1c</RequestToken><Operation>{operation}</Operation>"
        scripted.script[name] = [answer(f"{name}Response", inside)]

        assert head_end.find(CORRELATION) == (None if token is None else Submission(token=token))
        head_end.close()


class TestCallbacks:
    def test_name_their_call_near_the_beginning(self) -> None:
        correlation = HEAD_END.callbacks.correlation

        assert correlation(b"<a><CallerReference>0c2f-1</CallerReference></a>") == "0c2f-1"
        assert correlation(b"<a><x:RequestToken> 7f1c </x:RequestToken></a>") == "7f1c"
        assert correlation(b"<a/>") == ""

    def test_are_answered_in_an_envelope(self) -> None:
        taken = HEAD_END.callbacks.answer("status", b"")
        refused = HEAD_END.callbacks.refuse("status", "who are you?")

        assert (taken.status, taken.media_type) == (200, "text/xml")
        assert b"<RequestStatusChangedResponse/>" in taken.content
        assert (refused.status, refused.media_type) == (401, "text/xml")
        assert b"<faultstring>who are you?</faultstring>" in refused.content


class TestOptions:
    @pytest.mark.parametrize(
        "options",
        [
            pytest.param({"meter_id": "1.2.3"}, id="no place for the serial number"),
            pytest.param({"meter_id": "{serial}.{number}"}, id="two places"),
            pytest.param({"namespaces": {"weather": "urn:a"}}, id="unknown service"),
            pytest.param({"load_side_voltage": "maybe"}, id="unknown word"),
            pytest.param({"colour": "red"}, id="unknown option"),
        ],
    )
    def test_are_refused_where_they_do_not_fit(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            TokenPollHeadEnd(row(options=options), channels=CHANNELS)
