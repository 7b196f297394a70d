"""Values to JSON and back: what an item row and a result column hold.

Compact and readable: an object per dataclass with the fields that differ from their default, decimals as text so that
no digit is lost, dates and instants in ISO form. Any frozen dataclass of leaves, tuples and dataclasses will do.
"""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Callable
from dataclasses import MISSING
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, Final, TypeVar

from mdus.contracts.shape import ShapeError, describe, once_per_class, unwrap

S = TypeVar("S")
_Convert = Callable[[Any], Any]
#: Made once: `json.dumps` with options of its own makes a new one for every text.
_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def to_json(value: object) -> str:
    """Return a dataclass value as compact JSON."""
    return _JSON.encode(_encode(value))


def from_json(shape: type[S], text: str | bytes) -> S:
    """Return the value of `shape` that `to_json` wrote; `ShapeError` if the text was written for another shape."""
    value: S = _decoder(shape)(json.loads(text))
    return value


def json_of_field(shape: type, name: str) -> _Convert:
    """Return what makes the JSON of one field's value, as it stands in the text of `to_json`."""
    convert = next(convert for known, convert, _ in _encoders(shape) if known == name)
    return lambda value: _JSON.encode(value if convert is None or value is None else convert(value))


# -- compiling, once per class -----------------------------------------------------------------------------------------

_ENCODE: Final[dict[type, _Convert | None]] = {
    str: None,
    bool: None,
    int: None,
    float: None,
    Decimal: str,
    date: date.isoformat,
    time: time.isoformat,
    datetime: datetime.isoformat,
}
_DECODE: Final[dict[type, _Convert | None]] = {
    str: None,
    bool: None,
    int: None,
    float: None,
    Decimal: Decimal,
    date: date.fromisoformat,
    time: time.fromisoformat,
    datetime: datetime.fromisoformat,
}


def _encode(value: object) -> dict[str, Any]:
    encoded = {}
    for name, convert, default in _encoders(type(value)):
        content = getattr(value, name)
        if content is not default and content != default:
            encoded[name] = content if convert is None or content is None else convert(content)
    return encoded


@once_per_class
def _encoders(shape: type) -> tuple[tuple[str, _Convert | None, Any], ...]:
    hints = _hints(shape)
    return tuple(
        (item.name, _converter(hints[item.name], _ENCODE, of_dataclass=lambda _: _encode, of_enum=_code), item.default)
        for item in dataclasses.fields(shape)
    )


@once_per_class
def _decoder(shape: type) -> _Convert:
    hints = _hints(shape)
    converters = {
        item.name: _converter(hints[item.name], _DECODE, of_dataclass=_decoder, of_enum=_member)
        for item in dataclasses.fields(shape)
    }
    required = {
        item.name for item in dataclasses.fields(shape) if item.default is MISSING and item.default_factory is MISSING
    }

    def decode(content: dict[str, Any]) -> Any:
        if not (required <= content.keys() <= converters.keys()):
            raise ShapeError(f"the text was written for another {shape.__qualname__}: it has {', '.join(content)}")
        values = {}
        for name, raw in content.items():
            convert = converters[name]
            values[name] = raw if convert is None or raw is None else convert(raw)
        return shape(**values)

    return decode


def _hints(shape: type) -> dict[str, Any]:
    if not dataclasses.is_dataclass(shape):
        raise ShapeError(f"{shape!r} is no dataclass")
    return typing.get_type_hints(shape)


def _converter(
    hint: Any,
    table: dict[type, _Convert | None],
    *,
    of_dataclass: Callable[[type], _Convert],
    of_enum: Callable[[type[Enum]], _Convert],
) -> _Convert | None:
    """Return what turns one field to or from JSON; None when it stays as it is."""
    inner, _, repeated = unwrap(hint)
    one: _Convert | None
    if isinstance(inner, type) and inner in table:
        one = table[inner]
    elif isinstance(inner, type) and issubclass(inner, Enum):
        one = of_enum(inner)
    elif isinstance(inner, type) and dataclasses.is_dataclass(inner):
        # Looked up when first used: a shape may hold itself.
        one = _late(of_dataclass, inner)
    else:
        raise ShapeError(f"{describe(hint)} has no JSON form")
    if not repeated:
        return one
    if one is None:
        return tuple
    return lambda content: tuple(map(one, content))


def _late(of_dataclass: Callable[[type], _Convert], shape: type) -> _Convert:
    return lambda content: of_dataclass(shape)(content)


def _code(codes: type[Enum]) -> _Convert:
    return lambda member: member.value


def _member(codes: type[Enum]) -> _Convert:
    return codes
