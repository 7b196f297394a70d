"""The faults that only this head end has, each at its place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from simulators.clock import stamp
from simulators.fleet.faults import UnknownFault
from simulators.headend_token_poll import soap
from tests.unit.simulators.headend_token_poll.conftest import REFERENCE, Stage, fault, read

Make = Callable[..., Stage]


def fired(city: Stage, name: str) -> int:
    return len(city.head_end.state.faults.hits[name])


class TestAnswers:
    @pytest.mark.parametrize(
        ("name", "status", "content", "executed"),
        [
            ("soap_fault", 500, b"InternalError", False),
            ("html_error_page", 500, b"<html>", False),
            ("html_error_page_after_acceptance", 500, b"<html>", True),
            ("empty_200", 200, b"", True),
            ("max_pending", 500, b"TooManyPendingRequests", False),
            ("maintenance_window", 503, b"later", False),
            ("login_refused_once", 401, b"who", False),
        ],
    )
    def test_are_spoiled(self, stage: Make, name: str, status: int, content: bytes, executed: bool) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                await city.head_end.arm(name, 1)
                answer = await city.call("ControlService", "DisconnectMeter", city.request(city.switched))
                await city.idle()
                assert answer.status_code == status
                assert content in answer.content
                breaker = city.head_end.state.meters[city.switched].breaker
                assert (breaker.state == "disconnected") is executed
                assert fired(city, name) == 1

        asyncio.run(scene(stage()))


class TestSessions:
    def test_end_in_the_middle_of_work(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                await city.head_end.arm("session_expires", 1)
                request = city.request(city.switched)
                first = await city.call("DiagnosticService", "PingByEndpoints", request)
                second = await city.call("DiagnosticService", "PingByEndpoints", request)
                assert (fault(first)[0], fault(second)[0]) == ("SessionExpired", "SessionUnknown")
                await city.log_in()
                read(await city.call("DiagnosticService", "PingByEndpoints", request))

        asyncio.run(scene(stage()))

    def test_are_refused_when_there_were_too_many(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.head_end.arm("login_rate_limited", 1)
                inside = "<UserName>mdus</UserName><Password>secret</Password>"
                assert fault(await city.call("SessionService", "Login", inside))[0] == "LoginRateExceeded"
                await city.log_in()

        asyncio.run(scene(stage()))


class TestTellings:
    def test_of_a_status_are_lost(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                await city.head_end.arm("status_callback_lost", 1)
                answer = await city.ask("DiagnosticService", "PingByEndpoints", city.switched)
                await city.idle()
                assert city.of("/status") == []
                result = await city.fetch("DiagnosticService", "PingByEndpoints", soap.text(answer, "RequestToken"))
                assert soap.texts(result, "Outcome") == ["Success"]

        asyncio.run(scene(stage()))

    def test_of_a_status_are_not_lost_where_there_are_none(self, stage: Make) -> None:
        assert "status_callback_lost" in stage("--faults", "all").head_end.state.faults.remaining
        polled = stage("--completion", "poll", "--faults", "all").head_end.state.faults
        assert "status_callback_lost" not in polled.table.keys() | polled.remaining.keys()
        assert "session_expires" in polled.remaining
        with pytest.raises(UnknownFault):
            stage("--completion", "poll", "--faults", "status_callback_lost")

    def test_of_data_come_twice(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                await city.head_end.arm("data_announced_twice", 1)
                begin = stamp(city.now - timedelta(days=1))
                inside = (
                    f"<DataSet>Registers</DataSet><StartTime>{begin}</StartTime><EndTime>{stamp(city.now)}</EndTime>"
                )
                await city.ask("DataService", "InterrogateByEndpoints", city.switched, inside=inside)
                await city.idle()
                assert len(city.of("/data")) == 2

        asyncio.run(scene(stage()))

    def test_go_nowhere_when_a_subscription_is_lost(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                await city.head_end.arm("subscription_lost", 1)
                await city.ask("ControlService", "DisconnectMeter", city.switched)
                await city.idle()
                assert city.of("/exceptions") == []
                assert city.face.subscriptions.of("Exceptions") == []
                await city.subscribe()
                await city.ask("ControlService", "ReconnectMeter", city.switched)
                await city.idle()
                assert soap.texts(city.of("/exceptions")[0], "Name") == ["3.31.0.42"]

        asyncio.run(scene(stage()))


async def voltage(city: Stage) -> str:
    name = "DetectLoadSideVoltageByMeter"
    token = soap.text(await city.ask("ControlService", name, city.switched), "RequestToken")
    [told] = soap.texts(await city.fetch("ControlService", name, token), "LoadSideVoltage")
    return told


async def switch(city: Stage, name: str) -> str:
    token = soap.text(await city.ask("ControlService", name, city.switched), "RequestToken")
    await city.idle()
    [told] = soap.texts(await city.fetch("ControlService", name, token), "SwitchState")
    return told


class TestVoltage:
    def test_is_found_behind_an_open_breaker(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                await city.head_end.arm("voltage_behind_the_breaker", 1)
                assert await voltage(city) == "Present"  # of the grid
                assert fired(city, "voltage_behind_the_breaker") == 0
                assert await switch(city, "DisconnectMeter") == "Disconnected"
                assert await voltage(city) == "Present"
                assert fired(city, "voltage_behind_the_breaker") == 1
                assert await voltage(city) == "Absent"

        asyncio.run(scene(stage()))

    def test_is_not_there_behind_a_breaker_that_only_says_it_closed(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                await switch(city, "DisconnectMeter")
                await city.head_end.arm("relay_stuck_but_acknowledged", 1)
                assert await switch(city, "ReconnectMeter") == "Connected"
                assert await voltage(city) == "Absent"
                assert await switch(city, "ReconnectMeter") == "Connected"
                assert await voltage(city) == "Present"

        asyncio.run(scene(stage()))

    @pytest.mark.parametrize("completion", ["ready", "poll"])
    def test_is_told_to_subscribers(self, stage: Make, completion: str) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                name = "DetectLoadSideVoltageByMeter"
                await city.ask("ControlService", name, city.switched)
                await city.idle()
                assert city.of("/data") == []
                await city.head_end.arm("detection_told_to_subscribers", 1)
                await city.ask("ControlService", name, city.switched)
                await city.idle()
                (arrived,) = city.of("/data")
                assert soap.text(arrived, "Operation") == name
                assert soap.texts(arrived, "CallerReference") == [REFERENCE]
                assert soap.texts(arrived, "LoadSideVoltage") == ["Present"]  # the grid's: the breaker is closed
                assert fired(city, "detection_told_to_subscribers") == 1

        asyncio.run(scene(stage("--completion", completion)))
