"""What is told of a channel's day: nothing is lost, nothing is changed, and order and repetition do no harm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdus.domain.channel import Channel
from mdus.domain.interval_block import Cause, IntervalBlock, ToldValues, empty_block, lacking, merged
from mdus.domain.quantities import Quantities

AT = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
DAY = date(2026, 3, 28)
CHANNEL = Channel(
    sender_system="P11",
    device_id="000000000000000042",
    reading_type="1-0:1.29.0*255",
    interval_minutes=60,
    time_zone="Europe/Berlin",
    unit="KWH",
    decimals=3,
)


def told(position: int, *values: str | None, marks: Sequence[int] = ()) -> ToldValues:
    quantities = [None if value is None else Decimal(value) for value in values]
    said = np.array(marks or [0] * len(values), dtype=np.uint16)
    return ToldValues.of(CHANNEL, position, Quantities.of(quantities), said)


def day(*pieces: ToldValues, block: IntervalBlock | None = None) -> IntervalBlock:
    block = block or empty_block(CHANNEL, DAY, at=AT, by="first")
    for piece in pieces:
        block = merged(block, piece, at=AT + timedelta(hours=1), by="next")
    return block


class TestMerged:
    def test_extends_a_version_nobody_has_used(self) -> None:
        block = day(told(0, "0.1", "0.2"), told(2, "0.3", None))

        assert block.quantities()[:4] == [Decimal("0.1"), Decimal("0.2"), Decimal("0.3"), None]
        assert (block.version, block.cause, block.is_complete) == (1, Cause.RECEIVED, False)
        assert day(told(0, *["1"] * 24)).is_complete

    def test_is_the_same_block_when_nothing_new_is_told(self) -> None:
        block = day(told(0, "0.1", None))
        assert merged(block, told(0, "0.100", None), at=AT, by="again") is block

    def test_makes_a_new_version_of_a_value_that_differs(self) -> None:
        before = day(told(0, "0.1", "0.2"))
        after = day(told(1, "0.25"), block=before)

        assert (after.version, after.cause, after.written_by) == (2, Cause.REVISED, "next")
        assert after.quantities()[:2] == [Decimal("0.1"), Decimal("0.25")]
        assert before.quantities()[1] == Decimal("0.2")

    def test_makes_a_new_version_of_a_quality_that_differs(self) -> None:
        assert day(told(0, "0.1"), told(0, "0.1", marks=[3])).version == 2

    def test_makes_a_new_version_of_what_comes_after_somebody_used_it(self) -> None:
        used = replace(day(told(0, "0.1")), used=True)
        late = day(told(1, "0.2"), block=used)
        assert (late.version, late.cause, late.used) == (2, Cause.LATE, False)
        assert day(told(2, "0.3"), block=late).version == 2

    def test_keeps_a_value_that_does_not_fit_as_text(self) -> None:
        block = day(told(5, "0.12345"))
        assert (block.unfit, block.quantities()[5]) == ({5: "0.12345"}, None)
        assert merged(block, told(5, "0.12345"), at=AT, by="again") is block
        assert day(told(5, "0.123"), block=block).unfit == {}

    @pytest.mark.parametrize(("position", "fits"), [(22, True), (23, False), (-1, False)])
    def test_takes_no_values_beyond_the_day(self, position: int, fits: bool) -> None:
        if fits:
            assert day(told(position, "1", "1")).version == 1
        else:
            with pytest.raises(ValueError, match="a day of 24"):
                day(told(position, "1", "1"))

    @given(
        st.lists(
            st.tuples(st.integers(0, 20), st.lists(st.integers(0, 99) | st.none(), min_size=1, max_size=4)),
            max_size=8,
        )
    )
    def test_holds_the_newest_value_of_each_interval(self, pieces: list[tuple[int, list[int | None]]]) -> None:
        expected: list[Decimal | None] = [None] * 24
        block = day()
        for position, values in pieces:
            before, kept = block, block.values.copy()
            block = merged(block, told(position, *(None if v is None else str(v) for v in values)), at=AT, by="x")
            assert (before.values == kept).all()
            for place, value in enumerate(values, start=position):
                expected[place] = expected[place] if value is None else Decimal(value)
        assert block.quantities() == expected


class TestLacking:
    def test_is_what_was_told_of_intervals_without_a_value(self) -> None:
        block = day(told(1, "0.2", "0.0001"))  # the second does not fit, and is kept as text

        left = merged(block, lacking(block, told(0, "0.9", "0.9", "0.9", "0.9")), at=AT, by="older")

        assert left.quantities()[:4] == [Decimal("0.9"), Decimal("0.2"), None, Decimal("0.9")]
        assert (left.version, left.unfit) == (1, {2: "0.0001"})

    def test_is_nothing_where_all_is_known(self) -> None:
        block = day(told(0, "0.1", "0.0001"))

        assert merged(block, lacking(block, told(0, "0.9", "0.0009")), at=AT, by="older") is block

    def test_is_the_text_of_what_does_not_fit(self) -> None:
        block = day(told(0, "0.1"))

        assert merged(block, lacking(block, told(0, "0.0007", "0.0009")), at=AT, by="older").unfit == {1: "0.0009"}

    def test_is_a_quality_that_was_explained_since_where_its_value_stands(self) -> None:
        block = day(told(0, "0.1", "0.2"))
        again = replace(told(0, "0.1", "0.9"), qualities=np.array([3, 3], dtype=np.uint16))

        assert merged(block, lacking(block, again), at=AT, by="older") is block
        left = merged(block, lacking(block, again, explained=True), at=AT, by="older")
        assert left.quantities()[:2] == [Decimal("0.1"), Decimal("0.2")]
        assert left.qualities[:2].tolist() == [3, 0]

    def test_takes_no_values_beyond_the_day(self) -> None:
        with pytest.raises(ValueError, match="a day of 24"):
            lacking(day(), told(24, "1"))
