"""Interval values that head ends of MultiSpeak tell, as field events."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from mdus.domain.head_end import CommandResult, FieldEvent, FieldIntervals, Unmapped, UnreadableLine
from tests.unit.headends.multispeak.messages import decoded, envelope
from tests.unit.headends.samples import CORRELATION, SERIAL


def interval_data(
    channels: str, *, length: str = "15", common: str = "", meter: str = f"<meterNo>{SERIAL}</meterNo>"
) -> str:
    return (
        "<intervalReads><statusDelimiter>|</statusDelimiter><intervalDelimiter>;</intervalDelimiter>"
        f"<profiles><profile profileID='p1'><intervalLength>{length}</intervalLength><channels>"
        "<channel><index>1</index><fieldName>kWh</fieldName><units>kWh</units></channel>"
        "<channel><index>2</index><fieldName>flux</fieldName><units>Wb</units></channel></channels></profile></profiles>"
        f"<blocks><block><profileID>p1</profileID>{meter}"
        f"<intervalStart>2026-03-29T00:00:00Z</intervalStart><dB><chs>{channels}</chs><cS>{common}</cS></dB>"
        "</block></blocks></intervalReads>"
    )


def intervals_told(data: str, *, transaction: str = "") -> bytes:
    return envelope(
        f"<IntervalDataNotification>{data}<transactionID>{transaction}</transactionID></IntervalDataNotification>"
    )


def hours_told(*hours: tuple[str, str], transaction: str = "", came_at: datetime | None = None) -> list[FieldEvent]:
    """Return what a message tells of blocks of 2026-10-25 in Berlin: a local time without an offset, and values."""
    data = interval_data("<ch><idx>1</idx><d>1;2;3;4</d></ch>")
    block = data[data.index("<block>") : data.index("</blocks>")]
    several = "".join(
        block.replace("2026-03-29T00:00:00Z", f"2026-10-25T{at}:00").replace("1;2;3;4", values) for at, values in hours
    )
    return decoded(intervals_told(data.replace(block, several), transaction=transaction), came_at=came_at)


class TestIntervals:
    def test_are_values_of_a_channel_from_their_start_on(self) -> None:
        data = interval_data("<ch><idx>1</idx><d>0.25;0.5|estimated;;9|missing</d></ch>")
        (told,) = decoded(intervals_told(data))

        assert isinstance(told, FieldIntervals)
        assert (told.serial_id, told.reading_type, told.unit) == (SERIAL, "1-0:1.29.0*255", "kWh")
        assert (told.interval_minutes, told.start_at) == (15, datetime(2026, 3, 29, tzinfo=UTC))
        assert list(told.values) == [Decimal("0.25"), Decimal("0.5"), None, None]
        assert list(told.qualities) == [None, "2.8.0", None, "2.5.259"]

    def test_take_the_common_status_where_they_have_none(self) -> None:
        data = interval_data("<ch><idx>1</idx><d>1;2|invalid</d></ch>", common="estimated")
        (told,) = decoded(intervals_told(data))
        assert isinstance(told, FieldIntervals)
        assert list(told.qualities) == ["2.8.0", "2.5.258"]

    @pytest.mark.parametrize(
        ("length", "unit", "minutes"),
        [
            pytest.param("15", "minutes", 15, id="minutes"),
            pytest.param("900", "seconds", 15, id="seconds"),
            pytest.param("0.25", "hours", 15, id="hours"),
        ],
    )
    def test_last_as_long_as_the_profile_says(self, length: str, unit: str, minutes: int) -> None:
        data = interval_data("<ch><idx>1</idx><d>1</d></ch>", length=length)
        (told,) = decoded(intervals_told(data), interval_unit=unit)
        assert isinstance(told, FieldIntervals)
        assert told.interval_minutes == minutes

    def test_of_what_no_table_explains_are_kept_as_they_came(self) -> None:
        data = interval_data("<ch><idx>2</idx><d>1;2</d></ch><ch><idx>1</idx><d>1|zapped</d></ch>")
        events = decoded(intervals_told(data))
        assert [(each.source, each.value) for each in events if isinstance(each, Unmapped)] == [
            ("channel", "1;2"),
            ("quality", None),
        ]
        (told,) = [each for each in events if isinstance(each, FieldIntervals)]
        assert list(told.values) == [Decimal(1)]

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            pytest.param(interval_data("<ch><idx>7</idx><d>1</d></ch>"), "channel '7'", id="a channel of no profile"),
            pytest.param(interval_data("<ch><idx>1</idx><d>1;x</d></ch>"), "d[1] is 'x'", id="no number"),
            pytest.param(interval_data("", meter=""), "names no meter", id="no meter"),
            pytest.param(
                interval_data("<ch><idx>1</idx><d>1</d></ch>", length="0.5"), "no whole number", id="half a minute"
            ),
        ],
    )
    def test_that_cannot_be_read_are_told_with_their_line(self, data: str, reason: str) -> None:
        (told,) = decoded(intervals_told(data))
        assert isinstance(told, UnreadableLine)
        assert reason in told.reason

    @pytest.mark.parametrize(
        ("starts", "hours"),
        [
            pytest.param(["01:00", "02:00", "02:00", "03:00"], [23, 0, 1, 2], id="in their order"),
            pytest.param(["02:00", "02:00", "03:00"], [0, 1, 2], id="by what comes after"),
            pytest.param(["01:00", "02:00"], [23, 0], id="by what was before"),
            pytest.param(["02:00", "03:00"], [1, 2], id="the second one alone"),
            pytest.param(["02:00"], [None], id="by nothing"),
            pytest.param(["00:00", "02:00"], [22, None], id="after a gap"),
            pytest.param(["03:00", "02:00", "02:00", "01:00"], [2, 1, 0, 23], id="the newest first"),
            pytest.param(["03:00", "01:00", "02:00"], [2, 23, None], id="in no order"),
        ],
    )
    def test_begin_at_the_hour_that_is_there_twice_by_their_order(
        self, starts: list[str], hours: list[int | None]
    ) -> None:
        events = hours_told(*((each, f"{place};2;3;4") for place, each in enumerate(starts)))
        assert [each.start_at.hour if isinstance(each, FieldIntervals) else None for each in events] == hours
        for each in events:
            assert isinstance(each, FieldIntervals) or (
                isinstance(each, UnreadableLine) and "twice in Europe/Berlin" in each.reason
            )

    @pytest.mark.parametrize(
        ("first", "second", "is_open"),
        [
            pytest.param("1;2;3;4", "1;2;3;5", False, id="another value"),
            pytest.param("1;2;3;4", "1;2;3;4", True, id="the same"),
            pytest.param("1;2;3;4", "1.0;2;3.00;4", True, id="the same, written otherwise"),
            pytest.param("1;2|estimated;3;4", "1;7;3;4", True, id="one value corrected"),
            pytest.param("1;2;;4", "1;2;3;4", True, id="one value told later"),
        ],
    )
    def test_of_an_hour_told_again_do_not_become_the_hour_after_it(
        self, first: str, second: str, is_open: bool
    ) -> None:
        events = hours_told(("01:00", "9;9;9;9"), ("02:00", first), ("02:00", second), ("03:00", "8;8;8;8"))
        hours = [each.start_at.hour if isinstance(each, FieldIntervals) else None for each in events]
        assert hours == ([23, None, None, 2] if is_open else [23, 0, 1, 2])

    @pytest.mark.parametrize(
        ("came", "hour"),
        [
            pytest.param("01:01", 0, id="at once"),
            pytest.param("01:11", None, id="when the second hour may have begun to be told"),
            pytest.param("02:01", None, id="at once after the second hour, or late, or again"),
        ],
    )
    def test_of_a_lone_hour_that_came_while_the_second_was_not_over_are_of_the_first(
        self, came: str, hour: int | None
    ) -> None:
        came_at = datetime.fromisoformat(f"2026-10-25T{came}+00:00")
        (told,) = hours_told(("02:00", "1;2;3;4"), came_at=came_at)
        assert (told.start_at.hour if isinstance(told, FieldIntervals) else None) == hour

    def test_that_answer_a_call_while_the_second_hour_was_not_over_are_of_the_first(self) -> None:
        came_at = datetime(2026, 10, 25, 1, 1, tzinfo=UTC)
        (told,) = hours_told(("02:00", "1;2;3;4"), transaction=CORRELATION, came_at=came_at)
        assert isinstance(told, CommandResult)
        assert [each.start_at.hour for each in told.intervals] == [0]

    def test_begin_at_no_hour_that_is_skipped(self) -> None:
        data = interval_data("<ch><idx>1</idx><d>1</d></ch>").replace("2026-03-29T00:00:00Z", "2026-03-29T02:30:00")
        (told,) = decoded(intervals_told(data))
        assert isinstance(told, UnreadableLine)
        assert "which no clock shows in Europe/Berlin" in told.reason

    def test_of_days_that_begin_at_a_time_that_is_there_twice_are_open(self) -> None:
        data = interval_data("<ch><idx>1</idx><d>1</d></ch>", length="1440")
        block = data[data.index("<block>") : data.index("</blocks>")]
        several = "".join(block.replace("2026-03-29T00:00:00Z", f"2026-10-{day}T02:00:00") for day in (24, 25, 26))
        events = decoded(intervals_told(data.replace(block, several)))
        assert [isinstance(each, UnreadableLine) for each in events] == [False, True, False]

    def test_of_two_channels_begin_at_the_same_hour(self) -> None:
        data = interval_data("<ch><idx>1</idx><d>1;2;3;4</d></ch>")
        block = data[data.index("<block>") : data.index("</blocks>")]
        several = "".join(
            block.replace("2026-03-29T00:00:00Z", f"2026-10-25T{start}:00").replace("<idx>1", f"<idx>{index}")
            for start in ("01:00", "02:00")
            for index in (1, 2)
        )
        events = decoded(intervals_told(data.replace(block, several)))
        assert [each.at.hour for each in events if isinstance(each, Unmapped) and each.at] == [23, 0]
        assert [each.start_at.hour for each in events if isinstance(each, FieldIntervals)] == [23, 0]

    @pytest.mark.parametrize(
        ("start", "length"),
        [
            pytest.param("0001-01-01T00:00:00+01:00", "15", id="before all years"),
            pytest.param("0001-01-01T00:00:00", "15", id="before all years, local"),
            pytest.param("9999-12-31T23:59:00Z", "15", id="after all years"),
            pytest.param("2026-03-29T00:00:00Z", "1e50", id="longer than all years"),
            pytest.param("2026-03-29T00:00:00Z", "1e99999999999999999999", id="a number nobody holds"),
        ],
    )
    def test_beyond_the_calendar_are_told_with_their_line(self, start: str, length: str) -> None:
        data = interval_data("<ch><idx>1</idx><d>1</d></ch>", length=length).replace("2026-03-29T00:00:00Z", start)
        (told,) = decoded(intervals_told(data))
        assert isinstance(told, UnreadableLine)

    @pytest.mark.parametrize("value", ["1e99", "0e99", "-1e-99", "1e99999999999999999999", "9" * 70])
    def test_that_no_quantity_is_are_told_with_their_line(self, value: str) -> None:
        (told,) = decoded(intervals_told(interval_data(f"<ch><idx>1</idx><d>1;{value}</d></ch>")))
        assert isinstance(told, UnreadableLine)
        assert "d[1]" in told.reason

    def test_answer_a_call(self) -> None:
        data = interval_data("<ch><idx>1</idx><d>1;2</d></ch>")
        (told,) = decoded(intervals_told(data, transaction=CORRELATION))
        assert isinstance(told, CommandResult)
        assert [list(each.values) for each in told.intervals] == [[Decimal(1), Decimal(2)]]
