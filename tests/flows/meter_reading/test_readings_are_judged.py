"""A reading passes its rule set before it answers an order: valid, held, accepted, estimated; through SOAP and REST."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from mdus.domain.access import Role
from mdus.domain.command import CommandKind
from mdus.domain.end_device import EndDeviceStatus, SwitchState
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.reading import MeterReading
from mdus.domain.reading_verdict import Judgement, ReadingVerdict
from mdus.domain.register import Register
from tests.flows import orders
from tests.flows.both_sides import ENERGY, SENDER, BothSides, texts
from tests.flows.rest.doors import Client

START = datetime(2026, 3, 10, 10, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 10, 23, 0, tzinfo=UTC)
TODAY = "2026-03-10"
DEVICE = "000000000000000042"
DOCUMENT = "7"
ON_READ = CommandKind.READ_REGISTERS


class Judging(BothSides):
    """One meter that used about 10 kWh a day until the day before, and an order for the end of the day."""

    def __init__(self, url: str, folder: Path, *, reasons: str = "") -> None:
        if reasons:
            (folder / "reading_reasons.toml").write_text(f'[[reading_reasons]]\nname = "periodic"\n{reasons}\n')
        super().__init__(url, folder, now=START)
        self.meter(DEVICE)

    def history(self, last: str = "1400.00", *, first: str = "1000.00", device: str = DEVICE) -> None:
        self.snapshot(MIDNIGHT - timedelta(days=41), (device, first))
        self.snapshot(MIDNIGHT - timedelta(days=1), (device, last))

    def come_due(self, value: str | None, *, device: str = DEVICE, source: str = "0") -> None:
        """Order a reading, and let its value be there when it is looked for first."""
        self.tell(orders.READING, orders.reading(DOCUMENT, device, reason="01", on=TODAY, source=source))
        self.clock.instant = MIDNIGHT
        if value is not None:
            self.snapshot(MIDNIGHT, (device, value))
        self.clock.move(hours=1)
        self.rest()

    def fail_to_read(self, attempts: int = 3) -> None:
        """Let the meter be asked until the attempts are used up, always in vain."""
        for attempt in range(attempts):
            self.clock.move(days=min(attempt, 1))
            self.rest()
            self.answer(ON_READ, status="failed", code="UNREACHABLE", text="no answer")
            self.rest()

    @property
    def document(self) -> MeterReadingDocument:
        [one] = self.all(MeterReadingDocument)
        assert isinstance(one, MeterReadingDocument)
        return one

    @property
    def verdicts(self) -> dict[str, Judgement]:
        return {f"{one.value:.2f}": one.judgement for one in self.all(ReadingVerdict)}

    @property
    def open_cases(self) -> list[str]:
        return [case.kind for case in self.all(ExceptionCase) if case.closed_at is None]

    def reading_id(self, client: Client, value: str) -> int:
        listed = client.get("readings", sender_system=SENDER, device_id=DEVICE)["items"]
        [number] = [row["id"] for row in listed if Decimal(row["value"]) == Decimal(value)]
        assert isinstance(number, int)
        return number


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[Judging]:
    made = Judging(database_url, tmp_path)
    yield made
    made.close()


class TestAReadingThatIsValid:
    def test_answers_and_its_verdict_is_kept(self, sides: Judging) -> None:
        sides.history()
        sides.come_due("1411.50")

        assert orders.results(sides)[DOCUMENT]["value"] == "1411.50"
        [verdict] = sides.all(ReadingVerdict)
        assert (verdict.judgement, verdict.rule_set, verdict.basis) == (Judgement.VALID, "counters@1", None)

    def test_is_one_that_nothing_is_known_to_hold_against(self, sides: Judging) -> None:
        sides.come_due("987654.00")
        assert orders.results(sides)[DOCUMENT]["value"] == "987654.00"
        assert sides.verdicts == {"987654.00": Judgement.VALID}

    @pytest.mark.parametrize(
        ("shown", "is_taken"),
        [pytest.param("12", True, id="turned_over"), pytest.param("60000", False, id="went_back")],
    )
    def test_may_be_of_a_register_that_turned_over_at_99999(self, sides: Judging, shown: str, is_taken: bool) -> None:
        [register] = sides.all(Register)
        sides.save(replace(register, total_digits=5, fraction_digits=0))
        sides.history("99990", first="99600")
        sides.come_due(shown)
        assert (sides.document.status is DocumentStatus.RESULT_SENT) is is_taken

    def test_is_the_first_after_an_exchange_of_the_meter(self, sides: Judging) -> None:
        sides.history("9000.00", first="8600.00")
        new = "000000000000000043"
        sides.meter(new)
        sides.come_due("3.00", device=new)
        assert orders.results(sides)[DOCUMENT]["value"] == "3.00"

    def test_may_show_that_nothing_was_used_where_nobody_lives(self, sides: Judging) -> None:
        sides.history("1400.00", first="1400.00")
        sides.come_due("1400.00")
        assert orders.results(sides)[DOCUMENT]["value"] == "1400.00"

    def test_is_not_judged_again_at_the_next_look(self, sides: Judging) -> None:
        sides.history()
        sides.snapshot(MIDNIGHT + timedelta(days=1), (DEVICE, "1420.00"))  # not the nearest: asked for first
        sides.come_due(None)
        [before] = sides.all(ReadingVerdict)
        assert sides.document.status is DocumentStatus.ORDERED

        sides.answer(ON_READ, status="failed", code="UNREACHABLE", text="no answer")
        sides.clock.move(minutes=1)
        sides.rest()
        assert orders.results(sides)[DOCUMENT]["value"] == "1420.00"
        assert sides.all(ReadingVerdict) == [before]


class TestASuspectReading:
    @pytest.mark.parametrize(
        ("value", "found"),
        [
            pytest.param("1399.99", "register_decrease", id="decrease"),
            pytest.param("1501.00", "high_low_usage", id="far_above_usual"),
        ],
    )
    def test_is_held_read_again_and_told_to_a_person(self, sides: Judging, value: str, found: str) -> None:
        sides.history()
        sides.come_due(value)

        assert sides.document.status is DocumentStatus.ORDERED
        assert orders.results(sides) == {}
        assert len(sides.submitted(ON_READ)) == 1
        [case] = sides.all(ExceptionCase)
        assert case.kind == "reading_suspect"
        assert value.removesuffix(".00") in case.note
        assert found in case.note

    def test_is_one_with_more_digits_than_the_register_though_it_is_the_first(self, sides: Judging) -> None:
        sides.come_due("1000000.00")
        assert orders.results(sides) == {}
        assert sides.verdicts == {"1000000.00": Judgement.SUSPECT}

    def test_is_none_just_inside_the_limit(self, sides: Judging) -> None:
        sides.history()
        sides.come_due("1500.00")  # ten times the 10 a day before, and no more than 100
        assert orders.results(sides)[DOCUMENT]["value"] == "1500.00"

    @pytest.mark.parametrize(
        ("since", "value", "is_taken"),
        [
            pytest.param(timedelta(days=2), "1402.00", False, id="disconnected_before"),
            pytest.param(timedelta(days=2), "1401.00", True, id="creep"),
            pytest.param(timedelta(hours=2), "1402.00", True, id="disconnected_since"),
        ],
    )
    def test_is_one_with_usage_while_disconnected(
        self, sides: Judging, since: timedelta, value: str, is_taken: bool
    ) -> None:
        off = EndDeviceStatus(
            sender_system=SENDER,
            device_id=DEVICE,
            has_breaker=True,
            switch_state=SwitchState.DISCONNECTED,
            switch_state_at=MIDNIGHT - since,
        )
        sides.save(off)
        sides.history()
        sides.come_due(value)
        assert (sides.document.status is DocumentStatus.RESULT_SENT) is is_taken

    def test_leaves_the_answer_to_the_next_best_valid_one(self, sides: Judging) -> None:
        sides.history()
        sides.snapshot(MIDNIGHT + timedelta(minutes=30), (DEVICE, "1410.00"))
        sides.come_due("40000.00")
        sides.answer(ON_READ, status="failed", code="UNREACHABLE", text="no answer")
        sides.rest()

        assert orders.results(sides)[DOCUMENT]["value"] == "1410.00"
        assert sides.verdicts == {"40000.00": Judgement.SUSPECT, "1410.00": Judgement.VALID}

    def test_becomes_valid_when_the_reading_before_is_rejected(self, sides: Judging) -> None:
        sides.snapshot(MIDNIGHT - timedelta(days=2), (DEVICE, "1390.00"))
        sides.snapshot(MIDNIGHT - timedelta(days=1), (DEVICE, "88888.00"))
        sides.come_due("1411.50")
        assert sides.verdicts == {"1411.50": Judgement.SUSPECT}

        client = Client(sides)
        number = sides.reading_id(client, "88888.00")
        assert client.post(f"readings/{number}/reject").status_code == 422  # a reason, and nothing else
        answer = sides.mdus.ask(
            "POST", f"/api/v1/readings/{number}/reject", json={"reason": "nobody uses so much"}, headers=client.headers
        )
        assert answer.json()["judgement"] == "suspect"
        sides.rest()
        assert orders.results(sides)[DOCUMENT]["value"] == "1411.50"
        assert sides.open_cases == []

    def test_fails_aloud_when_the_deadline_passes(self, sides: Judging) -> None:
        sides.history()
        sides.come_due("900.00")
        sides.fail_to_read()

        assert sides.document.status is DocumentStatus.FAILED
        assert "register_decrease" in (sides.document.note or "")
        assert [one.event_type for one in sides.all(EndDeviceEvent)] == ["reading_missing"]
        assert {case.kind: case.closed_at is None for case in sides.all(ExceptionCase)}["reading_suspect"] is False
        assert orders.results(sides) == {}

    def test_on_demand_is_read_again(self, sides: Judging) -> None:
        sides.history()
        sides.tell(orders.READING, orders.reading(DOCUMENT, DEVICE, reason="01", on=TODAY, source="1"))
        sides.rest()
        for value in ("900.00", "1401.00"):
            sides.clock.move(minutes=15)
            sides.rest()
            row = {"obis": ENERGY, "at": sides.clock.now().isoformat(), "value": value, "unit": "kWh"}
            sides.answer(CommandKind.READ_ON_DEMAND, readings=[row])
            sides.rest()
        assert len(sides.submitted(CommandKind.READ_ON_DEMAND)) == 2
        assert orders.results(sides)[DOCUMENT]["value"] == "1401.00"


class TestAPerson:
    def test_accepts_a_huge_jump_that_was_held(self, sides: Judging) -> None:
        sides.history()
        sides.come_due("40000.00")
        assert orders.results(sides) == {}

        operator, approver = Client(sides, role=Role.OPERATOR, name="desk"), Client(sides, name="chief")
        number = sides.reading_id(approver, "40000.00")
        path, why = f"/api/v1/readings/{number}/accept", {"reason": "a greenhouse moved in"}
        assert sides.mdus.ask("POST", path, json=why, headers=operator.headers).status_code == 403
        assert sides.mdus.ask("POST", path, json=why, headers=approver.headers).status_code == 200
        sides.rest()

        assert orders.results(sides)[DOCUMENT]["value"] == "40000.00"
        assert sides.open_cases == []
        shown = approver.get("readings", sender_system=SENDER, device_id=DEVICE)["items"][0]["verdict"]
        assert (shown["judgement"], shown["judged_by"], shown["reason"]) == (
            "valid",
            "rest:chief",
            "a greenhouse moved in",
        )
        assert "high_low_usage" in shown["found"]
        [deed] = approver.get("audit", action="reading accepted")["items"]
        assert deed["who"] == "rest:chief"
        assert sides.mdus.ask("POST", path, json=why, headers=approver.headers).status_code == 409
        notes = [
            row["note"] for row in approver.get("trace", of=DEVICE)["happenings"] if row["what"] == "reading judged"
        ]
        assert [note.partition(": ")[2] for note in notes] == ["valid by rest:chief: a greenhouse moved in"]

    def test_of_another_sender_system_finds_no_reading(self, sides: Judging) -> None:
        sides.history()
        number = sides.reading_id(Client(sides), "1400.00")
        foreign = Client(sides, name="foreign", systems=["Q22"])
        answer = sides.mdus.ask(
            "POST", f"/api/v1/readings/{number}/accept", json={"reason": "mine"}, headers=foreign.headers
        )
        assert answer.status_code == 404
        assert sides.all(ReadingVerdict) == []


class TestAnEstimate:
    @pytest.fixture
    def sides(self, database_url: str, tmp_path: Path) -> Iterator[Judging]:
        made = Judging(database_url, tmp_path, reasons='if_suspect = "estimate"\nif_missing = "estimate"')
        yield made
        made.close()

    @pytest.mark.parametrize("value", [pytest.param(None, id="missing"), pytest.param("900.00", id="suspect")])
    def test_is_marked_when_the_deadline_has_passed(self, sides: Judging, value: str | None) -> None:
        sides.history()
        sides.come_due(value)
        assert orders.results(sides) == {}
        sides.fail_to_read()

        [result] = sides.sap.messages(orders.RESULT)
        assert texts(result, "MeterReadingDocument/Result/MeterReadingTypeCode") == ["02"]
        assert orders.results(sides)[DOCUMENT]["value"] == "1410.00"
        assert texts(result, "MeterReadingDocument/Result/ActualMeterReadingDate") == ["2026-03-11"]
        [order] = Client(sides).get("orders", kind="reading")["items"]
        assert order["estimate"]["estimates"][0]["method"] == "register_daily_average"
        assert Decimal("1410.00") not in {one.value for one in sides.all(MeterReading)}
        assert sides.all(EndDeviceEvent) == []
        assert sides.open_cases == []

    def test_is_none_where_nothing_is_known_to_make_it_from(self, sides: Judging) -> None:
        sides.come_due(None)
        sides.fail_to_read()
        assert sides.document.status is DocumentStatus.FAILED
        assert [one.event_type for one in sides.all(EndDeviceEvent)] == ["reading_missing"]

    @pytest.mark.parametrize(
        ("value", "is_told"),
        [
            pytest.param("1412.00", False, id="within_tolerance"),
            pytest.param("1412.01", True, id="above"),
            pytest.param("1407.99", True, id="below"),
        ],
    )
    def test_stays_when_the_meter_shows_otherwise_and_that_is_told(
        self, sides: Judging, value: str, is_told: bool
    ) -> None:
        sides.history()
        sides.come_due(None)
        sides.fail_to_read()
        before = sides.document
        row = {"serial": f"S{DEVICE}", "obis": ENERGY, "at": MIDNIGHT.isoformat(), "value": value, "unit": "kWh"}
        sides.push("readings", {"delivery_id": "r-1", "readings": [row]})
        sides.rest()

        assert sides.document == before
        assert len(sides.sap.messages(orders.RESULT)) == 1
        told = [one.event_type for one in sides.all(EndDeviceEvent)]
        assert told == (["reading_contradiction"] if is_told else [])
        assert sides.open_cases == told

    def test_is_no_reading_that_a_later_one_is_held_against(self, sides: Judging) -> None:
        sides.history()
        sides.come_due(None)
        sides.fail_to_read()
        sides.tell(orders.READING, orders.reading("8", DEVICE, reason="02", on="2026-03-14", source="0"))
        at = datetime(2026, 3, 14, 23, 0, tzinfo=UTC)
        sides.clock.instant = at
        sides.snapshot(at, (DEVICE, "1405.00"))  # less than was estimated, more than was read
        sides.clock.move(hours=1)
        sides.rest()
        assert orders.results(sides)["8"]["value"] == "1405.00"


class TestAnEventAtOnce:
    @pytest.fixture
    def sides(self, database_url: str, tmp_path: Path) -> Iterator[Judging]:
        made = Judging(database_url, tmp_path, reasons='if_suspect = "event"\nif_missing = "event"')
        yield made
        made.close()

    def test_follows_a_suspect_reading_without_another_look(self, sides: Judging) -> None:
        sides.history()
        sides.come_due("900.00")
        assert sides.document.status is DocumentStatus.FAILED
        assert [one.event_type for one in sides.all(EndDeviceEvent)] == ["reading_missing"]
        assert sides.submitted(ON_READ) == []

    def test_follows_one_attempt_to_read_what_is_missing(self, sides: Judging) -> None:
        sides.history()
        sides.come_due(None)
        assert sides.document.status is DocumentStatus.ORDERED
        sides.answer(ON_READ, status="failed", code="UNREACHABLE", text="no answer")
        sides.rest()
        assert sides.document.status is DocumentStatus.FAILED
        assert len(sides.submitted(ON_READ)) == 1


class TestStatements:
    def test_are_as_many_for_few_documents_as_for_many(self, sides: Judging) -> None:
        def statements(count: int, value: str) -> int:
            meters = [f"{number:018d}" for number in range(count * 1000, count * 1001)]
            for device in meters:
                sides.meter(device)
                sides.history(device=device)
            made = (orders.reading(f"{count}-{one[-6:]}", one, reason="01", on=TODAY, source="0") for one in meters)
            sides.tell(orders.READINGS, *made)
            sides.decide()
            sides.snapshot(MIDNIGHT, *((device, value) for device in meters))
            executed: list[str] = []

            def note(*arguments: Any) -> None:
                executed.append(arguments[2])

            sides.clock.instant = MIDNIGHT + timedelta(hours=2)
            event.listen(sides.database.engine, "before_cursor_execute", note)
            assert sides.documents.turn() == count
            event.remove(sides.database.engine, "before_cursor_execute", note)
            sides.clock.instant = START
            return len(executed)

        statements(1, "1411.00")  # the first turn also looks for unanswered results
        # SQLite is given rows by the handful, and those left over in one more statement.
        assert statements(55, "1411.00") == statements(75, "1411.00") <= 30
        assert statements(56, "900.00") == statements(76, "900.00") <= 36
