"""SAP's recurrence codes as minutes: a table, compared without leading zeros."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from mdus.domain.recurrence import PLAIN, RecurrenceRow, Recurrences, repeated_codes
from mdus.settings import data_folder, load_settings

DELIVERED = Recurrences.of(load_settings({}))


def row(code: str, minutes: int = 15) -> RecurrenceRow:
    return RecurrenceRow(name="a", code=code, minutes=minutes)


class TestACode:
    @pytest.mark.parametrize(
        ("code", "minutes"),
        [
            pytest.param("0", PLAIN, id="a plain register"),
            pytest.param("0000", PLAIN, id="with zeros"),
            pytest.param(None, PLAIN, id="none"),
            pytest.param("15", 15, id="quarter of an hour"),
            pytest.param("0015", 15, id="quarter of an hour, with zeros"),
            pytest.param("99", None, id="not in the table"),
        ],
    )
    def test_means_what_the_table_says(self, code: str | None, minutes: int | None) -> None:
        assert DELIVERED.minutes_of(code) == minutes

    def test_may_be_given_another_meaning(self) -> None:
        rows = {"HOUR__CODE": "H1", "WEEKLY__CODE": "7", "WEEKLY__MINUTES": "1440"}
        settings = load_settings({f"MDUS_RECURRENCES__{name}": value for name, value in rows.items()})
        recurrences = Recurrences.of(settings)
        assert [recurrences.minutes_of(code) for code in ("H1", "60", "7")] == [60, None, 1440]


class TestARow:
    @pytest.mark.parametrize("minutes", [0, 1, 5, 10, 15, 20, 30, 60, 120, 1440])
    def test_has_intervals_that_part_a_day(self, minutes: int) -> None:
        assert row("1", minutes).minutes == minutes

    @pytest.mark.parametrize("minutes", [-15, 7, 45, 90, 300, 1439, 2880])
    def test_is_refused_with_others(self, minutes: int) -> None:
        with pytest.raises(ValidationError):
            row("1", minutes)

    @pytest.mark.parametrize("code", ["", "10000"])
    def test_is_refused_with_a_code_sap_cannot_send(self, code: str) -> None:
        with pytest.raises(ValidationError):
            row(code)

    def test_repeats_the_code_of_another(self) -> None:
        one, other = row("15"), row("0015", 30)
        assert repeated_codes([one, other]) == [(one, other)]
        assert repeated_codes([one, row("16")]) == []

    def test_is_explained_column_by_column(self) -> None:
        text = (data_folder("config") / "recurrence.toml").read_text(encoding="utf-8")
        assert [name for name in RecurrenceRow.model_fields if f"#   {name} = " not in text] == []
