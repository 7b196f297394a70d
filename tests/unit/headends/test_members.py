"""Members of JSON objects that nobody can hold."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mdus.headends import _members as members


class TestOfBody:
    @pytest.mark.parametrize("number", ["1e99999999999999999999", "1.5E-99999999999999999999", "9" * 5000])
    def test_refuses_numbers_that_nobody_can_hold(self, number: str) -> None:
        with pytest.raises(ValueError, match="not JSON"):
            members.of_body(b'{"x": %b}' % number.encode())


class TestInstant:
    @pytest.mark.parametrize("value", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
    def test_refuses_what_is_beyond_the_calendar(self, value: str) -> None:
        with pytest.raises(ValueError, match=r"reads.at is .* beyond the calendar"):
            members.instant({"at": value}, "at", "reads")


class TestQuantity:
    @pytest.mark.parametrize(
        "value", [Decimal("1e61"), Decimal("-1e-61"), Decimal("0E+99"), 10**61, "1" + "0" * 61, "0." + "0" * 60 + "1"]
    )
    def test_refuses_what_no_quantity_is(self, value: object) -> None:
        with pytest.raises(ValueError, match=r"x is .* a number no quantity has"):
            members.quantity({"x": value}, "x", "")
        with pytest.raises(ValueError, match="a number no quantity has"):
            members.quantities({"x": [value]}, "x", "")

    @pytest.mark.parametrize("value", [Decimal("1e60"), 10**60, "0.001", "0", "0.000"])
    def test_takes_any_other(self, value: object) -> None:
        assert members.quantity({"x": value}, "x", "") == Decimal(str(value))
