"""Case 12. SAP refuses a result (code 5) or never answers it.

It is sent again a bounded number of times, each time as a new message for the same document; an answer that comes after
the time it had still closes it.
"""

from __future__ import annotations

import pytest

from mdus.domain.meter_reading_document import DocumentStatus
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.sap_messages import (
    DOCUMENT,
    HEADER_UUID,
    METER,
    OTHER,
    READ_BULK,
    RESULT,
    RESULT_BULK,
    RESULT_BULK_CONFIRMED,
    RESULT_CONFIRMED,
    VALUE,
    reading,
    result_confirmed,
)
from tests.flows.hard_cases.steps import MIDNIGHT, by_document, cases, document, message, read_and_sent, take
from tests.flows.intake.messages import header, new_uuid


def uuids(sides: BothSides) -> list[str]:
    return [texts(found, HEADER_UUID)[0] for found in sides.sap.messages(RESULT)]


def answer(sides: BothSides, code: str, *, to: int) -> None:
    """Answer one of the results SAP has received, by its UUID."""
    head = header(uuid=new_uuid(), sender="P11", reference=uuids(sides)[to])
    take(sides, message(RESULT_CONFIRMED, result_confirmed(code), header_xml=head))
    sides.rest()


def answer_bulk(sides: BothSides, item: str, *, overall: str, to: str) -> None:
    """Answer one item of the bulk with this UUID, with a code for the whole."""
    code = f"<BusinessDocumentProcessingResultCode>{overall}</BusinessDocumentProcessingResultCode>"
    answered = message(RESULT_BULK_CONFIRMED, item, header_xml=header(uuid=new_uuid(), sender="P11", reference=to))
    end = f"</n0:{RESULT_BULK_CONFIRMED}>"
    take(sides, answered.replace(end.encode(), f"<Log>{code if overall else ''}</Log>{end}".encode()))
    sides.rest()


def refused(sides: BothSides) -> None:
    answer(sides, "5", to=-1)
    sides.clock.move(minutes=10)
    sides.rest()


def unanswered(sides: BothSides) -> None:
    sides.clock.move(minutes=60)
    sides.rest()


NOT_TAKEN = pytest.mark.parametrize(
    ("not_taken", "case", "ends_as"),
    [
        pytest.param(refused, "reading_result_refused", DocumentStatus.REJECTED, id="refused"),
        pytest.param(unanswered, "reading_result_unconfirmed", DocumentStatus.RESULT_SENT, id="unanswered"),
    ],
)


