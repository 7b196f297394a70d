"""Case 17. A bulk with one bad item, an empty bulk, thousands of items, answers in parts, items without a UUID.

One night's bulk has it all; each rule by itself stands in `tests/flows/bulk`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mdus.storage.message import ITEM, MESSAGE
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.conftest import Open
from tests.flows.hard_cases.sap_messages import (
    CODE,
    HEADER_UUID,
    READ_ACCEPTED,
    READ_BULK,
    READ_BULK_ACCEPTED,
    REFERENCE,
    RESULT,
    RESULT_BULK,
    VALUE,
    reading,
)
from tests.flows.hard_cases.steps import MIDNIGHT, by_document, message, take
from tests.flows.intake.installation import fault_of
from tests.flows.intake.messages import header, new_uuid

METERS = [f"{number:018}" for number in range(1, 8)]
BAD = METERS[3]


@pytest.fixture
def sides(open_sides: Open, database_url: str, tmp_path: Path) -> BothSides:
    """Seven meters, and answers of three items at most."""
    (tmp_path / "cis.toml").write_text("[cis]\nbulk_size = 3\n")
    opened = open_sides(database_url)
    for device_id in METERS:
        opened.meter(device_id)
    return opened


def night(uuid: str) -> bytes:
    """A bulk of seven orders: the fourth is wrong, the last two have headers without UUID and ID."""
    bodies = [reading(one, device_id=one, reason="99" if one == BAD else "01") for one in METERS]
    heads = [header(uuid=f"{number:08}-0000-4000-8000-000000000000") for number in range(5)] + [header()] * 2
    return message(READ_BULK, *bodies, header_xml=header(uuid=uuid), item_headers=tuple(heads))


class TestANightsBulk:
    def test_is_accepted_in_parts_read_and_answered_in_parts(self, sides: BothSides) -> None:
        uuid = new_uuid()
        take(sides, night(uuid))
        sides.rest()

        parts = sides.sap.messages(READ_BULK_ACCEPTED)
        told = [(len(part.findall(f"{READ_ACCEPTED}Message")), texts(part, CODE)) for part in parts]
        assert sorted(told) == [(1, ["3"]), (3, ["3"]), (3, ["4"])]
        assert len({texts(part, HEADER_UUID)[0] for part in parts}) == 3
        assert {texts(part, REFERENCE)[0] for part in parts} == {uuid}
        accepted = {name: code for part in parts for name, code in by_document(part, CODE).items()}
        assert accepted == {one: "5" if one == BAD else "3" for one in METERS}

        sides.clock.instant = MIDNIGHT
        sides.snapshot(MIDNIGHT, *((one, f"{one[-1]}.25") for one in METERS))
        sides.clock.move(hours=1)
        sides.rest()
        results = sides.sap.messages(RESULT_BULK)
        assert [len(part.findall(f"{RESULT}Message")) for part in results] == [3, 3]
        values = {name: value for part in results for name, value in by_document(part, VALUE).items()}
        assert values == {one: f"{one[-1]}.25" for one in METERS if one != BAD}

    def test_that_comes_again_is_answered_again_part_by_part_and_not_carried_out_again(self, sides: BothSides) -> None:
        content = night(new_uuid())
        take(sides, content)
        sides.rest()
        take(sides, content)
        sides.rest()

        parts = [texts(part, HEADER_UUID)[0] for part in sides.sap.messages(READ_BULK_ACCEPTED)]
        assert sorted(parts[:3]) == sorted(parts[3:])  # parts go side by side, each under its own UUID
        assert len([row for row in sides.mdus.rows(ITEM) if row.direction == "in"]) == 7

    def test_whose_items_have_no_names_is_not_taken_for_another_one(self, sides: BothSides) -> None:
        """Without a UUID an item is known by its bulk and its place in it."""
        for on in ("2026-03-29", "2026-03-30"):
            bodies = [reading(f"{on}/{place}", on=on, device_id=METERS[0]) for place in (1, 2)]
            take(sides, message(READ_BULK, *bodies, item_headers=(header(), header())))
        sides.rest()

        assert [row.duplicate_of for row in sides.mdus.rows(ITEM) if row.direction == "in"] == [None] * 4
        told = [code for part in sides.sap.messages(READ_BULK_ACCEPTED) for code in by_document(part, CODE).values()]
        assert told == ["3"] * 4

    @pytest.mark.parametrize("form", ["uuid", "id"])
    def test_whose_items_carry_a_copy_of_its_own_header_is_carried_out_item_by_item(
        self, sides: BothSides, form: str
    ) -> None:
        """A sender that fills all headers alike: none of the items is a repetition of the first."""
        head = header(uuid=new_uuid()) if form == "uuid" else header(number="0000004711")
        bodies = [reading(f"{place}", device_id=METERS[place]) for place in range(3)]
        content = message(READ_BULK, *bodies, header_xml=head, item_headers=(head,) * 3)
        take(sides, content)
        sides.rest()
        take(sides, content)
        sides.rest()

        first, again = sides.sap.messages(READ_BULK_ACCEPTED)
        assert by_document(first, CODE) == by_document(again, CODE) == {"0": "3", "1": "3", "2": "3"}
        assert len([row for row in sides.mdus.rows(ITEM) if row.direction == "in"]) == 3


class TestABulkThatIsNone:
    def test_without_an_item_is_refused(self, sides: BothSides) -> None:
        answer = sides.mdus.post(message(READ_BULK))

        assert answer.status_code == 500
        assert f"{READ_ACCEPTED}".replace("Confirmation", "RequestMessage") in fault_of(answer)[1]

    def test_with_an_item_against_the_contract_is_refused_as_a_whole_and_the_place_told(self, sides: BothSides) -> None:
        bodies = [reading(one, device_id=one) for one in METERS]
        bodies[4] = bodies[4].replace("<MeterReadingReasonCode>01", "<MeterReadingReasonCode>ABC")
        answer = sides.mdus.post(message(READ_BULK, *bodies))

        assert answer.status_code == 500
        [place] = fault_of(answer)[2]
        assert "Message[5]/MeterReadingDocument/MeterReadingReasonCode" in place
        assert list(sides.mdus.rows(ITEM)) == []
        assert [row.status.value for row in sides.mdus.rows(MESSAGE)] == ["refused"]


class TestThousandsOfItems:
    def test_are_accepted_in_one_bulk(self, empty_sides_on_sqlite: BothSides) -> None:
        sides = empty_sides_on_sqlite
        sides.meter(METERS[0])
        count = 2000
        take(sides, message(READ_BULK, *(reading(f"{n:020}", device_id=METERS[0]) for n in range(count))))
        sides.rest()

        [accepted] = sides.sap.messages(READ_BULK_ACCEPTED)
        assert texts(accepted, CODE) == ["3"]
        assert len(accepted.findall(f"{READ_ACCEPTED}Message")) == count
