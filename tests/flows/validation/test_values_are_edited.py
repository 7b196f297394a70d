"""Staff set values, accept and reject them, and take that back; validation keeps what they say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest
from sqlalchemy import select

from mdus.domain.access import Role
from mdus.domain.channel import MISSING
from mdus.domain.interval_block import Cause, IntervalBlock
from mdus.domain.reading_quality import ACCEPTED, EDITED, ESTIMATED, REJECTED
from mdus.storage.audit import deeds
from mdus.storage.billing_part import BILLING_PART, stored_parts
from mdus.storage.interval_block import note_used
from mdus.storage.paging import Page
from tests.flows.validation.installed import Installed, span
from tests.unit.workers.validating import CHANNEL, DAY, END, FULL

LATER = END + timedelta(days=2)
GAP = [*FULL[:50], MISSING, *FULL[51:52], MISSING, *FULL[53:]]


def same(one: IntervalBlock, other: IntervalBlock) -> bool:
    """Tell whether two versions say the same of every interval."""
    return bool((one.values == other.values).all() and (one.qualities == other.qualities).all())


def done(response: Any) -> dict[str, Any]:
    """Return the result of a single item that was done."""
    assert response.status_code == 200, response.text
    [item] = response.json()["items"]
    assert item["state"] == "done", item
    return dict(item)


def refused(response: Any) -> str:
    """Return why a single item was not done."""
    assert response.status_code == 200, response.text
    [item] = response.json()["items"]
    assert item["state"] == "failed"
    return str(item["problem"])


class TestAValueThatIsSet:
    def test_makes_a_new_version_with_who_and_why(self, meter: Installed) -> None:
        meter.tell(FULL)
        meter.work(at=LATER)
        item = done(meter.edit({"action": "set", "values": ["0.111", None], **span(10, 12)}))
        assert (item["version"], item["intervals"], item["day"]) == (2, [10], str(DAY))
        block = meter.final()
        assert block.values[9:13].tolist() == [FULL[9], 111, *FULL[11:13]]
        assert (block.cause, block.written_by, block.note) == (Cause.EDITED, "rest:operator", "read off the display")
        assert (block.edited, block.estimated, block.suspect) == (1, 0, 0)
        assert meter.codes(block, 10) == (EDITED,)
        with meter.database.read() as uow:
            [deed] = [each for each in deeds(uow.connection, Page(limit=10)) if "interval" in each.action]
        assert (deed.who, deed.action, deed.count) == ("rest:operator", "interval values set", 1)

    def test_is_parted_for_billing_with_its_day(self, meter: Installed) -> None:
        def parts() -> tuple[int, int]:
            """Return the version that good parts of the day are of, and what they add up to."""
            with meter.database.read() as uow:
                found = stored_parts(uow.connection, [CHANNEL], DAY, DAY + timedelta(days=1))
                [version] = uow.connection.scalars(select(BILLING_PART.c.version))
            [numbers] = found.numbers[found.between(CHANNEL, DAY, DAY + timedelta(days=1))]
            return version, int(numbers[:2].sum())  # at high and at low tariff

        meter.tell(FULL)
        meter.work(at=LATER)
        assert parts() == (1, sum(FULL))
        done(meter.edit({"action": "set", "values": [str((FULL[0] + 5) / 1000)], **span(0, 1)}))
        assert parts() == (2, sum(FULL) + 5)
        done(meter.edit({"action": "undo"}))
        assert parts() == (3, sum(FULL))

    def test_stays_whatever_validation_and_the_meter_say_later(self, meter: Installed) -> None:
        meter.tell(FULL)
        meter.work(at=LATER)
        done(meter.edit({"action": "set", "values": ["0.111"], **span(10, 11)}))
        meter.work()
        assert (int(meter.final().values[10]), meter.final().version) == (111, 2)
        meter.tell([*FULL[:10], 140, 141, *FULL[12:]], version=2)
        meter.work()
        block = meter.final()
        assert block.values[10:12].tolist() == [111, 141]
        assert (block.edited, meter.codes(block, 10)) == (1, (EDITED,))

    def test_is_judged_by_the_rules_with_the_rest_of_its_day(self, meter: Installed) -> None:
        meter.register()
        meter.read(CHANNEL.day(DAY).start, "1000.00")
        total = sum(FULL) + 5_000
        meter.read(END, str((1_000_000 + total) / 1000))
        meter.tell(FULL)
        meter.work(at=LATER)
        [case] = meter.cases()
        assert "sum_check" in case.note

        done(meter.edit({"action": "set", "values": [str((FULL[0] + 5_000) / 1000)], **span(0, 1)}))
        meter.work()
        # The sum is right now; that the value is a spike a person has answered for.
        assert meter.cases() == []
        assert int(meter.final().values.sum()) == total

        done(meter.edit({"action": "set", "values": ["0.100"], **span(0, 1)}))
        meter.work()
        assert "sum_check" in meter.cases()[0].note

    def test_fills_a_gap_of_a_day_that_was_to_be_seen(self, meter: Installed) -> None:
        meter.tell([MISSING] * 96)
        meter.work(at=LATER)
        assert len(meter.cases()) == 1
        done(meter.edit({"action": "set", "values": ["0.100"] * 96}))
        meter.work()
        assert meter.cases() == []
        assert meter.final().edited == 96

    def test_is_taken_back_exactly(self, meter: Installed) -> None:
        meter.tell([*GAP[:60], 10_000_000, *GAP[61:]])
        meter.work(at=LATER)
        before = meter.final()
        assert before.estimated == 3
        done(meter.edit({"action": "set", "values": ["0.111"] * 20, **span(45, 65)}))
        meter.work()
        done(meter.edit({"action": "set", "values": ["0.222"] * 2, **span(50, 52)}))
        meter.work()
        assert meter.final().edited == 20

        done(meter.edit({"action": "undo", **span(50, 52)}))
        meter.work()
        assert meter.final().values[49:53].tolist() == [111] * 4
        item = done(meter.edit({"action": "undo"}))
        assert item["intervals"] == list(range(45, 65))
        after = meter.final()
        assert same(after, before)
        meter.work()
        assert same(meter.final(), before)
        assert (meter.final().basis, meter.final().estimated, meter.final().edited) == (before.basis, 3, 0)
        assert "nobody has edited" in refused(meter.edit({"action": "undo"}))


class TestAnEstimate:
    @pytest.fixture
    def estimated(self, meter: Installed) -> Installed:
        meter.tell(GAP)
        meter.work(at=LATER)
        assert meter.final().estimated == 2
        return meter

    def test_that_is_rejected_is_not_made_again(self, estimated: Installed) -> None:
        item = done(estimated.edit({"action": "reject", **span(50, 51)}))
        assert item["intervals"] == [50]
        estimated.work()
        block = estimated.final()
        assert block.values[50] == MISSING
        assert block.values[52] != MISSING
        assert (block.estimated, REJECTED in estimated.codes(block, 50)) == (1, True)
        assert "missing" in estimated.cases()[0].note

    def test_that_was_rejected_gives_way_to_what_the_meter_tells(self, estimated: Installed) -> None:
        done(estimated.edit({"action": "reject"}))
        estimated.work()
        estimated.tell(FULL, version=1)
        estimated.work()
        block = estimated.final()
        assert block.values.tolist() == FULL
        assert (block.estimated, estimated.codes(block, 50), estimated.cases()) == (0, (), [])

    def test_that_is_accepted_stays_until_the_meter_tells_a_value(self, estimated: Installed) -> None:
        value = int(estimated.final().values[50])
        done(estimated.edit({"action": "accept", **span(50, 51)}))
        estimated.work()
        assert {ESTIMATED, ACCEPTED} <= set(estimated.codes(estimated.final(), 50))
        assert refused(estimated.edit({"action": "accept", **span(50, 51)})).startswith("no value")
        estimated.tell([*GAP[:49], 190, *GAP[50:]], version=2)  # its neighbour changes: it would be estimated otherwise
        estimated.work()
        assert int(estimated.final().values[50]) == value
        estimated.tell(FULL, version=2)
        estimated.work()
        assert estimated.final().values.tolist() == FULL
        assert estimated.codes(estimated.final(), 50) == ()

    @pytest.mark.parametrize("action", ["accept", "reject"])
    def test_is_there_again_when_that_is_taken_back(self, estimated: Installed, action: str) -> None:
        before = estimated.final()
        done(estimated.edit({"action": action}))
        estimated.work()
        assert not same(estimated.final(), before)
        done(estimated.edit({"action": "undo"}))
        assert same(estimated.final(), before)
        estimated.work()
        assert same(estimated.final(), before)

    def test_is_not_there_to_be_rejected_among_actual_values(self, estimated: Installed) -> None:
        assert "no value" in refused(estimated.edit({"action": "reject", **span(0, 10)}))
        assert estimated.final().version == 1


#: A rule set that leaves spikes to people.
LEFT_TO_PEOPLE: Final = {
    "content": {"reading_types": ["1-*"], "rules": [{"name": "spike"}], "methods": []},
    "valid_from": "2026-01-01",
    "reason": "people decide on spikes",
}


class TestASuspectValue:
    @pytest.fixture
    def suspect(self, meter: Installed) -> Installed:
        assert meter.ask("PUT", "/rule-sets/electricity", json=LEFT_TO_PEOPLE).status_code == 200
        meter.tell([*FULL[:60], 900, *FULL[61:]])
        meter.work(at=LATER)
        assert (meter.final().suspect, len(meter.cases())) == (1, 1)
        return meter

    def test_that_is_accepted_counts_and_closes_its_case(self, suspect: Installed) -> None:
        done(suspect.edit({"action": "accept"}))
        suspect.work()
        block = suspect.final()
        assert (int(block.values[60]), block.suspect, block.edited) == (900, 0, 1)
        assert ACCEPTED in suspect.codes(block, 60)
        assert suspect.cases() == []

    def test_that_was_accepted_is_judged_anew_when_the_meter_tells_another(self, suspect: Installed) -> None:
        done(suspect.edit({"action": "accept"}))
        suspect.work()
        suspect.tell([*FULL[:60], 950, *FULL[61:]], version=2)
        suspect.work()
        assert (int(suspect.final().values[60]), suspect.final().suspect, len(suspect.cases())) == (950, 1, 1)


class TestWhoeverEdits:
    def test_must_have_seen_the_version_there_is(self, meter: Installed) -> None:
        meter.tell(FULL)
        meter.work(at=LATER)
        change = {"action": "set", "values": ["0.111"], **span(10, 11)}
        stale = meter.edit(change, headers={"If-Match": '"2"'})
        assert stale.status_code == 412
        assert "1 is current" in stale.json()["detail"]
        assert meter.edit(change, headers={"If-Match": '"1"'}).status_code == 200
        assert meter.edit(change, headers={"If-Match": '"1"'}).status_code == 412
        assert "is current" in refused(meter.edit({**change, "version": 1}))
        done(meter.edit({**change, "version": 2}))

    def test_makes_a_new_version_of_one_that_somebody_has_acted_on(self, meter: Installed) -> None:
        meter.tell(FULL)
        meter.work(at=LATER)
        with meter.database.begin() as uow:
            note_used(uow.connection, [meter.final()])
        done(meter.edit({"action": "set", "values": ["0.111"], **span(10, 11)}))
        meter.work()
        assert (meter.final().version, meter.final().used) == (2, False)

    @pytest.mark.parametrize(
        ("role", "system", "status"),
        [
            pytest.param(Role.VIEWER, "", 403, id="viewer"),
            pytest.param(Role.OPERATOR, "P12", 403, id="another system"),
            pytest.param(Role.OPERATOR, "P11", 200, id="operator"),
        ],
    )
    def test_must_be_allowed_to(self, meter: Installed, role: Role, system: str, status: int) -> None:
        meter.tell(FULL)
        meter.work(at=LATER)
        response = meter.edit({"action": "set", "values": ["0.1"], **span(0, 1)}, role=role, system=system)
        assert response.status_code == status

    def test_is_told_of_each_item_what_became_of_it(self, meter: Installed) -> None:
        meter.tell(FULL)
        meter.work(at=LATER)
        response = meter.edit(
            {"action": "set", "values": ["0.1"], **span(0, 1)},
            {"action": "set", "values": ["0.1", "0.2"], **span(0, 1)},
            {"action": "set", "values": ["0.1"], "device_id": "42", **span(0, 1)},
            {"action": "set", "values": ["0.0001"], **span(0, 1)},
            {"action": "set", "values": ["0.1"], "day": "2026-02-10"},
            {"action": "accept"},
            {"action": "set", "values": ["0.2"], "from": "2026-02-11T00:07:00Z", "to": "2026-02-11T00:15:00Z"},
            {"action": "undo", "day": "9999-12-31"},
            {"action": "undo", "from": "0001-01-01T00:00:00Z"},
        )
        items = response.json()["items"]
        assert [item["state"] for item in items] == ["done", *["failed"] * 8]
        for item, told in zip(
            items[1:],
            [
                "2 values for 1",
                "ids have their zeros",
                "decimals",
                "no final values",
                "suspect or estimated",
                "15 min",
                *["nothing was measured"] * 2,
            ],
            strict=True,
        ):
            assert told in item["problem"], item
        assert meter.final().version == 2

    def test_is_refused_as_a_whole_what_cannot_be_meant(self, meter: Installed) -> None:
        assert meter.edit({"action": "burn"}).status_code == 422
        assert meter.edit({"action": "set", "values": [1]}).status_code == 422
        assert meter.edit({"action": "undo"}, {"action": "undo"}, headers={"If-Match": '"1"'}).status_code == 409
        assert meter.edit({"action": "undo"}, reason="").status_code == 422
