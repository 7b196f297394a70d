"""Each service over HTTP: sessions, requests, results, subscriptions, and what is no request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from simulators.clock import stamp
from simulators.headend_token_poll import soap
from tests.unit.simulators.headend_token_poll.conftest import BASE, REFERENCE, Stage, fault, read

Make = Callable[..., Stage]

#: A reference under which nothing was asked for yet.
OTHER = "5d1f7c64-9a57-4a4b-8a3e-6a0a0a6c3b11"


class TestSession:
    def test_is_needed_for_every_service_but_its_own(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                answer = await city.call("DiagnosticService", "PingByEndpoints", city.request("1"))
                assert fault(answer) == ("SessionUnknown", "soap:Server")
                await city.log_in()
                assert soap.texts(await city.ask("DiagnosticService", "PingByEndpoints", "1"), "Code") == [
                    "EndpointNotFound"
                ]

        asyncio.run(scene(stage()))

    @pytest.mark.parametrize(("user", "password"), [("mdus", "x"), ("x", "secret")])
    def test_is_not_given_to_strangers(self, stage: Make, user: str, password: str) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                inside = f"<UserName>{user}</UserName><Password>{password}</Password>"
                assert fault(await city.call("SessionService", "Login", inside)) == ("LoginRefused", "soap:Client")

        asyncio.run(scene(stage()))


class TestRequest:
    def test_gives_a_token_calls_back_and_has_a_result(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                answer = await city.ask("ControlService", "DisconnectMeter", city.switched)
                token = soap.text(answer, "RequestToken")
                await city.idle()
                (status,) = city.of("/status")
                assert soap.texts(status, "RequestToken") == [token]
                assert soap.texts(status, "CallerReference") == [REFERENCE]
                assert (soap.text(status, "Operation"), soap.text(status, "Status")) == ("DisconnectMeter", "Complete")
                result = await city.fetch("ControlService", "DisconnectMeter", token)
                assert soap.texts(result, "Outcome") == ["Success"]
                assert soap.texts(result, "SwitchState") == ["Disconnected"]
                assert soap.texts(result, "SwitchedWhen") == [stamp(city.now)]
                assert city.head_end.state.meters[city.switched].breaker.state == "disconnected"

        asyncio.run(scene(stage()))

    def test_is_not_called_back_where_results_are_polled(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                answer = await city.ask("DataService", "ContingencyReadByEndpoints", city.switched)
                await city.idle()
                assert city.of("/status") == []
                token = soap.text(answer, "RequestToken")
                result = await city.fetch("DataService", "ContingencyReadByEndpoints", token)
                assert soap.texts(result, "Status") == ["Complete"]
                assert [each.tag for each in result.iter() if each.tag == "Reading"]

        asyncio.run(scene(stage("--completion", "poll")))

    def test_is_pending_until_the_meter_has_answered(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                await city.head_end.script(city.switched, "ping", ["late:60"])
                answer = await city.ask("DiagnosticService", "PingByEndpoints", city.switched)
                await city.idle()
                token = soap.text(answer, "RequestToken")
                before = await city.fetch("DiagnosticService", "PingByEndpoints", token)
                assert (soap.texts(before, "Status"), soap.texts(before, "Outcome")) == (["InProgress"], ["Pending"])
                await city.advance(minutes=1)
                after = await city.fetch("DiagnosticService", "PingByEndpoints", token)
                assert (soap.texts(after, "Status"), soap.texts(after, "Outcome")) == (["Complete"], ["Success"])

        asyncio.run(scene(stage()))

    def test_is_announced_where_data_was_asked_for(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                await city.advance(days=1, minutes=20)
                city.pushed.clear()
                period = f"<StartTime>{stamp(city.now - timedelta(days=1))}</StartTime>"
                period += f"<EndTime>{stamp(city.now)}</EndTime>"
                inside = f"<DataSet>Intervals</DataSet>{period}"
                answer = await city.ask("DataService", "InterrogateByEndpoints", city.switched, inside=inside)
                await city.idle()
                (arrived,) = city.of("/data")
                token = soap.text(answer, "RequestToken")
                assert soap.text(arrived, "RequestToken") == token
                assert soap.text(arrived, "Operation") == "InterrogateByEndpoints"
                result = await city.fetch("DataService", "InterrogateByEndpoints", token)
                sets = [each for each in result.iter() if each.tag == "ContiguousIntervalSet"]
                assert sets
                for each in sets:
                    assert int(each.attrib["NumberOfReadings"]) == len(each.findall("Readings/Reading"))

        asyncio.run(scene(stage()))

    def test_rejects_meters_it_cannot_ask(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                without = next(meter.serial for meter in city.meters if meter.breaker is None)
                answer = await city.ask("ControlService", "ReadDisconnectState", "999", without, city.switched)
                assert soap.texts(answer, "Code") == ["EndpointNotFound", "NoDisconnectSwitch"]
                await city.idle()
                result = await city.fetch("ControlService", "ReadDisconnectState", soap.text(answer, "RequestToken"))
                assert soap.texts(result, "SwitchState") == ["Connected"]

        asyncio.run(scene(stage()))

    def test_tells_of_an_armed_meter(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                await city.ask("ControlService", "DisconnectMeter", city.switched)
                await city.head_end.script(city.switched, "switch", ["ARMED"])
                answer = await city.ask("ControlService", "ReconnectMeter", city.switched)
                await city.idle()
                result = await city.fetch("ControlService", "ReconnectMeter", soap.text(answer, "RequestToken"))
                assert (soap.texts(result, "Outcome"), soap.texts(result, "SwitchState")) == (["Success"], ["Armed"])

        asyncio.run(scene(stage()))

    def test_is_found_by_its_reference(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                answer = await city.ask("ControlService", "DisconnectMeter", city.switched)
                name, reference = "RetrieveRequestByCallerReference", f"<CallerReference>{REFERENCE}</CallerReference>"
                found = read(await city.call("ControlService", name, reference))
                assert soap.text(found, "RequestToken") == soap.text(answer, "RequestToken")
                assert soap.text(found, "Operation") == "DisconnectMeter"
                other = reference.replace("0c2f", "0c2e")
                assert len(read(await city.call("ControlService", name, other))) == 0

        asyncio.run(scene(stage()))

    @pytest.mark.parametrize(
        ("service", "name", "inside", "code"),
        [
            pytest.param("ControlService", "PingByEndpoints", "", "ActionUnknown", id="another service"),
            pytest.param("DiagnosticService", "PingByEndpoints", "", "ElementMissing", id="empty"),
            pytest.param(
                "DiagnosticService",
                "PingByEndpoints",
                "<CallerReference>mine</CallerReference>",
                "ReferenceUnreadable",
                id="reference",
            ),
            pytest.param(
                "DiagnosticService",
                "PingByEndpoints",
                f"<CallerReference>{REFERENCE}</CallerReference><ExpiresWhen>noon</ExpiresWhen><Endpoints>"
                "<Endpoint><ElectronicSerialNumber>1</ElectronicSerialNumber></Endpoint></Endpoints>",
                "InstantUnreadable",
                id="instant",
            ),
            pytest.param(
                "DiagnosticService",
                "GetPingByEndpointsResult",
                "<RequestToken>x</RequestToken>",
                "TokenUnknown",
                id="token",
            ),
            pytest.param(
                "SubscriptionService",
                "CancelDataSubscription",
                "<SubscriptionID>x</SubscriptionID>",
                "SubscriptionUnknown",
                id="subscription",
            ),
        ],
    )
    def test_that_is_none_is_refused(self, stage: Make, service: str, name: str, inside: str, code: str) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.log_in()
                assert fault(await city.call(service, name, inside)) == (code, "soap:Client")

        asyncio.run(scene(stage()))

    def test_needs_its_soap_action_and_an_envelope(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                content = soap.envelope(soap.Message("urn:mdus:token-poll:session", "Login").root)
                answer = await city.post("SessionService", content, action="urn:other")
                assert fault(answer)[0] == "ActionMismatch"
                assert fault(await city.post("SessionService", b"<a>"))[0] == "NotXml"
                assert fault(await city.post("SessionService", b"<a/>"))[0] == "NotAnEnvelope"

        asyncio.run(scene(stage()))


class TestSubscriptions:
    def test_decide_whether_anything_is_told(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install(subscribed=False)
                await city.ask("ControlService", "DisconnectMeter", city.switched)
                await city.advance(days=1, minutes=20)
                assert {where for where, _ in city.pushed} <= {"/status"}
                await city.subscribe()
                await city.ask("ControlService", "ReconnectMeter", city.switched)
                await city.idle()
                await city.advance(days=1)
                numbers = {number for each in city.of("/exceptions") for number in soap.texts(each, "ID")}
                assert numbers == {"51045", "18000"}
                assert city.of("/data")

        asyncio.run(scene(stage()))

    def test_survive_a_restart(self, stage: Make) -> None:
        async def scene(city: Stage, *, first: bool) -> list[str]:
            async with city:
                await city.log_in()
                if first:
                    await city.subscribe()
                name, system = "RetrieveSubscriptionsBySystemName", "<SystemName>MDUS</SystemName>"
                answer = read(await city.call("SubscriptionService", name, system))
                others = read(await city.call("SubscriptionService", name, "<SystemName>OTHER</SystemName>"))
                assert soap.texts(others, "Kind") == []
                return soap.texts(answer, "Kind")

        assert asyncio.run(scene(stage(), first=True)) == ["Data", "Exceptions"]
        assert asyncio.run(scene(stage(), first=False)) == ["Data", "Exceptions"]

    def test_are_ended(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.log_in()
                await city.subscribe()
                inside = "<SubscriptionID>sub-1</SubscriptionID>"
                read(await city.call("SubscriptionService", "CancelDataSubscription", inside))
                assert [each.kind for each in city.face.subscriptions.of_system("MDUS")] == ["Exceptions"]

        asyncio.run(scene(stage()))

    def test_are_told_again_until_it_is_taken(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                city.refuses = 1
                await city.ask("ControlService", "DisconnectMeter", city.switched)
                await city.idle()
                assert len(city.of("/status")) == len(city.of("/exceptions")) == 1

        asyncio.run(scene(stage()))


class TestVoltage:
    def test_is_told_by_meter(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                other = next(
                    meter.serial for meter in city.meters if meter.breaker is not None and meter.serial != city.switched
                )
                await city.ask("ControlService", "DisconnectMeter", other)
                await city.idle()
                answer = await city.ask("ControlService", "DetectLoadSideVoltageByMeter", city.switched, other, "999")
                token = soap.text(answer, "RequestToken")
                result = await city.fetch("ControlService", "DetectLoadSideVoltageByMeter", token)
                assert soap.texts(result, "LoadSideVoltage") == ["Present", "Absent"]
                assert soap.texts(result, "Outcome") == ["Success", "Success", "Failure"]

        asyncio.run(scene(stage()))

    def test_is_called_back_and_found_like_any_other_request(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                address = f"<DataAddress>{BASE}/data</DataAddress>"
                request = city.request(city.switched, reference=OTHER) + address
                await city.call("ControlService", "DetectLoadSideVoltageByMeter", request)
                await city.idle()
                for path in ("/status", "/data"):
                    (told,) = city.of(path)
                    assert soap.text(told, "Operation") == "DetectLoadSideVoltageByMeter"
                    assert soap.texts(told, "CallerReference") == [OTHER]
                assert await self.found(city) == ["DetectLoadSideVoltageByMeter"]
                await city.call("ControlService", "ReconnectMeter", city.request(city.switched, reference=OTHER))
                assert await self.found(city) == ["ReconnectMeter"]

        asyncio.run(scene(stage()))

    async def found(self, city: Stage) -> list[str]:
        inside = f"<CallerReference>{OTHER}</CallerReference>"
        answer = await city.call("ControlService", "RetrieveRequestByCallerReference", inside)
        return soap.texts(read(answer), "Operation")

    def test_is_called_back_nowhere_without_an_address(self, stage: Make) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                await city.install()
                request = city.request(city.switched).replace(f"<StatusAddress>{BASE}/status</StatusAddress>", "")
                await city.call("ControlService", "DetectLoadSideVoltageByMeter", request)
                await city.idle()
                assert city.pushed == []

        asyncio.run(scene(stage()))
