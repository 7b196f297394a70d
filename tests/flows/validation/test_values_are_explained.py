"""Each value of a day says why it is what it is: whatever became of it, and over all its versions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from mdus.domain.access import Role
from mdus.domain.channel import MISSING
from mdus.domain.time_series import TimeSeriesAssignment
from mdus.domain.time_series_upload import Operation, TimeSeriesUpload, UploadStatus
from mdus.storage.interval_block import note_used
from tests.flows.validation.installed import Installed, span
from tests.flows.validation.test_values_are_edited import GAP, LATER, LEFT_TO_PEOPLE, done
from tests.unit.workers.validating import CHANNEL, DAY, END, FULL


def run_at(found: Any, position: int) -> Any:
    """Return the run that an interval is in."""
    [run] = [run for run in found["runs"] if run["first"] <= position <= run["last"]]
    return run


def test_a_plain_day_is_one_run(meter: Installed) -> None:
    meter.tell(FULL)
    meter.work(at=LATER)
    found = meter.explained()
    [run] = found["runs"]
    assert (run["first"], run["last"], run["state"]) == (0, 95, "actual")
    assert run["says"][0].startswith("the meter told it, by delivery/1, raw version 1 (first values of the day)")
    assert run["says"][1] == "no rule of electricity@1 found anything wrong with it"
    assert run["values"] == [f"{value / 1000:.3f}" for value in FULL]
    assert (found["version"], found["rule_set"]) == (1, "electricity@1")
    assert found["rules"] == ["missing_intervals", "spike", "sum_check"]
    assert (found["case"], found["edits"], found["handed_over"]) == (None, [], [])
    assert [(each["layer"], each["cause"]) for each in found["history"]] == [
        ("raw", "first values of the day"),
        ("final", "validated"),
    ]


def test_a_day_that_nobody_looked_at_yet_says_so(meter: Installed) -> None:
    meter.tell(GAP)
    found = meter.explained()
    assert (found["version"], found["rule_set"]) == (None, None)
    assert {run["state"] for run in found["runs"]} == {"not validated yet"}
    assert run_at(found, 50)["says"][0] == "the meter told nothing"


def test_an_estimate_says_what_it_was_made_from(meter: Installed) -> None:
    meter.tell([*GAP[:60], 10_000_000, *GAP[61:]])
    meter.work(at=LATER)
    found = meter.explained()
    gap = run_at(found, 50)
    assert (gap["first"], gap["last"], gap["state"]) == (50, 50, "estimated")
    assert gap["says"][0] == "the meter told nothing"
    [estimate] = [
        each for each in gap["says"] if each.startswith("estimated by linear from the values before and after")
    ]
    assert estimate.endswith("confidence 0.99")
    assert any("3.8.0 estimated" in each for each in gap["qualities"])
    spike = run_at(found, 60)
    assert spike["says"][0].startswith("the meter told 10000.000, by delivery/1")
    assert spike["says"][1].startswith("spike (issue): the highest value stands")
    assert spike["says"][1].endswith("so it is replaced")
    assert any("estimated by linear" in each for each in spike["says"])
    assert any("missing_intervals" in each for each in found["found"])


def test_qualities_of_the_meter_are_told_in_words(meter: Installed) -> None:
    meter.tell(FULL, codes=["1.2.32"])
    meter.work(at=LATER)
    [run] = meter.explained()["runs"]
    assert run["says"][0].endswith("with power failure (end device)")


def test_a_gap_says_why_it_is_not_filled(meter: Installed) -> None:
    meter.tell([MISSING] * 96)
    meter.work(at=LATER)
    found = meter.explained()
    [run] = found["runs"]
    assert run["state"] == "missing"
    assert "no method of the rule set could fill it" in run["says"][-1]
    assert "96 of 96 values are missing" in found["case"]


def test_a_suspect_value_says_which_rule_and_what_is_to_be_done(meter: Installed) -> None:
    meter.ask("PUT", "/rule-sets/electricity", json=LEFT_TO_PEOPLE)
    meter.tell([*FULL[:60], 900, *FULL[61:]])
    meter.work(at=LATER)
    found = meter.explained()
    run = run_at(found, 60)
    assert run["state"] == "suspect"
    assert run["says"][1].startswith("spike (issue)")
    assert "until a person accepts it" in run["says"][-1]
    assert (found["rule_set"], found["rules"]) == ("electricity@2", ["spike"])
    assert found["case"].startswith("spike:")

    done(meter.edit({"action": "accept"}, reason="a party"))
    meter.work()
    run = run_at(meter.explained(), 60)
    assert run["state"] == "accepted"
    assert run["says"][-1].startswith("found right by rest:operator")
    assert run["says"][-1].endswith(": a party")


def test_an_edit_says_who_why_and_what_was_before(meter: Installed) -> None:
    meter.tell(FULL)
    meter.work(at=LATER)
    done(meter.edit({"action": "set", "values": ["0.111"], **span(10, 11)}))
    meter.work()
    found = meter.explained()
    run = run_at(found, 10)
    assert (run["first"], run["last"], run["state"]) == (10, 10, "edited")
    assert run["says"][0].startswith("the meter told 0.103, by delivery/1")
    assert run["says"][-1].startswith("set by hand to 0.111 (0.103 before) by rest:operator")
    assert run["says"][-1].endswith(": read off the display")
    assert (found["rule_set"], found["history"][-1]["cause"]) == ("electricity@1", "edited by hand")

    done(meter.edit({"action": "undo"}, reason="the wrong meter"))
    meter.work()
    found = meter.explained()
    assert run_at(found, 10)["state"] == "actual"
    assert [each.rpartition(": ")[2] for each in found["edits"]] == [
        "read off the display, undone since",
        "the wrong meter",
    ]
    assert len(found["history"]) == 4


def test_a_rejected_estimate_says_so(meter: Installed) -> None:
    meter.tell(GAP)
    meter.work(at=LATER)
    done(meter.edit({"action": "reject", **span(50, 51)}, reason="nobody was at home"))
    meter.work()
    run = run_at(meter.explained(), 50)
    assert run["state"] == "missing"
    assert "estimate found worse than none" in run["says"][-1]


def test_a_value_that_came_late_says_what_it_replaced(meter: Installed) -> None:
    meter.tell(GAP)
    meter.work(at=LATER)
    with meter.database.begin() as uow:
        note_used(uow.connection, [meter.final()])
    assert "acted on version 1" in meter.explained()["handed_over"][0]
    meter.clock.instant = LATER + timedelta(hours=1)
    meter.tell([*GAP[:50], 150, *GAP[51:]], version=2)
    meter.work()
    found = meter.explained()
    run = run_at(found, 50)
    assert run["state"] == "actual"
    assert "raw version 2" in run["says"][0]
    assert "raw version 1" in run_at(found, 49)["says"][0]
    assert [(each["layer"], each["version"], each["used"]) for each in found["history"]] == [
        ("raw", 1, False),
        ("final", 1, True),
        ("raw", 2, False),
        ("final", 2, False),
    ]


def test_a_day_says_who_has_got_its_values(meter: Installed) -> None:
    meter.register()
    meter.tell(FULL)
    meter.work(at=LATER)
    assignment = TimeSeriesAssignment(
        sender_system="P11",
        time_series_id="TS1",
        valid_from=CHANNEL.day(DAY).start,
        role_code="01",
        measurement_task_id="1",
        assigned_at=END,
    )
    upload = TimeSeriesUpload(
        sender_system="P11",
        time_series_id="TS1",
        number=1,
        day=DAY,
        operation=Operation.CREATE,
        status=UploadStatus.SENT,
        unit="KWH",
        decimals=3,
        count=96,
        content="",
        made_at=LATER,
    )
    other = replace(upload, number=2, day=DAY + timedelta(days=1))
    with meter.database.begin() as uow:
        uow.save([assignment, upload, other])
    [told] = meter.explained()["handed_over"]
    assert told == "profile TS1, upload 1 (create): 96 values, sent, made 2026-02-13 23:00 UTC"


def test_an_estimate_that_was_acted_on_still_says_what_it_was_made_from(meter: Installed) -> None:
    meter.tell(GAP)
    meter.work(at=LATER)
    with meter.database.begin() as uow:
        note_used(uow.connection, [meter.final()])
    meter.tell([*GAP[:49], 180, *GAP[50:]], version=2)
    meter.work()
    assert meter.final().version == 2
    says = run_at(meter.explained(), 50)["says"]
    assert any(each.startswith("estimated by linear") for each in says)


def test_who_asks_must_name_what_there_is_and_may_be_seen(meter: Installed) -> None:
    meter.tell(FULL)
    query = {"sender_system": "P11", "device_id": CHANNEL.device_id, "day": str(DAY)}
    path = "/intervals/explanation"
    assert meter.ask("GET", path, params=query, role=Role.VIEWER, system="P11").status_code == 200
    assert meter.ask("GET", path, params=query, role=Role.VIEWER, system="P12").status_code == 404
    assert meter.ask("GET", path, params={**query, "device_id": "42"}).status_code == 404
    assert meter.ask("GET", path, params={**query, "day": "0001-01-01"}).status_code == 404
    nothing = meter.ask("GET", path, params={**query, "day": str(DAY + timedelta(days=9))}).json()
    assert (nothing["version"], nothing["runs"], nothing["history"]) == (None, [], [])
    meter.register()
    by_serial = meter.ask("GET", path, params={**query, "device_id": "42"})
    assert by_serial.json()["device_id"] == CHANNEL.device_id
