"""What registers moved in a period, and the gate that holds what its values do not come to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from mdus.billing.determinant import GATE_WORDS, Gate, gate
from mdus.billing.measured import Dial, Span
from mdus.billing.period import Period
from mdus.billing.register_advance import Advance, ReadingKey, advance, keys_of
from mdus.billing.tally import Tally
from mdus.domain.reading import MeterReading
from tests.unit.billing.market import channel, instant, policy, row

JUNE = Period(start=date(2026, 6, 1), end=date(2026, 7, 1), reason="month")
DIAL = Dial("1-0:1.8.0*255", "KWH", 8, 2, Fraction(40))
SPAN = Span(channel=channel(), start=instant(date(2026, 1, 1)), end=None, factor=Fraction(40), dial=DIAL)
NOON = instant(date(2026, 6, 15), 12)


def shown(at: datetime, value: str, *, device: str = "42", unit: str | None = "kWh") -> dict[ReadingKey, MeterReading]:
    reading = MeterReading(
        sender_system="P11",
        device_id=device,
        reading_type=DIAL.reading_type,
        measured_at=at,
        value=Decimal(value),
        unit=unit,
        received_at=datetime(2026, 7, 2, tzinfo=UTC),
    )
    return {("P11", device, DIAL.reading_type, at): reading}


BEGIN, END = instant(JUNE.start), instant(JUNE.end)


class TestAdvance:
    def test_is_what_the_register_moved_times_its_factor(self) -> None:
        readings = shown(BEGIN, "100.00") | shown(END, "112.50")
        assert advance([SPAN], JUNE, readings, row(), policy()) == (Fraction(500), Fraction(40, 100))

    def test_is_told_in_the_unit_of_the_row(self) -> None:
        readings = shown(BEGIN, "100000", unit="Wh") | shown(END, "112.50")
        found = advance([SPAN], JUNE, readings, row(unit="WH", demand_unit="W"), policy())
        assert found == (Fraction(500_000), Fraction(400))

    @pytest.mark.parametrize(
        ("before", "after", "moved"),
        [("999990.00", "5.00", 15), ("500000.00", "400000.00", -100_000)],
        ids=["turned over", "fell"],
    )
    def test_believes_a_turn_of_less_than_half_the_range(self, before: str, after: str, moved: int) -> None:
        found = advance([SPAN], JUNE, shown(BEGIN, before) | shown(END, after), row(), policy())
        assert found is not None
        assert found.moved == 40 * moved

    def test_adds_up_both_meters_of_an_exchange(self) -> None:
        old = replace(SPAN, end=NOON)
        new = replace(SPAN, channel=channel("43"), start=NOON, dial=DIAL._replace(factor=Fraction(1)))
        readings = shown(BEGIN, "100.00") | shown(NOON, "101.00")
        readings |= shown(NOON, "0.00", device="43") | shown(END, "7.00", device="43")
        assert set(keys_of([old, new], JUNE)) == set(readings)
        found = advance([old, new], JUNE, readings, row(), policy())
        assert found is not None
        assert found.moved == 40 + 7

    @pytest.mark.parametrize("lacks", [BEGIN, END])
    def test_of_a_register_that_was_not_read_at_an_end_is_unknown(self, lacks: datetime) -> None:
        readings = {key: each for key, each in (shown(BEGIN, "1") | shown(END, "2")).items() if key[3] != lacks}
        assert advance([SPAN], JUNE, readings, row(), policy()) is None

    def test_of_a_register_nobody_knows_is_unknown(self) -> None:
        assert advance([replace(SPAN, dial=None)], JUNE, {}, row(), policy()) is None
        assert advance([], JUNE, {}, row(), policy()) is None


class TestGate:
    @pytest.mark.parametrize(
        ("total", "percent", "holds"),
        [
            ("100.02", 0, False),
            ("100.03", 0, True),
            ("99.97", 0, True),
            ("100.5", 0.5, False),
            ("100.51", 0.5, True),
            ("90", None, False),
        ],
    )
    def test_holds_what_is_further_from_the_register(self, total: str, percent: float | None, *, holds: bool) -> None:
        found = Tally(intervals=96, sums={"all": Fraction(total)}, advance=Advance(Fraction(100), Fraction(1, 100)))
        reason = gate(found, row(most_off_register_percent=percent), JUNE)
        assert (reason is not None) == holds

    def test_says_by_how_much(self) -> None:
        found = Tally(intervals=96, sums={"all": Fraction(90)}, advance=Advance(Fraction(100), Fraction(1, 100)))
        assert gate(found, row(most_off_register_percent=0), JUNE) == (
            "the values come to 90 KWH, the register moved 100 KWH; 0.02 KWH may be between"
        )

    def test_does_not_judge_what_nobody_can_say(self) -> None:
        found = Tally(intervals=96, sums={"all": Fraction(90)})
        assert gate(found, row(most_off_register_percent=0), JUNE) is None

    @pytest.mark.parametrize(
        ("found", "limits", "closed"),
        [
            (Tally(misfit="values in M3 are none in KWH"), {}, Gate.UNIT),
            (Tally(), {}, Gate.UNMEASURED),
            (Tally(intervals=96, missing=1), {}, Gate.MISSING),
            (Tally(intervals=96, suspect=1), {}, Gate.SUSPECT),
            (Tally(intervals=96, estimated=1), {"most_estimated_percent": 1}, Gate.ESTIMATED),
            (
                Tally(intervals=96, estimated=1, first_estimated=JUNE.start),
                {"oldest_estimate_days": 1},
                Gate.OLD_ESTIMATE,
            ),
            (
                Tally(intervals=96, sums={"all": Fraction(90)}, advance=Advance(Fraction(100), Fraction(1, 100))),
                {"most_off_register_percent": 0},
                Gate.REGISTER,
            ),
        ],
        ids=[each.value for each in Gate],
    )
    def test_is_known_by_the_words_of_its_reason(self, found: Tally, limits: dict[str, Any], closed: Gate) -> None:
        reason = gate(found, row(**limits), JUNE)
        assert reason is not None
        assert [of for of, words in GATE_WORDS.items() if words in reason] == [closed]
