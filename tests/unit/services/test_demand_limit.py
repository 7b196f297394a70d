"""What a client orders of one meter's demand, decided without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from mdus.domain.access import Client, Role
from mdus.domain.capability import Capabilities, CapabilityRow
from mdus.domain.command import Command, CommandKind, CommandStatus, OwnerKind
from mdus.domain.device_limit import AFTER_ANOTHER, LIMIT_DOUBTFUL, DeviceLimit, LimitRules
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.repeatable_command import ATTEMPTS, PAUSE
from mdus.domain.value import Remove, Value
from mdus.messaging.addressed_device import DeviceUnknown
from mdus.messaging.commanded_device import NoHeadEnd, NotCapable, NotInService
from mdus.messaging.commanded_device import TestData as OnlyTestData
from mdus.messaging.known import Known
from mdus.messaging.outcome import Await, BusinessError, Done, Outcome
from mdus.services.demand_limit import (
    Answer,
    EndWithoutLimit,
    LimitIsOver,
    LimitNotConfirmed,
    LimitTooLow,
    Request,
    decide,
)
from tests.unit.services.device_initialization import DEVICE, NOW, SENDER, known_device, origin

HOUR = timedelta(hours=1)
METER = known_device()
OPERATOR = Client(name="rest:portal", role=Role.OPERATOR)
APPROVER = Client(name="rest:portal", role=Role.APPROVER)
STORED = DeviceLimit(
    sender_system=SENDER,
    device_id=DEVICE,
    serial_id=METER.serial_id,
    limit_kw=Decimal(2),
    set_at=NOW - HOUR,
    item_id=1,
)
CASE = ExceptionCase(kind=LIMIT_DOUBTFUL, case_key=f"{SENDER}/{DEVICE}", opened_at=NOW, note="x")


def request(limit_kw: str | None = "3.5", **facts: Any) -> Request:
    told: dict[str, Any] = {"origin": origin(item_id=7, client="rest:portal"), "device_id": DEVICE}
    return Request(**{**told, "limit_kw": None if limit_kw is None else Decimal(limit_kw), **facts})


def known(*values: Value) -> Known:
    return Known([LimitRules(), OPERATOR, METER], values)


def first(asked: Request, *values: Value) -> Command:
    """The first command a request leads to."""
    return only(decide(asked, known(*values), now=NOW))


def only(outcome: Outcome) -> Command:
    assert isinstance(outcome, Await)
    [command] = outcome.commands
    return command


def ended(command: Command, status: CommandStatus = CommandStatus.DONE, **facts: Any) -> Command:
    return replace(command, status=status, ended_at=NOW, **facts)


SILENT: dict[str, Any] = {"status": CommandStatus.TIMED_OUT, "result_code": "TIMED_OUT"}


class TestALimit:
    def test_is_ordered_of_the_meter(self) -> None:
        command = first(request("3.50"))
        assert (command.kind, command.parameters) == (CommandKind.LIMIT_DEMAND, (("limit_kw", "3.5"),))
        assert (command.owner_kind, command.owner_key) == (OwnerKind.ITEM, "7")
        assert (command.serial_id, command.head_end) == (METER.serial_id, METER.head_end)

    def test_that_is_taken_away_is_ordered_without_a_value(self) -> None:
        assert first(request(None)).parameters is None

    def test_leaves_before_it_ends(self) -> None:
        soon, late = NOW + timedelta(minutes=5), NOW + 5 * HOUR
        assert first(request(valid_until=soon)).expires_at == soon
        assert first(request(valid_until=late)).expires_at == NOW + HOUR

    def test_is_kept_when_the_meter_has_confirmed_it(self) -> None:
        asked = request(valid_until=NOW + 5 * HOUR)
        done = ended(first(asked), acted_at=NOW + PAUSE)
        outcome = decide(asked, known(done), now=NOW + HOUR)
        assert outcome == Done(
            changes=(
                DeviceLimit(
                    sender_system=SENDER,
                    device_id=DEVICE,
                    serial_id=METER.serial_id,
                    limit_kw=Decimal("3.5"),
                    set_at=NOW + PAUSE,
                    valid_until=NOW + 5 * HOUR,
                    look_at=NOW + 5 * HOUR,
                    item_id=7,
                    client="rest:portal",
                ),
            ),
            result=Answer(limit_kw=Decimal("3.5"), valid_until=NOW + 5 * HOUR, confirmed_at=NOW + PAUSE),
        )

    def test_is_not_of_a_time_to_come_by_a_clock_that_is_ahead(self) -> None:
        """What takes it away would seem to have come before it."""
        asked = request(valid_until=NOW + HOUR)
        outcome = decide(asked, known(ended(first(asked), acted_at=NOW + 2 * HOUR)), now=NOW)
        assert isinstance(outcome, Done)
        [limit] = outcome.changes
        assert isinstance(limit, DeviceLimit)
        assert limit.set_at == NOW
        assert outcome.result is not None
        assert outcome.result.confirmed_at == NOW + 2 * HOUR

    def test_without_an_end_is_looked_at_no_more(self) -> None:
        outcome = decide(request(), known(ended(first(request()))), now=NOW)
        assert isinstance(outcome, Done)
        [limit] = outcome.changes
        assert isinstance(limit, DeviceLimit)
        assert (limit.valid_until, limit.look_at) == (None, None)

    def test_is_gone_when_the_meter_has_confirmed_that(self) -> None:
        outcome = decide(request(None), known(STORED, ended(first(request(None), STORED))), now=NOW)
        assert isinstance(outcome, Done)
        assert outcome.changes == (Remove(DeviceLimit, STORED.key),)
        assert outcome.result == Answer(confirmed_at=NOW)

    def test_that_is_confirmed_is_in_doubt_no_more(self) -> None:
        outcome = decide(request(), known(CASE, ended(first(request()))), now=NOW)
        assert isinstance(outcome, Done)
        assert replace(CASE, closed_at=NOW) in outcome.changes

    def test_changes_nothing_before_it_is_confirmed(self) -> None:
        for status in (CommandStatus.READY, CommandStatus.SUBMITTING, CommandStatus.ACCEPTED):
            under_way = replace(first(request(), STORED), status=status)
            outcome = decide(request(), known(STORED, under_way), now=NOW)
            assert isinstance(outcome, Await)
            assert outcome.changes == ()


class TestAnotherCommandAboutTheLimit:
    @pytest.mark.parametrize("owner_kind", [OwnerKind.ITEM, OwnerKind.LIMIT])
    def test_that_is_under_way_is_waited_for(self, owner_kind: OwnerKind) -> None:
        other = replace(first(request()), command_key="other", owner_kind=owner_kind, owner_key="6")
        assert decide(request(), known(other), now=NOW) == Await(commands=(), until=NOW + AFTER_ANOTHER)
        assert only(decide(request(), known(ended(other)), now=NOW)).owner_key == "7"

    def test_of_the_same_turn_is_waited_for(self) -> None:
        shared = known()
        shared.after(decide(request(), shared, now=NOW))
        later = request("2", origin=origin(item_id=8, client="rest:portal"))
        assert decide(later, shared, now=NOW) == Await(commands=(), until=NOW + AFTER_ANOTHER)

    def test_of_another_meter_is_not(self) -> None:
        other = replace(first(request()), command_key="other", owner_key="6", device_id="43")
        assert only(decide(request(), known(other), now=NOW))


class TestAMeterThatStaysSilent:
    def test_is_told_again(self) -> None:
        silent = ended(first(request()), **SILENT)
        repeated = only(decide(request(), known(silent), now=NOW))
        assert repeated.command_key != silent.command_key
        assert (repeated.parameters, repeated.not_before) == (silent.parameters, NOW + PAUSE)

    def test_is_in_doubt_at_last(self) -> None:
        attempts = [ended(first(request()), **SILENT)]
        while len(attempts) < ATTEMPTS:
            attempts.append(ended(only(decide(request(), known(*attempts), now=NOW)), **SILENT))
        outcome = decide(request(), known(*attempts), now=NOW)
        assert isinstance(outcome, Done)
        assert outcome.result is not None
        assert outcome.result.failed
        case, limit = outcome.changes
        assert isinstance(case, ExceptionCase)
        assert (case.kind, case.case_key, case.closed_at) == (LIMIT_DOUBTFUL, CASE.case_key, None)
        assert case.note.startswith("To be limited to 3.5 kW: It is not known whether the meter took it")
        assert isinstance(limit, DeviceLimit)
        assert (limit.limit_kw, limit.item_id, limit.in_doubt) == (Decimal("3.5"), 7, True)

    def test_is_not_told_again_once_the_limit_would_be_over(self) -> None:
        asked = request(valid_until=NOW + PAUSE)
        silent = ended(first(asked), **SILENT)
        assert isinstance(decide(asked, known(silent), now=NOW), Done)

    def test_whose_command_is_lost_is_in_doubt_too(self) -> None:
        lost = replace(first(request()), status=CommandStatus.ACCEPTED)
        assert isinstance(decide(request(), known(lost), now=NOW + 2 * HOUR), Await)
        assert isinstance(decide(request(), known(lost), now=NOW + 2 * HOUR + PAUSE), Done)


class TestALimitInDoubt:
    """Of which nobody knows whether the meter took it: it may be in force."""

    def doubted(self, asked: Request, *values: Value, codes: tuple[str, ...] = ("NO_RESPONSE",) * ATTEMPTS) -> Done:
        """What becomes of a request whose attempts end with these codes."""
        attempts: list[Command] = []
        for code in codes:
            command = only(decide(asked, known(*values, *attempts), now=NOW))
            attempts.append(ended(command, CommandStatus.FAILED, result_code=code))
        outcome = decide(asked, known(*values, *attempts), now=NOW)
        assert isinstance(outcome, Done)
        return outcome

    def test_ends_when_it_was_to_end(self) -> None:
        end = NOW + 5 * HOUR
        _, limit = self.doubted(request(valid_until=end)).changes
        assert isinstance(limit, DeviceLimit)
        assert (limit.in_doubt, limit.valid_until, limit.look_at) == (True, end, end)

    def test_stands_beside_the_one_that_was_confirmed(self) -> None:
        _, *limits = self.doubted(request(), STORED).changes
        assert [type(each) for each in limits] == [DeviceLimit]

    def test_is_one_where_an_earlier_attempt_was_uncertain(self) -> None:
        case, limit = self.doubted(request(), codes=("NO_RESPONSE", "KILL_SWITCH")).changes
        assert isinstance(case, ExceptionCase)
        assert isinstance(limit, DeviceLimit)

    def test_is_one_where_its_command_expired_after_an_uncertain_attempt(self) -> None:
        expired = ended(first(request()), CommandStatus.UNCERTAIN, result_code="EXPIRED")
        outcome = decide(request(), known(expired), now=NOW)
        assert isinstance(outcome, Done)
        assert [type(change) for change in outcome.changes] == [ExceptionCase, DeviceLimit]

    def test_is_none_where_a_limit_was_to_be_taken_away(self) -> None:
        assert [type(change) for change in self.doubted(request(None), STORED).changes] == [ExceptionCase]

    def test_is_gone_with_whatever_the_meter_confirms(self) -> None:
        perhaps = replace(STORED, item_id=5, in_doubt=True)
        for asked, kept in ((request(), 1), (request(None), 0)):
            outcome = decide(asked, known(STORED, perhaps, ended(first(asked))), now=NOW)
            assert isinstance(outcome, Done)
            assert outcome.changes[:2] == (Remove(DeviceLimit, STORED.key), Remove(DeviceLimit, perhaps.key))
            assert len(outcome.changes) == 2 + kept

    def test_is_not_told_again_while_another_command_about_it_is_under_way(self) -> None:
        silent = ended(first(request()), **SILENT)
        lift = replace(silent, command_key="lift", owner_kind=OwnerKind.LIMIT, status=CommandStatus.ACCEPTED)
        assert decide(request(), known(silent, lift), now=NOW) == Await(commands=(), until=NOW + AFTER_ANOTHER)
        assert only(decide(request(), known(silent, ended(lift)), now=NOW)).owner_kind is OwnerKind.ITEM


class TestWhatIsRefused:
    def test_by_expiry_before_it_was_tried_leaves_no_doubt(self) -> None:
        expired = ended(first(request()), CommandStatus.FAILED, result_code="EXPIRED")
        with pytest.raises(LimitNotConfirmed):
            decide(request(), known(expired), now=NOW)

    @pytest.mark.parametrize("code", ["KILL_SWITCH", "NOT_SUPPORTED", "LIMIT_TOO_LOW"])
    def test_by_governor_or_head_end_leaves_no_doubt(self, code: str) -> None:
        failed = ended(first(request()), CommandStatus.FAILED, result_code=code, result_text="why")
        with pytest.raises(LimitNotConfirmed, match=rf"\({code}: why\)"):
            decide(request(), known(failed), now=NOW)

    @pytest.mark.parametrize(
        ("facts", "values", "error"),
        [
            pytest.param({"device_id": "9"}, (), DeviceUnknown, id="device unknown"),
            pytest.param({}, (replace(METER, valid_to=NOW.date()),), NotInService, id="out of service"),
            pytest.param({}, (replace(METER, head_end=None),), NoHeadEnd, id="no head end"),
            pytest.param(
                {},
                (Capabilities(rows=(CapabilityRow(name="a", demand_limit=False),)),),
                NotCapable,
                id="cannot be limited",
            ),
            pytest.param({"origin": origin(item_id=7, test_data=True)}, (), OnlyTestData, id="test data"),
            pytest.param({"valid_until": NOW}, (), LimitIsOver, id="over"),
            pytest.param({"limit_kw": None, "valid_until": NOW + HOUR}, (), EndWithoutLimit, id="an end of nothing"),
            pytest.param({"limit_kw": Decimal("0.4999")}, (), LimitTooLow, id="below the least"),
            pytest.param({"limit_kw": Decimal(0)}, (), LimitTooLow, id="nothing at all"),
        ],
    )
    def test_at_once(self, facts: dict[str, Any], values: tuple[Value, ...], error: type[BusinessError]) -> None:
        with pytest.raises(error):
            decide(replace(request(), **facts), known(*values), now=NOW)

    @pytest.mark.parametrize(
        ("limit_kw", "client"),
        [
            pytest.param("0.5", OPERATOR, id="the least"),
            pytest.param("0.4999", APPROVER, id="below it, by a client that may order disconnections"),
            pytest.param(None, OPERATOR, id="none any more"),
        ],
    )
    def test_is_not_what_is_allowed(self, limit_kw: str | None, client: Client) -> None:
        assert first(request(limit_kw), client)

    def test_is_what_a_client_without_a_token_wants_below_the_least(self) -> None:
        with pytest.raises(LimitTooLow):
            decide(request("0"), Known([LimitRules(), METER]), now=NOW)
