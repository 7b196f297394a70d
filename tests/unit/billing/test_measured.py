"""What measures a point of delivery: each channel once, in its span, with the factor of its register."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from mdus.billing.measured import Dial, Span, spans_of
from mdus.domain.register import Register
from mdus.domain.time_series_policy import LoadProfileRow, TimeSeriesPolicy
from mdus.domain.usage_point import UsagePoint
from tests.unit.billing.market import AUTUMN, BERLIN, KWH, channel, instant

DAY = date(2026, 6, 10)
SERIES = TimeSeriesPolicy(load_profiles=(LoadProfileRow(name="a", reading_type="1-0:1.8.0*255", intervals=KWH),))


def register(task: str = "T1", **changes: Any) -> Register:
    given = {
        "sender_system": "P11",
        "device_id": "42",
        "measurement_task_id": task,
        "valid_from": date(2026, 1, 1),
        "reading_type": "1-0:1.8.0*255",
        "unit": "KWH",
    }
    return Register(**(given | changes))


BEGUN = instant(date(2026, 1, 1))


def point(task: str = "T1", start: datetime = BEGUN, end: datetime | None = None) -> UsagePoint:
    return UsagePoint(
        sender_system="P11",
        device_id="42",
        measurement_task_id=task,
        point_of_delivery_id="DE1",
        valid_from=start,
        valid_to=end,
    )


def spans(points: list[UsagePoint], registers: list[Register], *channels: Any) -> list[tuple[Any, ...]]:
    by_task: dict[Any, list[Register]] = {}
    for each in registers:
        by_task.setdefault((("P11", each.device_id), each.measurement_task_id), []).append(each)
    found = spans_of(points, by_task, {("P11", "42"): channels or (channel(),)}, policy=SERIES, zone=BERLIN)
    return [(span.channel.interval_minutes, span.start, span.end, span.factor) for span in found]


class TestSpans:
    def test_are_those_in_which_all_holds(self) -> None:
        found = spans(
            [point(start=instant(DAY, 10, 5), end=instant(date(2026, 9, 1)))],
            [register(valid_to=date(2026, 7, 1)), register(valid_from=date(2026, 7, 1), factor=Decimal(40))],
        )
        assert found == [
            (15, instant(DAY, 10, 5), instant(date(2026, 7, 1)), 1),
            (15, instant(date(2026, 7, 1)), instant(date(2026, 9, 1)), 40),
        ]

    def test_of_several_registers_of_a_channel_are_one(self) -> None:
        own = register("T2", reading_type=KWH)
        found = spans([point(end=instant(DAY)), point("T2", instant(date(2026, 5, 1)))], [register(), own])
        assert found == [(15, BEGUN, None, 1)]

    def test_do_not_overlap_where_factors_differ(self) -> None:
        other = register("T2", factor=Decimal(2))
        found = spans([point(end=instant(DAY)), point("T2", instant(date(2026, 5, 1)))], [register(), other])
        assert found == [
            (15, instant(date(2026, 1, 1)), instant(DAY), 1),
            (15, instant(DAY), None, Fraction(2)),
        ]

    @pytest.mark.parametrize(
        ("begins", "ends", "expected"),
        [
            pytest.param(BEGUN, None, [(BEGUN, None, 20)], id="all the time"),
            pytest.param(instant(DAY), None, [(BEGUN, instant(DAY), 1), (instant(DAY), None, 20)], id="from a day on"),
            pytest.param(
                instant(DAY),
                instant(DAY, 12),
                [(BEGUN, instant(DAY), 1), (instant(DAY), instant(DAY, 12), 20), (instant(DAY, 12), None, 1)],
                id="for hours",
            ),
            pytest.param(BEGUN, instant(DAY), [(BEGUN, instant(DAY), 20), (instant(DAY), None, 1)], id="at first"),
        ],
    )
    def test_have_the_factor_of_the_channels_own_register_while_there_is_one(
        self, begins: datetime, ends: datetime | None, expected: list[tuple[Any, ...]]
    ) -> None:
        own = register("T2", reading_type=KWH, factor=Decimal(20))
        for points in ([point(), point("T2", begins, ends)], [point("T2", begins, ends), point()]):
            assert [each[1:] for each in spans(points, [register(), own])] == expected

    def test_are_held_against_the_counting_register_while_there_is_one(self) -> None:
        own = register("T2", reading_type=KWH, factor=Decimal(20))
        found = spans_of(
            [point(end=instant(DAY)), point("T2")],
            {(("P11", "42"), "T1"): [register()], (("P11", "42"), "T2"): [own]},
            {("P11", "42"): (channel(),)},
            policy=SERIES,
            zone=BERLIN,
        )
        assert [(span.start, span.end, span.factor, span.dial) for span in found] == [(BEGUN, None, 20, None)]
        [span] = spans_of(
            [point(), point("T2")],
            {(("P11", "42"), "T1"): [register()], (("P11", "42"), "T2"): [own]},
            {("P11", "42"): (channel(),)},
            policy=SERIES,
            zone=BERLIN,
        )
        assert (span.factor, span.dial) == (20, Dial.of(register()))

    def test_are_of_the_shortest_grid(self) -> None:
        assert [one[0] for one in spans([point()], [register()], channel(interval_minutes=60), channel())] == [15]

    def test_of_other_registers_are_none(self) -> None:
        assert spans([point()], [register(reading_type="1-0:1.8.1*255")]) == []
        assert spans([point("T9")], [register()]) == []


class TestDays:
    @pytest.mark.parametrize(
        ("start", "end", "whole", "parts"),
        [
            pytest.param(instant(DAY), None, (10, 20), [], id="from midnight on"),
            pytest.param(instant(DAY, 12), None, (11, 20), [10], id="from noon on"),
            pytest.param(instant(DAY), instant(date(2026, 6, 12)), (10, 12), [], id="to midnight"),
            pytest.param(instant(DAY), instant(date(2026, 6, 12), 12), (10, 12), [12], id="to noon"),
            pytest.param(instant(DAY, 6), instant(DAY, 12), (11, 11), [10], id="within a day"),
            pytest.param(instant(date(2026, 5, 1), 12), None, (5, 20), [], id="begun before"),
        ],
    )
    def test_are_whole_or_in_part(
        self, start: datetime, end: datetime | None, whole: tuple[int, int], parts: list[int]
    ) -> None:
        span = Span(channel=channel(), start=start, end=end, factor=Fraction(1))
        first, after, some = span.days(date(2026, 6, 5), date(2026, 6, 20))
        assert (first.day, after.day, [day.day for day in some]) == (*whole, parts)

    def test_have_the_intervals_that_end_within_the_span(self) -> None:
        before = Span(channel=channel(), start=instant(DAY), end=instant(DAY, 10, 5), factor=Fraction(1))
        after = Span(channel=channel(), start=instant(DAY, 10, 5), end=None, factor=Fraction(1))
        assert before.mask(DAY).tolist() == [True] * 40 + [False] * 56
        assert (before.mask(DAY) ^ after.mask(DAY)).all()

    def test_are_as_long_as_they_are(self) -> None:
        span = Span(channel=channel(), start=instant(AUTUMN) + timedelta(hours=3), end=None, factor=Fraction(1))
        assert span.mask(AUTUMN).tolist() == [False] * 12 + [True] * 88
