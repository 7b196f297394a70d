"""ReadingTypes: read part by part, the same however peers write them, and converted without losing a digit."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest

from mdus.domain.reading_type import ReadingType, same, scaled, times

KWH = "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"


def alike(one: str, other: str) -> bool:
    return same(ReadingType.parse(one), ReadingType.parse(other))


class TestParse:
    def test_reads_each_part_and_prints_it_again(self) -> None:
        found = ReadingType.parse("8.8.2.6.1.1.37.0.0.0.0.1.0.0.128.3.38.0")
        assert (found.macro_period, found.aggregate, found.measuring_period, found.accumulation) == (8, 8, 2, 6)
        assert (found.flow, found.commodity, found.kind, found.tou, found.phase) == (1, 1, 37, 1, 128)
        assert (found.multiplier, found.unit, found.currency) == (3, 38, 0)
        assert str(found) == "8.8.2.6.1.1.37.0.0.0.0.1.0.0.128.3.38.0"

    def test_takes_a_power_of_ten_below_zero(self) -> None:
        assert ReadingType.parse(KWH.replace(".3.72", ".-3.72")).multiplier == -3

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="nothing"),
            pytest.param(KWH.removesuffix(".0"), id="seventeen parts"),
            pytest.param(KWH + ".0", id="nineteen parts"),
            pytest.param(KWH.replace("72", "x"), id="a letter"),
            pytest.param(KWH.replace("72", "²"), id="a digit that is none of ASCII"),
            pytest.param(KWH.replace("72", "9" * 40), id="a number without end"),
            pytest.param(f" {KWH}", id="a space"),
        ],
    )
    def test_refuses_what_is_none(self, text: str) -> None:
        with pytest.raises(ValueError, match="18 numbers"):
            ReadingType.parse(text)


class TestSame:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            pytest.param(KWH, "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.0.72.0", id="another power of ten"),
            pytest.param(KWH, "0.0.0.9.1.1.12.0.0.0.0.0.0.0.0.3.72.0", id="summation"),
            pytest.param(
                "0.0.0.1.5.1.12.0.0.0.0.0.0.0.0.3.73.0", "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.73.0", id="Q1 and Q2"
            ),
            pytest.param(
                "0.0.0.1.13.1.12.0.0.0.0.0.0.0.0.3.73.0", "0.0.0.1.19.1.12.0.0.0.0.0.0.0.0.3.73.0", id="Q3 and Q4"
            ),
            pytest.param(
                "0.0.0.12.0.1.158.0.0.0.0.0.0.0.129.0.29.0", "0.0.0.6.0.1.54.0.0.0.0.0.0.0.128.0.29.0", id="voltage"
            ),
            pytest.param("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", "0.0.7.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", id="length"),
            pytest.param("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", "11.0.0.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", id="a day"),
            pytest.param(
                "8.8.2.6.1.1.8.0.0.0.0.0.0.0.0.3.38.0", "8.8.53.6.1.1.8.0.0.0.0.0.0.0.0.3.38.0", id="fixed block"
            ),
            pytest.param(
                "0.0.0.1.1.9.58.0.0.0.0.0.0.0.0.0.42.0", "0.0.0.1.1.9.58.0.0.0.0.0.0.0.0.0.128.0", id="gallons"
            ),
        ],
    )
    def test_is_what_peers_write_in_two_ways(self, one: str, other: str) -> None:
        assert alike(one, other)
        assert alike(other, one)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            pytest.param(KWH, "0.0.0.1.19.1.12.0.0.0.0.0.0.0.0.3.72.0", id="the other direction"),
            pytest.param(KWH, "0.0.0.1.5.1.12.0.0.0.0.0.0.0.0.3.72.0", id="Q1 and Q2 of active energy"),
            pytest.param(KWH, "0.0.0.9.1.1.12.0.0.0.0.1.0.0.0.3.72.0", id="a time of use"),
            pytest.param(KWH, "0.0.0.1.1.7.12.0.0.0.0.0.0.0.0.3.72.0", id="gas"),
            pytest.param(KWH, "0.0.0.3.1.1.12.0.0.0.0.0.0.0.0.3.72.0", id="cumulative"),
            pytest.param(KWH, "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", id="an interval"),
            pytest.param(KWH, "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.73.0", id="reactive"),
            pytest.param(
                "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", "13.0.0.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", id="a month"
            ),
            pytest.param(
                "0.0.0.12.0.1.158.0.0.0.0.0.0.0.129.0.29.0", "0.0.0.12.0.1.158.0.0.0.0.0.0.0.65.0.29.0", id="phases"
            ),
            pytest.param(
                "0.0.0.12.1.1.37.0.0.0.0.0.0.0.0.3.38.0", "0.0.0.6.1.1.37.0.0.0.0.0.0.0.0.3.38.0", id="indicating power"
            ),
            pytest.param(
                "0.0.0.1.1.7.58.0.0.0.0.0.0.0.0.0.42.0", "0.0.0.1.1.7.58.0.0.0.0.0.0.0.0.0.167.0", id="uncorrected"
            ),
        ],
    )
    def test_is_nothing_else(self, one: str, other: str) -> None:
        assert not alike(one, other)


class TestMinutes:
    @pytest.mark.parametrize(
        ("mrid", "minutes"),
        [
            ("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", 15),
            ("0.0.5.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", 30),
            ("0.0.7.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", 60),
            ("0.0.4.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", 1440),
            ("11.0.0.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", 1440),
            pytest.param("0.0.0.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", None, id="does not say"),
            pytest.param("13.0.0.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0", None, id="a month"),
            pytest.param("0.0.2.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0", None, id="no interval"),
        ],
    )
    def test_are_those_of_a_quantity(self, mrid: str, minutes: int | None) -> None:
        assert ReadingType.parse(mrid).minutes == minutes

    @pytest.mark.parametrize("minutes", [1, 3, 5, 10, 15, 20, 30, 60, 1440])
    def test_may_be_others(self, minutes: int) -> None:
        quarter = ReadingType.parse("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0")
        other = quarter.over(minutes)
        assert other.minutes == minutes
        assert same(other, quarter)

    def test_may_be_no_others(self) -> None:
        with pytest.raises(ValueError, match="7 minutes"):
            ReadingType.parse("0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0").over(7)


class TestDescribed:
    def test_has_its_parts_in_words(self) -> None:
        assert ReadingType.parse(KWH).described == "bulk quantity, forward, electricity, energy, 10^3 Wh"
        told = ReadingType.parse("0.0.2.4.19.7.58.0.0.0.0.2.0.0.0.0.42.0").described
        assert told == "15 minutes, delta, reverse, gas, volume, time of use 2, m3"

    def test_leaves_a_number_it_does_not_know(self) -> None:
        assert "kind 999" in ReadingType.parse(KWH.replace(".12.", ".999.")).described
        assert "unit 998" in ReadingType.parse(KWH.replace(".72.", ".998.")).described


class TestScaled:
    @pytest.mark.parametrize(
        ("value", "exponent", "result"),
        [("12345678", -3, "12345.678"), ("12.5", 3, "12500"), ("0", 3, "0"), ("-1", -6, "-0.000001")],
    )
    def test_moves_the_point(self, value: str, exponent: int, result: str) -> None:
        assert scaled(Decimal(value), exponent) == Decimal(result)

    def test_loses_no_digit(self) -> None:
        long = Decimal("1234567890123456789012345678901234567890.123456789")
        with localcontext(prec=5):
            assert scaled(long, 3).as_tuple().digits == long.as_tuple().digits
            assert times(long, Decimal("0.3")).as_tuple().digits == tuple(
                map(int, "3703703670370370367037037036703703703670370370367")
            )
