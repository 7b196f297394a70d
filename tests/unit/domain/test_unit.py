"""Units of SAP and of the field: found, converted exactly, never guessed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from mdus.domain.unit import UnitRow, Units, ambiguous_texts, contradicting_codes
from mdus.settings import data_folder, load_settings

DELIVERED = Units.of(load_settings({}))


def row(**columns: Any) -> UnitRow:
    return UnitRow(**{"name": "a", "code": "KWH", "quantity": "energy", **columns})


class TestCodes:
    @pytest.mark.parametrize(
        ("code", "known"),
        [("KWH", True), ("M3", True), ("MTQ", True), ("KVR", True), ("kwh", False), ("XYZ", False), ("KVARH", False)],
    )
    def test_are_known_as_sap_writes_them(self, code: str, known: bool) -> None:
        assert DELIVERED.is_known(code, division=None) is known

    @pytest.mark.parametrize(
        ("division", "known"),
        [pytest.param("1", True, id="its own"), pytest.param("01", True, id="with a zero"), ("2", False), (None, True)],
    )
    def test_of_one_division_are_not_for_another(self, division: str | None, known: bool) -> None:
        assert Units(rows=(row(division="1"),)).is_known("KWH", division=division) is known

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            pytest.param("kWh", "KWH", id="as the field writes it"),
            pytest.param("KWH", "KWH", id="in capitals, as IEC units are printed"),
            pytest.param("KVARH", "KVR", id="longer than SAP's codes"),
            pytest.param("m³", "M3", id="superscript"),
            pytest.param("MTQ", "MTQ", id="SAP's own code"),
            pytest.param("smoot", None, id="a unit of nobody"),
        ],
    )
    def test_are_found_by_what_the_field_says(self, text: str, code: str | None) -> None:
        assert DELIVERED.code_of(text) == code

    def test_of_the_division_go_before_those_for_all(self) -> None:
        units = Units(rows=(row(code="M3", texts="m3"), row(code="NM3", texts="m3", division="2")))
        assert [units.code_of("m3", division=division) for division in (None, "1", "02")] == ["M3", "M3", "NM3"]

    def test_are_taken_by_their_text_before_another_units_code(self) -> None:
        units = Units(rows=(row(code="W", quantity="power"), row(code="WAT", texts="W", quantity="power")))
        assert units.code_of("w") == "WAT"

    @pytest.mark.parametrize(
        ("code", "text"),
        [
            pytest.param("KWH", "kWh", id="the first name of its row"),
            pytest.param("GC", "°C", id="the first of several"),
            pytest.param("MTQ", "m3", id="the name of another row of the same size"),
            pytest.param("K3", "kvarh", id="the name of another row of the same quantity"),
            pytest.param("XYZ", "XYZ", id="a code that stands nowhere"),
        ],
    )
    def test_are_called_as_the_field_calls_them(self, code: str, text: str) -> None:
        assert DELIVERED.text_of(code) == text

    def test_without_a_name_of_their_size_are_called_by_their_code(self) -> None:
        units = Units(rows=(row(), row(code="MWH", texts="MWh", factor="1000")))
        assert (units.text_of("KWH"), units.text_of("MWH")) == ("KWH", "MWh")

    def test_delivered_bring_every_text_to_one_code_of_three_letters(self) -> None:
        assert ambiguous_texts(DELIVERED.rows) == []
        assert contradicting_codes(DELIVERED.rows) == []
        texts = [text for one in DELIVERED.rows for text in one.texts]
        assert len(texts) > 20
        assert [text for text in texts if len(DELIVERED.code_of(text) or "long") > 3] == []


class TestConversion:
    @pytest.mark.parametrize(
        ("value", "told", "wanted", "converted"),
        [
            pytest.param("5000", "Wh", "KWH", "5", id="to a larger unit"),
            pytest.param("0.005", "MWh", "WH", "5000", id="to a smaller unit"),
            pytest.param("12.5", "kWh", "KWH", "12.5", id="the same"),
            pytest.param("12.5", None, "KWH", "12.5", id="none told"),
            pytest.param("12.5", "smoot", "SMOOT", "12.5", id="one nobody knows, written alike"),
            pytest.param("12.5", "smoot", "KWH", None, id="one nobody knows"),
            pytest.param("12.5", "kWh", "XYZ", None, id="to one nobody knows"),
            pytest.param("12.5", "kWh", "KVR", None, id="to another quantity"),
            pytest.param("12.5", "kWh", "KW", None, id="from energy to power"),
            pytest.param("12.5", "m3", "MTQ", "12.5", id="to the ISO code"),
        ],
    )
    def test_keeps_what_is_measured(self, value: str, told: str | None, wanted: str, converted: str | None) -> None:
        found = DELIVERED.converted(Decimal(value), told=told, wanted=wanted)
        assert found == (None if converted is None else Decimal(converted))

    def test_is_exact_where_the_ratio_is_none(self) -> None:
        units = Units(rows=(row(code="A", factor="1"), row(code="B", factor="3.6")))
        assert units.converted(Decimal(36), told="A", wanted="B") == Decimal(10)


class TestARow:
    @pytest.mark.parametrize(
        ("columns", "told"),
        [
            pytest.param({"code": "KVARH"}, "at most 3", id="a code too long for SAP"),
            pytest.param({"code": ""}, "at least 1", id="no code"),
            pytest.param({"factor": "0"}, "greater than 0", id="a factor of nothing"),
            pytest.param({"factor": 0.1}, "write it as text", id="a factor that is not exact"),
            pytest.param({"quantity": ""}, "at least 1", id="no quantity"),
        ],
    )
    def test_is_refused_when_it_makes_no_sense(self, columns: dict[str, Any], told: str) -> None:
        with pytest.raises(ValidationError, match=told):
            row(**columns)

    @pytest.mark.parametrize("factor", ["0.001", 1000, "3.6"])
    def test_has_an_exact_factor(self, factor: str | int) -> None:
        assert row(factor=factor).factor == Decimal(factor)

    def test_is_explained_column_by_column(self) -> None:
        text = (data_folder("config") / "units.toml").read_text(encoding="utf-8")
        assert [name for name in UnitRow.model_fields if f"#   {name} = " not in text] == []


class TestRowsThatDisagree:
    def test_claim_the_same_text(self) -> None:
        one, other = row(code="M3", texts="m3, cbm"), row(code="MTQ", texts="CBM")
        assert ambiguous_texts([one, other]) == [("cbm", one, other)]
        assert ambiguous_texts([one, row(code="MTQ", texts="m3", division="2")]) == []

    def test_give_one_code_two_meanings(self) -> None:
        one, other = row(texts="kWh"), row(texts="kWh thermal", factor="2")
        assert contradicting_codes([one, other]) == [(one, other)]
        assert contradicting_codes([one, row(texts="unit")]) == []
