"""The days of which a register's value is its number's."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from mdus.domain.register import Register, days_held

FIRST, NEXT, LATER = date(2026, 1, 1), date(2026, 3, 29), date(2026, 5, 1)
MINE = Register(
    sender_system="P11",
    device_id="42",
    measurement_task_id="1",
    valid_from=FIRST,
    valid_to=NEXT,
    reading_type="1-0:1.8.0*255",
    unit="KWH",
)
OPEN = replace(MINE, valid_to=None)
THEIRS = replace(MINE, measurement_task_id="2")


class TestDaysHeld:
    @pytest.mark.parametrize(
        ("register", "others", "held", "at_removal"),
        [
            pytest.param(OPEN, [], (FIRST, None), (FIRST, None), id="open"),
            pytest.param(MINE, [], (FIRST, NEXT), (FIRST, None), id="nobody follows"),
            pytest.param(
                MINE, [replace(THEIRS, valid_from=NEXT, valid_to=None)], (FIRST, NEXT), (FIRST, NEXT), id="another does"
            ),
            pytest.param(
                MINE, [replace(THEIRS, valid_from=LATER)], (FIRST, NEXT), (FIRST, LATER), id="another does later"
            ),
            pytest.param(
                MINE,
                [replace(THEIRS, valid_from=NEXT, reading_type="1-0:2.8.0*255")],
                (FIRST, NEXT),
                (FIRST, None),
                id="another on another channel",
            ),
            pytest.param(
                replace(MINE, valid_from=NEXT, valid_to=None),
                [replace(THEIRS, valid_to=NEXT)],
                (NEXT, None),
                (NEXT, None),
                id="another before",
            ),
            pytest.param(
                MINE,
                [replace(MINE, valid_from=LATER, valid_to=None)],
                (FIRST, NEXT),
                (FIRST, LATER),
                id="the same again after a gap",
            ),
            pytest.param(
                MINE,
                [replace(THEIRS, recurrence_code="0015", valid_to=None)],
                (FIRST, NEXT),
                (FIRST, None),
                id="interval values of the same name beside it",
            ),
        ],
    )
    @pytest.mark.parametrize("removal", [False, True], ids=["", "at its removal"])
    def test_are_those_of_its_span(
        self,
        register: Register,
        others: list[Register],
        held: tuple[date, date | None],
        at_removal: tuple[date, date | None],
        removal: bool,
    ) -> None:
        assert days_held(register, [*others, register], removal=removal) == (at_removal if removal else held)

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_are_those_of_spans_that_follow_each_other(self, place: int) -> None:
        spans = [
            MINE,
            replace(MINE, valid_from=NEXT, valid_to=LATER, factor=Decimal(40)),
            replace(MINE, valid_from=LATER, valid_to=date(2026, 6, 1), total_digits=7),
        ]
        for others in (spans, spans[::-1]):
            assert days_held(spans[place], others) == (FIRST, date(2026, 6, 1))

    def test_end_where_its_number_moves_to_another_channel(self) -> None:
        moved = replace(MINE, valid_from=NEXT, valid_to=None, reading_type="1-0:2.8.0*255")
        assert days_held(MINE, [moved, MINE]) == (FIRST, NEXT)
        assert days_held(moved, [moved, MINE]) == (NEXT, None)
