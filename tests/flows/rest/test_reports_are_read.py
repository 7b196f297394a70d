"""What holds for the whole is read by REST: reports of `reconcile`, the differences it found, a system's figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from sqlalchemy import insert

from mdus.domain.command import CommandKind
from mdus.domain.end_device import EndDevice, EndDeviceStatus, SwitchState
from mdus.domain.end_device_control import ControlStatus, EndDeviceControl
from mdus.domain.end_device_event import MDUS, EndDeviceEvent, LateFailure
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.reconciliation import STATUS_MISSING, SWITCH_STATE_DIFFERS
from mdus.endpoints.rest.reports import Kind
from mdus.storage import reconciliation
from mdus.storage.job import JOB_RUN
from mdus.storage.reports import SIDES
from mdus.workers import reconcile
from tests.flows.both_sides import SENDER, BothSides
from tests.flows.connection_status_change.test_meter_is_switched import ORDER as SWITCH
from tests.flows.connection_status_change.test_meter_is_switched import order as switch
from tests.flows.meter_reading.test_reading_is_ordered import ORDER, START, order
from tests.flows.profiles.metering import DEVICE as PROFILED
from tests.flows.profiles.metering import Metering
from tests.flows.rest.test_access import dead_message
from tests.flows.rest.test_registry_is_read import token

DEVICE, OTHER = "000000000000000042", "000000000000000043"


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=START)
    for each in (DEVICE, OTHER):
        made.meter(each)
    yield made
    made.close()


def get(sides: Any, path: str, **parameters: Any) -> Any:
    response = sides.mdus.get(f"/api/v1{path}", params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


def figures(sides: Any, **parameters: Any) -> dict[str, Any]:
    [found] = get(sides, "/kpis", **parameters)["systems"]
    return dict(found)


def counted(sides: Any, name: str, **parameters: Any) -> tuple[int, int]:
    share = figures(sides, **parameters)[name]
    return share["count"], share["of"]


def reconciled(sides: BothSides) -> None:
    now = sides.clock.now()
    outcome = reconcile.run(sides.database, {}, now=now, day=now.date())
    with sides.database.begin() as uow:
        uow.connection.execute(
            insert(JOB_RUN).values(
                job="reconcile",
                slot=f"{now.date()}",
                status="done",
                attempts=1,
                created_at=now,
                ended_at=now,
                outcome=outcome,
            )
        )


class TestReconciliation:
    def test_is_told_report_by_report_the_newest_first(self, sides: BothSides) -> None:
        reconciled(sides)
        sides.clock.move(days=1)
        reconciled(sides)
        with sides.database.begin() as uow:
            uow.connection.execute(
                insert(JOB_RUN).values(job="retention", slot="x", status="done", attempts=1, created_at=START)
            )
        first = get(sides, "/reconciliation", limit=1)
        second = get(sides, "/reconciliation", limit=1, cursor=first["next"])
        slots = [page["items"][0]["slot"] for page in (first, second)]
        assert slots == [f"{START.date() + timedelta(days=1)}", f"{START.date()}"]
        assert "2 device_never_heard" in first["items"][0]["outcome"]
        oldest = get(sides, "/reconciliation", sort="id")["items"]
        assert [row["slot"] for row in oldest] == slots[::-1]

    def test_lists_each_difference_until_it_is_mended(self, sides: BothSides) -> None:
        reconciled(sides)
        rows = get(sides, "/reconciliation/differences")["items"]
        assert [(row["kind"], row["between"], row["sender_system"]) for row in rows] == [
            ("device_never_heard", "MDUS - field", SENDER)
        ] * 2
        assert {row["subject"] for row in rows} == {DEVICE, OTHER}
        sides.save(
            EndDeviceStatus(
                sender_system=SENDER, device_id=DEVICE, first_heard_at=START, last_heard_at=START, registered_at=START
            )
        )
        sides.clock.move(hours=1)
        reconciled_again = reconcile.run(sides.database, {}, now=sides.clock.now(), day=START.date())
        assert "1 closed" in reconciled_again
        assert [row["subject"] for row in get(sides, "/reconciliation/differences")["items"]] == [OTHER]
        [mended] = get(sides, "/reconciliation/differences", open=False)["items"]
        assert (mended["subject"], mended["closed_at"] is not None) == (DEVICE, True)

    def test_differences_are_found_by_kind_and_system(self, sides: BothSides) -> None:
        reconciled(sides)
        assert len(get(sides, "/reconciliation/differences", kind="device_never_heard")["items"]) == 2
        assert get(sides, "/reconciliation/differences", kind="device_silent")["items"] == []
        assert len(get(sides, "/reconciliation/differences", sender_system=SENDER)["items"]) == 2
        assert get(sides, "/reconciliation/differences", sender_system="P1")["items"] == []

    def test_differences_of_other_systems_are_not_there(self, sides: BothSides) -> None:
        reconciled(sides)
        for system, count in ((SENDER, 2), ("Q11", 0)):
            headers = token(sides.mdus, systems=[system])
            answer = sides.mdus.get("/api/v1/reconciliation/differences", headers=headers)
            assert len(answer.json()["items"]) == count
        headers = token(sides.mdus, systems=["R11"])
        parameters = {"sender_system": SENDER}
        answer = sides.mdus.get("/api/v1/reconciliation/differences", headers=headers, params=parameters)
        assert answer.json()["items"] == []

    def test_every_kind_has_its_sides(self) -> None:
        assert set(SIDES) == {*reconciliation.KINDS, STATUS_MISSING, SWITCH_STATE_DIFFERS}
        assert set(get_args(Kind)) == set(SIDES)


class TestFigures:
    def test_count_meters_that_told_a_value_of_yesterday(self, sides: BothSides) -> None:
        midnight = datetime(2026, 3, 27, 23, 0, tzinfo=UTC)  # of the 28th in Berlin
        at = (midnight + timedelta(hours=30)).isoformat()
        sides.snapshot(midnight, (DEVICE, "1"))
        day = get(sides, "/kpis", at=at)["day"]
        assert counted(sides, "meters_read", at=at) == (0, 2), f"{midnight} ended the day before {day}"
        sides.snapshot(midnight + timedelta(hours=1), (DEVICE, "2"))
        assert counted(sides, "meters_read", at=at) == (1, 2)
        sides.snapshot(midnight + timedelta(hours=24), (OTHER, "2"))
        assert counted(sides, "meters_read", at=at) == (2, 2)
        assert figures(sides, at=at)["meters_read"]["share"] == 1.0

    def test_count_devices_by_what_the_field_told(self, sides: BothSides) -> None:
        assert counted(sides, "devices_never_heard") == (2, 2)
        heard = EndDeviceStatus(
            sender_system=SENDER, device_id=DEVICE, first_heard_at=START, last_heard_at=START, registered_at=START
        )
        sides.save(heard)
        assert counted(sides, "devices_registered") == (1, 2)
        assert counted(sides, "devices_silent") == (0, 2)
        sides.clock.move(hours=71, minutes=59)
        assert counted(sides, "devices_silent") == (0, 2)
        sides.clock.move(minutes=1)
        assert counted(sides, "devices_silent") == (1, 2)
        assert counted(sides, "devices_never_heard") == (1, 2)
        assert counted(sides, "devices_registered", at=(START - timedelta(hours=1)).isoformat()) == (0, 2)

    def test_leave_out_devices_that_are_not_in_the_books(self, sides: BothSides) -> None:
        [first, _] = sides.all(EndDevice)
        sides.save(replace(first, valid_to=START.date()))
        assert counted(sides, "devices_registered") == (0, 1)
        assert counted(sides, "meters_read") == (0, 2)  # yesterday it was

    def test_count_reading_orders_whose_window_closed(self, sides: BothSides) -> None:
        sides.tell(ORDER, order())
        sides.rest()
        [document] = sides.all(MeterReadingDocument)
        closes = document.window_until
        assert counted(sides, "reading_orders_in_time", at=(closes - timedelta(seconds=1)).isoformat()) == (0, 0)
        assert counted(sides, "reading_orders_in_time", at=closes.isoformat()) == (0, 1)
        sides.save(replace(document, status=DocumentStatus.CONFIRMED))
        assert counted(sides, "reading_orders_in_time", at=closes.isoformat()) == (1, 1)
        assert counted(sides, "reading_orders_in_time", at=(closes + timedelta(days=1)).isoformat()) == (0, 0)
        sides.save(replace(document, status=DocumentStatus.CANCELLED))
        assert counted(sides, "reading_orders_in_time", at=closes.isoformat()) == (0, 0)

    def test_count_devices_that_were_switched(self, sides: BothSides) -> None:
        planned = START + timedelta(hours=2)
        sides.tell(SWITCH, switch(DEVICE, planned_at=planned))
        sides.rest()
        assert counted(sides, "switch_orders_executed") == (0, 0)
        sides.clock.instant = planned + timedelta(minutes=1)
        sides.rest()
        assert counted(sides, "switch_orders_executed") == (0, 1)
        state = SwitchState.DISCONNECTED
        sides.answer(CommandKind.SWITCH, switch_state=state, switched_at=sides.clock.now().isoformat())
        sides.rest()
        sides.answer(CommandKind.SWITCH_STATE, switch_state=state, switched_at=None)
        sides.rest()
        [control] = sides.all(EndDeviceControl)
        assert control.status is ControlStatus.EXECUTED
        assert counted(sides, "switch_orders_executed") == (1, 1)
        sides.save(replace(control, status=ControlStatus.FAILED))
        assert counted(sides, "switch_orders_executed") == (0, 1)
        sides.save(replace(control, status=ControlStatus.CANCELLED))
        assert counted(sides, "switch_orders_executed") == (0, 0)

    def test_count_what_failed_late_and_what_was_given_up(self, sides: BothSides) -> None:
        now = sides.clock.now()
        failed = EndDeviceEvent(
            event_id="1",
            sender_system=SENDER,
            event_type=LateFailure.READING_MISSING.value,
            at=now,
            source=MDUS,
            area=MDUS,
            told_at=now,
        )
        sides.save(
            failed, replace(failed, event_id="2", source="city"), replace(failed, event_id="3", sender_system="Q")
        )
        dead_message(sides)
        found = figures(sides)
        assert (found["late_failures"], found["dead_messages"], found["dead_items"]) == (1, 1, 0)
        sides.clock.move(days=1)
        assert figures(sides)["late_failures"] == 0

    def test_are_told_per_system_the_caller_may_see(self, sides: BothSides) -> None:
        [first, _] = sides.all(EndDevice)
        sides.save(replace(first, sender_system="Q11", head_end=None))
        assert [one["sender_system"] for one in get(sides, "/kpis")["systems"]] == [SENDER, "Q11"]
        assert figures(sides, sender_system="Q11")["devices_registered"] == {"count": 0, "of": 1, "share": 0.0}
        headers = token(sides.mdus, systems=["Q11"])
        answer = sides.mdus.get("/api/v1/kpis", headers=headers).json()
        assert [one["sender_system"] for one in answer["systems"]] == ["Q11"]
        assert get(sides, "/kpis", sender_system="X")["systems"] == []

    @pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1970-06-01T00:00:00Z"])
    def test_of_a_year_without_meters_are_refused(self, sides: BothSides, at: str) -> None:
        response = sides.mdus.get("/api/v1/kpis", params={"at": at})
        assert response.status_code == 409
        assert response.json()["errors"][0]["at"] == "query.at"


def test_interval_values_of_yesterday_count_as_read(database_url: str, tmp_path: Path) -> None:
    midnight = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)  # the day of 23 hours in Berlin begins
    metering = Metering(database_url, tmp_path, now=midnight + timedelta(hours=30))
    try:
        metering.meter(PROFILED)
        assert counted(metering, "meters_read") == (0, 1)
        metering.deliver(midnight, ["1"], device=PROFILED)
        assert get(metering, "/kpis")["day"] == "2026-03-29"
        assert counted(metering, "meters_read") == (1, 1)
        assert counted(metering, "meters_read", at=midnight.isoformat()) == (0, 1)
    finally:
        metering.close()
