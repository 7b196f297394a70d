"""What is known of a demand limit by what a meter tells late, whatever was given to it since."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mdus.domain.command import Command, CommandKind, CommandStatus, OwnerKind
from mdus.domain.device_limit import LIMIT_DOUBTFUL, DeviceLimit
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.late_limit import ToldLimit, known_late
from mdus.domain.value import Remove, Value

NOON = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
END = NOON + timedelta(hours=8)
NOW = NOON + timedelta(hours=3)
CASE = ExceptionCase(kind=LIMIT_DOUBTFUL, case_key="P11/42", opened_at=NOON, note="x")


def command(
    name: str,
    limit_kw: str | None = "3.5",
    *,
    owner: int = 7,
    at: datetime = NOON,
    status: CommandStatus = CommandStatus.TIMED_OUT,
    **facts: Any,
) -> Command:
    usual: dict[str, Any] = {
        "command_key": name,
        "owner_kind": OwnerKind.ITEM,
        "owner_key": str(owner),
        "sender_system": "P11",
        "device_id": "42",
        "serial_id": "0000001234",
        "head_end": "city",
        "kind": CommandKind.LIMIT_DEMAND,
        "purpose": "limit",
        "not_before": at,
        "expires_at": at + timedelta(hours=1),
        "parameters": None if limit_kw is None else (("limit_kw", limit_kw),),
        "status": status,
        "ended_at": at + timedelta(minutes=30),
    }
    return Command(**{**usual, **facts})


def lift(name: str, *, at: datetime, **facts: Any) -> Command:
    return command(name, None, at=at, **{"owner_kind": OwnerKind.LIMIT, "purpose": "lift", **facts})


def limit(limit_kw: str = "3.5", *, item: int = 7, **facts: Any) -> DeviceLimit:
    usual: dict[str, Any] = {
        "sender_system": "P11",
        "device_id": "42",
        "serial_id": "0000001234",
        "limit_kw": Decimal(limit_kw),
        "set_at": NOON + timedelta(hours=1),
        "valid_until": END,
        "look_at": END,
        "item_id": item,
        "client": "rest:portal",
        "in_doubt": True,
    }
    return DeviceLimit(**{**usual, **facts})


def late(
    told: Command,
    *since: Command,
    before: tuple[Command, ...] = (),
    limits: tuple[DeviceLimit, ...] = (),
    cases: tuple[ExceptionCase, ...] = (CASE,),
    acted_at: datetime | None = NOON,
) -> tuple[Value | Remove, ...]:
    return known_late(
        ToldLimit(command=told, acted_at=acted_at, at=acted_at or NOW),
        commands=[*before, told, *since],
        limits=limits,
        cases=cases,
        now=NOW,
    )


def gone(what: DeviceLimit) -> Remove:
    return Remove(DeviceLimit, what.key)


def in_force(what: DeviceLimit, *, set_at: datetime = NOON) -> DeviceLimit:
    return replace(what, in_doubt=False, set_at=set_at)


CLOSED = replace(CASE, closed_at=NOW)
MINUTE = timedelta(minutes=1)
DONE = CommandStatus.DONE
TOLD = command("told")
OWN = limit()


def opened(changes: tuple[Value | Remove, ...]) -> str:
    """The note of the one case that is opened."""
    [case] = [each for each in changes if isinstance(each, ExceptionCase)]
    assert (case.kind, case.case_key, case.closed_at) == (LIMIT_DOUBTFUL, "P11/42", None)
    return case.note


class TestALimitInDoubt:
    def test_is_confirmed_with_its_end_and_leaves_no_case(self) -> None:
        assert late(TOLD, limits=(OWN,)) == (in_force(OWN), CLOSED)

    def test_is_confirmed_as_of_now_where_the_meter_does_not_say_since_when(self) -> None:
        assert late(TOLD, limits=(OWN,), acted_at=None) == (in_force(OWN, set_at=NOW), CLOSED)

    def test_takes_the_place_of_all_that_came_before(self) -> None:
        confirmed = limit("5", item=5, in_doubt=False)
        doubted = limit("6", item=6)
        before = (command("a", "5", owner=5, status=DONE), command("b", "6", owner=6))
        changes = late(TOLD, before=before, limits=(confirmed, doubted, OWN))
        assert changes == (gone(confirmed), gone(doubted), in_force(OWN), CLOSED)

    def test_that_came_since_stays_in_doubt_with_its_case(self) -> None:
        since = limit("2", item=8)
        confirmed, case = late(TOLD, command("c", "2", owner=8, at=NOON + MINUTE), limits=(OWN, since))
        assert confirmed == in_force(OWN)
        assert case == replace(CASE, note="the meter was limited to 3.5 kW (2026-03-28 12:00:00 UTC); x")

    def test_is_no_doubt_any_more_by_another_that_was_refused_since(self) -> None:
        refused = command("c", "2", owner=8, at=NOON + MINUTE, status=CommandStatus.FAILED, result_code="BUSY")
        assert late(TOLD, refused, limits=(OWN,)) == (in_force(OWN), CLOSED)

    def test_is_no_doubt_by_further_attempts_of_its_own_order(self) -> None:
        again = command("c", at=NOON + MINUTE)
        assert late(TOLD, again, limits=(OWN,)) == (in_force(OWN), CLOSED)

    @pytest.mark.parametrize("code", ["NO_RESPONSE", "NOT_SUPPORTED"])
    def test_is_tried_on_to_be_taken_away_where_that_had_been_refused(self, code: str) -> None:
        """Also where it was left: the meter can hold one after all."""
        left = replace(OWN, look_at=NOW + timedelta(days=1), valid_until=NOON + MINUTE)
        refused = lift("c", at=NOON + MINUTE, status=CommandStatus.FAILED, result_code=code)
        confirmed, case = late(TOLD, refused, limits=(left,))
        assert confirmed == replace(in_force(left), look_at=NOON + MINUTE)
        assert isinstance(case, ExceptionCase)
        assert case.closed_at is None

    def test_that_is_told_again_changes_nothing(self) -> None:
        assert late(TOLD, limits=(in_force(OWN),), cases=(CLOSED,)) == ()
        _, case = late(TOLD, lift("c", at=NOON + MINUTE), limits=(OWN,))
        assert isinstance(case, ExceptionCase)
        assert late(TOLD, lift("c", at=NOON + MINUTE), limits=(OWN,), cases=(case,)) == (in_force(OWN),)

    def test_without_an_end_that_left_its_place_to_another_in_doubt_is_in_force(self) -> None:
        newest = limit("2", item=8, valid_until=None, look_at=None)
        kept, _ = late(TOLD, command("c", "2", owner=8, at=NOON + MINUTE), limits=(newest,))
        assert kept == in_force(replace(OWN, valid_until=None, look_at=None, client=None))


class TestTwoThatAreToldLate:
    """The later of two commands was told first, late as well: it kept its outcome, and left no limit in doubt."""

    LIFTED = lift("c", at=NOON + 10 * MINUTE)

    @pytest.mark.parametrize("acted_at", [NOON + 11 * MINUTE, None], ids=["the meter says so", "maybe"])
    def test_have_a_limit_taken_away_again_that_came_last(self, acted_at: datetime | None) -> None:
        changes = late(TOLD, self.LIFTED, acted_at=acted_at, cases=(CLOSED,))
        assert changes[0] == replace(OWN, in_doubt=False, set_at=NOW, valid_until=NOW, look_at=NOW, client=None)
        assert "it is freed again" in opened(changes)

    def test_leave_none_that_came_before(self) -> None:
        assert late(TOLD, self.LIFTED, acted_at=NOON + 10 * MINUTE, cases=(CLOSED,)) == ()

    def test_leave_two_limits_in_doubt_where_nobody_knows_which_came_last(self) -> None:
        there = limit("2", item=8, in_doubt=False)
        changes = late(TOLD, command("c", "2", owner=8, at=NOON + MINUTE), limits=(there,), acted_at=None, cases=())
        assert changes[0] == replace(OWN, set_at=NOW, client=None)
        assert "to limit it to 2 kW: order that again" in opened(changes)


class TestNoLimitInDoubt:
    @pytest.mark.parametrize(
        "told",
        [
            pytest.param(command("told", None, owner=9, at=NOON), id="ordered by its client"),
            pytest.param(lift("told", at=NOON), id="at the end of the limit"),
        ],
    )
    def test_takes_all_away_that_came_before(self, told: Command) -> None:
        confirmed = limit("5", item=5, in_doubt=False)
        before = (command("a", "5", owner=5, status=DONE), command("b"))
        assert late(told, before=before, limits=(confirmed, OWN)) == (gone(confirmed), gone(OWN), CLOSED)

    def test_leaves_what_was_ordered_since(self) -> None:
        since = limit("2", item=8)
        changes = late(lift("told", at=NOON), command("c", "2", owner=8, at=NOON + MINUTE), limits=(OWN, since))
        assert changes[0] == gone(OWN)
        assert "freed of its demand limit" in opened(changes)
        assert len(changes) == 2

    def test_is_no_doubt_by_further_attempts_to_take_it_away(self) -> None:
        again = lift("c", at=NOON + MINUTE, status=CommandStatus.FAILED, result_code="NO_RESPONSE")
        assert late(lift("told", at=NOON), again, limits=(OWN,)) == (gone(OWN), CLOSED)


class TestAnOrderThatWasToldAsFailed:
    REFUSED = replace(TOLD, status=CommandStatus.FAILED, result_code="BUSY")

    def test_is_undone_for_its_client_knows_of_no_limit(self) -> None:
        there = limit("5", item=5, in_doubt=False)
        before = (command("a", "5", owner=5, status=DONE),)
        changes = late(self.REFUSED, before=before, limits=(there,), cases=())
        ending = replace(OWN, in_doubt=False, set_at=NOW, valid_until=NOW, look_at=NOW, client=None)
        assert changes[:2] == (gone(there), ending)
        assert opened(changes) == (
            "The order was told as failed, but the meter was limited to 3.5 kW (2026-03-28 12:00:00 UTC): it is freed "
            "of that"
        )

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param(command("b"), id="of which an attempt was in doubt"),
            pytest.param(command("b", status=CommandStatus.ACCEPTED), id="of which an attempt was not waited for"),
        ],
    )
    def test_is_none(self, other: Command) -> None:
        kept, *_ = late(self.REFUSED, before=(other,))
        assert isinstance(kept, DeviceLimit)
        assert kept.look_at is None


class TestALaterCommandThatWasCarriedOut:
    """`done` is at 12:10, and the meter says it carried it out at 12:20."""

    AT = NOON + timedelta(minutes=20)

    def done(self, limit_kw: str | None, **facts: Any) -> Command:
        usual: dict[str, Any] = {"owner": 8, "at": NOON + 10 * MINUTE, "status": DONE, "acted_at": self.AT}
        return command("done", limit_kw, **{**usual, **facts})

    @pytest.mark.parametrize("limit_kw", ["2", None], ids=["another limit", "no limit"])
    @pytest.mark.parametrize("told", [TOLD, lift("told", at=NOON)], ids=["a limit", "none"])
    def test_is_what_counts_where_the_meter_says_that_it_came_later(self, told: Command, limit_kw: str | None) -> None:
        there = () if limit_kw is None else (limit(limit_kw, item=8, in_doubt=False),)
        assert late(told, self.done(limit_kw), limits=there, acted_at=self.AT) == ()
        unsaid = self.done(limit_kw, acted_at=None)
        assert late(told, unsaid, limits=there, acted_at=NOON + 10 * MINUTE) == ()

    def test_is_what_counts_by_the_clock_of_the_meter_however_wrong(self) -> None:
        done = self.done(None, acted_at=datetime(1970, 1, 1, 0, 20, tzinfo=UTC))
        told = ToldLimit(command=TOLD, acted_at=datetime(1970, 1, 1, tzinfo=UTC), at=NOON + 30 * MINUTE)
        assert known_late(told, commands=[TOLD, done], limits=(), cases=(), now=NOW) == ()

    @pytest.mark.parametrize("owner", [7, 8], ids=["of the same order", "of another"])
    def test_to_the_same_limit_leaves_no_doubt_which_is_in_force(self, owner: int) -> None:
        there = limit(item=owner, in_doubt=False)
        assert late(TOLD, self.done("3.5", owner=owner), limits=(there,), acted_at=None) == ()

    @pytest.mark.parametrize(
        ("acted_at", "of_done"),
        [
            pytest.param(AT + MINUTE, AT, id="the meter says so"),
            pytest.param(NOON + 11 * MINUTE, None, id="maybe: it does not say when the later was"),
            pytest.param(None, AT, id="maybe: it does not say when this was"),
        ],
    )
    def test_that_took_the_limit_away_before_has_it_taken_away_again_at_once(
        self, acted_at: datetime | None, of_done: datetime | None
    ) -> None:
        changes = late(TOLD, self.done(None, acted_at=of_done), acted_at=acted_at, cases=(CLOSED,))
        assert changes[0] == replace(OWN, in_doubt=False, set_at=NOW, valid_until=NOW, look_at=NOW, client=None)
        assert "maybe after a later order was carried out to free it of any limit: it is freed again" in opened(changes)

    def test_that_took_the_limit_away_before_anybody_looked_has_it_taken_away_again(self) -> None:
        lifted = lift("done", at=NOON + 10 * MINUTE, status=DONE, acted_at=self.AT)
        changes = late(TOLD, lifted, limits=(OWN,), acted_at=self.AT + MINUTE, cases=())
        assert changes[0] == replace(OWN, set_at=NOW, look_at=NOW)
        assert "it is freed again" in opened(changes)
        assert late(TOLD, lifted, limits=(OWN,), acted_at=self.AT - MINUTE) == ()

    def test_that_set_another_limit_before_leaves_both_until_they_end(self) -> None:
        there = limit("2", item=8, in_doubt=False)
        changes = late(TOLD, self.done("2"), limits=(there,), acted_at=None, cases=())
        assert changes[0] == replace(OWN, set_at=NOW, client=None)
        assert "maybe after a later order was carried out to limit it to 2 kW: order that again" in opened(changes)
        assert len(changes) == 2

    def test_that_set_a_limit_before_no_limit_was_told_is_in_doubt(self) -> None:
        there = limit("2", item=8, in_doubt=False)
        changes = late(lift("told", at=NOON), self.done("2"), limits=(there,), acted_at=None, cases=())
        assert changes[0] == replace(there, in_doubt=True)
        assert "to limit it to 2 kW, order that again" in opened(changes)

    def test_between_two_attempts_leaves_their_limit_in_doubt(self) -> None:
        again = command("again", at=NOON + 40 * MINUTE)
        there = limit("2", item=8, in_doubt=False)
        assert late(TOLD, self.done("2"), again, limits=(there, OWN), acted_at=None) == ()
