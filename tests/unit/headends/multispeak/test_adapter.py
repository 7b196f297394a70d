"""What calls over real HTTP mean, when they go right and when they go wrong."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.end_device import SwitchState
from mdus.domain.head_end import FieldAlarm, FieldIntervals, FieldReading, RawDelivery, Submission
from mdus.headends.multispeak import soap
from mdus.headends.multispeak.adapter import HEAD_END, MultiSpeakHeadEnd
from mdus.messaging.retry import TransientError, UncertainError
from tests.head_ends.field import row
from tests.unit.headends.multispeak.messages import OTHER, batch, command, decoded
from tests.unit.headends.multispeak.scripted_soap import CUT, ScriptedSoap, at, fault
from tests.unit.headends.samples import AT, CORRELATION, SERIAL

READ = "InitiateMeterReadByMeterNumber"
SWITCH = "InitiateConnectDisconnect"


def told(deliveries: tuple[RawDelivery, ...]) -> list[Any]:
    return [
        event for each in deliveries for event in decoded(each.body, correlation=each.correlation, topic=each.topic)
    ]


def submit(head_end: MultiSpeakHeadEnd, kind: CommandKind = CommandKind.READ_ON_DEMAND, *serials: str) -> Submission:
    return head_end.submit(batch(kind, *[command(kind, serial) for serial in serials or (SERIAL,)]))


def error_object(serial: str, text: str) -> str:
    return f'<errorObject objectID="{serial}" errorString="{text}" nounType="meter"/>'


class TestSubmit:
    def test_takes_an_empty_list_of_errors_for_all_accepted(
        self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap
    ) -> None:
        assert submit(head_end) == Submission(token=CORRELATION)
        assert scripted.actions == [f'"http://www.multispeak.org/Version_3.0/{READ}"']
        assert scripted.paths == ["/ami"]

    def test_says_who_we_are_in_the_header(self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap) -> None:
        submit(head_end)
        (header,) = scripted.headers
        assert (header["UserID"], header["Pwd"], header["Version"]) == ("mdus", "secret", "3.0")

    def test_says_so_in_4_1_with_a_build_string(self) -> None:
        scripted = ScriptedSoap("4.1")
        head_end = at(scripted)
        assert submit(head_end).token == CORRELATION
        assert scripted.headers[0]["BuildString"] == "Release"
        assert scripted.headers[0]["MajorVersion"] == "4"
        head_end.close()
        scripted.close()

    def test_goes_to_the_service_that_has_the_method(self, scripted: ScriptedSoap) -> None:
        head_end = at(scripted, paths={"cd": "/CD_Server.asmx"})
        submit(head_end, CommandKind.SWITCH_STATE)
        assert scripted.paths[-1] == "/ami/CD_Server.asmx"
        head_end.close()

    def test_rejects_the_meters_that_errors_name(self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap) -> None:
        errors = error_object(OTHER, "Unknown meter") + error_object("9", "Unknown meter")
        scripted.script[READ] = [scripted.result(READ, errors)]

        taken = submit(head_end, CommandKind.READ_ON_DEMAND, SERIAL, OTHER)

        assert taken.token == CORRELATION
        assert [(each.command_key, each.code) for each in taken.rejections] == [(f"key-{OTHER}", "UNKNOWN_METER")]

    def test_rejects_all_without_a_token(self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap) -> None:
        scripted.script[READ] = [scripted.result(READ, '<errorObject errorString="frobnicated"/>')]
        taken = submit(head_end)
        assert (taken.token, [each.code for each in taken.rejections]) == ("", ["REJECTED_UNKNOWN"])

    def test_takes_an_error_that_says_nothing_for_none(
        self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap
    ) -> None:
        scripted.script[READ] = [scripted.result(READ, "<errorObject/>")]
        assert submit(head_end).rejections == ()

    def test_classes_errors_by_the_rows_of_the_head_end_first(self, scripted: ScriptedSoap) -> None:
        scripted.script[READ] = [scripted.result(READ, error_object(SERIAL, "Unknown meter"))]
        head_end = at(scripted, errors=[{"pattern": "^unknown METER$", "code": "NOT_PROVISIONED"}])
        assert [each.code for each in submit(head_end).rejections] == ["NOT_PROVISIONED"]
        head_end.close()

    @pytest.mark.parametrize("status", [401, 403, 404, 405, 408, 429, 503])
    def test_may_be_tried_again_when_nothing_was_done(
        self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap, status: int
    ) -> None:
        scripted.script[READ] = [(status, b"<html>later</html>")]
        with pytest.raises(TransientError, match=f"HTTP {status}"):
            submit(head_end)

    @pytest.mark.parametrize(
        "said",
        [
            pytest.param((500, fault("Invalid UserID or Pwd")), id="a fault: login"),
            pytest.param((500, fault("Server overloaded, try again later", code="Client")), id="a fault: overload"),
            pytest.param((500, fault("Too many open connections")), id="a fault: too many connections"),
        ],
    )
    def test_may_be_tried_again_when_a_fault_says_so(
        self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap, said: tuple[int, bytes]
    ) -> None:
        scripted.script[READ] = [said]
        with pytest.raises(TransientError):
            submit(head_end)

    @pytest.mark.parametrize("serials", [(SERIAL, OTHER), (SERIAL,)], ids=["of several meters", "of one"])
    @pytest.mark.parametrize("said", ["Too many requests", "Too many requests are pending, try again later"])
    def test_may_be_tried_again_when_an_error_of_no_meter_says_so(
        self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap, said: str, serials: tuple[str, ...]
    ) -> None:
        scripted.script[READ] = [scripted.result(READ, f'<errorObject errorString="{said}"/>')]
        with pytest.raises(TransientError, match="Too many"):
            submit(head_end, CommandKind.READ_ON_DEMAND, *serials)

    def test_rejects_the_only_meter_of_which_an_error_names_none(
        self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap
    ) -> None:
        scripted.script[READ] = [scripted.result(READ, '<errorObject errorString="Meter is busy"/>')]
        assert [each.code for each in submit(head_end).rejections] == ["BUSY"]

    @pytest.mark.parametrize(
        ("said", "code"),
        [
            pytest.param("Too many retries", "REJECTED_UNKNOWN", id="nothing more"),
            pytest.param("Too many retries, no response from meter", "NO_RESPONSE", id="no response"),
        ],
    )
    def test_is_not_sent_again_after_too_many_retries(
        self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap, said: str, code: str
    ) -> None:
        scripted.script[SWITCH] = [scripted.result(SWITCH, f'<errorObject errorString="{said}"/>')]
        off = command(CommandKind.SWITCH, wanted_state=SwitchState.DISCONNECTED)
        taken = head_end.submit(batch(CommandKind.SWITCH, off))
        assert [each.code for each in taken.rejections] == [code]

    def test_is_uncertain_when_such_an_error_is_of_some_breakers(
        self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap
    ) -> None:
        scripted.script[SWITCH] = [scripted.result(SWITCH, '<errorObject errorString="Too many requests"/>')]
        commands = [
            command(CommandKind.SWITCH, serial, wanted_state=SwitchState.DISCONNECTED) for serial in (SERIAL, OTHER)
        ]
        with pytest.raises(UncertainError, match="Too many"):
            head_end.submit(batch(CommandKind.SWITCH, *commands))

    @pytest.mark.parametrize(
        "quoted",
        [
            pytest.param('UserID="mdus" Pwd="secret" AuditPassword="secret"', id="as it was sent"),
            pytest.param("UserID='mdus' pwd = 'secret'", id="otherwise"),
            pytest.param("UserID=&quot;mdus&quot; Pwd=&quot;secret&quot;", id="in a page"),
            pytest.param("x" * 270 + ' Pwd="secret', id="cut off"),
        ],
    )
    @pytest.mark.parametrize("status", [503, 400, 200])
    def test_tells_no_password_that_an_answer_sends_back(
        self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap, status: int, quoted: str
    ) -> None:
        scripted.script[READ] = [(status, f"<html>{quoted}</html".encode())]
        try:
            said = submit(head_end).rejections[0].text
        except (TransientError, UncertainError) as error:
            said = str(error)
        assert "wd" in said
        assert "secret" not in said

    def test_tells_no_password_that_a_fault_sends_back(
        self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap
    ) -> None:
        scripted.script[READ] = [(500, fault("Invalid UserID or Pwd='secret'"))]
        with pytest.raises(TransientError, match="Invalid UserID or Pwd=''"):
            submit(head_end)

    @pytest.mark.parametrize("serials", [(SERIAL, OTHER), (SERIAL,)], ids=["of several meters", "of one"])
    def test_may_be_tried_again_when_the_login_is_refused_in_an_error(
        self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap, serials: tuple[str, ...]
    ) -> None:
        scripted.script[READ] = [scripted.result(READ, '<errorObject errorString="Login failed"/>')]
        with pytest.raises(TransientError, match="Login failed"):
            submit(head_end, CommandKind.READ_ON_DEMAND, *serials)

    @pytest.mark.parametrize(
        "said",
        [
            pytest.param(CUT, id="cut"),
            pytest.param((200, b""), id="200 with nothing"),
            pytest.param((200, b"<html><h1>It works</h1></html>"), id="200 with HTML"),
            pytest.param((500, b"<html><h1>Runtime Error</h1></html>"), id="500 with HTML"),
            pytest.param((502, b"Bad Gateway"), id="502"),
            pytest.param((500, fault("Object reference not set")), id="a fault of the server"),
            pytest.param((200, fault("Object reference not set")), id="a fault with 200"),
            pytest.param((500, fault("Too many retries")), id="a fault after too many retries"),
            pytest.param((302, b""), id="elsewhere"),
        ],
    )
    def test_is_uncertain_when_it_may_have_been_done(
        self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap, said: tuple[int, bytes]
    ) -> None:
        scripted.script[SWITCH] = [said]
        off = command(CommandKind.SWITCH, wanted_state=SwitchState.DISCONNECTED)
        with pytest.raises(UncertainError, match="city"):
            head_end.submit(batch(CommandKind.SWITCH, off))

    def test_is_uncertain_when_another_message_comes(self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap) -> None:
        scripted.script[READ] = [scripted.result("PingURL")]
        with pytest.raises(UncertainError, match="PingURLResponse"):
            submit(head_end)

    def test_is_uncertain_when_an_error_names_none_of_several_meters(
        self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap
    ) -> None:
        scripted.script[READ] = [scripted.result(READ, '<errorObject errorString="one of them is bad"/>')]
        with pytest.raises(UncertainError, match="of which meters"):
            submit(head_end, CommandKind.READ_ON_DEMAND, SERIAL, OTHER)

    def test_is_transient_when_it_cannot_be_reached(self, scripted: ScriptedSoap, head_end: MultiSpeakHeadEnd) -> None:
        scripted.close()
        with pytest.raises(TransientError, match="cannot be reached"):
            submit(head_end)

    @pytest.mark.parametrize(
        "said",
        [
            pytest.param((500, fault("Schema validation failed", code="Client")), id="a fault of the request"),
            pytest.param((400, b"Bad Request"), id="400"),
            pytest.param((413, b"<html/>"), id="413"),
        ],
    )
    def test_rejects_a_batch_that_never_passes(
        self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap, said: tuple[int, bytes]
    ) -> None:
        scripted.script[READ] = [said]
        taken = submit(head_end, CommandKind.READ_ON_DEMAND, SERIAL, OTHER)
        assert taken.token == ""
        assert [each.code for each in taken.rejections] == ["BATCH_REFUSED"] * 2

    def test_of_switches_is_uncertain_when_a_later_call_of_it_fails(
        self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap
    ) -> None:
        scripted.script[SWITCH] = [scripted.result(SWITCH), (503, b"")]
        on = command(CommandKind.SWITCH, wanted_state=SwitchState.CONNECTED)
        off = command(CommandKind.SWITCH, OTHER, wanted_state=SwitchState.DISCONNECTED)
        with pytest.raises(UncertainError, match="a part of the batch"):
            head_end.submit(batch(CommandKind.SWITCH, on, off))

    def test_calls_nobody_for_what_cannot_be_said(self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap) -> None:
        taken = submit(head_end, CommandKind.LIMIT_DEMAND)
        assert [each.code for each in taken.rejections] == ["NOT_OFFERED"]
        assert scripted.asked == []


METER_READ = (
    "<meterRead><meterNo>{serial}</meterNo><readingDate>2026-03-28T23:00:00Z</readingDate><readingValues>"
    "<readingValue><units>kWh</units><value>{value}</value><fieldName>posKWh</fieldName></readingValue>"
    "</readingValues></meterRead>"
)

INTERVALS = (
    "<intervalData><intervalDelimiter>,</intervalDelimiter><profiles><profile profileID='a'>"
    "<intervalLength>15</intervalLength><channels><channel><index>1</index><fieldName>kWh</fieldName></channel>"
    "</channels></profile></profiles><blocks><block><profileID>a</profileID><meterNo>{serial}</meterNo>"
    "<intervalStart>{start}</intervalStart><dB><chs><ch><idx>1</idx><d>{values}</d></ch></chs></dB></block></blocks>"
    "</intervalData>"
)


class TestWhatIsStored:
    def test_is_fetched_page_by_page(self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap) -> None:
        method = "GetReadingsByDate"
        scripted.script[method] = [
            scripted.result(
                method,
                METER_READ.format(serial=SERIAL, value="1"),
                header='ObjectsRemaining="1" LastSent="x" UserID="mdus" Pwd="secret"',
            ),
            scripted.result(method, METER_READ.format(serial=OTHER, value="2")),
        ]
        pages = tuple(head_end.snapshots(period_from=AT - timedelta(days=1), period_to=AT))
        events = told(pages)
        assert [(event.serial_id, event.value) for event in events] == [(SERIAL, 1), (OTHER, 2)]
        assert all(isinstance(event, FieldReading) for event in events)
        assert [soap.text(each, "lastReceived") for each in scripted.asked] == [None, "x"]
        assert b"secret" not in pages[0].body

    def test_of_nothing_is_no_delivery(self, head_end: MultiSpeakHeadEnd) -> None:
        assert list(head_end.snapshots(period_from=AT - timedelta(days=1), period_to=AT)) == []

    def test_are_intervals_and_history_logs_too(self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap) -> None:
        method = "GetReadingsByDateAndFieldNameIntervalData"
        data = INTERVALS.format(serial=SERIAL, start="2026-03-28T00:00:00Z", values="1,2")
        scripted.script[method] = [scripted.result(method, data)]
        log = (
            f"<historyLog><meterID>{SERIAL}</meterID><eventList><event sequenceNumber='3'>"
            "<dateTime>2026-03-28T00:00:00Z</dateTime><eventCode>Primary power down</eventCode></event></eventList>"
            "</historyLog>"
        )
        scripted.script["GetHistoryLogsByDate"] = [scripted.result("GetHistoryLogsByDate", log)]
        period = {"period_from": AT - timedelta(days=1), "period_to": AT}

        (intervals,) = told(tuple(head_end.intervals(**period)))
        (alarm,) = told(tuple(head_end.events(**period)))

        assert isinstance(intervals, FieldIntervals)
        assert isinstance(alarm, FieldAlarm)
        assert (alarm.event_type, alarm.serial_id) == ("3.26.0.85", SERIAL)

    @pytest.mark.parametrize(
        "header",
        [
            pytest.param('ObjectsRemaining="5" LastSent="x"', id="the same page for ever"),
            pytest.param('ObjectsRemaining="5"', id="no cursor"),
        ],
    )
    def test_does_not_go_round_in_circles(
        self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap, header: str
    ) -> None:
        method = "GetReadingsByDate"
        page = scripted.result(method, METER_READ.format(serial=SERIAL, value="1"), header=header)
        scripted.script[method] = [page]
        with pytest.raises(TransientError):
            list(head_end.snapshots(period_from=AT - timedelta(days=1), period_to=AT))

    def test_are_the_meters_and_which_have_a_breaker(self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap) -> None:
        listed = "<string>GetMethods</string><string>GetCDSupportedMeters</string>"
        scripted.script["GetMethods"] = [scripted.result("GetMethods", listed)]
        extensions = (
            "<extensionsList><extensionsItem><extName>deviceID</extName><extValue>42</extValue></extensionsItem>"
            "<extensionsItem><extName>registers</extName><extValue>1-0:1.8.0*255</extValue></extensionsItem>"
            "</extensionsList>"
        )
        own = (
            f"<meter>{extensions}<meterNo>{SERIAL}</meterNo><nameplate><multiplier>40</multiplier></nameplate>"
            "<utilityInfo/><meterConnectionStatus>DisconnectedNonPay</meterConnectionStatus></meter>"
        )
        all_meters = own + f"<meter><meterNo>{OTHER}</meterNo></meter>"
        scripted.script["GetCDSupportedMeters"] = [scripted.result("GetCDSupportedMeters", own)]
        scripted.script["GetAMRSupportedMeters"] = [scripted.result("GetAMRSupportedMeters", all_meters)]

        first, second = head_end.meters()

        assert (first.serial_id, first.device_id, first.reading_types) == (SERIAL, "42", ("1-0:1.8.0*255",))
        assert (first.has_breaker, first.switch_state) == (True, SwitchState.DISCONNECTED)
        assert first.factors == (("1-0:1.8.0*255", Decimal(40)),)
        assert (second.serial_id, second.device_id, second.has_breaker) == (OTHER, None, False)


class TestProbe:
    def test_tells_what_the_listed_methods_allow(self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap) -> None:
        listed = f"<string>PingURL</string><string>{READ}</string><string>{SWITCH}</string>"
        scripted.script["GetMethods"] = [scripted.result("GetMethods", listed, header='AppName="Head" AppVersion="7"')]

        found = head_end.probe()

        assert found.takes == {CommandKind.READ_ON_DEMAND, CommandKind.SWITCH, CommandKind.LIMIT_DEMAND}
        assert scripted.methods() == ["GetMethods", "PingURL"]
        assert "MultiSpeak 3.0, 3 methods" in found.text

    def test_says_nothing_of_a_head_end_that_lists_nothing(self, head_end: MultiSpeakHeadEnd) -> None:
        assert head_end.probe().takes is None

    def test_asks_each_address_once(self, scripted: ScriptedSoap) -> None:
        head_end = at(scripted, paths={"mr": "/MR", "cd": "/CD", "od": "/MR"})
        head_end.probe()
        assert scripted.paths == ["/ami/MR", "/ami/CD", "/ami"]
        head_end.close()

    def test_fails_when_nobody_answers(self, head_end: MultiSpeakHeadEnd, scripted: ScriptedSoap) -> None:
        scripted.script["GetMethods"] = [(500, b"<html/>")]
        with pytest.raises(TransientError):
            head_end.probe()


class TestKind:
    def test_takes_all_but_the_time_and_texts(self) -> None:
        assert frozenset(CommandKind) - HEAD_END.capabilities == {CommandKind.SET_TIME, CommandKind.SHOW_TEXT}

    @pytest.mark.parametrize(
        "options",
        [
            pytest.param({"version": "2.0"}, id="another version"),
            pytest.param({"verison": "3.0"}, id="a name there is not"),
            pytest.param({"errors": [{"pattern": "(", "code": "X"}]}, id="no regular expression"),
            pytest.param({"expiration_minutes": 0}, id="no time at all"),
        ],
    )
    def test_refuses_options_that_mean_nothing(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError):
            MultiSpeakHeadEnd(row("http://127.0.0.1:1", kind="multispeak", options=options))
