"""Binding items of a bulk together, field by field: what thousands of items that look alike are read with.

XPath fetches one field of many items in C; walking each item in Python takes several times as long. It is exact where
every item has one text at the field's place, or none has: then texts and items stand in the same order. That is asked
first, and whatever else the items hold is for `bind`, one by one, which also says what is wrong and where.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from itertools import repeat
from json.encoder import encode_basestring
from typing import Any, Final, cast

from lxml import etree

from mdus.contracts.shape import fields_of, once_per_class
from mdus.contracts.shape_json import json_of_field

#: Items bound together. XPath compares each node it finds with all before it, so many more would take longer again.
TOGETHER: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Items bound together: of each its fields (attributes named as the shape's), and the JSON of its value."""

    values: Sequence[Any]
    json: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Field:
    name: str
    parse: Callable[[str], Any]
    to_json: Callable[[Any], str]
    default: Any
    has_default: bool
    texts: etree.XPath
    """All texts at the field's place, in the order of the items."""
    with_text: etree.XPath
    """How many items have a text there."""
    is_there: etree.XPath


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    fields: tuple[_Field, ...]
    names: tuple[str, ...]
    defaults: dict[str, Any]
    row: Callable[[Sequence[Any]], Any]


class _NotAlike(Exception):
    """The items differ in which fields they have, or a text is not what its field can hold."""


def bind_together(shape: type, parent: etree._Element, *, inside: str = "") -> Columns | None:
    """Return what `bind` and `to_json` make of every child of `parent`, or None where that takes `bind` itself.

    `inside` is the path below the children that the shape's paths start from. The children have passed their schema;
    give at most `TOGETHER` of them. None: the shape has attributes, nested or repeated fields, or the children differ
    in which fields they have.
    """
    plan = _plan(shape, inside)
    if plan is None:
        return None
    count = len(parent)
    columns: dict[str, Sequence[Any]] = {}
    texts: dict[str, Sequence[str]] = {}
    try:
        for field in plan.fields:
            values, told = _read(field, parent, count)
            if values:
                columns[field.name] = values
            if told:
                texts[field.name] = told
    except _NotAlike:
        return None
    by_field = (columns.get(name) or repeat(plan.defaults[name], count) for name in plan.names)
    named = [name for name in plan.names if name in texts]
    template = "{" + ",".join(f'"{name}":%s' for name in named) + "}"
    return Columns(
        values=[plan.row(row) for row in zip(*by_field, strict=True)],
        json=[template % row for row in zip(*(texts[name] for name in named), strict=True)]
        if named
        else ["{}"] * count,
    )


def _read(field: _Field, parent: etree._Element, count: int) -> tuple[Sequence[Any], Sequence[str]]:
    """Return the values and their JSON; neither where no child has the field, no JSON where all have the default."""
    texts = cast("list[str]", field.texts(parent))
    if not texts and field.has_default and not field.is_there(parent):
        return (), ()
    if len(texts) != count or field.with_text(parent) != count:
        raise _NotAlike
    together = "".join(texts)
    try:
        if type(field.parse(texts[0])) is str and together.split() == [together]:
            # Text without any white space is its own value, whatever the rule for white space.
            values: Sequence[Any] = texts
            told = list(map(encode_basestring, texts))
        else:
            by_text = {text: field.parse(text) for text in set(texts)}
            values = [by_text[text] for text in texts]
            json_by_text = {text: field.to_json(value) for text, value in by_text.items()}
            told = [json_by_text[text] for text in texts]
    except (ValueError, OverflowError):
        raise _NotAlike from None
    if field.has_default and field.default in values:
        if any(value != field.default for value in values):
            raise _NotAlike
        return values, ()
    return values, told


@once_per_class
def _plan(shape: type, inside: str) -> _Plan | None:
    """Compile the questions to the items; None for a shape that has more than single texts."""
    defaults = {one.name: one.default for one in fields(shape)}
    found = []
    for one in fields_of(shape):
        is_single_text = one.leaf is not None and not one.repeated and one.path.attribute is None and one.path.elements
        if one.leaf is None or not is_single_text or (one.has_default and defaults[one.name] is MISSING):
            return None
        path = "/".join((inside, *one.path.elements) if inside else one.path.elements)
        found.append(
            _Field(
                name=one.name,
                parse=one.leaf.parse,
                to_json=json_of_field(shape, one.name),
                default=defaults[one.name],
                has_default=one.has_default,
                texts=etree.XPath(f"*/{path}/text()", smart_strings=False),
                with_text=etree.XPath(f"count(*[{path}/text()])"),
                is_there=etree.XPath(f"boolean(*/{path})"),
            )
        )
    names = tuple(defaults)
    # A tuple with the fields' names costs a tenth of the frozen value, and whoever asks for order reads fields only.
    row = namedtuple(shape.__name__, names)  # type: ignore[misc]
    return _Plan(fields=tuple(found), names=names, defaults=defaults, row=row._make)
