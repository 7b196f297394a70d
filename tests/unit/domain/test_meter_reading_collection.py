"""What is done next about a reading order whose value is due."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.end_device import EndDevice
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_collection import (
    Collection,
    EstimatedReading,
    next_step,
    read_command,
    wants_estimate,
)
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.meter_reading_selection import Instead, ReadingPolicies, ReadingPolicy
from mdus.domain.reading import MeterReading, ReadingOrigin
from mdus.domain.reading_verdict import Judgement, verdict_on
from mdus.domain.register import Register
from mdus.domain.value import Value

DUE = datetime(2026, 3, 10, 23, 0, tzinfo=UTC)
NOW = DUE + timedelta(hours=1)
DAY = timedelta(days=1)
POLICIES = ReadingPolicies(by_reason={"1": ReadingPolicy(days_forward=3)})
DEVICE = EndDevice(
    sender_system="P11",
    device_id="000000000000000042",
    serial_id="0000001234",
    material_id="LX100-SW",
    valid_from=date(2026, 1, 1),
    head_end="city",
)
REGISTER = Register(
    sender_system="P11",
    device_id="000000000000000042",
    measurement_task_id="000000000000100042",
    valid_from=date(2026, 1, 1),
    reading_type="1-0:1.8.0*255",
    unit="KWH",
    fraction_digits=2,
)
DOCUMENT = MeterReadingDocument(
    sender_system="P11",
    document_id="00000000000000000007",
    device_id="000000000000000042",
    measurement_task_id="000000000000100042",
    obis_text="1-0:1.8.0*255",
    reading_type="1-0:1.8.0*255",
    reason_code="01",
    scheduled_on=date(2026, 3, 10),
    time_zone="Europe/Berlin",
    due_at=DUE,
    window_from=DUE,
    window_until=DUE + 3 * DAY,
    next_try_at=NOW,
    order_item_id=1,
)
ON_DEMAND = replace(DOCUMENT, on_demand=True, attempts=1, window_until=DUE + timedelta(hours=4))


def reading(at: datetime = DUE, origin: ReadingOrigin = ReadingOrigin.SNAPSHOT) -> MeterReading:
    return MeterReading(
        sender_system="P11",
        device_id="000000000000000042",
        reading_type="1-0:1.8.0*255",
        measured_at=at,
        value=Decimal("12345.679"),
        unit="kWh",
        origin=origin,
        received_at=at,
    )


def command(document: MeterReadingDocument = DOCUMENT, **facts: Any) -> Command:
    made = read_command(document, DEVICE, attempt=1, not_before=NOW, lasts=DAY)
    assert made is not None
    return replace(made, **facts)


def ended(document: MeterReadingDocument = DOCUMENT, **facts: Any) -> Command:
    told = {"status": CommandStatus.DONE, "ended_at": NOW, **facts}
    return command(document, **told)


def step(document: MeterReadingDocument = DOCUMENT, *, now: datetime = NOW, **facts: Any) -> tuple[Value, ...]:
    told = {"device": DEVICE, "register": REGISTER, **facts}
    return next_step(Collection(document=document, **told), policies=POLICIES, now=now)


def document_of(changes: tuple[Value, ...]) -> MeterReadingDocument:
    [document] = [change for change in changes if isinstance(change, MeterReadingDocument)]
    return document


def command_of(changes: tuple[Value, ...]) -> Command:
    [one] = [change for change in changes if isinstance(change, Command)]
    return one


class TestValueThere:
    def test_is_taken_at_once_when_none_could_be_better(self) -> None:
        [document] = step(readings=[reading()])

        assert isinstance(document, MeterReadingDocument)
        assert document.status is DocumentStatus.READ
        assert (str(document.value), document.unit, document.measured_at) == ("12345.67", "KWH", DUE)
        assert document.next_try_at is None

    def test_is_not_taken_before_the_head_end_was_asked_for_a_better_one(self) -> None:
        changes = step(readings=[reading(DUE + timedelta(hours=5))], now=DUE + timedelta(hours=6))

        assert document_of(changes).status is DocumentStatus.ORDERED
        assert command_of(changes).kind is CommandKind.READ_REGISTERS

    def test_is_taken_once_the_head_end_has_no_better_one(self) -> None:
        changes = step(readings=[reading(DUE + timedelta(hours=5))], commands=[ended()])

        assert document_of(changes).status is DocumentStatus.READ

    def test_takes_back_a_command_that_has_not_left(self) -> None:
        changes = step(readings=[reading()], commands=[command()])

        assert command_of(changes).status is CommandStatus.CANCELLED

    def test_leaves_a_command_alone_that_has_left(self) -> None:
        changes = step(readings=[reading()], commands=[command(status=CommandStatus.ACCEPTED)])

        assert [type(change) for change in changes] == [MeterReadingDocument]


class TestANumberThatMovedToAnotherChannel:
    FEED_IN = replace(REGISTER, reading_type="1-0:2.8.0*255", obis_text="1-0:2.8.0")

    def test_has_no_value_of_what_was_ordered_and_says_so(self) -> None:
        changes = step(register=self.FEED_IN, readings=[reading()], commands=[command()])

        failed = document_of(changes)
        assert failed.status is DocumentStatus.FAILED
        assert failed.note == "The register measures 1-0:2.8.0 now, not 1-0:1.8.0*255"
        assert command_of(changes).status is CommandStatus.CANCELLED
        assert [one.kind for one in changes if isinstance(one, ExceptionCase)] == ["reading_missing"]

    def test_may_move_back_until_it_is_looked_for(self) -> None:
        early = NOW - timedelta(seconds=1)

        assert step(register=self.FEED_IN, readings=[reading()], now=early) == (replace(DOCUMENT, next_try_at=NOW),)
        assert document_of(step(readings=[reading()], now=early)).status is DocumentStatus.READ


class TestBeforeAllIsCollected:
    EARLY = NOW - timedelta(seconds=1)

    @pytest.mark.parametrize(
        "readings",
        [pytest.param([], id="no value"), pytest.param([reading(DUE + timedelta(minutes=5))], id="one near")],
    )
    def test_nobody_is_asked_yet(self, readings: list[MeterReading]) -> None:
        assert step(readings=readings, now=self.EARLY) == (replace(DOCUMENT, next_try_at=NOW),)
        assert command_of(step(readings=readings, now=NOW)).kind is CommandKind.READ_REGISTERS

    def test_the_value_meant_is_taken_all_the_same(self) -> None:
        assert document_of(step(readings=[reading()], now=self.EARLY)).status is DocumentStatus.READ


class TestNoValue:
    def test_asks_the_head_end_for_the_window_its_end_included(self) -> None:
        changes = step()

        asked = command_of(changes)
        assert (asked.kind, asked.head_end, asked.serial_id) == (CommandKind.READ_REGISTERS, "city", "0000001234")
        assert asked.period_from == DOCUMENT.window_from
        assert asked.period_to is not None
        assert asked.period_to > DOCUMENT.window_until
        assert (asked.owner_key, asked.not_before) == ("P11/00000000000000000007", NOW)
        assert document_of(changes).attempts == 1

    def test_waits_for_the_command_under_way(self) -> None:
        under_way = command(status=CommandStatus.ACCEPTED)

        [document] = step(replace(DOCUMENT, attempts=1), commands=[under_way])

        assert isinstance(document, MeterReadingDocument)
        assert document.next_try_at is not None
        assert document.next_try_at > under_way.expires_at

    def test_waits_a_pause_before_it_asks_again(self) -> None:
        [document] = step(replace(DOCUMENT, attempts=1), commands=[ended()], now=NOW + DAY - timedelta(seconds=1))

        assert isinstance(document, MeterReadingDocument)
        assert document.next_try_at == NOW + DAY
        assert document.attempts == 1

    def test_asks_again_after_the_pause_under_another_key(self) -> None:
        first = ended()

        changes = step(replace(DOCUMENT, attempts=1), commands=[first], now=NOW + DAY)

        assert document_of(changes).attempts == 2
        assert command_of(changes).command_key != first.command_key

    def test_fails_after_the_last_attempt(self) -> None:
        changes = step(replace(DOCUMENT, attempts=3), commands=[ended()])

        assert document_of(changes).status is DocumentStatus.FAILED

    def test_does_not_fail_before_the_last_attempt(self) -> None:
        changes = step(replace(DOCUMENT, attempts=2), commands=[ended()])

        assert document_of(changes).status is DocumentStatus.ORDERED

    @pytest.mark.parametrize(
        ("last", "fails"),
        [
            pytest.param({"status": CommandStatus.DONE}, True, id="the meter has nothing"),
            pytest.param({"status": CommandStatus.FAILED, "result_code": "NO_DATA"}, True, id="it says so"),
            pytest.param({"status": CommandStatus.FAILED, "result_code": "NO_RESPONSE"}, False, id="it was silent"),
            pytest.param({"status": CommandStatus.TIMED_OUT}, False, id="the head end was silent"),
        ],
    )
    def test_fails_once_the_window_is_over_and_the_meter_has_nothing_in_it(
        self, last: dict[str, Any], fails: bool
    ) -> None:
        after = DOCUMENT.window_until + timedelta(seconds=1)

        changes = step(replace(DOCUMENT, attempts=1), commands=[ended(**last, ended_at=after)], now=after)

        assert (document_of(changes).status is DocumentStatus.FAILED) is fails

    @pytest.mark.parametrize(
        ("document", "now", "fails"),
        [
            pytest.param(ON_DEMAND, NOW, True, id="asked on demand"),
            pytest.param(
                replace(DOCUMENT, attempts=1), NOW, False, id="stored values that may still come by themselves"
            ),
            pytest.param(
                replace(DOCUMENT, attempts=1), DUE + 3 * DAY + timedelta(seconds=1), True, id="too late for them"
            ),
        ],
    )
    def test_fails_when_the_device_cannot_be_asked(
        self, document: MeterReadingDocument, now: datetime, fails: bool
    ) -> None:
        last = ended(document, status=CommandStatus.FAILED, result_code="NOT_CAPABLE", ended_at=now)

        changes = step(document, commands=[last], now=now)

        assert (document_of(changes).status is DocumentStatus.FAILED) is fails

    @pytest.mark.parametrize("document", [ON_DEMAND, replace(DOCUMENT, attempts=3)], ids=["on demand", "stored"])
    @pytest.mark.parametrize(
        ("last", "asks"),
        [
            pytest.param({"status": CommandStatus.FAILED, "result_code": "OTHER_HEAD_END"}, True, id="refused"),
            pytest.param({"status": CommandStatus.CANCELLED}, True, id="taken back"),
            pytest.param({"status": CommandStatus.FAILED, "result_code": "OTHER_METER"}, False, id="another reason"),
        ],
    )
    def test_asks_at_once_where_the_device_has_moved_and_nobody_was_asked(
        self, document: MeterReadingDocument, last: dict[str, Any], asks: bool
    ) -> None:
        moved = replace(DEVICE, head_end="village")

        changes = step(document, commands=[ended(document, **last)], device=moved)

        asked = [change.head_end for change in changes if isinstance(change, Command)]
        assert asked == (["village"] if asks else [])

    def test_does_not_fail_while_the_window_is_open(self) -> None:
        at_end = DOCUMENT.window_until

        changes = step(replace(DOCUMENT, attempts=1), commands=[ended(ended_at=at_end)], now=at_end)

        assert document_of(changes).status is DocumentStatus.ORDERED

    @pytest.mark.parametrize(
        ("valid_to", "status"),
        [
            pytest.param(date(2026, 3, 11), DocumentStatus.READ, id="after the scheduled date"),
            pytest.param(date(2026, 3, 10), DocumentStatus.FAILED, id="before it"),
        ],
    )
    def test_is_what_a_meter_shows_that_left_service(self, valid_to: date, status: DocumentStatus) -> None:
        waiting = command(status=CommandStatus.READY)
        due = Collection(
            document=DOCUMENT,
            device=replace(DEVICE, valid_to=valid_to),
            register=REGISTER,
            readings=[reading()],
            commands=[waiting],
        )
        step = next_step(due, policies=POLICIES, now=NOW)

        [document] = [change for change in step if isinstance(change, MeterReadingDocument)]
        assert document.status is status
        assert [change.status for change in step if isinstance(change, Command)] == [CommandStatus.CANCELLED]

    def test_says_when_there_is_a_value_that_is_none_of_the_register(self) -> None:
        asked = command(status=CommandStatus.DONE, ended_at=DUE + 4 * DAY)
        due = Collection(
            document=replace(DOCUMENT, attempts=1),
            device=DEVICE,
            register=replace(REGISTER, total_digits=4),
            readings=[reading()],
            commands=[asked],
        )
        [document, *_] = next_step(due, policies=POLICIES, now=DUE + 5 * DAY)

        assert isinstance(document, MeterReadingDocument)
        assert document.status is DocumentStatus.FAILED
        assert document.note == "The value 12345.67 has more digits than the register"

    def test_is_never_silent_when_it_fails(self) -> None:
        changes = step(replace(DOCUMENT, attempts=3), commands=[ended(result_code="NO_RESPONSE", status="failed")])

        [event] = [change for change in changes if isinstance(change, EndDeviceEvent)]
        [case] = [change for change in changes if isinstance(change, ExceptionCase)]
        assert (event.device_id, event.event_type) == ("000000000000000042", "reading_missing")
        assert (case.kind, case.case_key) == (event.event_type, event.case_key)
        assert "NO_RESPONSE" in case.note
        assert "00000000000000000007" in case.note

    def test_makes_the_same_event_when_the_turn_is_repeated(self) -> None:
        first, again = (step(replace(DOCUMENT, attempts=3), commands=[ended()]) for _ in range(2))

        assert first == again

    @pytest.mark.parametrize(
        "lost",
        [
            pytest.param({"device": None}, id="device"),
            pytest.param({"device": replace(DEVICE, head_end=None)}, id="head end"),
            pytest.param({"register": None}, id="register"),
        ],
    )
    def test_fails_when_what_it_reads_from_is_gone(self, lost: dict[str, Any]) -> None:
        assert document_of(step(**lost)).status is DocumentStatus.FAILED


class TestOnDemand:
    def test_takes_the_value_its_command_brought(self) -> None:
        brought = reading(DUE + timedelta(minutes=3), ReadingOrigin.ON_DEMAND)

        changes = step(ON_DEMAND, readings=[brought], commands=[ended(ON_DEMAND)])

        assert document_of(changes).measured_at == DUE + timedelta(minutes=3)

    def test_takes_a_stored_value_only_when_the_command_has_failed(self) -> None:
        stored = [reading(DUE + timedelta(minutes=3))]

        waiting = document_of(step(ON_DEMAND, readings=stored, commands=[command(ON_DEMAND)]))
        after_failure = ended(ON_DEMAND, status=CommandStatus.FAILED)
        taken = document_of(step(ON_DEMAND, readings=stored, commands=[after_failure]))

        assert waiting.status is DocumentStatus.ORDERED
        assert taken.status is DocumentStatus.READ

    @pytest.mark.parametrize(
        ("pause", "asks"),
        [
            pytest.param(timedelta(minutes=15) - timedelta(seconds=1), False, id="just before the pause is over"),
            pytest.param(timedelta(minutes=15), True, id="when the pause is over"),
        ],
    )
    def test_asks_again_soon(self, pause: timedelta, asks: bool) -> None:
        failed = ended(ON_DEMAND, status=CommandStatus.FAILED)

        changes = step(ON_DEMAND, commands=[failed], now=NOW + pause)

        kinds = [change.kind for change in changes if isinstance(change, Command)]
        assert kinds == ([CommandKind.READ_ON_DEMAND] if asks else [])

    def test_asks_without_a_period(self) -> None:
        asked = command(ON_DEMAND)

        assert (asked.kind, asked.period_from, asked.period_to) == (CommandKind.READ_ON_DEMAND, None, None)


class TestASuspectReading:
    """What becomes of an order while only a reading is there that validation holds."""

    ESTIMATE = EstimatedReading(value=Decimal("12346.00"), usage=Decimal(10), basis='{"set":"counters@1"}')

    def due(self, instead: Instead = Instead.WAIT, **facts: Any) -> tuple[Collection, ReadingPolicies]:
        held = reading()
        verdict = verdict_on(held, Judgement.SUSPECT, rule_set="counters@1", judged_at=NOW)
        policy = ReadingPolicy(days_forward=3, if_suspect=instead)
        given: dict[str, Any] = {
            "document": DOCUMENT,
            "device": DEVICE,
            "register": REGISTER,
            "readings": [held],
            "suspect": {held.key: verdict},
        }
        return Collection(**{**given, **facts}), ReadingPolicies(by_reason={"1": policy})

    def used_up(self) -> dict[str, Any]:
        """All attempts have failed."""
        failed = command(status=CommandStatus.FAILED, ended_at=NOW, result_code="BUSY")
        return {"document": replace(DOCUMENT, attempts=3), "commands": [failed]}

    def test_is_none_that_answers(self) -> None:
        due, policies = self.due()
        changes = next_step(due, policies=policies, now=NOW)
        assert [type(change) for change in changes] == [MeterReadingDocument, Command, ExceptionCase]
        assert document_of(changes).status is DocumentStatus.ORDERED

    def test_opens_its_case_once(self) -> None:
        due, policies = self.due()
        [opened] = [one for one in next_step(due, policies=policies, now=NOW) if isinstance(one, ExceptionCase)]
        again = next_step(replace(due, case=opened), policies=policies, now=NOW + DAY)
        assert [one for one in again if isinstance(one, ExceptionCase)] == []

    def test_has_its_case_closed_when_a_valid_one_answers(self) -> None:
        due, policies = self.due()
        [opened] = [one for one in next_step(due, policies=policies, now=NOW) if isinstance(one, ExceptionCase)]
        changes = next_step(replace(due, case=opened, suspect={}), policies=policies, now=NOW)
        assert document_of(changes).status is DocumentStatus.READ
        assert [one.closed_at for one in changes if isinstance(one, ExceptionCase)] == [NOW]

    @pytest.mark.parametrize(
        ("instead", "wanted"),
        [
            pytest.param(Instead.WAIT, False, id="wait"),
            pytest.param(Instead.ESTIMATE, True, id="estimate"),
            pytest.param(Instead.EVENT, False, id="event"),
        ],
    )
    def test_is_estimated_where_the_policy_says_so_and_nothing_else_is_left(
        self, instead: Instead, wanted: bool
    ) -> None:
        due, policies = self.due(instead, **self.used_up())
        step = next_step(due, policies=policies, now=NOW)
        assert document_of(step).status is DocumentStatus.FAILED
        assert wants_estimate(due, step, policies=policies) is wanted

        answered = document_of(next_step(replace(due, estimate=self.ESTIMATE), policies=policies, now=NOW))
        assert (answered.status is DocumentStatus.READ) is wanted
        assert (answered.type_code, answered.is_estimated) == (("02", True) if wanted else (None, False))
        assert answered.note is None if wanted else answered.note is not None

    def test_is_not_estimated_while_attempts_are_left(self) -> None:
        due, policies = self.due(Instead.ESTIMATE)
        step = next_step(replace(due, estimate=self.ESTIMATE), policies=policies, now=NOW)
        assert document_of(step).status is DocumentStatus.ORDERED
        assert not wants_estimate(due, step, policies=policies)

    def test_fails_at_once_where_the_policy_says_event_but_not_before_the_first_look(self) -> None:
        due, policies = self.due(Instead.EVENT)
        early = next_step(due, policies=policies, now=NOW - timedelta(minutes=1))
        assert document_of(early).status is DocumentStatus.ORDERED
        assert document_of(next_step(due, policies=policies, now=NOW)).status is DocumentStatus.FAILED
