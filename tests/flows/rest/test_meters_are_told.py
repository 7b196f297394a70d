"""A client has a meter show a text, or take the right time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice
from mdus.settings import load_settings
from tests.flows.both_sides import BothSides
from tests.flows.rest.doors import Client
from tests.flows.rest.processes import METER, START
from tests.flows.rest.test_clients_order import only_item

TEXT = {"device_id": METER, "ask": "show_text", "text": "Zähler wird am 3. Mai getauscht"}
TIME = {"device_id": METER, "ask": "set_time"}


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=START)
    made.meter(METER)
    yield made
    made.close()


@pytest.fixture
def client(sides: BothSides) -> Client:
    return Client(sides)


class TestAText:
    def test_is_shown_by_the_meter(self, sides: BothSides, client: Client) -> None:
        number = client.order("commands", TEXT)
        sides.rest()
        [order] = sides.submitted(CommandKind.SHOW_TEXT)
        assert order["text"] == TEXT["text"]
        assert sides.answer(CommandKind.SHOW_TEXT)
        sides.rest()
        assert only_item(client, number)["state"] == "done"

    @pytest.mark.parametrize(
        ("item", "type_id"),
        [
            pytest.param(TEXT | {"text": "x" * 161}, "342(MDUS)", id="too long"),
            pytest.param({"device_id": METER, "ask": "show_text"}, "341(MDUS)", id="no text"),
            pytest.param(TIME | {"text": "x"}, "341(MDUS)", id="a text for something else"),
        ],
    )
    def test_is_refused(self, sides: BothSides, client: Client, item: dict[str, Any], type_id: str) -> None:
        number = client.order("commands", item)
        sides.rest()
        assert [each["type_id"] for each in only_item(client, number)["problems"]] == [type_id]
        assert sides.all(Command) == []

    def test_may_be_as_long_as_the_meter_shows(self, sides: BothSides, client: Client) -> None:
        client.order("commands", TEXT | {"text": "x" * 160})
        sides.rest()
        assert len(sides.submitted(CommandKind.SHOW_TEXT)) == 1

    def test_is_not_shown_to_somebody_else(self, sides: BothSides, client: Client) -> None:
        number = client.order("commands", TEXT)
        sides.decide()
        [device] = sides.all(EndDevice)
        sides.save(replace(device, serial_id="another"))
        sides.rest()
        assert "OTHER_METER" in only_item(client, number)["problems"][0]["note"]
        assert sides.submitted(CommandKind.SHOW_TEXT) == []


class TestTheTime:
    def test_is_set(self, sides: BothSides, client: Client) -> None:
        number = client.order("commands", TIME)
        sides.rest()
        assert len(sides.submitted(CommandKind.SET_TIME)) == 1
        assert sides.answer(CommandKind.SET_TIME)
        sides.rest()
        assert only_item(client, number)["state"] == "done"

    def test_of_test_data_is_not(self, sides: BothSides, client: Client) -> None:
        number = client.order("commands", TIME, test_data=True)
        sides.rest()
        assert [each["type_id"] for each in only_item(client, number)["problems"]] == ["310(MDUS)"]
        assert sides.all(Command) == []


@pytest.mark.parametrize(
    ("resource", "item", "capability", "words"),
    [
        ("commands", TEXT, "text", "show texts"),
        ("commands", TIME, "time_set", "have its clock set"),
        ("demand-limits", {"device_id": METER, "limit_kw": "3"}, "demand_limit", "be limited in its demand"),
    ],
)
def test_a_device_that_cannot_is_refused_with_the_reason(
    sides: BothSides, client: Client, resource: str, item: dict[str, Any], capability: str, words: str
) -> None:
    sides.database.settings = load_settings({f"MDUS_CAPABILITIES__OLD__{capability.upper()}": "false"})
    number = client.order(resource, item)
    sides.rest()
    [problem] = only_item(client, number)["problems"]
    assert problem["type_id"] == "150(MDUS)"
    assert problem["note"].startswith(f"The device cannot {words}: its model LX100 lacks that")
    assert sides.all(Command) == []
