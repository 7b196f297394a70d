"""Shapes: frozen dataclasses whose fields say where they stand on the wire.

A shape is an ordinary dataclass; `wire(path)` beside a field is its only tie to XML. Paths are relative to the message
(the item of a bulk), or, in a nested shape, to the element that the outer field names.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import re
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, TypeVar, Union, cast

F = TypeVar("F", bound=Callable[..., Any])
_WIRE: Final = "mdus.wire"
_BLANKS: Final = re.compile(r"[ \t\r\n]+")
"""White space as XSD means it; Python's own notion is wider and would change a text."""
_OPEN_END: Final = date(9999, 12, 31)
END_OF_DAY: Final = time.max
"""What 24:00:00 is bound to. Python has no such time; on the wire it is SAP's way to say the end of a day."""


def once_per_class(function: F) -> F:
    """Return the function with its results remembered, as `functools.cache` does, and its signature kept for types."""
    return cast(F, functools.cache(function))


class ShapeError(TypeError):
    """A shape cannot be bound to XML: a defect of the shape, found when it is first used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WirePath:
    """Where a field stands: a path of element names, and the attribute at its end if it is one."""

    elements: tuple[str, ...]
    attribute: str | None = None
    inclusive_end: bool = False
    verbatim: bool = False

    def __str__(self) -> str:
        steps = (*self.elements, f"@{self.attribute}") if self.attribute else self.elements
        return "/".join(steps) or "."


class _WireField(dataclasses.Field):  # type: ignore[type-arg]
    """A dataclass field that takes its default from its annotation: `X | None` is None, a tuple is empty.

    `__set_name__` is called before the dataclass decorator looks at the field, with the annotations at hand.
    """

    __slots__ = ()

    def __set_name__(self, owner: type, name: str) -> None:
        if self.default is not MISSING or self.default_factory is not MISSING:
            return
        annotation = owner.__annotations__.get(name)
        if isinstance(annotation, str):
            # Not yet resolved; the two spellings the code base uses are plain to see.
            if annotation.endswith("| None"):
                self.default = None
            elif annotation.startswith("tuple["):
                self.default = ()
        elif annotation is not None:
            _, optional, repeated = unwrap(annotation)
            if optional:
                self.default = None
            elif repeated:
                self.default = ()


def wire(path: str, *, default: Any = MISSING) -> Any:
    """Return a dataclass field bound to `path`: `A/B` an element, `A/@b` an attribute, `.` the element's own text.

    A field of type `X | None` is optional with None as default, one of type `tuple[X, ...]` holds every repetition of
    the last element. X is a leaf (str, bool, int, Decimal, date, time, datetime or an Enum of codes) or another shape.
    Text loses outer white space and keeps its zeros; a datetime is aware UTC.
    """
    return _field(_parse(path), default=default)


def wire_end(path: str) -> Any:
    """Return a field of type `date | None` bound to one of SAP's inclusive end dates.

    In the value the end is exclusive: the day after SAP's. SAP's 9999-12-31 is an open end, None.
    """
    return _field(dataclasses.replace(_parse(path), inclusive_end=True), default=MISSING)


def wire_text(path: str, *, default: Any = MISSING) -> Any:
    """Return a field of type str (or `str | None`) that keeps the white space of free text, such as a note."""
    return _field(dataclasses.replace(_parse(path), verbatim=True), default=default)


def _field(path: WirePath, *, default: Any) -> Any:
    arguments: dict[str, Any] = {
        "default": default,
        "default_factory": MISSING,
        "init": True,
        "repr": True,
        "hash": None,
        "compare": True,
        "metadata": {_WIRE: path},
        "kw_only": MISSING,
    }
    return _WireField(**arguments)


def _parse(path: str) -> WirePath:
    *elements, last = path.split("/")
    attribute = last[1:] if last.startswith("@") else None
    if attribute is None and last != ".":
        elements.append(last)
    if not all(elements) or attribute == "":
        raise ShapeError(f"{path!r} is no wire path")
    return WirePath(elements=tuple(elements), attribute=attribute)


# -- leaves ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """How one Python type reads from and is written to text; `builtins` are the XSD types it may stand for."""

    parse: Callable[[str], Any]
    format: Callable[[Any], str]
    builtins: frozenset[str]
    expected: str


def _parse_token(text: str) -> str:
    # Nearly every identifier and code is one word; the exact rule is for the rest.
    words = text.split()
    if len(words) == 1 and len(words[0]) == len(text):
        return text
    return _BLANKS.sub(" ", text).strip(" ")


def _parse_bool(text: str) -> bool:
    text = text.strip()
    if text in ("true", "1"):
        return True
    if text in ("false", "0"):
        return False
    raise ValueError(text)


def _parse_decimal(text: str) -> Decimal:
    try:
        value = Decimal(text.strip())
    except ArithmeticError as error:
        raise ValueError(text) from error
    if not value.is_finite():
        raise ValueError(text)
    return value


def _parse_date(text: str) -> date:
    return date.fromisoformat(text.strip())


def _parse_time(text: str) -> time:
    text = text.strip()
    return END_OF_DAY if text == "24:00:00" else time.fromisoformat(text)


def _parse_datetime(text: str) -> datetime:
    if len(text) == len("2025-03-01T10:00:00Z") and text[11:13] != "24":
        # The form all instants but the time series' have: no white space, no fraction, a Z.
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is UTC:
            return instant
    text = text.strip()
    day_after = timedelta(0)
    if text[10:19] == "T24:00:00":
        text, day_after = f"{text[:10]}T00:00:00{text[19:]}", timedelta(days=1)
    instant = datetime.fromisoformat(text) + day_after
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _parse_end(text: str) -> date | None:
    last = _parse_date(text)
    return None if last == _OPEN_END else last + timedelta(days=1)


def _format_bool(value: bool) -> str:
    return "true" if value else "false"


def _format_decimal(value: Decimal) -> str:
    return format(value, "f")


def _format_time(value: time) -> str:
    return "24:00:00" if value == END_OF_DAY else value.strftime("%H:%M:%S")


def format_local(value: datetime) -> str:
    """Return an instant as the contract's zone-less types want it: UTC without the Z."""
    if value.tzinfo is None:
        raise ValueError(f"{value} has no time zone")
    return value.astimezone(UTC).replace(tzinfo=None).isoformat()


