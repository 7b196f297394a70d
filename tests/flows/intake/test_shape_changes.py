"""A new version reads items that were stored under an older shape: SAP's from their XML, clients' from what is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select, update

from mdus.domain.access import Role
from mdus.domain.command import Command
from mdus.domain.device_limit import DeviceLimit
from mdus.domain.end_device import EndDevice
from mdus.domain.meter_reading_document import MeterReadingDocument
from mdus.storage.message import BODY, ITEM
from tests.flows import registry
from tests.flows.both_sides import BothSides, texts
from tests.flows.orders import CODE
from tests.flows.rest.doors import Client
from tests.flows.rest.processes import METER, START, reading_order
from tests.flows.rest.test_clients_order import only_item
from tests.flows.rest.test_demand_is_limited import LIMIT, confirm


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=START)
    made.meter(METER)
    yield made
    made.close()


@pytest.fixture
def client(sides: BothSides) -> Client:
    return Client(sides, role=Role.OPERATOR)


def change_shapes(sides: BothSides) -> None:
    """Let all that is stored be of a shape that no service has any more."""
    with sides.database.begin() as uow:
        uow.connection.execute(update(ITEM).values(shape_version="an older one"))


class TestWhatAClientSent:
    def test_is_done_in_the_present_shape(self, sides: BothSides, client: Client) -> None:
        number = client.order("demand-limits", LIMIT)
        change_shapes(sides)
        confirm(sides)
        change_shapes(sides)
        assert only_item(client, number)["state"] == "done"
        [limit] = sides.all(DeviceLimit)
        assert limit.limit_kw == Decimal("3.5")

    def test_keeps_the_name_that_was_made_for_it(self, sides: BothSides, client: Client) -> None:
        number = client.order("reading-orders", reading_order(document_id=None))
        made = only_item(client, number)["request"]["document_id"]
        change_shapes(sides)
        sides.rest()
        [document] = sides.all(MeterReadingDocument)
        assert document.document_id == made

    def test_needs_no_body(self, sides: BothSides, client: Client) -> None:
        number = client.order("demand-limits", LIMIT)
        change_shapes(sides)
        with sides.database.begin() as uow:
            uow.connection.execute(update(BODY).values(data=b""))
        confirm(sides)
        assert only_item(client, number)["state"] == "done"

    def test_is_not_done_where_the_present_shape_does_not_hold_all_of_it(
        self, sides: BothSides, client: Client
    ) -> None:
        number = client.order("demand-limits", LIMIT)
        with sides.database.begin() as uow:
            content = json.loads(uow.connection.scalars(select(ITEM.c.content)).one())
            uow.connection.execute(update(ITEM).values(content=json.dumps({**content, "only_at_night": True})))
        change_shapes(sides)
        sides.rest()
        assert only_item(client, number)["state"] == "dead"
        assert sides.all(Command) == []


class TestWhatSapSent:
    @pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
    def test_is_done_and_confirmed_in_the_present_shape(self, sides: BothSides, bulk: bool) -> None:
        bodies = [registry.device(f"{number:018d}") for number in ((50, 51) if bulk else (50,))]
        sides.tell(registry.DEVICES if bulk else registry.DEVICE, *bodies)
        change_shapes(sides)
        sides.decide()
        change_shapes(sides)
        sides.rest()
        assert len(sides.all(EndDevice)) == 1 + len(bodies)
        [confirmed] = sides.sap.messages(registry.DEVICES_CREATED if bulk else registry.DEVICE_CREATED)
        assert texts(confirmed, CODE) == ["3"]
