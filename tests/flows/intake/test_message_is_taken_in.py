"""SAP posts a message: it is durable, with its items and its raw body, before it is answered."""

from __future__ import annotations

import hashlib
import json
import zlib

import pytest
from sqlalchemy import event

from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.storage.message import BODY, ITEM, MESSAGE, MESSAGE_EVENT
from tests.flows.intake.installation import NOW, Installation
from tests.flows.intake.messages import (
    CREATE_DEVICE,
    CREATE_DEVICES,
    create_device,
    create_devices,
    header,
    item,
    new_uuid,
    reading_orders,
)


class TestSingleMessage:
    def test_is_answered_with_202_and_no_body(self, mdus: Installation) -> None:
        response = mdus.post(create_device())
        assert (response.status_code, response.content) == (202, b"")

    def test_is_stored_with_one_ready_item(self, mdus: Installation) -> None:
        uuid = new_uuid()
        mdus.post(create_device(uuid=uuid, device_id="000000000000000042"))
        [message] = mdus.rows(MESSAGE)
        assert message.status is MessageStatus.RECEIVED
        assert (message.direction, message.sender_system, message.service) == ("in", "P11", CREATE_DEVICE)
        assert (message.key, message.uuid, message.bulk, message.item_count) == (uuid.lower(), uuid, False, 1)
        assert message.stored_at == NOW
        [stored] = mdus.rows(ITEM)
        assert (stored.message_id, stored.position, stored.status) == (message.id, 1, ItemStatus.READY)
        assert stored.key == uuid.lower()
        assert stored.ordering_key == "P11/000000000000000042"
        assert json.loads(stored.content)["device_id"] == "000000000000000042"
        [first] = mdus.rows(MESSAGE_EVENT)
        assert (first.message_id, first.status, first.at) == (message.id, "received", NOW)

    def test_keeps_its_raw_body_once_and_compressed(self, mdus: Installation) -> None:
        content = create_device()
        mdus.post(content)
        [body] = mdus.rows(BODY.select())
        assert body.content_hash == hashlib.sha256(content).digest()
        assert (zlib.decompress(body.data), body.size) == (content, len(content))

    def test_is_known_by_its_id_when_it_has_no_uuid(self, mdus: Installation) -> None:
        mdus.post(create_device(number="0000000000000000000000000000004711"))
        [message] = mdus.rows(MESSAGE)
        assert message.key == "0000000000000000000000000000004711"

    def test_is_from_the_default_system_when_it_names_none(self, mdus: Installation) -> None:
        mdus.post(create_device(sender=None))
        [message] = mdus.rows(MESSAGE)
        assert message.sender_system == "SAP"

    def test_is_taken_at_the_address_of_its_interface(self, mdus: Installation) -> None:
        assert mdus.post(create_device(), f"/sap/{CREATE_DEVICE}_Out").status_code == 202
        assert mdus.post(create_device(), f"/sap/{CREATE_DEVICE}_Out/").status_code == 202
        assert mdus.post(create_device(), "/sap/").status_code == 202

    def test_counts_what_the_contract_does_not_know(self, mdus: Installation) -> None:
        content = create_device().replace(b"<UtilitiesDevice>", b"<Surprise>1</Surprise><UtilitiesDevice>")
        assert mdus.post(content).status_code == 202
        [message] = mdus.rows(MESSAGE)
        assert message.set_aside == 1

    @pytest.mark.parametrize("status", [200, 202])
    def test_is_answered_with_the_status_of_the_settings(self, sqlite_url: str, status: int) -> None:
        mdus = Installation(sqlite_url, environ={"MDUS_HTTP__ANSWER_STATUS": str(status)})
        assert mdus.post(create_device()).status_code == status


class TestBulk:
    def test_stores_every_item_under_its_own_key(self, mdus: Installation) -> None:
        with_uuid, bulk = new_uuid(), new_uuid()
        content = create_devices(
            item("000000000000000001", header_xml=header(uuid=with_uuid)),
            item("000000000000000002", header_xml=header(number="77")),
            item("000000000000000003", header_xml=header()),
            header_xml=header(uuid=bulk),
        )
        assert mdus.post(content).status_code == 202
        [message] = mdus.rows(MESSAGE)
        assert (message.bulk, message.item_count, message.root) == (True, 3, CREATE_DEVICES)
        stored = mdus.rows(ITEM)
        assert [row.key for row in stored] == [with_uuid.lower(), "77", f"{bulk.lower()}/3"]
        assert [row.position for row in stored] == [1, 2, 3]
        assert [row.status for row in stored] == [ItemStatus.READY] * 3

    def test_one_item_of_test_data_leaves_the_others_real(self, mdus: Installation) -> None:
        mdus.post(create_devices(item("1", header_xml=header(test_data=True)), item("2", header_xml=header())))
        assert [row.test_data for row in mdus.rows(ITEM)] == [True, False]
        [message] = mdus.rows(MESSAGE)
        assert message.test_data is False

    def test_a_single_message_of_test_data_is_an_item_of_test_data(self, mdus: Installation) -> None:
        mdus.post(create_device(test_data=True))
        assert [row.test_data for row in mdus.rows(ITEM)] == [True]

    def test_stores_items_that_differ_among_many_alike_at_their_place(self, mdus: Installation) -> None:
        bulk, numbers, odd = new_uuid(), range(1, 251), 120
        content = create_devices(
            *(
                item(
                    f"{number:018}",
                    header_xml=header(uuid=None if number == odd else new_uuid(), test_data=number == 7),
                )
                for number in numbers
            ),
            header_xml=header(uuid=bulk),
        )
        assert mdus.post(content).status_code == 202
        stored = mdus.rows(ITEM)
        assert [(row.position, json.loads(row.content)["device_id"]) for row in stored] == [
            (number, f"{number:018}") for number in numbers
        ]
        assert [row.ordering_key for row in stored] == [f"P11/{number:018}" for number in numbers]
        assert [row.position for row in stored if row.test_data] == [7]
        assert stored[odd - 1].key == f"{bulk.lower()}/{odd}"
        assert {row.uuid.lower() for row in stored if row.uuid} == {row.key for row in stored if row.position != odd}

    def test_takes_as_many_statements_for_a_thousand_items_as_for_two(self, mdus: Installation) -> None:
        counts = []
        for items in (2, 1000):
            statements: list[str] = []

            def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
                statements.append(statement)  # noqa: B023 - listened to within this turn only

            event.listen(mdus.database.engine, "before_cursor_execute", note)
            assert mdus.post(reading_orders(items)).status_code == 202
            event.remove(mdus.database.engine, "before_cursor_execute", note)
            counts.append(len(statements))
        assert counts[0] == counts[1] <= 8
        assert len(mdus.rows(ITEM)) == 1002