def _format_datetime(value: datetime) -> str:
    return f"{format_local(value)}Z"


def format_end(value: date | None) -> str:
    """Return the inclusive last day of a half-open end, None being SAP's open end."""
    return (_OPEN_END if value is None else value - timedelta(days=1)).isoformat()


_TEXT_BUILTINS: Final = frozenset({"token", "string", "language", "anyURI", "duration", "base64Binary", "float"})
_ANY_BUILTIN: Final = _TEXT_BUILTINS | {"boolean", "int", "decimal", "date", "time", "dateTime"}
_LEAVES: Final[dict[type, Leaf]] = {
    str: Leaf(parse=_parse_token, format=str, builtins=_ANY_BUILTIN, expected="text"),
    bool: Leaf(parse=_parse_bool, format=_format_bool, builtins=frozenset({"boolean"}), expected="true, false, 1 or 0"),
    int: Leaf(parse=int, format=str, builtins=frozenset({"int"}), expected="a whole number"),
    Decimal: Leaf(
        parse=_parse_decimal,
        format=_format_decimal,
        builtins=frozenset({"decimal", "int", "float"}),
        expected="a decimal number",
    ),
    date: Leaf(parse=_parse_date, format=date.isoformat, builtins=frozenset({"date"}), expected="a date (YYYY-MM-DD)"),
    time: Leaf(parse=_parse_time, format=_format_time, builtins=frozenset({"time"}), expected="a time (hh:mm:ss)"),
    datetime: Leaf(
        parse=_parse_datetime,
        format=_format_datetime,
        builtins=frozenset({"dateTime"}),
        expected="an instant (YYYY-MM-DDThh:mm:ssZ)",
    ),
}
_END_LEAF: Final = Leaf(
    parse=_parse_end, format=format_end, builtins=frozenset({"date"}), expected="a date (YYYY-MM-DD)"
)
_VERBATIM_LEAF: Final = Leaf(parse=str, format=str, builtins=_TEXT_BUILTINS, expected="text")


@once_per_class
def _enum_leaf(codes: type[Enum]) -> Leaf:
    by_code = {str(member.value): member for member in codes}
    # Senders drop and add leading zeros of codes.
    by_number = {code.lstrip("0"): member for code, member in by_code.items()}

    def parse(text: str) -> Enum:
        code = _parse_token(text)
        member = by_code.get(code) or by_number.get(code.lstrip("0"))
        if member is None:
            raise ValueError(code)
        return member

    return Leaf(
        parse=parse,
        format=lambda member: str(member.value),
        builtins=frozenset({"token", "string"}),
        expected=f"one of {', '.join(by_code)}",
    )


