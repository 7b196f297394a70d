"""The stored form of a value."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import StrEnum

import pytest

from mdus.contracts.binding import ShapeError, from_json, to_json, wire


class Colour(StrEnum):
    RED = "1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    name: str
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Everything:
    text: str = wire("A")
    flag: bool = wire("B", default=False)
    number: int | None = wire("C")
    amount: Decimal | None = wire("D")
    day: date | None = None
    at: time | None = None
    instant: datetime | None = None
    colour: Colour | None = None
    part: Part | None = None
    names: tuple[str, ...] = ()
    amounts: tuple[Decimal, ...] = ()


FULL = Everything(
    text="Zähler\n0042",
    flag=True,
    number=0,
    amount=Decimal("12345678901234567890.1234567890"),
    day=date(9999, 12, 31),
    at=time.max,
    instant=datetime(2025, 3, 30, 1, 0, 0, 5, tzinfo=UTC),
    colour=Colour.RED,
    part=Part(name="a", parts=(Part(name="b"),)),
    names=("x", ""),
    amounts=(Decimal("0.10"), Decimal("-1E+3")),
)


class TestJson:
    @pytest.mark.parametrize("value", [FULL, Everything(text="")], ids=["full", "empty"])
    def test_comes_back_the_same(self, value: Everything) -> None:
        assert from_json(Everything, to_json(value)) == value

    def test_keeps_every_digit(self) -> None:
        amount = from_json(Everything, to_json(FULL)).amount
        assert str(amount) == "12345678901234567890.1234567890"

    def test_writes_only_what_differs_from_the_default(self) -> None:
        assert to_json(Everything(text="1")) == '{"text":"1"}'

    def test_keeps_an_empty_text_and_a_zero(self) -> None:
        assert json.loads(to_json(Everything(text="", number=0))) == {"text": "", "number": 0}

    @pytest.mark.parametrize("text", ['{"text":"1","other":1}', '{"number":1}'], ids=["unknown-field", "missing-field"])
    def test_refuses_a_text_of_another_shape(self, text: str) -> None:
        with pytest.raises(ShapeError, match="another Everything"):
            from_json(Everything, text)

    def test_refuses_a_type_without_json_form(self) -> None:
        @dataclass(frozen=True)
        class Wrong:
            some: dict[str, str]

        with pytest.raises(ShapeError, match="no JSON form"):
            to_json(Wrong(some={}))
