"""What SAP answers to values, or does not answer: taken, refused for some, refused for good, silence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree
from sqlalchemy import select

from mdus.domain.time_series_upload import TimeSeriesUpload, UploadStatus
from mdus.messaging.status import MessageStatus
from mdus.storage.message import MESSAGE
from tests.flows.profiles.metering import (
    CHANGE,
    CREATE,
    PROFILE,
    Metering,
    answer_to,
    items_of,
    role,
    starts,
    texts,
)

MIDNIGHT = datetime(2026, 3, 26, 23, 0, tzinfo=UTC)
CUT_OFF = MIDNIGHT + timedelta(hours=26)
OTHER_PROFILE, OTHER_DEVICE, OTHER_TASK = "000000000000000816", "000000000000000043", "000000000000100043"
VALUES = [f"0.{place:03}" for place in range(1, 97)]


@pytest.fixture
def metering(database_url: str, tmp_path: Path) -> Iterator[Metering]:
    accepted = '[[accepted_types]]\nname = "there_already"\ntype_id = "073(EL)"\n'
    made = Metering(database_url, tmp_path, now=MIDNIGHT, settings=accepted)
    made.meter()
    made.assign(role())
    made.deliver(MIDNIGHT, VALUES)
    made.export(at=CUT_OFF)
    yield made
    made.close()


def statuses(metering: Metering) -> list[UploadStatus]:
    return [upload.status for upload in metering.all(TimeSeriesUpload)]


def uuids(metering: Metering, root: str = CREATE) -> list[str]:
    return [texts(message, "MessageHeader/UUID")[0] for message in metering.sap.messages(root)]


class TestValuesThatSapRefuses:
    def test_are_created_again_as_another_message_then_given_up(self, metering: Metering) -> None:
        for attempt in (1, 2, 3):
            metering.confirm(code="5")
            assert statuses(metering) == [UploadStatus.REFUSED] * attempt
            metering.export(at=CUT_OFF + attempt * timedelta(hours=1) - timedelta(minutes=5))
            assert len(uuids(metering)) == attempt
            metering.export(at=CUT_OFF + attempt * timedelta(hours=1))

        assert len(set(uuids(metering))) == 3
        assert [list(items_of(each)) for each in metering.sap.messages(CREATE)] == [
            list(items_of(metering.sap.messages(CREATE)[0]))
        ] * 3
        assert metering.cases() == ["profile_values_refused"]
        metering.export(at=CUT_OFF + timedelta(days=3))
        assert len(uuids(metering)) == 3

    def test_are_created_once_more_by_hand(self, metering: Metering) -> None:
        self.test_are_created_again_as_another_message_then_given_up(metering)
        metering.export(refused_on=date(2026, 3, 26))
        assert len(uuids(metering)) == 3
        metering.export(refused_on=date(2026, 3, 27))
        assert len(uuids(metering)) == 4
        metering.confirm()
        assert statuses(metering)[-1] is UploadStatus.CONFIRMED
        assert "profile_values_refused" not in metering.cases()

    def test_of_some_profiles_only_are_taken_for_the_others(self, metering: Metering) -> None:
        metering.confirm()
        metering.meter(OTHER_DEVICE, task=OTHER_TASK)
        metering.assign(role(task=OTHER_TASK), profile=OTHER_PROFILE)
        for device in (None, OTHER_DEVICE):
            metering.deliver(MIDNIGHT + timedelta(days=1), VALUES, **({"device": device} if device else {}))
        metering.export(at=CUT_OFF + timedelta(days=1))
        message = metering.sap.messages(CREATE)[-1]
        answer = answer_to(message, code="3", overall="4").replace(">3<", ">5<", 1)
        root = etree.QName(message).localname.replace("Request", "Confirmation")
        metering.tell(root, answer, references=texts(message, "MessageHeader/UUID")[0])
        metering.rest()
        told = {upload.time_series_id: upload.status for upload in metering.all(TimeSeriesUpload)}
        assert told == {PROFILE: UploadStatus.REFUSED, OTHER_PROFILE: UploadStatus.CONFIRMED}

    def test_of_a_correction_leave_sap_with_what_it_had(self, metering: Metering) -> None:
        metering.confirm()
        metering.deliver(MIDNIGHT, ["0.500"])
        metering.export(at=CUT_OFF + timedelta(hours=1))
        metering.confirm(code="5")
        metering.deliver(MIDNIGHT, ["0.600"])
        metering.export(at=CUT_OFF + timedelta(hours=3))
        first, second = metering.sap.messages(CHANGE)
        assert [told.split()[1] for _, told in items_of(first)] == ["0.500"]
        assert [told.split()[1] for _, told in items_of(second)] == ["0.600"]
        assert len(uuids(metering)) == 1

        metering.confirm(code="5")
        metering.deliver(MIDNIGHT, ["0.001"])
        metering.export(at=CUT_OFF + timedelta(hours=5))
        assert len(metering.sap.messages(CHANGE)) == 2  # it has that

    def test_for_reasons_that_are_accepted_are_taken(self, metering: Metering) -> None:
        metering.confirm(code="5", type_id="073(EL)")
        assert statuses(metering) == [UploadStatus.CONFIRMED]
        assert metering.cases() == []

    def test_for_reasons_that_are_not_are_refused(self, metering: Metering) -> None:
        metering.confirm(code="5", type_id="0073(EL)")
        assert statuses(metering) == [UploadStatus.REFUSED]

    def test_are_those_of_an_answer_without_a_code_for_all(self, metering: Metering) -> None:
        metering.confirm(code="3", overall=None)
        assert statuses(metering) == [UploadStatus.REFUSED]

    def test_are_not_those_of_an_answer_that_takes_all(self, metering: Metering) -> None:
        metering.confirm(code="5", overall="3")
        assert statuses(metering) == [UploadStatus.CONFIRMED]


class TestAnAnswer:
    def test_that_comes_twice_counts_once(self, metering: Metering) -> None:
        metering.confirm()
        message = metering.sap.messages(CREATE)[0]
        metering.tell(
            CREATE.replace("Request", "Confirmation"),
            answer_to(message, code="5", overall="5"),
            references=texts(message, "MessageHeader/UUID")[0].upper(),
        )
        metering.rest()
        assert statuses(metering) == [UploadStatus.CONFIRMED]
        assert metering.cases() == []

    def test_to_nothing_we_sent_opens_a_case(self, metering: Metering) -> None:
        message = metering.sap.messages(CREATE)[0]
        metering.tell(
            CREATE.replace("Request", "Confirmation"),
            answer_to(message, code="3", overall="3"),
            references="00000000-0000-4000-8000-000000000000",
        )
        metering.rest()
        assert metering.cases() == ["confirmation_unmatched"]
        assert statuses(metering) == [UploadStatus.SENT]


class TestSilence:
    def test_makes_the_very_same_message_go_again_then_calls_for_a_human(self, metering: Metering) -> None:
        for attempt in (1, 2, 3):
            assert len(uuids(metering)) == attempt
            metering.export(at=CUT_OFF + attempt * timedelta(hours=1) - timedelta(minutes=5))
            assert len(uuids(metering)) == attempt
            metering.export(at=CUT_OFF + attempt * timedelta(hours=1))
        bodies = [body for _, message, body in metering.sap.received if etree.QName(message).localname == CREATE]
        assert len(bodies) == 3
        assert len(set(bodies)) == 1
        assert statuses(metering) == [UploadStatus.UNANSWERED]
        assert metering.cases() == ["profile_values_unconfirmed"]
        metering.export(at=CUT_OFF + timedelta(days=1))
        assert len(uuids(metering)) == 3

    def test_does_not_keep_a_correction_for_ever(self, metering: Metering) -> None:
        self.test_makes_the_very_same_message_go_again_then_calls_for_a_human(metering)
        metering.deliver(MIDNIGHT, ["0.500"])
        metering.export(at=CUT_OFF + timedelta(days=1, hours=1))
        assert list(metering.sent(CHANGE)) == starts(MIDNIGHT, 1)

    def test_may_be_ended_late(self, metering: Metering) -> None:
        self.test_makes_the_very_same_message_go_again_then_calls_for_a_human(metering)
        metering.confirm()
        assert statuses(metering) == [UploadStatus.CONFIRMED]
        assert metering.cases() == []

    def test_of_one_profile_in_a_message_that_was_answered_is_shown(self, metering: Metering) -> None:
        message = metering.sap.messages(CREATE)[0]
        answer = answer_to(message, code="3", overall="3").replace(PROFILE, OTHER_PROFILE)
        root = CREATE.replace("Request", "Confirmation")
        metering.tell(root, answer, references=texts(message, "MessageHeader/UUID")[0])
        metering.rest()
        metering.export(at=CUT_OFF + timedelta(hours=1))
        assert statuses(metering) == [UploadStatus.UNANSWERED]
        assert sorted(metering.cases()) == ["confirmation_unmatched", "profile_values_unconfirmed"]
        assert len(uuids(metering)) == 1


class TestAnAnswerThatNamesNoMessage:
    def test_leaves_several_that_wait_under_one_key_as_they_are(self, metering: Metering) -> None:
        """Nobody knows which of the two days it is about: both may still have to be sent again."""
        metering.deliver(MIDNIGHT + timedelta(days=1), VALUES)
        metering.export(at=CUT_OFF + timedelta(days=1))
        first = metering.sap.messages(CREATE)[0]
        metering.tell(CREATE.replace("Request", "Confirmation"), answer_to(first, code="3", overall="3"))
        metering.rest()
        with metering.database.read() as uow:
            query = select(MESSAGE.c.status).where(MESSAGE.c.direction == "out", MESSAGE.c.service == CREATE)
            assert set(uow.connection.scalars(query)) == {MessageStatus.DELIVERED}
