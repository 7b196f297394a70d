"""What no table explains is read by REST, value by value, and read again once a row explains it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mdus.domain.access import Role
from mdus.domain.head_end import RawDelivery
from mdus.domain.unmapped import UnmappedSource, UnmappedValue
from mdus.storage import delivery, unmapped
from tests.flows.both_sides import BothSides
from tests.flows.rest.test_access import get, post, token

START = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
PULSE = "cmep: commodity=E, unit=PULSE"
AGAIN = {"head_end": "city", "code": PULSE, "reason": "a row was added"}


def value(number: int, **facts: Any) -> UnmappedValue:
    told: dict[str, Any] = {
        "head_end": "city",
        "source": UnmappedSource.CHANNEL,
        "code": PULSE,
        "serial_id": "0000001234",
        "at": START + timedelta(minutes=number),
        "value": str(number),
        "unit": "PULSE",
        "text": None,
        "delivery_id": 1,
        "received_at": START,
    }
    return UnmappedValue(**(told | facts))


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=START)
    made.meter("000000000000000042")
    event = value(9, source=UnmappedSource.EVENT, code="exception: 4711", value=None, unit=None, text="door")
    with made.database.begin() as uow:
        packed = delivery.pack(RawDelivery(topic="told", correlation="", body=b"told"))
        delivery.store(uow.connection, [packed], head_end="city", now=START)
        delivery.finish(uow.connection, [1], read_by="before")
        unmapped.keep(uow.connection, [value(1), value(2), value(3), event], again=())
    yield made
    made.close()


class TestUnmapped:
    def test_is_told_with_the_row_that_would_explain_it(self, sides: BothSides) -> None:
        operator = token(sides, Role.OPERATOR)
        [event] = get(sides, "/unmapped", operator, source="event").json()["items"]
        assert (event["code"], event["text"], event["value"]) == ("exception: 4711", "door", None)
        assert event["row"] == '[[field_events]] event = "?", head_end = "city", codes = { exception = ["4711"] }'

    def test_is_told_page_by_page(self, sides: BothSides) -> None:
        operator = token(sides, Role.OPERATOR)
        first = get(sides, "/unmapped", operator, code=PULSE, limit=2).json()
        second = get(sides, "/unmapped", operator, code=PULSE, limit=2, cursor=first["next"]).json()
        assert sorted(each["value"] for page in (first, second) for each in page["items"]) == ["1", "2", "3"]
        assert second["next"] is None
        assert get(sides, "/unmapped", operator, head_end="other").json()["items"] == []
        assert len(get(sides, "/unmapped", operator, serial_id="0000001234").json()["items"]) == 4

    def test_is_read_again(self, sides: BothSides) -> None:
        operator = token(sides, Role.OPERATOR)
        assert post(sides, "/unmapped/retry", {**AGAIN, "dry_run": True}, operator).json()["count"] == 1
        assert post(sides, "/unmapped/retry", {**AGAIN, "head_end": "other"}, operator).json()["count"] == 0
        assert post(sides, "/unmapped/retry", AGAIN, operator).json() == {"count": 1, "dry_run": False}
        assert post(sides, "/unmapped/retry", AGAIN, operator).json()["count"] == 0  # it is under way
        _, deed, *_ = get(sides, "/audit", operator).json()["items"]
        assert (deed["who"], deed["action"], deed["target"]) == (
            "rest:portal",
            "retry",
            f"unmapped head_end=city code={PULSE}",
        )

    @pytest.mark.parametrize("role", [Role.VIEWER])
    def test_is_for_operators(self, sides: BothSides, role: Role) -> None:
        viewer = token(sides, role)
        assert get(sides, "/unmapped", viewer).status_code == 403
        assert post(sides, "/unmapped/retry", AGAIN, viewer).status_code == 403

    def test_is_for_those_who_act_for_all_systems(self, sides: BothSides) -> None:
        some = token(sides, Role.OPERATOR, systems=("P11",))
        response = get(sides, "/unmapped", some)
        assert response.status_code == 403
        assert "no sender system" in response.json()["detail"]
        assert post(sides, "/unmapped/retry", AGAIN, some).status_code == 403

    def test_stands_in_the_trace_of_its_meter(self, sides: BothSides) -> None:
        serial = get(sides, "/devices").json()["items"][0]["serial_id"]
        with sides.database.begin() as uow:
            unmapped.keep(uow.connection, [value(7, serial_id=serial)], again=())
        told = get(sides, "/trace", of=serial).json()
        remarks = [each for each in told["happenings"] if each["what"] == "channel not mapped"]
        assert [(each["of"], each["note"]) for each in remarks] == [(f"{serial} {PULSE}", "7 PULSE, told by city")]
