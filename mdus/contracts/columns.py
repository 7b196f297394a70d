"""Binding items of a bulk together, field by field: what thousands of items that look alike are read with.

One XPath fetches the texts of many items in C; walking each item in Python takes several times as long. Where all items
have the same elements the texts come in the same order, so that every n-th belongs to one field. Whether they have is
asked first, and whatever else the items hold is for `bind`, one by one, which also says what is wrong and where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, Final, NamedTuple, cast

from lxml import etree

from mdus.contracts.shape import fields_of, once_per_class
from mdus.contracts.shape_json import json_of_field
from mdus.contracts.wire_types import WireType

#: Items bound together: enough to pay for the questions, few enough that one item unlike the others costs little.
TOGETHER: Final = 100

_ALL_TEXTS: Final = etree.XPath("descendant::text()", smart_strings=False)
_COUNT_ELEMENTS: Final = etree.XPath("count(descendant::*)")


# -- items that are alike ---------------------------------------------------------------------------------------------


class _Leaf(NamedTuple):
    path: str
    certain: bool
    """The contract has it in every item; it has none twice."""


def alike(parent: etree._Element, of: WireType) -> Mapping[str, Sequence[str]] | None:
    """Return the texts of the children of `parent` by path, one per child; None where the children are not alike.

    The children are of the type `of` and have passed its schema. They are alike where each has the very elements of the
    first, all known to the contract and there once, and a text in every one that has no children.
    """
    count = len(parent)
    leaves = _leaves(parent[0], of, "", certain=True)
    if not leaves:
        return None
    paths = [leaf.path for leaf in leaves]
    if _COUNT_ELEMENTS(parent) != count * (1 + sum(1 for _ in parent[0].iterdescendants())):
        return None
    uncertain = tuple(leaf.path for leaf in leaves if not leaf.certain)
    if uncertain and not _all_have(uncertain)(parent, count=count):
        return None
    # Now each child has every element of the first and, by their number, no other. An element without children has one
    # text or none, any other has white space at most, and the order is that of the contract.
    texts = [text for text in cast("list[str]", _ALL_TEXTS(parent)) if not text.isspace()]
    if len(texts) != count * len(paths):
        return None
    return {path: texts[place :: len(paths)] for place, path in enumerate(paths)}


def _leaves(element: etree._Element, of: WireType, path: str, *, certain: bool) -> list[_Leaf] | None:
    """Return the elements below this one that have no children, in order.

    None with one that the contract does not know or that may be there several times.
    """
    known = {child.name: child for child in of.children}
    leaves: list[_Leaf] = []
    for child in element:
        here = known.get(str(child.tag))
        if here is None or here.repeated:
            return None
        below = f"{path}/{here.name}" if path else here.name
        here_too = certain and here.required
        if here.type.is_leaf:
            leaves.append(_Leaf(below, here_too))
            continue
        deeper = _leaves(child, here.type, below, certain=here_too)
        if not deeper:
            return None
        leaves += deeper
    return leaves


@lru_cache(maxsize=256)
def _all_have(paths: tuple[str, ...]) -> etree.XPath:
    """Return the question whether each of `$count` children has its one element at each of these paths."""
    return etree.XPath(" and ".join(f"count(*/{path}) = $count" for path in paths))


# -- their fields -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Items bound together: by the shape's fields a value per item, and the JSON of each item's value."""

    count: int
    values: Mapping[str, Sequence[Any]]
    json: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Field:
    name: str
    path: str
    parse: Callable[[str], Any]
    to_json: Callable[[Any], str]
    default: Any
    has_default: bool


class _NotAlike(Exception):
    """A text is not what its field can hold, or a value is a default that JSON leaves out only in some items."""


def bind_together(shape: type, texts: Mapping[str, Sequence[str]], *, inside: str = "") -> Columns | None:
    """Return what `bind` and `to_json` make of items that are alike, or None where that takes `bind` itself.

    `inside` is the path below the items that the shape's paths start from. None: the shape has attributes, nested or
    repeated fields, a required field is missing, or a text is none its field can hold.
    """
    plan = _plan(shape)
    if plan is None:
        return None
    count = len(next(iter(texts.values())))
    values: dict[str, Sequence[Any]] = {}
    told: dict[str, Sequence[str]] = {}
    try:
        for field, found, written in _read_all(plan, texts, inside):
            values[field.name] = found or [field.default] * count
            if written:
                told[field.name] = written
    except _NotAlike:
        return None
    template = "{" + ",".join(f'"{name}":%s' for name in told) + "}"
    json = [template % row for row in zip(*told.values(), strict=True)] if told else ["{}"] * count
    return Columns(count=count, values=values, json=json)


def _read_all(
    plan: tuple[_Field, ...], texts: Mapping[str, Sequence[str]], inside: str
) -> Iterator[tuple[_Field, Sequence[Any], Sequence[str]]]:
    """Yield each field with its values and their JSON: neither where no item has it, no JSON where all are default."""
    for field in plan:
        read = texts.get(f"{inside}/{field.path}" if inside else field.path)
        if read is not None:
            yield field, *_read(field, read)
        elif field.has_default:
            yield field, (), ()
        else:
            raise _NotAlike


def _read(field: _Field, texts: Sequence[str]) -> tuple[Sequence[Any], Sequence[str]]:
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
def _plan(shape: type) -> tuple[_Field, ...] | None:
    """Return the fields of a shape; None for one that has more than single texts."""
    defaults = {one.name: one.default for one in fields(shape)}
    found = []
    for one in fields_of(shape):
        is_single_text = one.leaf is not None and not one.repeated and one.path.attribute is None and one.path.elements
        if one.leaf is None or not is_single_text or (one.has_default and defaults[one.name] is MISSING):
            return None
        found.append(
            _Field(
                name=one.name,
                path="/".join(one.path.elements),
                parse=one.leaf.parse,
                to_json=json_of_field(shape, one.name),
                default=defaults[one.name],
                has_default=one.has_default,
            )
        )
    return tuple(found)
