"""What is not taken in: each reason has its own clear answer, and what could be read stays visible."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable
from typing import ClassVar

import pytest

from mdus.messaging.status import MessageStatus
from mdus.storage.message import BODY, ITEM, MESSAGE, MESSAGE_EVENT
from mdus.telemetry.metrics import REGISTRY
from tests.flows.intake.installation import XML, Installation, fault_of
from tests.flows.intake.messages import (
    CREATE_DEVICE,
    CREATE_DEVICES,
    ROOT_NAMESPACE,
    SOAP,
    create_device,
    create_devices,
    device,
    envelope,
    header,
    item,
    new_uuid,
)

SOAP_1_2 = "http://www.w3.org/2003/05/soap-envelope"
INTERFACE = f"{CREATE_DEVICE}_Out"


def swapped(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def swap(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new)

    return swap


def refusals(reason: str, interface: str = "unknown") -> float:
    labels = {"interface": interface, "reason": reason}
    return REGISTRY.get_sample_value("mdus_messages_refused_total", labels) or 0.0


# (what is done to a good message, what the fault says, the reason it is counted under)
UNREADABLE = [
    pytest.param(swapped(b"</soap:Envelope>", b""), "Not well-formed XML at line 1", "malformed_xml", id="cut short"),
    pytest.param(lambda content: b"", "Not well-formed XML", "malformed_xml", id="nothing at all"),
    pytest.param(
        swapped(b"<soap:Envelope", b'<!DOCTYPE x [<!ENTITY a "b">]><soap:Envelope'),
        "no document type declaration",
        "dtd",
        id="with a DTD",
    ),
    pytest.param(swapped(b"Envelope", b"Letter"), "not {" + SOAP, "not_an_envelope", id="no envelope"),
    pytest.param(swapped(SOAP.encode(), SOAP_1_2.encode()), "SOAP 1.2", "soap_version", id="SOAP 1.2"),
    pytest.param(
        lambda content: content.split(b"<n0:")[0] + b"</soap:Body></soap:Envelope>",
        "Body is empty",
        "empty_body",
        id="empty Body",
    ),
    pytest.param(
        swapped(b"</soap:Body>", b"<x/></soap:Body>"), "not one message", "several_messages", id="two messages"
    ),
    pytest.param(
        swapped(CREATE_DEVICE.encode(), b"UtilitiesDeviceEvicted"),
        "root of no message",
        "unknown_root",
        id="no root of ours",
    ),
    pytest.param(
        lambda content: content.replace(b"n0:", b"").replace(b' xmlns:n0="', b' xmlns:unused="'),
        "has no namespace",
        "unknown_root",
        id="root without namespace",
    ),
    pytest.param(
        swapped(ROOT_NAMESPACE.encode(), b"urn:elsewhere"),
        "is no message",
        "unknown_root",
        id="root in another namespace",
    ),
]


class TestUnreadableMessage:
    @pytest.mark.parametrize(("spoil", "told", "reason"), UNREADABLE)
    def test_is_refused_with_its_own_reason_and_kept(
        self, mdus_on_sqlite: Installation, spoil: Callable[[bytes], bytes], told: str, reason: str
    ) -> None:
        before = refusals(reason)
        content = spoil(create_device())
        response = mdus_on_sqlite.post(content)
        assert response.status_code == 500
        assert response.headers["content-type"].startswith("text/xml")
        code, text, _ = fault_of(response)
        assert code == "soap:Client"
        assert told in text
        [message] = mdus_on_sqlite.rows(MESSAGE)
        assert (message.status, message.key) == (MessageStatus.REFUSED, None)
        assert text in message.refusal
        assert mdus_on_sqlite.rows(BODY.select())[0].size == len(content)
        assert mdus_on_sqlite.rows(MESSAGE_EVENT)[0].status == "refused"
        assert mdus_on_sqlite.rows(ITEM) == []
        assert refusals(reason) == before + 1

    def test_passes_once_it_is_whole(self, mdus_on_sqlite: Installation) -> None:
        assert mdus_on_sqlite.post(create_device()).status_code == 202


class TestMessageOfAnotherInterface:
    def test_is_refused_naming_both(self, mdus_on_sqlite: Installation) -> None:
        response = mdus_on_sqlite.post(create_device(), f"/sap/{CREATE_DEVICES}_Out")
        assert response.status_code == 500
        text = fault_of(response)[1]
        assert INTERFACE in text
        assert f"{CREATE_DEVICES}_Out" in text

    def test_is_refused_when_it_is_one_of_those_mdus_sends(self, mdus_on_sqlite: Installation) -> None:
        response = mdus_on_sqlite.post(envelope("UtilitiesDeviceERPSmartMeterCreateConfirmation", header()))
        assert response.status_code == 500
        assert "sent by MDUS" in fault_of(response)[1]

    def test_is_refused_while_no_service_supports_it(self, mdus_on_sqlite: Installation) -> None:
        response = mdus_on_sqlite.post(envelope("UtilitiesDeviceERPSmartMeterChangeRequest", header(uuid=new_uuid())))
        assert response.status_code == 500
        assert "not support it yet" in fault_of(response)[1]

    def test_is_refused_while_it_asks_for_an_answer_in_the_same_call(self, mdus_on_sqlite: Installation) -> None:
        response = mdus_on_sqlite.post(envelope("UtilitiesTimeSeriesItemByIDQuery_sync", ""))
        assert response.status_code == 500
        assert "not support it yet" in fault_of(response)[1]

    def test_is_not_found_where_there_is_no_such_interface(self, mdus_on_sqlite: Installation) -> None:
        response = mdus_on_sqlite.post(create_device(), "/sap/Utilities_Out")
        assert response.status_code == 404
        assert "no interface Utilities_Out" in fault_of(response)[1]
        assert mdus_on_sqlite.rows(MESSAGE) == []


class TestMessageAgainstTheContract:
    def test_is_refused_with_every_place(self, mdus: Installation) -> None:
        content = envelope(
            CREATE_DEVICE,
            header(uuid=new_uuid())
            + device("1" * 19).replace("2026-01-01", "01.01.2026").replace("<MaterialID>METER-E</MaterialID>", ""),
        )
        response = mdus.post(content)
        assert response.status_code == 500
        _, text, places = fault_of(response)
        assert CREATE_DEVICE in text
        assert len(places) == 3
        for name in ("UtilitiesDevice/ID", "StartDate", "MaterialID"):
            assert any(name in place for place in places)
        [message] = mdus.rows(MESSAGE)
        assert all(place in message.refusal for place in places)

    def test_tells_who_it_was_as_far_as_it_says(self, mdus: Installation) -> None:
        uuid = new_uuid()
        mdus.post(envelope(CREATE_DEVICE, header(uuid=uuid, number="17", sender="P12") + "<Nonsense/>"))
        [message] = mdus.rows(MESSAGE)
        assert (message.uuid, message.header_id, message.sender_system) == (uuid, "17", "P12")
        assert (message.service, message.root) == (CREATE_DEVICE, CREATE_DEVICE)

    def test_tells_at_most_twenty_places(self, mdus_on_sqlite: Installation) -> None:
        bad = [item("1" * 19, header_xml=header(uuid=new_uuid())) for _ in range(25)]
        places = fault_of(mdus_on_sqlite.post(create_devices(*bad)))[2]
        assert len(places) == 20
        assert "Message[20]" in places[-1]

    def test_is_refused_whole_for_one_item(self, mdus: Installation) -> None:
        good = [item(str(number), header_xml=header(uuid=new_uuid())) for number in range(3)]
        response = mdus.post(create_devices(*good, item("1" * 19, header_xml=header(uuid=new_uuid()))))
        assert response.status_code == 500
        assert "[4]" in fault_of(response)[2][0]
        assert mdus.rows(ITEM) == []

    def test_is_refused_with_qualified_children_and_that_explanation(self, mdus_on_sqlite: Installation) -> None:
        content = create_device().replace(b"xmlns:n0", b"xmlns").replace(b"n0:", b"")
        response = mdus_on_sqlite.post(content)
        assert response.status_code == 500
        assert "no namespace" in fault_of(response)[1]

    def test_passes_with_an_empty_namespace_on_every_child(self, mdus_on_sqlite: Installation) -> None:
        content = (
            create_device()
            .replace(b"xmlns:n0", b"xmlns")
            .replace(b"n0:", b"")
            .replace(b"<MessageHeader>", b'<MessageHeader xmlns="">')
            .replace(b"<UtilitiesDevice>", b'<UtilitiesDevice xmlns="">')
        )
        assert mdus_on_sqlite.post(content).status_code == 202

    def test_is_refused_when_a_date_is_beyond_all_calendars(self, mdus_on_sqlite: Installation) -> None:
        content = create_device(created_at="9999-12-31T24:00:00Z")
        response = mdus_on_sqlite.post(content)
        assert response.status_code == 500
        assert "CreationDateTime" in fault_of(response)[1]


class TestMessageWithoutKey:
    def test_is_refused(self, mdus_on_sqlite: Installation) -> None:
        response = mdus_on_sqlite.post(envelope(CREATE_DEVICE, header() + device("1")))
        assert response.status_code == 500
        assert "neither UUID nor ID" in fault_of(response)[1]

    def test_passes_with_an_id_alone(self, mdus_on_sqlite: Installation) -> None:
        assert mdus_on_sqlite.post(envelope(CREATE_DEVICE, header(number="1") + device("1"))).status_code == 202


class TestContentType:
    @pytest.mark.parametrize("said", ["text/xml", "text/xml; charset=utf-8", "TEXT/XML;charset=UTF-8"])
    def test_text_xml_passes(self, mdus_on_sqlite: Installation, said: str) -> None:
        assert mdus_on_sqlite.post(create_device(), headers={"Content-Type": said}).status_code == 202

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            pytest.param("application/soap+xml", "SOAP 1.2", id="SOAP 1.2"),
            pytest.param("application/json", "application/json", id="JSON"),
            pytest.param("text/xmlish", "text/xmlish", id="a longer name"),
            pytest.param("multipart/related; type=text/xml", "multipart/related", id="attachments"),
            pytest.param(None, "not said", id="none"),
        ],
    )
    def test_any_other_is_refused_and_nothing_kept(
        self, mdus_on_sqlite: Installation, said: str | None, told: str
    ) -> None:
        before = refusals("content_type")
        response = mdus_on_sqlite.post(create_device(), headers={"Content-Type": said} if said else {})
        assert response.status_code == 415
        assert told in fault_of(response)[1]
        assert mdus_on_sqlite.rows(MESSAGE) == []
        assert refusals("content_type") == before + 1


class TestSize:
    LIMIT = 20_000

    @pytest.fixture
    def mdus(self, sqlite_url: str) -> Installation:
        environ = {"MDUS_HTTP__MAX_BODY_BYTES": str(self.LIMIT), "MDUS_HTTP__SMALL_MESSAGE_BYTES": str(self.LIMIT)}
        return Installation(sqlite_url, environ=environ)

    def sized(self, size: int) -> bytes:
        content = create_device()
        return content.replace(b"<soap:Body>", b" " * (size - len(content)) + b"<soap:Body>")

    def in_chunks(self, content: bytes) -> AsyncIterator[bytes]:
        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(content), 1000):
                yield content[start : start + 1000]

        return chunks()

    def test_at_the_limit_passes(self, mdus: Installation) -> None:
        assert mdus.post(self.sized(self.LIMIT)).status_code == 202

    def test_above_the_limit_is_refused_and_nothing_kept(self, mdus: Installation) -> None:
        response = mdus.post(self.sized(self.LIMIT + 1))
        assert response.status_code == 413
        assert str(self.LIMIT) in fault_of(response)[1]
        assert mdus.rows(MESSAGE) == []

    def test_is_known_from_what_comes_when_no_length_is_announced(self, mdus: Installation) -> None:
        assert mdus.post(self.in_chunks(self.sized(self.LIMIT))).status_code == 202
        assert mdus.post(self.in_chunks(self.sized(self.LIMIT + 1))).status_code == 413

    def test_counts_what_comes_out_of_gzip(self, mdus: Installation) -> None:
        headers = {**XML, "Content-Encoding": "gzip"}
        assert mdus.post(gzip.compress(self.sized(self.LIMIT)), headers=headers).status_code == 202
        bomb = gzip.compress(self.sized(self.LIMIT + 1))
        assert len(bomb) < 1000
        assert mdus.post(bomb, headers=headers).status_code == 413

    def test_counts_what_comes_out_of_a_bomb_without_unpacking_it_whole(self, mdus: Installation) -> None:
        bomb = gzip.compress(b"\0" * 50_000_000)
        assert mdus.post(bomb, headers={**XML, "Content-Encoding": "gzip"}).status_code == 413


class TestCompressedBody:
    HEADERS: ClassVar = {**XML, "Content-Encoding": "gzip"}

    def test_is_kept_as_it_was_before_compression(self, mdus_on_sqlite: Installation) -> None:
        content = create_device()
        assert mdus_on_sqlite.post(gzip.compress(content), headers=self.HEADERS).status_code == 202
        assert mdus_on_sqlite.post(content).status_code == 202
        assert [row.status for row in mdus_on_sqlite.rows(MESSAGE)] == ["received", "duplicate"]

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(create_device(), id="no gzip"),
            pytest.param(gzip.compress(create_device())[:-9], id="cut short"),
            pytest.param(gzip.compress(create_device()) + b"more", id="bytes after its end"),
        ],
    )
    def test_is_refused_when_it_is_broken(self, mdus_on_sqlite: Installation, content: bytes) -> None:
        response = mdus_on_sqlite.post(content, headers=self.HEADERS)
        assert response.status_code == 400
        assert "gzip" in fault_of(response)[1]

    def test_is_refused_in_another_encoding(self, mdus_on_sqlite: Installation) -> None:
        response = mdus_on_sqlite.post(create_device(), headers={**XML, "Content-Encoding": "br"})
        assert response.status_code == 415
        assert "br" in fault_of(response)[1]


class TestDatabaseAway:
    def test_asks_the_sender_to_come_again(self, mdus_on_sqlite: Installation) -> None:
        with mdus_on_sqlite.database.begin() as uow:
            uow.connection.exec_driver_sql("ALTER TABLE message RENAME TO message_away")
        response = mdus_on_sqlite.post(create_device())
        assert response.status_code == 503
        assert response.headers["retry-after"]
        assert fault_of(response)[0] == "soap:Server"
