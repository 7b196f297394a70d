"""What a call over real HTTP means when it goes wrong."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mdus.domain.command import CommandKind
from mdus.headends.rest.adapter import RestHeadEnd
from mdus.messaging.retry import TransientError, UncertainError
from tests.head_ends.field import row
from tests.head_ends.scripted import ScriptedHeadEnd
from tests.unit.headends.samples import CORRELATION, DEVICE, batch, command, provisioning, register


@pytest.fixture
def scripted() -> Iterator[ScriptedHeadEnd]:
    head_end = ScriptedHeadEnd()
    yield head_end
    head_end.close()


@pytest.fixture
def head_end(scripted: ScriptedHeadEnd) -> Iterator[RestHeadEnd]:
    connected = RestHeadEnd(row(scripted.url))
    yield connected
    connected.close()


def submit(head_end: RestHeadEnd, kind: CommandKind = CommandKind.READ_ON_DEMAND, **named: Any) -> Any:
    return head_end.submit(batch(command(kind), **named))


class TestSubmit:
    def test_returns_the_token(self, head_end: RestHeadEnd, scripted: ScriptedHeadEnd) -> None:
        taken = submit(head_end)

        assert (taken.token, taken.rejections) == ("t-1", ())
        assert scripted.submitted[0]["callback_url"] == "http://127.0.0.1:1/head-ends/city"

    def test_logs_in_with_its_own_credentials(self, head_end: RestHeadEnd, scripted: ScriptedHeadEnd) -> None:
        submit(head_end)

        assert scripted.authorizations == {"Basic " + base64.b64encode(b"mdus:secret").decode()}

    @pytest.mark.parametrize("status", ["401", "403", "404", "405", "408", "429", "503"])
    def test_may_be_tried_again_when_nothing_was_done(
        self, head_end: RestHeadEnd, scripted: ScriptedHeadEnd, status: str
    ) -> None:
        scripted.script = [status]

        with pytest.raises(TransientError, match=f"city takes nothing now: HTTP {status}: scripted"):
            submit(head_end)

    @pytest.mark.parametrize(
        "step", ["500", "502", "504", "200", "302", "cut", "done, then cut", "done, then endless", "nonsense"]
    )
    def test_is_uncertain_when_it_may_have_been_done(
        self, head_end: RestHeadEnd, scripted: ScriptedHeadEnd, step: str
    ) -> None:
        scripted.script = [step]

        with pytest.raises(UncertainError, match="city"):
            submit(head_end)

    def test_is_uncertain_when_the_answer_is_too_large_and_else_it_is_read(self, scripted: ScriptedHeadEnd) -> None:
        head_end = RestHeadEnd(row(scripted.url, max_answer_bytes=5000))
        scripted.script, scripted.says = ["reject BUSY", "reject BUSY"], "x" * 4000
        assert [each.code for each in submit(head_end).rejections] == ["BUSY"]

        scripted.says = "x" * 5000
        with pytest.raises(
            UncertainError, match=r"answer of city has \d+ bytes, and head_ends.city.max_answer_bytes is"
        ):
            submit(head_end)
        head_end.close()

    def test_may_be_asked_for_again_when_what_is_told_is_too_large(self, scripted: ScriptedHeadEnd) -> None:
        period = {"period_from": datetime(2026, 3, 27, tzinfo=UTC), "period_to": datetime(2026, 3, 28, tzinfo=UTC)}
        head_end = RestHeadEnd(row(scripted.url, max_answer_bytes=5000))
        scripted.events = [{"text": "x" * 4000}]
        assert len(list(head_end.events(**period))) == 1

        scripted.events = [{"text": "x" * 5000}]
        with pytest.raises(TransientError, match="max_answer_bytes"):
            list(head_end.events(**period))
        head_end.close()

    @pytest.mark.parametrize("status", ["400", "413", "422"])
    def test_rejects_every_command_of_a_batch_that_never_passes(
        self, head_end: RestHeadEnd, scripted: ScriptedHeadEnd, status: str
    ) -> None:
        scripted.script = [status]

        taken = submit(head_end)

        assert [(each.command_key, each.code) for each in taken.rejections] == [("cmd-77", "BATCH_REFUSED")]
        assert "as scripted" in taken.rejections[0].text

    def test_may_be_tried_again_when_nobody_listens(self) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        head_end = RestHeadEnd(row(url))

        with pytest.raises(TransientError, match="cannot be reached"):
            submit(head_end)
        head_end.close()

    def test_is_uncertain_when_no_answer_comes_in_time(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            head_end = RestHeadEnd(row(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.2))

            with pytest.raises(UncertainError, match="broke off"):
                submit(head_end)
            head_end.close()

    def test_rejects_a_meter_without_registers_unasked(self, head_end: RestHeadEnd, scripted: ScriptedHeadEnd) -> None:
        taken = head_end.submit(provisioning())

        assert [each.code for each in taken.rejections] == ["NOT_PROVISIONABLE"]
        assert scripted.submitted == []

    def test_provisions_a_meter_with_registers(self, head_end: RestHeadEnd, scripted: ScriptedHeadEnd) -> None:
        taken = head_end.submit(provisioning(register()))

        assert taken.rejections == ()
        assert scripted.submitted[0]["devices"][0]["device_id"] == DEVICE.device_id


class TestFind:
    def test_returns_the_call_that_was_taken(self, head_end: RestHeadEnd, scripted: ScriptedHeadEnd) -> None:
        scripted.script = ["done, then cut"]
        with pytest.raises(UncertainError):
            submit(head_end)

        found = head_end.find(CORRELATION)

        assert found is not None
        assert found.token == "t-1"

    def test_returns_nothing_for_a_call_that_was_not(self, head_end: RestHeadEnd) -> None:
        assert head_end.find(CORRELATION) is None

    def test_says_that_it_could_not_ask(self, head_end: RestHeadEnd, scripted: ScriptedHeadEnd) -> None:
        scripted.down = True

        with pytest.raises(TransientError, match="HTTP 503"):
            head_end.find(CORRELATION)


class TestResults:
    def test_is_empty_while_there_are_none(self, head_end: RestHeadEnd) -> None:
        submit(head_end)

        assert list(head_end.results("t-1")) == []

    def test_returns_the_job_as_a_delivery_of_its_call(self, head_end: RestHeadEnd, scripted: ScriptedHeadEnd) -> None:
        submit(head_end)
        scripted.jobs["t-1"]["results"] = [{"any": "thing"}]

        (raw,) = head_end.results("t-1")

        assert (raw.topic, raw.correlation) == ("job", CORRELATION)

    def test_says_that_the_head_end_forgot_the_call(self, head_end: RestHeadEnd) -> None:
        with pytest.raises(TransientError, match="HTTP 404"):
            head_end.results("t-9")


class TestProbe:
    def test_tells_what_of_it_mdus_knows(self, head_end: RestHeadEnd, scripted: ScriptedHeadEnd) -> None:
        scripted.capabilities = {"kinds": ["switch", "ping", "defrost"], "version": "2.1"}

        probe = head_end.probe()

        assert probe.takes == {CommandKind.SWITCH, CommandKind.PING}
        assert probe.text == "2.1: switch, ping, defrost"

    def test_tells_nothing_of_a_head_end_that_does_not_know_the_question(self, head_end: RestHeadEnd) -> None:
        assert head_end.probe().takes is None

    @pytest.mark.parametrize("told", [{}, {"kinds": "all"}, {"kinds": None}])
    def test_may_be_tried_again_when_the_answer_is_unreadable(
        self, head_end: RestHeadEnd, scripted: ScriptedHeadEnd, told: dict[str, Any]
    ) -> None:
        scripted.capabilities = told

        with pytest.raises(TransientError, match="kinds is not a list"):
            head_end.probe()

    def test_may_be_tried_again_when_it_is_down(self, head_end: RestHeadEnd, scripted: ScriptedHeadEnd) -> None:
        scripted.down = True

        with pytest.raises(TransientError, match="HTTP 503"):
            head_end.probe()


class TestPages:
    def test_follows_the_cursor_through_the_meters(self, head_end: RestHeadEnd, scripted: ScriptedHeadEnd) -> None:
        scripted.meters = [{"serial": f"000{number}", "registers": []} for number in range(5)]

        assert [meter.serial_id for meter in head_end.meters()] == ["0000", "0001", "0002", "0003", "0004"]

    def test_follows_the_cursor_through_the_snapshots(self, head_end: RestHeadEnd, scripted: ScriptedHeadEnd) -> None:
        scripted.snapshots = [{"number": number} for number in range(3)]
        day = datetime(2026, 3, 28, tzinfo=UTC)

        pages = list(head_end.snapshots(period_from=day, period_to=day.replace(day=29)))

        assert [page.topic for page in pages] == ["readings", "readings"]
        assert "from=2026-03-28T00%3A00%3A00Z" in scripted.asked[0]

    def test_follows_the_cursor_through_interval_values_and_events(
        self, head_end: RestHeadEnd, scripted: ScriptedHeadEnd
    ) -> None:
        scripted.blocks = scripted.events = [{"number": number} for number in range(5)]
        period = {"period_from": datetime(2026, 3, 28, tzinfo=UTC), "period_to": datetime(2026, 3, 29, tzinfo=UTC)}

        assert [page.topic for page in head_end.intervals(**period)] == ["intervals"] * 3
        assert [page.topic for page in head_end.events(**period)] == ["events"] * 3

        paths = [urlsplit(asked) for asked in scripted.asked]
        assert [path.path for path in paths] == ["/v1/intervals"] * 3 + ["/v1/events"] * 3
        assert parse_qs(paths[5].query) == {
            "from": ["2026-03-28T00:00:00Z"],
            "to": ["2026-03-29T00:00:00Z"],
            "limit": ["1000"],
            "cursor": ["4"],
        }

    def test_takes_no_page_without_its_list(self, head_end: RestHeadEnd, scripted: ScriptedHeadEnd) -> None:
        day = datetime(2026, 3, 28, tzinfo=UTC)
        scripted.blocks = "none"  # type: ignore[assignment]

        with pytest.raises(TransientError, match="blocks is not a list"):
            list(head_end.intervals(period_from=day, period_to=day))

    def test_yields_nothing_for_an_empty_period(self, head_end: RestHeadEnd) -> None:
        day = datetime(2026, 3, 28, tzinfo=UTC)

        assert list(head_end.snapshots(period_from=day, period_to=day)) == []
