"""Dated lists: complete, as a change, or empty; on both sides of every bound."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from mdus.domain.dated_list import SpanReversed, SpansOverlap, ended, listed_instead
from mdus.domain.usage_point import LogicalLocation
from mdus.domain.value import Remove


def span(first: int, last: int | None = None, *, point: str = "L1") -> LogicalLocation:
    """A location from one day of March up to another."""
    return LogicalLocation(
        sender_system="P11",
        device_id="42",
        logical_installation_point_id=point,
        valid_from=date(2026, 3, first),
        valid_to=None if last is None else date(2026, 3, last),
    )


def gone(one: LogicalLocation) -> Remove:
    return Remove(LogicalLocation, one.key)


class TestAList:
    def test_that_is_complete_replaces_what_is_stored(self) -> None:
        assert listed_instead([span(5)], stored=[span(1, 5)], complete=True) == (gone(span(1, 5)), span(5))

    def test_that_is_a_change_leaves_what_it_does_not_name(self) -> None:
        assert listed_instead([span(5, 9)], stored=[span(1, 5), span(5)], complete=False) == (span(5, 9),)

    def test_that_says_the_same_changes_nothing(self) -> None:
        assert listed_instead([span(5)], stored=[span(5)], complete=True) == ()

    def test_holds_a_day_at_least(self) -> None:
        assert listed_instead([span(5, 6)], stored=[], complete=True) == (span(5, 6),)
        with pytest.raises(SpanReversed):
            listed_instead([span(5, 5)], stored=[], complete=True)

    def test_may_touch_but_not_overlap_what_stays(self) -> None:
        other = replace(span(1, 5), logical_installation_point_id="L2")
        assert listed_instead([span(5)], stored=[other], complete=False) == (span(5),)
        with pytest.raises(SpansOverlap) as caught:
            listed_instead([span(4)], stored=[other], complete=False)
        assert caught.value.since == date(2026, 3, 4)


class TestNone:
    def test_ends_what_is_open_and_takes_back_what_is_to_begin(self) -> None:
        stored = [span(1, 3), span(3, 6), span(5, point="L2"), span(6)]
        assert ended(stored, at=date(2026, 3, 5)) == (gone(stored[2]), gone(stored[3]), span(3, 5))

    def test_leaves_what_ends_just_then(self) -> None:
        assert ended([span(1, 5)], at=date(2026, 3, 5)) == ()
        assert ended([span(1, 6)], at=date(2026, 3, 5)) == (span(1, 5),)
