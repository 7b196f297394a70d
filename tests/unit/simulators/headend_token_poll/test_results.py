"""What faults of callbacks make of results that are fetched: the first fetch is spoiled, what comes later is right."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable

import pytest

from simulators.headend_token_poll import soap
from simulators.headend_token_poll.contract import serial_of
from tests.unit.simulators.headend_token_poll.conftest import REFERENCE, Stage

Make = Callable[..., Stage]
Fetch = Callable[[], Awaitable[ET.Element]]

BOTH = pytest.mark.parametrize("completion", ["ready", "poll"])


async def spoiled(city: Stage, name: str) -> tuple[list[str], Fetch]:
    """Read four meters with a fault; returns their serial numbers, and what fetches the result."""
    await city.install()
    await city.head_end.arm(name, 1)
    serials = [meter.serial for meter in city.meters[:4]]
    answer = await city.ask("DataService", "ContingencyReadByEndpoints", *serials)
    await city.idle()
    token = soap.text(answer, "RequestToken")

    async def fetch() -> ET.Element:
        result = await city.fetch("DataService", "ContingencyReadByEndpoints", token)
        await city.idle()
        return result

    return serials, fetch


def named(result: ET.Element) -> list[str]:
    """Return the serial numbers of the meters that have ended."""
    endpoints = [each for each in result.iter() if soap.local(each) == "Endpoint"]
    ended = [each for each in endpoints if soap.text(each, "Outcome") != "Pending"]
    return [serial_of(soap.text(each, "ElectronicSerialNumber")) for each in ended]


def values(message: ET.Element) -> list[str]:
    return [each.attrib["Value"] for each in message.iter() if soap.local(each) == "Reading"]


class TestTheFirstFetch:
    @BOTH
    def test_names_another_meter(self, stage: Make, completion: str) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                serials, fetch = await spoiled(city, "wrong_meter_in_callback")
                first, second = await fetch(), await fetch()
                [hit] = city.head_end.state.faults.hits["wrong_meter_in_callback"]
                assert named(first) == [hit["stranger"] if each == hit["serial"] else each for each in serials]
                assert hit["serial"] in serials
                assert values(first) == values(second)
                assert named(second) == serials

        asyncio.run(scene(stage("--completion", completion)))

    @BOTH
    def test_has_one_half_of_what_is_there(self, stage: Make, completion: str) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                serials, fetch = await spoiled(city, "split_callbacks")
                first, second = await fetch(), await fetch()
                assert (named(first), soap.text(first, "Status")) == (serials[:2], "InProgress")
                assert (named(second), soap.text(second, "Status")) == (serials, "Complete")

        asyncio.run(scene(stage("--completion", completion)))

    @pytest.mark.parametrize(
        ("fault", "token", "reference"),
        [
            ("callback_unknown_token", "j-unknown", "00000000-0000-4000-8000-000000000000"),
            ("callback_empty_correlation", None, None),
        ],
    )
    def test_is_of_nobody_where_results_are_polled(
        self, stage: Make, fault: str, token: str | None, reference: str | None
    ) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                serials, fetch = await spoiled(city, fault)
                first, second = await fetch(), await fetch()
                own = soap.text(second, "RequestToken")
                assert soap.texts(first, "RequestToken") == [token or own]
                assert soap.texts(first, "CallerReference") == ([reference] if reference else [])
                assert soap.texts(second, "CallerReference") == [REFERENCE]
                assert named(first) == named(second) == serials

        asyncio.run(scene(stage("--completion", "poll")))


class TestWhatWasFetched:
    @BOTH
    def test_is_told_again_with_other_values(self, stage: Make, completion: str) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                serials, fetch = await spoiled(city, "duplicate_callback_other_value")
                assert city.of("/data") == []
                first = await fetch()
                [arrived] = city.of("/data")
                assert soap.texts(arrived, "CallerReference") == [REFERENCE]
                assert soap.text(arrived, "Operation") == "ContingencyReadByEndpoints"
                assert named(first) == named(arrived) == serials
                assert len(values(first)) == len(values(arrived))
                assert all(one != other for one, other in zip(values(first), values(arrived), strict=True))
                assert values(await fetch()) == values(arrived)
                assert len(city.of("/data")) == 1

        asyncio.run(scene(stage("--completion", completion)))

    @pytest.mark.parametrize(("completion", "callbacks", "pushed"), [("ready", 2, 0), ("poll", 0, 1)])
    def test_is_told_twice(self, stage: Make, completion: str, callbacks: int, pushed: int) -> None:
        async def scene(city: Stage) -> None:
            async with city:
                serials, fetch = await spoiled(city, "duplicate_callback")
                first = await fetch()
                assert named(first) == serials
                assert (len(city.of("/status")), len(city.of("/data"))) == (callbacks, pushed)
                assert all(values(each) == values(first) for each in city.of("/data"))

        asyncio.run(scene(stage("--completion", completion)))
