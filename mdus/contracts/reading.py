"""XML to values: one pass over an element's children, guided by a trie of the shape's paths compiled once per class.

Tags repeat inside most messages (`ID` stands for three things in one order), so a field is found by its path from the
top, never by its tag alone, and no field starts a search of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from lxml import etree

from mdus.contracts.shape import ShapeError, ShapeField, fields_of, once_per_class

S = TypeVar("S")
_UNREADABLE: Final = (ValueError, OverflowError)
"""What a parser raises: an instant near the year 1 or 9999 overflows when it is turned to UTC."""


class BindingError(ValueError):
    """A message passed its schema and still holds a value that its shape cannot hold.

    `path` is relative to the bound element; `line` is that of the source, or None.
    """

    def __init__(self, *, path: str, expected: str, found: str, line: int | None) -> None:
        super().__init__(f"{path}: expected {expected}, found {found}")
        self.path = path
        self.expected = expected
        self.found = found
        self.line = line


class _Node:
    """One element of the trie: what its text, its attributes and its children mean."""

    __slots__ = ("attributes", "children", "expected", "field", "nested", "parse", "path", "plain", "repeated")

    def __init__(self, path: str) -> None:
        self.path = path
        self.field: str | None = None
        self.parse: Callable[[str], Any] | None = None
        self.expected = ""
        self.nested: _Plan | None = None
        self.repeated = False
        self.attributes: list[tuple[str, str, Callable[[str], Any], str]] = []
        self.children: dict[str, _Node] = {}
        self.plain = False
        """Only a text that does not repeat: by far the most frequent case, handled without another call."""


class _Plan:
    """A shape compiled for reading."""

    __slots__ = ("repeated", "required", "shape", "top")

    def __init__(self, shape: type) -> None:
        self.shape = shape
        self.top = _Node("")
        fields = fields_of(shape)
        for item in fields:
            self._add(item)
        self.repeated = tuple(item.name for item in fields if item.repeated)
        self.required = tuple((item.name, str(item.path)) for item in fields if not item.has_default)
        _settle(self.top)

    def _add(self, item: ShapeField) -> None:
        node = self.top
        for tag in item.path.elements:
            if node.nested is not None:
                raise ShapeError(f"{self.shape.__qualname__}.{item.name}: {item.path} reaches into a nested shape")
            known = node.children.get(tag)
            if known is None:
                known = node.children[tag] = _Node(f"{node.path}/{tag}" if node.path else tag)
            node = known
        if item.path.attribute is not None:
            if item.leaf is None:
                raise ShapeError(f"{self.shape.__qualname__}.{item.name}: an attribute holds no shape")
            node.attributes.append((item.path.attribute, item.name, item.leaf.parse, item.leaf.expected))
            return
        node.field = item.name
        node.repeated = item.repeated
        if item.leaf is not None:
            node.parse = item.leaf.parse
            node.expected = item.leaf.expected
        elif item.nested is not None:
            if node.children:
                raise ShapeError(f"{self.shape.__qualname__}.{item.name}: other fields reach into {item.path}")
            node.nested = _plan(item.nested)


def _settle(node: _Node) -> None:
    node.plain = (
        node.parse is not None and not node.repeated and not node.attributes and not node.children and bool(node.path)
    )
    for child in node.children.values():
        _settle(child)


@once_per_class
def _plan(shape: type) -> _Plan:
    return _Plan(shape)


def bind(shape: type[S], element: etree._Element) -> S:
    """Return the value of `shape` that the element holds.

    The element has passed its schema. Children and attributes no field names are skipped, whatever they are. Raises
    `BindingError` for what the schema allows and the value cannot hold (a year beyond 9999, a code without a member).
    """
    value: S = _bind(_plan(shape), element)
    return value


def _bind(plan: _Plan, element: etree._Element) -> Any:
    values: dict[str, Any] = {}
    _collect(plan.top, element, values)
    for name in plan.repeated:
        values[name] = tuple(values.get(name, ()))
    try:
        return plan.shape(**values)
    except TypeError:
        for name, path in plan.required:
            if name not in values:
                raise BindingError(path=path, expected="an element", found="nothing", line=line_of(element)) from None
        raise


def _collect(node: _Node, element: etree._Element, values: dict[str, Any]) -> None:
    for attribute, name, parse, expected in node.attributes:
        raw = element.get(attribute)
        if raw is not None:
            values[name] = _read(parse, raw, element, f"{node.path}/@{attribute}", expected)
    if node.field is not None:
        if node.nested is not None:
            value = _bind(node.nested, element)
        elif node.parse is not None:
            value = _read(node.parse, element.text or "", element, node.path, node.expected)
        if node.repeated:
            values.setdefault(node.field, []).append(value)
        else:
            values[node.field] = value
    children = node.children
    if not children:
        return
    for child in element:
        below = children.get(child.tag)
        if below is None:
            continue
        if below.plain:
            try:
                values[below.field] = below.parse(child.text or "")  # type: ignore[index,misc]
            except _UNREADABLE:
                raise _unreadable(child, below.path, below.expected, child.text or "") from None
        else:
            _collect(below, child, values)


def line_of(element: etree._Element) -> int | None:
    """Return the line of the source the element starts on, or None for an element that was built."""
    line: Any = element.sourceline
    return cast("int | None", line)


def _read(parse: Callable[[str], Any], text: str, element: etree._Element, path: str, expected: str) -> Any:
    try:
        return parse(text)
    except _UNREADABLE:
        raise _unreadable(element, path, expected, text) from None


def _unreadable(element: etree._Element, path: str, expected: str, text: str) -> BindingError:
    return BindingError(path=path or ".", expected=expected, found=repr(text), line=line_of(element))
