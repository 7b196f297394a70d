"""Sessions, and what a call over real HTTP means when it goes wrong."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from lxml import etree

from mdus.headends.token_poll.actions import Operation, Options
from mdus.headends.token_poll.calls import Calls, Refused
from mdus.messaging.retry import TransientError, UncertainError
from tests.unit.headends.token_poll.messages import row
from tests.unit.headends.token_poll.scripted import Scripted, ScriptedTokenPoll, answer, fault

PING = "PingByEndpoints"


@pytest.fixture
def calls(scripted: ScriptedTokenPoll) -> Iterator[Calls]:
    made = Calls(row(scripted.url), Options())
    yield made
    made.close()


def act(calls: Calls) -> str | None:
    return calls.act(Operation.PING, etree.Element(PING)).message.findtext("{*}RequestToken")


class TestSession:
    def test_is_begun_before_the_first_call_and_kept(self, calls: Calls, scripted: ScriptedTokenPoll) -> None:
        assert (act(calls), act(calls)) == ("t-1", "t-2")

        assert [each.name for each in scripted.asked] == ["Login", PING, PING]
        assert (scripted.asked[0].texts("UserName"), scripted.asked[0].texts("Password")) == (["mdus"], ["secret"])
        assert [each.session for each in scripted.asked] == [None, "s-1", "s-1"]

    def test_is_not_needed_without_a_user(self, scripted: ScriptedTokenPoll) -> None:
        calls = Calls(row(scripted.url, user=None, password=None), Options())

        assert act(calls) == "t-1"
        assert [each.session for each in scripted.asked] == [None]
        calls.close()

    @pytest.mark.parametrize("code", ["SessionExpired", "SessionUnknown"])
    def test_is_begun_anew_once_when_it_is_over(self, calls: Calls, scripted: ScriptedTokenPoll, code: str) -> None:
        act(calls)
        scripted.script[PING] = [fault(code)]

        assert act(calls) is not None
        assert [each.session for each in scripted.of(PING)] == ["s-1", "s-1", "s-2"]

    def test_that_ends_at_once_again_is_for_another_time(self, calls: Calls, scripted: ScriptedTokenPoll) -> None:
        scripted.script[PING] = [fault("SessionExpired"), fault("SessionExpired")]

        with pytest.raises(TransientError, match="takes no session for long"):
            act(calls)
        assert len(scripted.of("Login")) == 2

    @pytest.mark.parametrize(
        "refusal",
        [
            pytest.param(fault("LoginRateExceeded"), id="too often"),
            pytest.param(fault("LoginRefused", kind="Client"), id="wrong password"),
            pytest.param(fault(kind="Client"), id="any fault"),
            pytest.param((429, b""), id="429"),
            pytest.param((200, b""), id="empty"),
            pytest.param(answer("LoginResponse"), id="no token"),
            pytest.param(None, id="cut"),
        ],
    )
    def test_that_is_not_to_be_had_is_for_another_time(
        self, calls: Calls, scripted: ScriptedTokenPoll, refusal: Scripted
    ) -> None:
        scripted.script["Login"] = [refusal]

        with pytest.raises(TransientError):
            act(calls)
        assert scripted.of(PING) == []
        assert act(calls) == "t-1"

    @pytest.mark.parametrize(
        ("over", "leaves_by", "sent"),
        [
            pytest.param(False, 10.0, 1, id="begun in time"),
            pytest.param(False, 9.0, 0, id="begun too late"),
            pytest.param(True, 20.0, 2, id="begun anew in time"),
            pytest.param(True, 19.0, 1, id="begun anew too late"),
        ],
    )
    def test_that_takes_its_time_lets_nothing_leave_too_late(
        self, scripted: ScriptedTokenPoll, over: bool, leaves_by: float, sent: int
    ) -> None:
        calls = Calls(row(scripted.url), Options(), monotonic=lambda: 10.0 * len(scripted.of("Login")))
        scripted.script[PING] = [fault("SessionExpired")] if over else []

        if sent == 1 + over:
            calls.act(Operation.PING, etree.Element(PING), leaves_by=leaves_by)
        else:
            with pytest.raises(TransientError, match=f"{PING} was not sent to city: what comes before it took too"):
                calls.act(Operation.PING, etree.Element(PING), leaves_by=leaves_by)
        assert len(scripted.of(PING)) == sent
        calls.close()

    def test_is_begun_once_for_all_threads(self, calls: Calls, scripted: ScriptedTokenPoll) -> None:
        with ThreadPoolExecutor(4) as pool:
            tokens = set(pool.map(lambda _: act(calls), range(8)))

        assert len(tokens) == 8
        assert len(scripted.of("Login")) == 1


class TestAct:
    def test_names_the_action_at_the_address_of_its_service(self, calls: Calls, scripted: ScriptedTokenPoll) -> None:
        act(calls)

        asked = scripted.of(PING)[0]
        assert asked.path == "/DiagnosticService"
        assert asked.action.endswith("/2012/03/control/diagnostic/DiagnosticService/PingByEndpoints")

    def test_goes_where_the_options_say(self, scripted: ScriptedTokenPoll) -> None:
        options = Options(namespaces={"diagnostic": "urn:mine"}, paths={"diagnostic": "/ws/diagnostics.svc"})
        calls = Calls(row(f"{scripted.url}/base"), options)
        act(calls)

        asked = scripted.of(PING)[0]
        assert (asked.path, asked.action) == ("/base/ws/diagnostics.svc", "urn:mine/DiagnosticService/PingByEndpoints")
        calls.close()

    @pytest.mark.parametrize("status", [401, 403, 404, 405, 408, 429, 503])
    def test_may_be_tried_again_when_nothing_was_done(
        self, calls: Calls, scripted: ScriptedTokenPoll, status: int
    ) -> None:
        scripted.script[PING] = [(status, b"<html>later</html>"), fault(status=status)]

        for _ in range(2):
            with pytest.raises(TransientError, match=f"HTTP {status} to {PING}"):
                act(calls)

    @pytest.mark.parametrize("code", ["ServerBusy", "TooManyPendingRequests"])
    def test_may_be_tried_again_when_a_fault_says_so(
        self, calls: Calls, scripted: ScriptedTokenPoll, code: str
    ) -> None:
        scripted.script[PING] = [fault(code)]

        with pytest.raises(TransientError, match=f"{code}: as scripted"):
            act(calls)

    @pytest.mark.parametrize(
        "told",
        [
            pytest.param(fault(), id="fault"),
            pytest.param(fault("Whatever"), id="unknown fault"),
            pytest.param((500, b"<html><body>Server Error</body></html>"), id="html"),
            pytest.param((200, b"<html>it works</html>"), id="html with 200"),
            pytest.param((200, b""), id="empty"),
            pytest.param((302, b""), id="somewhere else"),
            pytest.param((504, b""), id="gateway"),
            pytest.param(answer("OtherResponse"), id="another answer"),
            pytest.param(None, id="cut"),
        ],
    )
    def test_is_uncertain_when_it_may_have_been_done(
        self, calls: Calls, scripted: ScriptedTokenPoll, told: Scripted
    ) -> None:
        scripted.script[PING] = [told]

        with pytest.raises(UncertainError, match="city"):
            act(calls)

    @pytest.mark.parametrize(
        "told",
        [
            pytest.param(fault(kind="Client"), id="fault of the sender"),
            pytest.param(fault("TooManyEndpoints", kind="Client.Size"), id="with more behind the point"),
            pytest.param((413, b""), id="too large"),
            pytest.param((400, b"<html/>"), id="400"),
        ],
    )
    def test_is_refused_when_it_never_passes(self, calls: Calls, scripted: ScriptedTokenPoll, told: Scripted) -> None:
        scripted.script[PING] = [told]

        with pytest.raises(Refused, match="city"):
            act(calls)

    def test_is_uncertain_when_the_answer_is_too_large(self, scripted: ScriptedTokenPoll) -> None:
        calls = Calls(row(scripted.url, user=None, max_answer_bytes=5000), Options())
        scripted.script[PING] = [answer(f"{PING}Response", "<RequestToken>t</RequestToken>" + " " * 4000)]
        assert act(calls) == "t"

        scripted.script[PING] = [answer(f"{PING}Response", "<RequestToken>t</RequestToken>" + " " * 5000)] * 2
        with pytest.raises(UncertainError, match=r"city has \d+ bytes, and head_ends.city.max_answer_bytes is 5000"):
            act(calls)
        with pytest.raises(TransientError, match="max_answer_bytes"):
            calls.ask(Operation.PING, PING, etree.Element(PING))
        calls.close()

    def test_may_be_tried_again_when_nobody_listens(self) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        calls = Calls(row(url, user=None), Options())

        with pytest.raises(TransientError, match="cannot be reached"):
            act(calls)
        calls.close()

    def test_is_uncertain_when_no_answer_comes_in_time(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            calls = Calls(row(url, user=None, timeout_seconds=0.2), Options())

            with pytest.raises(UncertainError, match="broke off"):
                act(calls)
            calls.close()


class TestAsk:
    @pytest.mark.parametrize(
        "told",
        [
            pytest.param(fault(), id="fault"),
            pytest.param(fault(kind="Client"), id="fault of the sender"),
            pytest.param((200, b""), id="empty"),
            pytest.param(None, id="cut"),
        ],
    )
    def test_is_for_another_time_whatever_goes_wrong(
        self, calls: Calls, scripted: ScriptedTokenPoll, told: Scripted
    ) -> None:
        name = Operation.PING.result
        scripted.script[name] = [told]

        with pytest.raises(TransientError):
            calls.ask(Operation.PING, name, etree.Element(name))
        assert calls.ask(Operation.PING, name, etree.Element(name)).message.tag == f"{name}Response"