# -- shapes ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class ShapeField:
    """A field of a shape: its place on the wire and what it holds. Exactly one of `leaf` and `nested` is set."""

    name: str
    path: WirePath
    repeated: bool
    optional: bool
    has_default: bool
    leaf: Leaf | None
    nested: type | None
    kind: str
    """The annotation as text, for messages and for the version of the shape."""


@once_per_class
def fields_of(shape: type) -> tuple[ShapeField, ...]:
    """Return the wire fields of a shape in their order; `ShapeError` if one cannot be bound."""
    if not dataclasses.is_dataclass(shape):
        raise ShapeError(f"{shape!r} is no dataclass")
    hints = typing.get_type_hints(shape)
    found = []
    for item in dataclasses.fields(shape):
        path = item.metadata.get(_WIRE)
        has_default = item.default is not MISSING or item.default_factory is not MISSING
        if path is None:
            if not has_default:
                raise ShapeError(f"{shape.__qualname__}.{item.name} has neither a wire path nor a default")
            continue
        found.append(_shape_field(shape, item.name, path, hints[item.name], has_default=has_default))
    _refuse_twins(shape, found)
    return tuple(found)


def _shape_field(shape: type, name: str, path: WirePath, hint: Any, *, has_default: bool) -> ShapeField:
    where = f"{shape.__qualname__}.{name}"
    inner, optional, repeated = unwrap(hint)
    leaf = leaf_of(inner)
    if path.inclusive_end:
        if inner is not date or not optional or repeated:
            raise ShapeError(f"{where}: wire_end needs `date | None`, not {describe(hint)}")
        leaf = _END_LEAF
    elif path.verbatim:
        if inner is not str:
            raise ShapeError(f"{where}: wire_text needs str, not {describe(hint)}")
        leaf = _VERBATIM_LEAF
    nested = inner if leaf is None and dataclasses.is_dataclass(inner) and isinstance(inner, type) else None
    if leaf is None and nested is None:
        raise ShapeError(f"{where}: {describe(hint)} cannot stand on the wire")
    if nested is not None and (path.attribute or not path.elements):
        raise ShapeError(f"{where}: a nested shape needs an element, not {path}")
    if repeated and (path.attribute or not path.elements):
        raise ShapeError(f"{where}: {path} cannot repeat")
    return ShapeField(
        name=name,
        path=path,
        repeated=repeated,
        optional=optional,
        has_default=has_default,
        leaf=leaf,
        nested=nested,
        kind=describe(hint),
    )


def _refuse_twins(shape: type, fields: list[ShapeField]) -> None:
    seen: dict[tuple[tuple[str, ...], str | None], str] = {}
    for item in fields:
        place = (item.path.elements, item.path.attribute)
        if place in seen:
            raise ShapeError(f"{shape.__qualname__}: {seen[place]} and {item.name} both stand at {item.path}")
        seen[place] = item.name


def unwrap(hint: Any) -> tuple[Any, bool, bool]:
    """Return (X, optional, repeated) of an annotation X, `X | None` or `tuple[X, ...]`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, Union) and len(arguments) == 2 and type(None) in arguments:
        inner = next(argument for argument in arguments if argument is not type(None))
        return inner, True, False
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return arguments[0], False, True
    return hint, False, False


def leaf_of(hint: Any) -> Leaf | None:
    """Return how a leaf type reads and writes, or None if the type is no leaf."""
    if isinstance(hint, type):
        if issubclass(hint, Enum):
            return _enum_leaf(hint)
        return _LEAVES.get(hint)
    return None


def describe(hint: Any) -> str:
    """Return an annotation as it is written."""
    return hint.__qualname__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)


@once_per_class
def shape_version(shape: type) -> str:
    """Return 12 hexadecimal digits that change whenever a field's name, type or place on the wire changes."""
    return hashlib.sha256("\n".join(_lines(shape)).encode()).hexdigest()[:12]


def _lines(shape: type) -> list[str]:
    lines = [shape.__qualname__]
    hints = typing.get_type_hints(shape)
    for item in dataclasses.fields(shape):
        path = item.metadata.get(_WIRE)
        inner, optional, repeated = unwrap(hints[item.name])
        marks = f"{path}{'!end' if path and path.inclusive_end else ''}{'!text' if path and path.verbatim else ''}"
        lines.append(f"{item.name}|{describe(inner)}|{optional}|{repeated}|{marks}")
        if dataclasses.is_dataclass(inner) and isinstance(inner, type):
            lines += _lines(inner)
    return lines
