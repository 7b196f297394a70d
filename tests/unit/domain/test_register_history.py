"""The history of a number on a device: what a listing changes day by day, and what stays."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdus.domain.register import Register
from mdus.domain.register_history import ContentMissing, Listed, conflicts, difference, left_of, listed_anew
from mdus.domain.value import Remove

START = date(2026, 1, 1)

#: Spans are written in days from the start, `None` is the open end.
Span = tuple[int, int | None]


def day(number: int | None) -> date | None:
    return None if number is None else START + timedelta(days=number)


def span(
    start: int, end: int | None, factor: int = 1, *, number: str = "1", device: str = "42", kind: str = "A"
) -> Register:
    return Register(
        sender_system="P11",
        device_id=device,
        measurement_task_id=number,
        valid_from=START + timedelta(days=start),
        valid_to=day(end),
        reading_type=kind,
        unit="KWH",
        factor=Decimal(factor),
    )


def listed(start: int, end: int | None, *contents: Register) -> Listed:
    return Listed(valid_from=START + timedelta(days=start), valid_to=day(end), contents=contents)


class TestAListing:
    @pytest.mark.parametrize(
        ("stored", "told", "becomes"),
        [
            pytest.param([], [listed(0, 9, span(0, 9))], [span(0, 9)], id="of a new number"),
            pytest.param([span(0, None)], [listed(0, 9, span(0, 9))], [span(0, 9)], id="closes"),
            pytest.param([span(0, None)], [listed(5, 9, span(5, 9))], [span(0, 9)], id="closes from a later start"),
            pytest.param(
                [span(0, None)],
                [listed(5, 9, span(5, 9, 2))],
                [span(0, 5), span(5, 9, 2)],
                id="closes and changes on the way",
            ),
            pytest.param([span(0, 9)], [listed(0, None, span(0, None))], [span(0, None)], id="takes an end back"),
            pytest.param(
                [span(0, 9), span(9, None, 2)],
                [listed(0, 9, span(0, 9, 3))],
                [span(0, 9, 3), span(9, None, 2)],
                id="of an earlier span leaves what follows",
            ),
            pytest.param(
                [span(0, 9), span(20, None, 2)],
                [listed(0, 5, span(0, 5))],
                [span(0, 5)],
                id="that cuts a span short closes also what was planned",
            ),
            pytest.param(
                [span(0, 9), span(20, None, 2)],
                [listed(0, 9, span(0, 9))],
                [span(0, 9), span(20, None, 2)],
                id="that says nothing new leaves what was planned",
            ),
            pytest.param(
                [span(0, None)],
                [listed(0, None, span(5, None, 2))],
                [span(0, 5), span(5, None, 2)],
                id="takes days it says nothing of from what is stored",
            ),
            pytest.param(
                [span(0, None)],
                [listed(0, 4, span(0, 4)), listed(7, None, span(7, None))],
                [span(0, 4), span(7, None)],
                id="of two spans leaves nothing between them",
            ),
            pytest.param([span(0, None)], [listed(0, 0)], [], id="without a day takes the number back"),
            pytest.param(
                [span(0, 5), span(5, None, 2)], [listed(5, 5)], [span(0, 5)], id="without a day takes a span back"
            ),
            pytest.param([span(0, 5)], [listed(7, 7)], [span(0, 5)], id="without a day where nothing is, is nothing"),
        ],
    )
    def test(self, stored: list[Register], told: list[Listed], becomes: list[Register]) -> None:
        assert listed_anew(stored, told) == tuple(becomes)
        assert listed_anew(becomes, told) == tuple(becomes)

    @pytest.mark.parametrize(
        ("stored", "told", "missing"),
        [
            pytest.param([], listed(0, 9, span(0, 8)), 8, id="its last day"),
            pytest.param([], listed(0, 9, span(1, 9)), 0, id="its first day"),
            pytest.param([], listed(0, None, span(0, 9)), 9, id="its end"),
            pytest.param([span(0, 3)], listed(0, 9, span(4, 9, 2)), 3, id="a day between"),
        ],
    )
    def test_needs_something_that_says_what_it_is_on(self, stored: list[Register], told: Listed, missing: int) -> None:
        with pytest.raises(ContentMissing) as raised:
            listed_anew(stored, [told])
        assert raised.value.day == day(missing)


def days(registers: tuple[Register, ...] | list[Register]) -> dict[int, Decimal | None]:
    """The factor of each of the first 40 days that a register is valid on."""
    found: dict[int, Decimal | None] = {}
    for number in range(40):
        valid = [register for register in registers if register.is_valid_on(START + timedelta(days=number))]
        assert len(valid) <= 1
        if valid:
            found[number] = valid[0].factor
    return found


@st.composite
def histories(draw: st.DrawFn) -> list[Register]:
    """Spans that do not overlap, the last one open or not."""
    bounds = sorted(draw(st.sets(st.integers(0, 30), max_size=6)))
    spans = [span(start, end, draw(st.integers(1, 3))) for start, end in zip(bounds[::2], bounds[1::2], strict=False)]
    return [*spans, *([span(bounds[-1], None, 9)] if len(bounds) % 2 else [])]


@given(histories(), st.integers(0, 30), st.integers(1, 8))
def test_a_listed_span_counts_day_by_day(stored: list[Register], start: int, length: int) -> None:
    end = start + length
    becomes = listed_anew(stored, [listed(start, end, span(start, end, 7))])
    before, after = days(stored), days(becomes)
    assert {number: after.get(number) for number in range(start)} == {
        number: before.get(number) for number in range(start)
    }
    assert {after[number] for number in range(start, end)} == {Decimal(7)}
    is_cut = any(one.valid_from < START + timedelta(days=end) and one.within(day(end), None) for one in stored)
    assert {number: after.get(number) for number in range(end, 40)} == {
        number: None if is_cut else before.get(number) for number in range(end, 40)
    }


class TestWhatIsLeft:
    @pytest.mark.parametrize(
        ("others", "left"),
        [
            pytest.param([], [(0, None)], id="by none: all"),
            pytest.param([(0, None)], [], id="by the same: nothing"),
            pytest.param([(5, 9)], [(0, 5), (9, None)], id="by one inside: both sides"),
            pytest.param([(0, 5), (7, None)], [(5, 7)], id="by two: what is between"),
        ],
    )
    def test(self, others: list[Span], left: list[Span]) -> None:
        found = left_of(span(0, None), [span(start, end, 2) for start, end in others])
        assert found == [span(start, end) for start, end in left]


class TestConflicts:
    def test_are_a_channel_taken_by_another_number(self) -> None:
        becoming = [span(0, 9), span(8, None, number="2")]
        found = list(conflicts(becoming, stored=[], elsewhere=lambda _: ()))
        assert [(one.register.measurement_task_id, one.holder) for one in found] == [("1", None), ("2", None)]

    def test_are_none_where_spans_only_touch(self) -> None:
        becoming = [span(0, 9), span(9, None, number="2")]
        assert list(conflicts(becoming, stored=[], elsewhere=lambda _: ())) == []

    def test_are_none_when_two_swap_their_numbers(self) -> None:
        stored = [span(0, None, kind="A"), span(0, None, number="2", kind="B")]
        becoming = [
            span(0, 9, kind="A"),
            span(9, None, kind="B"),
            span(0, 9, number="2", kind="B"),
            span(9, None, number="2", kind="A"),
        ]
        assert list(conflicts(becoming, stored=stored, elsewhere=lambda _: ())) == []

    def test_of_the_number_elsewhere_name_who_holds_it(self) -> None:
        holder = span(0, 10, device="7")
        (found,) = conflicts([span(9, None)], stored=[], elsewhere=lambda _: [holder])
        assert found.holder == holder
        assert list(conflicts([span(10, None)], stored=[], elsewhere=lambda _: [holder])) == []

    def test_are_looked_for_only_in_what_is_newly_taken(self) -> None:
        holder, stored = span(0, None, device="7"), [span(0, None)]
        assert list(conflicts([span(0, 9)], stored=stored, elsewhere=lambda _: [holder])) == []


def test_the_difference_removes_what_is_gone_and_writes_what_is_new() -> None:
    stored, becoming = [span(0, 5), span(5, None, 2)], [span(0, 9)]
    gone = stored[1]
    assert difference(stored, becoming) == (Remove(Register, gone.key, gone.wakes), span(0, 9))
    assert difference(becoming, becoming) == ()