class TestAResultThatIsNotTaken:
    @NOT_TAKEN
    def test_is_sent_again_as_a_new_message_of_the_same_document_then_shown(
        self, sides: BothSides, not_taken: type, case: str, ends_as: DocumentStatus
    ) -> None:
        read_and_sent(sides)
        for attempt in (1, 2, 3):
            assert len(uuids(sides)) == attempt
            assert cases(sides) == []
            not_taken(sides)
        sides.clock.move(days=30)
        sides.rest()

        assert len(set(uuids(sides))) == 3
        told = [(texts(one, "MeterReadingDocument/ID"), texts(one, VALUE)) for one in sides.sap.messages(RESULT)]
        assert told == [([DOCUMENT], ["12345.67"])] * 3
        assert cases(sides) == [case]
        assert document(sides).status is ends_as

    @NOT_TAKEN
    def test_and_was_given_up_is_still_closed_by_a_late_success(
        self, sides: BothSides, not_taken: type, case: str, ends_as: DocumentStatus
    ) -> None:
        read_and_sent(sides)
        for _ in range(3):
            not_taken(sides)
        sides.clock.move(days=30)
        answer(sides, "3", to=-1)

        assert document(sides).status is DocumentStatus.CONFIRMED
        assert cases(sides) == []

    def test_waits_before_it_is_sent_again(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        read_and_sent(sides)
        answer(sides, "5", to=0)
        sides.clock.move(minutes=9, seconds=59)
        sides.rest()
        assert len(uuids(sides)) == 1

        sides.clock.move(seconds=1)
        sides.rest()
        assert len(uuids(sides)) == 2


class TestAnAnswerAfterTheTimeItHad:
    def test_to_the_first_message_closes_though_a_second_is_under_way(self, sides: BothSides) -> None:
        read_and_sent(sides)
        unanswered(sides)
        assert len(uuids(sides)) == 2

        answer(sides, "3", to=0)
        sides.clock.move(days=1)
        sides.rest()
        assert document(sides).status is DocumentStatus.CONFIRMED
        assert len(uuids(sides)) == 2

    def test_that_refuses_the_first_does_not_undo_that_the_second_was_taken(self, sides: BothSides) -> None:
        read_and_sent(sides)
        unanswered(sides)
        answer(sides, "3", to=1)
        answer(sides, "5", to=0)
        sides.clock.move(days=1)
        sides.rest()

        assert document(sides).status is DocumentStatus.CONFIRMED
        assert len(uuids(sides)) == 2
        assert cases(sides) == []

    def test_twice_is_once(self, sides_on_sqlite: BothSides) -> None:
        sides = sides_on_sqlite
        read_and_sent(sides)
        for _ in range(2):
            answer(sides, "03", to=0)

        assert document(sides).status is DocumentStatus.CONFIRMED
        assert cases(sides) == []


class TestAnItemThatTheAnswerToItsBulkLeavesOut:
    def test_is_sent_again_alone_then_shown_and_still_closed_by_a_late_success(self, sides: BothSides) -> None:
        """SAP's error handling keeps one of two: the other is answered, with the code of a part."""
        sides.tell(READ_BULK, reading("D1"), reading("D2", device_id=OTHER))
        sides.clock.instant = MIDNIGHT
        sides.snapshot(MIDNIGHT, (METER, "1.25"), (OTHER, "2.25"))
        sides.clock.move(hours=1)
        sides.rest()
        [first] = [texts(sent, HEADER_UUID)[0] for sent in sides.sap.messages(RESULT_BULK)]
        answer_bulk(sides, result_confirmed(document="D1"), overall="4", to=first)

        assert told(sides) == [{"D1": "1.25", "D2": "2.25"}]
        assert status(sides) == [DocumentStatus.CONFIRMED, DocumentStatus.RESULT_SENT]
        for attempt in (2, 3):
            unanswered(sides)
            assert told(sides)[1:] == [{"D2": "2.25"}] * (attempt - 1)
            assert cases(sides) == []
        for _ in range(3):
            unanswered(sides)
        assert len(told(sides)) == 3
        assert cases(sides) == ["reading_result_unconfirmed"]

        answer_bulk(sides, result_confirmed(document="D2"), overall="3", to=first)
        assert status(sides) == [DocumentStatus.CONFIRMED] * 2
        assert cases(sides) == []


def told(sides: BothSides) -> list[dict[str, str]]:
    return [by_document(bulk, VALUE) for bulk in sides.sap.messages(RESULT_BULK)]


def status(sides: BothSides) -> list[DocumentStatus]:
    return [document(sides, name).status for name in ("D1", "D2")]


class TestAnAnswerThatIsHardToRead:
    @pytest.mark.parametrize(
        ("code", "status"),
        [
            pytest.param("5", DocumentStatus.RESULT_SENT, id="refused"),
            pytest.param("05", DocumentStatus.RESULT_SENT, id="refused, with a zero"),
            pytest.param("4", DocumentStatus.CONFIRMED, id="any other code"),
            pytest.param("", DocumentStatus.CONFIRMED, id="an empty Log"),
        ],
    )
    def test_is_a_refusal_only_if_it_says_so(
        self, sides_on_sqlite: BothSides, code: str, status: DocumentStatus
    ) -> None:
        read_and_sent(sides_on_sqlite)
        answer(sides_on_sqlite, code, to=0)

        assert document(sides_on_sqlite).status is status

    @pytest.mark.parametrize(
        ("own", "overall", "status"),
        [
            pytest.param("", "5", DocumentStatus.RESULT_SENT, id="only the whole is refused"),
            pytest.param("3", "5", DocumentStatus.CONFIRMED, id="the whole is refused, it is not"),
            pytest.param("5", "4", DocumentStatus.RESULT_SENT, id="it is refused"),
            pytest.param("", "3", DocumentStatus.CONFIRMED, id="only the whole is taken"),
            pytest.param("", "", DocumentStatus.CONFIRMED, id="nothing is said at all"),
        ],
    )
    def test_in_a_bulk_is_what_its_item_says_else_what_the_whole_says(
        self, sides_on_sqlite: BothSides, own: str, overall: str, status: DocumentStatus
    ) -> None:
        sides = sides_on_sqlite
        sides.tell(READ_BULK, reading())
        sides.clock.instant = MIDNIGHT
        sides.snapshot(MIDNIGHT, (METER, "1.25"))
        sides.clock.move(hours=1)
        sides.rest()
        [sent] = sides.sap.messages(RESULT_BULK)
        answer_bulk(sides, result_confirmed(own), overall=overall, to=texts(sent, HEADER_UUID)[0])

        assert document(sides).status is status
        assert (document(sides).note is None) is (status is DocumentStatus.CONFIRMED)

    def test_and_names_no_document_is_tied_to_it_by_the_message_it_answers(self, sides: BothSides) -> None:
        read_and_sent(sides)
        head = header(uuid=new_uuid(), sender="P11", reference=uuids(sides)[0].upper())
        take(sides, message(RESULT_CONFIRMED, result_confirmed(document=None), header_xml=head))
        sides.rest()

        assert document(sides).status is DocumentStatus.CONFIRMED
        assert cases(sides) == []

    def test_and_answers_nothing_we_sent_is_shown(self, sides: BothSides) -> None:
        read_and_sent(sides)
        head = header(uuid=new_uuid(), sender="P11", reference=new_uuid())
        take(sides, message(RESULT_CONFIRMED, result_confirmed(document=None), header_xml=head))
        sides.rest()

        assert document(sides).status is DocumentStatus.RESULT_SENT
        assert cases(sides) == ["confirmation_unmatched"]
