"""Texts of rows that nobody can hold."""

from __future__ import annotations

import pytest

from mdus.headends.file_drop.rows import Row


class TestRow:
    @pytest.mark.parametrize(
        "text", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "2026-03-29T00:00:00", "soon"]
    )
    def test_has_no_instant_beyond_the_calendar_or_without_zone(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"at: an instant such as .* is expected, found"):
            Row(1, {"at": text}).instant("at")

    @pytest.mark.parametrize("text", ["1e61", "1e-61", "0e99", "9" * 62])
    def test_has_no_number_that_no_quantity_is(self, text: str) -> None:
        with pytest.raises(ValueError, match="value: a number is expected"):
            Row(1, {"value": text}).number("value")

    @pytest.mark.parametrize("text", ["1e60", "0", "-0.0"])
    def test_has_any_other_number(self, text: str) -> None:
        assert Row(1, {"value": text}).number("value") is not None
