"""Values to XML: elements in the order of the contract, whatever the order of the fields.

The writer walks the type of the contract and asks the shape for each element, compiled once per (shape, type). It
writes what it is given; `envelope` lets nothing leave that the schema refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lxml import etree

from mdus.contracts.shape import ShapeError, ShapeField, fields_of, format_end, format_local, once_per_class
from mdus.contracts.wire_types import WireType

_Format = Callable[[Any], str]
_Text = tuple[str, _Format]
"""A field and how its value is written."""
_Attributes = tuple[tuple[str, str, _Format], ...]
"""Attribute names, each with its field and how its value is written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Step:
    """One element to write: its text or nested shape, its attributes, the elements inside."""

    tag: str
    field: str | None
    format: _Format | None
    nested: tuple[_Step, ...]
    nested_attributes: _Attributes
    nested_text: _Text | None
    repeated: bool
    always: bool
    """Written even when the value is None: an open end date has a text of its own."""
    attributes: _Attributes
    children: tuple[_Step, ...]
    names: tuple[str, ...]
    """The fields in and below this element: if all are empty, the element is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Plan:
    text: _Text | None
    attributes: _Attributes
    steps: tuple[_Step, ...]


def write(value: object, *, name: str, of: WireType) -> etree._Element:
    """Return the element `name` of the contract's type `of` with the fields of `value`, children in the type's order.

    Fields that are None, and elements all of whose fields are, are left out. Raises `ShapeError` if the shape names a
    place the type does not have, `ValueError` for a text that XML cannot hold.
    """
    element = etree.Element(name)
    fill(element, value, of=of)
    return element


def fill(element: etree._Element, value: object, *, of: WireType) -> None:
    """Append the fields of `value` to an element of the contract's type `of`, as `write` does."""
    plan = _plan(type(value), of)
    _attributes(element, value, plan.attributes)
    if plan.text is not None:
        _text(element, value, plan.text)
    for step in plan.steps:
        _write(element, value, step)


def _write(parent: etree._Element, value: object, step: _Step) -> None:
    if step.field is None:
        if not _is_any_filled(value, step.names):
            return
        element = etree.SubElement(parent, step.tag)
        _attributes(element, value, step.attributes)
        for child in step.children:
            _write(element, value, child)
        return
    content = getattr(value, step.field)
    if step.repeated:
        for one in content:
            _content(etree.SubElement(parent, step.tag), one, step)
        return
    if content is None and not step.always and not _is_any_filled(value, step.names):
        return
    element = etree.SubElement(parent, step.tag)
    if step.attributes:
        _attributes(element, value, step.attributes)
    if content is not None or step.always:
        _content(element, content, step)


def _is_any_filled(value: object, names: tuple[str, ...]) -> bool:
    for name in names:  # no generator: this is asked of every element there may be
        content = getattr(value, name)
        if content is not None and content != ():
            return True
    return False


def _content(element: etree._Element, content: Any, step: _Step) -> None:
    if step.format is not None:
        element.text = step.format(content)
        return
    _attributes(element, content, step.nested_attributes)
    if step.nested_text is not None:
        _text(element, content, step.nested_text)
    for child in step.nested:
        _write(element, content, child)


def _attributes(element: etree._Element, value: object, attributes: _Attributes) -> None:
    for attribute, name, form in attributes:
        content = getattr(value, name)
        if content is not None:
            element.set(attribute, form(content))


def _text(element: etree._Element, value: object, text: _Text) -> None:
    name, form = text
    content = getattr(value, name)
    if content is not None:
        element.text = form(content)


# -- compiling ---------------------------------------------------------------------------------------------------------


@once_per_class
def _plan(shape: type, of: WireType) -> _Plan:
    pending = [(item.path.elements, item) for item in fields_of(shape)]
    text, attributes, steps = _level(shape, of, pending)
    return _Plan(text=text, attributes=attributes, steps=steps)


_Pending = list[tuple[tuple[str, ...], ShapeField]]


def _level(shape: type, of: WireType, pending: _Pending) -> tuple[_Text | None, _Attributes, tuple[_Step, ...]]:
    """Compile the fields that stand at or below an element of type `of`."""
    text = None
    attributes = []
    below: dict[str, _Pending] = {}
    for elements, item in pending:
        if elements:
            below.setdefault(elements[0], []).append((elements[1:], item))
        elif item.path.attribute is not None:
            attribute = of.attribute(item.path.attribute)
            if attribute is None or item.leaf is None:
                raise ShapeError(f"{shape.__qualname__}.{item.name}: {of.name} has no attribute {item.path.attribute}")
            attributes.append((attribute.name, item.name, item.leaf.format))
        else:
            text = (item.name, _form(item, of))
    unknown = set(below) - {child.name for child in of.children}
    if unknown:
        names = ", ".join(sorted(unknown))
        raise ShapeError(f"{shape.__qualname__}: {of.name} has no element {names}")
    steps = tuple(
        _step(shape, child.name, child.type, below[child.name]) for child in of.children if child.name in below
    )
    return text, tuple(attributes), steps


def _step(shape: type, tag: str, of: WireType, pending: _Pending) -> _Step:
    own = next((item for elements, item in pending if not elements and item.path.attribute is None), None)
    names = tuple(item.name for _, item in pending)
    if own is not None and own.nested is not None:
        if len(pending) > 1:
            raise ShapeError(f"{shape.__qualname__}.{own.name}: other fields reach into {own.path}")
        plan = _plan(own.nested, of)
        return _Step(
            tag=tag,
            field=own.name,
            format=None,
            nested=plan.steps,
            nested_attributes=plan.attributes,
            nested_text=plan.text,
            repeated=own.repeated,
            always=False,
            attributes=(),
            children=(),
            names=names,
        )
    text, attributes, children = _level(shape, of, pending)
    return _Step(
        tag=tag,
        field=own.name if own else None,
        format=text[1] if text else None,
        nested=(),
        nested_attributes=(),
        nested_text=None,
        repeated=bool(own and own.repeated),
        always=bool(own and own.path.inclusive_end),
        attributes=attributes,
        children=children,
        names=names,
    )


def _form(item: ShapeField, of: WireType) -> _Format:
    if item.leaf is None or of.builtin is None:
        raise ShapeError(f"{item.name}: {of.name} carries no text")
    if item.path.inclusive_end:
        return format_end
    if of.builtin == "dateTime" and not of.facets.get("pattern", "Z").endswith("Z"):
        return format_local
    return item.leaf.format
