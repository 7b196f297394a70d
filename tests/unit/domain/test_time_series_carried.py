"""What is cut off the values of a day is carried by its estimates, whatever the values: the day's sum is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdus.domain.channel import MISSING, Channel
from mdus.domain.interval_block import IntervalBlock
from mdus.domain.reading_quality import ACCEPTED, EDITED, ESTIMATED, SUSPECT, QualitySet
from mdus.domain.time_series import carried
from tests.unit.domain.profiles import (
    DAY,
    MIDNIGHT,
    assignment,
    block,
    channel,
    numbers,
    register,
    sources,
    values_of,
)

ACTUAL, MADE, BY_HAND, DOUBTED, CONFIRMED = range(5)
SETS = {
    ACTUAL: QualitySet(),
    MADE: QualitySet.of([ESTIMATED]),
    BY_HAND: QualitySet.of([EDITED]),
    DOUBTED: QualitySet.of([SUSPECT]),
    CONFIRMED: QualitySet.of([ESTIMATED, ACCEPTED]),
}
WHOLE = [assignment(fraction_digits=0)]


def half_up(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


def whole(
    values: Sequence[str], *, of: Channel | None = None, first: int = 0, marks: Sequence[int] = ()
) -> IntervalBlock:
    """A day with these values from an interval on, and nothing used in the rest of it."""
    rest = (of or channel()).day(DAY).count - first - len(values)
    said = [*(marks or [ACTUAL] * len(values)), *[ACTUAL] * rest]
    return block([*values, *["0"] * rest], of=of, first=first, marks=said)


#: Values with the decimals of their channel, and what is said of each.
days = st.lists(
    st.tuples(st.integers(-5_000_000, 50_000_000), st.sampled_from([ACTUAL, ACTUAL, MADE, BY_HAND, CONFIRMED])),
    min_size=1,
    max_size=96,
)


class TestAnyDay:
    @given(told=days, digits=st.integers(0, 6), factor=st.sampled_from(["1", "40", "0.3", "0.0125"]))
    def test_adds_up_to_what_was_used_and_changes_estimates_only(
        self, told: list[tuple[int, int]], digits: int, factor: str
    ) -> None:
        values = [str(Decimal(value).scaleb(-6)) for value, _ in told]
        marks = [mark for _, mark in told]
        there = sources(registers=[register(factor=Decimal(factor))])
        profile = [assignment(fraction_digits=digits)]
        day = values_of(whole(values, marks=marks), assignments=profile, told=there, qualities=SETS)
        plain = values_of(whole(values), assignments=profile, told=there)

        by = Fraction(factor) * 10**digits / 10**6
        exact = [value * by for value, _ in told]
        found, cut = numbers(day)[: len(told)], numbers(plain)[: len(told)]
        may = [mark == MADE and value != 0 for value, mark in told]
        assert [one for one, changes in zip(found, may, strict=True) if not changes] == [
            one for one, changes in zip(cut, may, strict=True) if not changes
        ]
        if any(may):
            assert sum(each for each in found if each is not None) == half_up(sum(exact, Fraction()))
        fits = all(each.denominator == 1 for each, changes in zip(exact, may, strict=True) if not changes)
        if fits:  # then an estimate is what it was, cut or rounded up
            assert all(abs(one - each) < 1 for one, each in zip(found, exact, strict=True) if one is not None)

    @given(rests=st.lists(st.fractions(-1, 1).filter(lambda rest: abs(rest) < 1), min_size=1, max_size=20))
    def test_shares_evenly(self, rests: list[Fraction]) -> None:
        values = np.arange(len(rests), dtype=np.int64)
        made = carried(values, dict(enumerate(rests)), range(len(rests)))
        more = (made - values).tolist()
        assert sum(more) == half_up(sum(rests, Fraction()))
        assert max(more) - min(more) <= 1
        raised = [rest for rest, each in zip(rests, more, strict=True) if each == max(more)]
        others = [rest for rest, each in zip(rests, more, strict=True) if each == min(more)]
        assert min(raised) >= max(others) or max(more) == min(more)


class TestADay:
    def test_with_estimates_has_what_its_register_moved(self) -> None:
        """Ten kWh less what was told, over three intervals: 1.666666..., and 2 and 1 and 2 in whole ones."""
        values = ["1", "4", "1.666667", "1.666666", "1.666667"]
        day = values_of(whole(values, marks=[ACTUAL, ACTUAL, MADE, MADE, MADE]), assignments=WHOLE, qualities=SETS)
        assert numbers(day)[:5] == [1, 4, 2, 1, 2]

    def test_without_estimates_is_cut(self) -> None:
        assert numbers(values_of(whole(["1.9", "1.9"]), assignments=WHOLE))[:2] == [1, 1]

    def test_carries_what_was_cut_off_measured_values_too(self) -> None:
        values = ["1.9", "1.9", "2.5", "0"]
        day = values_of(whole(values, marks=[ACTUAL, ACTUAL, MADE, MADE]), assignments=WHOLE, qualities=SETS)
        assert numbers(day)[:4] == [1, 1, 4, 0]  # where an outage is estimated as zero it stays that

    @pytest.mark.parametrize("mark", [BY_HAND, CONFIRMED], ids=["set", "accepted"])
    def test_leaves_what_a_person_has_said(self, mark: int) -> None:
        day = values_of(whole(["1.9", "1.7"], marks=[mark, MADE]), assignments=WHOLE, qualities=SETS)
        assert numbers(day)[:2] == [1, 3]

    def test_carries_nothing_of_what_is_suspect(self) -> None:
        day = values_of(block(["7.9", "1.4"], marks=[DOUBTED, MADE]), assignments=WHOLE, qualities=SETS)
        assert numbers(day)[:2] == [None, 1]

    def test_carries_over_an_exchange_of_its_meter(self) -> None:
        """The first one's values are cut, the estimate of the second one has them."""
        other = channel(device_id="000000000000000043")
        registers = [
            register(valid_to=DAY),
            register(device_id=other.device_id, valid_from=DAY),
        ]
        there = sources(registers=registers, channels=[channel(), other])
        at_noon = [
            assignment(fraction_digits=0, valid_to=MIDNIGHT + timedelta(hours=12), measurement_task_id="before"),
            assignment(fraction_digits=0, valid_from=MIDNIGHT + timedelta(hours=12)),
        ]
        there = replace(
            there,
            registers={
                "before": [register(measurement_task_id="before")],
                registers[1].measurement_task_id: [registers[1]],
            },
        )
        blocks = (block(["0.5"] * 48), whole(["1.25", "1.25"], of=other, first=48, marks=[ACTUAL, MADE]))
        day = values_of(*blocks, assignments=at_noon, told=there, qualities=SETS)
        assert numbers(day)[47:50] == [0, 1, 26]  # 26.5 rounded is 27

    def test_that_still_lacks_a_value_carries_nothing_yet(self) -> None:
        """Else each value that comes would change the estimate that SAP has got."""
        values = ["1.9", "1.9", "2.5"]
        day = values_of(block(values, marks=[ACTUAL, ACTUAL, MADE]), assignments=WHOLE, qualities=SETS)
        assert numbers(day)[:4] == [1, 1, 2, None]

    def test_keeps_values_that_no_array_holds(self) -> None:
        small = whole(["0.0000004", "1.6"], of=channel(), marks=[ACTUAL, MADE])
        assert small.unfit == {0: "4E-7"}
        assert numbers(values_of(small, assignments=WHOLE, qualities=SETS))[:2] == [0, 2]

    def test_has_no_values_on_a_day_that_has_none(self) -> None:
        day = values_of(block([None]), assignments=WHOLE, qualities=SETS, day=date(2026, 3, 28))
        assert set(numbers(day)) == {None}
        assert (day.values == MISSING).all()
