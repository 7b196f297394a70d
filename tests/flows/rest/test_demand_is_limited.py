"""A client limits what a meter lets through: governed up to the last instant, kept as confirmed, ended in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mdus.domain.access import Role
from mdus.domain.command import Command, CommandKind, CommandStatus, OwnerKind
from mdus.domain.device_limit import LIMIT_DOUBTFUL, DeviceLimit
from mdus.domain.end_device import EndDevice
from mdus.domain.exception_case import ExceptionCase
from mdus.storage.access_token import revoke
from mdus.storage.activity import next_due
from mdus.storage.end_device_control import order_switching
from tests.flows.both_sides import SENDER, BothSides
from tests.flows.rest.doors import Client
from tests.flows.rest.processes import METER, START
from tests.flows.rest.test_clients_order import only_item

LIMIT = {"device_id": METER, "limit_kw": "3.50"}
NO_LIMIT = {"device_id": METER}
END = START + timedelta(hours=8)


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=START)
    made.meter(METER)
    yield made
    made.close()


@pytest.fixture
def client(sides: BothSides) -> Client:
    return Client(sides, role=Role.OPERATOR)


def stop(sides: BothSides, *, stopped: bool = True) -> None:
    with sides.database.begin() as uow:
        order_switching(uow.connection, stopped=stopped, reason="a flood", ordered_by="test", at=sides.clock.now())


def confirm(sides: BothSides, **result: Any) -> None:
    """Let the head end answer what it was told of limits, and see what follows."""
    sides.rest()
    assert sides.answer(CommandKind.LIMIT_DEMAND, **result)
    sides.rest()


def limited(sides: BothSides, client: Client, item: dict[str, Any] = LIMIT) -> int:
    number = client.order("demand-limits", item)
    confirm(sides)
    assert only_item(client, number)["state"] == "done"
    return number


def shown(client: Client) -> Any:
    return client.get(f"devices/{SENDER}/{METER}")["demand_limit"]


def given(sides: BothSides) -> list[str | None]:
    return [order["limit_kw"] for order in sides.submitted(CommandKind.LIMIT_DEMAND)]


def told(client: Client, number: int) -> str:
    [problem] = only_item(client, number)["problems"]
    return str(problem["note"])


class TestALimit:
    def test_is_shown_once_the_meter_has_confirmed_it(self, sides: BothSides, client: Client) -> None:
        number = client.order("demand-limits", LIMIT | {"valid_until": END.isoformat()})
        sides.rest()
        assert given(sides) == ["3.5"]
        assert shown(client) is None

        confirm(sides)
        item = only_item(client, number)
        assert (item["state"], item["result"]["limit_kw"]) == ("done", "3.50")
        assert Decimal(shown(client)["limit_kw"]) == Decimal("3.5")
        assert datetime.fromisoformat(shown(client)["valid_until"]) == END
        assert shown(client)["client"] == "rest:portal"

    def test_is_listed_as_long_as_there_is_one(self, sides: BothSides, client: Client) -> None:
        limited(sides, client)
        [one] = client.get("demand-limits")["items"]
        assert (one["device_id"], Decimal(one["limit_kw"])) == (METER, Decimal("3.5"))
        assert client.get("demand-limits", device_id="9")["items"] == []
        assert Client(sides, name="crew", systems=["Q11"]).get("demand-limits")["items"] == []
        limited(sides, client, NO_LIMIT)
        assert client.get("demand-limits")["items"] == []

    def test_is_taken_away_by_order(self, sides: BothSides, client: Client) -> None:
        limited(sides, client)
        limited(sides, client, NO_LIMIT)
        assert given(sides) == ["3.5", None]
        assert shown(client) is None

    def test_ends_by_itself_whoever_restarts_meanwhile(
        self, sides: BothSides, client: Client, database_url: str, tmp_path: Path
    ) -> None:
        limited(sides, client, LIMIT | {"valid_until": END.isoformat()})
        with sides.database.read() as uow:
            assert next_due(uow.connection, now=sides.clock.now()) == END
        sides.clock.move(hours=8, seconds=-1)
        sides.rest()
        assert given(sides) == ["3.5"]

        restarted = BothSides(database_url, tmp_path, now=END)
        try:
            restarted.rest()
            assert given(restarted) == [None]
            assert len(restarted.all(DeviceLimit)) == 1
            confirm(restarted)
            assert restarted.all(DeviceLimit) == []
        finally:
            restarted.close()

    def test_that_does_not_end_is_a_case_until_it_does(self, sides: BothSides, client: Client) -> None:
        limited(sides, client, LIMIT | {"valid_until": END.isoformat()})
        sides.clock.move(hours=8)
        confirm(sides, status="failed", code="NO_RESPONSE", text="silence")
        [case] = sides.all(ExceptionCase)
        assert (case.kind, case.case_key, case.closed_at) == (LIMIT_DOUBTFUL, f"{SENDER}/{METER}", None)
        assert shown(client) is not None

        sides.clock.move(minutes=15)
        confirm(sides)
        assert given(sides) == ["3.5", None, None]
        assert shown(client) is None
        [case] = sides.all(ExceptionCase)
        assert case.closed_at == sides.clock.now()

    def test_takes_the_place_of_another(self, sides: BothSides, client: Client) -> None:
        limited(sides, client, LIMIT | {"valid_until": END.isoformat()})
        limited(sides, client, LIMIT | {"limit_kw": "5"})
        sides.clock.move(hours=9)
        sides.rest()
        assert given(sides) == ["3.5", "5"]
        assert Decimal(shown(client)["limit_kw"]) == 5

    def test_waits_for_the_one_before_it(self, sides: BothSides, client: Client) -> None:
        first = client.order("demand-limits", LIMIT)
        second = client.order("demand-limits", LIMIT | {"limit_kw": "5"})
        sides.rest()
        assert given(sides) == ["3.5"]
        confirm(sides)
        assert only_item(client, first)["state"] == "done"

        sides.clock.move(seconds=30)
        confirm(sides)
        assert only_item(client, second)["state"] == "done"
        assert Decimal(shown(client)["limit_kw"]) == 5

    def test_whose_answer_is_lost_is_told_again_under_the_same_reference(
        self, sides: BothSides, client: Client
    ) -> None:
        sides.head_end.script = ["cut"]
        number = limited(sides, client)
        assert len({order["reference"] for order in sides.submitted(CommandKind.LIMIT_DEMAND)}) == 1
        assert given(sides) == ["3.5", "3.5"]
        assert only_item(client, number)["state"] == "done"

    def test_is_ordered_once_per_key_with_its_reason(self, sides: BothSides) -> None:
        client = Client(sides, role=Role.ADMIN)
        numbers = [client.order("demand-limits", LIMIT, key="k1", reason="the line is weak") for _ in range(2)]
        assert numbers[0] == numbers[1]
        confirm(sides)
        assert given(sides) == ["3.5"]
        [deed] = client.get("audit")["items"]
        assert (deed["action"], deed["reason"]) == ("order demand-limits", "the line is weak")
        [news] = client.get("news", topic="requests", after=0)["items"]
        assert news["content"]["state"] == "settled"


class TestALimitInDoubt:
    """Nobody knows whether the meter took it: it may be in force."""

    def doubted(self, sides: BothSides, client: Client, **changes: Any) -> int:
        """Let the head end tell of silence until nobody is asked any more."""
        number = client.order("demand-limits", LIMIT | changes)
        for _ in range(3):
            confirm(sides, status="failed", code="NO_RESPONSE", text="silence")
            sides.clock.move(minutes=1)
        sides.rest()
        assert "It is not known whether the meter took it" in told(client, number)
        return number

    def test_is_taken_away_at_its_end(self, sides: BothSides, client: Client) -> None:
        self.doubted(sides, client, valid_until=END.isoformat())
        [case] = sides.all(ExceptionCase)
        assert (case.kind, case.closed_at) == (LIMIT_DOUBTFUL, None)
        [one] = client.get("demand-limits")["items"]
        assert (one["in_doubt"], shown(client)) == (True, None)

        sides.clock.instant = END - timedelta(seconds=1)
        sides.rest()
        assert given(sides) == ["3.5"] * 3
        sides.clock.move(seconds=1)
        confirm(sides)
        assert given(sides) == ["3.5"] * 3 + [None]
        assert sides.all(DeviceLimit) == []
        [case] = sides.all(ExceptionCase)
        assert case.closed_at == END

    def test_is_taken_away_however_often_that_takes(self, sides: BothSides, client: Client) -> None:
        self.doubted(sides, client, valid_until=END.isoformat())
        sides.clock.instant = END
        for _ in range(2):
            confirm(sides, status="failed", code="NO_RESPONSE", text="silence")
            sides.clock.move(minutes=15)
        confirm(sides)
        assert given(sides) == ["3.5"] * 3 + [None] * 3
        assert sides.all(DeviceLimit) == []

    def test_ends_the_one_there_was_at_the_earlier_end(self, sides: BothSides, client: Client) -> None:
        limited(sides, client, LIMIT | {"valid_until": (END + timedelta(hours=8)).isoformat()})
        self.doubted(sides, client, limit_kw="2", valid_until=END.isoformat())
        assert Decimal(shown(client)["limit_kw"]) == Decimal("3.5")
        assert len(client.get("demand-limits")["items"]) == 2

        sides.clock.instant = END
        confirm(sides)
        assert shown(client) is None
        sides.clock.move(hours=9)
        sides.rest()
        assert given(sides) == ["3.5", "2", "2", "2", None]

    def test_is_settled_by_the_next_that_is_confirmed(self, sides: BothSides, client: Client) -> None:
        self.doubted(sides, client, valid_until=END.isoformat())
        limited(sides, client, LIMIT | {"limit_kw": "5"})
        [limit] = sides.all(DeviceLimit)
        assert (limit.limit_kw, limit.in_doubt) == (Decimal(5), False)
        sides.clock.instant = END
        sides.rest()
        assert given(sides) == ["3.5"] * 3 + ["5"]

    def test_is_one_that_expired_after_a_call_that_broke_off(self, sides: BothSides, client: Client) -> None:
        end = START + timedelta(minutes=5)
        number = client.order("demand-limits", LIMIT | {"valid_until": end.isoformat()})
        sides.decide()
        sides.head_end.script, sides.head_end.down = ["cut"], True
        sides.commands.turn()
        [command] = sides.all(Command)
        assert command.status is CommandStatus.READY

        sides.head_end.down = False
        sides.clock.instant = end
        sides.rest()
        assert "EXPIRED" in told(client, number)
        assert len(sides.all(ExceptionCase)) == 1
        assert given(sides) == ["3.5", None]
        confirm(sides)
        assert sides.all(DeviceLimit) == []

    def test_is_one_that_a_concentrator_refuses_whose_meter_has_taken_it_and_gone(
        self, sides: BothSides, client: Client
    ) -> None:
        number = client.order("demand-limits", LIMIT | {"valid_until": END.isoformat()})
        sides.head_end.script = ["cut", "reject UNKNOWN_METER"]
        sides.rest()
        assert "It is not known whether the meter took it (UNKNOWN_METER" in told(client, number)
        [limit] = sides.all(DeviceLimit)
        assert limit.in_doubt
        sides.clock.instant = END
        confirm(sides)
        assert given(sides)[-1] is None
        assert sides.all(DeviceLimit) == []

    def test_is_left_to_its_case_once_its_head_end_says_often_enough_that_the_meter_can_hold_none(
        self, sides: BothSides, client: Client
    ) -> None:
        self.refused(sides, client, "NOT_SUPPORTED", times=8)
        [case] = sides.all(ExceptionCase)
        assert "It is not asked again. Have somebody look whether the meter limits the customer" in case.note
        assert case.closed_at is None
        [one] = client.get("demand-limits")["items"]
        assert one["in_doubt"]
        sides.clock.move(days=30)
        sides.rest()
        assert given(sides) == ["3.5"] * 2 + [None] * 8

        # Another head end may be able to.
        [device] = sides.all(EndDevice)
        sides.save(replace(device, head_end="village"))
        sides.clock.move(days=1)
        sides.rest()
        assert [each.head_end for each in sides.all(Command)][-2:] == ["city", "village"]

    def test_is_freed_by_order_after_it_was_left(self, sides: BothSides, client: Client) -> None:
        self.refused(sides, client, "NOT_SUPPORTED", times=8)
        limited(sides, client, NO_LIMIT)
        assert sides.all(DeviceLimit) == []
        [case] = sides.all(ExceptionCase)
        assert case.closed_at == sides.clock.now()

    def test_is_tried_on_where_its_head_end_does_not_know_the_meter(self, sides: BothSides, client: Client) -> None:
        self.refused(sides, client, "UNKNOWN_METER", times=20)
        sides.clock.move(minutes=15)
        confirm(sides)
        assert given(sides) == ["3.5"] * 2 + [None] * 21
        assert sides.all(DeviceLimit) == []

    def refused(self, sides: BothSides, client: Client, code: str, *, times: int) -> None:
        """Let a call about a limit break off, and all that follow be refused, so often at its end."""
        client.order("demand-limits", LIMIT | {"valid_until": END.isoformat()})
        sides.head_end.script = ["cut", f"reject {code}"]
        sides.rest()
        for _ in range(times):
            [limit] = sides.all(DeviceLimit)
            sides.clock.instant = max(sides.clock.now(), limit.look_at or END)
            sides.head_end.script = [f"reject {code}"]
            sides.rest()
        assert [each.result_code for each in sides.all(Command)] == [code] * (times + 1)
        for job in sides.head_end.submitted:
            job["answered"] = True

    def test_is_none_that_expired_before_it_left(self, sides: BothSides, client: Client) -> None:
        end = START + timedelta(minutes=5)
        number = client.order("demand-limits", LIMIT | {"valid_until": end.isoformat()})
        sides.decide()
        sides.clock.instant = end
        sides.rest()
        assert "EXPIRED" in told(client, number)
        assert (sides.all(ExceptionCase), sides.all(DeviceLimit), given(sides)) == ([], [], [])


class TestTheGovernor:
    def test_lets_no_limit_leave_while_switching_is_stopped(self, sides: BothSides, client: Client) -> None:
        stop(sides)
        number = client.order("demand-limits", LIMIT)
        sides.rest()
        assert "KILL_SWITCH" in told(client, number)
        assert "a flood" in told(client, number)
        assert given(sides) == []
        assert sides.all(ExceptionCase) == []

        stop(sides, stopped=False)
        limited(sides, client)

    def test_lets_a_limit_be_taken_away_all_the_same(self, sides: BothSides, client: Client) -> None:
        limited(sides, client)
        stop(sides)
        limited(sides, client, NO_LIMIT)
        assert given(sides) == ["3.5", None]

    def test_lets_a_limit_end_all_the_same(self, sides: BothSides, client: Client) -> None:
        limited(sides, client, LIMIT | {"valid_until": END.isoformat()})
        stop(sides)
        sides.clock.move(hours=8)
        confirm(sides)
        assert shown(client) is None

    def test_holds_what_is_below_the_least_for_a_disconnection(self, sides: BothSides, client: Client) -> None:
        number = client.order("demand-limits", LIMIT | {"limit_kw": "0.499"})
        sides.rest()
        assert "disconnects" in told(client, number)
        assert given(sides) == []

        limited(sides, Client(sides, name="chief", role=Role.APPROVER), LIMIT | {"limit_kw": "0.499"})
        limited(sides, client, LIMIT | {"limit_kw": "0.5"})
        assert given(sides) == ["0.499", "0.5"]

    def test_asks_for_the_right_to_disconnect_at_the_last_instant(self, sides: BothSides) -> None:
        chief = Client(sides, name="chief", role=Role.APPROVER)
        chief.order("demand-limits", LIMIT | {"limit_kw": "0"})
        sides.decide()
        with sides.database.begin() as uow:
            assert revoke(uow.connection, "chief")
        sides.rest()
        [command] = sides.all(Command)
        assert (command.status, command.result_code) == (CommandStatus.FAILED, "LIMIT_TOO_LOW")
        assert given(sides) == []

    def test_lets_nothing_of_test_data_leave(self, sides: BothSides, client: Client) -> None:
        number = client.order("demand-limits", LIMIT, test_data=True)
        sides.rest()
        assert "test data" in told(client, number)
        assert sides.all(Command) == []


class TestWhatIsWrong:
    def test_with_the_device_is_told(self, sides: BothSides, client: Client) -> None:
        number = client.order("demand-limits", LIMIT | {"device_id": "9"})
        sides.rest()
        assert [each["type_id"] for each in only_item(client, number)["problems"]] == ["110(MDUS)"]

    @pytest.mark.parametrize("limit_kw", ["-1", "1.0001", "a", 3])
    def test_with_the_limit_is_named(self, client: Client, limit_kw: Any) -> None:
        answer = client.post("demand-limits", LIMIT | {"limit_kw": limit_kw})
        assert answer.status_code == 422
        assert [error["at"] for error in answer.json()["errors"]] == ["body.items.0.limit_kw"]

    def test_is_a_role_below_operator(self, sides: BothSides) -> None:
        viewer = Client(sides, name="viewer", role=Role.VIEWER)
        assert viewer.post("demand-limits", LIMIT).status_code == 403

    def test_at_a_meter_that_refuses_it_is_told(self, sides: BothSides, client: Client) -> None:
        number = client.order("demand-limits", LIMIT)
        confirm(sides, status="failed", code="NOT_SUPPORTED", text="no limiter")
        assert "NOT_SUPPORTED: no limiter" in told(client, number)
        assert shown(client) is None
        assert [each.owner_kind for each in sides.all(Command)] == [OwnerKind.ITEM]
