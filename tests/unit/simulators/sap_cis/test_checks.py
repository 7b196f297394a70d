"""Rules about one part of a message."""

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from simulators.sap_cis.checks import overall_code, reading_instants, value_findings
from simulators.sap_cis.view import Register

BERLIN = ZoneInfo("Europe/Berlin")
REGISTER = Register(lrn="1", obis="1-0:1.8.0*255", unit="KWH", digits=4, decimals=2)


class TestReadingInstants:
    @pytest.mark.parametrize(
        ("on", "at", "expected"),
        [
            pytest.param("2026-03-28", "00:00:00", ["2026-03-27T23:00:00+00:00"], id="winter"),
            pytest.param("2026-07-01", "00:00:00", ["2026-06-30T22:00:00+00:00"], id="summer"),
            pytest.param("2026-03-29", "02:30:00", [], id="skipped_hour"),
            pytest.param(
                "2026-10-25",
                "02:30:00",
                ["2026-10-25T00:30:00+00:00", "2026-10-25T01:30:00+00:00"],
                id="repeated_hour",
            ),
        ],
    )
    def test_are_those_a_local_time_can_mean(self, on: str, at: str, expected: list[str]) -> None:
        assert [instant.isoformat() for instant in reading_instants(on, at, BERLIN)] == expected


class TestOverallCode:
    @pytest.mark.parametrize(
        ("codes", "expected"),
        [
            pytest.param(["3", "3"], "3", id="all"),
            pytest.param(["3", "5"], "4", id="some"),
            pytest.param(["5", "4"], "4", id="partly_some"),
            pytest.param(["5", "5"], "5", id="none"),
        ],
    )
    def test_follows_from_the_parts(self, codes: list[str], expected: str) -> None:
        assert overall_code(codes) == expected


class TestValueFindings:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            pytest.param("0", [], id="zero"),
            pytest.param("9999.99", [], id="largest"),
            pytest.param("10000", ["value_too_large"], id="one_more"),
            pytest.param("1000", [], id="trailing_zeros_are_no_exponent"),
            pytest.param("1.250", [], id="a_zero_after_the_last_decimal"),
            pytest.param("1.251", ["value_decimals"], id="a_digit_after_the_last_decimal"),
            pytest.param("-0.01", ["value_negative"], id="negative"),
        ],
    )
    def test_judge_a_value_by_its_register(self, value: str, expected: list[str]) -> None:
        Decimal(value)
        assert [name for name, _ in value_findings(value, REGISTER)] == expected
