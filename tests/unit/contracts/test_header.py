"""The message header and its key."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from lxml import etree

from mdus.contracts.binding import bind, write
from mdus.contracts.catalog import catalog
from mdus.contracts.header import MessageHeader

HEADER = catalog().types["BusinessDocumentMessageHeader"]
AT = datetime(2025, 3, 1, 10, tzinfo=UTC)
UUID = "0A1B2C3D-0000-4000-8000-00000000ABCD"


class TestMessageHeader:
    def test_reads_what_sap_sends(self) -> None:
        element = etree.fromstring(
            f"<MessageHeader><UUID>{UUID}</UUID><CreationDateTime>2025-03-01T10:00:00Z</CreationDateTime>"
            "<SenderBusinessSystemID>ISU_100</SenderBusinessSystemID></MessageHeader>"
        )
        assert bind(MessageHeader, element) == MessageHeader(uuid=UUID, created_at=AT, sender_system="ISU_100")

    def test_is_valid_when_written_in_full(self) -> None:
        header = MessageHeader(
            id="1",
            uuid=UUID,
            reference_id="2",
            reference_uuid=UUID.lower(),
            created_at=AT,
            test_data=False,
            reconciliation=True,
            sender_system="AEML",
            recipient_system="ISU",
        )
        element = write(header, name="MessageHeader", of=HEADER)
        catalog().part_schema("MessageHeader", HEADER).assertValid(element)
        assert bind(MessageHeader, element) == header
        assert len(element) == 9

    @pytest.mark.parametrize(
        ("header", "key"),
        [
            pytest.param(MessageHeader(created_at=AT, uuid=UUID, id="7"), UUID.lower(), id="lower-case-uuid-first"),
            pytest.param(MessageHeader(created_at=AT, id="07"), "07", id="else-the-id-as-sent"),
            pytest.param(MessageHeader(created_at=AT), None, id="else-none"),
        ],
    )
    def test_has_a_key(self, header: MessageHeader, key: str | None) -> None:
        assert header.key == key

    @pytest.mark.parametrize(
        ("header", "key"),
        [
            pytest.param(MessageHeader(created_at=AT, reference_uuid=UUID, reference_id="7"), UUID.lower(), id="uuid"),
            pytest.param(MessageHeader(created_at=AT, reference_id="07"), "07", id="id"),
            pytest.param(MessageHeader(created_at=AT, uuid=UUID), None, id="none"),
        ],
    )
    def test_has_the_key_of_what_it_answers(self, header: MessageHeader, key: str | None) -> None:
        assert header.reference_key == key
