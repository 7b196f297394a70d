"""E3: the first like day of the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from mdus.vee.days import Days
from mdus.vee.estimation.like_day import METHOD
from tests.unit.vee.estimation.gaps import X, days, elements, estimated, filled, history, weekdays_before


def day(weekday: int, offers: Mapping[int, Any], width: int = 1, calendar: int | None = None) -> Days:
    """A day without values; `offers` by how many days ago, negative ones are still to come."""
    on = weekday if calendar is None else calendar
    following = np.stack([elements([offers.get(-ahead, X)] * width) for ahead in range(1, 7)])
    return days(
        [X] * width,
        weekday=[weekday],
        history=[history(width, {ago: given for ago, given in offers.items() if ago > 0})],
        history_weekday=[weekdays_before(on)],
        following=[following],
        following_weekday=[[(on + ahead) % 7 for ahead in range(1, 7)]],
    )


# Weekday, and how many days ago each choice lies, in order; negative ones are still to come.
AEMO = {0: [7], 1: [7, 6, 5, -1, -2], 2: [7, 1, 6, -1, 8], 3: [7, 1, 2, 8, 9], 4: [7], 5: [7], 6: [7]}
ITRON = {0: [7, 14], 1: [7, 6, 5], 2: [7, 1, 8, 6], 3: [7, 1, 8, 2, 9], 4: [7], 5: [7], 6: [7]}


class TestLikeDay:
    @pytest.mark.parametrize(
        ("variant", "weekday", "choices"),
        [
            *(pytest.param("aemo", weekday, choices, id=f"aemo {weekday}") for weekday, choices in AEMO.items()),
            *(pytest.param("itron", weekday, choices, id=f"itron {weekday}") for weekday, choices in ITRON.items()),
        ],
    )
    def test_tries_the_days_of_the_table_in_order(self, variant: str, weekday: int, choices: list[int]) -> None:
        everything: dict[int, float] = {ago: 100 + ago for ago in range(-6, 36) if ago}
        for choice in choices:
            assert filled(METHOD, day(weekday, everything), variant=variant) == [[100 + choice]]
            del everything[choice]
        assert filled(METHOD, day(weekday, everything), variant=variant) == [[X]]

    @pytest.mark.parametrize("variant", ["aemo", "itron"])
    def test_takes_sundays_for_holidays(self, variant: str) -> None:
        on_thursday = day(7, {4: 1, 11: 2, 7: 50}, calendar=3)
        assert filled(METHOD, on_thursday, variant=variant) == [[1]]
        assert filled(METHOD, day(7, {11: 2, 7: 50}, calendar=3), variant=variant) == [[2]]
        assert filled(METHOD, day(7, {18: 2, 7: 50}, calendar=3), variant=variant) == [[X]]

    def test_takes_a_day_with_all_that_is_wanted(self) -> None:
        of = day(1, {7: [1, X], 6: [3, 4]}, width=2)
        assert filled(METHOD, of) == [[3, 4]]
        assert estimated(METHOD, of).inputs(0) == "the values of wed-1, choice 2"

    def test_takes_no_holiday_for_a_weekday(self) -> None:
        of = day(0, {7: 1})
        assert filled(METHOD, of) == [[1]]
        of.facts[next(fact for fact in of.facts if fact.value == "history_weekday")][0, 6] = 7
        assert filled(METHOD, of) == [[X]]

    def test_takes_rows_of_the_rule_set(self) -> None:
        of = day(0, {7: 1, 3: 2})
        assert filled(METHOD, of, table={"mon": ["fri-1", "mon-1"]}) == [[2]]

    @pytest.mark.parametrize(
        "table",
        [
            pytest.param({"mon": ["funday-1"]}, id="no such day"),
            pytest.param({"mon": ["mon-5"]}, id="five weeks back"),
            pytest.param({"monday": ["mon-1"]}, id="no such row"),
        ],
    )
    def test_refuses_cells_that_name_no_day(self, table: Mapping[str, list[str]]) -> None:
        with pytest.raises(ValidationError):
            METHOD.parameters.model_validate({"table": table})
