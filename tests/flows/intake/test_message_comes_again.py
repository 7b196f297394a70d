"""SAP delivers at least once: the same message has one effect, its answer goes out again, a changed one is refused."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, update

from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.storage.facts import EXCEPTION_CASE
from mdus.storage.message import BODY, ITEM, MESSAGE, MESSAGE_EVENT
from tests.flows.intake.installation import NOW, Installation, fault_of
from tests.flows.intake.messages import create_device, create_devices, envelope, header, item, new_uuid

CASE = EXCEPTION_CASE.table


def answered(mdus: Installation, *, status: MessageStatus) -> int:
    """Give the first message a confirmation in a status; return its id."""
    [message, *_] = mdus.rows(MESSAGE)
    with mdus.database.begin() as uow:
        made = uow.connection.execute(
            insert(MESSAGE)
            .values(
                direction="out",
                sender_system=message.sender_system,
                service=message.service,
                root="UtilitiesDeviceERPSmartMeterCreateConfirmation",
                bulk=False,
                status=status,
                key="answer",
                uuid="answer",
                test_data=False,
                original_id=message.id,
                item_count=1,
                set_aside=0,
                part=1,
                attempts=3,
                created_at=NOW,
                stored_at=NOW,
            )
            .returning(MESSAGE.c.id)
        )
        return int(made.scalar_one())


class TestSameMessageAgain:
    def test_is_answered_like_the_first_and_kept_as_a_copy_without_items(self, mdus: Installation) -> None:
        content = create_device()
        assert [mdus.post(content).status_code for _ in range(3)] == [202, 202, 202]
        first, *copies = mdus.rows(MESSAGE)
        assert first.status is MessageStatus.RECEIVED
        assert [(copy.status, copy.key, copy.original_id) for copy in copies] == [
            (MessageStatus.DUPLICATE, None, first.id)
        ] * 2
        assert len(mdus.rows(ITEM)) == 1
        assert len(mdus.rows(BODY.select())) == 1
        assert [row.status for row in mdus.rows(MESSAGE_EVENT)] == ["received", "duplicate", "duplicate"]

    @pytest.mark.parametrize(
        "status",
        [
            pytest.param(MessageStatus.DELIVERED, id="delivered"),
            pytest.param(MessageStatus.DEAD, id="given up, which SAP never saw"),
        ],
    )
    def test_sends_the_stored_answer_again(self, mdus: Installation, status: MessageStatus) -> None:
        content = create_device()
        mdus.post(content)
        answer = answered(mdus, status=status)
        mdus.post(content)
        [sent] = [row for row in mdus.rows(MESSAGE) if row.direction == "out"]
        assert (sent.id, sent.status, sent.uuid, sent.attempts) == (answer, MessageStatus.READY, "answer", 0)
        [made_ready] = [row for row in mdus.rows(MESSAGE_EVENT) if row.message_id == answer]
        assert made_ready.status == "ready"

    @pytest.mark.parametrize("status", [MessageStatus.READY, MessageStatus.SENDING])
    def test_leaves_an_answer_on_its_way_alone(self, mdus: Installation, status: MessageStatus) -> None:
        content = create_device()
        mdus.post(content)
        answer = answered(mdus, status=status)
        mdus.post(content)
        [sent] = [row for row in mdus.rows(MESSAGE) if row.id == answer]
        assert (sent.status, sent.attempts) == (status, 3)
        assert [row for row in mdus.rows(MESSAGE_EVENT) if row.message_id == answer] == []

    def test_has_one_effect_when_it_comes_several_times_at_once(self, mdus: Installation) -> None:
        content = create_devices(*(item(str(n), header_xml=header(uuid=new_uuid())) for n in range(50)))
        assert {response.status_code for response in mdus.post_at_once([content] * 6)} == {202}
        statuses = [row.status for row in mdus.rows(MESSAGE)]
        assert statuses.count(MessageStatus.RECEIVED) == 1
        assert statuses.count(MessageStatus.DUPLICATE) == 5
        assert len(mdus.rows(ITEM)) == 50

    def test_is_the_same_in_other_bytes_that_say_the_same(self, mdus: Installation) -> None:
        uuid = new_uuid()
        content = create_device(uuid=uuid, device_id="7")
        other = (
            content.replace(
                b"<soap:Body>", b"<soap:Header><a:MessageID xmlns:a='urn:a'>2</a:MessageID></soap:Header><soap:Body>"
            )
            .replace(b"n0:", b"glob:")
            .replace(b"xmlns:n0", b"xmlns:glob")
        )
        assert [mdus.post(content).status_code, mdus.post(other).status_code] == [202, 202]
        assert [row.status for row in mdus.rows(MESSAGE)] == [MessageStatus.RECEIVED, MessageStatus.DUPLICATE]
        assert len(mdus.rows(BODY.select())) == 2

    def test_is_recognized_whatever_the_case_of_its_uuid(self, mdus: Installation) -> None:
        uuid = new_uuid()
        mdus.post(create_device(uuid=uuid, device_id="7"))
        again = mdus.post(create_device(uuid=uuid.lower(), device_id="7"))
        # Recognized by its key, and refused: the content differs, if only in how the UUID is written.
        assert again.status_code == 500
        assert len(mdus.rows(ITEM)) == 1


class TestSameKeyWithOtherContent:
    def test_is_refused_shown_and_a_case(self, mdus: Installation) -> None:
        uuid = new_uuid()
        mdus.post(create_device(uuid=uuid, device_id="7"))
        response = mdus.post(create_device(uuid=uuid, device_id="7", material="METER-G"))
        assert response.status_code == 500
        code, text, _ = fault_of(response)
        assert code == "soap:Client"
        assert uuid.lower() in text
        assert "other content" in text
        _, copy = mdus.rows(MESSAGE)
        assert (copy.status, copy.key, copy.uuid) == (MessageStatus.REFUSED, None, uuid)
        assert "other content" in copy.refusal
        [case] = mdus.rows(CASE)
        assert (case.kind, case.closed_at) == ("changed_duplicate", None)
        assert uuid.lower() in case.case_key
        assert len(mdus.rows(ITEM)) == 1

    def test_passes_from_another_system(self, mdus: Installation) -> None:
        uuid = new_uuid()
        assert mdus.post(create_device(uuid=uuid, device_id="7")).status_code == 202
        assert mdus.post(create_device(uuid=uuid, device_id="8", sender="P12")).status_code == 202
        assert len(mdus.rows(ITEM)) == 2

    def test_passes_after_a_refusal_which_takes_no_key(self, mdus: Installation) -> None:
        uuid = new_uuid()
        broken = create_device(uuid=uuid).replace(b"<SerialID>", b"<SerialID>" + b"9" * 31)
        assert mdus.post(broken).status_code == 500
        assert mdus.post(create_device(uuid=uuid)).status_code == 202
        assert [row.status for row in mdus.rows(MESSAGE)] == [MessageStatus.REFUSED, MessageStatus.RECEIVED]


class TestSameItemInAnotherMessage:
    def test_points_at_the_item_that_came_first(self, mdus: Installation) -> None:
        known, new = header(uuid=new_uuid()), header(uuid=new_uuid())
        mdus.post(create_devices(item("1", header_xml=known)))
        mdus.post(create_devices(item("1", header_xml=known), item("2", header_xml=new)))
        first, *others = mdus.rows(ITEM)
        repeat = next(row for row in others if row.duplicate_of is not None)
        fresh = next(row for row in others if row.duplicate_of is None)
        assert (repeat.duplicate_of, repeat.key, repeat.position) == (first.id, None, 1)
        assert (repeat.status, repeat.content) == (ItemStatus.READY, first.content)
        assert fresh.position == 2
        assert fresh.key is not None

    def test_is_told_from_its_twin_in_the_same_message(self, mdus: Installation) -> None:
        twin = header(uuid=new_uuid())
        mdus.post(create_devices(item("1", header_xml=twin), item("1", header_xml=twin)))
        first, second = mdus.rows(ITEM)
        assert (first.duplicate_of, second.duplicate_of) == (None, first.id)

    def test_is_told_from_a_single_message_with_its_key(self, mdus: Installation) -> None:
        uuid = new_uuid()
        mdus.post(create_device(uuid=uuid, device_id="1"))
        mdus.post(create_devices(item("1", header_xml=header(uuid=uuid))))
        single, in_bulk = mdus.rows(ITEM)
        assert in_bulk.duplicate_of == single.id

    def test_never_blocks_two_bulks_with_the_same_items_in_another_order(self, mdus: Installation) -> None:
        items = [item(str(number), header_xml=header(uuid=new_uuid())) for number in range(300)]
        responses = mdus.post_at_once([create_devices(*items), create_devices(*reversed(items))])
        assert {response.status_code for response in responses} == {202}
        rows = mdus.rows(ITEM)
        assert len(rows) == 600
        assert len([row for row in rows if row.duplicate_of is None]) == 300


class TestConfirmationOfOurMessage:
    ROOT = "MeterReadingDocumentERPResultCreateConfirmation"

    def confirmation(self, **parts: str) -> bytes:
        log = "<Log><BusinessDocumentProcessingResultCode>3</BusinessDocumentProcessingResultCode></Log>"
        return envelope(self.ROOT, header(**parts) + "<MeterReadingDocument><ID>1</ID></MeterReadingDocument>" + log)

    def test_is_known_by_what_it_answers_when_it_has_no_key_of_its_own(self, mdus: Installation) -> None:
        reference = new_uuid()
        assert mdus.post(self.confirmation(reference=reference)).status_code == 202
        [message] = mdus.rows(MESSAGE)
        assert (message.key, message.reference_uuid) == (reference.lower(), reference)

    def test_is_refused_when_it_answers_nothing_either(self, mdus: Installation) -> None:
        response = mdus.post(self.confirmation())
        assert response.status_code == 500
        assert "neither UUID nor ID" in fault_of(response)[1]


def test_items_of_a_stored_message_are_untouched_by_its_repeat(mdus: Installation) -> None:
    content = create_device()
    mdus.post(content)
    with mdus.database.begin() as uow:
        uow.connection.execute(update(ITEM).values(status=ItemStatus.CLOSED))
    mdus.post(content)
    [row] = mdus.rows(ITEM)
    assert row.status is ItemStatus.CLOSED
